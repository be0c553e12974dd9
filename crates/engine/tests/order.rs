//! Disks that are best read in an order: front to back by one cursor, or by whole grains.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use diskferry_block_stream::{
    Bytes, Cursor, Disk, Extent, Flat, Order, Part, Plan, Preallocation, Result, Split,
};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{
    Chain, CopyOptions, Difference, Job, Output, Outputs, Pad, Slice, Source, Zeros, compare, copy,
    digest,
};
use diskferry_testkit::{Model, Recorder};

/// A model that is best read in an order, and keeps a record of how it is read.
struct Ordered {
    model: Model,
    order: Order,
    grain: u64,
    reads: Arc<Reads>,
}

#[derive(Default)]
struct Reads {
    /// Cursors that were made, which number them.
    made: AtomicU64,
    /// Each read: whose, from where, how many bytes.
    log: Mutex<Vec<(u64, u64, u64)>>,
}

impl Ordered {
    fn new(order: Order) -> Self {
        let grain = 2 << 20;
        Self {
            model: Model::random(7, (40 << 20) + 5000, 4096),
            order,
            grain,
            reads: Arc::default(),
        }
    }

    /// The reads so far, which are forgotten.
    fn take(reads: &Reads) -> Vec<(u64, u64, u64)> {
        std::mem::take(&mut reads.log.lock().unwrap())
    }
}

/// One cursor read everything, and never went back.
fn check_forward(what: &str, reads: &Reads) {
    let log = Ordered::take(reads);
    assert!(!log.is_empty(), "{what}");
    let mut end = 0;
    for (cursor, at, length) in &log {
        assert_eq!(*cursor, log[0].0, "{what}: another cursor at {at:#x}");
        assert!(*at >= end, "{what}: back from {end:#x} to {at:#x}");
        end = at + length;
    }
}

impl Disk for Ordered {
    fn size(&self) -> u64 {
        self.model.size()
    }

    fn grain(&self) -> u64 {
        self.grain
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.model.files()
    }

    fn order(&self) -> Order {
        self.order
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        let number = self.reads.made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(OrderedCursor { inner: self.model.cursor()?, number, reads: &self.reads }))
    }
}

struct OrderedCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    number: u64,
    reads: &'a Reads,
}

impl Cursor for OrderedCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.inner.extent(at, limit)
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.reads.log.lock().unwrap().push((self.number, at, buf.len() as u64));
        self.inner.read(at, buf)
    }
}

fn job(threads: usize) -> Job {
    Job::new(threads).unwrap()
}

fn flat() -> Plan {
    Plan::Flat(Flat { preallocation: Preallocation::Off, ..Flat::default() })
}

fn written(disk: &dyn Disk, zeros: Zeros, threads: usize) -> Vec<u8> {
    let recorder = Recorder::new();
    let options = CopyOptions { zeros, digests: vec![Algorithm::Sha1], fingerprint: true };
    copy(Source::Disk(disk), flat(), &recorder, &options, &job(threads)).unwrap();
    assert_eq!(recorder.problems(), [""; 0]);
    recorder.recorded().to_vec()
}

#[test]
fn a_disk_of_forward_order_is_read_front_to_back_by_one_cursor() {
    let disk = Ordered::new(Order::Forward);
    let reads = Arc::clone(&disk.reads);
    let whole = disk.model.whole();
    for threads in [1, 2, 7] {
        for zeros in [Zeros::Scan, Zeros::Trust] {
            assert!(written(&disk, zeros, threads) == whole, "{threads} threads");
            check_forward("copied", &reads);
        }
        let (size, forward) =
            digest(Source::Disk(&disk), &[Algorithm::Sha256], &job(threads)).unwrap();
        check_forward("digested", &reads);
        assert_eq!(size, whole.len() as u64);
        let any = digest(Source::Disk(&disk.model), &[Algorithm::Sha256], &job(threads)).unwrap();
        assert_eq!(forward, any.1);
    }
}

#[test]
fn a_split_target_does_not_make_it_begin_anew() {
    let disk = Ordered::new(Order::Forward);
    let (reads, whole) = (Arc::clone(&disk.reads), disk.model.whole());
    let (size, step) = (disk.size(), (7 << 20) + 4096);
    let lengths: Vec<u64> =
        (0..size).step_by(step).map(|at| (size - at).min(step as u64)).collect();
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let recorders: Vec<Recorder> = lengths.iter().map(|_| Recorder::new()).collect();
    let outputs: Vec<(&str, &dyn Output)> =
        recorders.iter().map(|recorder| ("part", recorder as &dyn Output)).collect();
    let parts =
        lengths.iter().map(|length| Part { suffix: String::new(), length: *length, plan: flat() });
    let split = Split { parts: parts.collect(), descriptor: Box::new(|_| Ok(Vec::new())) };
    let options = CopyOptions { digests: vec![Algorithm::Sha256], ..CopyOptions::default() };
    let descriptor = Recorder::new();
    let outputs = Outputs::Split { parts: outputs, descriptor: &descriptor };
    let source = Source::Disk(disk.as_ref());
    let copied = copy(source, Plan::Split(split), outputs, &options, &job(3)).unwrap();
    check_forward("split", &reads);
    let written: Vec<u8> =
        recorders.iter().flat_map(|recorder| recorder.recorded().to_vec()).collect();
    assert!(written == whole);
    let known = digest(Source::Disk(disk.as_ref()), &[Algorithm::Sha256], &job(1)).unwrap();
    assert_eq!(copied.digests, known.1);
}

#[test]
fn a_comparison_reads_each_side_in_its_order() {
    let whole = Ordered::new(Order::Any).model.whole();
    for (a, b) in [
        (Order::Forward, Order::Any),
        (Order::Any, Order::Forward),
        (Order::Forward, Order::Forward),
        (Order::Grains, Order::Forward),
        (Order::Grains, Order::Grains),
    ] {
        for threads in [1, 2, 7] {
            let sides = [a, b].map(|order| Arc::new(Ordered::new(order)));
            let disks = sides.clone().map(|side| side as Arc<dyn Disk>);
            let found = compare(&disks[0], &disks[1], &job(threads)).unwrap();
            assert_eq!(found, None, "{a:?}, {b:?}, {threads} threads");
            for side in &sides {
                if side.order == Order::Forward {
                    check_forward("compared", &side.reads);
                }
            }
            let last = whole.iter().rposition(|byte| *byte != 0).unwrap();
            let mut other = whole.clone();
            other[last] ^= 1;
            let other: Arc<dyn Disk> = Arc::new(Bare(other));
            for (left, right) in [(&disks[0], &other), (&other, &disks[1])] {
                let found = compare(left, right, &job(threads)).unwrap();
                assert_eq!(found, Some(Difference::Content(last as u64)), "{a:?}, {b:?}");
            }
        }
    }
}

/// Bytes as a disk without holes.
struct Bare(Vec<u8>);

impl Disk for Bare {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn grain(&self) -> u64 {
        1
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(BareCursor(&self.0)))
    }
}

struct BareCursor<'a>(&'a [u8]);

impl Cursor for BareCursor<'_> {
    fn extent(&mut self, _at: u64, limit: u64) -> Result<Extent> {
        let kind = diskferry_block_stream::Kind::Data { compressed: false };
        Ok(Extent { length: limit, kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        buf.copy_from_slice(&self.0[at as usize..][..buf.len()]);
        Ok(())
    }
}

#[test]
fn a_disk_that_is_read_by_grains_has_no_grain_read_in_two_parts() {
    // Whole grains of data and of nothing.
    let mut disk = Ordered::new(Order::Grains);
    let grain = disk.grain;
    let textures = [diskferry_testkit::Texture::Noise, diskferry_testkit::Texture::Absent];
    let parts: Vec<_> = (0..20).map(|n| (textures[usize::from(n % 3 == 2)], grain)).collect();
    disk.model = Model::of(1, 4096, &parts);
    let reads = Arc::clone(&disk.reads);
    let whole = disk.model.whole();
    for threads in [1, 3] {
        assert!(written(&disk, Zeros::Scan, threads) == whole);
        for (_, at, length) in Ordered::take(&reads) {
            assert!(
                at.is_multiple_of(grain) && length.is_multiple_of(grain),
                "{length} at {at:#x}"
            );
        }
    }
}

#[test]
fn what_is_made_of_disks_has_the_order_of_the_most_demanding() {
    let of = |order| Arc::new(Ordered::new(order)) as Arc<dyn Disk>;
    for order in [Order::Any, Order::Grains, Order::Forward] {
        assert_eq!(Pad::new(of(order), 1 << 30).unwrap().order(), order);
        assert_eq!(Slice::new(of(order), 512, 4096).unwrap().order(), order);
        assert_eq!(Chain::new(of(order), of(Order::Any)).order(), order);
        assert_eq!(Chain::new(of(Order::Any), of(order)).order(), order);
    }
    assert_eq!(Chain::new(of(Order::Grains), of(Order::Forward)).order(), Order::Forward);
}
