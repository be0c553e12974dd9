//! How a VMDK can contradict itself.

use diskferry_block_stream::Error;
use thiserror::Error as ThisError;

/// A contradiction, with the numbers. Offsets are bytes: of a file, or of the disk where they are
/// called the grain's.
#[derive(Debug, ThisError)]
pub(crate) enum Damage {
    #[error("neither a descriptor nor the header of an extent")]
    NoSignature,
    #[error("the file ends inside the {what} at {at:#x}")]
    Short { what: &'static str, at: u64 },
    #[error("version {0} does not exist")]
    Version(u32),
    #[error(
        "the newline characters of the header are {0:02x?}: the file was changed in a transfer as \
         text"
    )]
    Newlines([u8; 4]),
    #[error("a grain of {0:#x} sectors is no power of two, or above {1:#x}")]
    Grain(u64, u64),
    #[error("grain tables of {0:#x} entries are not within 1 and 0x10000")]
    TableEntries(u64),
    #[error("the capacity of {0:#x} sectors is above 2^64 bytes")]
    Capacity(u64),
    #[error("compressed grains with compression method {0}")]
    Compression(u16),
    #[error("{what} of {length:#x} bytes at {at:#x} runs past the end of the file ({end:#x})")]
    PastEnd { what: &'static str, at: u64, length: u64, end: u64 },
    #[error("the grain directory of {entries:#x} entries is too small for {size} bytes")]
    DirectoryTooSmall { entries: u64, size: u64 },
    #[error("the footer marker at {at:#x} is none: the file is cut off, or goes on after its end")]
    NoFooter { at: u64 },
    #[error("the footer at {at:#x} has {field} {footer:#x}, not {header:#x} as what precedes it")]
    FooterDiffers { at: u64, field: &'static str, footer: u64, header: u64 },
    #[error("grain directory entry {index:#x} is {entry:#x}, {problem}")]
    DirectoryEntry { index: u64, entry: u64, problem: Problem },
    #[error("two entries of the grain directory lead to one table, at {at:#x}")]
    SharedTable { at: u64 },
    #[error("grain table entry for {guest:#x} is {entry:#x}, {problem}")]
    TableEntry { guest: u64, entry: u64, problem: Problem },
    #[error(
        "the marker of the grain {guest:#x} at {at:#x} is of sector {lba:#x}, with {size:#x} bytes"
    )]
    Marker { guest: u64, at: u64, lba: u64, size: u32 },
    #[error(
        "compressed grain {guest:#x}, {length:#x} bytes at {at:#x}, is cut off by the end of the \
         file ({end:#x})"
    )]
    GrainCut { guest: u64, at: u64, length: u64, end: u64 },
    #[error("compressed grain {guest:#x}, {length:#x} bytes at {at:#x}: {source}")]
    Compressed { guest: u64, at: u64, length: u64, source: diskferry_codec::CodecError },
    #[error("compressed grain {guest:#x} at {at:#x} has {got:#x} bytes in place of {want:#x}")]
    GrainLength { guest: u64, at: u64, got: u64, want: u64 },
    #[error("flat extent '{name}': the byte at {at:#x} is past the end of the file ({end:#x})")]
    FlatCut { name: String, at: u64, end: u64 },
    #[error("extent '{name}' has {has:#x} sectors, the descriptor says {says:#x}")]
    ExtentSize { name: String, has: u64, says: u64 },
    #[error("line {line} of the descriptor is no extent: '{text}'")]
    ExtentLine { line: usize, text: String },
    #[error(
        "line {line} of the descriptor: the extent begins {offset:#x} sectors into '{name}', above 2^64 bytes"
    )]
    ExtentOffset { line: usize, name: String, offset: u64 },
    #[error("line {line} of the descriptor: {key} is '{text}', which is no number")]
    Number { line: usize, key: &'static str, text: String },
    #[error("the descriptor has no extents")]
    EmptyDescriptor,
    #[error("the extents have more than 2^64 bytes")]
    TooLarge,
    #[error("the marker at {at:#x} is of no known type ({kind:#x})")]
    MarkerType { at: u64, kind: u32 },
    #[error("the grain at {at:#x} of the file is for sector {lba:#x}, which is {problem}")]
    StreamGrain { at: u64, lba: u64, problem: &'static str },
    #[error("the stream ends at {at:#x} without an end-of-stream marker")]
    NoEnd { at: u64 },
    #[error("the byte at {at:#x}, after the end-of-stream marker, is not zero")]
    AfterEnd { at: u64 },
    #[error(
        "the stream ends at {at:#x}, and the grains of table {table:#x} are not those that the table has"
    )]
    StreamTable { at: u64, table: u64 },
    #[error(
        "grain directory entry {index:#x} at {at:#x} is {entry:#x}, which leads to no table of the \
         grains that came"
    )]
    StreamDirectory { at: u64, index: u64, entry: u64 },
    #[error("the footer at {at:#x} names no grain directory that came before it")]
    NoDirectory { at: u64 },
}

/// What is wrong with a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Where it points, and where the file ends.
    PastEnd { at: u64, end: u64 },
    /// It points at the header or the descriptor.
    Header,
    /// It points at a directory or a table.
    Metadata,
    /// Its upper bits say what no version of the format has.
    Unknown,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PastEnd { at, end } => {
                write!(f, "which leads to {at:#x}, past the end of the file ({end:#x})")
            }
            Self::Header => f.write_str("which leads into the header or the descriptor"),
            Self::Metadata => f.write_str("which leads into a grain directory or a grain table"),
            Self::Unknown => f.write_str("whose upper bits are unknown"),
        }
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::damaged(damage)
    }
}
