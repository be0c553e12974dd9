//! How a VDI image can contradict itself.

use diskferry_block_stream::Error;
use thiserror::Error as ThisError;

/// A contradiction, with the numbers. Offsets are bytes of the file.
#[derive(Debug, ThisError)]
pub(crate) enum Damage {
    #[error("the file ends inside its header ({end:#x})")]
    ShortHeader { end: u64 },
    #[error("signature {0:#010x} is not 0xbeda107f")]
    Signature(u32),
    #[error("block size {0:#x} is no power of two from 0x200 up")]
    BlockSize(u32),
    #[error("{blocks} blocks of {block:#x} bytes are too few for a disk of {size:#x} bytes")]
    TooFewBlocks { blocks: u32, block: u64, size: u64 },
    #[error("disk size {0:#x} is past the end of what 64 bits count")]
    Size(u64),
    #[error("block map at {at:#x} lies in the header")]
    MapInHeader { at: u64 },
    #[error("data offset {data:#x} lies in the block map of {length:#x} bytes at {at:#x}")]
    DataInMap { data: u64, at: u64, length: u64 },
    #[error("block map of {length:#x} bytes at {at:#x} runs past the end of the file ({end:#x})")]
    MapPastEnd { at: u64, length: u64, end: u64 },
    #[error("differencing image with no parent uuid")]
    NoParent,
    #[error(
        "map entry {entry:#x} for block {block} puts {length:#x} bytes at {at:#x}, past the end of \
         the file ({end:#x})"
    )]
    BlockPastEnd { block: u64, entry: u32, at: u64, length: u64, end: u64 },
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage)
    }
}
