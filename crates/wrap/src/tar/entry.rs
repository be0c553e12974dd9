//! A member of an archive, as its headers have it.

use super::block::Block;
use crate::segment::Segment;

/// A member of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name, without `./` in front.
    pub name: String,
    /// Whether there is a `./` in front.
    pub is_dotted: bool,
    /// Whether it is a regular file. Of all else there is nothing to read.
    pub is_file: bool,
    /// Its length, holes included.
    pub size: u64,
    /// Where its data are in the archive, in order.
    pub segments: Vec<Segment>,
    /// Bytes of the archive from here to the next header.
    pub rest: u64,
    /// Whose kind of header it has.
    pub kind: Kind,
}

/// The kinds of tar, by a member's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The oldest, without a magic.
    V7,
    /// POSIX's of 1988.
    Ustar,
    /// POSIX's of 2001, with an extended header.
    Pax,
    /// GNU tar's own, old and new.
    Gnu,
}

impl Kind {
    /// Whose header this is; extended ones before it may have records of POSIX's.
    pub(super) fn of(block: &Block, has_records: bool) -> Self {
        match &block[257..265] {
            b"ustar  \0" => Self::Gnu,
            _ if has_records => Self::Pax,
            magic if magic.starts_with(b"ustar\0") => Self::Ustar,
            _ => Self::V7,
        }
    }

    /// The word by which GNU tar's option `--format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V7 => "v7",
            Self::Ustar => "ustar",
            Self::Pax => "posix",
            Self::Gnu => "gnu",
        }
    }
}
