//! ZVHD files whose blocks refer to one another, all of them, some, or none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{BLOCK, Format, chained, headed, zvhd};
use diskferry_block_stream::{Budget, Bytes, Disk, Order, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{CopyOptions, Job, Source, compare, copy, digest};
use diskferry_testkit::format::problems;
use diskferry_testkit::{Model, Random, Recorder, Texture, laws};
use diskferry_zvhd::zvhd::{self, Zvhd};

/// Text refers back wherever it can.
fn model(blocks: u64) -> Model {
    Model::full(9, blocks * BLOCK as u64 - 4096, 4096, Texture::Text)
}

/// The model in groups of so many blocks, each group with a history of its own.
fn image(model: &Model, level: u32, groups: &[usize]) -> Vec<u8> {
    let mut whole = model.whole();
    whole.resize(whole.len().next_multiple_of(BLOCK), 0);
    let blocks: Vec<&[u8]> = whole.chunks(BLOCK).collect();
    assert_eq!(groups.iter().sum::<usize>(), blocks.len());
    let mut units: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut left = &blocks[..];
    for group in groups {
        let (these, others) = left.split_at(*group);
        for payload in chained(level, these) {
            units.push((units.len() as u32, payload));
        }
        left = others;
    }
    units[0].1 = headed(&units[0].1);
    zvhd(model.size(), model.size(), &units)
}

/// Counts the bytes that are read.
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl Counted {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes, read: AtomicU64::new(0) })
    }

    fn take(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl Bytes for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_at(at, buf)
    }
}

fn open(bytes: Arc<dyn Bytes>) -> Zvhd {
    Zvhd::open(bytes, &Budget::default()).unwrap()
}

const GROUPS: &[(&[usize], Order)] = &[
    (&[7], Order::Forward),
    (&[1, 1, 1, 1, 1, 1, 1], Order::Grains),
    (&[1, 3, 1, 2], Order::Forward),
    (&[6, 1], Order::Forward),
    (&[1, 1, 1, 1, 1, 2], Order::Forward),
];

#[test]
fn however_blocks_depend_on_one_another_every_byte_is_right() {
    let model = model(7);
    let mut known = None;
    for level in [1, 6] {
        for (groups, order) in GROUPS {
            let bytes = image(&model, level, groups);
            let disk = open(Arc::new(bytes.clone()));
            assert_eq!(disk.order(), *order, "level {level}, {groups:?}");
            if level == 6 {
                laws::reading(&disk, &model);
            }
            let whole = model.whole();
            assert!(Format::Zvhd.read(&bytes).unwrap() == whole, "level {level}, {groups:?}");
            assert!(Format::Zvhd.read_stream(&bytes).unwrap() == whole, "{level}, {groups:?}");
            for threads in [1, 2, 7] {
                let job = Job::new(threads).unwrap();
                let digests = digest(Source::Disk(&disk), &[Algorithm::Sha256], &job).unwrap();
                assert_eq!(known.get_or_insert_with(|| digests.clone()), &digests);
            }
        }
    }
    let found = digest(Source::Disk(&model), &[Algorithm::Sha256], &Job::new(1).unwrap()).unwrap();
    assert_eq!(known, Some(found));
}

/// What the few units that are tried do not tell is read right all the same.
#[test]
fn a_dependence_that_is_not_found_costs_time_only() {
    let model = model(40);
    let groups: Vec<usize> = [&[1][..], &[1; 16], &[1, 2], &[1; 20]].concat();
    let tried = |index: usize| (0..16).any(|number| 1 + number * 39 / 16 == index);
    let dependent = groups.iter().take_while(|group| **group == 1).sum::<usize>() + 1;
    assert!(!tried(dependent), "unit {dependent} is tried");
    let disk = open(Arc::new(image(&model, 6, &groups)));
    assert_eq!(disk.order(), Order::Grains);
    for threads in [1, 7] {
        let recorder = Recorder::new();
        let job = Job::new(threads).unwrap();
        let plan =
            zvhd::plan(Some(model.size()), &zvhd::Options::default(), &Default::default()).unwrap();
        copy(Source::Disk(&disk), plan, &recorder, &CopyOptions::default(), &job).unwrap();
        let written: Arc<dyn Disk> = Arc::new(open(recorder.recorded()));
        assert_eq!(written.order(), Order::Grains);
        let disk: Arc<dyn Disk> = Arc::new(open(Arc::new(image(&model, 6, &groups))));
        let difference = compare(&written, &disk, &job).unwrap();
        assert!(
            matches!(difference, Some(diskferry_engine::Difference::Size(..))),
            "{difference:?}"
        );
    }
}

#[test]
fn going_forward_each_unit_is_read_once() {
    let model = model(12);
    let bytes = Counted::new(image(&model, 6, &[12]));
    let disk = open(Arc::clone(&bytes) as Arc<dyn Bytes>);
    let opening = bytes.take();
    assert!(opening < 12 * 60_000, "{opening} bytes read at opening");
    let mut cursor = disk.cursor().unwrap();
    let mut buf = vec![0; 300_001];
    for at in (0..disk.size()).step_by(buf.len()) {
        let length = (disk.size() - at).min(buf.len() as u64) as usize;
        cursor.extent(at, disk.size() - at).unwrap();
        cursor.read(at, &mut buf[..length]).unwrap();
    }
    let read = bytes.take();
    assert!(read <= bytes.len(), "{read} bytes of {}", bytes.len());
    // Anywhere, it takes what precedes the block, twice: back to where it can begin, then forward.
    let mut cursor = disk.cursor().unwrap();
    cursor.read(disk.size() - 1, &mut buf[..1]).unwrap();
    let read = bytes.take();
    assert!(read <= 2 * bytes.len(), "{read} bytes of {}", bytes.len());
}

/// Seven threads that take blocks in turns, as if nobody had told them that the blocks depend on
/// one another.
#[test]
fn a_cursor_that_skips_blocks_passes_each_of_them_once() {
    let model = model(28);
    let bytes = Counted::new(image(&model, 6, &[28]));
    let disk = open(Arc::clone(&bytes) as Arc<dyn Bytes>);
    bytes.take();
    let mut block = vec![0; BLOCK - 4096];
    for thread in 0..7 {
        let mut cursor = disk.cursor().unwrap();
        for number in (thread..28).step_by(7) {
            cursor.read(number * BLOCK as u64, &mut block).unwrap();
            assert!(block == model.bytes(number * BLOCK as u64, block.len()), "block {number}");
        }
    }
    let read = bytes.take();
    assert!(read <= 2 * 7 * bytes.len(), "{read} bytes of {}", bytes.len());
}

#[test]
fn a_check_of_a_chain_that_breaks_reads_it_once() {
    let model = model(30);
    let mut file = image(&model, 6, &[30]);
    let image = open(Arc::new(file.clone()));
    assert_eq!(problems(&image), []);
    // The third unit.
    let mut at = 4096;
    for _ in 0..2 {
        let size = u32::from_le_bytes(file[at + 12..at + 16].try_into().unwrap()) as usize;
        at += (size + 52).next_multiple_of(4096);
    }
    file[at + 48..at + 3000].fill(0xa7);
    let bytes = Counted::new(file);
    let image = open(Arc::clone(&bytes) as Arc<dyn Bytes>);
    bytes.take();
    let problems = problems(&image);
    assert_eq!(problems.len(), 28, "{problems:?}");
    assert!(problems[1].text.contains("block 2 before it is damaged"), "{:?}", problems[1]);
    let read = bytes.take();
    assert!(read <= 3 * bytes.len(), "{read} bytes of {}", bytes.len());
}

#[test]
fn cursors_that_jump_about_read_what_is_there() {
    let model = model(9);
    for groups in [&[9][..], &[2, 1, 3, 1, 2]] {
        let disk = open(Arc::new(image(&model, 6, groups)));
        let mut random = Random::new(5);
        let mut cursor = disk.cursor().unwrap();
        for _ in 0..60 {
            let at = random.below(disk.size());
            let length = random.length((disk.size() - at).min(700_000)) as usize;
            let mut found = vec![0xa5; length];
            cursor.read(at, &mut found).unwrap();
            assert!(found == model.bytes(at, length), "{length} bytes at {at:#x}");
        }
    }
}
