//! ZVHD and ZVHD2: a disk written, and read back, on one thread and on two; and blocks that depend on one another.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diskferry_benches::units;
use diskferry_block_stream::{
    Budget, Bytes, Cursor, Disk, Extent, Flat, Kind, Plan, Result, Stamp, Writing as _,
};
use diskferry_codec::{HISTORY, OpenDeflater, OpenInflater};
use diskferry_engine::{CopyOptions, Job, Source, copy};
use diskferry_testkit::{Discard, Recorder};
use diskferry_zvhd::zvhd::{self, Zvhd};
use diskferry_zvhd::zvhd2::{self, Zvhd2};

criterion_group!(benches, writing, reading, blocks);
criterion_main!(benches);

const BLOCK: usize = 2 << 20;

/// Bytes of the disk: as many blocks as give two threads something to share.
const SIZE: usize = 32 * BLOCK;

const THREADS: [usize; 2] = [1, 2];

fn writing(criterion: &mut Criterion) {
    let disk = Whole(units(SIZE / diskferry_benches::UNIT, 1).concat());
    let mut group = criterion.benchmark_group("writing");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE as u64));
    for (name, way) in WAYS {
        for threads in THREADS {
            let job = Job::new(threads).expect("threads");
            group.bench_function(format!("{name}, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    copy(Source::Disk(&disk), way(), &Discard, &CopyOptions::default(), &job)
                        .expect("nothing can fail")
                });
            });
        }
    }
}

fn reading(criterion: &mut Criterion) {
    let disk = Whole(units(SIZE / diskferry_benches::UNIT, 2).concat());
    let mut group = criterion.benchmark_group("reading");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE as u64));
    for (name, way) in WAYS {
        let image = open(written(&disk, way()));
        for threads in THREADS {
            let job = Job::new(threads).expect("threads");
            group.bench_function(format!("{name}, {threads} threads"), |bencher| {
                let flat = || Plan::Flat(Flat::default());
                bencher.iter(|| {
                    let source = Source::Disk(image.as_ref());
                    copy(source, flat(), &Discard, &CopyOptions::default(), &job)
                        .expect("nothing can fail")
                });
            });
        }
    }
}

/// What a block costs alone, with history, and when it turns out to need some.
fn blocks(criterion: &mut Criterion) {
    let data = units(2 * BLOCK / diskferry_benches::UNIT, 3).concat();
    let (first, second) = data.split_at(BLOCK);
    let mut alone = Vec::new();
    let mut deflater = OpenDeflater::new(6).expect("a level that exists");
    deflater.compress(second, &mut alone).expect("deflate takes any block");
    let mut group = criterion.benchmark_group("a block of 2 MiB");
    group.throughput(Throughput::Bytes(BLOCK as u64));
    let mut inflater = OpenInflater::new();
    for (name, history) in [("alone", &[][..]), ("with history", &first[BLOCK - HISTORY..])] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(inflater.inflate(history, &alone, BLOCK)).expect("a good block").len()
            });
        });
    }
    group.bench_function("asked whether it refers back", |bencher| {
        bencher.iter(|| black_box(inflater.refers_back(&alone[..HISTORY])));
    });
}

type Way = fn() -> Plan;

const WAYS: [(&str, Way); 4] = [
    ("zvhd, level 1", || plan_zvhd(1)),
    ("zvhd, level 6", || plan_zvhd(6)),
    ("zvhd2, zstd", || plan_zvhd2("zstd")),
    ("zvhd2, zlib", || plan_zvhd2("zlib")),
];

fn plan_zvhd(level: u32) -> Plan {
    let mut options = zvhd::Options::default();
    options.compress(Some(level)).expect("a level that exists");
    zvhd::plan(Some(SIZE as u64), &options, &Stamp::default()).expect("a small disk")
}

fn plan_zvhd2(compression: &str) -> Plan {
    let mut options = zvhd2::Options::default();
    options.set("compression_type", compression).expect("a compression that exists");
    zvhd2::plan(Some(SIZE as u64), &options, &Stamp::default()).expect("a small disk")
}

fn written(disk: &dyn Disk, plan: Plan) -> Arc<dyn Bytes> {
    let recorder = Recorder::new();
    let job = Job::new(2).expect("threads");
    copy(Source::Disk(disk), plan, &recorder, &CopyOptions::default(), &job)
        .expect("a recorder takes everything");
    Arc::new(recorder.recorded().to_vec())
}

fn open(bytes: Arc<dyn Bytes>) -> Box<dyn Disk> {
    let mut head = [0; 6];
    bytes.read_at(0, &mut head).expect("more than a page");
    let budget = Budget::default();
    if Zvhd::probe(&head) {
        Box::new(Zvhd::open(bytes, &budget).expect("a good image"))
    } else {
        Box::new(Zvhd2::open(bytes, &budget).expect("a good image"))
    }
}

/// Bytes in memory as a disk.
struct Whole(Vec<u8>);

impl Disk for Whole {
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
        Ok(Box::new(WholeCursor(&self.0)))
    }
}

struct WholeCursor<'a>(&'a [u8]);

impl Cursor for WholeCursor<'_> {
    fn extent(&mut self, _at: u64, limit: u64) -> Result<Extent> {
        Ok(Extent { length: limit, kind: Kind::Data { compressed: false } })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        buf.copy_from_slice(&self.0[at as usize..][..buf.len()]);
        Ok(())
    }
}
