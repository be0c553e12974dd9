//! A service's life: one options value that opens images for as long as the process runs.
//!
//! A test binary of its own, with one test: the allocator counts for the whole process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::alloc::System;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cap::Cap;
use diskferry::block_stream::{Bytes, Plan, Result, Writing};
use diskferry::{Control, OpenOptions};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::format::{self, STAMP, options};
use diskferry_testkit::{Model, Texture};
use diskferry_vmdk as vmdk;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

/// Openings, of which each takes 128 KiB of tables or a window of 8 MiB: 1.3 GB in all, five times what one image
/// may take.
const OPENINGS: usize = 10_000;

const THREADS: usize = 8;

/// Table memory of an image here, about.
const TABLE: u64 = 128 << 10;

/// What one opening of these images may hold at a time: the window, and a decompressor's buffers.
const EACH: usize = 24 << 20;

#[test]
fn one_options_value_opens_ten_thousand_images_in_the_same_memory() {
    let images = images();
    let options = OpenOptions::default();
    let open = |number: usize| {
        let (name, bytes) = &images[number % images.len()];
        let opened = options.open_bytes(Arc::clone(bytes), None, &Control::default());
        let image = opened.unwrap_or_else(|error| panic!("{name}, opening {number}: {error}"));
        let mut cursor = image.disk().cursor().unwrap();
        cursor.read(0, &mut [1; 4096]).unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    // What is made once and kept is there then.
    (0..images.len()).for_each(open);
    let before = ALLOCATOR.allocated();
    let (next, peak) = (AtomicUsize::new(0), AtomicUsize::new(before));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= OPENINGS {
                        return;
                    }
                    open(number);
                    peak.fetch_max(ALLOCATOR.allocated(), Ordering::Relaxed);
                }
            });
        }
    });
    let used = peak.into_inner() - before;
    assert!(used < THREADS * EACH, "{used} bytes at a time");
    let kept = ALLOCATOR.allocated().saturating_sub(before);
    assert!(kept < 1 << 20, "{kept} bytes are kept");
}

/// Images with large tables, bare and wrapped.
fn images() -> Vec<(&'static str, Arc<dyn Bytes>)> {
    let vmdk = |text: &str, size: u64| {
        let options = options(text, <vmdk::Options as Writing>::set);
        vmdk::plan(Some(size), &options, &STAMP, Some("disk.vmdk"))
    };
    // The entries that a table has in 128 KiB, times what each of them maps.
    let (words, longs) = (TABLE / 4, TABLE / 8);
    let (qcow2, vdi, vhd, sparse) = (longs << 29, words << 20, words << 21, (longs / 2) << 25);
    let made: [(&str, u64, Result<Plan>); 5] = [
        ("qcow2", qcow2, diskferry_qcow2::plan(Some(qcow2), &Default::default())),
        ("vdi", vdi, diskferry_vdi::plan(Some(vdi), &Default::default(), &STAMP)),
        ("vhd", vhd, diskferry_vhd::plan(Some(vhd), &Default::default(), &STAMP)),
        ("vmdk", sparse, vmdk("subformat=monolithicSparse", sparse)),
        ("vmdk, streamOptimized", sparse, vmdk("subformat=streamOptimized", sparse)),
    ];
    let mut images: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, size, plan) in made {
        let file = format::write(plan.unwrap(), &Model::empty(size, 1 << 20)).unwrap();
        images.push((name, whole(file.as_ref())));
    }
    let zvhd2 = diskferry_zvhd::zvhd2::plan(Some(64 << 20), &Default::default(), &STAMP).unwrap();
    let full = Model::full(1, 64 << 20, 1 << 20, Texture::Text);
    images.push(("zvhd2", whole(format::write(zvhd2, &full).unwrap().as_ref())));
    let of = |wanted: &str| &images.iter().find(|(name, _)| *name == wanted).unwrap().1;
    let wrapped = vec![
        ("qcow2 in a tar", in_tar(of("qcow2"))),
        ("vmdk in a gzip file", in_gzip(of("vmdk, streamOptimized"))),
        ("tar in a zstd file", in_zstd(&in_tar(&vec![7; 1 << 20]))),
        ("tar in an xz file", in_xz(&in_tar(&vec![7; 1 << 20]))),
    ];
    let all = images.into_iter().chain(wrapped);
    all.map(|(name, bytes)| (name, Arc::new(bytes) as Arc<dyn Bytes>)).collect()
}

fn whole(bytes: &dyn Bytes) -> Vec<u8> {
    let mut whole = vec![0; bytes.len() as usize];
    bytes.read_at(0, &mut whole).unwrap();
    whole
}

/// A tar archive with that one member, among many that have a name only.
fn in_tar(disk: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("disk"), disk).unwrap();
    for number in 0..500 {
        fs::write(folder.path().join(format!("note-{number}")), "").unwrap();
    }
    let tar = "tar -cf ../x.tar note-*; tar -rf ../x.tar disk; mv ../x.tar .";
    let inner = folder.path().join("inner");
    let script = format!("mkdir {0}; mv note-* disk {0}; cd {0}; {tar}", inner.display());
    let status = command("bash").args(["-ec", &script]).current_dir(folder.path()).run_aloud();
    assert!(status.unwrap().success());
    fs::read(inner.join("x.tar")).unwrap()
}

fn in_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// With a window of 8 MiB.
fn in_zstd(bytes: &[u8]) -> Vec<u8> {
    let mut packer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    packer.window_log(23).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// With a dictionary of 1 MiB.
fn in_xz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 0);
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}
