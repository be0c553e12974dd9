//! Whatever goes wrong, wherever: that error comes out, soon, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diskferry_block_stream::{
    Bytes, Chunk, Cursor, Disk, Enclosed, Enclosure, ErrorKind, Extent, Flat, Form, Layout, Packed,
    Packer, Part, Plan, Preallocation, Result, Sink, Split,
};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{
    Copied, CopyOptions, FileBytes, FileOutput, Job, Output, Outputs, Replace, Source, Zeros,
    compare, copy, digest,
};
use diskferry_testkit::fault::{Fault, FaultyBytes, FaultyOutput, FaultyStream, is_injected};
use diskferry_testkit::toy::{Packing, Toy, plan};
use diskferry_testkit::{Model, StreamSize, Texture, within};

const CHUNK: usize = 65536;

/// Data, zeros, and an end that is no whole chunk: a few operations of each kind.
fn model() -> Model {
    Model::of(
        7,
        512,
        &[
            (Texture::Noise, 3 << 19),
            (Texture::Absent, 1 << 20),
            (Texture::Text, 400 * 512),
            (Texture::StoredZeros, 100 * 512),
            (Texture::Noise, 512),
        ],
    )
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Flat,
    Allocated,
    Filled,
    Packed,
    Compressed,
    Streamed,
    Enclosed,
    Split,
}

const KINDS: [Kind; 8] = [
    Kind::Flat,
    Kind::Allocated,
    Kind::Filled,
    Kind::Packed,
    Kind::Compressed,
    Kind::Streamed,
    Kind::Enclosed,
    Kind::Split,
];

#[derive(Clone, Copy, Debug)]
enum From {
    /// Data that only a cursor can read.
    Disk,
    /// Plain extents of a file.
    File,
    /// Plain extents that the kernel may copy.
    Spliced,
    Stream,
}

const SOURCES: [From; 4] = [From::Disk, From::File, From::Spliced, From::Stream];

/// What goes round the inner file.
struct Envelope;

impl Enclosure for Envelope {
    fn pass(&mut self, _bytes: &[u8]) {}

    fn finish(self: Box<Self>, length: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        Ok((vec![1; CHUNK], length.to_le_bytes().to_vec()))
    }
}

fn whole(kind: Kind) -> Plan {
    let flat = |preallocation| Plan::Flat(Flat { preallocation, ..Flat::default() });
    match kind {
        Kind::Flat => Plan::Flat(Flat {
            head: vec![2; 512],
            base: 4096,
            tail: vec![3; 512],
            ..Flat::default()
        }),
        Kind::Allocated => flat(Preallocation::Falloc),
        Kind::Filled => flat(Preallocation::Full),
        Kind::Packed | Kind::Split => Plan::Packed(plan(Toy::Table, CHUNK, Packing::None)),
        Kind::Compressed => Plan::Packed(plan(Toy::Table, CHUNK, Packing::Deflate)),
        Kind::Streamed => Plan::Packed(plan(Toy::Stream, CHUNK, Packing::Deflate)),
        Kind::Enclosed => Plan::Enclosed(Enclosed {
            base: CHUNK as u64,
            inner: plan(Toy::Stream, CHUNK, Packing::Deflate),
            enclosure: Box::new(Envelope),
        }),
    }
}

/// A disk in two files, each in its own way, and a third that names them.
fn split(size: u64) -> Split {
    let first = 1 << 20;
    let parts = vec![
        Part { suffix: "-1".into(), length: first, plan: Plan::Flat(Flat::default()) },
        Part { suffix: "-2".into(), length: size - first, plan: whole(Kind::Split) },
    ];
    Split { parts, descriptor: Box::new(|names| Ok(names.join("\n").into_bytes())) }
}

/// The source's file, as it is on the disk.
struct Plain(tempfile::TempDir);

impl Plain {
    fn new(model: &Model) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("source"), model.stored()).unwrap();
        Self(folder)
    }

    fn open(&self) -> Arc<dyn Bytes> {
        let path = self.0.path().join("source");
        Arc::new(FileBytes::new("source", File::open(path).unwrap()).unwrap())
    }
}

/// A conversion of the model into real files in `folder`, in which every operation counts.
fn convert(
    (kind, from): (Kind, From),
    (model, file): (&Model, &Plain),
    folder: &Path,
    fault: &Fault,
    job: &Job,
) -> Result<Copied> {
    let outputs: Vec<FileOutput> = ["t", "t-1", "t-2"]
        .iter()
        .take(if matches!(kind, Kind::Split) { 3 } else { 1 })
        .map(|name| FileOutput::create(&folder.join(name), Replace::Never).unwrap())
        .collect();
    let faulty: Vec<FaultyOutput<'_>> =
        outputs.iter().map(|output| FaultyOutput::new(output, fault)).collect();
    let plain = || model.plain_in(Arc::new(FaultyBytes::new(file.open(), fault)));
    let disk: Arc<dyn Disk> = match from {
        From::Disk | From::Stream => Arc::new(Faulty(self::model(), fault.clone())),
        From::File | From::Spliced => Arc::new(Faulty(plain(), fault.clone())),
    };
    let zeros = if matches!(from, From::Spliced) { Zeros::Trust } else { Zeros::Scan };
    let options = CopyOptions { zeros, ..CopyOptions::default() };
    let copied = match kind {
        Kind::Split => {
            let parts: [(&str, &dyn Output); 2] = [("t-1", &faulty[1]), ("t-2", &faulty[2])];
            let outputs = Outputs::Split { parts: parts.into(), descriptor: &faulty[0] };
            let plan = Plan::Split(split(model.size()));
            copy(Source::Disk(disk.as_ref()), plan, outputs, &options, job)
        }
        _ => {
            let source = match from {
                From::Stream => {
                    let stream = model.stream(3, StreamSize::Unknown);
                    Source::Stream(Box::new(FaultyStream::new(stream, fault)))
                }
                _ => Source::Disk(disk.as_ref()),
            };
            copy(source, whole(kind), &faulty[0], &options, job)
        }
    };
    copied.inspect(|_| outputs.into_iter().for_each(|output| drop(output.keep().unwrap())))
}

/// A disk that owns its model, with a fault.
struct Faulty(Model, Fault);

impl Disk for Faulty {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn grain(&self) -> u64 {
        self.0.grain()
    }
    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.0.files()
    }
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        // What it hands out is borrowed from the model alone.
        self.1.step("making a cursor")?;
        Ok(Box::new(Stepping(self.0.cursor()?, &self.1)))
    }
}

struct Stepping<'a>(Box<dyn Cursor + 'a>, &'a Fault);

impl Cursor for Stepping<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.1.step("asking for an extent")?;
        self.0.extent(at, limit)
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.1.step("reading a disk")?;
        self.0.read(at, buf)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every operation's number where there are few, else some of all, and the last ones.
fn each(count: u64) -> impl Iterator<Item = u64> {
    let some = (0..count).step_by(count.div_ceil(16).max(1) as usize);
    some.chain(count.saturating_sub(4).max(1)..count)
}

const SOON: Duration = Duration::from_secs(30);

#[test]
fn every_operation_may_fail_or_be_the_last() {
    let model = model();
    let file = Plain::new(&model);
    let cases = KINDS.iter().flat_map(|kind| SOURCES.iter().map(move |from| (*kind, *from)));
    // A stream does not go into several files.
    for case in cases.filter(|case| !matches!(case, (Kind::Split, From::Stream))) {
        let none = Fault::none();
        let folder = tempfile::tempdir().unwrap();
        convert(case, (&model, &file), folder.path(), &none, &Job::new(1).unwrap()).unwrap();
        assert_eq!(names(folder.path()).len(), if matches!(case.0, Kind::Split) { 3 } else { 1 });
        let mut failed = 0;
        for nth in each(none.count()) {
            for threads in [1, 3] {
                for cancels in [false, true] {
                    let job = Job::new(threads).unwrap();
                    let fault = match cancels {
                        false => Fault::error(nth, io::ErrorKind::StorageFull),
                        true => Fault::cancel(nth, &job.control.cancel),
                    };
                    let what = format!("{case:?}, operation {nth}, {threads} threads, {cancels}");
                    let folder = tempfile::tempdir().unwrap();
                    let result = within(SOON, &what, || {
                        convert(case, (&model, &file), folder.path(), &fault, &job)
                    });
                    match (fault.fired(), result) {
                        (Some(_), Err(error)) if cancels => {
                            assert_eq!(error.kind(), ErrorKind::Cancelled, "{what}: {error}");
                            failed += 1;
                        }
                        (Some(doing), Err(error)) => {
                            assert!(is_injected(&error), "{what}, {doing}: {error}");
                            assert_eq!(error.kind(), ErrorKind::Io, "{what}, {doing}: {error}");
                            failed += 1;
                        }
                        // With other threads it may be one operation less; and what is finished
                        // can be stopped no more.
                        (None, Ok(_)) => continue,
                        (Some("finishing"), Ok(_)) if cancels => continue,
                        (doing, result) => panic!("{what}, {doing:?}: {result:?}"),
                    }
                    assert_eq!(names(folder.path()), [""; 0], "{what}");
                }
            }
        }
        assert!(failed > 12, "{case:?}: {failed} of {} operations failed", none.count());
    }
}

fn noise() -> Model {
    Model::full(1, 8 << 20, 512, Texture::Noise)
}

/// Where something panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Cursor,
    Extent,
    Read,
    Packer,
    Layout,
    Output,
}

const PANICS: [Panics; 6] =
    [Panics::Cursor, Panics::Extent, Panics::Read, Panics::Packer, Panics::Layout, Panics::Output];

/// A disk with a bug.
struct Buggy(Model, Panics);

impl Disk for Buggy {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn grain(&self) -> u64 {
        self.0.grain()
    }
    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        assert_ne!(self.1, Panics::Cursor, "on purpose");
        Ok(Box::new(BuggyCursor(self.0.cursor()?, self.1)))
    }
}

struct BuggyCursor<'a>(Box<dyn Cursor + 'a>, Panics);

impl Cursor for BuggyCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        assert!(self.1 != Panics::Extent || at < 2 << 20, "on purpose");
        self.0.extent(at, limit.min(1 << 20))
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        assert!(self.1 != Panics::Read || at < 2 << 20, "on purpose");
        self.0.read(at, buf)
    }
}

struct BuggyPacker;

impl Packer for BuggyPacker {
    fn pack(&mut self, at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        assert!(at < 2 << 20, "on purpose");
        out.extend_from_slice(&data[..data.len() / 2]);
        Ok(Form::Packed)
    }
}

struct BuggyLayout(u64);

impl Layout for BuggyLayout {
    fn zeros(&mut self, _chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        Ok(())
    }
    fn chunk(&mut self, chunk: Chunk, _sink: &mut dyn Sink) -> Result<u64> {
        assert!(self.0 < 100_000, "on purpose");
        self.0 += chunk.length as u64;
        Ok(self.0 - chunk.length as u64)
    }
    fn finish(&mut self, _size: u64, _sink: &mut dyn Sink) -> Result<u64> {
        Ok(self.0)
    }
}

struct BuggyOutput(FileOutput);

impl Output for BuggyOutput {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn starts_zero(&self) -> bool {
        true
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        assert!(at < 1 << 20, "on purpose");
        self.0.write_at(at, bytes)
    }
    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.0.zero(at, len)
    }
    fn finish(&self, len: u64, job: &Job) -> Result<()> {
        self.0.finish(len, job)
    }
}

/// A plan that has, or has not, the bug.
fn buggy(panics: Panics) -> Plan {
    let packed = plan(Toy::Stream, CHUNK, Packing::None);
    match panics {
        Panics::Packer => {
            let packer = || -> Result<Box<dyn Packer>> { Ok(Box::new(BuggyPacker)) };
            Plan::Packed(Packed { packer: Some(Box::new(packer)), ..packed })
        }
        Panics::Layout => Plan::Packed(Packed { layout: Box::new(BuggyLayout(0)), ..packed }),
        _ => Plan::Packed(packed),
    }
}

#[test]
fn a_panic_anywhere_unwinds_soon_and_leaves_nothing() {
    for panics in PANICS {
        for threads in [1, 3] {
            for ordered in [false, true] {
                let what = format!("{panics:?}, {threads} threads, ordered: {ordered}");
                let folder = tempfile::tempdir().unwrap();
                let disk = Buggy(noise(), panics);
                let digests = if ordered { vec![Algorithm::Sha256] } else { Vec::new() };
                let options = CopyOptions { digests, ..CopyOptions::default() };
                let packs = matches!(panics, Panics::Packer | Panics::Layout);
                let unwound = within(SOON, &what, || {
                    catch_unwind(AssertUnwindSafe(|| {
                        let target = folder.path().join("t");
                        let output = FileOutput::create(&target, Replace::Never)?;
                        let job = Job::new(threads)?;
                        let plan = if packs { buggy(panics) } else { Plan::Flat(Flat::default()) };
                        if panics == Panics::Output {
                            let output = BuggyOutput(output);
                            return copy(Source::Disk(&disk), plan, &output, &options, &job);
                        }
                        copy(Source::Disk(&disk), plan, &output, &options, &job)
                    }))
                });
                assert!(unwound.is_err(), "{what}: no panic came out");
                assert_eq!(names(folder.path()), [""; 0], "{what}");
            }
        }
    }
}

#[test]
fn a_panic_ends_digests_and_comparisons_too() {
    for panics in [Panics::Cursor, Panics::Extent, Panics::Read] {
        for threads in [1, 3] {
            let what = format!("{panics:?}, {threads} threads");
            let disk = || -> Arc<dyn Disk> { Arc::new(Buggy(noise(), panics)) };
            let job = Job::new(threads).unwrap();
            within(SOON, &what, || {
                let digested = catch_unwind(AssertUnwindSafe(|| {
                    digest(Source::Disk(disk().as_ref()), &Algorithm::ALL, &job)
                }));
                assert!(digested.is_err(), "{what}: a digest");
                let other: Arc<dyn Disk> = Arc::new(noise());
                let compared = catch_unwind(AssertUnwindSafe(|| compare(&other, &disk(), &job)));
                assert!(compared.is_err(), "{what}: a comparison");
            });
        }
    }
}

#[test]
fn a_source_that_shrinks_or_fails_is_an_error_with_its_place() {
    let model = noise();
    for zeros in [Zeros::Scan, Zeros::Trust] {
        for threads in [1, 3] {
            let file = Plain::new(&model);
            let bytes = file.open();
            let path = file.0.path().join("source");
            File::options().write(true).open(path).unwrap().set_len((5 << 20) + 100).unwrap();
            let disk = model.plain_in(bytes);
            let options = CopyOptions { zeros, ..CopyOptions::default() };
            let folder = tempfile::tempdir().unwrap();
            let output = FileOutput::create(&folder.path().join("t"), Replace::Never).unwrap();
            let flat = Plan::Flat(Flat::default());
            let job = Job::new(threads).unwrap();
            let error = copy(Source::Disk(&disk), flat, &output, &options, &job).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert_eq!(error.place().file.as_deref(), Some("source"), "{error}");
            let (at, len) = (error.place().offset.unwrap(), error.place().length.unwrap());
            assert!(at + len > (5 << 20) + 100, "{error}");
        }
    }
}

#[test]
fn a_fault_of_the_source_is_one_of_any_comparison() {
    let other: Arc<dyn Disk> = Arc::new(model());
    let none = Fault::none();
    let faulty = |fault: &Fault| -> Arc<dyn Disk> { Arc::new(Faulty(model(), fault.clone())) };
    assert_eq!(compare(&other, &faulty(&none), &Job::new(1).unwrap()).unwrap(), None);
    for nth in each(none.count()) {
        for threads in [1, 3] {
            let fault = Fault::error(nth, io::ErrorKind::Other);
            let job = Job::new(threads).unwrap();
            let result = within(SOON, "a comparison", || compare(&other, &faulty(&fault), &job));
            match fault.fired() {
                Some(_) => assert!(is_injected(&result.unwrap_err()), "operation {nth}"),
                None => assert_eq!(result.unwrap(), None),
            }
        }
    }
}
