//! What a check finds, and where it says it is.

use diskferry_block_stream::{Problem, ProblemKind};
use diskferry_testkit::format::problems;

use crate::fixture::{DIFFERENCING, FIXED, Fixture, TABLE, open, put};

const BLOCK: usize = 512 + 4096;

/// A disk of five blocks, of which 0, 2 and 4 are stored one after the other from here on.
const FIRST: usize = 2048;

fn dynamic() -> Vec<u8> {
    let fixture = Fixture { size: 5 * 4096, ..Fixture::default() };
    fixture.with_block(0, b'a').with_block(2, b'c').with_block(4, b'e').build()
}

fn with_entry(index: usize, at: usize) -> Vec<u8> {
    let mut image = dynamic();
    put(&mut image, TABLE + 4 * index, &((at / 512) as u32).to_be_bytes());
    image
}

#[track_caller]
fn finds(image: Vec<u8>, expected: &[(ProblemKind, usize, &str)]) {
    let found = problems(&open(image).unwrap());
    let fits = |(found, expected): (&Problem, &(ProblemKind, usize, &str))| {
        let (kind, at, text) = *expected;
        found.kind == kind && found.at == Some(at as u64) && found.text.contains(text)
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(fits);
    assert!(all, "{found:#?}\nexpected {expected:#?}");
}

use ProblemKind::{Corruption, Leak, Oddity};

#[test]
fn a_good_image_has_no_problems() {
    finds(dynamic(), &[]);
    let fixed = Fixture { disk_type: FIXED, size: 1024, ..Fixture::default() };
    finds(fixed.fixed(&[7; 1024]), &[]);
    let names = vec![(*b"W2ru", vec![b'x'; 700])];
    let child = Fixture { disk_type: DIFFERENCING, locators: names, ..Fixture::default() };
    finds(child.with_block(1, b'b').build(), &[]);
}

#[test]
fn blocks_that_share_their_place_are_found() {
    finds(with_entry(1, FIRST), &[(Corruption, TABLE + 4, "overlaps block 0 at 0x800")]);
    let overlapping = FIRST + 1024;
    finds(
        with_entry(1, overlapping),
        &[
            (Corruption, TABLE + 4, "block 1 at 0xc00 overlaps block 0 at 0x800"),
            (Corruption, TABLE + 8, "block 2 at 0x1a00 overlaps block 1 at 0xc00"),
            // What it takes for a bitmap is another block's data.
            (Corruption, overlapping + 512, "block 1 holds data"),
        ],
    );
}

#[test]
fn blocks_over_structures_are_found() {
    for (at, text) in [
        (0, "the dynamic disk header at 0x200 overlaps block 1 at 0x0"),
        (1024, "block 1 at 0x400 overlaps the dynamic disk header at 0x200"),
        (1536, "overlaps"),
    ] {
        let found = problems(&open(with_entry(1, at)).unwrap());
        assert!(found.iter().all(|problem| problem.kind == Corruption), "{found:?}");
        assert!(found.iter().any(|problem| problem.text.contains(text)), "{text}: {found:?}");
        assert!(found.iter().any(|problem| problem.at == Some(TABLE as u64 + 4)), "{found:?}");
    }
    let names = vec![(*b"W2ru", vec![b'x'; 700])];
    let child = Fixture { disk_type: DIFFERENCING, locators: names, ..Fixture::default() };
    let mut image = child.with_block(1, b'b').build();
    put(&mut image, TABLE + 4, &5_u32.to_be_bytes());
    let found = problems(&open(image).unwrap());
    assert!(found[0].text.contains("overlaps a name of the parent"), "{found:?}");
}

#[test]
fn blocks_past_the_end_are_found() {
    let end = FIRST + 3 * BLOCK;
    finds(
        with_entry(1, end),
        &[(Corruption, TABLE + 4, "block 1 at 0x3e00 runs past the end of the file's blocks")],
    );
    let mut cut = dynamic();
    cut.truncate(end - 512);
    finds(
        cut,
        &[
            (Corruption, end - 512, "no footer at the end"),
            (Corruption, TABLE + 16, "block 4 at 0x2c00 runs past"),
        ],
    );
}

#[test]
fn room_that_nothing_uses_is_a_leak() {
    let mut lost = dynamic();
    put(&mut lost, TABLE + 8, &[0xff; 4]);
    finds(lost, &[(Leak, FIRST + BLOCK, "nothing uses the 4608 bytes")]);
    let mut last = dynamic();
    put(&mut last, TABLE + 16, &[0xff; 4]);
    finds(last, &[(Leak, FIRST + 2 * BLOCK, "nothing uses the 4608 bytes")]);
}

#[test]
fn a_table_entry_past_the_disk_is_a_leak() {
    let fixture = Fixture { entries: Some(100_000), ..Fixture::default() };
    let mut image = fixture.build();
    put(&mut image, TABLE + 4 * 99_999, &1_u32.to_be_bytes());
    finds(image, &[(Leak, TABLE + 4 * 99_999, "table entry 99999 is used")]);
}

#[test]
fn data_whose_bits_say_that_there_is_none_is_found() {
    let mut data = vec![0; 4096];
    data[6 * 512 + 100] = 1;
    let image = |bits: u8| {
        let blocks = vec![(1, vec![bits], data.clone())];
        Fixture { blocks, ..Fixture::default() }.build()
    };
    finds(image(0b0000_0010), &[]);
    finds(image(0b1111_1101), &[(Corruption, FIRST + 512 + 6 * 512, "block 1 holds data")]);
    // Of a differencing disk, what is under a clear bit does not matter.
    let blocks = vec![(1, vec![0], data.clone())];
    finds(Fixture { blocks, disk_type: DIFFERENCING, ..Fixture::default() }.build(), &[]);
}

#[test]
fn fields_that_readers_ignore_are_oddities() {
    let mut image = dynamic();
    let end = image.len() - 512;
    for at in [0, end] {
        image[at + 84] = 1;
        crate::fixture::seal_footer(&mut image, at);
    }
    finds(image, &[(Oddity, end + 84, "suspended")]);
}
