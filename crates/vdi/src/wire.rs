//! The fields of a VDI file as they lie on disk, all little-endian.
//!
//! ```text
//! pre-header  0x00 text, 64 bytes    0x40 signature        0x44 version, major << 16 | minor
//! version 1   0x48 header size       0x4c image type       0x50 flags     0x54 comment, 256 bytes
//!            0x154 map offset       0x158 data offset     0x15c geometry, 16 bytes
//!            0x16c unused           0x170 disk size       0x178 block size     0x17c block extra
//!            0x180 blocks           0x184 allocated       0x188 creation uuid  0x198 modification
//!            0x1a8 parent uuid      0x1b8 parent's modification uuid
//!            0x1c8 logical geometry, 16 bytes, where the header size says that it is there
//! version 0   0x48 image type        0x4c flags            0x50 comment, 256 bytes
//!            0x150 geometry         0x160 disk size       0x168 block size
//!            0x16c blocks           0x170 allocated       0x174 creation uuid  0x184 modification
//!            0x194 parent uuid      0x1a4 the map; the data follows it
//! geometry   cylinders, heads, sectors per track, bytes per sector
//! map        for each block of the disk: the number of its block in the data, or FREE, or ZERO
//! data       blocks, each of `block extra` bytes that are not the disk's, then `block size` bytes
//! ```
//!
//! Source: VirtualBox, `src/VBox/Storage/VDICore.h`.

use byteorder::{ByteOrder, LittleEndian};

/// What is at [`SIGNATURE_AT`] in every image: `0xbeda107f`, which spells nothing.
pub(crate) const SIGNATURE: [u8; 4] = 0xbeda_107f_u32.to_le_bytes();
pub(crate) const SIGNATURE_AT: usize = 0x40;

/// The text, the signature and the version, which all versions share.
pub(crate) const PREHEADER: usize = 0x48;

/// Where the header of version 0 ends; its map follows.
pub(crate) const END_0: usize = 0x1a4;

/// Where the header of version 1 ends, without and with the logical geometry.
pub(crate) const END_1: usize = 0x1c8;
pub(crate) const END_1_PLUS: usize = 0x1d8;

/// The header size that version 1 states: what follows the pre-header.
pub(crate) const HEADER_1: u32 = (END_1 - PREHEADER) as u32;
pub(crate) const HEADER_1_PLUS: u32 = (END_1_PLUS - PREHEADER) as u32;

/// The version that VirtualBox writes, 1.1. Logical geometry came without a new number, since older
/// releases cannot do with one.
pub(crate) const VERSION_1_1: u32 = 1 << 16 | 1;

/// Image types.
pub(crate) const TYPE_DYNAMIC: u32 = 1;
pub(crate) const TYPE_STATIC: u32 = 2;
pub(crate) const TYPE_UNDO: u32 = 3;
pub(crate) const TYPE_DIFFERENCING: u32 = 4;

/// A map entry for a block that this image does not have.
pub(crate) const FREE: u32 = !0;
/// A map entry for a block of zeros, whatever the parent has there.
pub(crate) const ZERO: u32 = !1;

/// Bytes of a map entry.
pub(crate) const ENTRY: u64 = 4;

/// Offsets of header fields that problems are about.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    /// Version 0 has none.
    pub header_size: u64,
    pub flags: u64,
    pub size: u64,
    pub blocks: u64,
    pub allocated: u64,
    pub creation: u64,
    pub modification: u64,
}

pub(crate) const FIELDS_0: Fields = Fields {
    header_size: 0,
    flags: 0x4c,
    size: 0x160,
    blocks: 0x16c,
    allocated: 0x170,
    creation: 0x174,
    modification: 0x184,
};

pub(crate) const FIELDS_1: Fields = Fields {
    header_size: 0x48,
    flags: 0x50,
    size: 0x170,
    blocks: 0x180,
    allocated: 0x184,
    creation: 0x188,
    modification: 0x198,
};

const TEXT: usize = 64;
const COMMENT: usize = 256;

/// The header's fields. What version 0 lacks has the value that it has there implicitly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawHeader {
    pub text: [u8; TEXT],
    pub version: u32,
    pub header_size: u32,
    pub image_type: u32,
    pub flags: u32,
    pub comment: [u8; COMMENT],
    pub map_offset: u64,
    pub data_offset: u64,
    pub geometry: RawGeometry,
    pub size: u64,
    pub block_size: u32,
    pub block_extra: u32,
    pub blocks: u32,
    pub allocated: u32,
    pub creation: RawUuid,
    pub modification: RawUuid,
    pub parent: RawUuid,
    pub parent_modification: RawUuid,
    pub logical_geometry: Option<RawGeometry>,
}

/// A uuid in the order of RFC 9562. On disk, its first three fields are little-endian.
pub(crate) type RawUuid = [u8; 16];

/// Cylinders, heads, sectors per track, bytes per sector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawGeometry {
    pub cylinders: u32,
    pub heads: u32,
    pub sectors: u32,
    pub sector_size: u32,
}

impl RawHeader {
    /// The number before the point in the version.
    pub fn major(version: u32) -> u32 {
        version >> 16
    }

    /// The version that a file's first bytes, at least [`PREHEADER`] of them, state.
    pub fn version(bytes: &[u8]) -> u32 {
        LittleEndian::read_u32(&bytes[0x44..])
    }

    /// Reads the fields of version 0 from a file's first bytes, zero-filled.
    pub fn parse_0(bytes: &[u8; END_1_PLUS]) -> Self {
        let u32_at = |at| LittleEndian::read_u32(&bytes[at..]);
        let blocks = u32_at(0x16c);
        Self {
            text: array(bytes, 0),
            version: Self::version(bytes),
            header_size: (END_0 - PREHEADER) as u32,
            image_type: u32_at(0x48),
            flags: u32_at(0x4c),
            comment: array(bytes, 0x50),
            map_offset: END_0 as u64,
            data_offset: END_0 as u64 + u64::from(blocks) * ENTRY,
            geometry: geometry(bytes, 0x150),
            size: LittleEndian::read_u64(&bytes[0x160..]),
            block_size: u32_at(0x168),
            block_extra: 0,
            blocks,
            allocated: u32_at(0x170),
            creation: uuid(bytes, 0x174),
            modification: uuid(bytes, 0x184),
            parent: uuid(bytes, 0x194),
            parent_modification: RawUuid::default(),
            logical_geometry: None,
        }
    }

    /// Reads the fields of version 1 from a file's first bytes, zero-filled.
    pub fn parse_1(bytes: &[u8; END_1_PLUS]) -> Self {
        let u32_at = |at| LittleEndian::read_u32(&bytes[at..]);
        let header_size = u32_at(0x48);
        Self {
            text: array(bytes, 0),
            version: Self::version(bytes),
            header_size,
            image_type: u32_at(0x4c),
            flags: u32_at(0x50),
            comment: array(bytes, 0x54),
            map_offset: u64::from(u32_at(0x154)),
            data_offset: u64::from(u32_at(0x158)),
            geometry: geometry(bytes, 0x15c),
            size: LittleEndian::read_u64(&bytes[0x170..]),
            block_size: u32_at(0x178),
            block_extra: u32_at(0x17c),
            blocks: u32_at(0x180),
            allocated: u32_at(0x184),
            creation: uuid(bytes, 0x188),
            modification: uuid(bytes, 0x198),
            parent: uuid(bytes, 0x1a8),
            parent_modification: uuid(bytes, 0x1b8),
            logical_geometry: (header_size >= HEADER_1_PLUS).then(|| geometry(bytes, 0x1c8)),
        }
    }

    /// A header of version 1 as bytes. Its offsets fit into 32 bits.
    pub fn to_bytes_1(&self) -> [u8; END_1_PLUS] {
        let mut bytes = [0; END_1_PLUS];
        bytes[..TEXT].copy_from_slice(&self.text);
        bytes[SIGNATURE_AT..][..SIGNATURE.len()].copy_from_slice(&SIGNATURE);
        bytes[0x54..][..COMMENT].copy_from_slice(&self.comment);
        let mut put_u32 = |at: usize, value| LittleEndian::write_u32(&mut bytes[at..], value);
        put_u32(0x44, self.version);
        put_u32(0x48, self.header_size);
        put_u32(0x4c, self.image_type);
        put_u32(0x50, self.flags);
        put_u32(0x154, self.map_offset as u32);
        put_u32(0x158, self.data_offset as u32);
        put_u32(0x178, self.block_size);
        put_u32(0x17c, self.block_extra);
        put_u32(0x180, self.blocks);
        put_u32(0x184, self.allocated);
        LittleEndian::write_u64(&mut bytes[0x170..], self.size);
        put_geometry(&mut bytes[0x15c..], self.geometry);
        put_uuid(&mut bytes[0x188..], self.creation);
        put_uuid(&mut bytes[0x198..], self.modification);
        put_uuid(&mut bytes[0x1a8..], self.parent);
        put_uuid(&mut bytes[0x1b8..], self.parent_modification);
        if let Some(geometry) = self.logical_geometry {
            put_geometry(&mut bytes[0x1c8..], geometry);
        }
        bytes
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..][..N]);
    array
}

fn geometry(bytes: &[u8], at: usize) -> RawGeometry {
    let field = |n: usize| LittleEndian::read_u32(&bytes[at + 4 * n..]);
    RawGeometry { cylinders: field(0), heads: field(1), sectors: field(2), sector_size: field(3) }
}

fn put_geometry(out: &mut [u8], geometry: RawGeometry) {
    let RawGeometry { cylinders, heads, sectors, sector_size } = geometry;
    LittleEndian::write_u32_into(&[cylinders, heads, sectors, sector_size], &mut out[..16]);
}

fn uuid(bytes: &[u8], at: usize) -> RawUuid {
    swap(array(bytes, at))
}

fn put_uuid(out: &mut [u8], uuid: RawUuid) {
    out[..16].copy_from_slice(&swap(uuid));
}

/// From one order of a uuid's bytes to the other.
fn swap(mut uuid: RawUuid) -> RawUuid {
    uuid[..4].reverse();
    uuid[4..6].reverse();
    uuid[6..8].reverse();
    uuid
}

/// Adds map entries to a map.
pub(crate) fn entries(bytes: &[u8], map: &mut Vec<u32>) {
    map.extend(bytes.chunks_exact(ENTRY as usize).map(LittleEndian::read_u32));
}

/// Map entries as bytes.
pub(crate) fn entries_to_bytes(entries: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; entries.len() * ENTRY as usize];
    LittleEndian::write_u32_into(entries, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(first: u32) -> RawGeometry {
        RawGeometry {
            cylinders: first,
            heads: first + 1,
            sectors: first + 2,
            sector_size: first + 3,
        }
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        for header_size in [HEADER_1, HEADER_1_PLUS] {
            let header = RawHeader {
                text: [1; TEXT],
                version: VERSION_1_1,
                header_size,
                image_type: 2,
                flags: 3,
                comment: [4; COMMENT],
                map_offset: 5,
                data_offset: 6,
                geometry: numbered(7),
                size: 11 << 40,
                block_size: 12,
                block_extra: 13,
                blocks: 14,
                allocated: 15,
                creation: [16; 16],
                modification: [17; 16],
                parent: [18; 16],
                parent_modification: [19; 16],
                logical_geometry: (header_size == HEADER_1_PLUS).then(|| numbered(20)),
            };
            assert_eq!(RawHeader::parse_1(&header.to_bytes_1()), header);
        }
    }

    #[test]
    fn uuids_lie_on_disk_as_microsoft_has_them() {
        let uuid = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut bytes = [0; 16];
        put_uuid(&mut bytes, uuid);
        assert_eq!(bytes, [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(self::uuid(&bytes, 0), uuid);
    }
}
