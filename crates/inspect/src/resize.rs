//! Making a partition table fit a disk of another size.
//!
//! A GPT keeps its backup in the last sectors, so a disk that grows or shrinks needs the backup moved,
//! and both headers mended. What to change is computed from what was read; nothing is written here.

use std::ops::Range;

use byteorder::{ByteOrder, LittleEndian};
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::gpt::{Gpt, GptState, HEADER_CRC_AT, Header, header_crc, protective_sectors};
use crate::mbr::{ENTRIES_AT, ENTRY};
use crate::{Inspection, Partition, Role, TableKind};

/// Bytes to put in place of those that a disk has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Offset on the disk.
    pub offset: u64,
    /// What is to stand there.
    pub bytes: Vec<u8>,
}

impl Patch {
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes.len() as u64
    }
}

/// Why a partition table cannot be made to fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ThisError)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the sentences beside the variants say what their numbers are")]
pub enum CannotResize {
    #[error("the partitions and their table need {smallest} bytes, not {size}")]
    TooSmall { size: u64, smallest: u64 },
    #[error("a partition ends at {end}, but the disk has {size} bytes only: it was cut")]
    Cut { end: u64, size: u64 },
    #[error("both copies of the GPT are damaged")]
    GptUnusable,
    #[error("the GPT's entries at LBA {lba} are not between its header and the usable range")]
    EntriesElsewhere { lba: u64 },
    #[error("there is no GPT")]
    NoGpt,
    #[error("the disk's {size} bytes are no whole sectors of {sector}")]
    PartialSector { size: u64, sector: u32 },
    #[error("the GPT's header of {length} bytes is longer than a sector of {sector}")]
    LongHeader { length: usize, sector: u32 },
    #[error("partition {number}, from {start} to {end}, is not of whole sectors of {sector} bytes")]
    PartialPartition { number: u32, start: u64, end: u64, sector: u32 },
    #[error("partition {number} ends before it begins")]
    Reversed { number: u32 },
    #[error("partition {number} begins at {start}, and the table in front of it ends at {least}")]
    NoRoomInFront { number: u32, start: u64, least: u64 },
    #[error("partition {number} ends at {end}, and the table behind it begins at {most}")]
    NoRoomBehind { number: u32, end: u64, most: u64 },
    #[error("entry {number} of the hybrid MBR cannot be counted in sectors of {sector} bytes")]
    HybridEntry { number: u32, sector: u32 },
}

impl Inspection {
    /// What has to change so that the table fits a disk of `size` bytes; nothing, where it fits as it
    /// is. Any size is taken that holds every partition and the table.
    ///
    /// Patches do not overlap, are sorted, and lie within the new size. A copy of a GPT that is damaged
    /// or missing is made anew from the other, and an old backup becomes zeros.
    ///
    /// # Errors
    /// When the size is too small, the disk was cut within a partition, or the table cannot be used.
    pub fn resized(&self, size: u64) -> Result<Vec<Patch>, CannotResize> {
        let smallest = self.smallest_size();
        if size < smallest {
            return Err(CannotResize::TooSmall { size, smallest });
        }
        let Some(gpt) = self.used_gpt() else { return Ok(Vec::new()) };
        self.check_uncut()?;
        let moved = Moved::plan(gpt, size)?;
        let mut patches = moved.patches(gpt);
        if self.table == TableKind::Gpt {
            patches.extend(self.protective_patch(size / u64::from(gpt.sector_size)));
        }
        let taken = patches.iter().map(Patch::range).chain([moved.backup()]).collect();
        Ok(with_zeros(patches, taken, self.backup_ranges(), size))
    }

    /// # Errors
    /// `Cut` where a partition ends past the disk: a table that is sound would hide what is missing.
    pub(crate) fn check_uncut(&self) -> Result<(), CannotResize> {
        let end = self.partitions.iter().map(Partition::end).max().unwrap_or(0);
        if end > self.size { Err(CannotResize::Cut { end, size: self.size }) } else { Ok(()) }
    }

    /// Whether no partition has any of these bytes.
    pub(crate) fn is_apart(&self, range: &Range<u64>) -> bool {
        self.partitions.iter().all(|part| part.start >= range.end || part.end() <= range.start)
    }

    /// The smallest size that holds every partition and the table; for a disk without partitions, the
    /// size that its content says it has, or 0.
    pub fn smallest_size(&self) -> u64 {
        self.smallest_size_with(0)
    }

    /// The same, when the bytes before `end` are to be kept, too.
    pub(crate) fn smallest_size_with(&self, end: u64) -> u64 {
        let parts = self.partitions.iter().filter(|part| part.role != Role::Protective);
        let ends = parts.map(Partition::end);
        let content = self.content.as_ref().and_then(|content| content.size);
        let end = ends.chain(content).max().unwrap_or(0).max(end);
        let gpt = self.used_gpt().and_then(|gpt| Some((gpt, gpt.known()?)));
        let Some((gpt, (header, table))) = gpt else { return end };
        let sector = u64::from(gpt.sector_size);
        let usable = end.div_ceil(sector).max(header.first_usable.saturating_add(1));
        let sectors = usable.saturating_add((table.len() as u64).div_ceil(sector) + 1);
        sectors.saturating_mul(sector)
    }

    /// Where the backup of the used GPT stands, outside of partitions and of the table's first copy.
    pub(crate) fn backup_ranges(&self) -> Vec<Range<u64>> {
        let Some(gpt) = self.used_gpt() else { return Vec::new() };
        if gpt.backup.state == GptState::Missing {
            return Vec::new();
        }
        let sector = u64::from(gpt.sector_size);
        let header = gpt.backup.at..gpt.backup.at.saturating_add(sector);
        let entries = gpt.backup.header.as_ref().map(|header| header.entries_range(sector));
        let is_free = |range: &Range<u64>| range.start >= gpt.usable_start && self.is_apart(range);
        [header].into_iter().chain(entries).filter(is_free).collect()
    }

    /// The end of the protective entry, which is to cover the disk.
    fn protective_patch(&self, sectors: u64) -> Option<Patch> {
        let entry = self.mbr.as_ref()?.protective()?;
        let want = protective_sectors(sectors);
        if entry.sectors == want {
            return None;
        }
        let mut bytes = match entry.end_chs {
            NO_CHS => NO_CHS,
            _ => chs(u64::from(want)),
        }
        .to_vec();
        bytes.extend(entry.start_lba.to_le_bytes());
        bytes.extend(want.to_le_bytes());
        let at = ENTRIES_AT + ENTRY * entry.index as usize + 5;
        Some(Patch { offset: at as u64, bytes })
    }
}

/// A GPT as it will be on the disk of the new size.
struct Moved {
    sector: u64,
    primary: Vec<u8>,
    backup: Vec<u8>,
    table: Vec<u8>,
    primary_table: u64,
    backup_table: u64,
    last: u64,
}

impl Moved {
    fn plan(gpt: &Gpt, size: u64) -> Result<Self, CannotResize> {
        let (header, table) = gpt.known().ok_or(CannotResize::GptUnusable)?;
        let sector = u64::from(gpt.sector_size);
        let sectors = (table.len() as u64).div_ceil(sector);
        // The smallest size has room for both.
        let last = size / sector - 1;
        let backup_table = last - sectors;
        let is_primary = gpt.primary.state == GptState::Valid;
        let primary_table = if is_primary { header.entries_lba } else { FIRST_ENTRIES };
        let end = primary_table.checked_add(sectors);
        if primary_table < FIRST_ENTRIES || end.is_none_or(|end| end > header.first_usable) {
            return Err(CannotResize::EntriesElsewhere { lba: primary_table });
        }
        let places = |own, other, entries| {
            let (first_usable, last_usable) = (header.first_usable, backup_table - 1);
            let places = Places { own, other, first_usable, last_usable, entries };
            placed_header(header, &places, header.entries_crc)
        };
        Ok(Self {
            sector,
            primary: places(1, last, primary_table),
            backup: places(last, 1, backup_table),
            table: table.to_vec(),
            primary_table,
            backup_table,
            last,
        })
    }

    /// The two copies, without what is there already.
    fn patches(&self, gpt: &Gpt) -> Vec<Patch> {
        let mut patches = Vec::new();
        let is_right = |state: &GptState, header: &Option<Header>, bytes: &[u8]| {
            *state == GptState::Valid && header.as_ref().is_some_and(|old| old.bytes == bytes)
        };
        if !is_right(&gpt.primary.state, &gpt.primary.header, &self.primary) {
            patches.push(self.patch(1, &self.primary));
            if gpt.primary.state != GptState::Valid {
                patches.push(self.patch(self.primary_table, &self.table));
            }
        }
        if !is_right(&gpt.backup.state, &gpt.backup.header, &self.backup) {
            patches.push(self.patch(self.backup_table, &self.table));
            patches.push(self.patch(self.last, &self.backup));
        }
        // A table may be one of no entries.
        patches.retain(|patch| !patch.bytes.is_empty());
        patches
    }

    /// Whole sectors, whose rest is zeros.
    fn patch(&self, lba: u64, bytes: &[u8]) -> Patch {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(self.sector as usize), 0);
        Patch { offset: lba * self.sector, bytes }
    }

    /// Where the new backup is.
    fn backup(&self) -> Range<u64> {
        self.backup_table * self.sector..(self.last + 1) * self.sector
    }
}

/// What a header says of places, in sectors.
pub(crate) struct Places {
    pub own: u64,
    pub other: u64,
    pub first_usable: u64,
    pub last_usable: u64,
    pub entries: u64,
}

/// The header with other places in it, and its checksum right again.
pub(crate) fn placed_header(header: &Header, places: &Places, entries_crc: u32) -> Vec<u8> {
    let Places { own, other, first_usable, last_usable, entries } = *places;
    let mut bytes = header.bytes.clone();
    for (at, value) in
        [(24, own), (32, other), (40, first_usable), (48, last_usable), (72, entries)]
    {
        LittleEndian::write_u64(&mut bytes[at..at + 8], value);
    }
    LittleEndian::write_u32(&mut bytes[88..92], entries_crc);
    let crc = header_crc(&bytes);
    LittleEndian::write_u32(&mut bytes[HEADER_CRC_AT..HEADER_CRC_AT + 4], crc);
    bytes
}

/// A sector's place as an MBR has it: head, then sector with the cylinder's high bits, then cylinder; on
/// the geometry that everybody assumes, of 255 heads and 63 sectors.
pub(crate) fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, rest) = (lba / (255 * 63), lba % (255 * 63));
    if cylinder > 1023 {
        return NO_CHS;
    }
    [(rest / 63) as u8, (rest % 63 + 1) as u8 | (cylinder >> 8 << 6) as u8, cylinder as u8]
}

/// The patches, sorted, and zeros for what was there before within the first `size` bytes of the disk, as far as
/// that is not `taken`.
pub(crate) fn with_zeros(
    mut patches: Vec<Patch>,
    mut taken: Vec<Range<u64>>,
    before: Vec<Range<u64>>,
    size: u64,
) -> Vec<Patch> {
    for old in before {
        let left = subtract(old.start..old.end.min(size), &taken);
        patches.extend(left.map(|range| Patch {
            offset: range.start,
            bytes: vec![0; (range.end - range.start) as usize],
        }));
        // A header may say that its entries stand where it stands itself.
        taken.push(old);
    }
    patches.sort_by_key(|patch| patch.offset);
    patches
}

/// What of `range` is in none of `taken`.
fn subtract(range: Range<u64>, taken: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
    let mut left = vec![range];
    for hole in taken {
        left = left
            .into_iter()
            .flat_map(|part| {
                [part.start..part.end.min(hole.start), part.start.max(hole.end)..part.end]
            })
            .collect();
    }
    left.into_iter().filter(|part| part.start < part.end)
}

/// The end of what is too large for heads and cylinders.
pub(crate) const NO_CHS: [u8; 3] = [0xFF; 3];
/// Where the entries stand unless a header says otherwise.
const FIRST_ENTRIES: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_range_is_in_no_other() {
        type Pair = (u64, u64);
        let cases: [(Pair, &[Pair], &[Pair]); 6] = [
            ((0, 10), &[], &[(0, 10)]),
            ((0, 10), &[(3, 5)], &[(0, 3), (5, 10)]),
            ((0, 10), &[(0, 5), (5, 10)], &[]),
            ((4, 6), &[(0, 5)], &[(5, 6)]),
            ((4, 6), &[(6, 9), (0, 4)], &[(4, 6)]),
            ((7, 3), &[], &[]),
        ];
        for (range, taken, left) in cases {
            let taken: Vec<_> = taken.iter().map(|(from, to)| *from..*to).collect();
            let found = subtract(range.0..range.1, &taken).map(|part| (part.start, part.end));
            assert_eq!(found.collect::<Vec<_>>(), left);
        }
    }
}
