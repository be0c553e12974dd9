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

/// From when on what breaks a check breaks it for good, when more and more becomes known of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Settled {
    /// By the format.
    ByFormat,
    /// By what it is wrapped in.
    ByWrapping,
    /// By its name.
    ByName,
    /// By what the image says of itself; of one that is yet to be made, by the plan.
    ByPlan,
    /// By the disk's size.
    BySize,
    /// By the disk's first sector.
    ByFirstSector,
    /// By a partition table.
    ByTable,
    /// By all of the disk.
    ByDisk,
    /// By the file, when it is written.
    ByFile,
}

impl Settled {
    /// Whether it is by the first bytes of a file that could not be opened, which tell its format and what it is
    /// wrapped in.
    pub fn is_by_first_bytes(self) -> bool {
        matches!(self, Self::ByFormat | Self::ByWrapping)
    }

    /// Whether it is by a plan and what the disk begins with: what was found then stays found, and what was not may
    /// come. A size of 0 is not known yet.
    ///
    /// A RAID's superblock at the end of a partition could make a file system at its beginning something
    /// else: that is no disk that anybody exports.
    pub fn is_by_beginning(self, facts: &Facts) -> bool {
        let Some(disk) = &facts.content else { return true };
        match self {
            Self::ByFormat
            | Self::ByWrapping
            | Self::ByName
            | Self::ByPlan
            | Self::ByFirstSector
            | Self::ByFile => true,
            Self::BySize => facts.virtual_size > 0,
            // Else a GPT may come last.
            Self::ByTable => match &disk.gpt {
                Some(gpt) => gpt.primary.state == GptState::Valid,
                None => disk
                    .mbr
                    .as_ref()
                    .is_some_and(|mbr| mbr.protective().is_none() && !mbr.entries.is_empty()),
            },
            Self::ByDisk => false,
        }
    }
}
