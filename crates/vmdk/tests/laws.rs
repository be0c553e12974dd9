//! The laws that every format passes, for every way to write a VMDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;

use common::{model_of, options, read_back, stamp, unit, write, write_files};
use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Kind, Plan, Result, Writing as _,
};
use diskferry_testkit::format::{self, problems};
use diskferry_testkit::{Model, Texture, laws};
use diskferry_vmdk::{Options, Vmdk, plan};

const GRAIN: u64 = 64 << 10;

/// Ways to write an image of one file.
const SINGLE: &[&str] = &["", "c=1", "subformat=monolithicSparse"];

/// Ways to write one of several.
const SPLIT: &[&str] = &[
    "subformat=monolithicFlat,adapter_type=ide",
    "subformat=twoGbMaxExtentFlat",
    "subformat=twoGbMaxExtentSparse,hwversion=10",
];

fn open(bytes: Arc<dyn Bytes>, size: u64) -> Result<Arc<dyn Disk>> {
    format::asked_for(Vmdk::open(bytes, &Budget::default())?, size, GRAIN)
}

fn make(text: &str, size: u64) -> Plan {
    plan(Some(size), &options(text), &stamp(), Some("disk.vmdk")).unwrap()
}

#[test]
fn every_way_to_write_one_file_passes_the_laws_of_writing() {
    for text in SINGLE {
        for model in Model::gallery(GRAIN) {
            let size = model.size();
            laws::writing(|| make(text, size), |bytes| open(bytes, size), &model);
        }
    }
}

#[test]
fn every_part_of_several_files_passes_the_laws_of_writing() {
    for text in SPLIT {
        for model in Model::gallery(GRAIN) {
            let size = model.size();
            if size == 0 || size > 64 << 20 {
                continue;
            }
            let part = || {
                let Plan::Split(split) = make(text, size) else { panic!("{text} is split") };
                split.parts.into_iter().next().unwrap().plan
            };
            let open = |part: Arc<dyn Bytes>| {
                let Plan::Split(split) = make(text, size) else { panic!("{text} is split") };
                let descriptor = (split.descriptor)(&["part.vmdk".to_owned()])?;
                let budget = Budget::default();
                let image = Vmdk::open(Arc::new(descriptor), &budget)?;
                format::asked_for(image.with_extents(vec![part], &budget)?, size, unit(text))
            };
            laws::writing(part, open, &model);
        }
    }
}

#[test]
fn several_files_are_one_disk() {
    for text in SPLIT {
        for model in Model::gallery(GRAIN) {
            // A flat image of 3 GiB is more than memory should hold.
            if text.contains("Flat") && model.size() > 64 << 20 {
                continue;
            }
            let size = model.size();
            let image = read_back(&write_files(text, &model));
            assert_eq!(problems(&image), [], "{text}: {model}");
            let disk = format::asked_for(image, size, unit(text)).unwrap();
            laws::reading(disk.as_ref(), &model);
        }
    }
}

#[test]
fn whatever_fails_fails_cleanly() {
    for text in SINGLE {
        let model = Model::random(7, 2 << 20, 4096);
        let size = model.size();
        laws::faults(|| make(text, size), |bytes| open(bytes, size), &model);
    }
}

#[test]
fn an_image_cut_short_is_damaged_or_whole() {
    for text in SINGLE {
        let model = Model::random(8, 2 << 20, 4096);
        let open = |bytes| -> Result<Arc<dyn Disk>> {
            Ok(Arc::new(Vmdk::open(bytes, &Budget::default())?))
        };
        laws::truncation(&write(text, &model), open, &model);
    }
}

#[test]
fn a_part_cut_short_is_damaged_or_whole() {
    for text in SPLIT {
        let model = Model::random(9, 2 << 20, 4096);
        let files = write_files(text, &model);
        let open = |part: Arc<dyn Bytes>| -> Result<Arc<dyn Disk>> {
            let budget = Budget::default();
            let image = Vmdk::open(Arc::clone(&files[0].1), &budget)?;
            Ok(Arc::new(image.with_extents(vec![part], &budget)?))
        };
        laws::truncation(&files[1].1, open, &model);
    }
}

#[test]
fn what_is_written_has_no_problems() {
    for text in SINGLE {
        for model in Model::gallery(GRAIN) {
            let image = Vmdk::open(write(text, &model), &Budget::default()).unwrap();
            assert_eq!(problems(&image), [], "{text}: {model}");
            assert_eq!(image.describe().warnings, [], "{text}: {model}");
        }
    }
}

#[test]
fn huge_empty_disks_take_little() {
    for (text, most) in [("", 9 << 20), ("subformat=monolithicSparse", 9 << 30)] {
        let model = Model::empty(62 << 40, GRAIN);
        let bytes = write(text, &model);
        let image = Vmdk::open(Arc::clone(&bytes), &Budget::default()).unwrap();
        assert_eq!(image.size(), 62 << 40);
        assert!(bytes.len() < most, "{text}: {} bytes", bytes.len());
        assert!(bytes.allocated().unwrap() < 40 << 20, "{text}: {:?} bytes", bytes.allocated());
    }
}

#[test]
fn a_sparse_disk_of_4_tib_reads_as_it_was_written() {
    let model = Model::sparse(3, 4 << 40, GRAIN);
    for text in ["", "subformat=monolithicSparse"] {
        let image = Vmdk::open(write(text, &model), &Budget::default()).unwrap();
        // Every run of zeros would be walked, table by table.
        let mut cursor = image.cursor().unwrap();
        for part in model.parts() {
            let length = part.length.min(1 << 20) as usize;
            let mut found = vec![1; length];
            cursor.read(part.at, &mut found).unwrap();
            assert!(found == model.bytes(part.at, length), "{text}: {part:?}");
        }
    }
}

#[test]
fn stored_grains_are_plain_extents_at_whole_grains_of_the_file() {
    let model = Model::full(1, 8 << 20, GRAIN, Texture::Noise);
    let image =
        Vmdk::open(write("subformat=monolithicSparse", &model), &Budget::default()).unwrap();
    let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
    assert_eq!(extent.length, 8 << 20, "neighbours in the file are one extent");
    let Kind::Plain { file: 0, offset } = extent.kind else { panic!("{extent:?}") };
    assert_eq!(offset % GRAIN, 0);
}

#[test]
fn parts_are_named_and_as_long_as_vmwares() {
    const PART: u64 = 2047 << 20;
    let split = |text: &str, size| match make(text, size) {
        Plan::Split(split) => split,
        _ => panic!("{text} is split"),
    };
    for (size, lengths) in [
        (2 * PART, vec![PART, PART]),
        (2 * PART + 1, vec![PART, PART, 1]),
        ((2 << 30) - 512, vec![PART, (1 << 20) - 512]),
        (512, vec![512]),
        // A descriptor without extents is one that lost them.
        (0, vec![0]),
    ] {
        for (text, letter) in
            [("subformat=twoGbMaxExtentSparse", 's'), ("subformat=twoGbMaxExtentFlat", 'f')]
        {
            let parts = split(text, size).parts;
            let found: Vec<_> = parts.iter().map(|part| part.length).collect();
            assert_eq!(found, lengths, "{text}");
            for (index, part) in parts.iter().enumerate() {
                assert_eq!(part.suffix, format!("-{letter}{:03}", index + 1));
            }
        }
    }
    let parts = split("subformat=monolithicFlat", 3 << 30).parts;
    assert_eq!(parts.iter().map(|part| &*part.suffix).collect::<Vec<_>>(), ["-flat"]);
    let names = ["a-s001.vmdk".to_owned(), "a-s002.vmdk".to_owned()];
    let text = (split("subformat=twoGbMaxExtentSparse", PART + 513).descriptor)(&names).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("RW 4192256 SPARSE \"a-s001.vmdk\"\nRW 128 SPARSE \"a-s002.vmdk\"\n"),
        "{text}"
    );
    let text = (split("subformat=twoGbMaxExtentFlat", PART + 513).descriptor)(&names).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("RW 2 FLAT \"a-s002.vmdk\" 0\n"), "{text}");
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let size = Some(1 << 20);
    for (text, word) in [
        ("c=0", "level"),
        ("c=13", "level"),
        ("c,subformat=monolithicSparse", "monolithicSparse"),
        ("c,subformat=monolithicFlat", "monolithicFlat"),
    ] {
        let error = plan(size, &options(text), &stamp(), None).err().expect(text);
        assert_eq!(error.kind(), ErrorKind::Misuse, "{text}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    for (key, value) in [
        ("subformat", "fullDevice"),
        ("adapter_type", "nvme"),
        ("hwversion", "0"),
        ("hwversion", "x"),
        ("nonsense", "on"),
    ] {
        let error = Options::default().set(key, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{key}={value}");
    }
    for text in SINGLE.iter().chain(SPLIT) {
        for size in [None, Some((1 << 50) + 1)] {
            let error = plan(size, &options(text), &stamp(), None).err().expect(text);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
        }
    }
}

#[test]
fn a_disk_of_another_size_than_planned_is_refused() {
    for text in SINGLE {
        let small = model_of(1 << 20);
        let large = model_of(200 << 20);
        for (planned, found) in [(&small, &large), (&large, &small)] {
            let error = common::try_write(text, planned.size(), found).err().expect(text);
            assert_eq!(error.kind(), ErrorKind::Misuse, "{text}: {error}");
        }
    }
}
