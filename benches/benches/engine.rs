//! The engine's own cost: a source that costs nothing, copied to nowhere.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Flat, Kind, Plan, Result, Writing as _};
use diskferry_engine::{CopyOptions, Job, Source, Zeros, copy};
use diskferry_testkit::Discard;

criterion_group!(benches, tickets, chunks, fragments, holes);
criterion_main!(benches);

/// One extent: what a ticket of 1 MiB costs.
fn tickets(criterion: &mut Criterion) {
    let disk = Null::of(8 << 30, u64::MAX, 0);
    for threads in [1, 2] {
        let name = format!("flat, one extent, {threads} threads");
        bench(criterion, "per ticket of 1 MiB", &name, &disk, threads, 8 << 10, flat);
    }
}

/// One extent in qcow2's clusters: what a chunk costs, with its place in the file.
fn chunks(criterion: &mut Criterion) {
    for (cluster, size) in [("64K", 8_u64 << 30), ("4K", 1 << 30)] {
        let disk = Null::of(size, u64::MAX, 0);
        let chunks = size / diskferry_block_stream::parse_size(cluster).expect("a size");
        for threads in [1, 2] {
            let name = format!("qcow2, clusters of {cluster}, {threads} threads");
            bench(criterion, "per chunk", &name, &disk, threads, chunks, || qcow2(size, cluster));
        }
    }
}

/// Data and nothing in turns of 4 KiB, and of a cluster: what an extent costs.
fn fragments(criterion: &mut Criterion) {
    let size = 1 << 30;
    for (grain, name) in [(4 << 10, "4 KiB"), (64 << 10, "64 KiB")] {
        let disk = Null::of(size, grain, grain);
        let extents = size / grain;
        let group = "per extent";
        bench(criterion, group, &format!("flat, of {name}"), &disk, 1, extents, flat);
        let plan = || qcow2(size, "64K");
        bench(criterion, group, &format!("qcow2, of {name}"), &disk, 1, extents, plan);
    }
}

/// A disk that holds nothing: it should cost nothing, whatever its size.
fn holes(criterion: &mut Criterion) {
    let size = 64 << 40;
    let disk = Null::of(size, 0, u64::MAX);
    bench(criterion, "64 TiB of nothing", "flat", &disk, 1, 1, flat);
    bench(criterion, "64 TiB of nothing", "qcow2", &disk, 1, 1, || qcow2(size, "64K"));
}

fn flat() -> Plan {
    Plan::Flat(Flat::default())
}

fn qcow2(size: u64, cluster: &str) -> Plan {
    let mut options = diskferry_qcow2::Options::default();
    options.set("cluster_size", cluster).expect("a cluster size");
    diskferry_qcow2::plan(Some(size), &options).expect("options that go together")
}

fn bench(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    disk: &Null,
    threads: usize,
    elements: u64,
    plan: impl Fn() -> Plan,
) {
    let job = Job::new(threads).expect("threads");
    // Looking for zeros is the zero scan's own benchmark.
    let options = CopyOptions { zeros: Zeros::Trust, ..CopyOptions::default() };
    let mut group = criterion.benchmark_group(group);
    group.sample_size(20).throughput(Throughput::Elements(elements));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            copy(Source::Disk(disk), plan(), &Discard, &options, &job).expect("nothing can fail")
        });
    });
}

/// A disk of data and gaps in turns, whose reads do nothing.
struct Null {
    size: u64,
    data: u64,
    gap: u64,
}

impl Null {
    fn of(size: u64, data: u64, gap: u64) -> Self {
        Self { size, data: data.min(size), gap: gap.min(size) }
    }
}

impl Disk for Null {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        4096
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(NullCursor(self)))
    }
}

struct NullCursor<'a>(&'a Null);

impl Cursor for NullCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let Null { data, gap, .. } = *self.0;
        let within = at % (data + gap);
        let (left, kind) = if within < data {
            (data - within, Kind::Data { compressed: false })
        } else {
            (data + gap - within, Kind::Absent)
        };
        Ok(Extent { length: left.min(limit), kind })
    }

    fn read(&mut self, _at: u64, _buf: &mut [u8]) -> Result<()> {
        Ok(())
    }
}
