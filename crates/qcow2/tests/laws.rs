//! The laws that every format passes, for every way to write qcow2.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Disk, ErrorKind, Kind, Result, Writing as _};
use diskferry_qcow2::{Options, Qcow2, plan};
use diskferry_testkit::format::{self, problems};
use diskferry_testkit::{Model, Texture, laws};

/// Options as on the command line; `c` asks for compression.
fn options(text: &str) -> Options {
    format::options(text, |options: &mut Options, key, value| match key {
        "c" => options.compress(value.parse().ok()),
        _ => options.set(key, value),
    })
}

fn open(bytes: Arc<dyn Bytes>, size: u64) -> Result<Arc<dyn Disk>> {
    format::asked_for(Qcow2::open(bytes, &Budget::default())?, size, 512)
}

fn write(text: &str, model: &Model) -> Arc<dyn Bytes> {
    format::write(plan(Some(model.size()), &options(text)).unwrap(), model).unwrap()
}

/// Ways to write, with their cluster size.
const WAYS: &[(&str, u64)] = &[
    ("", 65536),
    ("c", 65536),
    ("c=1", 65536),
    ("c,compression_type=zstd", 65536),
    ("compat=0.10,c=9", 65536),
    ("compat=0.10,cluster_size=4K", 4096),
    ("cluster_size=512", 512),
    ("cluster_size=512,c", 512),
    ("cluster_size=2M", 2 << 20),
    ("cluster_size=2M,c,compression_type=zstd", 2 << 20),
    ("cluster_size=1K,preallocation=metadata", 1024),
    ("preallocation=falloc", 65536),
    ("preallocation=full,cluster_size=4K", 4096),
    ("extended_l2=on,cluster_size=16K", 16384),
    ("extended_l2=on,c", 65536),
    ("extended_l2=on,preallocation=metadata", 65536),
    ("lazy_refcounts=on", 65536),
];

#[test]
fn every_way_to_write_passes_the_laws_of_writing() {
    for (text, cluster) in WAYS {
        for model in Model::gallery(*cluster) {
            // Preallocation maps every cluster, which takes its time on huge sparse disks.
            if text.contains("preallocation") && model.size() > 64 << 20 {
                continue;
            }
            let size = model.size();
            let make = || plan(Some(size), &options(text)).unwrap();
            laws::writing(make, |bytes| open(bytes, size), &model);
        }
    }
}

#[test]
fn a_disk_whose_size_is_known_only_at_the_end_is_written_the_same() {
    let model = Model::random(5, (3 << 20) + 512, 4096);
    for text in ["", "c", "extended_l2=on"] {
        let make = || plan(None, &options(text)).unwrap();
        laws::writing(make, |bytes| open(bytes, model.size()), &model);
    }
}

#[test]
fn whatever_fails_fails_cleanly() {
    for text in ["cluster_size=4K", "cluster_size=4K,c", "cluster_size=512"] {
        let model = Model::random(7, 600 << 10, 512);
        let size = model.size();
        let make = || plan(Some(size), &options(text)).unwrap();
        laws::faults(make, |bytes| open(bytes, size), &model);
    }
}

#[test]
fn an_image_cut_short_is_damaged_or_whole() {
    for text in ["cluster_size=4K", "cluster_size=4K,c", "extended_l2=on,cluster_size=16K"] {
        let model = Model::random(8, 600 << 10, 512);
        let open = |bytes| -> Result<Arc<dyn Disk>> {
            Ok(Arc::new(Qcow2::open(bytes, &Budget::default())?))
        };
        laws::truncation(&write(text, &model), open, &model);
    }
}

#[test]
fn what_is_written_has_no_problems() {
    for (text, cluster) in WAYS {
        for model in Model::gallery(*cluster) {
            if text.contains("preallocation") && model.size() > 64 << 20 {
                continue;
            }
            let image = Qcow2::open(write(text, &model), &Budget::default()).unwrap();
            assert_eq!(problems(&image), [], "{text}: {model}");
        }
    }
}

#[test]
fn many_refcount_blocks_count_right() {
    // Blocks of 256 clusters of 512 bytes: 40 MiB take more than 300 of them.
    for text in ["cluster_size=512", "cluster_size=512,c"] {
        let model = Model::random(9, 40 << 20, 4096);
        let bytes = write(text, &model);
        let image = Qcow2::open(Arc::clone(&bytes), &Budget::default()).unwrap();
        assert_eq!(problems(&image), [], "{text}");
        laws::reading(&image, &model);
    }
}

#[test]
fn an_empty_disk_of_64_tib_is_a_few_clusters() {
    let model = Model::empty(64 << 40, 65536);
    let bytes = write("", &model);
    let image = Qcow2::open(Arc::clone(&bytes), &Budget::default()).unwrap();
    let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
    assert_eq!((extent.length, extent.kind), (64 << 40, Kind::Absent));
    assert!(bytes.len() < 2 << 20, "{} bytes", bytes.len());
}

#[test]
fn stored_clusters_are_plain_extents_of_the_file() {
    let model = Model::full(1, 8 << 20, 65536, Texture::Noise);
    let image = Qcow2::open(write("", &model), &Budget::default()).unwrap();
    let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
    assert_eq!(extent.length, 8 << 20, "neighbours in the file are one extent");
    assert!(matches!(extent.kind, Kind::Plain { file: 0, .. }));
}

#[test]
fn clusters_that_do_not_shrink_are_stored() {
    let model = Model::full(1, 8 << 20, 65536, Texture::Noise);
    let bytes = write("c", &model);
    assert!(bytes.len() <= (8 << 20) + 8 * 65536, "{} bytes", bytes.len());
    let image = Qcow2::open(bytes, &Budget::default()).unwrap();
    let extent = image.cursor().unwrap().extent(0, image.size()).unwrap();
    assert!(matches!(extent.kind, Kind::Plain { .. }));
}

#[test]
fn options_that_do_not_go_together_are_refused_before_any_work() {
    for (text, word) in [
        ("compat=0.10,compression_type=zstd", "compression_type"),
        ("compat=v2,lazy_refcounts=on", "lazy_refcounts"),
        ("compat=0.10,extended_l2=on", "extended_l2"),
        ("extended_l2=on,cluster_size=8K", "16K"),
        ("c,preallocation=metadata", "preallocation"),
        ("c=10", "level"),
        ("c=0", "level"),
        ("c=23,compression_type=zstd", "level"),
    ] {
        let error = plan(Some(1 << 20), &options(text)).err().expect(text);
        assert_eq!(error.kind(), ErrorKind::Misuse, "{text}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    for (key, value) in
        [("cluster_size", "3K"), ("cluster_size", "4M"), ("compat", "1.2"), ("nonsense", "on")]
    {
        let error = Options::default().set(key, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{key}={value}");
    }
}

#[test]
fn a_disk_too_large_for_its_l1_table_is_refused_before_any_work() {
    // 4 Mi entries, each for 64 clusters of 512 bytes.
    let most = (4 << 20) * 64 * 512;
    assert!(plan(Some(most), &options("cluster_size=512")).is_ok());
    let error = plan(Some(most + 512), &options("cluster_size=512")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("cluster_size"), "{error}");
}

#[test]
fn the_header_and_the_block_of_counts_come_last() {
    let plan = plan(Some(1 << 20), &options("cluster_size=4K")).unwrap();
    assert_eq!(plan.owes(), [0..0x1000, 0x1000..0x2000]);
}
