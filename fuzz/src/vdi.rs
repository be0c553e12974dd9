//! What is done with an input for VDI.

use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{Budget, Bytes, Writing};
use diskferry_testkit::format::{STAMP, options};
use diskferry_testkit::fuzz::{Choices, Chosen, Views, any_disk, any_image, put, view};
use diskferry_testkit::{Model, Texture};
use diskferry_vdi::{Vdi, plan};

use build::{Build, PARENT};

#[path = "../../crates/vdi/tests/build/mod.rs"]
mod build;

/// The input is an image.
pub fn read(input: &[u8]) {
    any_image(input, views);
}

/// The input chooses one of a few good images, and what is replaced in it.
pub fn tables(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut image = IMAGES[usize::from(choices.byte()) % IMAGES.len()].clone();
    while !choices.is_over() {
        patch(&mut image, &mut choices);
    }
    any_image(&image, views);
}

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, budget| Ok(Box::new(Vdi::open(bytes, budget)?)));
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let chosen = options(choices.pick(&["", "", "subformat=static"]), Writing::set);
    let chunk = 1 << 20;
    Chosen {
        chunk,
        unit: 512,
        most: chunk << 6,
        most_stored: 3 * chunk,
        plan: Box::new(move |size| plan(size, &chosen, &STAMP)),
    }
}

fn views(bytes: Arc<dyn Bytes>, budget: &Budget) -> Views {
    view(Vdi::open(bytes, budget))
}

/// Good images of all kinds and versions, small enough that a change is likely to matter.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let parts = [
        (Texture::Noise, 4096),
        (Texture::Absent, 8192),
        (Texture::Text, 12288),
        (Texture::Absent, 4096),
        (Texture::Noise, 4096 - 512),
    ];
    let small = Build::of(&Model::of(7, 4096, &parts), 4096);
    let sectors = Build::of(&Model::fragmented(8, 40 * 512, 512), 512);
    let images = [
        small.clone(),
        Build { version: 2, ..small.clone() },
        Build { image_type: 2, block_extra: 512, gap: 1, ..small.clone() },
        Build { image_type: 4, parent: PARENT, parent_modification: PARENT, ..small },
        sectors,
    ];
    images.iter().map(Build::bytes).collect()
});

/// Replaces a number or a byte, or ends the file.
fn patch(image: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let place = usize::from(choices.short());
    let at = match kind {
        // The header has its numbers before and after the comment.
        0..0x30 => FIELDS + place % 6 * 4,
        0x30..0x80 => AFTER_COMMENT + place % 38 * 4,
        0x80..0xc0 => MAP + place % 48 * 4,
        0xc0..0xe0 => place % (image.len() / 4).max(1) * 4,
        0xe0..0xf0 => {
            return put(image, place, &[choices.byte()]);
        }
        _ => return image.truncate(place),
    };
    let value = match kind % 4 {
        0 => choices.number() as u32,
        1 => choices.pick(&[0, 1, 2, 0x200, 0x8000_0000, u32::MAX - 2, u32::MAX - 1, u32::MAX]),
        2 => u32::from(choices.byte()),
        _ => u32::from(choices.byte()) << 9,
    };
    put(image, at, &value.to_le_bytes());
}

/// Where the fields of a header are, and where most maps begin.
const FIELDS: usize = 0x40;
const AFTER_COMMENT: usize = 0x150;
const MAP: usize = 0x1a4;
