//! Where bytes of a member are in its archive.

/// A stored stretch of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its place in the member.
    pub at: u64,
    /// Bytes.
    pub len: u64,
    /// Its place in the archive.
    pub from: u64,
}

impl Segment {
    /// The byte after its last one.
    pub fn end(&self) -> u64 {
        self.at + self.len
    }
}
