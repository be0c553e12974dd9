//! What a file is wrapped in, by its first bytes.

use diskferry_codec::Wrapper;

use crate::tar;

/// A kind of wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// A tar archive; an OVA is one.
    Tar,
    /// A compressed file.
    Packed(Wrapper),
}

impl Wrapping {
    /// Bytes of a file that tell whether it is a wrapper.
    pub const HEAD: usize = 4096;

    /// The wrapper whose signature these first bytes of a file bear.
    pub fn of(head: &[u8]) -> Option<Self> {
        match Wrapper::of(head) {
            Some(wrapper) => Some(Self::Packed(wrapper)),
            None => tar::begins(head).then_some(Self::Tar),
        }
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Packed(wrapper) => wrapper.name(),
        }
    }
}
