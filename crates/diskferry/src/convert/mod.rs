//! A conversion from a source to a target, from top to bottom.
//!
//! ```
//! # fn main() -> diskferry::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let (source, target) = (folder.path().join("disk.img"), folder.path().join("disk.vhd"));
//! # std::fs::write(&source, vec![7; 1 << 20])?;
//! use diskferry::convert::Replace;
//! use diskferry::{Convert, Job};
//!
//! let convert = Convert::new(source.as_path(), target.as_path()).replace(Replace::Allowed);
//! let summary = convert.options([("subformat", "fixed")]).run(&Job::new(1)?)?;
//! assert_eq!(summary.target.subformat.as_deref(), Some("fixed"));
//! # Ok(())
//! # }
//! ```

mod beginning;
mod brief;
mod fit;
mod foreground;
mod foresee;
mod gpt;
mod gpt_forward;
mod keep;
mod look_back;
mod open;
mod prepared;
mod promises;
mod request;
mod resized;
mod sectors;
mod summary;
mod task;
mod unit;
mod verify;
mod write;

use diskferry_block_stream::{ErrorKind, Result};
use diskferry_engine::{Destination, Job, Stage};

pub use diskferry_codec::digest::{Algorithm, UnknownAlgorithm};
pub use diskferry_engine::{Durability, Replace, Zeros};
pub use diskferry_inspect::SectorSize;
pub use uuid::Uuid;

pub use self::request::{BackupGpt, Convert, Identity, Shrink, Verify, VirtualSize};
pub use self::summary::Summary;
use self::task::Task;
use crate::target::destination;

impl Convert {
    /// Converts. Either the target is there afterwards, whole, or nothing is; a pipe or
    /// a device that was the target has then had a part of it.
    ///
    /// A target of several files gets all its names or none: the parts first, then the file that
    /// names them. Where older files are being replaced and one of the names is refused, those that
    /// were replaced before it are lost, and so is the older disk.
    ///
    /// All that is wrong with the request or the target is found before anything is created, and
    /// before more of the source's data is read than tells what it is. Of a source that comes in
    /// order, that is its beginning: what an import target would refuse further in is found when the
    /// target was written.
    ///
    /// # Errors
    /// `Misuse` when the request makes no sense; `Exists` when it would overwrite something; what opening the
    /// source fails with; what the engine or the target's format fails with; `Io` when the target
    /// reads back differently; `Cancelled`.
    pub fn run(&self, job: &Job) -> Result<Summary> {
        job.control.enter(Stage::Opening);
        let destination = destination::find(&self.target, self.replace, self.durability)?;
        stopped_at(&self.target.to_string(), self.convert(destination, job))
    }

    /// Converts into a place of the caller's own, such as an upload, instead of into the [`target`](Self::target).
    /// Whether something there may be replaced, and how long its bytes last, is the place's own affair.
    ///
    /// # Errors
    /// As for [`run`](Self::run); those of the place.
    pub fn run_into(&self, destination: Box<dyn Destination>, job: &Job) -> Result<Summary> {
        job.control.enter(Stage::Opening);
        let name = destination.name().to_owned();
        stopped_at(&name, self.convert(destination, job))
    }

    /// Settles what is to be made and where, opens the source, makes it fit, refuses what would be refused later,
    /// writes, looks back; then the target gets its name.
    fn convert(&self, destination: Box<dyn Destination>, job: &Job) -> Result<Summary> {
        let task = Task::settle(self, destination.as_ref())?;
        let (input, promised) = task.open(destination.as_ref(), job)?;
        let fitted = task.fit(input, destination.as_ref(), job)?;
        let foreseen = task.foresee(&fitted, job)?;
        let made = task.write(fitted, destination, &promised, job)?;
        let seen = task.look_back(&made, foreseen, job)?;
        task.keep(made, seen, promised, job)
    }
}

/// Who stops a conversion is told which.
fn stopped_at<T>(target: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::Cancelled => error.in_file(target),
        _ => error,
    })
}
