//! Disks that come in order, where each look back takes reading all from the front again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{LINUX, MIB, Sparse, Table, entry, mbr};
use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Disk, ErrorKind, Extent, Order, Result as Outcome,
};
use diskferry_inspect::{ContentKind, inspect};

/// Counts how often somebody looks back.
struct InOrder {
    disk: Sparse,
    back: AtomicUsize,
}

impl InOrder {
    fn new(disk: &Sparse) -> Self {
        Self { disk: disk.clone(), back: AtomicUsize::new(0) }
    }

    fn back(&self) -> usize {
        self.back.load(Ordering::Relaxed)
    }
}

impl Disk for InOrder {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn grain(&self) -> u64 {
        self.disk.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn order(&self) -> Order {
        Order::Forward
    }

    fn cursor(&self) -> Outcome<Box<dyn Cursor + '_>> {
        Ok(Box::new(InOrderCursor { inner: self.disk.cursor()?, at: 0, back: &self.back }))
    }
}

struct InOrderCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    at: u64,
    back: &'a AtomicUsize,
}

impl Cursor for InOrderCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Outcome<Extent> {
        self.inner.extent(at, limit)
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Outcome<()> {
        if at < self.at {
            self.back.fetch_add(1, Ordering::Relaxed);
        }
        self.at = at + buf.len() as u64;
        self.inner.read(at, buf)
    }
}

/// An ext4 superblock as far as it is looked at.
fn put_ext4(disk: &mut Sparse, start: u64) {
    disk.put(start + 1024 + 0x38, &[0x53, 0xEF]).put(start + 1024 + 0x60, &[0x40]);
}

#[test]
fn partitions_in_any_order_are_looked_into_in_the_disks() {
    // The last one first, and each of 4 MiB, up to the end of which there is something to look at.
    let starts: Vec<u64> = (1..=128).rev().map(|index| index * 4 * MIB).collect();
    let last = |start| (start + 4 * MIB) / 512 - 1;
    let parts: Vec<_> =
        starts.iter().map(|start| (LINUX, start / 512, last(start), 0, "")).collect();
    let mut disk = Table::new(1 << 30, &parts).disk();
    starts.iter().for_each(|start| put_ext4(&mut disk, *start));
    let in_order = InOrder::new(&disk);
    let found = inspect(&in_order, &Cancel::default()).unwrap();
    assert_eq!(found, disk.inspected());
    assert_eq!(found.partitions.len(), 128);
    assert_eq!(found.partitions[0].start, starts[0]);
    let kind = |part: &diskferry_inspect::Partition| part.content.as_ref().unwrap().kind;
    assert!(found.partitions.iter().all(|part| kind(part) == ContentKind::Ext4));
    assert!(in_order.back() <= 6, "{} times", in_order.back());
}

/// What is looked at in a small partition overlaps: its ends, and the places at 1 and 2 MiB.
#[test]
fn many_small_partitions_are_looked_into_in_one_pass() {
    for length in [64 << 10, 160 << 10, MIB + (64 << 10), 2 * MIB + (64 << 10)] {
        let starts: Vec<u64> = (1..=100).map(|index| index * 3 * MIB).collect();
        let last = |start| (start + length) / 512 - 1;
        let parts: Vec<_> =
            starts.iter().map(|start| (LINUX, start / 512, last(start), 0, "")).collect();
        let mut disk = Table::new(1 << 30, &parts).disk();
        starts.iter().for_each(|start| put_ext4(&mut disk, *start));
        let in_order = InOrder::new(&disk);
        let found = inspect(&in_order, &Cancel::default()).unwrap();
        assert_eq!(found, disk.inspected());
        let kind = |part: &diskferry_inspect::Partition| part.content.as_ref().unwrap().kind;
        assert!(found.partitions.iter().all(|part| kind(part) == ContentKind::Ext4), "{length}");
        assert!(in_order.back() <= 6, "{} times, {length}", in_order.back());
    }
}

#[test]
fn a_chain_back_and_forth_is_given_up() {
    let chain = |links: u32| {
        let mut disk = Sparse::new(64 * MIB);
        disk.put(0, &mbr(&[entry(0x05, 2048, 100_000)]));
        disk.put(2048 * 512, &mbr(&[entry(0, 0, 0), entry(0x05, links * 64, 64)]));
        for link in (1..=links).rev() {
            let next = if link > 1 { entry(0x05, (link - 1) * 64, 64) } else { entry(0, 0, 0) };
            disk.put((2048 + u64::from(link) * 64) * 512, &mbr(&[entry(0x83, 8, 8), next]));
        }
        disk
    };
    let short = chain(8);
    assert_eq!(inspect(&InOrder::new(&short), &Cancel::default()).unwrap(), short.inspected());
    let long = chain(60);
    assert_eq!(long.inspected().partitions.len(), 61);
    let error = inspect(&InOrder::new(&long), &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}
