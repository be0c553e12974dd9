//! The GUID partition table: two copies, each a header and its entries.
//!
//! ```text
//! LBA 1                    primary header, then usually the entries from LBA 2
//! last LBA                 backup header, usually after its entries
//!
//! header: 0 "EFI PART"     8 revision      12 header size   16 CRC of the header with 0 here
//!        24 own LBA       32 other's LBA   40 first usable  48 last usable LBA
//!        56 disk's GUID   72 entries' LBA  80 their number  84 their size  88 their CRC
//! entry:  0 type          16 own GUID      32 first LBA     40 last LBA (inclusive)
//!        48 attributes    56 name, UTF-16, 72 bytes
//! ```
//!
//! All numbers are little-endian, CRCs are CRC-32. Source: UEFI 2.10, chapter 5.3.

use std::fmt;
use std::ops::Range;

use diskferry_block_stream::Result;
use serde::Serialize;
use thiserror::Error as ThisError;
use uuid::Uuid;

use crate::fields::Fields;
use crate::mbr::Mbr;
use crate::note::{Finding, Notes};
use crate::reader::Reader;
use crate::{Partition, PartitionType};

/// A GUID partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpt {
    /// What the table counts in: 512 or 4096 bytes.
    pub sector_size: u32,
    /// The disk's id; nil when both copies are damaged.
    pub disk_id: Uuid,
    /// First byte that partitions may use.
    pub usable_start: u64,
    /// First byte after those that partitions may use.
    pub usable_end: u64,
    /// Entries that the table has room for.
    pub entries: u32,
    /// Bytes of an entry.
    pub entry_size: u32,
    /// The copy in LBA 1.
    pub primary: GptCopy,
    /// The other copy.
    pub backup: GptCopy,
    /// Whether the other copy is where it should be, in the disk's last sector.
    pub backup_at_end: bool,
}

/// One of a table's two copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GptCopy {
    /// Offset of its header: where it is, or where it should be.
    pub at: u64,
    /// How it is.
    #[serde(flatten)]
    pub state: GptState,
    #[serde(skip)]
    pub(crate) header: Option<Header>,
    /// The entries' bytes, of a valid copy.
    #[serde(skip)]
    pub(crate) table: Vec<u8>,
}

/// Whether a copy of a table can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "damage", rename_all = "snake_case")]
pub enum GptState {
    /// Its checksums are right.
    Valid,
    /// There is no signature.
    Missing,
    /// There is a signature, but this is wrong.
    Damaged(GptDamage),
}

impl fmt::Display for GptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Missing => f.write_str("missing"),
            Self::Damaged(damage) => write!(f, "damaged: {damage}"),
        }
    }
}

/// What is wrong with a copy of a GPT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ThisError)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the sentences beside the variants say what their numbers are")]
pub enum GptDamage {
    #[error("a header of {size} bytes is not within 92 and a sector's {sector}")]
    HeaderSize { size: u32, sector: u32 },
    #[error("the header's CRC-32 is {computed:#010x}, not {stored:#010x}")]
    HeaderCrc { stored: u32, computed: u32 },
    #[error("the header in LBA {at} says that it is in LBA {says}")]
    OwnLba { says: u64, at: u64 },
    #[error("the usable range is LBA {first} to {last}")]
    UsableRange { first: u64, last: u64 },
    #[error("{count} entries of {size} bytes are more than is sensible")]
    EntriesSize { count: u32, size: u32 },
    #[error("the entries at LBA {lba} are past the disk's end")]
    EntriesPastEnd { lba: u64 },
    #[error("the entries' CRC-32 is {computed:#010x}, not {stored:#010x}")]
    EntriesCrc { stored: u32, computed: u32 },
}

/// A header whose own checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// As stored: the header's bytes, without what fills the sector.
    pub(crate) bytes: Vec<u8>,
    pub(crate) own: u64,
    pub(crate) other: u64,
    pub(crate) first_usable: u64,
    pub(crate) last_usable: u64,
    pub(crate) disk_id: Uuid,
    pub(crate) entries_lba: u64,
    pub(crate) count: u32,
    pub(crate) entry_size: u32,
    pub(crate) entries_crc: u32,
}

impl Gpt {
    /// Looks for a table; `None` when neither sector size has a signature anywhere it should be.
    pub(crate) fn look(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        let mut best: Option<Self> = None;
        for sector in SECTOR_SIZES {
            let found = Self::look_in(reader, sector)?;
            if found.is_usable() {
                return Ok(Some(found));
            }
            let is_there = [&found.primary, &found.backup].iter().any(|copy| copy.is_there());
            if is_there && best.is_none() {
                best = Some(found);
            }
        }
        Ok(best)
    }

    fn look_in(reader: &mut Reader<'_>, sector: u32) -> Result<Self> {
        let last = (reader.size() / u64::from(sector)).saturating_sub(1);
        let primary = GptCopy::read(reader, sector, 1)?;
        let backup = Self::find_backup(reader, sector, &primary, last)?;
        let backup_at_end = backup.at == last * u64::from(sector);
        let known = [&primary, &backup].into_iter().find(|copy| copy.state == GptState::Valid);
        let header = known.and_then(|copy| copy.header.as_ref());
        let bytes = |lba: u64| lba.saturating_mul(sector.into());
        Ok(Self {
            sector_size: sector,
            disk_id: header.map_or(Uuid::nil(), |header| header.disk_id),
            usable_start: header.map_or(0, |header| bytes(header.first_usable)),
            usable_end: header.map_or(0, |header| bytes(header.last_usable.saturating_add(1))),
            entries: header.map_or(0, |header| header.count),
            entry_size: header.map_or(0, |header| header.entry_size),
            primary,
            backup,
            backup_at_end,
        })
    }

    /// The backup at the disk's end, or where the primary says, whichever is the better.
    fn find_backup(
        reader: &mut Reader<'_>,
        sector: u32,
        primary: &GptCopy,
        last: u64,
    ) -> Result<GptCopy> {
        let at_end = GptCopy::read(reader, sector, last)?;
        let named = primary.header.as_ref().map_or(last, |header| header.other);
        if named == last || named <= 1 || at_end.state == GptState::Valid {
            return Ok(at_end);
        }
        let elsewhere = GptCopy::read(reader, sector, named)?;
        Ok(if elsewhere.is_there() || !at_end.is_there() { elsewhere } else { at_end })
    }

    /// The copy that partitions are taken from.
    pub(crate) fn known(&self) -> Option<(&Header, &[u8])> {
        let copies = [&self.primary, &self.backup];
        let valid = copies.into_iter().find(|copy| copy.state == GptState::Valid)?;
        Some((valid.header.as_ref()?, &valid.table))
    }

    /// Whether a copy of it is whole.
    pub fn is_usable(&self) -> bool {
        self.known().is_some()
    }

    /// The partitions in use, in the order of the table.
    pub(crate) fn partitions(&self, notes: &mut Notes) -> Vec<Partition> {
        let Some((header, table)) = self.known() else { return Vec::new() };
        let entries = table.chunks_exact(header.entry_size as usize).zip(1..);
        entries.filter_map(|(entry, number)| self.partition(number, entry, notes)).collect()
    }

    fn partition(&self, number: u32, entry: &[u8], notes: &mut Notes) -> Option<Partition> {
        let kind = guid(entry, 0)?;
        if kind.is_nil() {
            return None;
        }
        let (first, last) = (entry.le64(32)?, entry.le64(40)?);
        let bytes = |lba: u64| lba.saturating_mul(self.sector_size.into());
        let sectors = if last < first {
            notes.about(Some(number), Finding::Reversed { first, last });
            0
        } else {
            (last - first).saturating_add(1)
        };
        let attributes = entry.le64(48)?;
        let kind = PartitionType::Gpt(kind);
        Some(Partition {
            name: entry.text16(56, 72),
            id: guid(entry, 16),
            attributes,
            active: attributes & LEGACY_BOOT != 0,
            ..Partition::new(number, bytes(first), bytes(sectors), kind)
        })
    }

    /// Notes on the two copies, and on what the MBR says of them.
    pub(crate) fn judge(&self, size: u64, mbr: Option<&Mbr>, notes: &mut Notes) {
        judge_protective(mbr, size / u64::from(self.sector_size), notes);
        let at = self.primary.at;
        match &self.primary.state {
            GptState::Valid => {}
            GptState::Missing => notes.add(Finding::PrimaryMissing { at }),
            GptState::Damaged(damage) => {
                notes.add(Finding::PrimaryDamaged { at, damage: damage.clone() });
            }
        }
        let at = self.backup.at;
        let want =
            (size / u64::from(self.sector_size)).saturating_sub(1) * u64::from(self.sector_size);
        if at > want {
            notes.add(Finding::BackupPastEnd { at, disk: size });
        } else {
            match &self.backup.state {
                GptState::Valid if at < want => notes.add(Finding::BackupNotAtEnd { at, want }),
                GptState::Valid => {}
                GptState::Missing => notes.add(Finding::BackupMissing { at }),
                GptState::Damaged(damage) => {
                    notes.add(Finding::BackupDamaged { at, damage: damage.clone() });
                }
            }
        }
        self.compare_copies(notes);
        if !self.is_usable() {
            notes.add(Finding::GptUnusable);
        } else if self.usable_end > size {
            notes.add(Finding::UsablePastEnd { end: self.usable_end, disk: size });
        }
        if !size.is_multiple_of(self.sector_size.into()) {
            notes.add(Finding::PartialSector { size, sector: self.sector_size });
        }
    }

    fn compare_copies(&self, notes: &mut Notes) {
        if self.primary.state != GptState::Valid || self.backup.state != GptState::Valid {
            return;
        }
        let (Some(one), Some(two)) = (&self.primary.header, &self.backup.header) else { return };
        for (field, same) in [
            ("disk id", one.disk_id == two.disk_id),
            (
                "usable range",
                (one.first_usable, one.last_usable) == (two.first_usable, two.last_usable),
            ),
            ("other copy's place", one.other == two.own && two.other == one.own),
            ("number of entries", (one.count, one.entry_size) == (two.count, two.entry_size)),
            ("entries", self.primary.table == self.backup.table),
        ] {
            if !same {
                notes.add(Finding::CopiesDiffer { field });
            }
        }
    }
}

impl GptCopy {
    /// Reads the copy whose header is in this LBA.
    fn read(reader: &mut Reader<'_>, sector: u32, lba: u64) -> Result<Self> {
        let at = lba.saturating_mul(sector.into());
        let mut copy = Self { at, state: GptState::Missing, header: None, table: Vec::new() };
        let bytes = reader.bytes(at, sector as usize)?;
        if bytes.len() < sector as usize || !bytes.has(0, SIGNATURE) {
            return Ok(copy);
        }
        copy.state = match Header::parse(&bytes, lba, sector) {
            Err(damage) => GptState::Damaged(damage),
            Ok(header) => {
                let table = read_table(reader, sector, &header)?;
                copy.header = Some(header);
                match table {
                    Ok(table) => {
                        copy.table = table;
                        GptState::Valid
                    }
                    Err(damage) => GptState::Damaged(damage),
                }
            }
        };
        Ok(copy)
    }

    fn is_there(&self) -> bool {
        self.state != GptState::Missing
    }
}

impl Header {
    fn parse(bytes: &[u8], lba: u64, sector: u32) -> Result<Self, GptDamage> {
        let number = |at| bytes.le32(at).unwrap_or_default();
        let long = |at| bytes.le64(at).unwrap_or_default();
        let size = number(12);
        if !(HEADER..=sector).contains(&size) {
            return Err(GptDamage::HeaderSize { size, sector });
        }
        let bytes = &bytes[..size as usize];
        let (stored, computed) = (number(HEADER_CRC_AT), header_crc(bytes));
        if stored != computed {
            return Err(GptDamage::HeaderCrc { stored, computed });
        }
        let header = Self {
            bytes: bytes.to_vec(),
            own: long(24),
            other: long(32),
            first_usable: long(40),
            last_usable: long(48),
            disk_id: guid(bytes, 56).unwrap_or_default(),
            entries_lba: long(72),
            count: number(80),
            entry_size: number(84),
            entries_crc: number(88),
        };
        if header.own != lba {
            return Err(GptDamage::OwnLba { says: header.own, at: lba });
        }
        let (first, last) = (header.first_usable, header.last_usable);
        if first > last {
            return Err(GptDamage::UsableRange { first, last });
        }
        if header.table_len().is_none() {
            let (count, size) = (header.count, header.entry_size);
            return Err(GptDamage::EntriesSize { count, size });
        }
        Ok(header)
    }

    /// Bytes of all entries; `None` where their size is none that UEFI allows, or is too much.
    pub(crate) fn table_len(&self) -> Option<usize> {
        let size = self.entry_size;
        let len = size.checked_mul(self.count)?;
        let is_allowed = size >= ENTRY && size.is_power_of_two() && len <= MOST_TABLE;
        is_allowed.then_some(len as usize)
    }

    /// Where the entries stand that it names, in bytes, to a whole sector.
    pub(crate) fn entries_range(&self, sector: u64) -> Range<u64> {
        let at = self.entries_lba.saturating_mul(sector);
        let len = (self.table_len().unwrap_or_default() as u64).next_multiple_of(sector);
        at..at.saturating_add(len)
    }
}

fn read_table(
    reader: &mut Reader<'_>,
    sector: u32,
    header: &Header,
) -> Result<Result<Vec<u8>, GptDamage>> {
    let lba = header.entries_lba;
    let len = header.table_len().unwrap_or_default();
    let table = reader.bytes(lba.saturating_mul(sector.into()), len)?;
    if table.len() < len {
        return Ok(Err(GptDamage::EntriesPastEnd { lba }));
    }
    let (stored, computed) = (header.entries_crc, crc32fast::hash(&table));
    if stored != computed {
        return Ok(Err(GptDamage::EntriesCrc { stored, computed }));
    }
    Ok(Ok(table))
}

/// The checksum of a header's bytes, whatever its own field holds.
pub(crate) fn header_crc(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..HEADER_CRC_AT]);
    crc.update(&[0; 4]);
    crc.update(&bytes[HEADER_CRC_AT + 4..]);
    crc.finalize()
}

/// What UEFI 2.10, 5.2.3, wants the protective entry to be; `sectors` are the disk's.
fn judge_protective(mbr: Option<&Mbr>, sectors: u64, notes: &mut Notes) {
    let Some((mbr, entry)) = mbr.and_then(|mbr| Some((mbr, mbr.protective()?))) else {
        notes.add(Finding::NoProtectiveMbr);
        return;
    };
    if entry.index != 0 {
        notes.add(Finding::ProtectiveNotFirst { entry: entry.index });
    }
    if entry.flag != 0 {
        notes.add(Finding::ProtectiveFlag { flag: entry.flag });
    }
    if entry.start_lba != 1 {
        notes.add(Finding::ProtectiveStart { lba: entry.start_lba });
    }
    if entry.start_chs != PROTECTIVE_CHS {
        notes.add(Finding::ProtectiveChs { chs: entry.start_chs });
    }
    let beside = mbr.beside_protective().count();
    if beside > 0 {
        notes.add(Finding::HybridMbr { count: beside });
        return;
    }
    let want = protective_sectors(sectors);
    // Some tools always write the largest number there is; everybody takes it.
    if entry.sectors != want && entry.sectors != u32::MAX {
        notes.add(Finding::ProtectiveLength { sectors: entry.sectors, want });
    }
}

/// What the protective entry of a disk of so many sectors covers.
pub(crate) fn protective_sectors(sectors: u64) -> u32 {
    u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// A GUID: its first three fields are little-endian.
fn guid(bytes: &[u8], at: usize) -> Option<Uuid> {
    Uuid::from_slice_le(bytes.part(at, 16)?).ok()
}

const SIGNATURE: &[u8] = b"EFI PART";
/// Bytes of a header of revision 1.0.
const HEADER: u32 = 92;
pub(crate) const HEADER_CRC_AT: usize = 16;
/// The smallest entry.
const ENTRY: u32 = 128;
/// The most bytes of entries that are read: 8192 of them, 64 times what is usual.
const MOST_TABLE: u32 = 1 << 20;
/// Those in use; the first is by far the more frequent.
const SECTOR_SIZES: [u32; 2] = [512, 4096];
/// Attribute bit 2: legacy BIOS bootable.
const LEGACY_BOOT: u64 = 1 << 2;
/// Head 0, sector 2, cylinder 0: where LBA 1 is on a disk of any geometry.
pub(crate) const PROTECTIVE_CHS: [u8; 3] = [0, 2, 0];
