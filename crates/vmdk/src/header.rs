//! A hosted sparse extent's header as a type that cannot be wrong.

use diskferry_block_stream::{Bytes, Error, Result, SECTOR};

use crate::damage::Damage;
use crate::wire::{
    COWD_MAGIC, DEFLATE, DIRECTORY_AT_END, MAGIC, NEWLINES, RawHeader, RawMarker, SESPARSE_MAGIC,
    Sector, flag, marker,
};

/// What a hosted sparse extent says about itself, checked. All positions and lengths are bytes.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub version: u32,
    pub capacity: u64,
    /// A power of two.
    pub grain: u64,
    /// Grains that a table maps, at least one.
    pub table_entries: u64,
    pub directory: Directory,
    pub redundant: Option<u64>,
    /// Where the embedded descriptor is, and how long.
    pub descriptor: Option<(u64, u64)>,
    /// Where the grains begin.
    pub overhead: u64,
    /// A table's entry of 1 means zeros.
    pub zeroed_grains: bool,
    pub packing: Packing,
    /// It was not closed cleanly.
    pub unclean: bool,
}

/// Where the grain directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directory {
    At(u64),
    /// The footer says.
    Footer,
}

/// How grains are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As they are.
    Plain,
    /// Each as a zlib stream, after its length, or after a marker that has its place on the disk
    /// too.
    Deflate { marked: bool },
}

/// What a file's first bytes say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Magic {
    Hosted,
    Cowd,
    SeSparse,
}

impl Magic {
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            head if head.starts_with(&MAGIC) => Some(Self::Hosted),
            head if head.starts_with(&COWD_MAGIC) => Some(Self::Cowd),
            head if head.starts_with(&SESPARSE_MAGIC) => Some(Self::SeSparse),
            _ => None,
        }
    }
}

/// Sectors of a grain: QEMU's bound, and a lower one for those that must be unpacked in memory.
const GRAIN_MAX: u64 = 1 << 21;
const PACKED_GRAIN_MAX: u64 = 1 << 13;

/// Entries of a grain table: VMware has 512.
const TABLE_ENTRIES_MAX: u64 = 1 << 16;

impl Header {
    /// Reads and checks the header; where it leaves the directory to the footer, that too.
    pub fn read(bytes: &dyn Bytes) -> Result<Self> {
        let header = Self::parse(&RawHeader::parse(&read_sector(bytes, 0, "header")?))?;
        match header.directory {
            Directory::At(_) => Ok(header),
            Directory::Footer => header.with_footer(bytes),
        }
    }

    /// Checks a header or a footer.
    pub fn parse(raw: &RawHeader) -> Result<Self> {
        match raw.version {
            1..=3 => {}
            0 => return Err(Damage::Version(0).into()),
            later => return Err(Error::unsupported(format!("VMDK version {later}"))),
        }
        if raw.flags & flag::UNKNOWN != 0 {
            let unknown = raw.flags & flag::UNKNOWN;
            return Err(Error::unsupported(format!("VMDK with feature flags {unknown:#x}")));
        }
        if raw.flags & flag::NEWLINES != 0 && raw.newlines != NEWLINES {
            return Err(Damage::Newlines(raw.newlines).into());
        }
        let packing = packing(raw)?;
        let grain_max = match packing {
            Packing::Plain => GRAIN_MAX,
            Packing::Deflate { .. } => PACKED_GRAIN_MAX,
        };
        if !raw.grain.is_power_of_two() || raw.grain > grain_max {
            return Err(Damage::Grain(raw.grain, grain_max).into());
        }
        let table_entries = u64::from(raw.table_entries);
        if !(1..=TABLE_ENTRIES_MAX).contains(&table_entries) {
            return Err(Damage::TableEntries(table_entries).into());
        }
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
        let has_redundant = raw.flags & flag::REDUNDANT != 0
            && raw.redundant != 0
            && raw.redundant != DIRECTORY_AT_END;
        let has_descriptor = raw.descriptor != 0 && raw.descriptor_sectors != 0;
        Ok(Self {
            version: raw.version,
            capacity: capacity(raw.capacity)?,
            grain: raw.grain * SECTOR,
            table_entries,
            directory: match raw.directory {
                DIRECTORY_AT_END => Directory::Footer,
                sector => Directory::At(bytes(sector)),
            },
            redundant: has_redundant.then(|| bytes(raw.redundant)),
            descriptor: has_descriptor
                .then(|| (bytes(raw.descriptor), bytes(raw.descriptor_sectors))),
            overhead: bytes(raw.overhead),
            zeroed_grains: raw.flags & flag::ZEROED_GRAINS != 0,
            packing,
            unclean: raw.unclean != 0,
        })
    }

    /// The footer, which has the last word; its marker precedes it, and the end-of-stream marker
    /// ends the file.
    fn with_footer(self, bytes: &dyn Bytes) -> Result<Self> {
        let sectors = bytes.len() / SECTOR;
        // A header, a descriptor of a sector, and these three.
        if sectors < 5 {
            return Err(Damage::Short { what: "footer", at: bytes.len() }.into());
        }
        let at = (sectors - 3) * SECTOR;
        let footer_marker = RawMarker::parse(&read_sector(bytes, at, "footer marker")?);
        let footer = read_sector(bytes, at + SECTOR, "footer")?;
        let end = RawMarker::parse(&read_sector(bytes, at + 2 * SECTOR, "end-of-stream marker")?);
        if (footer_marker.size, footer_marker.kind) != (0, marker::FOOTER)
            || !footer.starts_with(&MAGIC)
            || end != (RawMarker { value: 0, size: 0, kind: marker::END })
        {
            return Err(Damage::NoFooter { at }.into());
        }
        let footer = Self::parse(&RawHeader::parse(&footer))?;
        self.agrees_with(&footer, at + SECTOR)?;
        match footer.directory {
            Directory::At(_) => Ok(Self { descriptor: self.descriptor, ..footer }),
            Directory::Footer => Err(Damage::NoFooter { at }.into()),
        }
    }

    /// Whether a footer is this header's.
    pub fn agrees_with(&self, footer: &Self, at: u64) -> Result<(), Damage> {
        let fields = [
            ("version", u64::from(self.version), u64::from(footer.version)),
            ("grain size", self.grain, footer.grain),
            ("entries in a grain table", self.table_entries, footer.table_entries),
            // What is written to a pipe may not know it at first.
            ("capacity", self.capacity, footer.capacity),
        ];
        let differs = |(field, header, footer): &(&str, u64, u64)| {
            header != footer && !(*field == "capacity" && *header == 0)
        };
        match fields.into_iter().find(differs) {
            Some((field, header, footer)) => {
                Err(Damage::FooterDiffers { at, field, footer, header })
            }
            None => Ok(()),
        }
    }

    /// Bytes of the disk that one table maps.
    pub fn span(&self) -> u64 {
        self.grain * self.table_entries
    }
}

fn packing(raw: &RawHeader) -> Result<Packing> {
    let marked = raw.flags & flag::MARKERS != 0;
    match (raw.flags & flag::COMPRESSED != 0, raw.compression) {
        // As QEMU has it: the method counts, whatever the flag says.
        (_, DEFLATE) => Ok(Packing::Deflate { marked }),
        (false, _) => Ok(Packing::Plain),
        (true, 0) => Err(Damage::Compression(0).into()),
        (true, other) => Err(Error::unsupported(format!("VMDK compression method {other}"))),
    }
}

/// Sectors as bytes of a disk.
pub(crate) fn capacity(sectors: u64) -> Result<u64, Damage> {
    sectors.checked_mul(SECTOR).ok_or(Damage::Capacity(sectors))
}

/// A sector of a file.
pub(crate) fn read_sector(bytes: &dyn Bytes, at: u64, what: &'static str) -> Result<Sector> {
    if at.checked_add(SECTOR).is_none_or(|end| end > bytes.len()) {
        return Err(Damage::Short { what, at }.into());
    }
    let mut sector = [0; SECTOR as usize];
    bytes.read_at(at, &mut sector)?;
    Ok(sector)
}
