//! Images that the reference wrote: read, written again, and held against ours where the format
//! says what the bytes are.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use common::{Format, PAGE};
use diskferry_block_stream::{Budget, Disk, Order, Stamp, Writing as _};
use diskferry_engine::{CopyOptions, Job, Slice, Source, copy};
use diskferry_testkit::Recorder;
use diskferry_zvhd::{zvhd, zvhd2};
use flate2::read::GzDecoder;

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/zvhd");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// The disk at its original size, written again with the same id and time.
fn again(format: Format, file: &[u8], zlib: bool) -> Vec<u8> {
    let image = format.open(Arc::new(file.to_vec()), &Budget::default()).unwrap();
    let size = image.original_size().unwrap();
    let disk: Arc<dyn Disk> = Arc::from(image as Box<dyn Disk>);
    let disk = Slice::new(disk, 0, size).unwrap();
    let time = u32::from_le_bytes(file[0x18..0x1c].try_into().unwrap());
    let uuid = file[0x44..0x54].try_into().unwrap();
    let stamp = Stamp { uuid, seconds: u64::from(time) + 946_684_800 };
    let plan = match format {
        Format::Zvhd => zvhd::plan(Some(size), &zvhd::Options::default(), &stamp),
        Format::Zvhd2 => {
            let mut options = zvhd2::Options::default();
            options.set("compression_type", if zlib { "zlib" } else { "zstd" }).unwrap();
            zvhd2::plan(Some(size), &options, &stamp)
        }
    };
    let recorder = Recorder::new();
    let options = CopyOptions::default();
    copy(Source::Disk(&disk), plan.unwrap(), &recorder, &options, &Job::new(2).unwrap()).unwrap();
    recorder.recorded().to_vec()
}

/// The blocks of a file's units, in their order, and the offset of what follows them.
fn units(file: &[u8]) -> (Vec<u32>, usize) {
    let (mut blocks, mut at) = (Vec::new(), PAGE);
    while file[at..].starts_with(b"hwstream bg\0") {
        let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        blocks.push(field(at + 16));
        at += (field(at + 12) as usize + 52).next_multiple_of(PAGE);
    }
    (blocks, at)
}

const ZVHD: &[&str] = &[
    "zvhd-mixed8-l1.zvhd",
    "zvhd-mixed8-l6.zvhd",
    "zvhd-mixed8-poison.zvhd",
    "zvhd-mixed8-indep.zvhd",
    "zvhd-zerotail10.zvhd",
    "zvhd-odd.zvhd",
    "zvhd-oddzero.zvhd",
    "zvhd-allzero8.zvhd",
    "zvhd-empty.zvhd",
    "zvhd-tiny512.zvhd",
    "zvhd-giga1.zvhd",
    "zvhd-xref6-l1.zvhd",
    "zvhd-xref6-l6.zvhd",
    "zvhd-xref6-indep.zvhd",
];

const ZVHD2: &[&str] = &[
    "zvhd2-mixed8.zvhd2.gz",
    "zvhd2-mixed8-zlib.zvhd2.gz",
    "zvhd2-mixed8-poison.zvhd2.gz",
    "zvhd2-zerotail10.zvhd2.gz",
    "zvhd2-odd.zvhd2.gz",
    "zvhd2-oddzero.zvhd2.gz",
    "zvhd2-allzero8.zvhd2.gz",
    "zvhd2-tiny512.zvhd2.gz",
    "zvhd2-giga1.zvhd2.gz",
    "zvhd2-xref6.zvhd2.gz",
];

#[test]
fn written_again_a_zvhd_image_has_the_same_pages_and_blocks() {
    for name in ZVHD {
        let file = vector(name);
        let ours = again(Format::Zvhd, &file, false);
        assert!(Format::Zvhd.read(&ours).unwrap() == Format::Zvhd.read(&file).unwrap(), "{name}");
        assert!(ours[..512] == file[..512], "{name}: the first page");
        let ((blocks, end), (our_blocks, our_end)) = (units(&file), units(&ours));
        assert_eq!(our_blocks, blocks, "{name}");
        assert_eq!(ours.len(), our_end + PAGE, "{name}");
        // The reference ends an empty disk with its first page.
        if *name != "zvhd-empty.zvhd" {
            assert!(ours[our_end..our_end + 512] == file[end..end + 512], "{name}: the last page");
        }
    }
    for name in ["zvhd-allzero8.zvhd", "zvhd-empty.zvhd"] {
        let (file, ours) = (vector(name), again(Format::Zvhd, &vector(name), false));
        assert_eq!(ours.len(), 2 * PAGE, "{name}");
        assert!(ours[..512] == file[..512] && ours[PAGE..] == ours[..PAGE], "{name}");
    }
}

#[test]
fn written_again_a_zvhd2_image_has_the_same_pages_and_tables() {
    for name in ZVHD2 {
        let file = vector(name);
        let zlib = name.contains("zlib");
        let ours = again(Format::Zvhd2, &file, zlib);
        assert!(Format::Zvhd2.read(&ours).unwrap() == Format::Zvhd2.read(&file).unwrap(), "{name}");
        assert!(ours[..512] == file[..512], "{name}: the first page");
        let ((blocks, end), (our_blocks, our_end)) = (units(&file), units(&ours));
        assert_eq!(our_blocks, blocks, "{name}");
        assert_eq!(ours.len() - our_end, file.len() - end, "{name}: the tables' length");
        let bitmap = |file: &[u8]| {
            let at = file.len() - 2 * PAGE;
            file[at..at + PAGE].to_vec()
        };
        assert!(bitmap(&ours) == bitmap(&file), "{name}: the bitmap");
        // The offsets depend on how well the blocks are packed; all else does not.
        let last = |file: &[u8]| {
            let mut page = file[file.len() - PAGE..][..512].to_vec();
            page[0x40..0x44].fill(0);
            page[0x60..0x70].fill(0);
            page
        };
        assert!(last(&ours) == last(&file), "{name}: the last page");
        if our_end == end {
            assert!(ours[ours.len() - PAGE..][..512] == file[file.len() - PAGE..][..512], "{name}");
        }
    }
    let file = vector("zvhd2-allzero8.zvhd2.gz");
    let ours = again(Format::Zvhd2, &file, false);
    assert_eq!(ours.len(), file.len());
    for at in (0..file.len()).step_by(PAGE) {
        assert!(ours[at..at + 512] == file[at..at + 512], "the page at {at:#x}");
    }
}

#[test]
fn references_to_the_block_before_are_seen() {
    for (name, order) in [
        ("zvhd-xref6-l1.zvhd", Order::Forward),
        ("zvhd-xref6-l6.zvhd", Order::Forward),
        ("zvhd-xref6-indep.zvhd", Order::Grains),
        ("zvhd-mixed8-indep.zvhd", Order::Grains),
        ("zvhd-tiny512.zvhd", Order::Grains),
    ] {
        let bytes = Arc::new(vector(name));
        let image = Format::Zvhd.open(bytes, &Budget::default()).unwrap();
        assert_eq!(image.order(), order, "{name}");
    }
    // Any block first, and the others after it.
    let good = Format::Zvhd.read(&vector("zvhd-xref6-indep.zvhd")).unwrap();
    for name in ["zvhd-xref6-l1.zvhd", "zvhd-xref6-l6.zvhd"] {
        let image = Format::Zvhd.open(Arc::new(vector(name)), &Budget::default()).unwrap();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let mut cursor = image.cursor().unwrap();
            for block in order {
                let (start, end) =
                    (block * common::BLOCK, good.len().min((block + 1) * common::BLOCK));
                let mut found = vec![0xa5; end - start];
                cursor.read(start as u64, &mut found).unwrap();
                assert!(found == good[start..end], "{name}: block {block} in the order {order:?}");
            }
        }
    }
}

#[test]
fn every_vector_is_the_same_through_a_pipe() {
    for name in ZVHD {
        let file = vector(name);
        assert!(
            Format::Zvhd.read_stream(&file).unwrap() == Format::Zvhd.read(&file).unwrap(),
            "{name}"
        );
    }
    for name in ZVHD2 {
        let file = vector(name);
        assert!(
            Format::Zvhd2.read_stream(&file).unwrap() == Format::Zvhd2.read(&file).unwrap(),
            "{name}"
        );
    }
}
