//! The zero scan: how fast it passes zeros, and how little a unit costs that is not zero.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diskferry_benches::{UNIT, units};
use diskferry_codec::zeros::{is_zero, runs};

criterion_group!(benches, zero_units, other_units, grains);
criterion_main!(benches);

/// A buffer in the second-level cache, and one that is in no cache.
fn zero_units(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("zeros");
    for (name, len) in [("64 KiB", UNIT), ("512 KiB", 512 << 10), ("256 MiB", 256 << 20)] {
        // Written, or the kernel would show its one page of zeros at every place.
        let mut data = vec![1; len];
        data.fill(0);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |bencher| bencher.iter(|| is_zero(black_box(&data))));
    }
}

/// The time until the byte that is not zero.
fn other_units(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("not zeros");
    for (name, at) in [("first byte", 0), ("byte 4095", 4095), ("last byte", UNIT - 1)] {
        let mut data = vec![0; UNIT];
        data[at] = 1;
        group.bench_function(name, |bencher| bencher.iter(|| is_zero(black_box(&data))));
    }
}

/// A buffer of the engine's size, every other unit of it zero, by grains of 4 KiB.
fn grains(criterion: &mut Criterion) {
    let data: Vec<u8> =
        units(16, 5).into_iter().flat_map(|unit| [unit, vec![0; UNIT]]).flatten().collect();
    let mut group = criterion.benchmark_group("runs");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("4 KiB grains", |bencher| {
        bencher.iter(|| runs(black_box(&data), 4096).count())
    });
}
