//! What every check has.

use std::any::Any;

use diskferry_inspect::GptState;

use super::finding::Finding;
use crate::import::facts::Facts;

/// What a rule asks of an image.
pub(in crate::import) trait Check: Any + Sync {
    /// What must be looked at to judge it.
    fn needs(&self) -> Need;

    /// From when on what breaks it breaks it for good.
    fn settled(&self) -> Settled;

    /// Judges an image by what is known of it.
    fn judge(&self, facts: &Facts) -> Finding;

    /// What it asks for.
    fn words(&self) -> String;
}

/// What must be looked at to judge an image, from the cheap to the dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Need {
    /// What it says of itself.
    Image,
    /// The first bytes of its file.
    FirstBytes,
    /// What stands on the disk.
    Content,
    /// Its map.
    Map,
    /// The disk from its end.
    End,
    /// The OVF package that it is in, with the digests in it.
    Package,
    /// All of the archive that it is in.
    Archive,
    /// Its tables, and all that is stored compressed.
    Stored,
}

/// By what it is settled that a check is broken, when more and more becomes known of an image: what breaks it
/// then breaks it for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Settled {
    /// By the format.
    Format,
    /// By what it is wrapped in.
    Wrapping,
    /// By its name.
    Name,
    /// By what the image says of itself; of one that is yet to be made, by the plan.
    Plan,
    /// By the disk's size.
    Size,
    /// By the disk's first sector.
    FirstSector,
    /// By a partition table.
    Table,
    /// By all of the disk.
    Disk,
    /// By the file, when it is written.
    File,
}

impl Settled {
    /// Whether it is by the first bytes of a file that could not be opened, which tell its format and what it is
    /// wrapped in.
    pub fn is_by_first_bytes(self) -> bool {
        matches!(self, Self::Format | Self::Wrapping)
    }

    /// Whether it is by a plan and what the disk begins with: what was found then stays found, and what was not may
    /// come. A size of 0 is not known yet.
    ///
    /// A RAID's superblock at the end of a partition could make a file system at its beginning something
    /// else: that is no disk that anybody exports.
    pub fn is_by_beginning(self, facts: &Facts) -> bool {
        let Some(disk) = &facts.content else { return true };
        match self {
            Self::Format
            | Self::Wrapping
            | Self::Name
            | Self::Plan
            | Self::FirstSector
            | Self::File => true,
            Self::Size => facts.virtual_size > 0,
            // Else a GPT may come last.
            Self::Table => match &disk.gpt {
                Some(gpt) => gpt.primary.state == GptState::Valid,
                None => disk
                    .mbr
                    .as_ref()
                    .is_some_and(|mbr| mbr.protective().is_none() && !mbr.entries.is_empty()),
            },
            Self::Disk => false,
        }
    }
}
