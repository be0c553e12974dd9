//! What is done with an input for VHD.

use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{Budget, Bytes, Writing};
use diskferry_testkit::format::{STAMP, options};
use diskferry_testkit::fuzz::{Choices, Chosen, Views, any_disk, any_image, put, view};
use diskferry_vhd::{Vhd, plan};

use fixture::{DIFFERENCING, FIXED, Fixture, HEADER, TABLE, seal_footer, seal_header};

#[path = "../../crates/vhd/tests/images/fixture.rs"]
mod fixture;

/// The input is an image.
pub fn read(input: &[u8]) {
    any_image(input, views);
}

/// The input chooses one of a few good images, what is replaced in it, and whether the checksums are
/// made right again: they would hide all that is behind them.
pub fn tables(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut image = IMAGES[usize::from(choices.byte()) % IMAGES.len()].clone();
    let sealed = choices.byte() < 0xf0;
    while !choices.is_over() {
        patch(&mut image, &mut choices);
    }
    if sealed && image.len() >= TABLE + FOOTER {
        let end = image.len() - FOOTER;
        seal_header(&mut image);
        seal_footer(&mut image, 0);
        seal_footer(&mut image, end);
    }
    any_image(&image, views);
}

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, budget| Ok(Box::new(Vhd::open(bytes, budget)?)));
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let chosen = options(
        choices.pick(&["", "block_size=512K", "block_size=1M,force_size=on", "subformat=fixed"]),
        Writing::set,
    );
    let chunk = 2 << 20;
    Chosen {
        chunk,
        unit: 512,
        most: chunk << 6,
        most_stored: 3 * chunk,
        plan: Box::new(move |size| plan(size, &chosen, &STAMP)),
    }
}

fn views(bytes: Arc<dyn Bytes>, budget: &Budget) -> Views {
    view(Vhd::open(bytes, budget))
}

const FOOTER: usize = 512;

/// Good images of all kinds, small enough that a change is likely to matter.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let blocks = vec![(0, vec![0b1010_0110], vec![b'c'; 4096]), (2, vec![0xff], vec![0; 4096])];
    let child = Fixture {
        disk_type: DIFFERENCING,
        blocks,
        locators: vec![(*b"W2ru", b"a\0.\0v\0h\0d\0".to_vec()), (*b"MacX", b"file://b".to_vec())],
        ..Fixture::default()
    };
    let small = Fixture { size: 100 * 512, block: 512, entries: Some(128), ..Fixture::default() };
    let by_geometry = Fixture { creator: *b"vpc ", geometry: (3, 2, 4), ..Fixture::default() };
    vec![
        Fixture { disk_type: FIXED, ..Fixture::default() }.fixed(&[7; 3 * 4096]),
        Fixture::default().with_block(0, b'a').with_block(2, b'c').build(),
        small.with_block(0, 1).with_block(1, 2).with_block(50, 3).build(),
        child.build(),
        by_geometry.with_block(1, b'g').build(),
    ]
});

/// Replaces a number or a byte, or ends the file.
fn patch(image: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let place = usize::from(choices.short());
    let end = image.len().saturating_sub(FOOTER);
    let field = place % 22 * 4;
    let at = match kind {
        0..0x20 => field,
        0x20..0x50 => end + field,
        0x50..0x80 => HEADER + field,
        0x80..0x90 => HEADER + 576 + place % 48 * 4,
        0x90..0xd0 => TABLE + place % 128 * 4,
        0xd0..0xe0 => place % (image.len() / 4).max(1) * 4,
        0xe0..0xf0 => {
            return put(image, place, &[choices.byte()]);
        }
        _ => return image.truncate(place),
    };
    let value = match kind % 4 {
        0 => choices.number() as u32,
        1 => choices.pick(&[0, 1, 3, 4, 8, 0x200, 0x1000, 0x8000_0000, u32::MAX - 1, u32::MAX]),
        2 => u32::from(choices.byte()),
        _ => u32::from(choices.short()),
    };
    put(image, at, &value.to_be_bytes());
}
