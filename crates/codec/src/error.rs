//! What can go wrong in a session.

use std::ops::RangeInclusive;

/// Why a session was not made, or why a unit was not packed or unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The packed bytes break the rules of their format.
    #[error("damaged {codec} data: {detail}")]
    Damaged {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// What the library says is wrong.
        detail: String,
    },
    /// The packed bytes end, or end their stream, before the unit is full.
    #[error("{codec} data of {got:#x} bytes in place of {want:#x}")]
    Short {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// Bytes that were unpacked.
        got: usize,
        /// Bytes that the unit has.
        want: usize,
    },
    /// The unit is full, and its frame has not ended.
    #[error("{codec} data of more than {want:#x} bytes")]
    Long {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// Bytes that the unit has.
        want: usize,
    },
    /// A unit has more bytes than [`UNIT_MAX`](crate::UNIT_MAX).
    #[error("{codec} unit of {len:#x} bytes, limit {:#x}", crate::UNIT_MAX)]
    Oversized {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// Bytes of the unit.
        len: usize,
    },
    /// The codec has no such compression level.
    #[error("{codec} level {level}, not in {}..={}", .range.start(), .range.end())]
    Level {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// The level that was asked for.
        level: i64,
        /// The levels that there are.
        range: RangeInclusive<i64>,
    },
    /// Deflate has no window of this size.
    #[error("deflate window of {0} bits, not in 9..=15")]
    Window(u8),
    /// The library refused for a reason of its own, such as want of memory.
    #[error("{codec} library: {detail}")]
    Library {
        /// `deflate`, `zlib` or `zstd`.
        codec: &'static str,
        /// What the library says.
        detail: String,
    },
}
