//! What a robust reader checks: each rule, in a file and through a pipe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::{Arc, LazyLock};

use common::{
    BLOCK, Format, PAGE, alone, chained, headed, page, put, seal, text, trim, unit, zstd, zvhd,
    zvhd2,
};
use diskferry_block_stream::{
    Budget, Error, ErrorKind, Limits, Note, NoteKind, Piece, Problem, ProblemKind,
};
use diskferry_testkit::format;

/// Blocks of text, packed in each way that these tests need.
struct Blocks {
    plain: Vec<Vec<u8>>,
    chained: Vec<Vec<u8>>,
    alone: Vec<Vec<u8>>,
    zstd: Vec<Vec<u8>>,
}

static BLOCKS: LazyLock<Blocks> = LazyLock::new(|| {
    let plain: Vec<Vec<u8>> = (0..3).map(text).collect();
    let views: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
    Blocks {
        chained: chained(6, &views),
        alone: views.iter().map(|block| alone(1, block)).collect(),
        zstd: views.iter().map(|block| zstd(block)).collect(),
        plain,
    }
});

const ORIGINAL: u64 = 10 << 20;
const CURRENT: u64 = 1 << 30;

/// Where the three blocks are: the disk's last is not stored.
const NUMBERS: [u32; 3] = [0, 2, 3];

fn numbered(payloads: &[Vec<u8>]) -> Vec<(u32, Vec<u8>)> {
    NUMBERS.into_iter().zip(payloads.iter().cloned()).collect()
}

/// Blocks that refer to one another.
fn good_zvhd() -> Vec<u8> {
    zvhd(ORIGINAL, CURRENT, &zvhd_units())
}

fn zvhd_units() -> Vec<(u32, Vec<u8>)> {
    let mut units = numbered(&BLOCKS.chained);
    units[0].1 = headed(&units[0].1);
    units
}

fn good_zvhd2() -> Vec<u8> {
    zvhd2(ORIGINAL, CURRENT, 1, &numbered(&BLOCKS.zstd))
}

fn zlib_zvhd2() -> Vec<u8> {
    let payloads: Vec<_> = BLOCKS.alone.iter().map(|payload| headed(payload)).collect();
    zvhd2(ORIGINAL, CURRENT, 0, &numbered(&payloads))
}

/// What is in the good images.
fn content() -> Vec<u8> {
    let mut disk = vec![0; ORIGINAL as usize];
    for (number, block) in NUMBERS.into_iter().zip(&BLOCKS.plain) {
        put(&mut disk, number as usize * BLOCK, block);
    }
    trim(&mut disk);
    disk
}

/// Offsets of the units of a file, then that of the page after them.
fn places(file: &[u8]) -> Vec<usize> {
    let mut places = vec![PAGE];
    while file[places[places.len() - 1]..].starts_with(b"hwstream bg\0") {
        let at = places[places.len() - 1];
        let size = u32::from_le_bytes(file[at + 12..at + 16].try_into().unwrap()) as usize;
        places.push(at + (size + 52).next_multiple_of(PAGE));
    }
    places
}

fn problems(format: Format, file: &[u8]) -> Vec<Problem> {
    let image = format.open(Arc::new(file.to_vec()), &Budget::default()).unwrap();
    format::problems(image.as_ref())
}

fn complains(name: &str, error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!(error.kind(), kind, "{name}: {error}");
    let said = error.to_string();
    assert!(said.contains(text), "{name}: no '{text}' in: {said}");
    assert!(said.contains("0x") || kind != ErrorKind::Damaged, "{name}: no place in: {said}");
    assert!(error.place().file.is_some(), "{name}: no file in: {said}");
    assert!(!said.contains('\n'), "{name}: {said}");
}

/// A good image with something changed.
type Change = fn(&mut Vec<u8>, &[usize]);

/// The image is refused as damaged, in a file and in a pipe.
fn refused(format: Format, good: fn() -> Vec<u8>, cases: &[(&str, Change, &str)]) {
    for (name, change, text) in cases {
        let mut file = good();
        let places = places(&file);
        change(&mut file, &places);
        let error = format.read(&file).expect_err(name);
        complains(name, &error, ErrorKind::Damaged, text);
        let error = format.read_stream(&file).expect_err(name);
        complains(name, &error, ErrorKind::Damaged, text);
    }
}

fn reseal_both(file: &mut [u8]) {
    seal(&mut file[..PAGE]);
    let last = file.len() - PAGE;
    seal(&mut file[last..]);
}

/// Changes the same bytes in the first and in the last page.
fn in_both(file: &mut [u8], at: usize, value: &[u8]) {
    let last = file.len() - PAGE;
    put(file, at, value);
    put(file, last + at, value);
    reseal_both(file);
}

#[test]
fn the_good_images_are_good() {
    for (format, file) in
        [(Format::Zvhd, good_zvhd()), (Format::Zvhd2, good_zvhd2()), (Format::Zvhd2, zlib_zvhd2())]
    {
        assert!(format.read(&file).unwrap() == content(), "{format:?}");
        assert!(format.read_stream(&file).unwrap() == content(), "{format:?}");
        assert_eq!(problems(format, &file), [], "{format:?}");
    }
}

/// What both formats check in the same way.
const BOTH: &[(&str, Change, &str)] = &[
    ("shorter than a page", |f, _| f.truncate(4095), "ends inside its first page (0xfff)"),
    ("no bytes at all", |f, _| f.clear(), "ends inside its first page (0x0)"),
    ("another cookie", |f, _| f[3] ^= 1, "the page at 0x0 does not begin with"),
    (
        "original size above the current one",
        |f, _| in_both(f, 0x28, &(CURRENT + 512).to_le_bytes()),
        "original size 0x40000200 is above the current size 0x40000000",
    ),
    (
        "an original size that is no sectors",
        |f, _| in_both(f, 0x28, &(ORIGINAL - 1).to_le_bytes()),
        "original size 0x9fffff is not a whole number of sectors",
    ),
    (
        "a current size that is no sectors",
        |f, _| in_both(f, 0x30, &(CURRENT + 256).to_le_bytes()),
        "current size 0x40000100 is not a whole number of sectors",
    ),
    ("no payload", |f, p| put(f, p[1] + 12, &[0; 4]), "has no payload"),
    (
        "a payload longer than any reader holds",
        |f, p| put(f, p[1] + 12, &4_202_445_u32.to_le_bytes()),
        "takes 0x403000 bytes, more than 0x40",
    ),
    (
        "a payload whose unit would be longer than 32 bits count",
        |f, p| put(f, p[1] + 12, &u32::MAX.to_le_bytes()),
        "takes 0x100001000 bytes, more than",
    ),
    ("an end marker that is none", |f, p| f[p[2] - 4] = b'E', "does not end with its end marker"),
    (
        "an end marker without its zero",
        |f, p| f[p[2] - 1] = b'd',
        "does not end with its end marker",
    ),
    ("a payload of noise", |f, p| f[p[1] + 60..p[1] + 9000].fill(0xa7), "block 2 in the unit at"),
];

#[test]
fn what_both_formats_check() {
    refused(Format::Zvhd, good_zvhd, BOTH);
    refused(Format::Zvhd2, good_zvhd2, BOTH);
    refused(Format::Zvhd2, zlib_zvhd2, BOTH);
}

#[test]
fn what_zvhd_checks() {
    refused(
        Format::Zvhd,
        good_zvhd,
        &[
            ("a bad checksum", |f, _| f[0x40] ^= 1, "the page at 0x0 has the checksum"),
            ("a size changed", |f, _| f[0x28] ^= 2, "the page at 0x0 has the checksum"),
            ("neither unit nor page", |f, p| f[p[1]] = b'X', "neither a unit nor the last page at"),
            ("a unit's magic without its zero", |f, p| f[p[1] + 11] = 1, "neither a unit nor"),
            (
                "a stray page",
                |f, p| drop(f.splice(p[1]..p[1], vec![0; PAGE])),
                "neither a unit nor the last page",
            ),
            (
                "a page too many in a unit",
                |f, p| drop(f.splice(p[2] - 4..p[2] - 4, vec![0; PAGE])),
                "does not end with its end marker",
            ),
            ("cut inside a unit", |f, p| f.truncate(p[1] + 5000), "past the end of the file"),
            ("cut inside a unit's head", |f, p| f.truncate(p[1] + 20), "inside the page at"),
            (
                "cut where a unit ends",
                |f, p| f.truncate(p[2]),
                "where a unit or the last page should begin",
            ),
            (
                "cut where the last unit ends",
                |f, p| f.truncate(p[3]),
                "where a unit or the last page should",
            ),
            (
                "cut inside the last page's cookie",
                |f, p| f.truncate(p[3] + 5),
                "inside the page at",
            ),
            (
                "the first page alone",
                |f, _| f.truncate(PAGE),
                "where a unit or the last page should begin",
            ),
            (
                "a block again",
                |f, p| put(f, p[2] + 16, &2_u32.to_le_bytes()),
                "is of block 2, after that of block 2",
            ),
            (
                "a block that precedes",
                |f, p| put(f, p[2] + 16, &1_u32.to_le_bytes()),
                "is of block 1, after that of block 2",
            ),
            (
                "a block past the end of the disk",
                |f, p| put(f, p[2] + 16, &512_u32.to_le_bytes()),
                "is of block 512, past the end of the disk (0x40000000)",
            ),
            ("no zlib header", |f, p| f[p[0] + 48] = 0x79, "no zlib header without dictionary"),
            (
                "a zlib header with a dictionary",
                |f, p| f[p[0] + 49] = 0xbb,
                "no zlib header without",
            ),
            (
                "a disk of no size with a unit",
                |f, _| {
                    put(f, 0x28, &[0; 16]);
                    seal(&mut f[..PAGE]);
                },
                "is of block 0, past the end of the disk (0x0)",
            ),
        ],
    );
    // The last block of the current size is where the reference does not notice.
    let mut units = zvhd_units();
    units[2].0 = 511;
    let file = zvhd(ORIGINAL, CURRENT, &units);
    assert!(Format::Zvhd.read(&file).is_ok());
    let cut = &file[..file.len() - PAGE];
    let error = Format::Zvhd.read(cut).unwrap_err();
    complains("no last page", &error, ErrorKind::Damaged, "where a unit or the last page");
}

/// Payloads of the block in the middle that are not as they should be, and what is said of them.
#[test]
fn what_zvhd_checks_of_a_payload() {
    let good = &BLOCKS.chained[1];
    let stored = |block: &[u8]| alone(0, block);
    let mut long = BLOCKS.plain[1].clone();
    long.push(0);
    let short = &BLOCKS.plain[1][..BLOCK - 1];
    let flush = [0, 0, 0, 0xff, 0xff];
    let mut finished = stored(&BLOCKS.plain[1]);
    let flush_at = finished.len() - 5;
    finished[flush_at] = 1;
    for (name, payload, text) in [
        ("a header in a later unit", headed(&BLOCKS.alone[1]), "deflate"),
        ("more than a block", alone(1, &long), "more than 0x200000 bytes"),
        ("less than a block", alone(1, short), "0x1fffff bytes in place of 0x200000"),
        ("bytes after the flush", [good, &b"stray"[..]].concat(), "does not end with a flush"),
        ("bytes after the flush, and another", [good, &b"stray"[..], &flush].concat(), "deflate"),
        ("no flush", good[..good.len() - 5].to_vec(), "does not end with a flush"),
        ("one byte", vec![0xff], "does not end with a flush"),
        ("two bytes", vec![0xff; 2], "does not end with a flush"),
        ("nothing but a flush", flush.to_vec(), "0x0 bytes in place of 0x200000"),
        ("a stream that ends", finished, "deflate"),
        (
            "a stream that ends, and a flush",
            [&good[..good.len() - 5], &[3, 0], &flush].concat(),
            "deflate",
        ),
    ] {
        let mut units = zvhd_units();
        units[1].1 = payload;
        let file = zvhd(ORIGINAL, CURRENT, &units);
        for error in [Format::Zvhd.read(&file), Format::Zvhd.read_stream(&file)] {
            complains(name, &error.expect_err(name), ErrorKind::Damaged, text);
        }
        // The block in front of it is read all the same.
        if let Ok(image) = Format::Zvhd.open(Arc::new(file.clone()), &Budget::default()) {
            let mut block = vec![0; BLOCK];
            let mut cursor = image.cursor().unwrap();
            assert!(cursor.read(2 * BLOCK as u64, &mut block).is_err(), "{name}");
            cursor.read(0, &mut block).unwrap();
            assert!(block == BLOCKS.plain[0], "{name}");
            // The one after it refers to it.
            let error = cursor.read(3 * BLOCK as u64, &mut block).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{name}");
            let found = problems(Format::Zvhd, &file);
            assert_eq!(found.len(), 2, "{name}: {found:?}");
            let place = Some(places(&file)[1] as u64);
            assert_eq!((found[0].kind, found[0].at), (ProblemKind::Corruption, place), "{name}");
            assert!(found[1].text.contains("block 2 before it is damaged"), "{name}: {found:?}");
        }
    }
    // Two flushes are an empty block more, and any zlib header without dictionary will do.
    let mut units = zvhd_units();
    units[1].1.extend(flush);
    for head in [[0x78, 0x01], [0x78, 0xda], [0x08, 0x1d]] {
        put(&mut units[0].1, 0, &head);
        let file = zvhd(ORIGINAL, CURRENT, &units);
        assert!(Format::Zvhd.read(&file).unwrap() == content());
        assert!(Format::Zvhd.read_stream(&file).unwrap() == content());
    }
}

#[test]
fn what_zvhd2_checks() {
    let last: &[(&str, Change, &str)] = &[
        ("a byte after the last page", |f, _| f.push(0), "does not begin with \"z2strm\""),
        (
            "a page after the last page",
            |f, _| f.extend([0; PAGE]),
            "does not begin with \"z2strm\"",
        ),
        ("cut", |f, _| f.truncate(f.len() - 512), "does not begin with \"z2strm\""),
        (
            "a bad checksum",
            |f, _| {
                let n = f.len();
                f[n - PAGE + 0x40] ^= 1
            },
            "has the checksum",
        ),
        ("version 0", |f, _| in_both(f, 0x57, &[0]), "ZVHD2 version 0 in the page at 0x0"),
        ("version 0 at the end", |f, _| in_last(f, 0x57, &[0]), "ZVHD2 version 0 in the page at"),
        (
            "a block size that is none",
            |f, _| in_both(f, 0x58, &[1, 0, 0x20, 0]),
            "block size 0x200001",
        ),
        (
            "blocks of 512 KiB",
            |f, _| in_both(f, 0x58, &0x8_0000_u32.to_le_bytes()),
            "block size 0x80000",
        ),
        (
            "too few blocks",
            |f, _| in_last(f, 0x5c, &[4]),
            "has 4 blocks, too few for a disk of 0xa00000",
        ),
        ("more units than blocks", |f, _| in_last(f, 0x88, &[6]), "6 units for a disk of 5 blocks"),
        (
            "an index past the end",
            |f, _| in_last(f, 0x60, &[0xff; 5]),
            "the index of 0x80000 bytes at 0x",
        ),
        (
            "an index at the end of the world",
            |f, _| in_last(f, 0x60, &[0xff; 8]),
            "the index of 0x80000",
        ),
        (
            "an index in the first page",
            |f, _| in_last(f, 0x60, &[0; 8]),
            "bytes at 0x0 is not within",
        ),
        (
            "a bitmap past the end",
            |f, _| in_last(f, 0x68, &[0xff; 6]),
            "the bitmap of 0x1000 bytes at 0x",
        ),
        (
            "a bitmap in the first page",
            |f, _| in_last(f, 0x68, &[0; 8]),
            "bytes at 0x0 is not within",
        ),
        (
            "a larger index",
            |f, _| in_last(f, 0x70, &[1]),
            "size of the index of 0x80001, which should be 0x80000",
        ),
        ("a larger bitmap", |f, _| in_last(f, 0x74, &[1]), "size of the bitmap of 0x1001"),
        (
            "other index segments",
            |f, _| in_last(f, 0x78, &[1]),
            "size of an index segment of 0x80001",
        ),
        (
            "other bitmap segments",
            |f, _| in_last(f, 0x7c, &[1]),
            "size of a bitmap segment of 0x1001",
        ),
        ("more index segments", |f, _| in_last(f, 0x80, &[2]), "number of index segments of 0x2"),
        ("no bitmap segment", |f, _| in_last(f, 0x84, &[0]), "number of bitmap segments of 0x0"),
        ("fewer units", |f, _| in_last(f, 0x88, &[2]), "has 3 blocks, and the last page 2 units"),
        (
            "a bit more",
            |f, _| {
                let at = bitmap(f);
                f[at] |= 2
            },
            "has 4 blocks, and the last page 3",
        ),
        (
            "a bit less",
            |f, _| {
                let at = bitmap(f);
                f[at] &= !4
            },
            "has 2 blocks, and the last page 3",
        ),
        (
            "a bit elsewhere",
            |f, _| {
                let at = bitmap(f);
                f[at] ^= 0x0c ^ 0x14
            },
            "is of block 3, and not of block 4",
        ),
        (
            "a bit past the last block",
            |f, _| {
                let at = bitmap(f);
                f[at] |= 0x20
            },
            "has a bit for block 5, of 5",
        ),
        (
            "a bit at its very end",
            |f, _| {
                let at = bitmap(f);
                f[at + PAGE - 1] = 0x80
            },
            "block 32767, of 5",
        ),
        (
            "an entry of another block",
            |f, _| entry(f, 1, 8, &[3]),
            "is of block 3, and not of block 2",
        ),
        ("an entry without a place", |f, _| entry(f, 1, 0, &[0; 8]), "for block 2 is empty"),
        ("an entry without a length", |f, _| entry(f, 1, 12, &[0; 4]), "for block 2 is empty"),
        (
            "an entry past the end",
            |f, _| entry(f, 1, 0, &[0xff; 5]),
            "not between the first page and the last",
        ),
        (
            "an entry at the end of the world",
            |f, _| entry(f, 1, 0, &[0xff; 8]),
            "not between the first page",
        ),
        (
            "an entry in the first page",
            |f, _| entry(f, 1, 0, &[1, 0, 0, 0, 0]),
            "not between the first page",
        ),
        (
            "an entry of a length that no unit has",
            |f, _| entry(f, 1, 12, &[1]),
            "which no unit takes",
        ),
        ("an entry of a huge length", |f, _| entry(f, 1, 15, &[0xff]), "which no unit takes"),
    ];
    for (name, change, text) in last {
        let mut file = good_zvhd2();
        let places = places(&file);
        change(&mut file, &places);
        let error = Format::Zvhd2.read(&file).expect_err(name);
        complains(name, &error, ErrorKind::Damaged, text);
        // Through a pipe, it shows at the end; some as an order that only a file can have.
        let error = Format::Zvhd2.read_stream(&file).expect_err(name);
        let kind = error.kind();
        let fits = matches!(kind, ErrorKind::Damaged | ErrorKind::Unsupported);
        assert!(fits, "{name}: {error}");
    }
    refused(
        Format::Zvhd2,
        good_zvhd2,
        &[
            ("the first page alone", |f, _| f.truncate(PAGE), ""),
            ("cut where the units end", |f, p| f.truncate(p[3]), ""),
            ("cut after the middle page", |f, p| f.truncate(p[3] + PAGE), ""),
        ],
    );
}

/// What is wrong with a unit shows when it is read; a pipe, which does not know the index yet, sees
/// less.
#[test]
fn what_zvhd2_checks_of_a_unit() {
    let cases: &[(&str, Change, &str)] = &[
        ("no magic", |f, p| f[p[1] + 3] = 0, "no unit at 0x"),
        ("another block", |f, p| f[p[1] + 16] = 1, "is of block 1, and not of block 2"),
        (
            "a length of fewer pages",
            |f, p| put(f, p[1] + 12, &99_u32.to_le_bytes()),
            "takes 0x1000 bytes, and its index entry says",
        ),
        (
            "an entry of fewer pages",
            |f, p| {
                let length = (p[2] - p[1] - PAGE) as u32;
                entry(f, 1, 12, &length.to_le_bytes());
            },
            "and its index entry says",
        ),
        (
            "an entry of another unit",
            |f, p| {
                let at = p[2] as u64;
                entry(f, 1, 0, &at.to_le_bytes());
                let length = (p[3] - p[2]) as u32;
                entry(f, 1, 12, &length.to_le_bytes());
            },
            "is of block 3, and not of block 2",
        ),
    ];
    for (name, change, text) in cases {
        let mut file = good_zvhd2();
        let places = places(&file);
        change(&mut file, &places);
        let image = Format::Zvhd2.open(Arc::new(file.clone()), &Budget::default()).unwrap();
        let mut cursor = image.cursor().unwrap();
        let mut block = vec![0; BLOCK];
        let error = cursor.read(2 * BLOCK as u64, &mut block).expect_err(name);
        complains(name, &error, ErrorKind::Damaged, text);
        for (number, plain) in [(0, 0), (3, 2)] {
            cursor.read(number * BLOCK as u64, &mut block).unwrap();
            assert!(block == BLOCKS.plain[plain], "{name}: another block is read");
        }
        let found = problems(Format::Zvhd2, &file);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(
            found[0].kind == ProblemKind::Corruption && found[0].text.contains(text),
            "{found:?}"
        );
        assert!(Format::Zvhd2.read_stream(&file).is_err(), "{name}");
    }
}

#[test]
fn what_zvhd2_checks_of_a_payload() {
    let zstd_block = &BLOCKS.zstd[1];
    let deflated = headed(&BLOCKS.alone[1]);
    let mut long = BLOCKS.plain[1].clone();
    long.push(0);
    let finished = {
        let mut out = Vec::new();
        let mut packer = diskferry_codec::ZlibPacker::new(6).unwrap();
        packer.compress(&BLOCKS.plain[1], &mut out).unwrap();
        out
    };
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let half = BLOCK / 2;
    let frames =
        [zstd(&BLOCKS.plain[1][..half]), skippable.to_vec(), zstd(&BLOCKS.plain[1][half..])];
    let mut bad_adler = finished.clone();
    *bad_adler.last_mut().unwrap() ^= 1;
    for (name, method, payload, good) in [
        ("several frames", 1, frames.concat(), true),
        ("bytes after the frame", 1, [zstd_block, &b"x"[..]].concat(), false),
        ("more than a block", 1, zstd(&long), false),
        ("less than a block", 1, zstd(&long[..BLOCK - 1]), false),
        ("a frame cut short", 1, zstd_block[..zstd_block.len() - 1].to_vec(), false),
        ("zlib where zstd should be", 1, deflated.clone(), false),
        ("a stream that is finished", 0, finished.clone(), true),
        ("a finished stream, and more", 0, [&finished[..], b"x"].concat(), false),
        ("a finished stream with another checksum", 0, bad_adler, false),
        ("a stream without its header", 0, BLOCKS.alone[1].clone(), false),
        ("a stream that refers to the block before", 0, headed(&BLOCKS.chained[1]), false),
        ("zlib: more than a block", 0, headed(&alone(1, &long)), false),
        ("zlib: less than a block", 0, headed(&alone(1, &long[..BLOCK - 1])), false),
        ("zlib: no flush", 0, deflated[..deflated.len() - 5].to_vec(), false),
        ("zlib: one byte", 0, vec![0x78], false),
        ("zstd where zlib should be", 0, zstd_block.clone(), false),
    ] {
        let others = if method == 1 {
            BLOCKS.zstd.clone()
        } else {
            BLOCKS.alone.iter().map(|payload| headed(payload)).collect()
        };
        let mut units = numbered(&others);
        units[1].1 = payload;
        let file = zvhd2(ORIGINAL, CURRENT, method, &units);
        for read in [Format::Zvhd2.read(&file), Format::Zvhd2.read_stream(&file)] {
            match read {
                Ok(disk) => assert!(good && disk == content(), "{name}"),
                Err(error) => {
                    assert!(!good, "{name}: {error}");
                    complains(name, &error, ErrorKind::Damaged, "block 2 ");
                }
            }
        }
        assert_eq!(problems(Format::Zvhd2, &file).len(), usize::from(!good), "{name}");
    }
}

fn in_last(file: &mut [u8], at: usize, value: &[u8]) {
    let last = file.len() - PAGE;
    put(&mut file[last..], at, value);
    seal(&mut file[last..]);
}

fn last_field(file: &[u8], at: usize) -> usize {
    let at = file.len() - PAGE + at;
    u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize
}

fn bitmap(file: &[u8]) -> usize {
    last_field(file, 0x68)
}

fn entry(file: &mut [u8], number: usize, at: usize, value: &[u8]) {
    let index = last_field(file, 0x60);
    put(file, index + 16 * number + at, value);
}

#[test]
fn what_nobody_writes_is_unsupported() {
    for (name, at, value, text) in [
        ("blocks of 1 MiB", 0x58, &0x10_0000_u32.to_le_bytes()[..], "blocks of 0x100000 bytes"),
        ("blocks of 4 MiB", 0x58, &0x40_0000_u32.to_le_bytes(), "blocks of 0x400000 bytes"),
        ("another compression", 0x8d, &[2], "compression method 2"),
    ] {
        let mut file = good_zvhd2();
        in_both(&mut file, at, value);
        for read in [Format::Zvhd2.read(&file), Format::Zvhd2.read_stream(&file)] {
            complains(name, &read.expect_err(name), ErrorKind::Unsupported, text);
        }
    }
}

#[test]
fn what_means_nothing_is_not_looked_at() {
    let odd: &[(&str, Change)] = &[
        ("features, versions, data offset, time", |f, _| in_both(f, 8, &[0xee; 20])),
        ("creator, its version and system", |f, _| in_both(f, 0x1c, &[0xee; 12])),
        ("geometry and type", |f, _| in_both(f, 0x38, &[0xee; 8])),
        ("uuid and flags", |f, _| in_both(f, 0x44, &[0xee; 19])),
        ("the cookie's last bytes", |f, _| in_both(f, 6, &[0xee; 2])),
        ("what is reserved in a unit", |f, p| f[p[1] + 20..p[1] + 48].fill(0xee)),
        ("padding", |f, p| f[p[2] - 9..p[2] - 4].fill(0xee)),
        ("pages after their first 512 bytes", |f, p| {
            let last = f.len() - PAGE;
            for at in [0, p[3], last] {
                f[at + 512..at + PAGE].fill(0xa5);
            }
        }),
    ];
    for (format, good) in
        [(Format::Zvhd, good_zvhd as fn() -> Vec<u8>), (Format::Zvhd2, good_zvhd2)]
    {
        for (name, change) in odd {
            let mut file = good();
            let places = places(&file);
            // There is padding, as the good images are.
            change(&mut file, &places);
            assert!(format.read(&file).unwrap() == content(), "{format:?}: {name}");
            assert!(format.read_stream(&file).unwrap() == content(), "{format:?}: {name}");
            assert_eq!(problems(format, &file), [], "{format:?}: {name}");
        }
    }
    let only_zvhd2: &[(&str, Change)] = &[
        ("unused index entries", |f, _| {
            let (index, bitmap) = (last_field(f, 0x60), bitmap(f));
            f[index + 48..bitmap].fill(0xa5);
        }),
        ("the middle page's checksum", |f, p| f[p[3] + 0x40] ^= 1),
        ("a later version", |f, _| in_both(f, 0x57, &[9])),
    ];
    for (name, change) in only_zvhd2 {
        let mut file = good_zvhd2();
        let places = places(&file);
        change(&mut file, &places);
        assert!(Format::Zvhd2.read(&file).unwrap() == content(), "{name}");
        assert!(Format::Zvhd2.read_stream(&file).unwrap() == content(), "{name}");
    }
}

#[test]
fn what_is_odd_about_the_end_of_a_zvhd_file_is_a_warning() {
    let cases: &[(&str, Change, &str)] = &[
        ("other sizes", |f, p| f[p[3] + 0x29] ^= 1, "differs from the first"),
        ("a bad checksum", |f, p| f[p[3] + 0x40] ^= 1, "differs from the first"),
        ("nothing but the cookie", |f, p| f.truncate(p[3] + 6), "has 6 bytes of 4096"),
        ("bytes after it", |f, _| f.extend([7; 5000]), "5000 bytes follow the last page"),
    ];
    for (name, change, text) in cases {
        let mut file = good_zvhd();
        let places = places(&file);
        change(&mut file, &places);
        assert!(Format::Zvhd.read(&file).unwrap() == content(), "{name}");
        assert!(Format::Zvhd.read_stream(&file).unwrap() == content(), "{name}");
        let image = Format::Zvhd.open(Arc::new(file.clone()), &Budget::default()).unwrap();
        let warnings = format::warnings(image.as_ref());
        assert!(warnings.len() == 1 && warnings[0].contains(text), "{name}: {warnings:?}");
        let mut stream = Format::Zvhd.stream(file.clone(), &Budget::default()).unwrap();
        let mut buf = vec![0; 1 << 20];
        while stream.next(&mut buf).unwrap() != Piece::End {}
        let note = Note::of(NoteKind::Format, "pipe", &*warnings[0]);
        assert_eq!(stream.warnings(), [note], "{name}");
        let found = problems(Format::Zvhd, &file);
        assert!(found.len() == 1 && found[0].kind == ProblemKind::Oddity, "{name}: {found:?}");
    }
}

#[test]
fn blocks_past_the_original_size_are_read_at_the_current_one() {
    let blocks: Vec<(u32, Vec<u8>)> =
        [(0, &BLOCKS.zstd[0]), (300, &BLOCKS.zstd[1])].map(|(n, p)| (n, p.clone())).into();
    let mut expected = BLOCKS.plain[0].clone();
    expected.resize(300 * BLOCK, 0);
    expected.extend(&BLOCKS.plain[1]);
    trim(&mut expected);
    // ZVHD2's bitmap says how many blocks there are.
    let mut file = zvhd2(602 << 20, CURRENT, 1, &blocks);
    in_both(&mut file, 0x28, &ORIGINAL.to_le_bytes());
    let image = Format::Zvhd2.open(Arc::new(file.clone()), &Budget::default()).unwrap();
    assert_eq!((image.original_size(), image.size()), (Some(ORIGINAL), CURRENT));
    assert!(Format::Zvhd2.read(&file).unwrap() == expected);
    let mut units = zvhd_units();
    units.truncate(2);
    units[1].0 = 300;
    let file = zvhd(ORIGINAL, CURRENT, &units);
    assert!(Format::Zvhd.read(&file).unwrap() == expected);
    assert!(Format::Zvhd.read_stream(&file).unwrap() == expected);
}

#[test]
fn sizes_may_be_any_number_of_sectors() {
    for current in [ORIGINAL, ORIGINAL + 512, (8 << 20) + 1536] {
        let original = ORIGINAL.min(current);
        let file = zvhd(original, current, &zvhd_units());
        assert!(Format::Zvhd.read(&file).unwrap() == content());
        assert!(Format::Zvhd.read_stream(&file).unwrap() == content());
        let file = zvhd2(original, current, 1, &numbered(&BLOCKS.zstd));
        assert!(Format::Zvhd2.read(&file).unwrap() == content());
        assert!(Format::Zvhd2.read_stream(&file).unwrap() == content());
    }
    // A disk that ends within a stored block: what is behind its end is nobody's.
    let current = (6 << 20) + 512;
    for (format, file) in [
        (Format::Zvhd, zvhd(current, current, &zvhd_units())),
        (Format::Zvhd2, zvhd2(current, current, 1, &numbered(&BLOCKS.zstd))),
    ] {
        let mut expected = content();
        expected.truncate(current as usize);
        trim(&mut expected);
        assert!(format.read(&file).unwrap() == expected);
        assert!(format.read_stream(&file).unwrap() == expected);
        let found = problems(format, &file);
        assert!(found.len() == 1 && found[0].text.contains("block 3 has data past"), "{found:?}");
    }
}

#[test]
fn a_page_alone_is_a_disk_of_no_size() {
    for format in [Format::Zvhd, Format::Zvhd2] {
        let file = page(format, 0, 0);
        assert_eq!(format.read(&file).unwrap(), b"");
        assert_eq!(format.read_stream(&file).unwrap(), b"");
        assert_eq!(problems(format, &file), []);
    }
}

/// Only a file can be read that way.
#[test]
fn zvhd2_units_and_tables_may_lie_anywhere() {
    let mut units = numbered(&BLOCKS.zstd);
    units.reverse();
    let reversed = zvhd2(ORIGINAL, CURRENT, 1, &units);
    // A unit that no entry names.
    let mut orphan = zvhd2(ORIGINAL, CURRENT, 1, &numbered(&BLOCKS.zstd));
    let at = bitmap(&orphan);
    orphan[at] &= !8;
    in_last(&mut orphan, 0x88, &[2]);
    let mut without_last = content();
    without_last.truncate(3 * BLOCK);
    trim(&mut without_last);
    // A page between the bitmap and the last one.
    let mut gap = good_zvhd2();
    let end = gap.len() - PAGE;
    gap.splice(end..end, vec![0xee; PAGE]);
    // No middle page.
    let mut no_middle = good_zvhd2();
    let places = places(&no_middle);
    no_middle[places[3]..places[3] + PAGE].fill(0);
    for (name, file, disk) in [
        ("reversed", reversed, content()),
        ("orphan", orphan, without_last),
        ("gap", gap, content()),
        ("no middle page", no_middle, content()),
    ] {
        assert!(Format::Zvhd2.read(&file).unwrap() == disk, "{name}");
        let kind = Format::Zvhd2.read_stream(&file).unwrap_err().kind();
        let expected =
            if name == "no middle page" { ErrorKind::Damaged } else { ErrorKind::Unsupported };
        assert_eq!(kind, expected, "{name}");
    }
}

#[test]
fn a_first_page_that_differs_counts_in_a_pipe_only() {
    for (name, at, value, pipe) in [
        ("another original size", 0x28, (ORIGINAL - 512).to_le_bytes(), "original size"),
        ("another current size", 0x30, (2 * CURRENT).to_le_bytes(), "current size"),
    ] {
        let mut file = good_zvhd2();
        put(&mut file, at, &value);
        seal(&mut file[..PAGE]);
        assert!(Format::Zvhd2.read(&file).unwrap() == content(), "{name}");
        let found = problems(Format::Zvhd2, &file);
        assert!(found.len() == 1 && found[0].kind == ProblemKind::Oddity, "{name}: {found:?}");
        let error = Format::Zvhd2.read_stream(&file).unwrap_err();
        complains(name, &error, ErrorKind::Damaged, pipe);
    }
    let mut file = good_zvhd2();
    file[0x40] ^= 1;
    assert!(Format::Zvhd2.read(&file).unwrap() == content());
    let error = Format::Zvhd2.read_stream(&file).unwrap_err();
    complains("checksum", &error, ErrorKind::Damaged, "checksum");
}

/// An index with an entry for every block, as the reference reads it though it never writes it.
fn with_all(bitmap_segments: u32) -> Vec<u8> {
    let mut file = good_zvhd2();
    let index = last_field(&file, 0x60);
    let stored: Vec<[u8; 16]> =
        (0..3).map(|n| file[index + 16 * n..index + 16 * (n + 1)].try_into().unwrap()).collect();
    file[index..index + 80].fill(0);
    for (number, entry) in NUMBERS.into_iter().zip(stored) {
        put(&mut file, index + 16 * number as usize, &entry);
    }
    in_last(&mut file, 0x8c, &[1]);
    in_last(&mut file, 0x84, &bitmap_segments.to_le_bytes());
    in_last(&mut file, 0x74, &(bitmap_segments * PAGE as u32).to_le_bytes());
    file
}

#[test]
fn an_index_may_have_every_block() {
    for segments in [0, 1] {
        let file = with_all(segments);
        assert!(Format::Zvhd2.read(&file).unwrap() == content(), "{segments}");
        assert_eq!(problems(Format::Zvhd2, &file), [], "{segments}");
    }
    assert!(Format::Zvhd2.read_stream(&with_all(1)).unwrap() == content());
    // The bitmap may have less than the index, and not more.
    let mut file = with_all(1);
    let at = bitmap(&file);
    file[at] = 0;
    assert!(Format::Zvhd2.read(&file).unwrap() == content());
    file[at] = 0x1f;
    let error = Format::Zvhd2.read(&file).unwrap_err();
    complains("a bit more", &error, ErrorKind::Damaged, "for block 1 is empty");
    // Entry for entry, the block is its place.
    let mut file = with_all(0);
    entry(&mut file, 2, 8, &[3]);
    let error = Format::Zvhd2.read(&file).unwrap_err();
    complains("another block", &error, ErrorKind::Damaged, "is of block 3, and not of block 2");
}

#[test]
fn tables_are_paid_for() {
    let budget = || Limits::default().with_metadata(20).budget();
    for (format, file) in [(Format::Zvhd, good_zvhd()), (Format::Zvhd2, good_zvhd2())] {
        let error = format.open(Arc::new(file.clone()), &budget()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        let small = Limits::default().with_virtual_size(CURRENT - 1).budget();
        for error in [
            format.open(Arc::new(file.clone()), &small).err().unwrap(),
            format.stream(file, &small).err().unwrap(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        }
    }
    // A stream that never ends.
    let mut stream = good_zvhd2();
    stream.extend(vec![0; 40 << 20]);
    let budget = Limits::default().with_metadata(8 << 20).budget();
    let mut stream = Format::Zvhd2.stream(stream, &budget).unwrap();
    let mut buf = vec![0; 1 << 20];
    let error = loop {
        if let Err(error) = stream.next(&mut buf) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn a_unit_may_have_no_padding() {
    // Stored blocks of any length make a payload of any length.
    let block = &BLOCKS.plain[0];
    let mut payload = headed(&alone(0, block));
    while !(payload.len() + 52).is_multiple_of(PAGE) {
        payload.extend([0, 0, 0, 0xff, 0xff]);
    }
    assert_eq!(unit(0, &payload).len(), payload.len() + 52);
    let file = zvhd(ORIGINAL, CURRENT, &[(0, payload)]);
    let mut expected = block.clone();
    trim(&mut expected);
    assert!(Format::Zvhd.read(&file).unwrap() == expected);
    assert!(Format::Zvhd.read_stream(&file).unwrap() == expected);
}
