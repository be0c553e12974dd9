//! The copy: into files, by the kernel, chunk by chunk, from streams.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use diskferry_block_stream::{
    Bytes, Chunk, Disk, Error, ErrorKind, Flat, Form, Layout, Packed, Packer, Part, Piece, Plan,
    Preallocation, Result, Sink, Split, Stream,
};
use diskferry_codec::Fingerprint;
use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_engine::{
    Copied, CopyOptions, FileBytes, FileOutput, Job, Output, Outputs, ReadStream, Replace, Source,
    Storage, Zeros, copy, digest, fingerprint,
};
use diskferry_testkit::toy::{Packing, Toy, ToyDisk, plan};
use diskferry_testkit::{
    Discard, Model, ModelStream, Random, Recorder, StreamSize, Texture, laws, qemu,
};

fn job(threads: usize) -> Job {
    Job::new(threads).unwrap()
}

fn flat() -> Plan {
    Plan::Flat(Flat::default())
}

fn flat_with(preallocation: Preallocation) -> Plan {
    Plan::Flat(Flat { preallocation, ..Flat::default() })
}

fn trust() -> CopyOptions {
    CopyOptions { zeros: Zeros::Trust, ..CopyOptions::default() }
}

fn scan() -> CopyOptions {
    CopyOptions::default()
}

/// Copies into a new file in `dir`.
fn to_file(dir: &Path, source: &dyn Disk, plan: Plan, options: &CopyOptions) -> (PathBuf, Copied) {
    let target = dir.join("target");
    let output = FileOutput::create(&target, Replace::Allowed).unwrap();
    let copied = copy(Source::Disk(source), plan, &output, options, &job(3)).unwrap();
    output.keep().unwrap();
    (target, copied)
}

fn file_bytes(path: &Path) -> FileBytes {
    FileBytes::new("test", File::open(path).unwrap()).unwrap()
}

fn assert_file_is(path: &Path, model: &Model) {
    let bytes = file_bytes(path);
    assert_eq!(bytes.len(), model.size(), "{model}");
    let mut buf = vec![0; 1 << 20];
    for part in model.parts().iter().filter(|part| part.texture.is_stored()) {
        for at in (part.at..part.end()).step_by(buf.len()) {
            let buf = &mut buf[..(part.end() - at).min(1 << 20) as usize];
            bytes.read_at(at, buf).unwrap();
            assert!(*buf == model.bytes(at, buf.len()), "{model}: other bytes after {at:#x}");
        }
    }
}

/// Bytes in blocks of `block` bytes that are not all zeros.
fn non_zero(model: &Model, block: u64) -> u64 {
    let size = model.size();
    (0..size)
        .step_by(block as usize)
        .map(|at| (at, block.min(size - at)))
        .filter(|(at, len)| model.first_non_zero(*at, *len).is_some())
        .map(|(_, len)| len)
        .sum()
}

#[test]
fn files_hold_the_disk_and_no_storage_for_its_zeros() {
    let dir = qemu::temp_dir();
    let mut models = Model::gallery(4096);
    models.push(Model::sparse(1, 1 << 40, 65536));
    models.push(Model::full(2, 9 << 20, 4096, Texture::StoredZeros));
    for model in models {
        let (path, copied) = to_file(dir.path(), &model, flat(), &scan());
        assert_file_is(&path, &model);
        let stored = if model.size() <= 64 << 20 {
            assert_eq!(copied.copied, non_zero(&model, 4096), "{model}");
            copied.copied
        } else {
            model.parts().iter().filter(|p| p.texture.is_stored()).map(|p| p.length + 8192).sum()
        };
        let held = path.metadata().unwrap().blocks() * 512;
        let slack = 8192 + stored / 8;
        assert!(held <= stored + slack, "{model}: {held} bytes of storage for {stored}");
    }
}

#[test]
fn trusted_zeros_are_stored() {
    let dir = qemu::temp_dir();
    let model = Model::full(2, 9 << 20, 4096, Texture::StoredZeros);
    let (path, copied) = to_file(dir.path(), &model, flat(), &trust());
    assert_eq!((copied.copied, copied.zeros), (9 << 20, 0));
    assert!(path.metadata().unwrap().blocks() * 512 >= 9 << 20);
}

#[test]
fn packed_files_are_the_same_as_in_memory() {
    let dir = qemu::temp_dir();
    for toy in [Toy::Stream, Toy::Table] {
        for packing in [Packing::Deflate, Packing::None] {
            for model in [Model::random(3, (7 << 20) + 9, 512), Model::sparse(4, 1 << 45, 65536)] {
                let make = || Plan::Packed(plan(toy, 65536, packing));
                let (path, _) = to_file(dir.path(), &model, make(), &scan());
                let recorder = Recorder::new();
                copy(Source::Disk(&model), make(), &recorder, &scan(), &job(1)).unwrap();
                assert!(std::fs::read(&path).unwrap() == recorder.recorded().to_vec(), "{model}");
                let disk = ToyDisk::open(Arc::new(file_bytes(&path))).unwrap();
                laws::reading(&disk, &model);
            }
        }
    }
}

#[test]
fn preallocation_takes_storage_for_zeros_too() {
    let dir = qemu::temp_dir();
    for model in [
        Model::empty((5 << 20) + 100, 512),
        Model::full(1, 5 << 20, 512, Texture::StoredZeros),
        Model::random(2, (5 << 20) + 1, 4096),
        Model::of(3, 512, &[(Texture::Absent, 3 << 20), (Texture::Noise, 512)]),
    ] {
        for (preallocation, least) in
            [(Preallocation::Falloc, model.size()), (Preallocation::Full, model.size())]
        {
            let (path, _) = to_file(dir.path(), &model, flat_with(preallocation), &scan());
            assert_file_is(&path, &model);
            let held = path.metadata().unwrap().blocks() * 512;
            assert!(held >= least, "{model}, {preallocation:?}: {held} bytes of storage");
        }
    }
}

#[test]
fn preallocation_is_asked_for_the_whole_target() {
    let model = Model::random(2, (5 << 20) + 1, 4096);
    for (preallocation, known) in [
        (Preallocation::Falloc, StreamSize::Known),
        (Preallocation::Falloc, StreamSize::Unknown),
        (Preallocation::Full, StreamSize::Unknown),
        (Preallocation::Off, StreamSize::Known),
    ] {
        let recorder = Recorder::new();
        let stream = Source::Stream(Box::new(model.stream(1, known)));
        let plan = Flat { base: 512, tail: vec![1; 100], preallocation, ..Flat::default() };
        copy(stream, Plan::Flat(plan), &recorder, &scan(), &job(2)).unwrap();
        let len = [model.size() + 612];
        let counts = recorder.counts();
        let (allocated, filled): (&[u64], &[u64]) = match preallocation {
            Preallocation::Off => (&[], &[]),
            Preallocation::Falloc => (&len, &[]),
            Preallocation::Full => (&[], &len),
        };
        assert_eq!((&counts.allocated[..], &counts.filled[..]), (allocated, filled));
        assert_eq!(counts.finished, len);
    }
}

#[test]
fn storage_for_zeros_is_not_promised_where_nobody_can_take_it() {
    let model = Model::random(5, 3 << 20, 512);
    type Make = fn() -> Box<dyn Output>;
    let outputs: [(Make, bool); 3] = [
        (|| Box::new(Discard), false),
        // All of a pipe is written; so is all of what is full of something else.
        (|| Box::new(Recorder::forward_only()), true),
        (|| Box::new(Recorder::garbage(7)), true),
    ];
    for (make, fits) in outputs {
        for preallocation in [Preallocation::Falloc, Preallocation::Full] {
            let packed = plan(Toy::Stream, 65536, Packing::None);
            for plan in [
                Plan::Flat(Flat { preallocation, ..Flat::default() }),
                Plan::Packed(Packed { preallocation, ..packed }),
            ] {
                let output = make();
                let output = output.as_ref();
                let copied = copy(Source::Disk(&model), plan, output, &scan(), &job(2));
                match copied {
                    Ok(_) => assert!(fits, "{}", output.name()),
                    Err(error) => {
                        assert!(!fits, "{error}");
                        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                    }
                }
            }
        }
    }
}

/// An output that counts what goes through the kernel and what does not.
struct Watched<'a> {
    inner: &'a dyn Output,
    /// What it says of sharing storage.
    shares: bool,
    written: AtomicU64,
    spliced: AtomicU64,
    calls: AtomicU64,
}

impl<'a> Watched<'a> {
    fn new(inner: &'a dyn Output) -> Self {
        let none = || AtomicU64::new(0);
        Self { inner, shares: false, written: none(), spliced: none(), calls: none() }
    }

    fn sharing(inner: &'a dyn Output) -> Self {
        Self { shares: true, ..Self::new(inner) }
    }

    /// Bytes written, bytes copied by the kernel.
    fn counts(self) -> (u64, u64) {
        (self.written.into_inner(), self.spliced.into_inner())
    }
}

impl Output for Watched<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn starts_zero(&self) -> bool {
        self.inner.starts_zero()
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.inner.write_at(at, bytes)
    }
    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.inner.zero(at, len)
    }
    fn finish(&self, len: u64, job: &Job) -> Result<()> {
        self.inner.finish(len, job)
    }
    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

impl Watched<'_> {
    fn inner_storage(&self) -> &dyn Storage {
        self.inner.storage().expect("only what has storage is watched")
    }
}

impl Storage for Watched<'_> {
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let done = self.inner_storage().copy_from(source, from, at, len)?;
        self.spliced.fetch_add(done, Ordering::Relaxed);
        Ok(done)
    }
    fn shares(&self, _source: &dyn Bytes) -> bool {
        self.shares
    }
    fn allocate(&self, len: u64) -> Result<()> {
        self.inner_storage().allocate(len)
    }
    fn fill(&self, len: u64, job: &Job) -> Result<()> {
        self.inner_storage().fill(len, job)
    }
}

/// The model with its data in a real file.
fn in_file(dir: &Path, model: &Model) -> Model {
    let path = dir.join("stored");
    std::fs::write(&path, model.stored()).unwrap();
    model.plain_in(Arc::new(file_bytes(&path)))
}

#[test]
fn plain_extents_are_copied_by_the_kernel() {
    let dir = qemu::temp_dir();
    for (model, all) in [
        (Model::random(5, 12 << 20, 4096), true),
        (Model::random(6, (12 << 20) + 77, 4096), false),
        (Model::random(7, (12 << 20) + 77, 512), false),
        (Model::fragmented(8, 3 << 20, 512), false),
    ] {
        let source = in_file(dir.path(), &model);
        let stored: u64 =
            model.parts().iter().filter(|part| part.texture.is_stored()).map(|p| p.length).sum();
        let target = dir.path().join("target");
        for threads in [1, 7] {
            let output = FileOutput::create(&target, Replace::Allowed).unwrap();
            let watched = Watched::new(&output);
            let copied =
                copy(Source::Disk(&source), flat(), &watched, &trust(), &job(threads)).unwrap();
            let (written, spliced) = watched.counts();
            output.keep().unwrap();
            assert_file_is(&target, &model);
            if all {
                assert_eq!((written, spliced, copied.copied), (0, stored, stored), "{model}");
            }
            assert!(written + spliced >= stored && copied.copied <= written + spliced, "{model}");
        }
    }
}

#[test]
fn the_kernel_copies_into_packed_files_too() {
    let dir = qemu::temp_dir();
    let model = Model::random(9, (12 << 20) + 4096, 65536);
    let source = in_file(dir.path(), &model);
    let output = FileOutput::create(&dir.path().join("target"), Replace::Never).unwrap();
    let watched = Watched::new(&output);
    let plan = Plan::Packed(plan(Toy::Table, 65536, Packing::None));
    copy(Source::Disk(&source), plan, &watched, &trust(), &job(3)).unwrap();
    assert!(watched.counts().1 > 1 << 20);
    output.keep().unwrap();
    let disk = ToyDisk::open(Arc::new(file_bytes(&dir.path().join("target")))).unwrap();
    laws::reading(&disk, &model);
}

/// Where storage can be shared, the kernel is asked once for an extent, whatever its length and
/// however it lies to the chunks; what is not whole blocks is read.
#[test]
fn storage_is_shared_by_the_extent() {
    let dir = qemu::temp_dir();
    let large: Vec<_> = (0..40)
        .map(|n| (if n % 3 == 2 { Texture::Zero } else { Texture::Noise }, (1 + n * n % 37) << 12))
        .collect();
    let long = [(Texture::Noise, 40 << 20), (Texture::Zero, 4096), (Texture::Noise, 9 << 20)];
    let target = dir.path().join("target");
    for (model, all) in [
        (Model::of(11, 4096, &large), true),
        (Model::of(12, 4096, &long), true),
        (Model::random(13, (12 << 20) + 4096, 4096), false),
        (Model::random(14, (12 << 20) + 77, 512), false),
        (Model::fragmented(15, 3 << 20, 512), false),
    ] {
        let model = model.with_alignment(4096);
        let source = in_file(dir.path(), &model);
        let stored = model.parts().iter().filter(|part| part.texture.is_stored());
        let extents = stored.clone().count() as u64;
        let bytes: u64 = stored.map(|part| part.length).sum();
        for chunk in [None, Some(4096), Some(65536), Some(1 << 20)] {
            let name = format!("{model}, chunks of {chunk:?}");
            for threads in [1, 7] {
                let plan = match chunk {
                    None => flat(),
                    Some(chunk) => Plan::Packed(plan(Toy::Table, chunk, Packing::None)),
                };
                let output = FileOutput::create(&target, Replace::Allowed).unwrap();
                let watched = Watched::sharing(&output);
                copy(Source::Disk(&source), plan, &watched, &trust(), &job(threads)).unwrap();
                let calls = watched.calls.load(Ordering::Relaxed);
                let (written, spliced) = watched.counts();
                output.keep().unwrap();
                if let Some(chunk) = chunk {
                    let disk = ToyDisk::open(Arc::new(file_bytes(&target))).unwrap();
                    laws::reading(&disk, &model);
                    // Chunks without data may part an extent's target.
                    assert!(
                        !all || calls <= extents + model.size() / chunk as u64,
                        "{name}: {calls}"
                    );
                } else {
                    assert_file_is(&target, &model);
                    assert!(!all || (written, calls) == (0, extents), "{name}: {calls}, {written}");
                }
                assert!(!all || spliced == bytes, "{name}: {spliced}");
            }
        }
    }
}

#[test]
fn nothing_is_copied_blindly_when_somebody_wants_to_look() {
    let dir = qemu::temp_dir();
    let model = Model::random(5, 12 << 20, 4096);
    let source = in_file(dir.path(), &model);
    let digests = CopyOptions { digests: vec![Algorithm::Crc32], ..trust() };
    for options in [scan(), digests] {
        let output = FileOutput::create(&dir.path().join("target"), Replace::Never).unwrap();
        let watched = Watched::new(&output);
        copy(Source::Disk(&source), flat(), &watched, &options, &job(3)).unwrap();
        assert_eq!(watched.counts().1, 0);
    }
}

#[test]
fn a_file_that_shrank_is_an_error_for_the_kernel_as_well() {
    let dir = qemu::temp_dir();
    let model = Model::full(5, 12 << 20, 4096, Texture::Noise);
    let source = in_file(dir.path(), &model);
    File::options()
        .write(true)
        .open(dir.path().join("stored"))
        .unwrap()
        .set_len((7 << 20) + 100)
        .unwrap();
    for options in [scan(), trust()] {
        let output = FileOutput::create(&dir.path().join("target"), Replace::Never).unwrap();
        let error = copy(Source::Disk(&source), flat(), &output, &options, &job(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.place().offset.is_some(), "{error}");
    }
}

/// A layout and a packer that check what they are given, chunk by chunk.
struct Checking {
    model: Arc<Model>,
    chunk: u64,
    parts: u32,
    scan: bool,
    next: u64,
    end: u64,
    chunks: Arc<AtomicU64>,
}

impl Checking {
    fn bytes(&self, index: u64) -> Vec<u8> {
        padded(&self.model, index * self.chunk, self.chunk)
    }
}

/// A chunk's bytes, zeros past the end.
fn padded(model: &Model, at: u64, chunk: u64) -> Vec<u8> {
    let mut bytes = vec![0; chunk as usize];
    let len = chunk.min(model.size() - at) as usize;
    model.fill(at, &mut bytes[..len]);
    bytes
}

impl Layout for Checking {
    fn zeros(&mut self, chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        assert!(chunks > 0);
        let at = self.next * self.chunk;
        let len = (chunks * self.chunk).min(self.model.size() - at);
        assert_eq!(self.model.first_non_zero(at, len), None, "{} at {at:#x}", self.model);
        self.next += chunks;
        Ok(())
    }
    fn chunk(&mut self, chunk: Chunk, _sink: &mut dyn Sink) -> Result<u64> {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes(self.next);
        if self.scan {
            assert!(bytes.iter().any(|byte| *byte != 0), "zeros at chunk {}", self.next);
        }
        match chunk.form {
            Form::Stored => {
                assert_eq!(chunk.length as u64, self.chunk);
                let part = bytes.len() / self.parts as usize;
                let zeros = bytes.chunks(part).map(|part| part.iter().all(|byte| *byte == 0));
                let map: u64 = zeros.enumerate().map(|(n, zero)| u64::from(zero) << n).sum();
                let map = if self.parts > 1 { map } else { 0 };
                assert_eq!(chunk.zero_parts, map, "{}: chunk {}", self.model, self.next);
            }
            Form::Packed => assert_eq!((chunk.length, chunk.zero_parts), (8, 0)),
        }
        self.next += 1;
        self.end += chunk.length as u64;
        Ok(self.end - chunk.length as u64)
    }
    fn finish(&mut self, size: u64, _sink: &mut dyn Sink) -> Result<u64> {
        assert_eq!(size, self.model.size());
        assert_eq!(self.next, size.div_ceil(self.chunk), "{}", self.model);
        Ok(self.end)
    }
}

/// Packs every other chunk, into its offset.
struct CheckingPacker {
    model: Arc<Model>,
    chunk: u64,
}

impl Packer for CheckingPacker {
    fn pack(&mut self, at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        assert!(at.is_multiple_of(self.chunk) && data == padded(&self.model, at, self.chunk));
        if (at / self.chunk).is_multiple_of(2) {
            return Ok(Form::Stored);
        }
        out.extend_from_slice(&at.to_le_bytes());
        Ok(Form::Packed)
    }
}

#[test]
fn layouts_get_every_chunk_once_in_order_whole() {
    for model in Model::gallery(4096) {
        let model = Arc::new(model);
        let small = model.size() <= 64 << 20;
        for (chunk, parts, packs, options) in [
            (4096, 32, false, scan()),
            (512, 1, true, scan()),
            (65536, 32, true, trust()),
            (4 << 20, 64, true, scan()),
        ] {
            if chunk > 65536 && !small {
                continue;
            }
            let chunks = Arc::new(AtomicU64::new(0));
            let is_scan = options.zeros == Zeros::Scan;
            let packed = || {
                let layout = Box::new(Checking {
                    model: Arc::clone(&model),
                    chunk,
                    parts,
                    scan: is_scan,
                    next: 0,
                    end: 0,
                    chunks: Arc::clone(&chunks),
                });
                let model = Arc::clone(&model);
                let packer = move || -> Result<Box<dyn Packer>> {
                    Ok(Box::new(CheckingPacker { model: Arc::clone(&model), chunk }))
                };
                let packer: Box<dyn Fn() -> Result<Box<dyn Packer>> + Send + Sync> =
                    Box::new(packer);
                Plan::Packed(Packed {
                    chunk: chunk as usize,
                    parts,
                    preallocation: Preallocation::Off,
                    packer: packs.then_some(packer),
                    layout,
                })
            };
            let copied =
                copy(Source::Disk(model.as_ref()), packed(), &Recorder::new(), &options, &job(3))
                    .unwrap();
            if small && is_scan {
                assert_eq!(copied.copied, non_zero(&model, chunk), "{model}");
            }
            let stream = Source::Stream(Box::new(model.stream(7, StreamSize::Unknown)));
            copy(stream, packed(), &Recorder::forward_only(), &options, &job(3)).unwrap();
        }
    }
}

#[test]
fn digests_are_those_of_all_bytes_in_order() {
    for model in Model::gallery(4096).iter().filter(|model| model.size() <= 64 << 20) {
        let whole = model.whole();
        let expected: Vec<_> = Algorithm::ALL
            .into_iter()
            .map(|algorithm| {
                let mut digest = Digest::new(algorithm);
                digest.update(&whole);
                (algorithm, digest.finish())
            })
            .collect();
        let mark = Fingerprint::of(0, &whole);
        let mut backwards = expected.clone();
        backwards.reverse();
        for threads in [1, 2, 7] {
            let (size, found) =
                digest(Source::Disk(model), &Algorithm::ALL, &job(threads)).unwrap();
            assert_eq!((size, &found), (model.size(), &expected), "{model}, {threads}");
            let stream = Source::Stream(Box::new(model.stream(1, StreamSize::Unknown)));
            let (size, found) = digest(stream, &Algorithm::ALL, &job(threads)).unwrap();
            assert_eq!((size, &found), (model.size(), &expected), "{model}, {threads}, stream");
            let found = fingerprint(Source::Disk(model), &job(threads)).unwrap();
            assert_eq!(found, (model.size(), mark), "{model}, {threads}");
            let digests: Vec<_> = backwards.iter().map(|(algorithm, _)| *algorithm).collect();
            for zeros in [Zeros::Scan, Zeros::Trust] {
                let options = CopyOptions { zeros, digests: digests.clone(), fingerprint: true };
                for plan in [flat(), Plan::Packed(plan(Toy::Stream, 65536, Packing::Deflate))] {
                    let recorder = Recorder::new();
                    let done = copy(Source::Disk(model), plan, &recorder, &options, &job(threads))
                        .unwrap();
                    assert_eq!(done.digests, backwards, "{model}, {threads}, {zeros:?}");
                    assert_eq!(done.fingerprint, Some(mark), "{model}, {threads}, {zeros:?}");
                }
            }
        }
    }
}

#[test]
fn zeros_longer_than_a_digest_is_fed_at_once_count_in_full() {
    let parts = [(Texture::Text, 4608), (Texture::Zero, 40 << 20), (Texture::Noise, 999)];
    let model = Model::of(5, 512, &parts);
    let mut expected = Digest::new(Algorithm::Sha1);
    expected.update(&model.whole());
    let (_, found) = digest(Source::Disk(&model), &[Algorithm::Sha1], &job(2)).unwrap();
    assert_eq!(found, [(Algorithm::Sha1, expected.finish())]);
}

#[test]
fn the_crc_of_a_huge_disk_takes_no_time() {
    let model = Model::empty((64 << 40) + 5, 65536);
    let (size, digests) = digest(Source::Disk(&model), &[Algorithm::Crc32], &job(2)).unwrap();
    let mut expected = Digest::new(Algorithm::Crc32);
    expected.zeros(size);
    assert_eq!(digests, [(Algorithm::Crc32, expected.finish())]);
}

#[test]
fn an_empty_disk_of_64_tib_costs_a_ticket() {
    let size = 64 << 40;
    for plan in [flat(), Plan::Packed(plan(Toy::Table, 65536, Packing::Deflate))] {
        let model = Model::empty(size, 65536);
        let recorder = Recorder::new();
        let copied = copy(Source::Disk(&model), plan, &recorder, &scan(), &job(7)).unwrap();
        assert_eq!((copied.size, copied.copied, copied.zeros), (size, 0, size));
        assert!(model.extents_asked() <= 2, "{}", model.extents_asked());
        assert_eq!(model.bytes_read(), 0);
        assert!(recorder.counts().writes <= 4);
    }
}

/// A reader that gives what it has in odd pieces, and is interrupted now and then.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    random: Random,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.random.below(5) == 0 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let most = buf.len().min(self.bytes.len() - self.at);
        let len = if most == 0 { 0 } else { self.random.length(most as u64) as usize };
        buf[..len].copy_from_slice(&self.bytes[self.at..][..len]);
        self.at += len;
        Ok(len)
    }
}

fn piped(bytes: &[u8], size: Option<u64>) -> Source<'static> {
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, random: Random::new(1) };
    Source::Stream(Box::new(ReadStream::new("stdin", pieces, size)))
}

#[test]
fn a_pipe_is_read_to_its_end() {
    for size in [0, 1, 4095, 4096, 1 << 20, (3 << 20) + 17] {
        let model = Model::random(8, size, 512);
        let bytes = model.whole();
        for known in [None, Some(size)] {
            for threads in [1, 7] {
                let recorder = Recorder::new();
                let job = job(threads);
                let copied = copy(piped(&bytes, known), flat(), &recorder, &scan(), &job).unwrap();
                assert_eq!(copied.size, size);
                assert_eq!(copied.copied, non_zero(&model, 4096));
                assert!(recorder.recorded().to_vec() == bytes);
                assert_eq!(
                    (job.control.progress.total(), job.control.progress.passed()),
                    (known.unwrap_or(0), size)
                );
            }
        }
    }
}

#[test]
fn a_pipe_of_another_length_is_damaged() {
    let bytes = Model::random(8, (3 << 20) + 17, 512).whole();
    let size = bytes.len() as u64;
    for (said, word) in [(size + 1, "ends after"), (size - 1, "goes on"), (0, "goes on")] {
        let recorder = Recorder::new();
        let error =
            copy(piped(&bytes, Some(said)), flat(), &recorder, &scan(), &job(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(error.place().file.as_deref(), Some("stdin"));
        assert!(recorder.counts().finished.is_empty());
    }
}

/// A stream that goes on with other pieces after its model's end.
struct GoesOn<'a> {
    inner: ModelStream<'a>,
    then: Box<dyn FnMut() -> Result<Piece> + Send>,
}

impl Stream for GoesOn<'_> {
    fn name(&self) -> &str {
        "goes on"
    }
    fn size(&self) -> Option<u64> {
        None
    }
    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        match self.inner.next(buf)? {
            Piece::End => (self.then)(),
            piece => Ok(piece),
        }
    }
}

/// What a stream says, and the error that makes.
type StreamCase = (fn() -> Result<Piece>, ErrorKind);

#[test]
fn the_error_of_a_stream_comes_out() {
    let model = Model::random(8, (5 << 20) + 3, 512);
    let cases: [StreamCase; 3] = [
        (|| Err(Error::damaged("a word")), ErrorKind::Damaged),
        // Zeros without end are no reason to count past the last number there is.
        (|| Ok(Piece::Zero(u64::MAX - 100)), ErrorKind::Limit),
        (|| Ok(Piece::Zero(1 << 61)), ErrorKind::Limit),
    ];
    for (then, kind) in cases {
        for plan in [flat(), Plan::Packed(plan(Toy::Stream, 65536, Packing::None))] {
            let inner = model.stream(1, StreamSize::Unknown);
            let stream = Source::Stream(Box::new(GoesOn { inner, then: Box::new(then) }));
            let error = copy(stream, plan, &Discard, &scan(), &job(7)).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

/// A part of each kind, cut where no chunk ends.
fn split(lengths: [u64; 3]) -> Split {
    let plans =
        [flat(), Plan::Packed(plan(Toy::Table, 65536, Packing::Deflate)), flat()].into_iter();
    let parts = plans.zip(lengths).zip(1..).map(|((plan, length), number)| Part {
        suffix: format!("-{number}"),
        length,
        plan,
    });
    let descriptor = Box::new(|names: &[String]| Ok(names.join("\n").into_bytes()));
    Split { parts: parts.collect(), descriptor }
}

const NAMES: [&str; 3] = ["disk-1", "disk-2", "disk-3"];

#[test]
fn a_split_disk_is_its_parts_and_a_descriptor() {
    let model = Arc::new(Model::random(30, (9 << 20) + 77, 512));
    let lengths = [(2 << 20) + 512, 4 << 20, model.size() - (6 << 20) - 512];
    let expected = digest(Source::Disk(model.as_ref()), &Algorithm::ALL, &job(1)).unwrap().1;
    for threads in [1, 7] {
        for (zeros, digests) in [(Zeros::Scan, Algorithm::ALL.to_vec()), (Zeros::Trust, Vec::new())]
        {
            let files = [Recorder::new(), Recorder::new(), Recorder::new()];
            let outputs: Vec<_> =
                NAMES.into_iter().zip(files.iter().map(|file| file as &dyn Output)).collect();
            let target = Recorder::new();
            let outputs = Outputs::Split { parts: outputs, descriptor: &target };
            let source = Source::Disk(model.as_ref());
            let fingerprint = zeros == Zeros::Scan;
            let options = CopyOptions { zeros, digests, fingerprint };
            let job = job(threads);
            let copied =
                copy(source, Plan::Split(split(lengths)), outputs, &options, &job).unwrap();
            assert_eq!(target.recorded().to_vec(), NAMES.join("\n").into_bytes());
            let [first, second, third] = files.each_ref().map(Recorder::recorded);
            let disk = ToyDisk::open(second).unwrap();
            let mut packed = vec![0; disk.size() as usize];
            disk.cursor().unwrap().read(0, &mut packed).unwrap();
            let whole = [first.to_vec(), packed, third.to_vec()].concat();
            assert!(whole == model.whole());
            assert_eq!((copied.size, copied.copied + copied.zeros), (model.size(), model.size()));
            let lengths: u64 =
                files.iter().chain([&target]).map(|file| file.recorded().len()).sum();
            assert_eq!(copied.target_size, lengths);
            let wanted = if options.digests.is_empty() { &[][..] } else { &expected[..] };
            assert_eq!(copied.digests, wanted);
            assert_eq!(copied.fingerprint, fingerprint.then(|| Fingerprint::of(0, &model.whole())));
            assert_eq!(
                (job.control.progress.passed(), job.control.progress.total()),
                (model.size(), model.size())
            );
        }
    }
}

#[test]
fn a_split_plan_for_another_disk_is_misuse() {
    let model = Model::random(30, 1 << 20, 512);
    let source = model.plain();
    let files = [Recorder::new(), Recorder::new(), Recorder::new()];
    let outputs: Vec<_> =
        NAMES.into_iter().zip(files.iter().map(|file| file as &dyn Output)).collect();
    let target = Recorder::new();
    let lengths = [1 << 19, 1 << 18, 1 << 18];
    let other = [1 << 19, 1 << 19, 1 << 19];
    let flat = Plan::Flat(Flat::default());
    for (plan, parts) in [
        (Plan::Split(split(other)), &outputs[..]),
        (Plan::Split(split(lengths)), &outputs[..2]),
        (flat, &outputs[..]),
    ] {
        let outputs = Outputs::Split { parts: parts.to_vec(), descriptor: &target };
        let error = copy(Source::Disk(&source), plan, outputs, &scan(), &job(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
    }
    let plan = Plan::Split(split(lengths));
    let error = copy(Source::Disk(&model), plan, &target, &scan(), &job(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(target.log().is_empty() && files.iter().all(|file| file.log().is_empty()));
}

#[test]
fn progress_never_goes_back_and_ends_at_the_size() {
    let model = Model::random(8, 60 << 20, 4096);
    let job = job(3);
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let plan = Plan::Packed(plan(Toy::Stream, 65536, Packing::Deflate));
            copy(Source::Disk(&model), plan, &Discard, &scan(), &job).unwrap();
        });
        while !copying.is_finished() {
            seen.lock().unwrap().push(job.control.progress.passed());
            std::thread::yield_now();
        }
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted());
    assert_eq!(
        (job.control.progress.passed(), job.control.progress.total()),
        (model.size(), model.size())
    );
}
