//! The fields of both formats as they lie on disk, all little-endian.
//!
//! ```text
//! page    0x00 cookie, 8 bytes    0x08 features       0x0c format version     0x10 data offset
//!         0x18 time, seconds since 2000               0x1c creator, 4 bytes   0x20 its version
//!         0x24 its system         0x28 original size  0x30 current size       0x38 geometry
//!         0x3c disk type          0x40 checksum       0x44 uuid, 16 bytes     0x54 saved
//!         0x55 hidden             0x56 align_64
//! ZVHD2   0x57 version            0x58 block size     0x5c blocks             0x60 index offset
//!         0x68 bitmap offset      0x70 index bytes    0x74 bitmap bytes
//!         0x78 bytes of an index segment              0x7c of a bitmap segment
//!         0x80 index segments     0x84 bitmap segments 0x88 units
//!         0x8c index has every block                  0x8d compression
//! unit    0x00 magic, 12 bytes    0x0c bytes of payload                       0x10 block
//!         0x30 payload            padding             "end\0" as the last bytes of its last page
//! index   for each unit: offset, 8 bytes; block, 4; bytes of the unit, 4
//! bitmap  for each block a bit, the lowest first: whether there is a unit
//! ```
//!
//! Only the first 512 bytes of a page mean something.

use byteorder::{ByteOrder, LittleEndian};

/// What everything is a multiple of.
pub(crate) const PAGE: u64 = 4096;

/// The bytes of a page that are defined, and in its checksum.
pub(crate) const DEFINED: usize = 512;

/// Bytes of the disk in a block.
pub(crate) const BLOCK: u64 = 2 << 20;

/// The bytes of a cookie that readers compare.
pub(crate) const COOKIE: usize = 6;

/// Bytes in front of a unit's payload.
pub(crate) const UNIT_HEAD: usize = 48;

/// What ends a unit.
pub(crate) const UNIT_END: [u8; 4] = *b"end\0";

/// What a unit begins with.
const UNIT_MAGIC: [u8; 12] = *b"hwstream bg\0";

/// Bytes of an index entry.
pub(crate) const ENTRY: u64 = 16;

/// Entries of an index segment, and bits of a bitmap segment.
pub(crate) const SEGMENT_ENTRIES: u64 = 32768;
pub(crate) const INDEX_SEGMENT: u64 = SEGMENT_ENTRIES * ENTRY;
pub(crate) const BITMAP_SEGMENT: u64 = SEGMENT_ENTRIES / 8;

/// The defined bytes of a page.
pub(crate) type Defined = [u8; DEFINED];

/// The fields of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawPage {
    pub cookie: [u8; 8],
    pub features: u32,
    pub version: u32,
    pub data_offset: u64,
    pub time: u32,
    pub creator: [u8; 4],
    pub creator_version: u32,
    pub creator_system: u32,
    pub original_size: u64,
    pub current_size: u64,
    pub geometry: u32,
    pub disk_type: u32,
    pub checksum: u32,
    pub uuid: [u8; 16],
    pub hidden: u8,
    pub tables: RawTables,
}

/// The fields of a page that only ZVHD2 has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawTables {
    pub version: u8,
    pub block_size: u32,
    pub blocks: u32,
    pub index_offset: u64,
    pub bitmap_offset: u64,
    pub index_size: u32,
    pub bitmap_size: u32,
    pub index_segment: u32,
    pub bitmap_segment: u32,
    pub index_segments: u32,
    pub bitmap_segments: u32,
    pub units: u32,
    pub index_has_all: u8,
    pub compression: u8,
}

impl RawPage {
    pub fn parse(bytes: &Defined) -> Self {
        let u32_at = |at| LittleEndian::read_u32(&bytes[at..]);
        let u64_at = |at| LittleEndian::read_u64(&bytes[at..]);
        Self {
            cookie: array(bytes, 0x00),
            features: u32_at(0x08),
            version: u32_at(0x0c),
            data_offset: u64_at(0x10),
            time: u32_at(0x18),
            creator: array(bytes, 0x1c),
            creator_version: u32_at(0x20),
            creator_system: u32_at(0x24),
            original_size: u64_at(0x28),
            current_size: u64_at(0x30),
            geometry: u32_at(0x38),
            disk_type: u32_at(0x3c),
            checksum: u32_at(CHECKSUM),
            uuid: array(bytes, 0x44),
            hidden: bytes[HIDDEN],
            tables: RawTables {
                version: bytes[0x57],
                block_size: u32_at(0x58),
                blocks: u32_at(0x5c),
                index_offset: u64_at(0x60),
                bitmap_offset: u64_at(0x68),
                index_size: u32_at(0x70),
                bitmap_size: u32_at(0x74),
                index_segment: u32_at(0x78),
                bitmap_segment: u32_at(0x7c),
                index_segments: u32_at(0x80),
                bitmap_segments: u32_at(0x84),
                units: u32_at(0x88),
                index_has_all: bytes[0x8c],
                compression: bytes[0x8d],
            },
        }
    }

    /// The whole page, with the checksum that it should have.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE as usize];
        let mut u32_at = |at: usize, value| LittleEndian::write_u32(&mut page[at..], value);
        u32_at(0x08, self.features);
        u32_at(0x0c, self.version);
        u32_at(0x18, self.time);
        u32_at(0x20, self.creator_version);
        u32_at(0x24, self.creator_system);
        u32_at(0x38, self.geometry);
        u32_at(0x3c, self.disk_type);
        let tables = &self.tables;
        u32_at(0x58, tables.block_size);
        u32_at(0x5c, tables.blocks);
        u32_at(0x70, tables.index_size);
        u32_at(0x74, tables.bitmap_size);
        u32_at(0x78, tables.index_segment);
        u32_at(0x7c, tables.bitmap_segment);
        u32_at(0x80, tables.index_segments);
        u32_at(0x84, tables.bitmap_segments);
        u32_at(0x88, tables.units);
        let mut u64_at = |at: usize, value| LittleEndian::write_u64(&mut page[at..], value);
        u64_at(0x10, self.data_offset);
        u64_at(0x28, self.original_size);
        u64_at(0x30, self.current_size);
        u64_at(0x60, tables.index_offset);
        u64_at(0x68, tables.bitmap_offset);
        page[..8].copy_from_slice(&self.cookie);
        page[0x1c..0x20].copy_from_slice(&self.creator);
        page[0x44..0x54].copy_from_slice(&self.uuid);
        page[HIDDEN] = self.hidden;
        page[0x57] = tables.version;
        page[0x8c] = tables.index_has_all;
        page[0x8d] = tables.compression;
        let checksum = checksum(&array(&page, 0));
        LittleEndian::write_u32(&mut page[CHECKSUM..], checksum);
        page
    }
}

const CHECKSUM: usize = 0x40;
const HIDDEN: usize = 0x55;

/// What a page's checksum should be: the complement of the sum of its other bytes.
pub(crate) fn checksum(bytes: &Defined) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    !(sum(bytes) - sum(&bytes[CHECKSUM..CHECKSUM + 4]))
}

/// The bytes of a whole unit with a payload of so many bytes.
pub(crate) fn unit_length(size: u32) -> u64 {
    (UNIT_HEAD as u64 + u64::from(size) + UNIT_END.len() as u64).next_multiple_of(PAGE)
}

/// Bytes of payload, and block, of the unit that begins with `bytes`, if one does.
pub(crate) fn unit_head(bytes: &[u8]) -> Option<(u32, u32)> {
    let head = bytes.get(..UNIT_HEAD)?;
    head.starts_with(&UNIT_MAGIC)
        .then(|| (LittleEndian::read_u32(&head[12..]), LittleEndian::read_u32(&head[16..])))
}

/// What precedes a unit's payload.
pub(crate) fn unit_head_to_bytes(size: u32, block: u32) -> [u8; UNIT_HEAD] {
    let mut head = [0; UNIT_HEAD];
    head[..12].copy_from_slice(&UNIT_MAGIC);
    LittleEndian::write_u32(&mut head[12..], size);
    LittleEndian::write_u32(&mut head[16..], block);
    head
}

/// An entry of ZVHD2's index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEntry {
    pub at: u64,
    pub block: u32,
    pub length: u32,
}

impl RawEntry {
    /// Reads an entry from its [`ENTRY`] bytes.
    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            at: LittleEndian::read_u64(bytes),
            block: LittleEndian::read_u32(&bytes[8..]),
            length: LittleEndian::read_u32(&bytes[12..]),
        }
    }

    pub fn to_bytes(self) -> [u8; ENTRY as usize] {
        let mut bytes = [0; ENTRY as usize];
        LittleEndian::write_u64(&mut bytes, self.at);
        LittleEndian::write_u32(&mut bytes[8..], self.block);
        LittleEndian::write_u32(&mut bytes[12..], self.length);
        bytes
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..][..N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_it_was_written() {
        let page = RawPage {
            cookie: *b"z2strm\0\0",
            features: 1,
            version: 2,
            data_offset: 3 << 40,
            time: 4,
            creator: *b"abcd",
            creator_version: 5,
            creator_system: 6,
            original_size: 7 << 40,
            current_size: 8 << 40,
            geometry: 9,
            disk_type: 10,
            checksum: 0,
            uuid: [11; 16],
            hidden: 12,
            tables: RawTables {
                version: 13,
                block_size: 14,
                blocks: 15,
                index_offset: 16 << 40,
                bitmap_offset: 17 << 40,
                index_size: 18,
                bitmap_size: 19,
                index_segment: 20,
                bitmap_segment: 21,
                index_segments: 22,
                bitmap_segments: 23,
                units: 24,
                index_has_all: 25,
                compression: 26,
            },
        };
        let bytes = page.to_bytes();
        assert_eq!(bytes.len(), PAGE as usize);
        let defined: Defined = array(&bytes, 0);
        let checksum = checksum(&defined);
        assert_eq!(RawPage::parse(&defined), RawPage { checksum, ..page });
    }

    #[test]
    fn a_unit_has_as_few_pages_as_hold_it() {
        for (size, length) in [(1, 4096), (4044, 4096), (4045, 8192), (8140, 8192), (8141, 12288)] {
            assert_eq!(unit_length(size), length, "{size}");
        }
        assert_eq!(unit_length(u32::MAX), (1 << 32) + 4096);
        assert_eq!(unit_head(&unit_head_to_bytes(7, 9)), Some((7, 9)));
        assert_eq!(unit_head(&unit_head_to_bytes(7, 9)[..47]), None);
        assert_eq!(unit_head(&[0; 48]), None);
    }

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let entry = RawEntry { at: 1 << 40, block: 2, length: 3 };
        assert_eq!(RawEntry::parse(&entry.to_bytes()), entry);
    }
}
