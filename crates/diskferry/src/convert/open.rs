//! The source, opened, and what must hold of its files.

use diskferry_block_stream::{Error, Result, Side};
use diskferry_engine::{Destination, Job, Needs};

use crate::convert::promises::Promised;
use crate::convert::task::Task;
use crate::source::opened::Opened;

impl Task<'_> {
    /// Opens the source.
    ///
    /// # Errors
    /// What opening it fails with; `Misuse` where it needs the target.
    pub fn open(&self, destination: &dyn Destination, job: &Job) -> Result<(Opened, Promised)> {
        let input = self.request.open.open(&self.request.source, &job.control);
        let input = input.map_err(|error| error.on(Side::Source))?;
        refuse_own_source(&input, destination, &self.needs())?;
        let promised = Promised::of(&input)?;
        Ok((input, promised))
    }
}

/// # Errors
/// `Misuse` where what would be written is a file that the source is read from.
pub(super) fn refuse_own_source(
    input: &Opened,
    destination: &dyn Destination,
    needs: &Needs<'_>,
) -> Result<()> {
    for (name, there) in destination.overwrites(needs)? {
        if let Some(used) = input.file_in_use(&there) {
            let text = format!("the target is the same file as '{used}', which the source needs");
            return Err(Error::misuse(text).in_file(&name));
        }
    }
    Ok(())
}
