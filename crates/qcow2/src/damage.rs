//! How a qcow2 image can contradict itself.

use diskferry_block_stream::Error;
use thiserror::Error as ThisError;

use crate::table::BadEntry;

/// A contradiction, with the numbers. Offsets are bytes of the file.
#[derive(Debug, ThisError)]
pub(crate) enum Damage {
    #[error("the file ends inside its header")]
    ShortHeader,
    #[error("version {0} does not exist")]
    Version(u32),
    #[error("cluster bits {0} are not within 9 and 21")]
    ClusterBits(u32),
    #[error("refcount order {0} is above 6")]
    RefcountOrder(u32),
    #[error("header length {0} is below 104, no multiple of 8, or more than a cluster")]
    HeaderLength(u32),
    #[error("compression type {kind} does not go with incompatible feature bits {bits:#x}")]
    CompressionBit { kind: u8, bits: u64 },
    #[error("extended L2 entries need clusters of 16 KiB or more, these have {0} bytes")]
    Subclusters(u64),
    #[error("header extension {kind:#x} of {length} bytes at {at:#x} runs past the header cluster")]
    Extension { kind: u32, length: u32, at: u64 },
    #[error(
        "backing file name of {length} bytes at {at:#x}: at most 1023 bytes in the first cluster"
    )]
    BackingName { at: u64, length: u32 },
    #[error("{what} at {at:#x} is not aligned to clusters of {cluster:#x} bytes")]
    Unaligned { what: &'static str, at: u64, cluster: u64 },
    #[error("{what} of {length} bytes at {at:#x} runs past the end of the file ({end:#x})")]
    PastEnd { what: &'static str, at: u64, length: u64, end: u64 },
    #[error("L1 table of {entries} entries is too small for {size} bytes")]
    L1TooSmall { entries: u64, size: u64 },
    #[error("L1 table of {entries} entries is above 32 MiB")]
    L1TooLarge { entries: u64 },
    #[error("L1 entry {index} points to {at:#x}, {problem}")]
    L1Entry { index: u64, at: u64, problem: Problem },
    #[error("two entries of the L1 table point to one L2 table, at {at:#x}")]
    SharedTable { at: u64 },
    #[error("L2 entry for {guest:#x} points to {at:#x}, {problem}")]
    L2Entry { guest: u64, at: u64, problem: Problem },
    #[error("L1 entry {index} is {entry:#018x}: reserved bits, or a flag without a table")]
    L1Bits { index: u64, entry: u64 },
    #[error("L2 entry for {guest:#x} {bad}")]
    BadEntry { guest: u64, bad: BadEntry },
    #[error("compressed cluster for {guest:#x}, {length} bytes at {at:#x}: {source}")]
    Compressed { guest: u64, at: u64, length: u64, source: diskferry_codec::CodecError },
    #[error(
        "compressed cluster for {guest:#x}, {length} bytes at {at:#x}, is cut off by the end of the file ({end:#x})"
    )]
    CompressedCut { guest: u64, at: u64, length: u64, end: u64 },
    #[error("{0} snapshots are above 65536")]
    TooManySnapshots(u32),
    #[error(
        "snapshot {index} at {at:#x} runs past the end of the file or has {extra} bytes of extra data"
    )]
    Snapshot { index: u32, at: u64, extra: u32 },
    #[error("no external data file is named")]
    NoDataFile,
}

/// What is wrong with a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Unaligned,
    PastEnd(u64),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unaligned => f.write_str("which is not aligned to a cluster"),
            Self::PastEnd(end) => write!(f, "past the end of the file ({end:#x})"),
        }
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage)
    }
}
