//! A GPT on a disk of another size, as sgdisk and sfdisk see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use common::{ESP, Entry, LINUX, MIB, Sparse, Table, entry, findings, mbr, protective, text, tool};
use diskferry_inspect::{CannotResize, Finding, GptState, TableKind};

const SIZE: u64 = 16 * MIB;
const PARTS: [(&str, u64, u64, u64, &str); 2] =
    [(ESP, 2048, 4095, 0, "EFI system"), (LINUX, 4096, 20479, 4, "root")];
/// 20480 sectors, 32 of the entries, one of the header.
const SMALLEST: u64 = (20480 + 33) * 512;

fn gpt() -> Sparse {
    Table::new(SIZE, &PARTS).disk()
}

/// The disk after what `resized` says, which must be whole and hold the same partitions.
fn resized(disk: &Sparse, size: u64) -> Sparse {
    let before = disk.inspected();
    let disk = disk.patched_in_order(size, &before.resized(size).unwrap());
    let after = disk.inspected();
    let table = after.used_gpt().unwrap();
    assert!(table.backup_at_end && table.backup.state == GptState::Valid);
    assert_eq!(after.partitions, before.partitions);
    assert_eq!(after.resized(size).unwrap(), [], "there is nothing left to do");
    disk
}

/// Asks the tools, which read the disk from a file.
fn judged(disk: &Sparse, path: &Path) {
    disk.write(path);
    let said = tool("sgdisk", &["-v", text(path)]);
    assert!(said.contains("No problems found"), "{said}");
    let said = tool("sfdisk", &["--verify", text(path)]);
    assert!(said.contains("No errors detected"), "{said}");
}

#[test]
fn a_gpt_grows_and_shrinks_and_the_tools_find_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for size in [
        SIZE,
        SIZE + 512,
        SIZE + 16 * 512,
        SIZE + 33 * 512,
        SIZE + 1000,
        17 * MIB,
        100 * MIB,
        SIZE - 512,
        SIZE - 20 * 512,
        12 * MIB,
        SMALLEST + 511,
        SMALLEST,
    ] {
        let disk = resized(&gpt(), size);
        assert_eq!(
            disk.findings(),
            if size % 512 == 0 { vec![] } else { disk.findings() },
            "{size}"
        );
        judged(&disk, &path);
        // And back, from what we made.
        judged(&resized(&disk, SIZE), &path);
    }
}

#[test]
fn the_old_backup_leaves_nothing_behind() {
    for size in [SIZE + 512, SIZE + 20 * 512, 20 * MIB] {
        let disk = resized(&gpt(), size).whole();
        let (end, backup) = ((20480 * 512) as usize, (size - 33 * 512) as usize);
        assert!(disk[end..backup].iter().all(|byte| *byte == 0), "{size}");
    }
}

#[test]
fn a_disk_that_fits_needs_nothing() {
    assert_eq!(gpt().inspected().resized(SIZE).unwrap(), []);
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 2048, 4096)]));
    for size in [SIZE, 2 * SIZE, 3 * MIB] {
        assert_eq!(disk.inspected().resized(size).unwrap(), []);
    }
    assert_eq!(Sparse::new(SIZE).inspected().resized(512).unwrap(), []);
}

#[test]
fn a_size_that_holds_too_little_is_refused() {
    assert_eq!(gpt().inspected().smallest_size(), SMALLEST);
    for size in [0, 511, 512, 1024, SMALLEST - 1] {
        assert_eq!(
            gpt().inspected().resized(size),
            Err(CannotResize::TooSmall { size, smallest: SMALLEST })
        );
    }
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 2048, 4096)]));
    let refused = CannotResize::TooSmall { size: 3 * MIB - 1, smallest: 3 * MIB };
    assert_eq!(disk.inspected().resized(3 * MIB - 1), Err(refused));
}

#[test]
fn a_disk_that_was_cut_gets_no_table_that_looks_sound() {
    let mut disk = gpt();
    disk.size = 4 * MIB;
    let refused = CannotResize::TooSmall { size: 5 * MIB, smallest: SMALLEST };
    assert_eq!(disk.inspected().resized(5 * MIB), Err(refused));
    for size in [SMALLEST, SIZE, 2 * SIZE] {
        let refused = CannotResize::Cut { end: 20480 * 512, size: 4 * MIB };
        assert_eq!(disk.inspected().resized(size), Err(refused));
    }
    // Without its backup only, it is whole.
    disk.size = 20480 * 512;
    resized(&disk, SMALLEST);
}

#[test]
fn a_copy_that_is_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for at in [512, 512 + 60, 1024, SIZE - 512, SIZE - 512 + 60, SIZE - 33 * 512] {
        for size in [SIZE, 2 * SIZE, SMALLEST] {
            let mut disk = gpt();
            disk.put(at, &[0xA5; 8]);
            assert_ne!(disk.findings(), []);
            let mended = resized(&disk, size);
            assert_eq!(mended.findings(), [], "{at:#x} to {size}");
            judged(&mended, &path);
        }
    }
}

#[test]
fn a_grown_disk_is_mended_as_it_is() {
    let mut disk = gpt();
    disk.size = 3 * SIZE;
    assert_eq!(resized(&disk, 3 * SIZE).findings(), []);
}

#[test]
fn large_sectors_and_large_disks_are_served() {
    let parts = [(LINUX, 512, 1023, 0, "root")];
    let disk = Table::with_sector(4096, 32 * MIB, &parts).disk();
    for size in [64 * MIB, 8 * MIB, (1024 + 5) * 4096, 1 << 46] {
        assert_eq!(resized(&disk, size).findings(), []);
    }
    for size in [1 << 41, (1 << 41) + 512, 1 << 46, 1 << 60, 1 << 62] {
        let disk = resized(&gpt(), size);
        assert_eq!(disk.findings(), []);
        let sectors = disk.inspected().mbr.unwrap().entries[0].sectors;
        assert_eq!(u64::from(sectors), (size / 512 - 1).min(0xFFFF_FFFF));
    }
}

#[test]
fn a_hybrid_mbr_stays_as_it_is() {
    let mut disk = gpt();
    let entries = [Entry { sectors: 2047, ..protective(SIZE) }, entry(0x83, 4096, 16384)];
    disk.put(0, &mbr(&entries));
    let grown = resized(&disk, 2 * SIZE);
    assert_eq!(grown.inspected().table, TableKind::HybridMbr);
    assert_eq!(grown.whole()[..512], disk.whole()[..512]);
}

#[test]
fn a_table_that_cannot_be_used_is_not_moved() {
    let mut disk = gpt();
    disk.put(512 + 56, b"xxxx").put(SIZE - 512 + 56, b"xxxx");
    assert_eq!(disk.inspected().resized(2 * SIZE), Err(CannotResize::GptUnusable));
    // Entries in the middle of the disk.
    let table = Table::new(SIZE, &PARTS);
    let mut disk = table.disk();
    disk.put(512, &table.header(1, SIZE / 512 - 1, 25000)).put(25000 * 512, &table.entries());
    assert_eq!(disk.findings(), []);
    assert_eq!(
        disk.inspected().resized(2 * SIZE),
        Err(CannotResize::EntriesElsewhere { lba: 25000 })
    );
}

#[test]
fn a_backup_that_points_into_a_partition_wipes_nothing_there() {
    let table = Table::new(SIZE, &PARTS);
    let last = SIZE / 512 - 1;
    let mut disk = table.disk();
    disk.put(5000 * 512, &table.entries());
    disk.put(last * 512, &table.header(last, 1, 5000));
    assert_eq!(disk.inspected().used_gpt().unwrap().backup.state, GptState::Valid);
    let grown = resized(&disk, 2 * SIZE);
    let (old, new) = (disk.whole(), grown.whole());
    let root = 4096 * 512..20480 * 512;
    assert!(old[root.clone()] == new[root]);
    assert_eq!(findings(&grown.inspected()), [] as [Finding; 0]);
}

/// Bytes that are compared at each end of a disk.
const LOOK: u64 = 64 << 10;

fn read(path: &Path, at: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; LOOK as usize];
    std::fs::File::open(path).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn disks_by_sgdisk_are_moved_as_it_moves_them() {
    let dir = tempfile::tempdir().unwrap();
    let (path, ours) = (dir.path().join("disk"), dir.path().join("ours"));
    // Those of 8 GiB have no cylinder for their end, and those of 2 TiB no length.
    for (size, grown) in [(SIZE, 3 * SIZE), (SIZE, 9 << 30), (SIZE, 3 << 40), (9 << 30, 10 << 30)] {
        common::empty(&path, size);
        let args = ["-n1:2048:+2M", "-t1:ef00", "-n2:0:+4M", "-c2:root", text(&path)];
        tool("sgdisk", &args);
        let mut disk = Sparse::new(size);
        disk.put(0, &read(&path, 0)).put(size - LOOK, &read(&path, size - LOOK));
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(grown).unwrap();
        tool("sgdisk", &["-e", text(&path)]);
        let disk = resized(&disk, grown);
        judged(&disk, &ours);
        // It leaves the old backup where it was; otherwise it is the same.
        for at in [0, grown - LOOK] {
            let (theirs, ours) = (read(&path, at), read(&ours, at));
            let differ: Vec<_> = (0..ours.len()).filter(|at| theirs[*at] != ours[*at]).collect();
            assert_eq!(differ, [] as [usize; 0], "{size} to {grown}, at {at}");
        }
    }
}
