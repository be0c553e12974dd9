//! How an image of either format can contradict itself.

use diskferry_block_stream::Error;
use diskferry_codec::CodecError;
use thiserror::Error as ThisError;

/// A contradiction, with the numbers. Offsets are bytes of the file; a block is 2 MiB of the disk.
#[derive(Debug, ThisError)]
pub(crate) enum Damage {
    #[error("the file ends inside its first page ({end:#x})")]
    Short { end: u64 },
    #[error("the page at {at:#x} does not begin with \"{cookie}\"")]
    Cookie { at: u64, cookie: &'static str },
    #[error("the page at {at:#x} has the checksum {found:#010x}, its bytes have {computed:#010x}")]
    Checksum { at: u64, found: u32, computed: u32 },
    #[error("original size {original:#x} is above the current size {current:#x}")]
    OriginalSize { original: u64, current: u64 },
    #[error("{field} size {size:#x} is not a whole number of sectors")]
    Sectors { field: &'static str, size: u64 },

    #[error("neither a unit nor the last page at {at:#x}")]
    NoUnit { at: u64 },
    #[error("the file ends at {at:#x}, where a unit or the last page should begin")]
    NoLastPage { at: u64 },
    #[error(
        "the unit of block {block} at {at:#x} takes {length:#x} bytes, past the end of the file \
         ({end:#x})"
    )]
    UnitCut { at: u64, block: u32, length: u64, end: u64 },
    #[error("the file ends at {end:#x}, inside the page at {at:#x}")]
    PageCut { at: u64, end: u64 },
    #[error("the unit of block {block} at {at:#x} has no payload")]
    EmptyUnit { at: u64, block: u32 },
    #[error("the unit of block {block} at {at:#x} takes {length:#x} bytes, more than {most:#x}")]
    LongUnit { at: u64, block: u32, length: u64, most: u64 },
    #[error("the unit of block {block} at {at:#x} does not end with its end marker")]
    EndMarker { at: u64, block: u32 },
    #[error("the unit at {at:#x} is of block {block}, after that of block {previous}")]
    UnitOrder { at: u64, block: u32, previous: u32 },
    #[error("the unit at {at:#x} is of block {block}, past the end of the disk ({size:#x})")]
    PastDisk { at: u64, block: u32, size: u64 },
    #[error(
        "the payload of block {block} in the unit at {at:#x} does not end with a flush (00 00 \
         ff ff)"
    )]
    NoFlush { at: u64, block: u32 },
    #[error(
        "the payload of block {block} in the unit at {at:#x} begins with {found:02x?}, no zlib \
         header without dictionary"
    )]
    ZlibHeader { at: u64, block: u32, found: [u8; 2] },
    #[error("block {block} in the unit at {at:#x}: {source}")]
    Payload { at: u64, block: u32, source: CodecError },
    #[error(
        "block {block} in the unit at {at:#x} does not unpack alone, and block {needed} before \
         it is damaged"
    )]
    Needs { at: u64, block: u32, needed: u32 },

    #[error("the file ends at {end:#x}, after its first page: the image was never finished")]
    NoTables { end: u64 },
    #[error("ZVHD2 version 0 in the page at {at:#x}")]
    Version { at: u64 },
    #[error("block size {0:#x} is no power of two from 0x100000 to 0x2000000")]
    BlockSize(u32),
    #[error("the last page at {at:#x} has {blocks} blocks, too few for a disk of {size:#x} bytes")]
    TooFewBlocks { at: u64, blocks: u32, size: u64 },
    #[error("the last page at {at:#x} has {units} units for a disk of {blocks} blocks")]
    TooManyUnits { at: u64, units: u32, blocks: u32 },
    #[error(
        "{what} of {length:#x} bytes at {at:#x} is not within the file, whose last page is at \
         {end:#x}"
    )]
    TablePlace { what: &'static str, at: u64, length: u64, end: u64 },
    #[error("the last page at {at:#x} has a {field} of {found:#x}, which should be {expected:#x}")]
    TableShape { at: u64, field: &'static str, found: u64, expected: u64 },
    #[error("the bitmap at {at:#x} has a bit for block {block}, of {blocks}")]
    BitPastEnd { at: u64, block: u64, blocks: u32 },
    #[error("the bitmap at {at:#x} has {bits} blocks, and the last page {units} units")]
    Population { at: u64, bits: u64, units: u32 },
    #[error(
        "the index entry at {entry:#x} for block {block} is empty, though the bitmap has the block"
    )]
    EmptyEntry { entry: u64, block: u32 },
    #[error("the index entry at {entry:#x} is of block {found}, and not of block {block}")]
    EntryBlock { entry: u64, block: u32, found: u32 },
    #[error(
        "the index entry at {entry:#x} for block {block} has {length:#x} bytes, which no unit takes"
    )]
    EntryLength { entry: u64, block: u32, length: u32 },
    #[error(
        "the index entry at {entry:#x} puts {length:#x} bytes of block {block} at {at:#x}, not \
         between the first page and the last ({end:#x})"
    )]
    EntryPlace { entry: u64, block: u32, at: u64, length: u32, end: u64 },
    #[error("no unit at {at:#x}, where the index has block {block}")]
    NotAUnit { at: u64, block: u32 },
    #[error("the unit at {at:#x} is of block {found}, and not of block {block}")]
    UnitBlock { at: u64, block: u32, found: u32 },
    #[error(
        "the unit of block {block} at {at:#x} takes {found:#x} bytes, and its index entry says \
         {length:#x}"
    )]
    UnitLength { at: u64, block: u32, found: u64, length: u32 },
    #[error("the last page at {at:#x} has {field} {last:#x}, and the first {first:#x}")]
    PagesDiffer { at: u64, field: &'static str, last: u64, first: u64 },
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage)
    }
}
