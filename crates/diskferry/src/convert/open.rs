//! The source, opened, and what must hold of its files.

use diskferry_block_stream::{Error, Result, Side};
use diskferry_engine::Job;

use crate::convert::promises::Promised;
use crate::convert::task::Task;
use crate::source::opened::Opened;
use crate::target::destination::Destination;

impl Task<'_> {
    /// Opens the source.
    ///
    /// # Errors
    /// What opening it fails with; `Misuse` where it needs the target.
    pub fn open(&self, destination: &Destination, job: &Job) -> Result<(Opened, Promised)> {
        let input = self.request.open.open(&self.request.source, &job.control);
        let input = input.map_err(|error| error.on(Side::Source))?;
        refuse_own_source(&input, destination)?;
        let promised = Promised::of(&input)?;
        Ok((input, promised))
    }
}

/// # Errors
/// `Misuse` where what would be written is a file that the source is read from.
pub(super) fn refuse_own_source(input: &Opened, destination: &Destination) -> Result<()> {
    let Some(id) = destination.id else { return Ok(()) };
    let used = input.file_in_use(id);
    let Some(name) = used else { return Ok(()) };
    Err(Error::misuse(format!("the target is the same file as '{name}', which the source needs"))
        .in_file(&destination.name))
}
