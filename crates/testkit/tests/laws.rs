//! The laws let an honest format through, and catch each way of being another.
#![allow(clippy::unwrap_used)]

use std::iter;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Chunk, Cursor, Disk, Extent, Flat, Form, Kind, Layout, Packed, Packer, Plan, Result,
    Sink,
};
use diskferry_engine::{CopyOptions, Job, Source, copy};
use diskferry_testkit::toy::{Packing, Toy, ToyDisk, plan};
use diskferry_testkit::{Model, Recorder, Texture, laws};

fn open(bytes: Arc<dyn Bytes>) -> Result<Arc<dyn Disk>> {
    Ok(Arc::new(ToyDisk::open(bytes)?))
}

const TOYS: [(Toy, Packing); 4] = [
    (Toy::Stream, Packing::Deflate),
    (Toy::Stream, Packing::None),
    (Toy::Table, Packing::Deflate),
    (Toy::Table, Packing::None),
];

#[test]
fn toys_are_written_by_the_law() {
    for (toy, packing) in TOYS {
        for model in Model::gallery(4096) {
            laws::writing(|| Plan::Packed(plan(toy, 4096, packing)), open, &model);
        }
    }
}

#[test]
fn toys_with_chunks_larger_than_a_run_are_written_by_the_law() {
    for (toy, packing) in TOYS {
        for model in [
            Model::random(1, (9 << 20) + 511, 65536),
            Model::fragmented(2, (5 << 20) - 1, 4096),
            Model::random(3, 2 << 20, 512),
        ] {
            laws::writing(|| Plan::Packed(plan(toy, 2 << 20, packing)), open, &model);
        }
    }
}

#[test]
fn toys_fail_by_the_law() {
    for (toy, packing) in TOYS {
        let model = Model::random(4, (3 << 20) + 77, 4096);
        laws::faults(|| Plan::Packed(plan(toy, 65536, packing)), open, &model);
    }
}

#[test]
fn cut_toys_are_damaged_by_the_law() {
    for (toy, packing) in TOYS {
        let model = Model::random(5, 1 << 20, 4096);
        let file = written(plan(toy, 4096, packing), &model);
        laws::truncation(&file, open, &model);
    }
}

#[test]
fn a_huge_toy_is_written_by_the_law() {
    for (toy, packing) in TOYS {
        let model = Model::sparse(6, 64 << 40, 65536);
        laws::writing(|| Plan::Packed(plan(toy, 65536, packing)), open, &model);
    }
}

/// The disk's bytes after `base` others, with a tail.
struct FlatDisk {
    size: u64,
    files: [Arc<dyn Bytes>; 1],
    base: u64,
}

impl Disk for FlatDisk {
    fn size(&self) -> u64 {
        self.size
    }
    fn grain(&self) -> u64 {
        1
    }
    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(FlatCursor(self)))
    }
}

struct FlatCursor<'a>(&'a FlatDisk);

impl Cursor for FlatCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let run = self.0.files[0].run(self.0.base + at, limit)?;
        let offset = self.0.base + at;
        let kind = if run.hole { Kind::Zero } else { Kind::Plain { file: 0, offset } };
        Ok(Extent { length: run.length, kind })
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.0.files[0].read_at(self.0.base + at, buf)
    }
}

fn flat(head: usize, base: u64, tail: usize) -> Plan {
    Plan::Flat(Flat { head: vec![7; head], base, tail: vec![8; tail], ..Flat::default() })
}

fn open_flat(base: u64, tail: u64) -> impl Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>> {
    move |bytes| {
        let size = bytes.len() - base - tail;
        let mut head = vec![0; base.min(3) as usize];
        bytes.read_at(0, &mut head)?;
        assert!(head.iter().all(|byte| *byte == 7));
        Ok(Arc::new(FlatDisk { size, files: [bytes], base }))
    }
}

#[test]
fn flat_plans_are_written_by_the_law() {
    for model in Model::gallery(65536) {
        laws::writing(|| flat(0, 0, 0), open_flat(0, 0), &model);
    }
    for model in Model::gallery(4096) {
        laws::writing(|| flat(700, 1000, 512), open_flat(1000, 512), &model);
    }
    laws::writing(|| flat(4096, 4096, 0), open_flat(4096, 0), &Model::sparse(9, 5 << 30, 512));
}

#[test]
fn flat_plans_fail_by_the_law() {
    let model = Model::random(4, (3 << 20) + 77, 4096);
    laws::faults(|| flat(700, 4096, 512), open_flat(4096, 512), &model);
}

fn written(packed: Packed, model: &Model) -> Arc<dyn Bytes> {
    let recorder = Recorder::new();
    let job = Job::new(1).unwrap();
    copy(Source::Disk(model), Plan::Packed(packed), &recorder, &CopyOptions::default(), &job)
        .unwrap();
    recorder.recorded()
}

// What follows breaks something, and looks for the law that says so.

fn complaint(law: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(law)) else { return "nothing".into() };
    match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => panic.downcast_ref::<&str>().map_or("?".into(), |said| (*said).into()),
    }
}

#[track_caller]
fn assert_caught(expected: &str, law: impl FnOnce()) {
    let said = complaint(law);
    assert!(said.contains(expected), "expected '{expected}' in '{said}'");
}

/// A toy with something else done to its layout's answers.
struct Twisted {
    inner: Box<dyn Layout>,
    twist: Twist,
    chunks: u64,
    zeros: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Twist {
    Overlap,
    Back,
    BackTooFar,
    PastTheEnd,
    CountsZeroCalls,
}

fn twisted(twist: Twist, toy: Toy, packing: Packing) -> Plan {
    let packed = plan(toy, 65536, packing);
    let layout = Box::new(Twisted { inner: packed.layout, twist, chunks: 0, zeros: 0 });
    Plan::Packed(Packed { layout, ..packed })
}

impl Layout for Twisted {
    fn owes(&self) -> Vec<Range<u64>> {
        match self.twist {
            Twist::Back => Vec::new(),
            // Anything, so that this is not what is wrong with it.
            Twist::Overlap => iter::once(0..u64::MAX).collect(),
            // The head, and not the gap behind it.
            Twist::BackTooFar => iter::once(0..40).collect(),
            _ => self.inner.owes(),
        }
    }

    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        self.zeros += 1;
        self.inner.zeros(chunks, sink)
    }
    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.chunks += 1;
        let at = self.inner.chunk(chunk, sink)?;
        Ok(if self.twist == Twist::Overlap && self.chunks == 5 { at - 1 } else { at })
    }
    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        let len = self.inner.finish(size, sink)?;
        match self.twist {
            Twist::Overlap => Ok(len),
            Twist::Back | Twist::BackTooFar => {
                // Bytes that nobody reads, in the gap behind the head.
                sink.put(50, b"here")?;
                Ok(len)
            }
            Twist::PastTheEnd => Ok(len - 1),
            Twist::CountsZeroCalls => {
                sink.put(len, &self.zeros.to_le_bytes())?;
                Ok(len + 8)
            }
        }
    }
}

fn model() -> Model {
    Model::random(7, (12 << 20) + 5, 65536)
}

#[test]
fn an_overlap_is_caught() {
    assert_caught("overlaps what was written", || {
        let model = Model::full(7, 1 << 20, 65536, Texture::Noise);
        laws::writing(|| twisted(Twist::Overlap, Toy::Table, Packing::None), open, &model);
    });
}

#[test]
fn going_back_to_what_was_not_owed_is_caught() {
    // The table toy writes its head last, which no stream may do.
    for twist in [Twist::Back, Twist::BackTooFar] {
        assert_caught("goes back", || {
            laws::writing(|| twisted(twist, Toy::Table, Packing::None), open, &model());
        });
    }
}

#[test]
fn bytes_past_the_end_are_caught() {
    assert_caught("finished with", || {
        laws::writing(|| twisted(Twist::PastTheEnd, Toy::Table, Packing::None), open, &model());
    });
}

#[test]
fn bytes_that_depend_on_how_zeros_are_announced_are_caught() {
    assert_caught("other bytes", || {
        let plan = || twisted(Twist::CountsZeroCalls, Toy::Table, Packing::None);
        laws::writing(plan, open, &Model::random(8, 20 << 20, 1 << 20));
    });
}

#[test]
fn a_packer_with_a_memory_is_caught() {
    struct Remembers(u64);
    impl Packer for Remembers {
        fn pack(&mut self, at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
            let mut bytes = data.to_vec();
            bytes[0] ^= self.0 as u8;
            self.0 = at / 65536 % 255 + 1;
            let mut deflater = diskferry_codec::Deflater::new(1, 12).unwrap();
            let packed = deflater.compress(&bytes, out, data.len() - 1).unwrap();
            Ok(if packed { Form::Packed } else { Form::Stored })
        }
    }
    struct NotRead(u64);
    impl Disk for NotRead {
        fn size(&self) -> u64 {
            self.0
        }
        fn grain(&self) -> u64 {
            1
        }
        fn files(&self) -> &[Arc<dyn Bytes>] {
            &[]
        }
        fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
            Ok(Box::new(ModelAgain(model())))
        }
    }
    struct ModelAgain(Model);
    impl Cursor for ModelAgain {
        fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
            self.0.cursor()?.extent(at, limit)
        }
        fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
            self.0.cursor()?.read(at, buf)
        }
    }
    assert_caught("other bytes", || {
        let plan = || {
            let packer: Box<dyn Fn() -> Result<Box<dyn Packer>> + Send + Sync> =
                Box::new(|| Ok(Box::new(Remembers(0))));
            let packed = plan(Toy::Table, 65536, Packing::None);
            Plan::Packed(Packed { packer: Some(packer), ..packed })
        };
        let size = model().size();
        laws::writing(plan, |_| Ok(Arc::new(NotRead(size))), &model());
    });
}

/// A model whose cursor tells something else.
struct Lying {
    model: Model,
    lie: Lie,
}

#[derive(Clone, Copy, PartialEq)]
enum Lie {
    Longer,
    Empty,
    AllZero,
    Elsewhere,
    LimitMatters,
    AlignedOnly,
    Sticky,
}

impl Disk for Lying {
    fn size(&self) -> u64 {
        self.model.size()
    }
    fn grain(&self) -> u64 {
        self.model.grain()
    }
    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.model.files()
    }
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(LyingCursor { inner: self.model.cursor()?, lie: self.lie, first: None }))
    }
}

struct LyingCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    lie: Lie,
    first: Option<u64>,
}

impl Cursor for LyingCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let Extent { length, kind } = self.inner.extent(at, limit)?;
        Ok(match (self.lie, kind) {
            (Lie::Longer, _) if limit < 10 => Extent { length: limit + 1, kind },
            (Lie::Empty, _) if at > 1 << 20 => Extent { length: 0, kind },
            (Lie::AllZero, Kind::Plain { .. }) => Extent { length, kind: Kind::Zero },
            (Lie::Elsewhere, Kind::Plain { file, offset }) if at > 1 << 20 => {
                Extent { length, kind: Kind::Plain { file, offset: offset + 1 } }
            }
            (Lie::LimitMatters, Kind::Absent) if limit < 4096 => {
                Extent { length, kind: Kind::Zero }
            }
            _ => Extent { length, kind },
        })
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let first = *self.first.get_or_insert(at);
        self.inner.read(at, buf)?;
        let wrong = match self.lie {
            Lie::AlignedOnly => !at.is_multiple_of(4096) && at > 1 << 20,
            // Right only at the first place it is used.
            Lie::Sticky => at > 4 << 20 && first < 4096,
            _ => false,
        };
        if wrong {
            buf[0] ^= 1;
        }
        Ok(())
    }
}

#[test]
fn disks_that_lie_are_caught() {
    for (lie, expected) in [
        (Lie::Longer, "it has 2 bytes"),
        (Lie::Empty, "it has 0 bytes"),
        (Lie::AllZero, "is not zero"),
        (Lie::Elsewhere, "the bytes at"),
        (Lie::LimitMatters, "but without a limit"),
        (Lie::AlignedOnly, "reading"),
        (Lie::Sticky, "reading"),
    ] {
        let model = model();
        let lying = Lying { model: model.plain(), lie };
        assert_caught(expected, || laws::reading(&lying, &model));
    }
}

#[test]
fn a_disk_of_another_size_is_caught() {
    let model = Model::full(1, 1 << 20, 512, Texture::Text);
    let other = Model::full(1, (1 << 20) + 1, 512, Texture::Text);
    assert_caught("the size", || laws::reading(&other, &model));
}

#[test]
fn swallowed_errors_are_caught() {
    /// Takes what it cannot read for zeros.
    struct Swallows(Arc<dyn Bytes>);
    impl Bytes for Swallows {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn len(&self) -> u64 {
            self.0.len()
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
            if self.0.read_at(at, buf).is_err() {
                buf.fill(0);
            }
            Ok(())
        }
    }
    let model = Model::full(2, 1 << 20, 512, Texture::StoredZeros);
    assert_caught("nobody noticed", || {
        let open = |bytes: Arc<dyn Bytes>| open_flat(0, 0)(Arc::new(Swallows(bytes)));
        laws::faults(|| flat(0, 0, 0), open, &model);
    });
    let model = Model::full(2, 1 << 20, 512, Texture::Noise);
    assert_caught("are others", || {
        let file = written(plan(Toy::Stream, 65536, Packing::None), &model);
        let size = model.size();
        let open = move |bytes: Arc<dyn Bytes>| -> Result<Arc<dyn Disk>> {
            Ok(Arc::new(FlatDisk { size, files: [Arc::new(Swallows(bytes))], base: 0 }))
        };
        laws::truncation(&file, open, &model);
    });
}
