//! What formats cost beside the copying: tables walked and made, data found and unpacked.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use diskferry_benches::{UNIT, units};
use diskferry_block_stream::{
    Budget, Bytes, Chunk, Disk, Form, Layout, Packed, Piece, Plan, Result, Sink, Stamp, Stream,
    Writing as _,
};
use diskferry_qcow2::Qcow2;
use diskferry_raw::Raw;
use diskferry_testkit::format::write;
use diskferry_vdi::Vdi;
use diskferry_vhd::Vhd;
use diskferry_vmdk::{StreamOptimizedStream, Vmdk};

criterion_group!(benches, extents, nothing, reading, placing);
criterion_main!(benches);

/// A way to store a disk in one file.
struct Way {
    name: &'static str,
    /// Bytes of the disk in a chunk.
    chunk: u64,
    /// How a chunk is kept.
    form: Form,
    /// Bytes of the largest disk worth asking for.
    most: u64,
    plan: fn(u64) -> Plan,
    open: fn(Arc<dyn Bytes>) -> Box<dyn Disk>,
}

const WAYS: [Way; 6] = [
    Way {
        name: "qcow2",
        chunk: 64 << 10,
        form: Form::Stored,
        most: 64 << 40,
        plan: |size| qcow2(size, &diskferry_qcow2::Options::default()),
        open: open_qcow2,
    },
    Way {
        name: "qcow2 -c",
        chunk: 64 << 10,
        form: Form::Packed,
        most: 64 << 40,
        plan: |size| {
            let mut options = diskferry_qcow2::Options::default();
            options.compress(None).expect("a codec");
            qcow2(size, &options)
        },
        open: open_qcow2,
    },
    Way {
        name: "vhd",
        chunk: 2 << 20,
        form: Form::Stored,
        most: 2040 << 30,
        plan: |size| {
            let options = diskferry_vhd::Options::default();
            diskferry_vhd::plan(Some(size), &options, &STAMP).expect("a disk that fits")
        },
        open: |file| Box::new(Vhd::open(file, &Budget::default()).expect("a good image")),
    },
    Way {
        name: "vdi",
        chunk: 1 << 20,
        form: Form::Stored,
        most: 16 << 40,
        plan: |size| {
            let options = diskferry_vdi::Options::default();
            diskferry_vdi::plan(Some(size), &options, &STAMP).expect("a disk that fits")
        },
        open: |file| Box::new(Vdi::open(file, &Budget::default()).expect("a good image")),
    },
    Way {
        name: "vmdk monolithicSparse",
        chunk: 64 << 10,
        form: Form::Stored,
        // Its tables are there, and are walked grain by grain.
        most: 1 << 40,
        plan: |size| vmdk(size, "monolithicSparse"),
        open: open_vmdk,
    },
    Way {
        name: STREAM_OPTIMIZED,
        chunk: 64 << 10,
        form: Form::Packed,
        most: 16 << 40,
        plan: |size| vmdk(size, "streamOptimized"),
        open: open_vmdk,
    },
];

const STREAM_OPTIMIZED: &str = "vmdk streamOptimized";

const STAMP: Stamp = Stamp { uuid: [0x47; 16], seconds: 1_700_000_000 };

fn qcow2(size: u64, options: &diskferry_qcow2::Options) -> Plan {
    diskferry_qcow2::plan(Some(size), options).expect("a disk that fits")
}

fn open_qcow2(file: Arc<dyn Bytes>) -> Box<dyn Disk> {
    Box::new(Qcow2::open(file, &Budget::default()).expect("a good image"))
}

fn vmdk(size: u64, subformat: &str) -> Plan {
    let mut options = diskferry_vmdk::Options::default();
    options.set("subformat", subformat).expect("an option that exists");
    diskferry_vmdk::plan(Some(size), &options, &STAMP, None).expect("a disk that fits")
}

fn open_vmdk(file: Arc<dyn Bytes>) -> Box<dyn Disk> {
    Box::new(Vmdk::open(file, &Budget::default()).expect("a good image"))
}

/// Which chunks of a disk are stored.
#[derive(Clone, Copy)]
enum Pattern {
    /// All.
    Whole,
    /// Every other one.
    Alternating,
}

const PATTERNS: [(&str, Pattern); 2] =
    [("all stored", Pattern::Whole), ("every other one", Pattern::Alternating)];

/// Chunks of a disk whose tables are walked or made.
const CHUNKS: u64 = 64 << 10;

/// All extents of a disk: what a table's entry costs to read.
fn extents(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extents, per chunk");
    per_chunk(&mut group, |way, pattern| {
        let mut tables = Tables::default();
        tables.len = place(way, pattern, &mut tables);
        let disk = (way.open)(Arc::new(tables));
        Box::new(move || walk(disk.as_ref()))
    });
}

/// The layout alone: what it costs to place a chunk.
fn placing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placing, per chunk");
    per_chunk(&mut group, |way, pattern| Box::new(move || place(way, pattern, &mut Nowhere)));
}

fn per_chunk<'a>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    work: impl Fn(&'a Way, Pattern) -> Box<dyn Fn() -> u64 + 'a>,
) {
    group.sample_size(20).throughput(Throughput::Elements(CHUNKS));
    for way in &WAYS {
        for (name, pattern) in PATTERNS {
            let work = work(way, pattern);
            group.bench_function(format!("{}, {name}", way.name), |bencher| bencher.iter(&work));
        }
    }
}

/// The largest disk, of nothing: what its tables alone cost.
fn nothing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("the largest disk, empty");
    group.sample_size(20);
    for way in &WAYS {
        let write = |sink: &mut dyn Sink| {
            let mut layout = layout((way.plan)(way.most));
            layout.zeros(way.most / way.chunk, sink).expect("zeros take no place");
            layout.finish(way.most, sink).expect("there is room")
        };
        let mut tables = Tables::default();
        tables.len = write(&mut tables);
        let file: Arc<dyn Bytes> = Arc::new(tables);
        let name = |what: &str| format!("{}, {} GiB, {what}", way.name, way.most >> 30);
        let open = || (way.open)(Arc::clone(&file));
        group.bench_function(name("opened"), |bencher| bencher.iter(open));
        let disk = open();
        group.bench_function(name("walked"), |bencher| bencher.iter(|| walk(disk.as_ref())));
        group.bench_function(name("made"), |bencher| bencher.iter(|| write(&mut Nowhere)));
    }
}

/// A disk of data, read by one thread from memory.
fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reading");
    let content = units(DATA / UNIT, 7).concat();
    let source = Raw::open(Arc::new(content));
    group.sample_size(20).throughput(Throughput::Bytes(DATA as u64));
    let mut buf = vec![0; 1 << 20];
    for way in &WAYS {
        let written = write((way.plan)(DATA as u64), &source).expect("memory takes everything");
        let mut file = vec![0; written.len() as usize];
        written.read_at(0, &mut file).expect("memory can be read");
        if way.name == STREAM_OPTIMIZED {
            group.bench_function("vmdk streamOptimized, from a pipe", |bencher| {
                bencher.iter(|| pass(&file, &mut buf));
            });
        }
        let disk = (way.open)(Arc::new(file));
        group.bench_function(way.name, |bencher| {
            bencher.iter(|| {
                let mut cursor = disk.cursor().expect("a cursor");
                for at in (0..DATA as u64).step_by(buf.len()) {
                    cursor.read(at, black_box(&mut buf)).expect("a good image");
                }
            });
        });
    }
}

/// Bytes of the disk that is read.
const DATA: usize = 32 << 20;

fn pass(file: &[u8], buf: &mut [u8]) {
    let budget = Budget::default();
    let mut stream = StreamOptimizedStream::new(file, "memory", &budget).expect("a good image");
    while stream.next(black_box(buf)).expect("a good image") != Piece::End {}
}

fn walk(disk: &dyn Disk) -> u64 {
    let mut cursor = disk.cursor().expect("a cursor");
    let (mut at, mut extents) = (0, 0);
    while at < disk.size() {
        at += black_box(cursor.extent(at, disk.size() - at).expect("a good image")).length;
        extents += 1;
    }
    extents
}

fn layout(plan: Plan) -> Box<dyn Layout> {
    match plan {
        Plan::Packed(Packed { layout, .. }) => layout,
        _ => unreachable!("every way here is packed"),
    }
}

/// Lays out a disk; returns the length of its file.
fn place(way: &Way, pattern: Pattern, sink: &mut dyn Sink) -> u64 {
    let size = CHUNKS * way.chunk;
    let mut layout = layout((way.plan)(size));
    for n in 0..CHUNKS {
        let placed = match pattern {
            Pattern::Alternating if n % 2 == 1 => layout.zeros(1, sink),
            Pattern::Whole | Pattern::Alternating => {
                let length = match way.form {
                    Form::Stored => way.chunk as usize,
                    // VMDK's packed grains have whole sectors.
                    Form::Packed => 512 * (40 + n * 7919 % 48) as usize,
                };
                let chunk = Chunk { form: way.form, length, zero_parts: 0, note: 0 };
                layout.chunk(chunk, sink).map(drop)
            }
        };
        placed.expect("there is room");
    }
    layout.finish(size, sink).expect("there is room")
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

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0);
        let end = at + buf.len() as u64;
        // No two puts overlap, so one at most goes on from before.
        let before = self.puts.range(..at).next_back();
        for (&start, bytes) in before.into_iter().chain(self.puts.range(at..end)) {
            let bytes = bytes.get(at.saturating_sub(start) as usize..).unwrap_or_default();
            let buf = &mut buf[start.saturating_sub(at) as usize..];
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
