//! A file in an archive.

use crate::segment::Segment;

/// A regular file in an archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name.
    pub name: String,
    /// Its length in bytes, holes included.
    pub size: u64,
    /// Which of the package's bytes it is in.
    pub base: usize,
    /// Where it is in those; empty of what has passed.
    pub segments: Vec<Segment>,
}

impl Member {
    /// Where its data begin in what it is in.
    pub fn begin(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.from)
    }

    /// Whether all of it is stored.
    pub fn is_whole(&self) -> bool {
        self.segments.iter().map(|segment| segment.len).sum::<u64>() == self.size
    }
}
