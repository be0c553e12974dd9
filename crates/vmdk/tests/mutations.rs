//! Good images with bytes changed: they are disks that keep the contract, or refused. Nothing panics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;

use common::{cowd, descriptor, model_of, se_sparse, to_vec, write, write_files};
use diskferry_block_stream::{Bytes, Image, Limits, Piece, Result, Stream};
use diskferry_testkit::fuzz::{Views, any_image};
use diskferry_testkit::{Model, Random};
use diskferry_vmdk::{StreamOptimizedStream, Vmdk};

/// The image, with the same bytes for whatever it names.
fn views(bytes: Arc<dyn Bytes>, limits: &Limits) -> Views {
    vec![open(bytes, limits).map(|image| Box::new(image) as Box<dyn Image>)]
}

fn open(bytes: Arc<dyn Bytes>, limits: &Limits) -> Result<Vmdk> {
    let image = Vmdk::open(bytes, limits)?;
    let model = Model::random(1, 1 << 20, 4096);
    let kinds = [model.whole(), cowd(&model, 512, 3, ""), se_sparse(&model)];
    let files = (0..image.extents_needed().len()).map(|index| {
        let file = match index % 4 {
            3 => to_vec(&write_files("subformat=twoGbMaxExtentSparse", &model)[1].1),
            kind => kinds[kind].clone(),
        };
        Arc::new(file) as Arc<dyn Bytes>
    });
    let files = files.collect();
    image.with_extents(files, limits)
}

/// Values that fields and entries trip over.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7F,
    0xFF,
    512,
    0xFFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1000_0000_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Changes a few numbers or bytes, the likelier the nearer to the front or the end.
fn change(file: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let distance = random.length(file.len() as u64) as usize - 1;
        let at = if random.below(3) == 0 { file.len() - 1 - distance } else { distance };
        let width = (1 << random.below(4)).min(file.len() - at);
        let number = match random.below(3) {
            0 => random.number(),
            1 => *random.pick(&NUMBERS),
            _ => random.below(4096),
        };
        file[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
    }
    if random.below(10) == 0 {
        let len = random.below(file.len() as u64) as usize + 1;
        file.truncate(len);
    }
}

fn images() -> Vec<Vec<u8>> {
    let model = Model::random(2, 3 << 19, 4096);
    let lines = "RW 10 FLAT \"a\" 0\nRW 2048 VMFSSPARSE \"b\"\nRW 7 ZERO\nRW 2048 SESPARSE \"c\"\n\
                 RW 2048 SPARSE \"d\"\n";
    vec![
        to_vec(&write("c=1", &model)),
        to_vec(&write("subformat=monolithicSparse", &model)),
        to_vec(&write("", &model_of(300 << 20))),
        cowd(&model, 512, 3, "base.vmdk"),
        se_sparse(&model),
        descriptor("custom", lines).into_bytes(),
    ]
}

#[test]
fn a_changed_image_is_an_image_or_refused() {
    for (index, good) in images().into_iter().enumerate() {
        any_image(&good, views);
        let mut random = Random::new(index as u64);
        for _ in 0..ROUNDS {
            let mut file = good.clone();
            change(&mut file, &mut random);
            any_image(&file, views);
        }
    }
}

#[test]
fn a_changed_stream_ends_or_is_refused() {
    let good = to_vec(&write("c=1", &Model::random(2, 3 << 19, 4096)));
    let mut random = Random::new(77);
    for _ in 0..ROUNDS {
        let mut file = good.clone();
        change(&mut file, &mut random);
        let limits = Limits::default().with_metadata(8 << 20);
        let mut buf = vec![0; 10_000];
        let Ok(mut stream) = StreamOptimizedStream::new(file.as_slice(), "pipe", &limits) else {
            continue;
        };
        let (mut passed, size) = (0, stream.size());
        let whole = loop {
            passed += match stream.next(&mut buf) {
                Ok(Piece::Data(count)) => count as u64,
                Ok(Piece::Zero(count)) => count,
                Ok(Piece::End) => break true,
                Err(_) => break false,
            };
            assert!(size.is_none_or(|size| passed <= size));
        };
        if whole {
            assert_eq!(stream.size(), Some(passed));
            // By position it is the same disk, unless a table differs from the grains.
            let image = Vmdk::open(Arc::new(file), &limits);
            assert!(
                image.is_err() || diskferry_block_stream::Disk::size(&image.unwrap()) == passed
            );
        }
    }
}

/// Changed images of each kind.
const ROUNDS: usize = 300;
