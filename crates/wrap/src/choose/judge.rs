//! What a caller has to say of the members of an archive, by their bytes.

use diskferry_block_stream::{Bytes, Error, Result};

use crate::part::Part;

/// A member of an archive that may be a disk.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name, as the archive has it.
    pub name: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// Its first bytes: [`HEAD`](Self::HEAD) of them where it has as many.
    pub head: &'a [u8],
    /// All of it, where the archive can be read anywhere.
    pub part: Option<&'a Part>,
}

impl Candidate<'_> {
    /// Bytes of a member that are looked at.
    pub const HEAD: usize = 64 << 10;
}

/// What a member of an archive is like, by its bytes.
#[derive(Debug)]
pub enum Likeness {
    /// It has the signature of this format or compression.
    Disk(&'static str),
    /// It may be a raw disk.
    Unknown,
    /// It is something else, and this is why it is refused: "a zip archive, and no disk".
    Other(Error),
}

impl Likeness {
    /// The format that it has the signature of.
    pub(crate) fn format(&self) -> Option<&'static str> {
        match self {
            Self::Disk(format) => Some(format),
            Self::Unknown | Self::Other(_) => None,
        }
    }
}

/// Without a signature, a member of this many bytes is taken for a disk; and a shorter one if it is
/// the only member.
pub const LIKELY: u64 = 1 << 20;

/// What whoever looks for a disk in an archive knows of disks and their formats.
pub trait Judge: Send + Sync {
    /// What a member is.
    ///
    /// # Errors
    /// Those of reading it.
    fn likeness(&self, member: &Candidate<'_>) -> Result<Likeness>;

    /// Whether a member seems to be a disk, or a part of one, that needs further members. Asked of what comes in
    /// order, of which no more is seen than the first bytes.
    fn needs_others(&self, member: &Candidate<'_>) -> bool {
        let _ = member;
        false
    }

    /// The files that a disk needs besides itself, by their names in its own folder. Asked of what can be read
    /// anywhere.
    fn needs(&self, disk: &Part) -> Vec<String> {
        let _ = disk;
        Vec::new()
    }
}

/// A function that only tells what a member is.
impl<F: Fn(&Candidate<'_>) -> Result<Likeness> + Send + Sync> Judge for F {
    fn likeness(&self, member: &Candidate<'_>) -> Result<Likeness> {
        self(member)
    }
}

/// What a member is whose bytes can be read anywhere.
///
/// # Errors
/// Those of reading it.
pub(crate) fn judge_part(name: &str, part: &Part, judge: &dyn Judge) -> Result<Likeness> {
    let size = part.len();
    let mut head = vec![0; size.min(Candidate::HEAD as u64) as usize];
    part.read_at(0, &mut head)?;
    judge.likeness(&Candidate { name, size, head: &head, part: Some(part) })
}
