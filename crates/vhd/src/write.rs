//! Writing: where an image's blocks and structures go.
//!
//! ```text
//! 0                 copy of the footer
//! 512               header
//! 1536              block allocation table, in whole sectors
//! … 4096 n - 512    a block's bitmap
//! … 4096 n          its data; the next block's bitmap is 3584 bytes behind its end
//! at the end        footer
//! ```
//!
//! Data begins at multiples of 4096, where file systems can share and disks can write it in whole
//! blocks of their own. The first three parts come last: an image that is not finished is none.

use std::iter;
use std::ops::Range;

use diskferry_block_stream::{
    Chunk, Error, Flat, Foretold, Layout, Naming, Packed, Plan, Preallocation, Result, SECTOR,
    Sink, Stamp, Writing,
};

use crate::footer::DiskType;
use crate::geometry::Geometry;
use crate::header::BlockSize;
use crate::image::EPOCH;
use crate::options::{Options, Subformat};
use crate::wire::{
    self, ENTRY, FOOTER, HEADER, LOCATORS, NOWHERE, PARENT_NAME, RawFooter, RawHeader, RawLocator,
    UNUSED,
};

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set(key, value)
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        SECTOR
    }

    fn foretell(&self) -> Foretold {
        Foretold::of(match self.subformat {
            Subformat::Dynamic => "dynamic",
            Subformat::Fixed => "fixed",
        })
    }
}

/// How a disk of `size` bytes is stored. Its size is kept exactly; one that is no multiple of 512
/// is rounded up to one, with zeros, for the format counts sectors.
///
/// # Errors
/// `Misuse` for options that do not go together; `Unsupported` for a disk of more than 2040 GiB
/// (32 TiB for a fixed one that may be large),
/// or of unknown size: what precedes or follows the data tells it.
pub fn plan(size: Option<u64>, options: &Options, stamp: &Stamp) -> Result<Plan> {
    options.check()?;
    let Some(size) = size else {
        return Err(Error::unsupported(
            "a VHD of a disk whose size is known only at its end; write it to raw or qcow2 first",
        ));
    };
    let largest = if options.large { LARGEST_IN_AZURE } else { LARGEST };
    let rounded = size.checked_next_multiple_of(SECTOR).filter(|rounded| *rounded <= largest);
    let Some(rounded) = rounded else {
        let gib = largest >> 30;
        return Err(Error::unsupported(format!(
            "{size} bytes in a VHD, which holds {largest} at most ({gib} GiB)"
        )));
    };
    match options.subformat {
        Subformat::Fixed => Ok(Plan::Flat(fixed(size, rounded, options, stamp))),
        Subformat::Dynamic => {
            let block = options.block_size.unwrap_or(BlockSize::USUAL);
            let layout = VhdLayout::new(rounded, block, stamp)?;
            Ok(Plan::Packed(Packed {
                chunk: block.bytes() as usize,
                parts: 1,
                preallocation: Preallocation::Off,
                packer: None,
                layout: Box::new(layout),
            }))
        }
    }
}

/// The specification's bound for dynamic disks. Programs hold fixed disks to it too, but for
/// Azure's.
const LARGEST: u64 = 2040 << 30;

/// The most that Azure takes, in a fixed disk: its SDK's bound for uploads.
const LARGEST_IN_AZURE: u64 = 32 << 40;

/// Where a block's data begins, a multiple of this.
const ALIGNMENT: u64 = 4096;

/// The code of Windows' own disks, for what it says about the size: the current size counts, not
/// the geometry.
///
/// A code of our own would say the same to QEMU 10 and all other readers, but QEMU before that, on
/// which import services run, takes codes it does not know to mean the geometry, and would cut the
/// disk's end off. This one it has known the longest.
const CREATOR: [u8; 4] = *b"win ";

/// The version that goes with the code: Windows 10.0.
const CREATOR_VERSION: u32 = 0x000a_0000;

/// Windows. The specification knows this and Macintosh.
const HOST: [u8; 4] = *b"Wi2k";

fn footer(size: u64, disk_type: DiskType, stamp: &Stamp) -> RawFooter {
    let geometry = Geometry::of(size / SECTOR);
    let seconds = stamp.seconds.saturating_sub(EPOCH);
    RawFooter {
        features: wire::FEATURES,
        version: wire::VERSION,
        header_offset: if disk_type == DiskType::Fixed { NOWHERE } else { FOOTER as u64 },
        seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        creator: CREATOR,
        creator_version: CREATOR_VERSION,
        host: HOST,
        original_size: size,
        current_size: size,
        cylinders: geometry.cylinders,
        heads: geometry.heads,
        sectors: geometry.sectors,
        disk_type: disk_type.number(),
        uuid: stamp.uuid,
        saved_state: 0,
    }
}

fn fixed(size: u64, rounded: u64, options: &Options, stamp: &Stamp) -> Flat {
    let mut tail = vec![0; (rounded - size) as usize];
    tail.extend_from_slice(&footer(rounded, DiskType::Fixed, stamp).to_bytes());
    Flat { head: Vec::new(), base: 0, tail, preallocation: options.preallocation }
}

/// A dynamic disk under construction.
struct VhdLayout {
    footer: [u8; FOOTER],
    /// Virtual size in bytes, whole sectors.
    size: u64,
    block: BlockSize,
    /// Entries of the whole table.
    entries: u64,
    /// The table up to the next chunk.
    table: Vec<u32>,
    /// End of the last block, or of the table where there is none.
    end: u64,
}

/// Offset of the table, behind the footer's copy and the header.
const TABLE: u64 = (FOOTER + HEADER) as u64;

impl VhdLayout {
    fn new(size: u64, block: BlockSize, stamp: &Stamp) -> Result<Self> {
        let entries = size.div_ceil(block.bytes());
        let layout = Self {
            footer: footer(size, DiskType::Dynamic, stamp).to_bytes(),
            size,
            block,
            entries,
            table: Vec::with_capacity(entries as usize),
            end: 0,
        };
        let layout = Self { end: layout.table_end(), ..layout };
        let largest = layout.end + ALIGNMENT + entries * layout.step();
        if largest / SECTOR >= u64::from(UNUSED) {
            return Err(Error::unsupported(format!(
                "{size} bytes in a VHD with blocks of {} bytes, whose table could not count its \
                 sectors; a larger block_size holds more",
                block.bytes()
            )));
        }
        Ok(layout)
    }

    fn table_end(&self) -> u64 {
        TABLE + (self.entries * ENTRY).next_multiple_of(SECTOR)
    }

    /// Bytes from a block's data to the next one's.
    fn step(&self) -> u64 {
        self.block.stored().next_multiple_of(ALIGNMENT)
    }

    /// Refuses more chunks than the disk was said to have.
    fn check_room(&self, chunks: u64) -> Result<()> {
        if chunks > self.entries - self.table.len() as u64 {
            return Err(self.other_size());
        }
        Ok(())
    }

    fn other_size(&self) -> Error {
        Error::misuse(format!("the disk has another size than the {} bytes planned", self.size))
    }

    fn header(&self) -> [u8; HEADER] {
        let raw = RawHeader {
            table_offset: TABLE,
            version: wire::VERSION,
            entries: self.entries as u32,
            block_size: self.block.bytes() as u32,
            parent_uuid: [0; 16],
            parent_name: [0; PARENT_NAME],
            locators: [RawLocator::default(); LOCATORS],
        };
        raw.to_bytes()
    }
}

impl Layout for VhdLayout {
    /// The table is known when all blocks are.
    fn owes(&self) -> Vec<Range<u64>> {
        iter::once(0..self.table_end()).collect()
    }

    fn zeros(&mut self, chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        self.check_room(chunks)?;
        self.table.resize(self.table.len() + chunks as usize, UNUSED);
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.check_room(1)?;
        let bitmap = self.block.bitmap();
        let data = (self.end + bitmap).next_multiple_of(ALIGNMENT);
        // Every sector counts as written: bits for sectors past the disk's end are ignored, and
        // whoever reads one for a sector of zeros finds zeros.
        sink.put(data - bitmap, &vec![0xff; bitmap as usize])?;
        // The bound on the size, in `new`, keeps it below 2^32.
        self.table.push(((data - bitmap) / SECTOR) as u32);
        self.end = data + chunk.length as u64;
        Ok(data)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        if size.checked_next_multiple_of(SECTOR) != Some(self.size) {
            return Err(self.other_size());
        }
        self.table.resize((self.entries * ENTRY).next_multiple_of(SECTOR) as usize / 4, UNUSED);
        let table = wire::entries_to_bytes(&self.table);
        sink.put(self.end, &self.footer)?;
        sink.put(0, &[&self.footer[..], &self.header(), &table].concat())?;
        Ok(self.end + FOOTER as u64)
    }
}
