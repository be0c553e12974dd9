//! How far disks are used.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;

use common::{LINUX, MIB, Sparse, Table, entry, mbr};
use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Disk, ErrorKind, Extent, Order, Progress, Result,
};
use diskferry_inspect::{Usage, usage};

const SIZE: u64 = 16 * MIB;

fn used(disk: &Sparse) -> Usage {
    let progress = Progress::default();
    let found = usage(disk, &disk.inspected(), &Cancel::default(), &progress).unwrap();
    assert_eq!((progress.passed(), progress.total()), (disk.size, disk.size));
    // One that is read front to back is used as far, and nobody goes back in it.
    let progress = Progress::default();
    let inspected = disk.inspected();
    let forward = usage(&Forward(disk), &inspected, &Cancel::default(), &progress).unwrap();
    assert_eq!(forward, found);
    assert_eq!((progress.passed(), progress.total()), (disk.size, disk.size));
    found
}

/// A disk that is best read front to back.
struct Forward<'a>(&'a Sparse);

impl Disk for Forward<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn grain(&self) -> u64 {
        self.0.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.0.files()
    }

    fn order(&self) -> Order {
        Order::Forward
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Onwards(self.0.cursor()?, 0)))
    }
}

/// A cursor, and how far it has come.
struct Onwards<'a>(Box<dyn Cursor + 'a>, u64);

impl Cursor for Onwards<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        assert!(at >= self.1, "back to {at:#x} from {:#x}", self.1);
        self.0.extent(at, limit)
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        assert!(at >= self.1, "back to {at:#x} from {:#x}", self.1);
        self.1 = at + buf.len() as u64;
        self.0.read(at, buf)
    }
}

#[test]
fn the_last_byte_is_found_wherever_it_is() {
    for size in [1, 512, 4096, MIB, MIB + 1, SIZE] {
        assert_eq!(used(&Sparse::new(size)).last_byte, None);
        for at in [0, 1, 511, 4095, 4096, MIB - 1, MIB, MIB + 1, SIZE - 1] {
            let mut disk = Sparse::new(size);
            disk.put(0, &[0; 8]).put(at / 2, &[0; 4096]).put(at, &[1]);
            let want = (at < size).then_some(at);
            assert_eq!(used(&disk).last_byte, want, "{at} of {size}");
            assert_eq!(used(&disk).smallest_size, want.map_or(0, |at| at + 1));
        }
    }
}

#[test]
fn a_huge_empty_disk_takes_no_time() {
    let size = (1 << 46) + 4711;
    let mut disk = Sparse::new(size);
    disk.put(12345, &[1]);
    assert_eq!(used(&disk).last_byte, Some(12345));
    disk.put(size - 1, &[1]).put(1 << 45, &[1]);
    assert_eq!(used(&disk).last_byte, Some(size - 1));
}

#[test]
fn a_backup_gpt_counts_for_nothing() {
    let parts = [(LINUX, 2048, 4095, 0, "")];
    let mut disk = Table::new(SIZE, &parts).disk();
    let smallest = 4096 * 512 + 33 * 512;
    let found = used(&disk);
    // The last byte of the first table's entry.
    assert!(found.last_byte.unwrap() < 34 * 512);
    assert_eq!((found.partitions_end, found.stray_byte), (2 * MIB, None));
    assert_eq!(found.smallest_size, smallest);

    disk.put(2 * MIB - 1, &[1]);
    let found = used(&disk);
    assert_eq!((found.last_byte, found.stray_byte), (Some(2 * MIB - 1), None));

    disk.put(5 * MIB + 77, &[1]).put(3 * MIB, &[1]);
    let found = used(&disk);
    assert_eq!(found.last_byte, Some(5 * MIB + 77));
    assert_eq!(found.stray_byte, Some(3 * MIB));
    assert_eq!(found.smallest_size, 5 * MIB + 512 + 33 * 512);
}

#[test]
fn a_backup_inside_a_grown_disk_counts_for_nothing_either() {
    let parts = [(LINUX, 2048, 4095, 0, "")];
    let mut disk = Table::new(SIZE, &parts).disk();
    disk.size = 4 * SIZE;
    assert_eq!(used(&disk).stray_byte, None);
    disk.put(SIZE, &[1]);
    assert_eq!(used(&disk).stray_byte, Some(SIZE));
}

#[test]
fn a_byte_beyond_the_partitions_of_an_mbr_is_stray() {
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 2048, 2048), entry(0x83, 64, 64)]));
    assert_eq!(used(&disk).stray_byte, None);
    disk.put(2 * MIB, &[1]);
    let found = used(&disk);
    assert_eq!((found.stray_byte, found.smallest_size), (Some(2 * MIB), 2 * MIB + 1));
}

#[test]
fn it_stops_on_request() {
    let disk = Sparse::new(SIZE);
    let inspection = disk.inspected();
    let cancel = Cancel::default();
    cancel.cancel();
    let error = usage(&disk, &inspection, &cancel, &Progress::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let error = diskferry_inspect::inspect(&disk, &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
