//! The header as a type that cannot be wrong.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use diskferry_block_stream::{Bytes, Error, ParentRef, Result};

use crate::damage::Damage;
use crate::wire::{
    self, EXTENSION_BACKING_FORMAT, EXTENSION_BITMAPS, EXTENSION_DATA_FILE, EXTENSION_ENCRYPTION,
    EXTENSION_FEATURE_NAMES, EXTENSION_HEADER, FEATURE_NAME, HEADER_V2, HEADER_V3, HEADER_WRITTEN,
    MAGIC, RawBitmaps, RawHeader,
};

/// What an image says about itself, checked.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub version: Version,
    pub cluster_bits: ClusterBits,
    /// Virtual size in bytes.
    pub size: u64,
    pub l1: TablePlace,
    pub refcount_table_offset: u64,
    pub refcount_table_clusters: u32,
    /// Refcounts have `1 << refcount_order` bits, at most 64.
    pub refcount_order: u32,
    pub snapshots: u32,
    pub snapshots_offset: u64,
    pub compression: Compression,
    pub extended_l2: bool,
    pub dirty: bool,
    pub corrupt: bool,
    pub lazy_refcounts: bool,
    pub data_file: DataFile,
    pub backing: Option<ParentRef>,
    pub bitmaps: Option<Bitmaps>,
    /// Types of header extensions that nobody here knows.
    pub unknown_extensions: Vec<u32>,
    /// Names of compatible and autoclear features that nobody here knows.
    pub unknown_features: Vec<String>,
}

/// The two versions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V3,
}

impl Version {
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }
}

/// The logarithm of a cluster's size: 9 to 21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterBits(u32);

impl ClusterBits {
    /// QEMU's own bounds: 512 bytes to 2 MiB.
    pub fn new(bits: u32) -> Option<Self> {
        (9..=21).contains(&bits).then_some(Self(bits))
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    /// Bytes in a cluster.
    pub fn size(self) -> u64 {
        1 << self.0
    }

    /// Bytes from the start of the cluster that `at` is in.
    pub fn offset_in(self, at: u64) -> u64 {
        at & (self.size() - 1)
    }
}

/// Where a table of 64-bit entries is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TablePlace {
    pub offset: u64,
    pub entries: u32,
}

/// How clusters may be compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Raw deflate within a window of 4 KiB.
    #[default]
    Zlib,
    /// One Zstandard frame for each cluster.
    Zstd,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// Where the guest's clusters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataFile {
    /// In the image itself.
    Own,
    /// In a file of this name; `raw` says that it is a raw disk by itself.
    External { name: OsString, raw: bool },
}

/// The persistent bitmaps' directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bitmaps {
    pub count: u32,
    /// A field that is to be zeros.
    pub reserved: u32,
    pub size: u64,
    pub offset: u64,
}

/// Incompatible features that are known, by bit.
mod incompatible {
    pub const DIRTY: u64 = 1 << 0;
    pub const CORRUPT: u64 = 1 << 1;
    pub const DATA_FILE: u64 = 1 << 2;
    pub const COMPRESSION: u64 = 1 << 3;
    pub const EXTENDED_L2: u64 = 1 << 4;
    pub const KNOWN: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;
}

/// Compatible feature: refcounts may be stale while the image is dirty.
const LAZY_REFCOUNTS: u64 = 1 << 0;

/// Autoclear features: the bitmaps are consistent; the external data file is a raw disk.
const AUTOCLEAR_BITMAPS: u64 = 1 << 0;
const AUTOCLEAR_RAW_DATA_FILE: u64 = 1 << 1;

/// The names that QEMU gives feature bits: kind, bit, name.
pub(crate) const FEATURE_NAMES: [(u8, u8, &str); 8] = [
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
];

/// QEMU refuses longer names.
const LONGEST_BACKING_NAME: u32 = 1023;

/// Whether these are the first bytes of a qcow file, of whatever version.
pub(crate) fn probe(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

impl Header {
    /// Reads and checks the header.
    pub fn read(bytes: &dyn Bytes) -> Result<Self> {
        let mut first = [0; HEADER_WRITTEN];
        let have = bytes.len().min(HEADER_WRITTEN as u64) as usize;
        bytes.read_at(0, &mut first[..have])?;
        if have < HEADER_V2 || !first.starts_with(&MAGIC) {
            return Err(Damage::ShortHeader.into());
        }
        let raw = RawHeader::parse(&first);
        let version = match raw.version {
            2 => Version::V2,
            3 if have >= HEADER_V3 => Version::V3,
            3 => return Err(Damage::ShortHeader.into()),
            1 => return Err(Error::unsupported("qcow version 1, the format before qcow2")),
            0 => return Err(Damage::Version(0).into()),
            later => return Err(Error::unsupported(format!("qcow2 version {later}"))),
        };
        let cluster_bits =
            ClusterBits::new(raw.cluster_bits).ok_or(Damage::ClusterBits(raw.cluster_bits))?;
        let cluster = cluster_bits.size();
        let length = raw.header_length;
        let long_enough = length as usize >= HEADER_V3 && length.is_multiple_of(8);
        if version == Version::V3 && !(long_enough && u64::from(length) <= cluster) {
            return Err(Damage::HeaderLength(length).into());
        }
        let extensions = Extensions::read(bytes, &raw, cluster)?;
        refuse_unknown(&raw, &extensions)?;
        if raw.refcount_order > 6 {
            return Err(Damage::RefcountOrder(raw.refcount_order).into());
        }
        match raw.crypt_method {
            0 => {}
            1 => return Err(Error::unsupported("an image encrypted with qcow2's own AES")),
            2 => return Err(Error::unsupported("an image encrypted with LUKS")),
            other => return Err(Error::unsupported(format!("encryption method {other}"))),
        }
        let has = |bit| raw.incompatible & bit != 0;
        let extended_l2 = has(incompatible::EXTENDED_L2);
        if extended_l2 && cluster < 16 << 10 {
            return Err(Damage::Subclusters(cluster).into());
        }
        let data_file = match (has(incompatible::DATA_FILE), extensions.data_file) {
            (false, _) => DataFile::Own,
            (true, Some(name)) => {
                DataFile::External { name, raw: raw.autoclear & AUTOCLEAR_RAW_DATA_FILE != 0 }
            }
            (true, None) => return Err(Damage::NoDataFile.into()),
        };
        Ok(Self {
            version,
            cluster_bits,
            size: raw.size,
            l1: TablePlace { offset: raw.l1_offset, entries: raw.l1_entries },
            refcount_table_offset: raw.refcount_table_offset,
            refcount_table_clusters: raw.refcount_table_clusters,
            refcount_order: raw.refcount_order,
            snapshots: raw.snapshots,
            snapshots_offset: raw.snapshots_offset,
            compression: compression(&raw)?,
            extended_l2,
            dirty: has(incompatible::DIRTY),
            corrupt: has(incompatible::CORRUPT),
            lazy_refcounts: raw.compatible & LAZY_REFCOUNTS != 0,
            data_file,
            backing: backing(bytes, &raw, cluster, extensions.backing_format)?,
            // Without the autoclear bit, a program that did not know them has left them stale.
            bitmaps: extensions.bitmaps.filter(|_| raw.autoclear & AUTOCLEAR_BITMAPS != 0),
            unknown_features: unknown_features(&raw, &extensions.feature_names),
            unknown_extensions: extensions.unknown,
        })
    }

    /// Bytes in a cluster.
    pub fn cluster(&self) -> u64 {
        self.cluster_bits.size()
    }

    /// Bytes in an L2 entry.
    pub fn l2_entry(&self) -> u64 {
        if self.extended_l2 { 16 } else { 8 }
    }

    /// Bytes of the disk that one L2 table maps.
    pub fn l2_span(&self) -> u64 {
        self.cluster() / self.l2_entry() * self.cluster()
    }
}

fn compression(raw: &RawHeader) -> Result<Compression> {
    let announced = raw.incompatible & incompatible::COMPRESSION != 0;
    match (raw.compression_type, announced) {
        (0, false) => Ok(Compression::Zlib),
        (1, true) => Ok(Compression::Zstd),
        (0 | 1, _) => {
            let (kind, bits) = (raw.compression_type, raw.incompatible);
            Err(Damage::CompressionBit { kind, bits }.into())
        }
        (other, _) => Err(Error::unsupported(format!("compression type {other}"))),
    }
}

/// Refuses what cannot be read rightly without knowing what it is, by the name the image gives it.
fn refuse_unknown(raw: &RawHeader, extensions: &Extensions) -> Result<()> {
    let unknown = raw.incompatible & !incompatible::KNOWN;
    if unknown == 0 {
        return Ok(());
    }
    let names = feature_bits(0, unknown, &extensions.feature_names);
    Err(Error::unsupported(format!("incompatible features: {}", names.join(", "))))
}

fn unknown_features(raw: &RawHeader, names: &[(u8, u8, String)]) -> Vec<String> {
    let mut unknown = feature_bits(1, raw.compatible & !LAZY_REFCOUNTS, names);
    let known = AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW_DATA_FILE;
    unknown.extend(feature_bits(2, raw.autoclear & !known, names));
    unknown
}

fn feature_bits(kind: u8, bits: u64, names: &[(u8, u8, String)]) -> Vec<String> {
    (0..64u8)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| {
            names
                .iter()
                .find(|name| (name.0, name.1) == (kind, bit) && !name.2.is_empty())
                .map_or_else(|| format!("bit {bit}"), |name| name.2.clone())
        })
        .collect()
}

fn backing(
    bytes: &dyn Bytes,
    raw: &RawHeader,
    cluster: u64,
    format: Option<String>,
) -> Result<Option<ParentRef>> {
    let (at, length) = (raw.backing_offset, raw.backing_length);
    if at == 0 || length == 0 {
        return Ok(None);
    }
    let end = at.checked_add(u64::from(length));
    if length > LONGEST_BACKING_NAME || end.is_none_or(|end| end > cluster || end > bytes.len()) {
        return Err(Damage::BackingName { at, length }.into());
    }
    let mut name = vec![0; length as usize];
    bytes.read_at(at, &mut name)?;
    Ok(Some(ParentRef { names: vec![OsString::from_vec(name)], format, id: None }))
}

/// The name of a format. Those that are known are in ASCII.
fn format_name(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let name = bytes.escape_ascii();
        Error::unsupported(format!("the name of the backing format, '{name}', is not in UTF-8"))
    })
}

#[derive(Default)]
struct Extensions {
    backing_format: Option<String>,
    data_file: Option<OsString>,
    bitmaps: Option<Bitmaps>,
    feature_names: Vec<(u8, u8, String)>,
    unknown: Vec<u32>,
}

impl Extensions {
    /// Extensions follow the header and end, at the latest, where the backing name or the first
    /// cluster does.
    fn read(bytes: &dyn Bytes, raw: &RawHeader, cluster: u64) -> Result<Self> {
        let end = match raw.backing_offset {
            0 => cluster,
            at => at.min(cluster),
        };
        let end = end.min(bytes.len());
        let mut found = Self::default();
        let mut at = u64::from(raw.header_length);
        while at + EXTENSION_HEADER as u64 <= end {
            let mut head = [0; EXTENSION_HEADER];
            bytes.read_at(at, &mut head)?;
            let (kind, length) = wire::extension(&head);
            if kind == 0 {
                break;
            }
            let data_at = at + EXTENSION_HEADER as u64;
            if u64::from(length) > end - data_at {
                return Err(Damage::Extension { kind, length, at }.into());
            }
            let mut data = vec![0; length as usize];
            bytes.read_at(data_at, &mut data)?;
            found.take(kind, &data)?;
            at = data_at + u64::from(length).next_multiple_of(8);
        }
        Ok(found)
    }

    fn take(&mut self, kind: u32, data: &[u8]) -> Result<()> {
        match kind {
            EXTENSION_BACKING_FORMAT => self.backing_format = Some(format_name(data)?),
            EXTENSION_DATA_FILE => self.data_file = Some(OsString::from_vec(data.to_vec())),
            EXTENSION_FEATURE_NAMES => {
                let entries = data.chunks_exact(FEATURE_NAME);
                self.feature_names = entries.map(wire::feature_name).collect();
            }
            EXTENSION_BITMAPS => {
                self.bitmaps = RawBitmaps::parse(data).map(|raw| Bitmaps {
                    count: raw.count,
                    reserved: raw.reserved,
                    size: raw.directory_size,
                    offset: raw.directory_offset,
                });
            }
            // The header's crypt method says the same, and is refused by it.
            EXTENSION_ENCRYPTION => {}
            other => self.unknown.push(other),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    #[test]
    fn a_format_that_is_not_in_utf_8_is_none_that_is_known() {
        let error = format_name(b"M\xfcnchen").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(r"'M\xfcnchen'"), "{error}");
    }
}
