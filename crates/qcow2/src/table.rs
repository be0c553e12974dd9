//! L1 and L2 entries: where a cluster of the disk is.
//!
//! ```text
//! L1 entry   bits 9-55: offset of an L2 table; 0 when there is none    bit 63: COPIED
//! L2 entry   bits 9-55: offset of the cluster   bit 0: reads as zeros   bit 63: COPIED
//!   or       bit 62: compressed; below bit 62-(cluster bits-8): offset in bytes; above it: how many
//!            sectors of 512 bytes follow the first
//! extended   a second word: bits 0-31 say which subclusters are stored, bits 32-63 which are zeros;
//!            0 for a compressed cluster. Bit 0 of the first word is reserved
//! ```
//!
//! The other bits are reserved, and zero. An entry that has one set is damaged, and what else it says is not
//! believed; QEMU reads it, and its check calls it a corruption.
//!
//! Source: QEMU, `docs/interop/qcow2.rst`.

use diskferry_block_stream::SECTOR;

use crate::header::{ClusterBits, Version};

/// Offsets in the entries of L1, L2 and bitmap tables.
pub(crate) const OFFSET: u64 = 0x00FF_FFFF_FFFF_FE00;

/// Exactly one reference leads here.
pub(crate) const COPIED: u64 = 1 << 63;

/// The cluster is compressed.
pub(crate) const COMPRESSED: u64 = 1 << 62;

/// The cluster reads as zeros.
const ZERO: u64 = 1;

/// What L1 entries have reserved.
const L1_RESERVED: u64 = !(OFFSET | COPIED);

/// What L2 entries have reserved that are not compressed.
const L2_RESERVED: u64 = !(OFFSET | COPIED | COMPRESSED | ZERO);

/// Subclusters of a cluster in an image with extended L2 entries.
pub(crate) const SUBCLUSTERS: u64 = 32;

/// The offset of the L2 table that an L1 entry names; 0 when there is none.
pub(crate) fn l2_offset(l1_entry: u64) -> u64 {
    l1_entry & OFFSET
}

/// Whether an L1 entry has a reserved bit set, or a flag and no table: then its offset was lost.
pub(crate) fn l1_is_damaged(l1_entry: u64) -> bool {
    l1_entry & L1_RESERVED != 0 || l1_entry == COPIED
}

/// What an L2 entry says about its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing is stored.
    Absent,
    /// Reads as zeros; `offset` is the cluster kept for it, 0 when there is none.
    Zero { offset: u64 },
    /// Stored as it is at `offset`.
    Plain { offset: u64 },
    /// Stored compressed within these bytes.
    Compressed { offset: u64, length: u64 },
    /// Each subcluster by itself: bit by bit stored, or zero, or absent.
    Parts { offset: u64, stored: u32, zero: u32 },
}

/// An entry that no version of the format allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadEntry {
    ZeroInV2,
    Bitmap(u64),
    CompressedInDataFile,
    /// The whole entry, which has a reserved bit set.
    Reserved(u64),
    /// The subcluster bitmap of a compressed cluster, which has no subclusters.
    CompressedParts(u64),
}

impl std::fmt::Display for BadEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ZeroInV2 => f.write_str("is a zero cluster, which version 2 does not have"),
            Self::Bitmap(bitmap) => {
                write!(f, "has subcluster bitmap {bitmap:#018x}, which says two things at once")
            }
            Self::CompressedInDataFile => {
                f.write_str("is compressed, in an image with an external data file")
            }
            Self::Reserved(entry) => write!(f, "is {entry:#018x}, which has reserved bits set"),
            Self::CompressedParts(bitmap) => {
                write!(f, "is compressed, with subcluster bitmap {bitmap:#018x}, which must be 0")
            }
        }
    }
}

/// How an image's L2 entries read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryFormat {
    pub cluster_bits: ClusterBits,
    pub version: Version,
    pub extended: bool,
    pub external_data: bool,
}

impl EntryFormat {
    /// Reads an entry; `bitmap` is the second word of an extended one, else 0.
    pub fn parse(self, entry: u64, bitmap: u64) -> Result<Entry, BadEntry> {
        if entry & COMPRESSED != 0 {
            if self.external_data {
                return Err(BadEntry::CompressedInDataFile);
            }
            if bitmap != 0 {
                return Err(BadEntry::CompressedParts(bitmap));
            }
            let (offset, length) = compressed_place(self.cluster_bits, entry);
            return Ok(Entry::Compressed { offset, length });
        }
        let reserved = if self.extended { L2_RESERVED | ZERO } else { L2_RESERVED };
        if entry & reserved != 0 {
            return Err(BadEntry::Reserved(entry));
        }
        let offset = entry & OFFSET;
        // In an external data file a cluster may well be at offset 0; the flag tells.
        let allocated = offset != 0 || (self.external_data && entry & COPIED != 0);
        if self.extended {
            return Self::parse_parts(offset, allocated, bitmap);
        }
        match (entry & ZERO != 0, allocated) {
            (true, _) if self.version == Version::V2 => Err(BadEntry::ZeroInV2),
            (true, _) => Ok(Entry::Zero { offset }),
            (false, true) => Ok(Entry::Plain { offset }),
            (false, false) => Ok(Entry::Absent),
        }
    }

    /// The cluster that an entry leads to, whatever is wrong with it: what a check counts.
    pub fn cluster(self, entry: u64) -> Entry {
        match entry & OFFSET {
            _ if entry & COMPRESSED != 0 && self.external_data => Entry::Absent,
            _ if entry & COMPRESSED != 0 => {
                let (offset, length) = compressed_place(self.cluster_bits, entry);
                Entry::Compressed { offset, length }
            }
            0 => Entry::Absent,
            offset => Entry::Plain { offset },
        }
    }

    fn parse_parts(offset: u64, allocated: bool, bitmap: u64) -> Result<Entry, BadEntry> {
        let (stored, zero) = (bitmap as u32, (bitmap >> 32) as u32);
        if stored & zero != 0 || (stored != 0 && !allocated) {
            return Err(BadEntry::Bitmap(bitmap));
        }
        Ok(match (stored, zero) {
            (u32::MAX, _) => Entry::Plain { offset },
            (0, u32::MAX) => Entry::Zero { offset },
            (0, 0) if !allocated => Entry::Absent,
            _ => Entry::Parts { offset, stored, zero },
        })
    }
}

/// Where a compressed cluster's bytes may be: first byte, and length to the end of the last sector.
fn compressed_place(cluster_bits: ClusterBits, entry: u64) -> (u64, u64) {
    let shift = compressed_shift(cluster_bits);
    let sectors_mask = (1 << (cluster_bits.bits() - 8)) - 1;
    let offset = entry & ((1 << shift) - 1);
    let sectors = (entry >> shift & sectors_mask) + 1;
    (offset, sectors * SECTOR - offset % SECTOR)
}

/// Where the number of additional sectors begins in a compressed entry; also how many bits its
/// offset has.
fn compressed_shift(cluster_bits: ClusterBits) -> u32 {
    62 - (cluster_bits.bits() - 8)
}

/// The entry for `length` compressed bytes at `offset`; `None` where the offset has no room in it.
pub(crate) fn compressed_entry(cluster_bits: ClusterBits, offset: u64, length: u64) -> Option<u64> {
    let shift = compressed_shift(cluster_bits);
    let sectors = (offset + length - 1) / SECTOR - offset / SECTOR;
    (offset >> shift == 0).then_some(COMPRESSED | sectors << shift | offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(extended: bool, external_data: bool) -> EntryFormat {
        let cluster_bits = ClusterBits::new(16).unwrap();
        EntryFormat { cluster_bits, version: Version::V3, extended, external_data }
    }

    #[test]
    fn a_compressed_entry_reads_back_rounded_up_to_sectors() {
        for (bits, offset, length) in
            [(16, 0x12_3456, 1000), (16, 512, 65535), (9, 77, 511), (21, 1 << 40, (1 << 21) - 1)]
        {
            let cluster_bits = ClusterBits::new(bits).unwrap();
            let entry = compressed_entry(cluster_bits, offset, length).unwrap();
            let (at, room) = compressed_place(cluster_bits, entry);
            assert_eq!(at, offset);
            assert!(room >= length && room - length < SECTOR, "{room} for {length}");
            assert_eq!((at + room) % SECTOR, 0);
        }
        assert_eq!(compressed_entry(ClusterBits::new(21).unwrap(), 1 << 49, 1), None);
    }

    #[test]
    fn an_entry_says_what_its_bits_say() {
        let plain = format(false, false);
        assert_eq!(plain.parse(0, 0), Ok(Entry::Absent));
        assert_eq!(plain.parse(COPIED, 0), Ok(Entry::Absent));
        assert_eq!(plain.parse(COPIED | 0x5_0000, 0), Ok(Entry::Plain { offset: 0x5_0000 }));
        assert_eq!(plain.parse(0x5_0001, 0), Ok(Entry::Zero { offset: 0x5_0000 }));
        assert_eq!(format(false, true).parse(COPIED, 0), Ok(Entry::Plain { offset: 0 }));
        assert_eq!(format(false, true).parse(COMPRESSED, 0), Err(BadEntry::CompressedInDataFile));
        let v2 = EntryFormat { version: Version::V2, ..plain };
        assert_eq!(v2.parse(1, 0), Err(BadEntry::ZeroInV2));
    }

    #[test]
    fn a_reserved_bit_is_damage() {
        for (extended, bits) in [(false, [1, 4, 8, 56, 57, 61]), (true, [0, 1, 8, 56, 57, 61])] {
            for bit in bits {
                for entry in [1 << bit, COPIED | 0x5_0000 | 1 << bit] {
                    let parsed = format(extended, false).parse(entry, 0);
                    assert_eq!(parsed, Err(BadEntry::Reserved(entry)), "bit {bit}");
                }
            }
        }
        let bad = format(true, false).parse(COMPRESSED | 0x5_0000, 1 << 32);
        assert_eq!(bad, Err(BadEntry::CompressedParts(1 << 32)));
        assert!([0, 8, 56, 62].into_iter().all(|bit| l1_is_damaged(0x5_0000 | 1 << bit)));
        assert!(l1_is_damaged(COPIED));
        assert!(!l1_is_damaged(COPIED | OFFSET) && !l1_is_damaged(0));
    }

    #[test]
    fn a_damaged_entry_still_leads_somewhere() {
        let cluster = |entry| format(false, false).cluster(entry);
        assert_eq!(cluster(0x5_0000 | 1 << 57), Entry::Plain { offset: 0x5_0000 });
        assert_eq!(cluster(1 << 57), Entry::Absent);
        let compressed = Entry::Compressed { offset: 0x5_0000, length: SECTOR };
        assert_eq!(cluster(COMPRESSED | 0x5_0000), compressed);
        assert_eq!(format(false, true).cluster(COMPRESSED | 0x5_0000), Entry::Absent);
    }

    #[test]
    fn a_subcluster_is_stored_or_zero_or_absent_but_not_two_of_them() {
        let extended = format(true, false);
        let parts = Entry::Parts { offset: 0x5_0000, stored: 1, zero: 2 };
        assert_eq!(extended.parse(0x5_0000, 2 << 32 | 1), Ok(parts));
        assert_eq!(extended.parse(0, 0), Ok(Entry::Absent));
        assert_eq!(extended.parse(0, 0xFFFF_FFFF << 32), Ok(Entry::Zero { offset: 0 }));
        assert_eq!(extended.parse(0x5_0000, 1 << 32 | 1), Err(BadEntry::Bitmap(1 << 32 | 1)));
        assert_eq!(extended.parse(0, 1), Err(BadEntry::Bitmap(1)));
    }
}
