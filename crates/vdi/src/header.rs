//! The header as a type that cannot be wrong.

use std::fmt;

use diskferry_block_stream::{Bytes, Error, Result, SECTOR};

use crate::damage::Damage;
use crate::wire::{
    END_0, END_1, END_1_PLUS, ENTRY, FIELDS_0, FIELDS_1, Fields, HEADER_1_PLUS, PREHEADER,
    RawGeometry, RawHeader, RawUuid, SIGNATURE, SIGNATURE_AT, TYPE_DIFFERENCING, TYPE_DYNAMIC,
    TYPE_STATIC, TYPE_UNDO,
};

/// What an image says about itself, checked.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// The text in front, for people; VirtualBox and QEMU put their names there.
    pub creator: Option<String>,
    pub version: Version,
    /// Bytes of the header after the pre-header, as it states.
    pub header_size: u32,
    pub subformat: Subformat,
    pub flags: u32,
    pub comment: String,
    /// Virtual size in bytes: the stated one in whole sectors.
    pub size: u64,
    /// Virtual size as stated. The bytes from there to `size` are zeros.
    pub stated_size: u64,
    pub block: BlockBits,
    /// Bytes in front of each block's data that are not the disk's.
    pub block_extra: u32,
    /// Entries in the map: enough for `size`. The map ends before `data_offset`.
    pub blocks: u32,
    /// Blocks in the data, as stated. VirtualBox adds the next one there.
    pub allocated: u32,
    pub map_offset: u64,
    pub data_offset: u64,
    pub geometry: Geometry,
    pub logical_geometry: Geometry,
    pub creation: Option<Uuid>,
    pub modification: Option<Uuid>,
    pub parent: Option<Uuid>,
    pub parent_modification: Option<Uuid>,
}

/// Version 0 has its fields at other places; see [`crate::wire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub major: u32,
    pub minor: u32,
}

/// What kind of image it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subformat {
    /// Blocks are added as they are written.
    #[default]
    Dynamic,
    /// Every block has its place from the start.
    Static,
    /// Dynamic, over a parent, to be undone. VirtualBox makes none any more.
    Undo,
    /// Dynamic, over a parent.
    Differencing,
}

impl Subformat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Static => "static",
            Self::Undo => "undo",
            Self::Differencing => "differencing",
        }
    }
}

/// The logarithm of a block's size: 9 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockBits(u32);

impl BlockBits {
    /// VirtualBox takes any power of two; below a sector, its own reader goes wrong.
    pub fn of_size(size: u32) -> Option<Self> {
        (size.is_power_of_two() && size >= 512).then(|| Self(size.trailing_zeros()))
    }

    /// Bytes of the disk in a block.
    pub fn size(self) -> u64 {
        1 << self.0
    }

    /// The block that byte `at` of the disk is in.
    pub fn index(self, at: u64) -> u64 {
        at >> self.0
    }

    /// Bytes from the start of the block that `at` is in.
    pub fn offset_in(self, at: u64) -> u64 {
        at & (self.size() - 1)
    }
}

/// A uuid that is not null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid(RawUuid);

impl Uuid {
    pub fn new(raw: RawUuid) -> Option<Self> {
        (raw != RawUuid::default()).then_some(Self(raw))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Cylinders, heads and sectors; `None` where the image leaves it to its user to compute them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry(Option<(u32, u32, u32)>);

impl Geometry {
    fn new(raw: RawGeometry) -> Self {
        let RawGeometry { cylinders, heads, sectors, .. } = raw;
        Self((cylinders != 0).then_some((cylinders, heads, sectors)))
    }

    /// As text, `cylinders/heads/sectors`.
    pub fn text(self) -> Option<String> {
        self.0.map(|(cylinders, heads, sectors)| format!("{cylinders}/{heads}/{sectors}"))
    }
}

/// Whether these are the first bytes of a VDI file, of whatever version.
pub(crate) fn probe(head: &[u8]) -> bool {
    head.get(SIGNATURE_AT..).is_some_and(|rest| rest.starts_with(&SIGNATURE))
}

impl Header {
    /// Reads and checks the header.
    pub fn read(bytes: &dyn Bytes) -> Result<Self> {
        let raw = read_raw(bytes)?;
        let subformat = match raw.image_type {
            TYPE_DYNAMIC => Subformat::Dynamic,
            TYPE_STATIC => Subformat::Static,
            TYPE_UNDO => Subformat::Undo,
            TYPE_DIFFERENCING => Subformat::Differencing,
            other => return Err(Error::unsupported(format!("VDI image type {other:#x}"))),
        };
        let block = BlockBits::of_size(raw.block_size).ok_or(Damage::BlockSize(raw.block_size))?;
        let size = raw.size.checked_next_multiple_of(SECTOR).ok_or(Damage::Size(raw.size))?;
        if u64::from(raw.blocks) * block.size() < size {
            let (blocks, block) = (raw.blocks, block.size());
            return Err(Damage::TooFewBlocks { blocks, block, size: raw.size }.into());
        }
        check_map(&raw, bytes.len())?;
        let parent = Uuid::new(raw.parent);
        // Read without its parent, such an image would be another disk.
        if parent.is_none() && matches!(subformat, Subformat::Undo | Subformat::Differencing) {
            return Err(Damage::NoParent.into());
        }
        Ok(Self {
            creator: creator(&raw.text),
            version: Version { major: raw.version >> 16, minor: raw.version & 0xffff },
            header_size: raw.header_size,
            subformat,
            flags: raw.flags,
            comment: text(&raw.comment),
            size,
            stated_size: raw.size,
            block,
            block_extra: raw.block_extra,
            blocks: raw.blocks,
            allocated: raw.allocated,
            map_offset: raw.map_offset,
            data_offset: raw.data_offset,
            geometry: Geometry::new(raw.geometry),
            logical_geometry: Geometry::new(raw.logical_geometry.unwrap_or_default()),
            creation: Uuid::new(raw.creation),
            modification: Uuid::new(raw.modification),
            parent,
            parent_modification: Uuid::new(raw.parent_modification),
        })
    }

    /// Where in the file its fields are.
    pub fn fields(&self) -> Fields {
        if self.version.major == 0 { FIELDS_0 } else { FIELDS_1 }
    }

    /// Bytes from one block in the file to the next.
    pub fn stride(&self) -> u64 {
        u64::from(self.block_extra) + self.block.size()
    }

    /// Offset in the file of the disk's bytes of the block that a map entry names. The greatest
    /// number stands for those that no file can have.
    pub fn offset_of(&self, entry: u32) -> u64 {
        u64::from(entry)
            .saturating_mul(self.stride())
            .saturating_add(self.data_offset + u64::from(self.block_extra))
    }

    /// Bytes of a block that the disk has: all, but for its last.
    pub fn used_of(&self, block: u64) -> u64 {
        let start = block.saturating_mul(self.block.size());
        self.stated_size.saturating_sub(start).min(self.block.size())
    }
}

fn read_raw(bytes: &dyn Bytes) -> Result<RawHeader> {
    let end = bytes.len();
    let mut first = [0; END_1_PLUS];
    let have = end.min(END_1_PLUS as u64) as usize;
    bytes.read_at(0, &mut first[..have])?;
    if have < PREHEADER {
        return Err(Damage::ShortHeader { end }.into());
    }
    if !probe(&first) {
        let mut found = [0; SIGNATURE.len()];
        found.copy_from_slice(&first[SIGNATURE_AT..][..SIGNATURE.len()]);
        return Err(Damage::Signature(u32::from_le_bytes(found)).into());
    }
    let version = RawHeader::version(&first);
    let (raw, needed) = match RawHeader::major(version) {
        0 => (RawHeader::parse_0(&first), END_0),
        1 => {
            let raw = RawHeader::parse_1(&first);
            let plus = raw.header_size >= HEADER_1_PLUS;
            (raw, if plus { END_1_PLUS } else { END_1 })
        }
        major => {
            let minor = version & 0xffff;
            return Err(Error::unsupported(format!("VDI version {major}.{minor}")));
        }
    };
    if have < needed {
        return Err(Damage::ShortHeader { end }.into());
    }
    Ok(raw)
}

/// Header, map and data follow one another, in every image that VirtualBox opens; so no entry of
/// the map can name anything but data.
fn check_map(raw: &RawHeader, end: u64) -> Result<(), Damage> {
    let (at, length) = (raw.map_offset, u64::from(raw.blocks) * ENTRY);
    let header = if RawHeader::major(raw.version) == 0 { END_0 } else { END_1 };
    if at < header as u64 {
        return Err(Damage::MapInHeader { at });
    }
    // Both are 32 bits wide.
    if raw.data_offset < at + length {
        return Err(Damage::DataInMap { data: raw.data_offset, at, length });
    }
    if at + length > end {
        return Err(Damage::MapPastEnd { at, length, end });
    }
    Ok(())
}

/// What the text in front says, without the marks around it.
fn creator(raw: &[u8]) -> Option<String> {
    let text = text(raw);
    let text = text.trim();
    let text = text.strip_prefix("<<<").unwrap_or(text);
    let text = text.strip_suffix(">>>").unwrap_or(text).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Text that ends with its field, or with a zero.
fn text(raw: &[u8]) -> String {
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creators_lose_the_marks_around_them() {
        for (text, expected) in [
            (
                &b"<<< QEMU VM Virtual Disk Image >>>\n\0\0junk"[..],
                Some("QEMU VM Virtual Disk Image"),
            ),
            (b"<<< no end", Some("no end")),
            (b"plain", Some("plain")),
            (b"<<<  >>>\n", None),
            (b"\0\0", None),
        ] {
            assert_eq!(creator(text).as_deref(), expected);
        }
    }

    #[test]
    fn uuids_print_as_everybody_prints_them() {
        let uuid = Uuid::new(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\x66\x77");
        assert_eq!(uuid.unwrap().to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(Uuid::new([0; 16]), None);
    }

    #[test]
    fn blocks_are_powers_of_two_from_a_sector_up() {
        for (size, good) in
            [(0, false), (1, false), (256, false), (512, true), (768, false), (1 << 31, true)]
        {
            assert_eq!(BlockBits::of_size(size).map(BlockBits::size), good.then_some(size.into()));
        }
    }
}
