//! The fields of a VHD file as they lie on disk, all big-endian but for locators' texts.
//!
//! ```text
//! fixed:    the disk | footer
//! others:   copy of the footer | header | block allocation table | blocks … | footer
//!
//! footer  0 "conectix"           8 features           12 version          16 header's offset
//!        24 time stamp          28 creator           32 its version      36 its host system
//!        40 original size       48 current size      56 cylinders, heads, sectors
//!        60 disk type           64 checksum          68 unique id        84 saved state
//! header  0 "cxsparse"           8 next header        16 table's offset   24 version
//!        28 table entries       32 block size        36 checksum         40 parent's unique id
//!        56 parent's time stamp 64 parent's name    576 eight parent locators
//! table     for each block, the sector at which it begins; all ones where it is not stored
//! block     a bit for each sector, the first in the highest bit, in whole sectors; the sectors
//! ```
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0, October 2006.
//! It does not say which bit comes first; Virtual PC's own files do.

use byteorder::{BigEndian, ByteOrder};

/// Bytes in a footer.
pub(crate) const FOOTER: usize = 512;

/// Bytes in a footer of Virtual PC before 2004, which lacks the last reserved byte.
pub(crate) const SHORT_FOOTER: usize = 511;

/// Bytes 0 to 7 of a footer.
pub(crate) const COOKIE: [u8; 8] = *b"conectix";

/// Bytes in the header of a dynamic disk.
pub(crate) const HEADER: usize = 1024;

/// Bytes 0 to 7 of the header of a dynamic disk.
pub(crate) const HEADER_COOKIE: [u8; 8] = *b"cxsparse";

/// Version 1.0, of the footer and of the header. There is no other.
pub(crate) const VERSION: u32 = 0x0001_0000;

/// Where there is no next structure. The specification has half as many ones; Microsoft's own
/// programs write and expect these.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// A reserved bit of the features that is always set.
pub(crate) const FEATURES: u32 = 2;

/// A bit of the features: the disk may be deleted at shutdown.
pub(crate) const TEMPORARY: u32 = 1;

/// Offsets of fields that messages name.
pub(crate) mod field {
    pub const VERSION: u64 = 12;
    pub const CURRENT_SIZE: u64 = 48;
    pub const SAVED_STATE: u64 = 84;
    pub const LOCATORS: u64 = 576;
}

/// Offsets of the checksums, of four bytes each.
const FOOTER_CHECKSUM: usize = 64;
const HEADER_CHECKSUM: usize = 36;

/// A footer's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawFooter {
    pub features: u32,
    pub version: u32,
    pub header_offset: u64,
    /// Seconds since 2000.
    pub seconds: u32,
    pub creator: [u8; 4],
    /// Major and minor, of 16 bits each.
    pub creator_version: u32,
    pub host: [u8; 4],
    pub original_size: u64,
    pub current_size: u64,
    pub cylinders: u16,
    pub heads: u8,
    pub sectors: u8,
    pub disk_type: u32,
    pub uuid: [u8; 16],
    pub saved_state: u8,
}

impl RawFooter {
    pub fn parse(bytes: &[u8; FOOTER]) -> Self {
        let u32_at = |at| BigEndian::read_u32(&bytes[at..]);
        let u64_at = |at| BigEndian::read_u64(&bytes[at..]);
        Self {
            features: u32_at(8),
            version: u32_at(12),
            header_offset: u64_at(16),
            seconds: u32_at(24),
            creator: text4(bytes, 28),
            creator_version: u32_at(32),
            host: text4(bytes, 36),
            original_size: u64_at(40),
            current_size: u64_at(48),
            cylinders: BigEndian::read_u16(&bytes[56..]),
            heads: bytes[58],
            sectors: bytes[59],
            disk_type: u32_at(60),
            uuid: uuid(bytes, 68),
            saved_state: bytes[84],
        }
    }

    /// The footer as bytes, with its checksum.
    pub fn to_bytes(&self) -> [u8; FOOTER] {
        let mut bytes = [0; FOOTER];
        bytes[..8].copy_from_slice(&COOKIE);
        bytes[28..32].copy_from_slice(&self.creator);
        bytes[36..40].copy_from_slice(&self.host);
        bytes[58] = self.heads;
        bytes[59] = self.sectors;
        bytes[68..84].copy_from_slice(&self.uuid);
        bytes[84] = self.saved_state;
        BigEndian::write_u16(&mut bytes[56..], self.cylinders);
        let mut put_u32 = |at: usize, value| BigEndian::write_u32(&mut bytes[at..], value);
        put_u32(8, self.features);
        put_u32(12, self.version);
        put_u32(24, self.seconds);
        put_u32(32, self.creator_version);
        put_u32(60, self.disk_type);
        let mut put_u64 = |at: usize, value| BigEndian::write_u64(&mut bytes[at..], value);
        put_u64(16, self.header_offset);
        put_u64(40, self.original_size);
        put_u64(48, self.current_size);
        let checksum = footer_checksum(&bytes).found;
        BigEndian::write_u32(&mut bytes[FOOTER_CHECKSUM..], checksum);
        bytes
    }
}

/// The header of a dynamic disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawHeader {
    pub table_offset: u64,
    pub version: u32,
    pub entries: u32,
    pub block_size: u32,
    pub parent_uuid: [u8; 16],
    /// UTF-16, big-endian; what is left is zeros.
    pub parent_name: [u8; PARENT_NAME],
    pub locators: [RawLocator; LOCATORS],
}

/// Bytes in the field for the parent's name.
pub(crate) const PARENT_NAME: usize = 512;

/// Parent locators in a header.
pub(crate) const LOCATORS: usize = 8;

/// Bytes in a parent locator.
pub(crate) const LOCATOR: usize = 24;

/// Where a name of the parent is, in one platform's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawLocator {
    /// Whose; zeros where there is none.
    pub platform: [u8; 4],
    /// Bytes in the name.
    pub length: u32,
    pub offset: u64,
}

impl RawHeader {
    pub fn parse(bytes: &[u8; HEADER]) -> Self {
        let u32_at = |at| BigEndian::read_u32(&bytes[at..]);
        let mut parent_name = [0; PARENT_NAME];
        parent_name.copy_from_slice(&bytes[64..64 + PARENT_NAME]);
        Self {
            table_offset: BigEndian::read_u64(&bytes[16..]),
            version: u32_at(24),
            entries: u32_at(28),
            block_size: u32_at(32),
            parent_uuid: uuid(bytes, 40),
            parent_name,
            locators: std::array::from_fn(|index| {
                let at = field::LOCATORS as usize + index * LOCATOR;
                RawLocator {
                    platform: text4(bytes, at),
                    length: u32_at(at + 8),
                    offset: BigEndian::read_u64(&bytes[at + 16..]),
                }
            }),
        }
    }

    /// The header of a disk without a parent as bytes, with its checksum.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&HEADER_COOKIE);
        let mut put_u32 = |at: usize, value| BigEndian::write_u32(&mut bytes[at..], value);
        put_u32(24, self.version);
        put_u32(28, self.entries);
        put_u32(32, self.block_size);
        BigEndian::write_u64(&mut bytes[8..], NOWHERE);
        BigEndian::write_u64(&mut bytes[16..], self.table_offset);
        let checksum = header_checksum(&bytes).found;
        BigEndian::write_u32(&mut bytes[HEADER_CHECKSUM..], checksum);
        bytes
    }
}

fn text4(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("four bytes")
}

fn uuid(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes[at..at + 16].try_into().expect("sixteen bytes")
}

/// The checksum that a structure states, and what its bytes add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub stated: u32,
    pub found: u32,
}

impl Checksum {
    pub fn holds(self) -> bool {
        self.stated == self.found
    }
}

pub(crate) fn footer_checksum(bytes: &[u8; FOOTER]) -> Checksum {
    checksum(bytes, FOOTER_CHECKSUM)
}

pub(crate) fn header_checksum(bytes: &[u8; HEADER]) -> Checksum {
    checksum(bytes, HEADER_CHECKSUM)
}

/// The ones' complement of the sum of all bytes but the checksum's own, which is at `field`.
fn checksum(bytes: &[u8], field: usize) -> Checksum {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let found = !(sum(&bytes[..field]) + sum(&bytes[field + 4..]));
    Checksum { stated: BigEndian::read_u32(&bytes[field..]), found }
}

/// A table entry of a block that is not stored.
pub(crate) const UNUSED: u32 = u32::MAX;

/// Bytes in a table entry.
pub(crate) const ENTRY: u64 = 4;

/// Adds table entries, as numbers.
pub(crate) fn entries(bytes: &[u8], out: &mut Vec<u32>) {
    out.extend(bytes.chunks_exact(ENTRY as usize).map(BigEndian::read_u32));
}

/// Table entries as bytes.
pub(crate) fn entries_to_bytes(entries: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; entries.len() * ENTRY as usize];
    BigEndian::write_u32_into(entries, &mut bytes);
    bytes
}

/// Sectors from `first` on, and before `end`, whose bits are all as the first one's; and that bit.
pub(crate) fn bit_run(bitmap: &[u8], first: usize, end: usize) -> (bool, usize) {
    let bit = |sector: usize| bitmap[sector / 8] & 0x80 >> (sector % 8) != 0;
    let set = bit(first);
    let whole = if set { 0xff } else { 0 };
    let mut sector = first + 1;
    while sector < end {
        if sector.is_multiple_of(8) && bitmap[sector / 8] == whole {
            sector += 8;
        } else if bit(sector) == set {
            sector += 1;
        } else {
            break;
        }
    }
    (set, sector.min(end) - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_reads_as_it_was_written() {
        let footer = RawFooter {
            features: 1,
            version: 2,
            header_offset: 3,
            seconds: 4,
            creator: *b"abcd",
            creator_version: 5,
            host: *b"efgh",
            original_size: 6,
            current_size: 7,
            cylinders: 8,
            heads: 9,
            sectors: 10,
            disk_type: 11,
            uuid: *b"0123456789abcdef",
            saved_state: 12,
        };
        let bytes = footer.to_bytes();
        assert!(bytes.starts_with(&COOKIE));
        assert!(footer_checksum(&bytes).holds());
        assert_eq!(RawFooter::parse(&bytes), footer);
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let header = RawHeader {
            table_offset: 1,
            version: 2,
            entries: 3,
            block_size: 4,
            parent_uuid: [0; 16],
            parent_name: [0; PARENT_NAME],
            locators: [RawLocator::default(); LOCATORS],
        };
        let bytes = header.to_bytes();
        assert!(bytes.starts_with(&HEADER_COOKIE));
        assert!(header_checksum(&bytes).holds());
        assert_eq!(RawHeader::parse(&bytes), header);
    }

    #[test]
    fn the_first_sector_is_the_highest_bit() {
        let bitmap = [0b1101_0000, 0, 0, 0b0000_0001, 0xff, 0xff];
        for (first, end, run) in [
            (0, 48, (true, 2)),
            (1, 48, (true, 1)),
            (2, 48, (false, 1)),
            (3, 4, (true, 1)),
            (4, 48, (false, 27)),
            (4, 20, (false, 16)),
            (31, 48, (true, 17)),
            (40, 41, (true, 1)),
        ] {
            assert_eq!(bit_run(&bitmap, first, end), run, "{first}..{end}");
        }
    }
}
