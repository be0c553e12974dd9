//! qcow2's tables: walked, and made.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diskferry_block_stream::{
    Bytes, Chunk, Disk, Form, Layout, Limits, Packed, Plan, Result, Sink,
};
use diskferry_qcow2::{Options, Qcow2, plan};

criterion_group!(benches, extents, opening, placing);
criterion_main!(benches);

const CLUSTER: u64 = 64 << 10;

/// Clusters of a disk of 4 GiB: eight L2 tables.
const CLUSTERS: u64 = (4 << 30) / CLUSTER;

/// How a disk's clusters are stored.
#[derive(Clone, Copy)]
enum Pattern {
    /// One after the other.
    Whole,
    /// Each is followed by one that is not stored.
    Alternating,
    /// Packed to about half.
    Packed,
}

/// All extents of a disk: what an L2 entry costs to read.
fn extents(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extents, per L2 entry");
    group.sample_size(20).throughput(Throughput::Elements(CLUSTERS));
    for (name, pattern) in [
        ("stored one after the other", Pattern::Whole),
        ("every other one stored", Pattern::Alternating),
        ("compressed", Pattern::Packed),
    ] {
        let file: Arc<dyn Bytes> = Arc::new(image(pattern));
        let disk = Qcow2::open(file, &Limits::default()).expect("a good image");
        group.bench_function(name, |bencher| bencher.iter(|| walk(&disk)));
    }
}

/// An empty disk of 64 TiB: an L1 table of 1 MiB.
fn opening(criterion: &mut Criterion) {
    let mut file = Tables::default();
    let mut layout = layout();
    layout.zeros((64 << 40) / CLUSTER, &mut file).expect("zeros take no place");
    file.len = layout.finish(64 << 40, &mut file).expect("64 TiB fit");
    let file: Arc<dyn Bytes> = Arc::new(file);
    let open = || Qcow2::open(Arc::clone(&file), &Limits::default()).expect("a good image");
    criterion.bench_function("64 TiB of nothing, opened", |bencher| bencher.iter(open));
    let disk = open();
    criterion.bench_function("64 TiB of nothing, extents", |bencher| bencher.iter(|| walk(&disk)));
}

/// The layout alone: what it costs to place a cluster.
fn placing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placing, per cluster");
    group.sample_size(20).throughput(Throughput::Elements(CLUSTERS));
    for (name, pattern) in [
        ("stored", Pattern::Whole),
        ("stored and zeros in turns", Pattern::Alternating),
        ("compressed", Pattern::Packed),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| place(pattern, &mut Nowhere)));
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("64 TiB of zeros", |bencher| {
        bencher.iter(|| layout().zeros(black_box((64 << 40) / CLUSTER), &mut Nowhere));
    });
}

fn walk(disk: &Qcow2) -> u64 {
    let mut cursor = disk.cursor().expect("a cursor");
    let (mut at, mut extents) = (0, 0);
    while at < disk.size() {
        at += black_box(cursor.extent(at, disk.size() - at).expect("a good image")).length;
        extents += 1;
    }
    extents
}

fn layout() -> Box<dyn Layout> {
    match plan(None, &Options::default()).expect("the default options") {
        Plan::Packed(Packed { layout, .. }) => layout,
        _ => unreachable!("qcow2 is packed"),
    }
}

/// Lays out a disk; returns the length of its file.
fn place(pattern: Pattern, sink: &mut dyn Sink) -> u64 {
    let mut layout = layout();
    let stored = Chunk { form: Form::Stored, length: CLUSTER as usize, zero_parts: 0 };
    let mut step = |n: u64| match pattern {
        Pattern::Alternating if n % 2 == 1 => layout.zeros(1, sink),
        Pattern::Whole | Pattern::Alternating => layout.chunk(stored, sink).map(drop),
        Pattern::Packed => {
            let length = 20_000 + (n * 7919 % 24_000) as usize;
            layout.chunk(Chunk { form: Form::Packed, length, ..stored }, sink).map(drop)
        }
    };
    for n in 0..CLUSTERS {
        step(n).expect("there is room");
    }
    layout.finish(CLUSTERS * CLUSTER, sink).expect("there is room")
}

/// An image without its data.
fn image(pattern: Pattern) -> Tables {
    let mut tables = Tables::default();
    tables.len = place(pattern, &mut tables);
    tables
}

/// A file that keeps what a layout puts there; all else is zeros.
#[derive(Default)]
struct Tables {
    puts: BTreeMap<u64, Vec<u8>>,
    len: u64,
}

impl Sink for Tables {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.puts.insert(at, bytes.to_vec());
        Ok(())
    }

    fn zeros(&mut self, _at: u64, _len: u64) -> Result<()> {
        Ok(())
    }
}

impl Bytes for Tables {
    fn name(&self) -> &str {
        "tables"
    }

    fn len(&self) -> u64 {
        self.len
    }

    /// Tables are read by themselves, so one put at most has a part in it.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0);
        if let Some((start, bytes)) = self.puts.range(..=at).next_back() {
            let bytes = bytes.get((at - start) as usize..).unwrap_or_default();
            let len = bytes.len().min(buf.len());
            buf[..len].copy_from_slice(&bytes[..len]);
        }
        Ok(())
    }
}

/// Takes everything, keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _at: u64, bytes: &[u8]) -> Result<()> {
        black_box(bytes);
        Ok(())
    }

    fn zeros(&mut self, _at: u64, _len: u64) -> Result<()> {
        Ok(())
    }
}
