//! What a format holds whole multiples of.

/// The unit of a target's virtual size, in bytes; 1 where it may be any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit(pub u64);

impl Unit {
    /// The virtual size that a disk of `size` bytes gets, rounded up with zeros.
    pub fn held(self, size: u64) -> u64 {
        size.checked_next_multiple_of(self.0).unwrap_or(size)
    }

    /// Whether it rounds at all.
    pub fn rounds(self) -> bool {
        self.0 > 1
    }
}
