//! Making a GPT count in sectors of another size.
//!
//! A disk that was made for sectors of 4096 bytes has its table where, and in numbers that, a machine which is
//! shown sectors of 512 bytes does not look for; and the other way round. The partitions stay where they are,
//! and so do their ids: what changes are both copies of the table, and the MBR in front.
//!
//! ```text
//! 512:   | MBR | header | entries, 32 sectors           | … | entries | header |
//! 4096:  | MBR, zeros   | header | entries, 4 sectors   | … | entries | header |
//! ```

use std::ops::Range;

use byteorder::{ByteOrder, LittleEndian};
use serde::{Deserialize, Serialize};

use crate::gpt::{Gpt, GptState, Header, protective_sectors};
use crate::mbr::{ENTRIES_AT, ENTRY, MbrEntry};
use crate::resize::{CannotResize, NO_CHS, Patch, Places, chs, placed_header, with_zeros};
use crate::{ContentKind, Inspection, PartitionType, Role, TableKind};

/// What a partition table counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub enum SectorSize {
    /// 512 bytes: what nearly every cloud and hypervisor shows its guests.
    B512,
    /// 4096 bytes: disks of that kind, and what was copied from one.
    B4096,
}

impl SectorSize {
    /// Bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

impl From<SectorSize> for u32 {
    fn from(size: SectorSize) -> Self {
        size.bytes()
    }
}

impl TryFrom<u32> for SectorSize {
    type Error = &'static str;

    fn try_from(bytes: u32) -> Result<Self, Self::Error> {
        match bytes {
            512 => Ok(Self::B512),
            4096 => Ok(Self::B4096),
            _ => Err("sectors have 512 or 4096 bytes"),
        }
    }
}

impl Inspection {
    /// What has to change so that the GPT counts in sectors of that size, on a disk of `size` bytes. Where it
    /// does so already, that is what [`resized`](Self::resized) says.
    ///
    /// Patches do not overlap, are sorted, and lie within the size. Both copies are made anew from a good one, and
    /// the old ones become zeros.
    ///
    /// # Errors
    /// When there is no GPT that can be used, when a partition is not of whole sectors of that size or leaves no
    /// room for the table, when the disk was cut or is not of whole sectors.
    pub fn resectored(&self, to: SectorSize, size: u64) -> Result<Vec<Patch>, CannotResize> {
        let gpt = self.used_gpt().ok_or(CannotResize::NoGpt)?;
        if gpt.sector_size == to.bytes() {
            return self.resized(size);
        }
        self.check_uncut()?;
        let table = Anew::plan(self, gpt, to.bytes(), size)?;
        let mut patches = table.patches();
        patches.extend(self.mbr_patches(gpt.sector_size, to.bytes(), size)?);
        let taken = patches.iter().map(Patch::range).collect();
        Ok(with_zeros(patches, taken, self.old_copies(gpt), size))
    }

    /// The file systems that cannot be read from sectors of that size, as their own units are smaller: the
    /// partition's number, its kind, and its unit in bytes.
    pub fn too_fine_for(
        &self,
        sector: SectorSize,
    ) -> impl Iterator<Item = (u32, ContentKind, u64)> {
        let contents =
            self.partitions.iter().filter_map(|part| Some((part.number, part.content.as_ref()?)));
        let units = contents.filter_map(|(number, it)| Some((number, it.kind, it.sector_size?)));
        units.filter(move |(.., unit)| *unit < sector.bytes().into())
    }

    /// Where the two copies of the used table are, as far as no partition is there.
    fn old_copies(&self, gpt: &Gpt) -> Vec<Range<u64>> {
        let sector = u64::from(gpt.sector_size);
        let mut old = self.backup_ranges();
        if gpt.primary.state != GptState::Missing {
            let entries = gpt.primary.header.as_ref().map(|header| header.entries_range(sector));
            // A damaged header may say that they are anywhere.
            let is_free =
                |range: &Range<u64>| range.end <= gpt.usable_start && self.is_apart(range);
            old.extend(std::iter::once(sector..2 * sector).chain(entries).filter(is_free));
        }
        old
    }

    /// The MBR's entries, which count in the same sectors.
    fn mbr_patches(&self, from: u32, to: u32, size: u64) -> Result<Vec<Patch>, CannotResize> {
        let Some(mbr) = &self.mbr else { return Ok(Vec::new()) };
        let is_hybrid = self.table == TableKind::HybridMbr;
        let mut patches = Vec::new();
        for entry in &mbr.entries {
            let is_protective = entry.kind.role() == Role::Protective;
            let (start, sectors) = match is_protective {
                true if !is_hybrid => (1, protective_sectors(size / u64::from(to))),
                true => {
                    // From the table on, to where it ended: a partition may begin there.
                    let end = (u64::from(entry.start_lba) + u64::from(entry.sectors))
                        * u64::from(from)
                        / u64::from(to);
                    (1, u32::try_from(end.saturating_sub(1)).unwrap_or(u32::MAX))
                }
                false => scaled(entry, from, to)?,
            };
            patches.push(entry_patch(entry, start, sectors));
        }
        Ok(patches)
    }
}

/// An entry of an MBR beside the protective one, in other sectors.
fn scaled(entry: &MbrEntry, from: u32, to: u32) -> Result<(u32, u32), CannotResize> {
    let scale = |sectors: u32| {
        let bytes = u64::from(sectors) * u64::from(from);
        let whole = bytes.is_multiple_of(to.into()).then(|| bytes / u64::from(to));
        whole.and_then(|sectors| u32::try_from(sectors).ok())
    };
    match (scale(entry.start_lba), scale(entry.sectors)) {
        (Some(start), Some(sectors)) => Ok((start, sectors)),
        _ => Err(CannotResize::HybridEntry { number: entry.index + 1, sector: to }),
    }
}

fn entry_patch(entry: &MbrEntry, start: u32, sectors: u32) -> Patch {
    let last = u64::from(start) + u64::from(sectors).saturating_sub(1);
    // Two ways to say that it is too large for heads and cylinders; some say so of every place.
    let place = |was: [u8; 3], lba| match was {
        NO_CHS | [0xFE, 0xFF, 0xFF] => was,
        _ => chs(lba),
    };
    let mut bytes = vec![entry.flag];
    bytes.extend(place(entry.start_chs, start.into()));
    bytes.push(match entry.kind {
        PartitionType::Mbr(code) => code,
        PartitionType::Gpt(_) => 0,
    });
    bytes.extend(place(entry.end_chs, last));
    bytes.extend(start.to_le_bytes());
    bytes.extend(sectors.to_le_bytes());
    Patch { offset: (ENTRIES_AT + ENTRY * entry.index as usize) as u64, bytes }
}

/// A table whose copies are both to be written.
struct Anew {
    sector: u64,
    primary: Vec<u8>,
    backup: Vec<u8>,
    table: Vec<u8>,
    /// Where the backup's entries are; its header is in the sector `last`.
    backup_table: u64,
    last: u64,
}

impl Anew {
    fn plan(found: &Inspection, gpt: &Gpt, to: u32, size: u64) -> Result<Self, CannotResize> {
        let (header, table) = gpt.known().ok_or(CannotResize::GptUnusable)?;
        let (from, sector) = (u64::from(gpt.sector_size), u64::from(to));
        if !size.is_multiple_of(sector) {
            return Err(CannotResize::PartialSector { size, sector: to });
        }
        if header.bytes.len() > to as usize {
            return Err(CannotResize::LongHeader { length: header.bytes.len(), sector: to });
        }
        let sectors = (table.len() as u64).div_ceil(sector);
        let first_usable = FIRST_ENTRIES + sectors;
        // Both copies, and a sector between them.
        let smallest = (first_usable + 1 + sectors + 1) * sector;
        if size < smallest {
            return Err(CannotResize::TooSmall { size, smallest });
        }
        let last = size / sector - 1;
        let backup_table = last - sectors;
        for part in &found.partitions {
            let (number, start, end) = (part.number, part.start, part.end());
            if part.length == 0 {
                return Err(CannotResize::Reversed { number });
            }
            if !start.is_multiple_of(sector) || !end.is_multiple_of(sector) {
                return Err(CannotResize::PartialPartition { number, start, end, sector: to });
            }
            if start < first_usable * sector {
                let least = first_usable * sector;
                return Err(CannotResize::NoRoomInFront { number, start, least });
            }
            if end > backup_table * sector {
                let most = backup_table * sector;
                return Err(CannotResize::NoRoomBehind { number, end, most });
            }
        }
        let table = scaled_table(header, table, from, sector);
        // More than the table needs was kept free in front on purpose, and stays so.
        let needed = FIRST_ENTRIES + (table.len() as u64).div_ceil(from);
        let first_usable = match header.first_usable > needed {
            true => first_usable.max(gpt.usable_start.div_ceil(sector)).min(backup_table - 1),
            false => first_usable,
        };
        let crc = crc32fast::hash(&table);
        let places = |own, other, entries| {
            let last_usable = backup_table - 1;
            placed_header(header, &Places { own, other, first_usable, last_usable, entries }, crc)
        };
        Ok(Self {
            sector,
            primary: places(1, last, FIRST_ENTRIES),
            backup: places(last, 1, backup_table),
            table,
            backup_table,
            last,
        })
    }

    fn patches(&self) -> Vec<Patch> {
        let whole = |lba: u64, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().next_multiple_of(self.sector as usize), 0);
            Patch { offset: lba * self.sector, bytes }
        };
        let mut patches = vec![
            whole(1, &self.primary),
            whole(FIRST_ENTRIES, &self.table),
            whole(self.backup_table, &self.table),
            whole(self.last, &self.backup),
        ];
        // A table may be one of no entries.
        patches.retain(|patch| !patch.bytes.is_empty());
        patches
    }
}

/// The entries with the same places in other sectors. What is not in use stays as it is.
fn scaled_table(header: &Header, table: &[u8], from: u64, to: u64) -> Vec<u8> {
    let mut table = table.to_vec();
    for entry in table.chunks_exact_mut(header.entry_size as usize) {
        if entry[..16].iter().all(|byte| *byte == 0) {
            continue;
        }
        let [first, last] = [32, 40].map(|at| LittleEndian::read_u64(&entry[at..at + 8]));
        // They are whole, and within the disk.
        LittleEndian::write_u64(&mut entry[32..40], first * from / to);
        LittleEndian::write_u64(&mut entry[40..48], (last + 1) * from / to - 1);
    }
    table
}

/// Where the entries stand.
const FIRST_ENTRIES: u64 = 2;
