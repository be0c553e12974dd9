//! Footer and header as types that cannot be wrong, and what is odd about them.

use diskferry_block_stream::{Bytes, Error, ParentRef, Problem, Result, SECTOR};

use crate::damage::Damage;
use crate::footer::{self, Copy, DiskType, Footer, SizeBy};
use crate::parent::{self, Locator};
use crate::wire::{self, ENTRY, FOOTER, HEADER, HEADER_COOKIE, RawHeader, SHORT_FOOTER, field};

/// What an image says about itself, checked.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub footer: Footer,
    /// How the disk is stored in blocks; `None` where it is stored whole.
    pub blocks: Option<Blocks>,
    /// What is wrong, and does not matter for reading.
    pub oddities: Vec<Problem>,
}

/// The header of a dynamic disk, checked.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Where it is.
    pub at: u64,
    pub block: BlockSize,
    pub table_offset: u64,
    /// Entries of the table that the disk needs.
    pub entries: u64,
    /// Entries of the table, at least as many.
    pub table_entries: u64,
    /// The parent and the places of its names, for a differencing disk.
    pub parent: Option<(ParentRef, Vec<Locator>)>,
}

/// Bytes of the disk in a block: a power of two, at least a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockSize(u32);

impl BlockSize {
    /// What all programs make: 2 MiB.
    pub const USUAL: Self = Self(2 << 20);

    pub fn new(bytes: u32) -> Option<Self> {
        (bytes.is_power_of_two() && u64::from(bytes) >= SECTOR).then_some(Self(bytes))
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }

    /// Bytes of the bitmap before the block's data: a bit for each sector, in whole sectors.
    pub fn bitmap(self) -> u64 {
        (self.bytes() / SECTOR).div_ceil(8).next_multiple_of(SECTOR)
    }

    /// Bytes that a block takes in the file.
    pub fn stored(self) -> u64 {
        self.bitmap() + self.bytes()
    }
}

impl Header {
    /// Reads and checks all but the block allocation table.
    pub fn read(bytes: &dyn Bytes) -> Result<Self> {
        let footer = Footer::read(bytes)?;
        let mut oddities = odd_copies(&footer);
        oddities.extend(odd_fields(&footer));
        let blocks = match footer.disk_type {
            DiskType::Fixed => {
                oddities.extend(odd_rest(&footer)?);
                None
            }
            DiskType::Dynamic | DiskType::Differencing => {
                Some(Blocks::read(bytes, &footer, &mut oddities)?)
            }
        };
        Ok(Self { footer, blocks, oddities })
    }
}

const _: () = assert!(FixedDisk::TAIL >= FOOTER + 16 * 255 * SECTOR as usize);

/// A fixed disk that came in order: its bytes, and then a footer, which the disk's end tells only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedDisk {
    /// Virtual size in bytes.
    pub size: u64,
    /// What is odd about the footer.
    pub warnings: Vec<String>,
}

impl FixedDisk {
    /// Bytes at the end that may be none of the disk's: the footer and zeros behind it, or what is left of
    /// a cylinder before it where the disk is counted by its geometry, of at most 16 heads and 255 sectors.
    pub const TAIL: usize = footer::PADDED as usize;

    /// Whether a file of `end` bytes, the last of which are `tail`, of [`TAIL`](Self::TAIL) where there
    /// are as many, is a fixed disk with its footer, and zeros behind that.
    pub fn is_padded(tail: &[u8], end: u64) -> bool {
        footer::is_padded(tail, end)
    }

    /// The size of a disk that fills a file of `length` bytes up to its footer.
    pub fn size_within(length: u64) -> u64 {
        let footer = if length % SECTOR == SHORT_FOOTER as u64 { SHORT_FOOTER } else { FOOTER };
        length.saturating_sub(footer as u64)
    }

    /// What `end` bytes that came in order are, the last of which are `tail`, of
    /// [`TAIL`](Self::TAIL) or more where there are as many; `None` where they do not say that they
    /// are a VHD. The disk ends within the tail.
    ///
    /// # Errors
    /// `Damaged` for a footer that is broken or cut, or of a longer disk; `Unsupported` for one of
    /// another kind of disk, or of a disk that ended before the tail.
    pub fn of_stream(tail: &[u8], end: u64) -> Result<Option<Self>> {
        let Some(footer) = Footer::of_stream(tail, end)? else { return Ok(None) };
        if footer.disk_type != DiskType::Fixed {
            return Err(Error::unsupported(
                "a VHD that is not fixed cannot be read in order, for its tables point back and \
                 forth; give a file",
            ));
        }
        let mut oddities = odd_copies(&footer);
        oddities.extend(odd_fields(&footer));
        oddities.extend(odd_rest(&footer)?);
        if footer.size < end - tail.len() as u64 {
            return Err(Error::unsupported(format!(
                "the disk has {} bytes by its footer, which begins only after {}; in order, what is \
                 between cannot be left out; give a file",
                footer.size, footer.end
            )));
        }
        let warnings = oddities.into_iter().map(|oddity| oddity.text).collect();
        Ok(Some(Self { size: footer.size, warnings }))
    }
}

impl Blocks {
    fn read(bytes: &dyn Bytes, footer: &Footer, oddities: &mut Vec<Problem>) -> Result<Self> {
        let at = footer.raw.header_offset;
        within(bytes, "dynamic disk header", at, HEADER as u64)?;
        let mut header = [0; HEADER];
        bytes.read_at(at, &mut header)?;
        if !header.starts_with(&HEADER_COOKIE) {
            return Err(Damage::NoHeader { at }.into());
        }
        let sum = wire::header_checksum(&header);
        if !sum.holds() {
            return Err(Damage::HeaderChecksum { at, sum }.into());
        }
        let raw = RawHeader::parse(&header);
        if raw.version >> 16 > wire::VERSION >> 16 {
            let (major, minor) = (raw.version >> 16, raw.version & 0xffff);
            return Err(Error::unsupported(format!("VHD header version {major}.{minor}")));
        }
        let block = BlockSize::new(raw.block_size).ok_or(Damage::BlockSize(raw.block_size))?;
        let entries = footer.size.div_ceil(block.bytes());
        let table_entries = u64::from(raw.entries);
        if table_entries < entries {
            return Err(Damage::TableTooSmall {
                entries: table_entries,
                size: footer.size,
                block: block.bytes(),
            }
            .into());
        }
        let table_offset = raw.table_offset;
        within(bytes, "block allocation table", table_offset, entries * ENTRY)?;
        let parent = match footer.disk_type {
            DiskType::Differencing => Some(parent::read(bytes, at, &raw, oddities)?),
            DiskType::Fixed | DiskType::Dynamic => None,
        };
        Ok(Self { at, block, table_offset, entries, table_entries, parent })
    }
}

/// Checks that a structure lies within the file.
fn within(bytes: &dyn Bytes, what: &'static str, at: u64, length: u64) -> Result<(), Damage> {
    let end = bytes.len();
    if at.checked_add(length).is_none_or(|structure_end| structure_end > end) {
        return Err(Damage::PastEnd { what, at, length, end });
    }
    Ok(())
}

/// Checks that a fixed disk is all there, and says what else is.
fn odd_rest(footer: &Footer) -> Result<Option<Problem>> {
    let (size, end) = (footer.size, footer.end);
    let Some(rest) = end.checked_sub(size) else {
        return Err(Damage::FixedCut { size, end }.into());
    };
    // By its geometry a disk is mostly smaller than what was made for it; that is told elsewhere.
    let odd = rest >= SECTOR && footer.size_by == SizeBy::CurrentSize;
    Ok(odd.then(|| {
        let text = format!(
            "the disk has {size} bytes by its footer, which begins only after {end}; the {rest} \
             bytes between are left out"
        );
        Problem::oddity(size, text)
    }))
}

/// What is odd about the copies of the footer. One that is lost is one too few for the next
/// accident, and some programs refuse the image by it; so this is more than an oddity to others.
fn odd_copies(footer: &Footer) -> Vec<Problem> {
    let copies = footer.copies;
    let end = ("at the end of the file", footer.end, copies.end, "the copy at its start");
    let start =
        copies.start.map(|copy| ("at the start of the file", 0, copy, "the one at its end"));
    let mut oddities = Vec::new();
    for (place, at, copy, other) in [Some(end), start].into_iter().flatten() {
        let text = match copy {
            Copy::Good => continue,
            Copy::Missing => format!("there is no footer {place}; {other} is taken"),
            Copy::Broken(sum) => format!(
                "the footer {place} has checksum {:#010x}, its bytes give {:#010x}; {other} is taken",
                sum.stated, sum.found
            ),
            Copy::Other(byte) => format!(
                "the footer {place} differs from byte {byte:#x} on; {other} is taken, some \
                 programs refuse such an image"
            ),
        };
        oddities.push(Problem::corruption(at, text));
    }
    if footer.behind > 0 {
        let text = format!(
            "the file goes on for {} bytes of zeros after the footer; they are left out, some \
             programs take such a file for a raw disk",
            footer.behind
        );
        oddities.push(Problem::corruption(footer.at, text));
    }
    oddities
}

/// What is odd about the footer's fields.
fn odd_fields(footer: &Footer) -> Vec<Problem> {
    let raw = &footer.raw;
    let mut oddities = Vec::new();
    let mut odd = |field: u64, text: String| {
        oddities.push(Problem::oddity(footer.at + field, text));
    };
    if raw.version != wire::VERSION {
        odd(field::VERSION, format!("the version is {:#010x}, not 1.0", raw.version));
    }
    if footer.size_by == SizeBy::Geometry && footer.geometry.bytes() != raw.current_size {
        odd(
            field::CURRENT_SIZE,
            format!(
                "by its geometry the disk has {} bytes, by its current size {}; its creator \
                 counts by geometry",
                footer.size, raw.current_size
            ),
        );
    }
    if footer.size_by == SizeBy::CurrentSize && footer.size != raw.current_size {
        odd(
            field::CURRENT_SIZE,
            format!(
                "the current size of {} bytes is no whole number of sectors; the last bytes are \
                 left out",
                raw.current_size
            ),
        );
    }
    if raw.saved_state != 0 {
        odd(
            field::SAVED_STATE,
            "the disk belongs to a machine that was suspended; what the machine had in memory is \
             not in it"
                .into(),
        );
    }
    oddities
}
