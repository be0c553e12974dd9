//! The laws that every format passes, for every way to write VHD.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Kind, Plan, Result, Stamp, Writing,
};
use diskferry_testkit::format::{self, STAMP, problems};
use diskferry_testkit::{Model, Texture, laws};
use diskferry_vhd::{Options, Vhd, plan};

fn options(text: &str) -> Options {
    format::options(text, Writing::set)
}

fn make(text: &str, size: u64) -> Plan {
    plan(Some(size), &options(text), &STAMP).unwrap()
}

fn open(bytes: Arc<dyn Bytes>, size: u64) -> Result<Arc<dyn Disk>> {
    format::asked_for(Vhd::open(bytes, &Budget::default())?, size, 512)
}

fn write(text: &str, model: &Model) -> Arc<dyn Bytes> {
    format::write(make(text, model.size()), model).unwrap()
}

fn bytes_at(file: &Arc<dyn Bytes>, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    file.read_at(at, &mut bytes).unwrap();
    bytes
}

/// Ways to write, with their block size.
const WAYS: &[(&str, u64)] = &[
    ("", 2 << 20),
    ("block_size=512K", 512 << 10),
    ("block_size=1M,force_size=on", 1 << 20),
    ("subformat=fixed", 4096),
    ("subformat=fixed,preallocation=falloc", 4096),
    ("subformat=fixed,preallocation=full", 4096),
];

fn gallery(text: &str, grain: u64) -> impl Iterator<Item = Model> {
    // What is preallocated costs as if it were data.
    let most = if text.contains("full") { 64 << 20 } else { u64::MAX };
    Model::gallery(grain).into_iter().filter(move |model| model.size() <= most)
}

#[test]
fn every_way_to_write_passes_the_laws_of_writing() {
    for (text, grain) in WAYS {
        for model in gallery(text, *grain) {
            let size = model.size();
            laws::writing(|| make(text, size), |bytes| open(bytes, size), &model);
        }
    }
}

#[test]
fn whatever_fails_fails_cleanly() {
    for text in ["block_size=512K", "subformat=fixed"] {
        let model = Model::random(7, (5 << 20) + 512, 64 << 10);
        let size = model.size();
        laws::faults(|| make(text, size), |bytes| open(bytes, size), &model);
    }
}

#[test]
fn an_image_cut_short_is_damaged_or_whole() {
    for text in ["", "block_size=512K", "subformat=fixed"] {
        let model = Model::random(8, (5 << 20) + 512, 64 << 10);
        let open = |bytes| -> Result<Arc<dyn Disk>> {
            Ok(Arc::new(Vhd::open(bytes, &Budget::default())?))
        };
        laws::truncation(&write(text, &model), open, &model);
    }
}

#[test]
fn what_is_written_has_no_problems_and_is_recognised() {
    for (text, grain) in WAYS {
        for model in gallery(text, *grain) {
            let bytes = write(text, &model);
            let head = bytes_at(&bytes, 0, bytes.len().min(1024) as usize);
            let tail = bytes_at(&bytes, bytes.len() - 512, 512);
            assert!(Vhd::probe(&head, &tail), "{text}: {model}");
            let image = Vhd::open(bytes, &Budget::default()).unwrap();
            assert_eq!(problems(&image), [], "{text}: {model}");
            assert_eq!(image.describe().warnings, [], "{text}: {model}");
        }
    }
}

#[test]
fn stored_blocks_are_plain_extents_at_whole_pages() {
    let model = Model::full(1, 7 << 20, 65536, Texture::Noise);
    for (text, block) in [("", 2 << 20), ("block_size=512K", 512 << 10)] {
        let image = Vhd::open(write(text, &model), &Budget::default()).unwrap();
        let mut cursor = image.cursor().unwrap();
        for at in (0..image.size()).step_by(block) {
            let extent = cursor.extent(at, image.size() - at).unwrap();
            assert_eq!(extent.length, (block as u64).min(image.size() - at));
            let Kind::Plain { file: 0, offset } = extent.kind else { panic!("{extent:?}") };
            assert_eq!(offset % 4096, 0);
        }
    }
}

#[test]
fn the_footer_is_the_same_at_both_ends() {
    let bytes = write("", &Model::random(2, 5 << 20, 65536));
    let footer = bytes_at(&bytes, 0, 512);
    assert_eq!(footer, bytes_at(&bytes, bytes.len() - 512, 512));
    assert_eq!(footer[68..84], STAMP.uuid);
    // From 2000 to the stamp.
    assert_eq!(footer[24..28], (1_700_000_000_u32 - 946_684_800).to_be_bytes());
}

#[test]
fn times_that_a_footer_cannot_hold_become_the_nearest() {
    for (seconds, stored) in [(0, 0_u32), (946_684_801, 1), (u64::MAX, u32::MAX)] {
        let stamp = Stamp { seconds, ..STAMP };
        let Ok(Plan::Flat(flat)) = plan(Some(0), &options("subformat=fixed"), &stamp) else {
            panic!("fixed disks are flat")
        };
        assert_eq!(flat.tail[24..28], stored.to_be_bytes());
    }
}

#[test]
fn a_disk_of_2040_gib_is_the_largest_and_its_zeros_cost_nothing() {
    let most = 2040 << 30;
    let model = Model::empty(most, 2 << 20);
    for (text, bytes_at_most) in [("", 5 << 20), ("subformat=fixed", most + 512)] {
        let bytes = write(text, &model);
        assert!(bytes.len() <= bytes_at_most, "{text}: {} bytes", bytes.len());
        let image = Vhd::open(bytes, &Budget::default()).unwrap();
        let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
        assert_eq!((extent.length, extent.kind), (most, Kind::Zero), "{text}");
        for size in [most + 1, most + 512, u64::MAX] {
            let error = plan(Some(size), &options(text), &STAMP).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("2040 GiB"), "{error}");
        }
    }
}

#[test]
fn blocks_so_small_that_their_places_could_not_be_counted_are_refused() {
    for (text, fits) in [("block_size=512K", false), ("block_size=1M", true), ("", true)] {
        let planned = plan(Some(2040 << 30), &options(text), &STAMP);
        assert_eq!(planned.is_ok(), fits, "{text}");
        if let Err(error) = planned {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("block_size"), "{error}");
        }
    }
}

#[test]
fn a_disk_of_unknown_size_is_refused_before_any_work() {
    for text in ["", "subformat=fixed"] {
        let error = plan(None, &options(text), &STAMP).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_disk_of_another_size_than_planned_is_refused() {
    let model = Model::random(3, 5 << 20, 65536);
    for planned in [(5 << 20) - 512, (5 << 20) + 512, 1 << 20, 50 << 20] {
        let error = format::write(make("", planned), &model).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{planned}");
    }
}

#[test]
fn options_that_do_not_go_together_are_refused_before_any_work() {
    for (text, word) in [
        ("preallocation=falloc", "subformat=fixed"),
        ("preallocation=full,block_size=1M", "subformat=fixed"),
        ("subformat=fixed,block_size=2M", "subformat=dynamic"),
    ] {
        let error = plan(Some(1 << 20), &options(text), &STAMP).err().expect(text);
        assert_eq!(error.kind(), ErrorKind::Misuse, "{text}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    for (key, value) in [
        ("subformat", "differencing"),
        ("block_size", "256K"),
        ("block_size", "4M"),
        ("block_size", "1.5M"),
        ("block_size", "8G"),
        ("force_size", "off"),
        ("nonsense", "on"),
    ] {
        let error = Options::default().set(key, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{key}={value}");
    }
}

#[test]
fn only_fixed_disks_go_to_a_pipe() {
    let table_end = 512 + 1024 + 512;
    assert_eq!(make("", 1 << 20).owes(), Vec::from_iter(Some(0..table_end)));
    assert!(matches!(make("subformat=fixed", 1 << 20), Plan::Flat(_)));
}
