//! A GPT that is written anew for sectors of another size, as sgdisk and sfdisk see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use common::{ESP, Entry, LINUX, MIB, Sparse, Table, entry, mbr, protective, text, tool};
use diskferry_inspect::{CannotResize, ContentKind, GptState, Inspection, SectorSize, TableKind};

use SectorSize::{B512, B4096};

const SIZE: u64 = 16 * MIB;
const PARTS: [(&str, u64, u64, u64, &str); 2] =
    [(ESP, 2048, 4095, 0, "EFI system"), (LINUX, 4096, 20479, 4, "root")];

fn fine() -> Sparse {
    Table::new(SIZE, &PARTS).disk()
}

/// The same partitions, counted in sectors of 4096.
fn coarse() -> Sparse {
    let parts = PARTS.map(|(kind, first, last, attributes, name)| {
        (kind, first / 8, (last + 1) / 8 - 1, attributes, name)
    });
    Table::with_sector(4096, SIZE, &parts).disk()
}

/// The disk after what `resectored` says, which must be whole and hold the same partitions.
fn resectored(disk: &Sparse, to: SectorSize, size: u64) -> Sparse {
    let before = disk.inspected();
    let disk = disk.patched_in_order(size, &before.resectored(to, size).unwrap());
    let after = disk.inspected();
    let (old, new) = (before.used_gpt().unwrap(), after.used_gpt().unwrap());
    assert_eq!(after.sector_size, Some(to.bytes()));
    assert!(new.backup_at_end && new.backup.state == GptState::Valid);
    assert_eq!(after.partitions, before.partitions);
    assert_eq!(
        (new.disk_id, new.entries, new.entry_size),
        (old.disk_id, old.entries, old.entry_size)
    );
    assert_eq!(after.resectored(to, size).unwrap(), [], "there is nothing left to do");
    // No copy is left that counts in the other sectors.
    let other = if to == B512 { B4096 } else { B512 };
    let bytes = disk.whole();
    for at in [u64::from(other.bytes()), size - u64::from(other.bytes())] {
        assert!(!bytes[at as usize..].starts_with(b"EFI PART"), "a header is left at {at:#x}");
    }
    disk
}

/// Asks the tools, which read the disk from a file as one of 512-byte sectors.
fn judged(disk: &Sparse, path: &Path) {
    disk.write(path);
    let said = tool("sgdisk", &["-v", text(path)]);
    assert!(said.contains("No problems found") && !said.contains("Warning"), "{said}");
    let said = tool("sfdisk", &["--verify", text(path)]);
    assert!(said.contains("No errors detected"), "{said}");
}

#[test]
fn a_table_is_written_anew_both_ways_and_the_tools_find_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    for size in [SIZE, SIZE + 4096, 2 * SIZE, 12 * MIB] {
        let finer = resectored(&coarse(), B512, size);
        assert_eq!(finer.findings(), [], "{size}");
        judged(&finer, &path);
        let coarser = resectored(&fine(), B4096, size);
        assert_eq!(coarser.findings(), [], "{size}");
        let and_back = resectored(&coarser, B512, SIZE);
        assert!(and_back.whole() == fine().whole(), "there and back again, from {size}");
    }
}

#[test]
fn a_table_with_other_entries_keeps_them() {
    for (count, entry_size) in [(128, 256), (4, 128), (4096, 128), (1024, 512)] {
        let mut table = Table::with_sector(4096, SIZE, &[(LINUX, 512, 1023, 1 << 60, "naïve")]);
        (table.count, table.entry_size) = (count, entry_size);
        let sectors = (u64::from(count) * u64::from(entry_size)).div_ceil(4096);
        table.last_usable = table.backup_at - sectors - 1;
        let finer = resectored(&table.disk(), B512, SIZE);
        assert_eq!(finer.findings(), [], "{count} of {entry_size}");
        assert_eq!(finer.inspected().partitions[0].name.as_deref(), Some("naïve"));
    }
}

#[test]
fn either_copy_will_do_and_both_are_made_anew() {
    for at in [4096, 4096 + 60, 8192, SIZE - 4096, SIZE - 4096 + 60, SIZE - 5 * 4096] {
        let mut disk = coarse();
        disk.put(at, &[0xA5; 8]);
        assert_eq!(resectored(&disk, B512, SIZE).findings(), [], "{at:#x}");
    }
    let mut disk = coarse();
    disk.put(4096 + 56, b"xxxx").put(SIZE - 4096 + 56, b"xxxx");
    assert_eq!(disk.inspected().resectored(B512, SIZE), Err(CannotResize::GptUnusable));
}

#[test]
fn what_does_not_fit_is_refused() {
    let to_coarse =
        |parts: &[_], size| Table::new(size, parts).disk().inspected().resectored(B4096, size);
    // The table for sectors of 4096 bytes takes 6 of them in front, and 5 behind.
    let last = SIZE / 512 - 1;
    for ((first, end), expected) in [
        ((2049, 4096), "from 1049088 to 2097664, is not of whole sectors"),
        ((2048, 4096), "from 1048576 to 2097664, is not of whole sectors"),
        ((40, 4095), "begins at 20480, and the table in front of it ends at 24576"),
        ((48, 4095), ""),
        ((4095, 2048), "partition 1 ends before it begins"),
        ((2048, last - 40), ""),
        ((2048, last - 32), "ends at 16760832, and the table behind it begins at 16756736"),
    ] {
        let refused = to_coarse(&[(LINUX, first, end, 0, "")], SIZE).err();
        let said = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }
    let odd = SIZE + 512;
    let refused = CannotResize::PartialSector { size: odd, sector: 4096 };
    assert_eq!(to_coarse(&PARTS, odd), Err(refused));
    let mut cut = fine();
    cut.size = 4 * MIB;
    let refused = CannotResize::Cut { end: 20480 * 512, size: 4 * MIB };
    assert_eq!(cut.inspected().resectored(B4096, SIZE), Err(refused));
    let refused = CannotResize::TooSmall { size: 4096, smallest: 12 * 4096 };
    assert_eq!(fine().inspected().resectored(B4096, 4096), Err(refused));
    let mut dos = Sparse::new(SIZE);
    dos.put(0, &mbr(&[entry(0x83, 2048, 4096)]));
    assert_eq!(dos.inspected().resectored(B4096, SIZE), Err(CannotResize::NoGpt));
    assert_eq!(Sparse::new(SIZE).inspected().resectored(B512, SIZE), Err(CannotResize::NoGpt));
}

#[test]
fn a_hybrid_mbr_counts_in_the_same_sectors() {
    let mut disk = coarse();
    let guard = Entry { sectors: 255, ..protective(SIZE) };
    disk.put(0, &mbr(&[guard, entry(0x83, 512, 2048)]));
    let finer = resectored(&disk, B512, SIZE).inspected();
    assert_eq!(finer.table, TableKind::HybridMbr);
    let places = |found: &Inspection| -> Vec<_> {
        let entries = &found.mbr.as_ref().unwrap().entries;
        entries.iter().map(|entry| (entry.start_lba, entry.sectors)).collect()
    };
    assert_eq!(places(&finer), [(1, 2047), (4096, 16384)]);
    let mut disk = fine();
    disk.put(0, &mbr(&[Entry { sectors: 2047, ..protective(SIZE) }, entry(0x83, 4097, 8)]));
    let refused = CannotResize::HybridEntry { number: 2, sector: 4096 };
    assert_eq!(disk.inspected().resectored(B4096, SIZE), Err(refused));
}

#[test]
fn what_needs_smaller_sectors_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let mut disk = fine();
    let fat = |sector: &str| {
        common::empty(&path, MIB);
        tool("mkfs.fat", &["-S", sector, text(&path)]);
        std::fs::read(&path).unwrap()
    };
    disk.put(2048 * 512, &fat("512"));
    let too_fine: Vec<_> = disk.inspected().too_fine_for(B4096).collect();
    assert_eq!(too_fine, [(1, ContentKind::Fat12, 512)]);
    assert_eq!(disk.inspected().too_fine_for(B512).count(), 0);
    disk.put(2048 * 512, &fat("4096"));
    assert_eq!(disk.inspected().too_fine_for(B4096).count(), 0);
}

#[test]
fn a_dos_table_in_large_sectors_is_known_by_what_is_at_its_first_partition() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    common::empty(&path, 4 * MIB);
    tool("mke2fs", &["-q", "-t", "ext4", text(&path)]);
    let part = std::fs::read(&path).unwrap();
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 256, 1024)]));
    assert_eq!(disk.inspected().sector_size, Some(512), "of nothing, nothing is known");
    disk.put(256 * 4096, &part);
    assert_eq!(disk.inspected().sector_size, Some(4096));
    disk.put(0, &mbr(&[entry(0x83, 2048, 8192)]));
    assert_eq!(disk.inspected().sector_size, Some(512));
    assert_eq!(Sparse::new(SIZE).inspected().sector_size, None);
}

#[test]
fn loop_devices_of_large_sectors_show_the_same_partitions() {
    // Only root makes loop devices; CI is.
    if std::env::var_os("CI").is_none() && tool("id", &["-u"]).trim() != "0" {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    resectored(&fine(), B4096, SIZE).write(&path);
    let device = tool("losetup", &["--sector-size", "4096", "--find", "--show", text(&path)]);
    let device = Loop(device.trim().to_owned());
    let said = tool("sgdisk", &["-v", &device.0]);
    assert!(said.contains("No problems found"), "{said}");
    let said = tool("sfdisk", &["--verify", &device.0]);
    assert!(said.contains("No errors detected"), "{said}");
    let said = tool("sgdisk", &["-p", &device.0]);
    assert!(said.contains("4096/4096 bytes") && said.contains("EFI system"), "{said}");
}

/// A loop device, for as long as a test has it.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        tool("losetup", &["--detach", &self.0]);
    }
}
