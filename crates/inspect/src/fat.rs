//! FAT12, FAT16 and FAT32: enough to find a file by its path.
//!
//! ```text
//! | boot sector, reserved | FAT | FAT copy | root folder (12, 16) | cluster 2 | cluster 3 | …
//!
//! folder entry: name (8 + 3), attributes at 11, first cluster at 20 (high) and 26 (low), size at 28
//! long name:    entries before it with the attributes 0F: 13 UTF-16 units each, the last part first
//! ```
//!
//! Source: Microsoft's "FAT: General Overview of On-Disk Format", 1.03; UEFI 2.10, 13.3.

use std::collections::HashSet;

use byteorder::{ByteOrder, LittleEndian};
use diskferry_block_stream::Result;
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::content::{Content, ContentKind, Sight};
use crate::fields::{Fields, clean};
use crate::reader::Reader;

/// A FAT file system's boot sector. All offsets are bytes from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fat {
    kind: ContentKind,
    fat_at: u64,
    /// Bytes of one table.
    fat_len: u64,
    /// The root folder of FAT12 and FAT16.
    root_at: u64,
    root_len: u64,
    /// The first cluster of FAT32's root folder.
    root_cluster: u32,
    data_at: u64,
    cluster: u64,
    clusters: u64,
    size: u64,
}

/// What keeps a FAT from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ThisError)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the sentences beside the variants say what their numbers are")]
pub enum FatDamage {
    #[error("a chain comes back to cluster {cluster}")]
    Loop { cluster: u32 },
    #[error("a chain goes to cluster {cluster}, of {clusters}")]
    NoSuchCluster { cluster: u32, clusters: u64 },
    #[error("a folder has more than {most} bytes")]
    FolderTooLong { most: u64 },
    #[error("cluster {cluster} is past the end of the disk")]
    Cut { cluster: u32 },
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its long name, or its short one.
    pub(crate) name: String,
    /// Its short name, as `NAME.EXT`.
    pub(crate) short: String,
    pub(crate) is_folder: bool,
    pub(crate) cluster: u32,
    pub(crate) size: u32,
}

impl Entry {
    /// Whether it has this name, in capital or small letters.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.short.eq_ignore_ascii_case(name)
    }
}

impl Fat {
    pub(crate) fn parse(sector: &[u8]) -> Option<Self> {
        let bytes = u64::from(sector.le16(11)?);
        let per_cluster = u64::from(sector.byte(13)?);
        let reserved = u64::from(sector.le16(14)?);
        let fats = u64::from(sector.byte(16)?);
        let root_entries = u64::from(sector.le16(17)?);
        let media = sector.byte(21)?;
        let is_boot_sector = matches!(sector.byte(0)?, 0xEB | 0xE9)
            && sector.has(510, b"\x55\xaa")
            && bytes.is_power_of_two()
            && (512..=4096).contains(&bytes)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=4).contains(&fats)
            && (media == 0xF0 || media >= 0xF8);
        if !is_boot_sector {
            return None;
        }
        let either = |short: u16, long: u32| if short != 0 { short.into() } else { long };
        let sectors = u64::from(either(sector.le16(19)?, sector.le32(32)?));
        let fat_sectors = u64::from(either(sector.le16(22)?, sector.le32(36)?));
        let root_sectors = (root_entries * 32).div_ceil(bytes);
        let before_data = reserved + fats * fat_sectors + root_sectors;
        let clusters = sectors.checked_sub(before_data)? / per_cluster;
        // Only FAT32 keeps its tables' length in 32 bits. Microsoft goes by the number of clusters alone;
        // Linux and EDK2 look at this first, and so read small FAT32s, which are frequent.
        let is_32 = sector.le16(22)? == 0;
        let kind = match clusters {
            0 => return None,
            _ if is_32 => ContentKind::Fat32,
            1..4085 => ContentKind::Fat12,
            4085..65525 => ContentKind::Fat16,
            _ => return None,
        };
        if fat_sectors == 0 || is_32 != (root_entries == 0) {
            return None;
        }
        Some(Self {
            kind,
            fat_at: reserved * bytes,
            fat_len: fat_sectors * bytes,
            root_at: (reserved + fats * fat_sectors) * bytes,
            root_len: root_sectors * bytes,
            root_cluster: if is_32 { sector.le32(44)? } else { 0 },
            data_at: before_data * bytes,
            cluster: per_cluster * bytes,
            clusters,
            size: sectors * bytes,
        })
    }

    /// Offset of a cluster; `None` where there is no such.
    fn cluster_at(&self, cluster: u32) -> Option<u64> {
        let index = u64::from(cluster).checked_sub(2).filter(|index| *index < self.clusters)?;
        Some(self.data_at + index * self.cluster)
    }
}

/// What a boot sector says, as the other probes do.
pub(crate) fn content(sight: &Sight) -> Option<Content> {
    let sector = sight.at(0);
    let fat = Fat::parse(sector)?;
    let extended = if fat.kind == ContentKind::Fat32 { 64 } else { 36 };
    // Signature 29: an id, a label and a name follow. 28: only the id.
    let signature = sector.byte(extended + 2)?;
    let id = matches!(signature, 0x28 | 0x29).then(|| sector.le32(extended + 3)).flatten();
    let label = if signature == 0x29 { sector.text(extended + 7, 11) } else { None };
    Some(Content {
        label: label.filter(|label| label != "NO NAME"),
        id: id.map(|id| format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF)),
        size: Some(fat.size),
        block_size: Some(fat.cluster),
        sector_size: sector.le16(11).map(u64::from),
        ..Content::of(fat.kind)
    })
}

/// Reads the folders of a FAT. It goes on as far as it can; the first damage is kept.
pub(crate) struct Walk<'r, 'd> {
    reader: &'r mut Reader<'d>,
    fat: Fat,
    /// Offset of the boot sector on the disk.
    base: u64,
    /// The part of the table that was read last, and its offset in the table.
    table: (u64, Vec<u8>),
    pub(crate) damage: Option<FatDamage>,
}

impl<'r, 'd> Walk<'r, 'd> {
    /// Opens what begins at `base`; `None` when that is no FAT.
    pub(crate) fn open(reader: &'r mut Reader<'d>, base: u64) -> Result<Option<Self>> {
        let sector = reader.bytes(base, 512)?;
        let Some(fat) = Fat::parse(&sector) else { return Ok(None) };
        Ok(Some(Self { reader, fat, base, table: (0, Vec::new()), damage: None }))
    }

    /// What is in the root folder.
    pub(crate) fn root(&mut self) -> Result<Vec<Entry>> {
        if self.fat.kind == ContentKind::Fat32 {
            return self.folder(self.fat.root_cluster);
        }
        // 65535 entries are 2 MiB, so this needs no bound.
        let bytes = self.read(self.fat.root_at, self.fat.root_len)?;
        Ok(entries(&bytes))
    }

    /// What is in the folder that begins at this cluster.
    pub(crate) fn folder(&mut self, first: u32) -> Result<Vec<Entry>> {
        let mut bytes = Vec::new();
        let mut seen = HashSet::new();
        let mut cluster = first;
        loop {
            if !seen.insert(cluster) {
                self.damaged(FatDamage::Loop { cluster });
                break;
            }
            let Some(at) = self.fat.cluster_at(cluster) else {
                let clusters = self.fat.clusters;
                self.damaged(FatDamage::NoSuchCluster { cluster, clusters });
                break;
            };
            if bytes.len() as u64 + self.fat.cluster > MOST_FOLDER {
                self.damaged(FatDamage::FolderTooLong { most: MOST_FOLDER });
                break;
            }
            let piece = self.read(at, self.fat.cluster)?;
            let is_cut = (piece.len() as u64) < self.fat.cluster;
            let is_last = piece.chunks_exact(ENTRY).any(|entry| entry[0] == END);
            bytes.extend(piece);
            if is_cut {
                self.damaged(FatDamage::Cut { cluster });
            }
            if is_cut || is_last {
                break;
            }
            match self.next(cluster)? {
                Some(next) => cluster = next,
                None => break,
            }
        }
        Ok(entries(&bytes))
    }

    /// The first bytes of a file, at most one cluster and at most `len`.
    pub(crate) fn head(&mut self, file: &Entry, len: u64) -> Result<Vec<u8>> {
        match self.fat.cluster_at(file.cluster) {
            Some(at) => self.read(at, len.min(self.fat.cluster).min(file.size.into())),
            None => Ok(Vec::new()),
        }
    }

    /// The cluster after this one; `None` at the end of the chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let number = u64::from(cluster);
        let (at, end) = match self.fat.kind {
            ContentKind::Fat12 => (number * 3 / 2, 0xFF8),
            ContentKind::Fat16 => (number * 2, 0xFFF8),
            _ => (number * 4, 0x0FFF_FFF8),
        };
        let bytes = self.table_bytes(at)?;
        let next = match self.fat.kind {
            ContentKind::Fat12 => {
                let pair = u32::from(LittleEndian::read_u16(&bytes));
                if number % 2 == 1 { pair >> 4 } else { pair & 0xFFF }
            }
            ContentKind::Fat16 => LittleEndian::read_u16(&bytes).into(),
            _ => LittleEndian::read_u32(&bytes) & 0x0FFF_FFFF,
        };
        Ok((next < end).then_some(next))
    }

    /// Four bytes of the table; zeros, which lead nowhere, where it has ended.
    fn table_bytes(&mut self, at: u64) -> Result<[u8; 4]> {
        let offset_in = |start: u64| at.checked_sub(start).filter(|offset| *offset < TABLE_PIECE);
        let held = offset_in(self.table.0).filter(|_| !self.table.1.is_empty());
        let offset = match held {
            Some(offset) => offset,
            None => {
                let start = at & !(TABLE_PIECE - 1);
                let len = (TABLE_PIECE + 4).min(self.fat.fat_len.saturating_sub(start));
                self.table = (start, self.read(self.fat.fat_at + start, len)?);
                at - start
            }
        };
        let mut bytes = [0; 4];
        let held = self.table.1.get(offset as usize..).unwrap_or_default();
        let len = held.len().min(4);
        bytes[..len].copy_from_slice(&held[..len]);
        Ok(bytes)
    }

    /// At most `len` bytes; callers bound it.
    fn read(&mut self, at: u64, len: u64) -> Result<Vec<u8>> {
        self.reader.bytes(self.base.saturating_add(at), len as usize)
    }

    fn damaged(&mut self, damage: FatDamage) {
        self.damage.get_or_insert(damage);
    }
}

/// What a folder's bytes list, without labels, deleted entries, and the folder itself.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<[u16; 13]> = Vec::new();
    for entry in bytes.chunks_exact(ENTRY) {
        match (entry[0], entry[11]) {
            (END, _) => break,
            (DELETED, _) => long.clear(),
            (order, attributes) if attributes & 0x3F == LONG_NAME => {
                // The part that comes first is the last, and says so.
                if order & 0x40 != 0 {
                    long.clear();
                }
                if long.len() < MOST_LONG_PARTS {
                    long.push(long_name_part(entry));
                }
            }
            (_, attributes) => {
                let parts = std::mem::take(&mut long);
                if attributes & LABEL == 0 && entry[0] != b'.' {
                    found.push(short_entry(entry, &parts));
                }
            }
        }
    }
    found
}

fn short_entry(entry: &[u8], parts: &[[u16; 13]]) -> Entry {
    let short = short_name(entry);
    let units: Vec<u16> =
        parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0).collect();
    let long = clean(&String::from_utf16_lossy(&units));
    let number = |at| u32::from(entry.le16(at).unwrap_or_default());
    Entry {
        name: long.unwrap_or_else(|| short.clone()),
        short,
        is_folder: entry[11] & FOLDER != 0,
        cluster: number(20) << 16 | number(26),
        size: entry.le32(28).unwrap_or_default(),
    }
}

/// A short name as `NAME.EXT`. Windows NT and Linux keep in two bits which half is in small letters.
fn short_name(entry: &[u8]) -> String {
    let part = |from, to, small_bit| {
        let text: String = entry[from..to].iter().map(|byte| char::from(*byte)).collect();
        let text = clean(&text).unwrap_or_default();
        if entry[12] & small_bit == 0 { text } else { text.to_ascii_lowercase() }
    };
    let (name, extension) = (part(0, 8, 0x08), part(8, 11, 0x10));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}

/// The 13 units of a long name that an entry holds, in three fields.
fn long_name_part(entry: &[u8]) -> [u16; 13] {
    const AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    AT.map(|at| entry.le16(at).unwrap_or_default())
}

const ENTRY: usize = 32;
const END: u8 = 0;
const DELETED: u8 = 0xE5;
const LONG_NAME: u8 = 0x0F;
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// A long name has at most 255 units, 13 in an entry.
const MOST_LONG_PARTS: usize = 20;
/// FAT allows a folder 65536 entries.
const MOST_FOLDER: u64 = 2 << 20;
/// How much of a table is read at a time: a power of two.
const TABLE_PIECE: u64 = 4096;
