//! The master boot record, and the chain of logical partitions.
//!
//! ```text
//! 0          440      446                                   510
//! | boot code | id | 0 | entry | entry | entry | entry | 55 AA |
//!
//! entry: flag, first CHS (3), type, last CHS (3), first LBA (4), sectors (4); little-endian
//! ```
//!
//! An extended partition begins with a record of the same shape, whose first entry is a logical
//! partition (counted from this record) and whose second the next record (counted from the extended
//! partition's first sector). Source: the layout as util-linux and the Linux kernel
//! (`block/partitions/msdos.c`) read it.

use std::collections::HashSet;

use diskferry_block_stream::{Result, SECTOR};
use serde::Serialize;

use crate::fields::Fields;
use crate::note::{Finding, Notes};
use crate::reader::Reader;
use crate::{Partition, PartitionType, Role};

/// A master boot record: a first sector that ends with 55 AA.
///
/// It need not be a partition table: the boot sector of a file system looks the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mbr {
    /// The disk's id, by which Windows and `root=PARTUUID=` know it.
    pub disk_id: u32,
    /// Whether anything but zeros stands where a BIOS starts.
    pub boot_code: bool,
    /// The entries that have a type.
    pub entries: Vec<MbrEntry>,
    /// The flag byte of each entry, empty or not.
    #[serde(skip)]
    pub(crate) flags: [u8; 4],
}

/// An entry of a master boot record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MbrEntry {
    /// Its place in the table, from 0.
    pub index: u32,
    /// 0x80 for the one to start from, else 0.
    pub flag: u8,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: PartitionType,
    /// Head, sector and cylinder of its first sector, as stored.
    pub start_chs: [u8; 3],
    /// The same for its last sector.
    pub end_chs: [u8; 3],
    /// Its first sector.
    pub start_lba: u32,
    /// Its sectors.
    pub sectors: u32,
}

impl Mbr {
    /// Takes the disk's first sector; `None` when it does not end with 55 AA.
    pub(crate) fn parse(sector: &[u8]) -> Option<Self> {
        if !sector.has(SIGNATURE_AT, SIGNATURE) {
            return None;
        }
        let code = sector.part(0, BOOT_CODE)?;
        Some(Self {
            disk_id: sector.le32(DISK_ID_AT)?,
            boot_code: code.iter().any(|byte| *byte != 0),
            entries: entries(sector).filter(|entry| !entry.is_empty()).collect(),
            flags: std::array::from_fn(|index| sector[ENTRIES_AT + index * ENTRY]),
        })
    }

    /// Whether Linux takes it for a partition table: it wants each flag to be 00 or 80.
    pub(crate) fn has_flags_of_a_table(&self) -> bool {
        self.flags.iter().all(|flag| matches!(*flag, 0 | ACTIVE))
    }

    /// The first entry that says that there is a GPT.
    pub fn protective(&self) -> Option<&MbrEntry> {
        self.entries.iter().find(|entry| entry.kind.role() == Role::Protective)
    }

    /// The entries beside the one that says that there is a GPT.
    pub(crate) fn beside_protective(&self) -> impl Iterator<Item = &MbrEntry> {
        self.entries.iter().filter(|entry| entry.kind.role() != Role::Protective)
    }

    /// All partitions, with the logical ones behind the others.
    pub(crate) fn partitions(
        &self,
        reader: &mut Reader<'_>,
        notes: &mut Notes,
    ) -> Result<Vec<Partition>> {
        let mut found: Vec<_> =
            self.entries.iter().map(|entry| entry.partition(entry.index + 1, 0)).collect();
        let active = self.entries.iter().filter(|entry| entry.flag == ACTIVE).count();
        if active > 1 {
            notes.add(Finding::SeveralActive { count: active });
        }
        let extended: Vec<_> =
            self.entries.iter().filter(|entry| entry.kind.role() == Role::Extended).collect();
        let mut logical = Vec::new();
        for entry in extended {
            follow(entry, reader, notes, &mut logical)?;
        }
        found.append(&mut logical);
        Ok(found)
    }
}

impl MbrEntry {
    fn parse(index: u32, bytes: &[u8]) -> Self {
        let number = |at| bytes.le32(at).unwrap_or_default();
        Self {
            index,
            flag: bytes[0],
            start_chs: [bytes[1], bytes[2], bytes[3]],
            kind: PartitionType::Mbr(bytes[4]),
            end_chs: [bytes[5], bytes[6], bytes[7]],
            start_lba: number(8),
            sectors: number(12),
        }
    }

    fn is_empty(&self) -> bool {
        self.kind == PartitionType::Mbr(0)
    }

    /// The partition, where sectors are counted from the sector `base`.
    fn partition(&self, number: u32, base: u64) -> Partition {
        let start = (base + u64::from(self.start_lba)) * SECTOR;
        Partition {
            attributes: self.flag.into(),
            active: self.flag == ACTIVE,
            ..Partition::new(number, start, u64::from(self.sectors) * SECTOR, self.kind)
        }
    }
}

/// Follows the chain of an extended partition and adds its logical ones.
fn follow(
    extended: &MbrEntry,
    reader: &mut Reader<'_>,
    notes: &mut Notes,
    logical: &mut Vec<Partition>,
) -> Result<()> {
    let base = u64::from(extended.start_lba);
    let end = base + u64::from(extended.sectors);
    let mut at = base;
    let mut seen = HashSet::new();
    loop {
        if !seen.insert(at) {
            notes.add(Finding::ChainLoops { at: at * SECTOR });
            return Ok(());
        }
        if logical.len() >= MOST_LOGICAL || seen.len() > MOST_LOGICAL {
            notes.add(Finding::ChainTooLong { most: MOST_LOGICAL });
            return Ok(());
        }
        if at >= end {
            notes.add(Finding::ChainLeaves { at: at * SECTOR, end: end * SECTOR });
            return Ok(());
        }
        let record = reader.bytes(at * SECTOR, SECTOR as usize)?;
        if !record.has(SIGNATURE_AT, SIGNATURE) {
            notes.add(Finding::ChainBroken { at: at * SECTOR });
            return Ok(());
        }
        let is_link = |entry: &MbrEntry| entry.kind.role() == Role::Extended;
        for entry in entries(&record).take(2) {
            if !entry.is_empty() && !is_link(&entry) {
                // Four primary ones come first, whether they are there or not.
                let number = 5 + logical.len() as u32;
                logical.push(entry.partition(number, at));
            }
        }
        let Some(next) = entries(&record).take(2).find(is_link) else { return Ok(()) };
        at = base + u64::from(next.start_lba);
    }
}

/// The four entries of a record that is long enough; else none.
fn entries(record: &[u8]) -> impl Iterator<Item = MbrEntry> {
    let table = record.part(ENTRIES_AT, 4 * ENTRY).unwrap_or_default();
    table.chunks_exact(ENTRY).zip(0..).map(|(bytes, index)| MbrEntry::parse(index, bytes))
}

/// Boot code ends where the disk's id begins.
pub(crate) const BOOT_CODE: usize = 440;
pub(crate) const ENTRIES_AT: usize = 446;
pub(crate) const ENTRY: usize = 16;
pub(crate) const SIGNATURE_AT: usize = 510;
pub(crate) const SIGNATURE: &[u8] = b"\x55\xaa";
const DISK_ID_AT: usize = 440;
const ACTIVE: u8 = 0x80;
/// Linux makes devices for 255 partitions at most; fdisk stops at 60.
const MOST_LOGICAL: usize = 128;
