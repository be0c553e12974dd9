//! The laws that every format passes, for every way to write VDI.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Kind, Plan, Result, Stamp, Writing,
};
use diskferry_testkit::format::{self, problems};
use diskferry_testkit::{Model, Texture, laws};
use diskferry_vdi::{Options, Vdi, plan};

const UUID: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x80\x11\x22\x33\x44\x55\x66\x77";
const STAMP: Stamp = Stamp { uuid: UUID, seconds: 0 };

fn options(text: &str) -> Options {
    format::options(text, Writing::set)
}

fn make(text: &str, size: u64) -> Plan {
    plan(Some(size), &options(text), &STAMP).unwrap()
}

fn open(bytes: Arc<dyn Bytes>, size: u64) -> Result<Arc<dyn Disk>> {
    format::asked_for(Vdi::open(bytes, &Budget::default())?, size, 512)
}

fn write(text: &str, model: &Model) -> Arc<dyn Bytes> {
    format::write(make(text, model.size()), model).unwrap()
}

const WAYS: &[&str] = &[
    "",
    "subformat=dynamic,preallocation=off",
    "subformat=static",
    "subformat=static,preallocation=falloc",
    "subformat=static,preallocation=full",
];

#[test]
fn every_way_to_write_passes_the_laws_of_writing() {
    for text in WAYS {
        for model in Model::gallery(1 << 20) {
            let size = model.size();
            laws::writing(|| make(text, size), |bytes| open(bytes, size), &model);
        }
    }
}

#[test]
fn a_disk_of_4_tib_passes_the_laws_of_writing() {
    // A whole number of map pages, and a map that ends inside one.
    for size in [4 << 40, (4 << 40) - (70 << 20) + 512] {
        let model = Model::sparse(6, size, 65536);
        laws::writing(|| make("", size), |bytes| open(bytes, size), &model);
    }
}

#[test]
fn whatever_fails_fails_cleanly() {
    for text in ["", "subformat=static"] {
        let model = Model::random(7, (5 << 20) + 512, 65536);
        let size = model.size();
        laws::faults(|| make(text, size), |bytes| open(bytes, size), &model);
    }
}

#[test]
fn an_image_cut_short_is_damaged_or_whole() {
    for text in ["", "subformat=static"] {
        let model = Model::random(8, (5 << 20) + 512, 65536);
        let size = model.size();
        laws::truncation(&write(text, &model), |bytes| open(bytes, size), &model);
    }
}

#[test]
fn what_is_written_has_no_problems() {
    for text in WAYS {
        for model in Model::gallery(1 << 20) {
            let image = Vdi::open(write(text, &model), &Budget::default()).unwrap();
            assert_eq!(problems(&image), [], "{text}: {model}");
            assert_eq!(image.describe().warnings, [], "{text}: {model}");
        }
    }
}

#[test]
fn the_ids_are_the_stamp_and_what_is_made_from_it() {
    let model = Model::random(1, 3 << 20, 4096);
    for text in ["", "subformat=static"] {
        let image = Vdi::open(write(text, &model), &Budget::default()).unwrap();
        let id = "01234567-89ab-4def-8011-223344556677";
        assert_eq!(image.id().as_deref(), Some(id));
        assert!(image.parent().is_none());
        let description = image.describe();
        let ids: Vec<_> = description.ids.iter().map(|id| id.0).collect();
        assert_eq!(ids, ["uuid", "modification_uuid"]);
        assert_ne!(description.ids[1].1, id);
        assert_eq!(description.creator.as_deref(), Some("diskferry VirtualBox Disk Image"));
    }
}

#[test]
fn an_empty_dynamic_disk_is_a_header_and_a_map() {
    let model = Model::empty(256 << 30, 65536);
    let bytes = write("", &model);
    assert_eq!(bytes.len(), 2 << 20);
    let image = Vdi::open(bytes, &Budget::default()).unwrap();
    let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
    assert_eq!((extent.length, extent.kind), (256 << 30, Kind::Absent));
}

#[test]
fn stored_blocks_are_plain_extents_at_whole_mib() {
    let model = Model::full(1, (8 << 20) + 512, 65536, Texture::Noise);
    for text in ["", "subformat=static"] {
        let bytes = write(text, &model);
        assert_eq!(bytes.len(), 11 << 20, "{text}: blocks are whole in the file");
        let image = Vdi::open(bytes, &Budget::default()).unwrap();
        let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
        assert_eq!(extent.length, (8 << 20) + 512, "{text}: neighbours in the file are one extent");
        assert_eq!(extent.kind, Kind::Plain { file: 0, offset: 2 << 20 }, "{text}");
    }
}

#[test]
fn holes_of_a_static_image_are_zeros_of_the_disk() {
    let parts = [(Texture::Noise, 1 << 20), (Texture::Absent, 1 << 30), (Texture::Text, 1 << 20)];
    let model = Model::of(3, 1 << 20, &parts);
    let image = Vdi::open(write("subformat=static", &model), &Budget::default()).unwrap();
    let mut cursor = image.cursor().unwrap();
    let extent = cursor.extent(1 << 20, 1 << 31).unwrap();
    assert_eq!((extent.length, extent.kind), (1 << 30, Kind::Zero));
    assert_eq!(problems(&image), []);
}

#[test]
fn what_cannot_be_planned_is_refused_before_any_work() {
    let most = 0x1fff_ff80 << 20;
    assert!(plan(Some(most), &options(""), &STAMP).is_ok());
    for (size, text, stamp, kind, word) in [
        (None, "", STAMP, ErrorKind::Unsupported, "size"),
        (Some(most + 1), "", STAMP, ErrorKind::Unsupported, "at most"),
        (Some(u64::MAX), "", STAMP, ErrorKind::Unsupported, "at most"),
        (Some(1), "", Stamp::default(), ErrorKind::Misuse, "uuid"),
        (Some(1), "preallocation=full", STAMP, ErrorKind::Misuse, "subformat=static"),
    ] {
        let error = plan(size, &options(text), &stamp).err().expect(word);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    for (key, value) in
        [("subformat", "fixed"), ("preallocation", "metadata"), ("block_size", "2M")]
    {
        let error = Options::default().set(key, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{key}={value}");
    }
}

#[test]
fn a_disk_of_another_size_than_planned_is_refused() {
    for size in [(3 << 20) + 512, (4 << 20) + 512, 9 << 20, 2 << 20] {
        let model = Model::full(1, (3 << 20) + 1024, 512, Texture::Noise);
        let error = format::write(make("", size), &model).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{size}");
    }
}

#[test]
fn a_static_image_goes_to_a_pipe_and_a_dynamic_one_does_not() {
    assert!(matches!(make("subformat=static", 1 << 20), Plan::Flat(_)));
    assert_eq!(make("", 1 << 20).owes(), [0..1 << 20, 1 << 20..2 << 20]);
}
