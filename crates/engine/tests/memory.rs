//! Memory is bounded by the permits, not by the disk.
//!
//! A test binary of its own, with one test: the allocator counts for the whole process.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cap::Cap;
use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Flat, Plan, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{CopyOptions, Job, Output, Source, compare, copy, digest};
use diskferry_testkit::toy::{Packing, Toy, plan};
use diskferry_testkit::{Model, StreamSize, Texture};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The most memory seen in use at any read of the source and any write to the target: a job holds
/// most of its memory then.
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn look() {
    PEAK.fetch_max(ALLOCATOR.allocated(), Ordering::Relaxed);
}

/// Runs `work` and checks its peak above what was in use before.
fn bounded(what: &str, threads: usize, memory: u64, work: impl FnOnce(&Job)) {
    let mut job = Job::new(threads).unwrap();
    job.memory = memory;
    PEAK.store(0, Ordering::Relaxed);
    let before = ALLOCATOR.allocated();
    work(&job);
    let used = PEAK.load(Ordering::Relaxed).saturating_sub(before) as u64;
    let bound = memory + threads as u64 * PER_THREAD;
    assert!(used <= bound, "{what}, {threads} threads, {memory} bytes allowed: {used} used");
    assert!(ALLOCATOR.allocated() < before + (1 << 20), "{what}: memory is kept");
}

/// For a codec's state and the lists of a ticket's parts.
const PER_THREAD: u64 = 1 << 20;

/// The least is enough for one permit of any plan here.
const MEMORIES: [u64; 2] = [5 << 20, 40 << 20];

/// Looks at the memory in use whenever it is used itself.
struct Watched<T>(T);

impl Disk for Watched<Arc<Model>> {
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
        Ok(Box::new(Watched(self.0.cursor()?)))
    }
}

impl<'a> Cursor for Watched<Box<dyn Cursor + 'a>> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.0.extent(at, limit)
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        look();
        self.0.read(at, buf)
    }
}

impl Output for Watched<()> {
    fn name(&self) -> &str {
        "nowhere"
    }
    fn starts_zero(&self) -> bool {
        true
    }
    fn write_at(&self, _at: u64, _bytes: &[u8]) -> Result<()> {
        look();
        Ok(())
    }
    fn zero(&self, _at: u64, _len: u64) -> Result<()> {
        Ok(())
    }
    fn finish(&self, _len: u64, _job: &Job) -> Result<()> {
        look();
        Ok(())
    }
}

#[test]
fn memory_stays_within_the_permits() {
    let models = [
        ("empty", Model::empty(64 << 40, 65536)),
        ("sparse", Model::sparse(1, 64 << 40, 65536)),
        ("noise", Model::full(2, 50 << 20, 65536, Texture::Noise)),
        ("text", Model::full(3, 50 << 20, 512, Texture::Text)),
        ("fragmented", Model::fragmented(4, 20 << 20, 512)),
    ];
    for (name, model) in models {
        let model = Arc::new(model);
        for threads in [1, 2, 7] {
            for memory in MEMORIES {
                copies(name, &model, threads, memory);
                looks(name, &model, threads, memory);
            }
        }
    }
}

/// A name, and what makes a plan.
type Case = (&'static str, fn() -> Plan);

fn copies(name: &str, model: &Arc<Model>, threads: usize, memory: u64) {
    let plans: [Case; 4] = [
        ("flat", || Plan::Flat(Flat::default())),
        ("deflate", || Plan::Packed(plan(Toy::Stream, 65536, Packing::Deflate))),
        ("small chunks", || Plan::Packed(plan(Toy::Stream, 512, Packing::None))),
        ("large chunks", || Plan::Packed(plan(Toy::Stream, 2 << 20, Packing::Deflate))),
    ];
    for (kind, plan) in plans {
        for stream in [false, true] {
            let what = format!("{name} to {kind}, from a stream: {stream}");
            bounded(&what, threads, memory, |job| {
                let disk = Watched(Arc::clone(model));
                let source = if stream {
                    Source::Stream(Box::new(model.stream(1, StreamSize::Unknown)))
                } else {
                    Source::Disk(&disk)
                };
                copy(source, plan(), &Watched(()), &CopyOptions::default(), job).unwrap();
            });
        }
    }
}

fn looks(name: &str, model: &Arc<Model>, threads: usize, memory: u64) {
    let disk = || -> Arc<dyn Disk> { Arc::new(Watched(Arc::clone(model))) };
    bounded(&format!("digest of {name}"), threads, memory, |job| {
        digest(Source::Disk(disk().as_ref()), &[Algorithm::Crc32], job).unwrap();
    });
    bounded(&format!("comparison of {name}"), threads, memory, |job| {
        assert_eq!(compare(&disk(), &disk(), job).unwrap(), None);
    });
}
