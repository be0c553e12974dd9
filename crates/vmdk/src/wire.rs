//! The fields of VMDK's binary parts as they lie on disk, all little-endian, positions in sectors.
//!
//! ```text
//! hosted sparse, streamOptimized: a sector
//!    0 magic "KDMV"         4 version            8 flags              12 capacity
//!   20 grain size          28 descriptor        36 its sectors        44 entries in a grain table
//!   48 redundant directory 56 grain directory   64 overhead           72 unclean shutdown
//!   73 "\n \r\n"           77 compression
//! marker: a sector, or the start of a packed grain
//!    0 value (sectors that follow, or the grain's place on the disk)   8 bytes of the packed grain
//!   12 type, where that is 0; else the packed grain
//! COWD: four sectors
//!    0 magic "COWD"         4 version            8 flags              12 capacity
//!   16 grain size          20 grain directory   24 its entries        28 next free sector
//!   32 parent's name (1024 bytes), or, in a root, its geometry
//! seSparse: a sector, all fields of 8 bytes
//!    0 magic 0xcafebabe     8 version           16 capacity           24 grain size
//!   32 sectors of a grain table                 40 flags              48 reserved (32 bytes)
//!   80 volatile header    128 grain directory  136 its sectors       144 grain tables
//!  192 grains
//! seSparse, volatile header: a sector
//!    0 magic 0xcafecafe    24 journal to be replayed
//! ```
//!
//! Sources: VMware, "Virtual Disk Format 5.0"; libvmdk, "VMware Virtual Disk Format (VMDK)"; QEMU,
//! `block/vmdk.c`, for seSparse.

use byteorder::{ByteOrder, LittleEndian};
use diskferry_block_stream::SECTOR;

/// A buffer for one.
pub(crate) type Sector = [u8; SECTOR as usize];

/// Bytes 0 to 3 of a hosted sparse extent: "VMDK" as a number.
pub(crate) const MAGIC: [u8; 4] = *b"KDMV";

/// Bytes 0 to 3 of an extent of ESX Server.
pub(crate) const COWD_MAGIC: [u8; 4] = *b"COWD";

/// Bytes 0 to 7 of a seSparse extent, and of its volatile header.
pub(crate) const SESPARSE_MAGIC: [u8; 8] = 0xCAFE_BABE_u64.to_le_bytes();
pub(crate) const SESPARSE_VOLATILE_MAGIC: [u8; 8] = 0xCAFE_CAFE_u64.to_le_bytes();

/// Flags of a hosted sparse extent. Readers must know those of the upper half.
pub(crate) mod flag {
    /// The newline characters of the header can be tested.
    pub const NEWLINES: u32 = 1 << 0;
    /// There is a redundant grain directory.
    pub const REDUNDANT: u32 = 1 << 1;
    /// A grain table's entry of 1 means zeros.
    pub const ZEROED_GRAINS: u32 = 1 << 2;
    /// Grains are compressed.
    pub const COMPRESSED: u32 = 1 << 16;
    /// There are markers before grains and tables.
    pub const MARKERS: u32 = 1 << 17;
    /// The flags that readers must know, and we do not.
    pub const UNKNOWN: u32 = 0xFFFF_0000 & !COMPRESSED & !MARKERS;
}

/// The directory's position is in the footer.
pub(crate) const DIRECTORY_AT_END: u64 = u64::MAX;

/// What a transfer as text would change.
pub(crate) const NEWLINES: [u8; 4] = *b"\n \r\n";

/// RFC 1950.
pub(crate) const DEFLATE: u16 = 1;

/// Offsets of the header's fields that problems are about.
pub(crate) mod field {
    pub const CAPACITY: u64 = 12;
    pub const DESCRIPTOR: u64 = 28;
    pub const UNCLEAN: u64 = 72;
}

/// A hosted sparse extent's header, or footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawHeader {
    pub version: u32,
    pub flags: u32,
    pub capacity: u64,
    pub grain: u64,
    pub descriptor: u64,
    pub descriptor_sectors: u64,
    pub table_entries: u32,
    pub redundant: u64,
    pub directory: u64,
    pub overhead: u64,
    pub unclean: u8,
    pub newlines: [u8; 4],
    pub compression: u16,
}

impl RawHeader {
    pub fn parse(bytes: &Sector) -> Self {
        let u32_at = |at| LittleEndian::read_u32(&bytes[at..]);
        let u64_at = |at| LittleEndian::read_u64(&bytes[at..]);
        Self {
            version: u32_at(4),
            flags: u32_at(8),
            capacity: u64_at(12),
            grain: u64_at(20),
            descriptor: u64_at(28),
            descriptor_sectors: u64_at(36),
            table_entries: u32_at(44),
            redundant: u64_at(48),
            directory: u64_at(56),
            overhead: u64_at(64),
            unclean: bytes[72],
            newlines: [bytes[73], bytes[74], bytes[75], bytes[76]],
            compression: LittleEndian::read_u16(&bytes[77..]),
        }
    }

    pub fn to_bytes(&self) -> Sector {
        let mut bytes = [0; SECTOR as usize];
        bytes[..4].copy_from_slice(&MAGIC);
        let mut put_u32 = |at: usize, value| LittleEndian::write_u32(&mut bytes[at..], value);
        put_u32(4, self.version);
        put_u32(8, self.flags);
        put_u32(44, self.table_entries);
        let mut put_u64 = |at: usize, value| LittleEndian::write_u64(&mut bytes[at..], value);
        put_u64(12, self.capacity);
        put_u64(20, self.grain);
        put_u64(28, self.descriptor);
        put_u64(36, self.descriptor_sectors);
        put_u64(48, self.redundant);
        put_u64(56, self.directory);
        put_u64(64, self.overhead);
        bytes[72] = self.unclean;
        bytes[73..77].copy_from_slice(&self.newlines);
        LittleEndian::write_u16(&mut bytes[77..], self.compression);
        bytes
    }
}

/// What a marker's type says of what follows.
pub(crate) mod marker {
    /// Nothing.
    pub const END: u32 = 0;
    /// A grain table.
    pub const TABLE: u32 = 1;
    /// The grain directory.
    pub const DIRECTORY: u32 = 2;
    /// The footer.
    pub const FOOTER: u32 = 3;
}

/// What precedes a packed grain in the same sector, where there are markers.
pub(crate) const GRAIN_MARKER: usize = 12;

/// What precedes a packed grain where there are none: its length.
pub(crate) const GRAIN_LENGTH: usize = 4;

/// The start of a sector where a marker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawMarker {
    pub value: u64,
    /// Bytes of a packed grain; 0 where it is another marker.
    pub size: u32,
    pub kind: u32,
}

impl RawMarker {
    /// `bytes` has 16 or more.
    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            value: LittleEndian::read_u64(bytes),
            size: LittleEndian::read_u32(&bytes[8..]),
            kind: LittleEndian::read_u32(&bytes[12..]),
        }
    }

    /// A marker that is none of a grain, as a sector.
    pub fn to_bytes(self) -> Sector {
        let mut bytes = [0; SECTOR as usize];
        LittleEndian::write_u64(&mut bytes, self.value);
        LittleEndian::write_u32(&mut bytes[8..], self.size);
        LittleEndian::write_u32(&mut bytes[12..], self.kind);
        bytes
    }
}

/// A grain's marker: its first sector on the disk, and the bytes that follow.
pub(crate) fn grain_marker(lba: u64, size: u32) -> [u8; GRAIN_MARKER] {
    let mut bytes = [0; GRAIN_MARKER];
    LittleEndian::write_u64(&mut bytes, lba);
    LittleEndian::write_u32(&mut bytes[8..], size);
    bytes
}

/// The first sector on the disk and the length that a grain's marker states.
pub(crate) fn grain_place(bytes: &[u8]) -> (u64, u32) {
    (LittleEndian::read_u64(bytes), LittleEndian::read_u32(&bytes[8..]))
}

/// The length that precedes a grain without a marker.
pub(crate) fn grain_length(bytes: &[u8]) -> u32 {
    LittleEndian::read_u32(bytes)
}

/// A COWD extent's header, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawCowd {
    pub version: u32,
    pub flags: u32,
    pub capacity: u32,
    pub grain: u32,
    pub directory: u32,
    pub directory_entries: u32,
    pub parent: Vec<u8>,
}

/// Bytes of a COWD header that are read.
pub(crate) const COWD_HEADER: usize = 2048;

/// A COWD flag: it has no parent of its own.
pub(crate) const COWD_ROOT: u32 = 1 << 0;

/// Entries in a COWD grain table.
pub(crate) const COWD_TABLE_ENTRIES: u64 = 4096;

impl RawCowd {
    pub fn parse(bytes: &[u8; COWD_HEADER]) -> Self {
        let u32_at = |at| LittleEndian::read_u32(&bytes[at..]);
        let parent = &bytes[32..32 + 1024];
        let end = parent.iter().position(|byte| *byte == 0).unwrap_or(parent.len());
        Self {
            version: u32_at(4),
            flags: u32_at(8),
            capacity: u32_at(12),
            grain: u32_at(16),
            directory: u32_at(20),
            directory_entries: u32_at(24),
            parent: parent[..end].to_vec(),
        }
    }
}

/// A seSparse extent's constant header, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSeSparse {
    pub version: u64,
    pub capacity: u64,
    pub grain: u64,
    pub table_sectors: u64,
    pub flags: u64,
    /// Some reserved field is not 0.
    pub reserved: bool,
    pub volatile_header: u64,
    pub directory: u64,
    pub directory_sectors: u64,
    pub tables: u64,
    pub grains: u64,
}

impl RawSeSparse {
    pub fn parse(bytes: &Sector) -> Self {
        let u64_at = |at| LittleEndian::read_u64(&bytes[at..]);
        Self {
            version: u64_at(8),
            capacity: u64_at(16),
            grain: u64_at(24),
            table_sectors: u64_at(32),
            flags: u64_at(40),
            reserved: bytes[48..80].iter().any(|byte| *byte != 0),
            volatile_header: u64_at(80),
            directory: u64_at(128),
            directory_sectors: u64_at(136),
            tables: u64_at(144),
            grains: u64_at(192),
        }
    }
}

/// Whether a seSparse extent's journal must be replayed, from its volatile header.
pub(crate) fn replay_journal(bytes: &Sector) -> bool {
    LittleEndian::read_u64(&bytes[24..]) != 0
}

/// Bytes of an entry of a directory or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Four,
    Eight,
}

impl Width {
    pub fn bytes(self) -> u64 {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// Entry `index` of a table.
    pub fn entry(self, table: &[u8], index: usize) -> u64 {
        match self {
            Self::Four => u64::from(LittleEndian::read_u32(&table[index * 4..])),
            Self::Eight => LittleEndian::read_u64(&table[index * 8..]),
        }
    }
}

/// A table of 32-bit entries as whole sectors.
pub(crate) fn entries_to_sectors(entries: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; (entries.len() * 4).next_multiple_of(SECTOR as usize)];
    LittleEndian::write_u32_into(entries, &mut bytes[..entries.len() * 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let header = RawHeader {
            version: 3,
            flags: 0x0003_0001,
            capacity: 4,
            grain: 5,
            descriptor: 6,
            descriptor_sectors: 7,
            table_entries: 8,
            redundant: 9,
            directory: 10,
            overhead: 11,
            unclean: 12,
            newlines: NEWLINES,
            compression: 13,
        };
        assert_eq!(RawHeader::parse(&header.to_bytes()), header);
        assert_eq!(&header.to_bytes()[72..80], b"\x0c\n \r\n\x0d\0\0");
    }

    #[test]
    fn a_marker_reads_as_it_was_written() {
        let marker = RawMarker { value: 4, size: 0, kind: marker::TABLE };
        assert_eq!(RawMarker::parse(&marker.to_bytes()), marker);
        assert_eq!(grain_place(&grain_marker(128, 77)), (128, 77));
    }

    #[test]
    fn tables_are_whole_sectors() {
        assert!(entries_to_sectors(&[]).is_empty());
        let bytes = entries_to_sectors(&[1, 2]);
        assert_eq!((bytes.len(), Width::Four.entry(&bytes, 1)), (512, 2));
        assert_eq!(Width::Eight.entry(&bytes, 0), 2 << 32 | 1);
    }
}
