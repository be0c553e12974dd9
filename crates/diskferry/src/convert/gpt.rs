//! A GPT that is to fit the target: where there is one, and what is to be changed in it.

use diskferry_block_stream::{Cancel, Disk, Error, Note, NoteKind, Result};
use diskferry_inspect::{self as inspect, Inspection, Patch, SectorSize};

/// What is to become of a GPT.
#[derive(Clone, Copy)]
pub(crate) enum Fit {
    /// Its backup is moved to the end.
    Moved,
    /// It is written anew, to count in such sectors.
    Sectors(SectorSize),
}

impl Fit {
    /// What is to be changed where that was found, on a disk of `size` bytes.
    ///
    /// # Errors
    /// `Unsupported` where it cannot be.
    pub fn patches(self, found: &Inspection, size: u64) -> Result<Vec<Patch>> {
        let patches = match self {
            Self::Moved => found.resized(size),
            Self::Sectors(sectors) => found.resectored(sectors, size),
        };
        patches.map_err(|why| self.cannot(why))
    }

    /// A GPT that stays as it is, and why.
    pub fn cannot(self, why: impl std::fmt::Display) -> Error {
        Error::unsupported(match self {
            Self::Moved => format!("its GPT cannot be moved: {why}"),
            Self::Sectors(sectors) => {
                let bytes = sectors.bytes();
                format!("its GPT cannot be written anew for sectors of {bytes} bytes: {why}")
            }
        })
    }

    /// What may do harm on a disk where that was found.
    pub fn warnings(self, name: &str, found: &Inspection) -> Vec<Note> {
        let Self::Sectors(sectors) = self else { return Vec::new() };
        let bytes = sectors.bytes();
        let too_fine = found.too_fine_for(sectors);
        too_fine
            .map(|(number, kind, unit)| {
                let text = format!(
                    "partition {number}: {kind} with units of {unit} bytes cannot be read from sectors of {bytes}"
                );
                Note::of(NoteKind::PartitionTable, name, text)
            })
            .collect()
    }
}

/// What stands on a disk that has a GPT; `None` for other disks.
///
/// # Errors
/// `Io` or `Damaged` where the disk cannot be read, `Cancelled`.
pub(crate) fn look_for_gpt(disk: &dyn Disk, cancel: &Cancel) -> Result<Option<Inspection>> {
    let found = inspect::inspect(disk, cancel)?;
    Ok(Some(found).filter(|found| found.used_gpt().is_some()))
}
