//! Packing, unpacking and digests of 64 KiB units.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use diskferry_benches::{UNIT, units};
use diskferry_codec::digest::{Algorithm, Crc32Part, Digest, crc32};
use diskferry_codec::{Deflater, Inflater, ZlibPacker, ZstdPacker, ZstdUnpacker, entropy};

criterion_group!(benches, look, deflate, inflate, libdeflate, zstd, digests);
criterion_main!(benches);

/// Units enough that no branch predictor learns them by heart.
const COUNT: usize = 64;

fn deflate(criterion: &mut Criterion) {
    let units = units(COUNT, 1);
    let mut group = group(criterion, "deflate", COUNT * UNIT);
    for (level, window_bits) in [(2, 12), (5, 12), (6, 12), (9, 12), (6, 15)] {
        let mut deflater =
            Deflater::new(level, window_bits).expect("a level and a window that exist");
        let mut out = Vec::new();
        group.bench_function(format!("level {level}, window {window_bits}"), |bencher| {
            bencher.iter(|| {
                for unit in &units {
                    out.clear();
                    black_box(deflater.compress(black_box(unit), &mut out, UNIT - 1))
                        .expect("deflate takes any unit");
                }
            });
        });
    }
}

/// What it costs to ask how dense a unit is, before it is packed.
fn look(criterion: &mut Criterion) {
    let units = units(COUNT, 1);
    let mut group = group(criterion, "look", COUNT * UNIT);
    group.bench_function("entropy", |bencher| {
        bencher.iter(|| units.iter().map(|unit| u64::from(entropy(black_box(unit)))).sum::<u64>());
    });
}

fn libdeflate(criterion: &mut Criterion) {
    let units = units(COUNT, 1);
    let mut group = group(criterion, "zlib stream", COUNT * UNIT);
    for level in [1, 5, 6] {
        let mut packer = ZlibPacker::new(level).expect("a level that exists");
        let mut out = Vec::new();
        group.bench_function(format!("pack, level {level}"), |bencher| {
            bencher.iter(|| {
                for unit in &units {
                    out.clear();
                    packer.compress(black_box(unit), &mut out).expect("any unit is taken");
                }
            });
        });
    }
}

fn inflate(criterion: &mut Criterion) {
    let units = units(COUNT, 2);
    let mut deflater = Deflater::new(6, 12).expect("a level and a window that exist");
    let finished = units.iter().map(|unit| {
        let mut out = Vec::new();
        deflater.compress(unit, &mut out, usize::MAX).expect("deflate takes any unit");
        out
    });
    let finished: Vec<_> = finished.collect();
    // Without its last byte a stream has no end, and so takes the way that qemu's rule needs.
    let open: Vec<_> = finished.iter().map(|stream| stream[..stream.len() - 1].to_vec()).collect();
    let mut group = group(criterion, "inflate", COUNT * UNIT);
    let mut inflater = Inflater::new();
    let mut out = vec![0; UNIT];
    for (name, streams) in [("finished streams", &finished), ("streams without an end", &open)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for stream in streams {
                    // A few streams miss more than their end without that byte: then the work is the same, less a bit.
                    let _ = black_box(inflater.inflate(black_box(stream), &mut out));
                }
            });
        });
    }
}

fn zstd(criterion: &mut Criterion) {
    let units = units(COUNT, 3);
    let mut group = group(criterion, "zstd", COUNT * UNIT);
    for (name, packer) in [
        ("level 1", ZstdPacker::new(1)),
        ("level 3", ZstdPacker::new(3)),
        ("small units", ZstdPacker::for_small_units()),
        ("small dense units", ZstdPacker::for_small_dense_units()),
    ] {
        let mut packer = packer.expect("memory for a context");
        let mut out = Vec::new();
        group.bench_function(format!("pack, {name}"), |bencher| {
            bencher.iter(|| {
                for unit in &units {
                    out.clear();
                    black_box(packer.compress(black_box(unit), &mut out, UNIT - 1))
                        .expect("zstd takes any unit");
                }
            });
        });
    }
    let mut packer = ZstdPacker::new(3).expect("a level that exists");
    let frames = units.iter().map(|unit| {
        let mut out = Vec::new();
        packer.compress(unit, &mut out, usize::MAX).expect("zstd takes any unit");
        out
    });
    let frames: Vec<_> = frames.collect();
    let mut unpacker = ZstdUnpacker::new().expect("memory for a context");
    let mut out = vec![0; UNIT];
    group.bench_function("unpack", |bencher| {
        bencher.iter(|| {
            for frame in &frames {
                unpacker.decompress(black_box(frame), &mut out).expect("the frame was made above");
            }
        });
    });
}

fn digests(criterion: &mut Criterion) {
    let data = units(16, 4).concat();
    let mut group = group(criterion, "digest", data.len());
    for algorithm in Algorithm::ALL {
        group.bench_function(BenchmarkId::from_parameter(algorithm), |bencher| {
            bencher.iter(|| {
                let mut digest = Digest::new(algorithm);
                digest.update(black_box(&data));
                digest.finish()
            });
        });
    }
    drop(group);
    let part = crc32(&data);
    criterion.bench_function("digest/crc32 combine", |bencher| {
        bencher.iter(|| black_box(part).combine(black_box(part)))
    });
    criterion.bench_function("digest/crc32 zeros, 1 TiB less 1", |bencher| {
        bencher.iter(|| Crc32Part::zeros(black_box((1 << 40) - 1)));
    });
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    bytes: usize,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
    group
}
