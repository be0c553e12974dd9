//! Any bytes are an image that keeps its contract, or are refused.

use diskferry_block_stream::Image;
use diskferry_testkit::Random;
use diskferry_testkit::fuzz::any_image;
use diskferry_vhd::Vhd;

use crate::fixture::{DIFFERENCING, FIXED, Fixture, HEADER, TABLE, seal_footer, seal_header};

/// Good images of all kinds, small enough that a change is likely to matter.
fn images() -> Vec<Vec<u8>> {
    let blocks = vec![(0, vec![0b1010_0110], vec![b'c'; 4096]), (2, vec![0xff], vec![0; 4096])];
    let child = Fixture {
        disk_type: DIFFERENCING,
        blocks,
        locators: vec![(*b"W2ru", b"a\0.\0v\0h\0d\0".to_vec()), (*b"MacX", b"file://b".to_vec())],
        ..Fixture::default()
    };
    let small = Fixture { size: 100 * 512, block: 512, entries: Some(128), ..Fixture::default() };
    vec![
        Fixture { disk_type: FIXED, ..Fixture::default() }.fixed(&[7; 3 * 4096]),
        Fixture::default().with_block(0, b'a').with_block(2, b'c').build(),
        small.with_block(0, 1).with_block(1, 2).with_block(50, 3).build(),
        child.build(),
    ]
}

fn look(input: &[u8]) {
    any_image(input, |bytes, limits| {
        vec![Vhd::open(bytes, limits).map(|image| Box::new(image) as Box<dyn Image>)]
    });
}

/// Replaces a number somewhere, mostly where the structures are.
fn change(image: &mut Vec<u8>, random: &mut Random) {
    let len = image.len();
    let end = len.saturating_sub(512);
    let field = random.below(22) as usize * 4;
    let at = match random.below(8) {
        0 => field,
        1 => end + field,
        2 => HEADER + field,
        3 => HEADER + 576 + field,
        4..=6 => TABLE + random.below(8) as usize * 4,
        _ => random.below(len as u64 + 1) as usize,
    };
    let extremes = [0, 1, 3, 4, 8, 0x200, 0x1000, 0x8000_0000, u32::MAX - 1, u32::MAX];
    let value = match random.below(3) {
        0 => *random.pick(&extremes),
        1 => random.below(64) as u32,
        _ => random.below(1 << 32) as u32,
    };
    if let Some(bytes) = image.get_mut(at..at + 4) {
        bytes.copy_from_slice(&value.to_be_bytes());
    }
    if random.below(30) == 0 {
        image.truncate(random.below(len as u64 + 1) as usize);
    }
}

#[test]
fn good_images_with_anything_changed_are_images_or_refused() {
    let images = images();
    for image in &images {
        look(image);
    }
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let mut image = random.pick(&images).clone();
        for _ in 0..=random.below(3) {
            change(&mut image, &mut random);
        }
        // Checksums would hide all that is behind them.
        if image.len() >= TABLE + 512 && random.below(8) != 0 {
            let end = image.len() - 512;
            seal_header(&mut image);
            seal_footer(&mut image, 0);
            seal_footer(&mut image, end);
        }
        look(&image);
    }
}
