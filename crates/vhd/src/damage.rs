//! How a VHD can contradict itself.

use diskferry_block_stream::Error;
use thiserror::Error as ThisError;

use crate::wire::Checksum;

/// A contradiction, with the numbers. Offsets are bytes of the file.
#[derive(Debug, ThisError)]
pub(crate) enum Damage {
    #[error(
        "no footer, neither before the end of the file ({end:#x}) nor, for a copy, at its start"
    )]
    NoFooter { end: u64 },
    #[error(
        "footer at {at:#x} has checksum {:#010x}, its bytes give {:#010x}, and no copy is good",
        sum.stated, sum.found
    )]
    FooterChecksum { at: u64, sum: Checksum },
    #[error("footer at {at:#x} has disk type {kind:#x}, which does not exist")]
    DiskType { at: u64, kind: u32 },
    #[error("a disk of {size:#x} bytes is more than the {end:#x} bytes before its footer")]
    FixedCut { size: u64, end: u64 },
    #[error("{what} of {length:#x} bytes at {at:#x} runs past the end of the file ({end:#x})")]
    PastEnd { what: &'static str, at: u64, length: u64, end: u64 },
    #[error("no dynamic disk header at {at:#x}, where the footer says it is")]
    NoHeader { at: u64 },
    #[error(
        "dynamic disk header at {at:#x} has checksum {:#010x}, its bytes give {:#010x}",
        sum.stated, sum.found
    )]
    HeaderChecksum { at: u64, sum: Checksum },
    #[error("block size {0:#x} is no power of two from 0x200 on")]
    BlockSize(u32),
    #[error(
        "block allocation table of {entries:#x} entries is too small for {size:#x} bytes in blocks \
         of {block:#x}"
    )]
    TableTooSmall { entries: u64, size: u64, block: u64 },
    #[error("table entry {index} at {field:#x} puts a block at {at:#x}, {problem}")]
    Block { index: u64, field: u64, at: u64, problem: Misplaced },
}

/// Where a block cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
pub(crate) enum Misplaced {
    #[error("which runs past the end of the file's blocks ({0:#x})")]
    PastEnd(u64),
    #[error("over {what} at {at:#x}")]
    Over { what: &'static str, at: u64 },
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage)
    }
}
