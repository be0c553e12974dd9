//! Images of every kind that VirtualBox has made, built by hand, and ways in which they go wrong.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use build::{
    Block, Build, CREATION_TEXT, MODIFICATION_TEXT, PARENT, PARENT_TEXT, mixed_endian, patch,
};
use diskferry_block_stream::{
    Budget, Bytes, Description, Detail, Disk, Error, ErrorKind, Extent, Image, Kind, Limits,
    ProblemKind, Result,
};
use diskferry_engine::{Chain, Slice};
use diskferry_testkit::format::problems;
use diskferry_testkit::{Model, Texture, fuzz, laws};
use diskferry_vdi::Vdi;

mod build;

fn open(bytes: Vec<u8>) -> Result<Vdi> {
    Vdi::open(Arc::new(bytes), &Budget::default())
}

/// A small disk of all textures, in blocks of this size; it ends inside one.
fn model(block_size: u32) -> Model {
    let grain = u64::from(block_size);
    let whole = if grain < 1 << 20 { 37 } else { 9 } * grain;
    Model::random(3, if grain > 512 { whole + 512 } else { whole }, grain)
}

/// A disk of eight blocks of 4 KiB: data, free, zeros, data and so on.
fn small() -> Build {
    let parts = [
        (Texture::Noise, 4096),
        (Texture::Absent, 8192),
        (Texture::Text, 12288),
        (Texture::Absent, 4096),
        (Texture::Noise, 4096 - 512),
    ];
    Build::of(&Model::of(7, 4096, &parts), 4096)
}

#[test]
fn every_kind_of_image_reads_as_its_disk() {
    let old = Build { version: 2, ..Build::of(&model(1 << 20), 1 << 20) };
    let of = |block_size| Build::of(&model(block_size), block_size);
    for (name, build) in [
        ("1.1 with logical geometry", of(1 << 20)),
        ("1.1 without", Build { header_size: 0x180, ..of(1 << 20) }),
        ("1.1 of an unknown header size", Build { header_size: 0x194, ..of(4096) }),
        ("version 0.2", old.clone()),
        ("version 0.1", Build { version: 1, ..old }),
        ("version 1.0", Build { version: 1 << 16, ..of(65536) }),
        ("blocks of a sector", of(512)),
        ("blocks of 64 KiB", of(65536)),
        ("blocks of 2 MiB", of(2 << 20)),
        ("extra bytes of a sector", Build { block_extra: 512, ..of(65536) }),
        ("extra bytes of a block", Build { block_extra: 1 << 20, ..of(1 << 20) }),
        ("an odd data offset", Build { gap: 77, ..of(65536) }),
        ("an odd map offset", Build { map_offset: 0x1d8 + 13, ..of(65536) }),
        ("odd everywhere", Build { map_offset: 601, gap: 3, block_extra: 2, ..of(65536) }),
        ("static with a map that jumps", Build { image_type: 2, ..of(65536) }),
        ("map and data at 1 MiB", Build { map_offset: 1 << 20, gap: 1 << 20, ..of(1 << 20) }),
    ] {
        let model = model(build.block_size);
        let image = open(build.bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.grain(), u64::from(build.block_size), "{name}");
        assert_eq!(problems(&image), [], "{name}");
        laws::reading(&image, &model);
        let open = |bytes: Arc<dyn Bytes>| -> Result<Arc<dyn Disk>> {
            Ok(Arc::new(Vdi::open(bytes, &Budget::default())?))
        };
        laws::truncation(&(Arc::new(build.bytes()) as Arc<dyn Bytes>), open, &model);
    }
}

#[test]
fn the_last_block_need_not_be_whole() {
    let parts = [(Texture::Absent, 37 * 65536), (Texture::Noise, 512)];
    let model = Model::of(1, 65536, &parts);
    let mut file = Build::of(&model, 65536).bytes();
    file.truncate(file.len() - 65536 + 512);
    laws::reading(&open(file.clone()).unwrap(), &model);
    file.pop();
    let mut sector = [0; 512];
    let error = open(file).unwrap().cursor().unwrap().read(37 * 65536, &mut sector).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn a_size_in_part_of_a_sector_is_rounded_up_with_zeros() {
    let model = Model::full(1, 3 * 4096 + 100, 4096, Texture::Noise);
    let mut build = Build::of(&model, 4096);
    let Some(Block::Stored(last)) = build.blocks.last_mut() else { panic!("it ends with data") };
    last[100..].fill(0x99);
    let image = open(build.bytes()).unwrap();
    assert_eq!(image.size(), 3 * 4096 + 512);
    let mut end = vec![1; 512];
    image.cursor().unwrap().read(3 * 4096, &mut end).unwrap();
    assert!(end[100..].iter().all(|byte| *byte == 0));
    laws::reading(&Slice::new(Arc::new(image), 0, model.size()).unwrap(), &model);
    // What is past the stated size may be missing.
    let image = open(Build { size: 100, blocks: build.blocks[3..].to_vec(), ..build }.bytes());
    let image = image.unwrap();
    assert_eq!(image.describe().warnings.len(), 1);
    assert_eq!(image.cursor().unwrap().extent(100, 412).unwrap().kind, Kind::Zero);
}

#[test]
fn neighbours_in_the_file_are_one_extent() {
    let model = Model::of(1, 4096, &[(Texture::Noise, 40960), (Texture::Absent, 40960)]);
    let mut build = Build::of(&model, 4096);
    for block in &mut build.blocks[10..] {
        *block = Block::Free;
    }
    let mut file = build.bytes();
    // Blocks in the disk's order.
    for block in 0..10 {
        patch(&mut file, 0x200 + 4 * block, block as u32 + 5);
    }
    file.resize(file.len() + 5 * 4096, 0);
    let image = open(file).unwrap();
    let mut cursor = image.cursor().unwrap();
    let data = 0x200 + 20 * 4 + 5 * 4096;
    assert_eq!(
        cursor.extent(100, 81820).unwrap(),
        Extent { length: 40860, kind: Kind::Plain { file: 0, offset: data + 100 } }
    );
    assert_eq!(cursor.extent(40960, 40960).unwrap(), Extent { length: 40960, kind: Kind::Absent });
}

#[test]
fn a_differencing_image_names_its_parent_and_leaves_free_blocks_to_it() {
    let below = Model::full(1, 16384, 4096, Texture::Noise);
    let parent = Build::of(&below, 4096);
    let above = Model::full(2, 16384, 4096, Texture::Text);
    for image_type in [3, 4] {
        let mut child = Build {
            image_type,
            parent: PARENT,
            parent_modification: [7; 16],
            ..Build::of(&above, 4096)
        };
        child.blocks[0] = Block::Free;
        child.blocks[2] = Block::Zero;
        let image = open(child.bytes()).unwrap();
        let named = image.parent().unwrap();
        assert_eq!(named.names, [""; 0]);
        assert_eq!(named.format.as_deref(), Some("vdi"));
        assert_eq!(named.id.as_deref(), Some(PARENT_TEXT));
        assert_eq!(image.id().as_deref(), Some(CREATION_TEXT));
        let mut cursor = image.cursor().unwrap();
        assert_eq!(cursor.extent(0, 16384).unwrap().kind, Kind::Absent);
        assert_eq!(cursor.extent(8192, 4096).unwrap().kind, Kind::Zero);
        drop(cursor);
        let chain = Chain::new(Arc::new(image), Arc::new(open(parent.bytes()).unwrap()));
        let mut found = vec![1; 16384];
        chain.cursor().unwrap().read(0, &mut found).unwrap();
        let mut expected = above.whole();
        expected[..4096].copy_from_slice(&below.bytes(0, 4096));
        expected[8192..12288].fill(0);
        assert!(found == expected);
    }
    assert!(open(parent.bytes()).unwrap().parent().is_none());
}

#[test]
fn an_old_differencing_image_names_its_parent_too() {
    let build = Build { version: 2, image_type: 4, parent: PARENT, ..small() };
    let image = open(build.bytes()).unwrap();
    assert_eq!(image.parent().unwrap().id.as_deref(), Some(PARENT_TEXT));
}

fn detail(description: &Description, name: &str) -> Option<Detail> {
    let found = description.details.iter().find(|detail| detail.0 == name);
    found.map(|detail| detail.1.clone())
}

#[test]
fn an_image_says_what_it_is() {
    let parent = Build { parent: PARENT, parent_modification: PARENT, image_type: 4, ..small() };
    let description = open(parent.bytes()).unwrap().describe();
    assert_eq!(description.subformat, "differencing");
    assert_eq!(description.creator.as_deref(), Some("Sun VirtualBox Disk Image"));
    assert_eq!(
        description.ids,
        [
            ("uuid", CREATION_TEXT.to_owned()),
            ("modification_uuid", MODIFICATION_TEXT.to_owned()),
            ("parent_uuid", PARENT_TEXT.to_owned()),
            ("parent_modification_uuid", PARENT_TEXT.to_owned()),
        ]
    );
    for (name, expected) in [
        ("header_version", Detail::Text("1.1".into())),
        ("header_size", Detail::Number(0x190)),
        ("block_size", Detail::Number(4096)),
        ("block_extra", Detail::Number(0)),
        ("blocks", Detail::Number(8)),
        ("blocks_allocated", Detail::Number(5)),
        ("map_offset", Detail::Number(0x200)),
        ("data_offset", Detail::Number(0x220)),
        ("geometry", Detail::Text("20/16/63".into())),
        ("logical_geometry", Detail::Text("5/64/63".into())),
        ("comment", Detail::Text("a comment, ü".into())),
    ] {
        assert_eq!(detail(&description, name), Some(expected), "{name}");
    }
    assert_eq!(description.warnings, []);
    for (build, subformat, version) in [
        (small(), "dynamic", "1.1"),
        (Build { image_type: 2, ..small() }, "static", "1.1"),
        (Build { version: 2, ..small() }, "dynamic", "0.2"),
        (Build { image_type: 3, parent: PARENT, ..small() }, "undo", "1.1"),
    ] {
        let description = open(build.bytes()).unwrap().describe();
        assert_eq!(description.subformat, subformat);
        assert_eq!(detail(&description, "header_version"), Some(Detail::Text(version.into())));
        assert!(build.version > 2 || detail(&description, "logical_geometry").is_none());
    }
}

#[test]
fn a_null_uuid_is_no_id() {
    let mut file = small().bytes();
    file[0x188..0x1a8].fill(0);
    let image = open(file).unwrap();
    assert_eq!(image.id(), None);
    let description = image.describe();
    assert_eq!(description.ids, []);
    let places: Vec<_> = description.warnings.iter().map(|problem| problem.at).collect();
    assert_eq!(places, [Some(0x188), Some(0x198)]);
}

#[test]
fn only_what_bears_the_signature_is_vdi() {
    let file = small().bytes();
    assert!(Vdi::probe(&file));
    assert!(Vdi::probe(&file[..68]));
    assert!(!Vdi::probe(&file[..67]));
    assert!(!Vdi::probe(&file[1..]));
    assert!(!Vdi::probe(b""));
}

/// Opens an image and asks for all of it.
fn first_error(file: Vec<u8>, budget: &Budget) -> Option<Error> {
    let image = match Vdi::open(Arc::new(file), budget) {
        Ok(image) => image,
        Err(error) => return Some(error),
    };
    let mut cursor = image.cursor().unwrap();
    let mut at = 0;
    while at < image.size() {
        match cursor.extent(at, image.size() - at) {
            Ok(extent) => at += extent.length,
            Err(error) => return Some(error),
        }
    }
    None
}

#[test]
fn contradictions_are_damage_with_a_place() {
    let parts: &[(&str, usize, u32, &str)] = &[
        ("signature", 0x40, 0xbeda_107e, "signature 0xbeda107e is not 0xbeda107f"),
        ("no block size", 0x178, 0, "block size 0x0 is no power of two"),
        ("block size", 0x178, 4095, "block size 0xfff"),
        ("block size of a byte", 0x178, 1, "block size 0x1"),
        ("fewer blocks", 0x180, 7, "7 blocks of 0x1000 bytes are too few"),
        ("no blocks", 0x180, 0, "0 blocks"),
        ("a larger disk", 0x174, 1, "too few for a disk of 0x100007e00 bytes"),
        ("a disk past all bounds", 0x174, u32::MAX, "0xffffffff00007e00 bytes"),
        ("map in the header", 0x154, 0x1c7, "block map at 0x1c7 lies in the header"),
        ("data in the map", 0x158, 0x21f, "data offset 0x21f lies in the block map of 0x20"),
        ("map behind the data", 0x154, u32::MAX - 1, "data offset 0x220 lies in the block map"),
        ("a block past the end", 0x200, 5, "map entry 0x5 for block 0 puts 0x1000 bytes at 0x5220"),
        ("far past the end", 0x200, u32::MAX - 2, "map entry 0xfffffffd for block 0"),
        ("a data offset past the end", 0x158, 0x1000_0000, "past the end of the file (0x5220)"),
        ("extra bytes that are not there", 0x17c, 0x8000_0000, "past the end of the file"),
        ("a differencing image without a parent", 0x4c, 4, "no parent uuid"),
        ("an undo image without a parent", 0x4c, 3, "no parent uuid"),
    ];
    for &(name, at, value, text) in parts {
        let mut file = small().bytes();
        patch(&mut file, at, value);
        let error = first_error(file, &Budget::default()).expect(name);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{name}: {error}");
        assert!(error.to_string().contains(text), "{name}: {error}");
        assert!(error.to_string().starts_with("memory: "), "{name}: {error}");
    }
}

#[test]
fn a_map_past_the_end_is_damage() {
    for (at, blocks) in [(0x200, 0x2000), (0x200, 0x1fff_ffff)] {
        let mut file = small().bytes();
        patch(&mut file, 0x180, blocks);
        patch(&mut file, 0x158, u32::MAX);
        let error = first_error(file, &Budget::default()).unwrap();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let text = format!("block map of {:#x} bytes at {at:#x} runs past the end", blocks * 4);
        assert!(error.to_string().contains(&text), "{error}");
    }
    let mut old = Build { version: 2, ..small() }.bytes();
    patch(&mut old, 0x16c, u32::MAX);
    let error = first_error(old, &Budget::default()).unwrap();
    assert!(error.to_string().contains("block map of 0x3fffffffc bytes at 0x1a4"), "{error}");
}

#[test]
fn what_is_unknown_is_unsupported() {
    for (at, value, text) in [
        (0x44, 0x0002_0001, "VDI version 2.1"),
        (0x44, u32::MAX, "VDI version 65535.65535"),
        (0x4c, 0, "VDI image type 0x0"),
        (0x4c, 5, "VDI image type 0x5"),
    ] {
        let mut file = small().bytes();
        patch(&mut file, at, value);
        let error = first_error(file, &Budget::default()).expect(text);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let small_budget = Limits::default().with_metadata(31).budget();
    let error = first_error(small().bytes(), &small_budget).unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("block map takes 32 bytes"), "{error}");
    let budget = Limits::default().with_virtual_size(8 * 4096 - 513).budget();
    assert_eq!(first_error(small().bytes(), &budget).unwrap().kind(), ErrorKind::Limit);
}

#[test]
fn a_bad_block_does_not_spoil_the_ones_before_it() {
    let mut file = small().bytes();
    patch(&mut file, 0x204, u32::MAX);
    patch(&mut file, 0x208, 0x1234);
    let image = open(file).unwrap();
    let mut cursor = image.cursor().unwrap();
    let extent = cursor.extent(4096, 8192).unwrap();
    assert_eq!(extent, Extent { length: 4096, kind: Kind::Absent });
    let error = cursor.extent(8192 + 100, 9000).unwrap_err();
    assert_eq!(error.place().offset, Some(8192 + 100));
    assert_eq!(error.place().length, Some(4096 - 100));
    assert!(cursor.read(8000, &mut [0; 400]).is_err());
    assert!(cursor.read(8000, &mut [0; 192]).is_ok());
}

#[test]
fn what_is_wrong_is_found_by_a_check() {
    use ProblemKind::{Corruption, Leak, Oddity};
    // The file's five blocks belong to the disk's blocks 7, 5, 3, 4 and 0.
    type Case =
        (&'static str, &'static [(usize, u32)], &'static [(ProblemKind, u64, &'static str)]);
    let cases: &[Case] = &[
        ("nothing", &[], &[]),
        (
            "an entry past the end",
            &[(0x200, 0x77)],
            &[
                (Corruption, 0x200, "map entry 0x77 for block 0 puts 0x1000 bytes at 0x77220"),
                (Leak, 0x184, "5 allocated blocks are stated, and 4 are in use"),
                (Leak, 0x4220, "blocks 0x4 to 0x4 of the file"),
            ],
        ),
        (
            "an entry twice",
            &[(0x20c, 0)],
            &[
                (Corruption, 0x21c, "map entry 0x0 for block 7 is also that of a block before"),
                (Leak, 0x184, "4 are in use"),
                (Leak, 0x2220, "blocks 0x2 to 0x2 of the file, 0x1000 bytes each"),
            ],
        ),
        (
            "too few are stated",
            &[(0x184, 4)],
            &[(Corruption, 0x184, "block 0x4 of the file is in use")],
        ),
        (
            "more are stated than there are",
            &[(0x184, 6)],
            &[(Corruption, 0x184, "6 allocated blocks are stated, and the file has 5")],
        ),
        (
            "more are stated than are used",
            &[(0x21c, u32::MAX)],
            &[
                (Leak, 0x184, "5 allocated blocks are stated, and 4 are in use"),
                (Leak, 0x220, "blocks 0x0 to 0x0 of the file"),
            ],
        ),
        (
            "blocks that nobody uses",
            &[(0x20c, u32::MAX), (0x210, u32::MAX - 1), (0x200, u32::MAX), (0x184, 2)],
            &[(Leak, 0x2220, "blocks 0x2 to 0x4 of the file")],
        ),
        (
            "null uuids",
            &[(0x188, 0), (0x18c, 0), (0x190, 0), (0x194, 0)],
            &[(Oddity, 0x188, "null")],
        ),
        ("flags", &[(0x50, 0x81)], &[(Oddity, 0x50, "unknown flags 0x80")]),
        ("a flag that is known", &[(0x50, 1)], &[]),
        ("header size", &[(0x48, 0x100)], &[(Oddity, 0x48, "header size 0x100 is below 0x180")]),
        ("a smaller disk", &[(0x170, 4096)], &[(Oddity, 0x180, "of which the disk needs 1")]),
    ];
    for (name, patches, expected) in cases {
        let mut file = small().bytes();
        for &(at, value) in *patches {
            patch(&mut file, at, value);
        }
        let found = problems(&open(file).unwrap());
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (problem, (kind, at, text)) in found.iter().zip(*expected) {
            assert_eq!((problem.kind, problem.at), (*kind, Some(*at)), "{name}: {problem:?}");
            assert!(problem.text.contains(text), "{name}: {problem:?}");
        }
    }
}

#[test]
fn an_old_image_is_checked_at_its_own_fields() {
    let mut file = Build { version: 2, ..small() }.bytes();
    patch(&mut file, 0x170, 1);
    file[0x184..0x194].fill(0);
    let found = problems(&open(file).unwrap());
    let fields: Vec<_> = found.iter().map(|problem| problem.at.unwrap()).collect();
    assert_eq!(fields, [0x184, 0x170]);
}

#[test]
fn an_empty_disk_is_a_disk() {
    let build = Build { size: 0, blocks: Vec::new(), ..small() };
    let image = open(build.bytes()).unwrap();
    assert_eq!(image.size(), 0);
    assert_eq!(problems(&image), []);
}

/// Opens any bytes as an image.
fn views(bytes: Arc<dyn Bytes>, budget: &Budget) -> fuzz::Views {
    vec![Vdi::open(bytes, budget).map(|image| Box::new(image) as Box<dyn Image>)]
}

#[test]
fn any_byte_may_be_another() {
    let images = [
        small(),
        Build { version: 2, ..small() },
        Build { image_type: 2, block_extra: 512, gap: 1, ..small() },
        Build { image_type: 4, parent: PARENT, parent_modification: PARENT, ..small() },
    ];
    for build in images {
        let file = build.bytes();
        let meta = 0x220.min(file.len());
        for at in 0x40..meta {
            // The comment.
            if (0x60..0x140).contains(&at) {
                continue;
            }
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] = value;
                fuzz::any_image(&file, views);
            }
        }
    }
}

#[test]
fn the_fixtures_store_uuids_as_virtualbox_does() {
    // As in an image that QEMU 10 made: a random uuid has a 4 in its eighth byte on disk.
    assert_eq!(mixed_endian(PARENT)[7] >> 4, 4);
}
