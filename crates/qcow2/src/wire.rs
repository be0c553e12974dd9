//! The fields of a qcow2 file as they lie on disk, all big-endian.
//!
//! ```text
//! header  0 magic "QFI\xfb"      4 version          8 backing name offset  16 backing name length
//!        20 cluster bits        24 virtual size    32 crypt method         36 L1 entries
//!        40 L1 offset           48 refcount table  56 its clusters         60 snapshots
//!        64 snapshot table      72 (version 3) incompatible, 80 compatible, 88 autoclear features
//!        96 refcount order     100 header length  104 compression type
//! then    header extensions: type, length, data padded to 8 bytes; type 0 ends them
//! ```
//!
//! Source: QEMU, `docs/interop/qcow2.rst`.

use byteorder::{BigEndian, ByteOrder};

/// Bytes 0 to 3 of every image.
pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// A header's length in version 2, and the part of it that both versions share.
pub(crate) const HEADER_V2: usize = 72;

/// The least length of a version 3 header.
pub(crate) const HEADER_V3: usize = 104;

/// The length of the header that we write, as QEMU does: with the compression type, padded.
pub(crate) const HEADER_WRITTEN: usize = 112;

/// The header's fields. What version 2 lacks has the value that the specification gives it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawHeader {
    pub version: u32,
    pub backing_offset: u64,
    pub backing_length: u32,
    pub cluster_bits: u32,
    pub size: u64,
    pub crypt_method: u32,
    pub l1_entries: u32,
    pub l1_offset: u64,
    pub refcount_table_offset: u64,
    pub refcount_table_clusters: u32,
    pub snapshots: u32,
    pub snapshots_offset: u64,
    pub incompatible: u64,
    pub compatible: u64,
    pub autoclear: u64,
    pub refcount_order: u32,
    pub header_length: u32,
    pub compression_type: u8,
}

impl RawHeader {
    /// Reads the fields from a file's first bytes, [`HEADER_WRITTEN`] of them, zero-filled.
    pub fn parse(bytes: &[u8; HEADER_WRITTEN]) -> Self {
        let u32_at = |at| BigEndian::read_u32(&bytes[at..]);
        let u64_at = |at| BigEndian::read_u64(&bytes[at..]);
        let mut header = Self {
            version: u32_at(4),
            backing_offset: u64_at(8),
            backing_length: u32_at(16),
            cluster_bits: u32_at(20),
            size: u64_at(24),
            crypt_method: u32_at(32),
            l1_entries: u32_at(36),
            l1_offset: u64_at(40),
            refcount_table_offset: u64_at(48),
            refcount_table_clusters: u32_at(56),
            snapshots: u32_at(60),
            snapshots_offset: u64_at(64),
            refcount_order: 4,
            header_length: HEADER_V2 as u32,
            ..Self::default()
        };
        if header.version >= 3 {
            header.incompatible = u64_at(72);
            header.compatible = u64_at(80);
            header.autoclear = u64_at(88);
            header.refcount_order = u32_at(96);
            header.header_length = u32_at(100);
            if header.header_length as usize > HEADER_V3 {
                header.compression_type = bytes[104];
            }
        }
        header
    }

    /// The header as bytes, of [`header_length`](Self::header_length).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.header_length as usize];
        bytes[..4].copy_from_slice(&MAGIC);
        let mut put_u32 = |at: usize, value| BigEndian::write_u32(&mut bytes[at..], value);
        put_u32(4, self.version);
        put_u32(16, self.backing_length);
        put_u32(20, self.cluster_bits);
        put_u32(32, self.crypt_method);
        put_u32(36, self.l1_entries);
        put_u32(56, self.refcount_table_clusters);
        put_u32(60, self.snapshots);
        if self.version >= 3 {
            put_u32(96, self.refcount_order);
            put_u32(100, self.header_length);
        }
        let mut put_u64 = |at: usize, value| BigEndian::write_u64(&mut bytes[at..], value);
        put_u64(8, self.backing_offset);
        put_u64(24, self.size);
        put_u64(40, self.l1_offset);
        put_u64(48, self.refcount_table_offset);
        put_u64(64, self.snapshots_offset);
        if self.version >= 3 {
            put_u64(72, self.incompatible);
            put_u64(80, self.compatible);
            put_u64(88, self.autoclear);
            bytes[104] = self.compression_type;
        }
        bytes
    }
}

/// Header extension: the backing file's format.
pub(crate) const EXTENSION_BACKING_FORMAT: u32 = 0xE279_2ACA;
/// Header extension: names of feature bits.
pub(crate) const EXTENSION_FEATURE_NAMES: u32 = 0x6803_F857;
/// Header extension: persistent dirty bitmaps.
pub(crate) const EXTENSION_BITMAPS: u32 = 0x2385_2875;
/// Header extension: where the LUKS header is.
pub(crate) const EXTENSION_ENCRYPTION: u32 = 0x0537_BE77;
/// Header extension: the external data file's name.
pub(crate) const EXTENSION_DATA_FILE: u32 = 0x4441_5441;

/// A header extension's own header: type and length.
pub(crate) const EXTENSION_HEADER: usize = 8;

/// Type and length of the extension that starts here.
pub(crate) fn extension(bytes: &[u8; EXTENSION_HEADER]) -> (u32, u32) {
    (BigEndian::read_u32(bytes), BigEndian::read_u32(&bytes[4..]))
}

/// An extension with its data, padded.
pub(crate) fn put_extension(out: &mut Vec<u8>, kind: u32, data: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A feature name: kind (0 incompatible, 1 compatible, 2 autoclear), bit, name.
pub(crate) const FEATURE_NAME: usize = 48;

/// Kind, bit and name of an entry of the feature name table.
pub(crate) fn feature_name(entry: &[u8]) -> (u8, u8, String) {
    let name = &entry[2..];
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    (entry[0], entry[1], String::from_utf8_lossy(&name[..end]).into_owned())
}

/// Adds an entry to a feature name table.
pub(crate) fn put_feature_name(out: &mut Vec<u8>, kind: u8, bit: u8, name: &str) {
    let end = out.len() + FEATURE_NAME;
    out.extend_from_slice(&[kind, bit]);
    out.extend_from_slice(name.as_bytes());
    out.resize(end, 0);
}

/// The fixed part of a snapshot table's entry.
pub(crate) const SNAPSHOT: usize = 40;

/// A snapshot table's entry without its variable parts.
#[derive(Clone, Debug)]
pub(crate) struct RawSnapshot {
    pub l1_offset: u64,
    pub l1_entries: u32,
    pub id_length: u16,
    pub name_length: u16,
    pub seconds: u32,
    pub state_size: u32,
    pub extra_length: u32,
}

impl RawSnapshot {
    pub fn parse(bytes: &[u8; SNAPSHOT]) -> Self {
        Self {
            l1_offset: BigEndian::read_u64(bytes),
            l1_entries: BigEndian::read_u32(&bytes[8..]),
            id_length: BigEndian::read_u16(&bytes[12..]),
            name_length: BigEndian::read_u16(&bytes[14..]),
            seconds: BigEndian::read_u32(&bytes[16..]),
            state_size: BigEndian::read_u32(&bytes[32..]),
            extra_length: BigEndian::read_u32(&bytes[36..]),
        }
    }
}

/// The parts of a snapshot's extra data that matter here: the machine state's size in 64 bits, and
/// the disk's size, where present.
pub(crate) fn snapshot_extra(extra: &[u8]) -> (Option<u64>, Option<u64>) {
    let field = |at: usize| extra.get(at..at + 8).map(BigEndian::read_u64);
    (field(0), field(8))
}

/// The bitmaps extension: how many bitmaps, and where their directory is.
pub(crate) struct RawBitmaps {
    pub count: u32,
    /// Zeros.
    pub reserved: u32,
    pub directory_size: u64,
    pub directory_offset: u64,
}

impl RawBitmaps {
    /// `None` when the extension is shorter than its fields.
    pub fn parse(data: &[u8]) -> Option<Self> {
        (data.len() >= 24).then(|| Self {
            count: BigEndian::read_u32(data),
            reserved: BigEndian::read_u32(&data[4..]),
            directory_size: BigEndian::read_u64(&data[8..]),
            directory_offset: BigEndian::read_u64(&data[16..]),
        })
    }
}

/// The fixed part of a bitmap directory's entry.
pub(crate) const BITMAP: usize = 24;

/// A bitmap directory's entry without its variable parts.
pub(crate) struct RawBitmap {
    /// Offset of the bitmap's table.
    pub table: u64,
    /// Entries of the table.
    pub entries: u32,
    pub flags: u32,
    pub kind: u8,
    pub granularity_bits: u8,
    pub name_length: u16,
    /// Bytes of the whole entry.
    pub length: u64,
}

impl RawBitmap {
    pub fn parse(bytes: &[u8; BITMAP]) -> Self {
        let name_length = BigEndian::read_u16(&bytes[18..]);
        let extra_length = u64::from(BigEndian::read_u32(&bytes[20..]));
        let length = BITMAP as u64 + u64::from(name_length) + extra_length;
        Self {
            table: BigEndian::read_u64(bytes),
            entries: BigEndian::read_u32(&bytes[8..]),
            flags: BigEndian::read_u32(&bytes[12..]),
            kind: bytes[16],
            granularity_bits: bytes[17],
            name_length,
            length: length.next_multiple_of(8),
        }
    }
}

/// Entry `index` of a table of 64-bit entries.
pub(crate) fn entry(table: &[u8], index: usize) -> u64 {
    BigEndian::read_u64(&table[index * 8..])
}

/// A table of 64-bit entries as numbers.
pub(crate) fn entries(table: &[u8]) -> Vec<u64> {
    table.chunks_exact(8).map(BigEndian::read_u64).collect()
}

/// A table of 64-bit entries as bytes.
pub(crate) fn entries_to_bytes(entries: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; entries.len() * 8];
    BigEndian::write_u64_into(entries, &mut bytes);
    bytes
}

/// 16-bit refcounts as bytes.
pub(crate) fn refcounts_to_bytes(counts: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0; counts.len() * 2];
    BigEndian::write_u16_into(counts, &mut bytes);
    bytes
}

/// Refcount `index` of a block whose refcounts have `1 << order` bits. Widths below a byte count
/// from the least significant bit.
pub(crate) fn refcount(block: &[u8], order: u32, index: usize) -> u64 {
    match order {
        0..=2 => {
            let bits = 1 << order;
            let per_byte = 8 / bits;
            let byte = u64::from(block[index / per_byte]);
            (byte >> (index % per_byte * bits)) & ((1 << bits) - 1)
        }
        _ => BigEndian::read_uint(&block[index << (order - 3)..], 1 << (order - 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let header = RawHeader {
            version: 3,
            backing_offset: 1,
            backing_length: 2,
            cluster_bits: 3,
            size: 4,
            crypt_method: 5,
            l1_entries: 6,
            l1_offset: 7,
            refcount_table_offset: 8,
            refcount_table_clusters: 9,
            snapshots: 10,
            snapshots_offset: 11,
            incompatible: 12,
            compatible: 13,
            autoclear: 14,
            refcount_order: 15,
            header_length: HEADER_WRITTEN as u32,
            compression_type: 17,
        };
        let bytes = header.to_bytes();
        assert_eq!(RawHeader::parse(bytes.as_slice().try_into().unwrap()), header);
    }

    #[test]
    fn narrow_refcounts_count_from_the_low_bit() {
        let block = [0b0001_1011, 0x12, 0x34, 0, 0, 0, 0, 9];
        assert_eq!((0..4).map(|n| refcount(&block, 0, n)).collect::<Vec<_>>(), [1, 1, 0, 1]);
        assert_eq!((0..4).map(|n| refcount(&block, 1, n)).collect::<Vec<_>>(), [3, 2, 1, 0]);
        assert_eq!(refcount(&block, 2, 2), 2);
        assert_eq!(refcount(&block, 3, 1), 0x12);
        assert_eq!(refcount(&block, 4, 0), 0x1B12);
        assert_eq!(refcount(&block, 6, 0), 0x1B12_3400_0000_0009);
    }
}
