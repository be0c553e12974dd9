//! What is done with an input for what looks at disks.

use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{Cancel, Progress};
use diskferry_inspect::{Inspection, Patch, SectorSize, TableKind, inspect, usage};
use diskferry_raw::Raw;
use diskferry_testkit::fuzz::{Choices, put};
use systems::SYSTEMS;

#[path = "systems.rs"]
mod systems;

/// The input chooses a disk, and what is put on it.
pub fn disk(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut disk = DISKS[usize::from(choices.byte()) % DISKS.len()].clone();
    let mends = choices.byte();
    if let Some(system) = usize::from(mends >> 1 & 31).checked_sub(1).and_then(|at| SYSTEMS.get(at))
    {
        // In one of the partitions that some of the disks have, or on the whole disk.
        let start = [0x2_0000, 0x1_0000, 0, 0x2_0000][usize::from(mends >> 6)];
        system.iter().for_each(|(at, bytes)| put(&mut disk, start + at, bytes));
    }
    while !choices.is_over() {
        change(&mut disk, &mut choices);
    }
    // Otherwise every change of a GPT is a wrong checksum, and nothing else.
    if mends & 1 == 1 {
        seal_all(&mut disk);
    }
    any_disk(&disk);
}

/// Whatever is on a disk: it is looked at, and what is said of it holds together.
pub fn any_disk(disk: &[u8]) {
    let raw: Arc<Vec<u8>> = Arc::new(disk.to_vec());
    let found = look(&raw);
    let size = disk.len() as u64;
    assert_eq!(found.size, size);
    assert!(found.partitions_end() <= size);
    for note in &found.notes {
        assert!(!note.to_string().is_empty());
    }
    for part in found.partitions.iter().filter_map(|part| part.content.as_ref()) {
        let texts = [&part.label, &part.last_mounted, &part.id].into_iter().flatten();
        assert!(texts.into_iter().all(|text| !text.contains(char::is_control)));
    }
    judge_usage(&raw, &found);
    for want in [size, size + 512, 2 * size + 4097, size / 2, found.smallest_size()] {
        if want <= MOST {
            for sectors in [None, Some(SectorSize::B512), Some(SectorSize::B4096)] {
                judge_fitted(disk, &found, sectors, want);
            }
        }
    }
}

/// What `usage` says, against a plain search.
fn judge_usage(disk: &Arc<Vec<u8>>, found: &Inspection) {
    let raw = Raw::open(disk.clone());
    let used = usage(&raw, found, &Cancel::default(), &Progress::default());
    let used = used.expect("a disk in memory can be read");
    let last = disk.iter().rposition(|byte| *byte != 0).map(|last| last as u64);
    assert!(used.last_byte <= last);
    if found.used_gpt().is_none() {
        assert_eq!(used.last_byte, last);
    }
    if let Some(stray) = used.stray_byte {
        assert!(disk[stray as usize] != 0 && used.partitions_end <= stray);
        assert!(Some(stray) <= used.last_byte);
    }
    assert!(used.last_byte.is_none_or(|last| used.smallest_size > last));
    assert!(used.smallest_size >= found.smallest_size());
}

/// A table that was made to fit fits, in other sectors too, and has the same partitions.
fn judge_fitted(disk: &[u8], found: &Inspection, sectors: Option<SectorSize>, size: u64) {
    let fit = |found: &Inspection| match sectors {
        None => found.resized(size),
        Some(sectors) => found.resectored(sectors, size),
    };
    let Ok(patches) = fit(found) else { return };
    if found.used_gpt().is_none() {
        assert!(patches.is_empty());
        return;
    }
    let mut other = disk.to_vec();
    other.resize(size as usize, 0);
    let mut end = 0;
    for Patch { offset, bytes } in &patches {
        assert!(*offset >= end && !bytes.is_empty(), "patches are sorted and do not overlap");
        end = offset + bytes.len() as u64;
        other[*offset as usize..end as usize].copy_from_slice(bytes);
    }
    let other = Arc::new(other);
    let again = look(&other);
    assert_eq!(again.table, found.table);
    let table = again.used_gpt().expect("a table that was there before");
    assert!(table.backup_at_end);
    assert_eq!(fit(&again), Ok(Vec::new()));
    assert!(sectors.is_none_or(|sectors| table.sector_size == sectors.bytes()));
    for (old, new) in found.partitions.iter().zip(&again.partitions) {
        assert_eq!((old.number, old.start, old.length), (new.number, new.start, new.length));
        // Partitions that lie on the table are not kept; what is in the others is.
        let is_apart = old.start >= table.usable_start && old.end() <= table.usable_end;
        if is_apart && old.end() <= disk.len() as u64 {
            let range = old.start as usize..old.end() as usize;
            assert!(disk[range.clone()] == other[range], "a patch in partition {}", old.number);
        }
    }
}

fn look(disk: &Arc<Vec<u8>>) -> Inspection {
    inspect(&Raw::open(disk.clone()), &Cancel::default()).expect("a disk in memory can be read")
}

/// The largest disk that is made here.
const MOST: u64 = 1 << 20;

/// Replaces a few bytes, near a place where something stands, or ends the disk.
fn change(disk: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let end = disk.len();
    let place = choices.byte();
    let offset = usize::from(choices.short());
    let at = match PLACES.get(usize::from(place & 0x1F)) {
        Some(place) => place + offset % 1024,
        None if place & 0x20 == 0 => end.saturating_sub(1 + offset % 1024),
        None => offset * 8,
    };
    let bytes = match place >> 6 {
        0 => vec![choices.byte()],
        1 => choices.short().to_le_bytes().to_vec(),
        2 => choices.number().to_le_bytes().to_vec(),
        _ => SIGNATURES[usize::from(choices.byte()) % SIGNATURES.len()].to_vec(),
    };
    if offset == 0xFFFF {
        disk.truncate(usize::from(choices.short()) * 16);
    }
    put(disk, at, &bytes);
}

/// Where tables, superblocks and folders stand.
const PLACES: [usize; 24] = [
    0,
    446,
    512,
    1024,
    1536,
    4096,
    8192,
    0x4000,
    0x8000,
    0x1_0000,
    0x1_1000,
    0x1_1200,
    0x1_1400,
    0x1_1800,
    0x1_2000,
    0x1_3000,
    0x2_0000,
    0x2_0400,
    0x2_4000,
    0x3_0000,
    0x3_0400,
    0x4_0000,
    1 << 20,
    2 << 20,
];

/// What a probe looks for.
const SIGNATURES: [&[u8]; 24] = [
    b"EFI PART",
    b"\x55\xaa",
    b"\x53\xef",
    b"XFSB\0\0\x10\0",
    b"_BHRfS_M",
    b"\x10\x20\xf5\xf2",
    b"SWAPSPACE2",
    b"NTFS    ",
    b"ReFS\0\0\0\0",
    b"FSRS",
    b"EXFAT   ",
    b"-FVE-FS-",
    b"NXSB",
    b"H+\0\x04",
    b"\x01CD001",
    b"hsqs",
    b"LABELONE",
    b"LVM2 001",
    b"LUKS\xba\xbe\0\x02",
    b"\xfc\x4e\x2b\xa9\x01\0\0\0",
    b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
    b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x20\0\0\0\x20\0\0\0\x07version\0",
    b"\x0d\xd0\x01\xc0",
    b"\x5e\xf1\xab\x2f",
];

/// Makes the checksums of whatever looks like a GPT right.
pub fn seal_all(disk: &mut [u8]) {
    for at in (0..disk.len()).step_by(512) {
        let Some(header) = disk.get(at..at + 92).filter(|header| header.starts_with(b"EFI PART"))
        else {
            continue;
        };
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four"));
        let (len, count, size) = (number(12) as usize, number(80), number(84));
        let lba = u64::from_le_bytes(header[72..80].try_into().expect("eight"));
        for sector in [512_u64, 4096] {
            let table = lba.checked_mul(sector).and_then(|start| {
                let len = u64::from(count).checked_mul(size.into())?;
                disk.get(
                    usize::try_from(start).ok()?..usize::try_from(start.checked_add(len)?).ok()?,
                )
            });
            if let Some(table) = table.filter(|_| sector == 512 || at % 4096 == 0) {
                let crc = crc32fast::hash(table);
                disk[at + 88..at + 92].copy_from_slice(&crc.to_le_bytes());
            }
        }
        disk[at + 16..at + 20].fill(0);
        if let Some(header) = disk.get(at..at + len.min(4096)).filter(|header| header.len() >= 92) {
            let crc = crc32fast::hash(header);
            disk[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// Good disks, small enough that a change is likely to matter.
pub static DISKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let disks = vec![
        gpt(512, SIZE),
        gpt(4096, SIZE),
        chain(),
        fat(SIZE),
        vec![0; SIZE],
        // VMFS has a signature at 2 MiB.
        vec![0; (2 << 20) + 0x2000],
    ];
    let kinds: Vec<_> = disks.iter().map(|disk| look(&Arc::new(disk.clone())).table).collect();
    let (gpt, mbr, none) = (TableKind::Gpt, TableKind::Mbr, TableKind::None);
    assert_eq!(kinds, [gpt, gpt, mbr, none, none, none]);
    disks
});

const SIZE: usize = 0x5_0000;

/// A GPT with a FAT at 0x10000 and an ext4 at 0x20000.
fn gpt(sector: usize, size: usize) -> Vec<u8> {
    const TYPES: [&[u8; 16]; 2] = [
        b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\0\xa0\xc9\x3e\xc9\x3b",
        b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4",
    ];
    let mut disk = vec![0; size];
    let last = size / sector - 1;
    disk[446..462].copy_from_slice(b"\0\0\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff");
    disk[510..512].copy_from_slice(b"\x55\xaa");
    for (own, other, entries) in [(1, last, 2), (last, 1, last - 32 * 512 / sector)] {
        let at = own * sector;
        disk[at..at + 16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        let usable = (2 + 32 * 512 / sector, last - 1 - 32 * 512 / sector);
        for (field, value) in
            [(24, own), (32, other), (40, usable.0), (48, usable.1), (72, entries)]
        {
            disk[at + field..at + field + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        disk[at + 80..at + 88].copy_from_slice(b"\x80\0\0\0\x80\0\0\0");
        for (index, range) in [(0x1_0000, 0x2_0000), (0x2_0000, 0x4_0000)].iter().enumerate() {
            let entry = entries * sector + index * 128;
            disk[entry..entry + 16].copy_from_slice(TYPES[index]);
            disk[entry + 16] = index as u8 + 1;
            for (field, value) in [(32, range.0 / sector), (40, range.1 / sector - 1)] {
                disk[entry + field..entry + field + 8]
                    .copy_from_slice(&(value as u64).to_le_bytes());
            }
        }
    }
    seal_all(&mut disk);
    disk[0x1_0000..0x2_0000].copy_from_slice(&fat(0x1_0000));
    disk[0x2_0400..0x2_0480].copy_from_slice(&ext4());
    disk
}

/// An MBR with a FAT, and two logical partitions behind it.
fn chain() -> Vec<u8> {
    let mut disk = vec![0; SIZE];
    let mut record = |at: usize, entries: [(u8, u32, u32); 2]| {
        for (index, (kind, lba, sectors)) in entries.into_iter().enumerate() {
            let entry = at + 446 + 16 * index;
            disk[entry + 4] = kind;
            disk[entry + 8..entry + 12].copy_from_slice(&lba.to_le_bytes());
            disk[entry + 12..entry + 16].copy_from_slice(&sectors.to_le_bytes());
        }
        disk[at + 510..at + 512].copy_from_slice(b"\x55\xaa");
    };
    record(0, [(0xEF, 128, 128), (0x05, 256, 256)]);
    record(0x2_0000, [(0x83, 2, 100), (0x05, 128, 128)]);
    record(0x3_0000, [(0x82, 2, 100), (0, 0, 0)]);
    disk[0x1_0000..0x2_0000].copy_from_slice(&fat(0x1_0000));
    disk
}

/// The superblock's front of an ext4 of 128 KiB.
fn ext4() -> [u8; 128] {
    let mut block = [0; 128];
    block[4] = 128;
    block[0x38..0x3A].copy_from_slice(b"\x53\xef");
    block[0x60] = 0x40;
    block[0x78..0x7C].copy_from_slice(b"root");
    block
}

/// A FAT12 with EFI/BOOT/BOOTX64.EFI, where the last folder is in two clusters.
fn fat(size: usize) -> Vec<u8> {
    let mut disk = vec![0; size];
    disk[..24].copy_from_slice(b"\xeb\x3c\x90MSDOS5.0\0\x02\x01\x08\0\x01\x10\0\0\0\xf8\x08\0");
    disk[19..21].copy_from_slice(&((size / 512) as u16).to_le_bytes());
    disk[38] = 0x29;
    disk[510..512].copy_from_slice(b"\x55\xaa");
    // Clusters 2 and 3 end, 4 goes on in 5, which ends, as does 6.
    disk[0x1000..0x100B].copy_from_slice(b"\xf8\xff\xff\xff\xff\xff\x05\xf0\xff\xff\x0f");
    let (root, data) = (0x2000, 0x2200);
    let mut entry = |at: usize, name: &[u8; 11], attributes: u8, cluster: u8, size: u16| {
        disk[at..at + 11].copy_from_slice(name);
        disk[at + 11] = attributes;
        disk[at + 26] = cluster;
        disk[at + 28..at + 30].copy_from_slice(&size.to_le_bytes());
    };
    entry(root, b"EFI        ", 0x10, 2, 0);
    entry(data, b"BOOT       ", 0x10, 4, 0);
    for index in 0..16 {
        entry(data + 2 * 512 + 32 * index, b"FILLER     ", 0x20, 3, 0);
    }
    entry(data + 3 * 512 + 32, b"BOOTX6~1EFI", 0x20, 6, 512);
    let long = data + 3 * 512;
    disk[long..long + 32]
        .copy_from_slice(b"\x41B\0O\0O\0T\0X\0\x0f\0\x006\x004\0.\0E\0F\0I\0\0\0\0\0\0\0");
    disk[data + 4 * 512..data + 4 * 512 + 2].copy_from_slice(b"MZ");
    disk[data + 4 * 512 + 0x3C] = 0x40;
    disk[data + 4 * 512 + 0x40..data + 4 * 512 + 0x46].copy_from_slice(b"PE\0\0\x64\x86");
    disk
}
