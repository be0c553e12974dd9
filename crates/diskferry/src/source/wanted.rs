//! What of a source is wanted: a format, a disk of several.

use diskferry_block_stream::{Budget, Error, Result};
use diskferry_wrap::Choice;

use crate::format::Format;
use crate::source::around::Around;
use crate::source::options::OpenOptions;

/// What one opening wants, and what it may take for that.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// The format of the disk, where it is told.
    format: Option<Format>,
    pub choice: Choice,
    /// What the opening may take.
    pub budget: Budget,
}

impl Wanted {
    pub fn of(options: &OpenOptions) -> Self {
        let (format, choice, budget) = (options.format, options.disk, options.limits.budget());
        Self { format, choice, budget }
    }

    /// The format of the disk; those that are wrappers themselves say nothing of it.
    pub fn disk_format(&self) -> Option<Format> {
        self.format.filter(|format| !format.is_package())
    }

    /// Whether the file itself is a raw disk, whatever it looks like.
    pub fn is_raw(&self) -> bool {
        self.format == Some(Format::RAW)
    }

    /// Whether these bytes are the disk, whatever they look like: a raw disk may look like anything.
    pub fn is_disk(&self, probe: impl FnOnce() -> Result<Option<Format>>) -> Result<bool> {
        match self.disk_format() {
            None => Ok(false),
            Some(format) if format == Format::RAW => Ok(true),
            Some(format) => Ok(probe()? == Some(format)),
        }
    }

    /// # Errors
    /// `Misuse` where a package, or a disk of one, was asked for, and there is none.
    pub fn check(&self, name: &str, around: &Around) -> Result<()> {
        if let Some(format) = self.format.filter(|format| format.is_package())
            && around.layers.is_empty()
        {
            return Err(Error::damaged(format!("no {format} file")).in_file(name));
        }
        match self.choice {
            Choice::Number(number) if number != 1 && around.disks.is_empty() => {
                Err(Error::misuse(format!("it has no disk {number}: it is no archive"))
                    .in_file(name))
            }
            _ => Ok(()),
        }
    }
}
