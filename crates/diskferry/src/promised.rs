//! The digests that an OVF package has of what a conversion reads of it, compared while it does.

use std::panic;
use std::thread;

use diskferry_block_stream::{Cancel, Error, Result};
use diskferry_engine::Job;
use diskferry_wrap::{Promise, Promises};

use crate::open::Input;

/// What the manifests around a source promise of its files.
pub(crate) struct Promised {
    digests: Vec<Promise>,
    /// What is not compared, and why.
    pub notes: Vec<String>,
}

impl Promised {
    /// Reads the manifests. Those that only come with the disk are compared by whoever reads it.
    ///
    /// # Errors
    /// `Limit` for a manifest that is too long, `Io`.
    pub fn of(input: &Input) -> Result<Self> {
        let mut promised = Self { digests: Vec::new(), notes: Vec::new() };
        for Promises { digests, note } in input.around().promises()? {
            promised.digests.extend(digests);
            promised.notes.extend(note.map(|text| format!("{}: {text}", input.name())));
        }
        Ok(promised)
    }

    /// Does the work, and compares the digests meanwhile, on a thread of its own: a digest takes the
    /// bytes in their order, and the work takes them as it likes.
    ///
    /// # Errors
    /// Those of the work; `Damaged` where a file has another digest; `Io` where there is no thread.
    pub fn compare<T>(&self, job: &Job, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.digests.is_empty() {
            return work();
        }
        let given_up = Cancel::default();
        let go_on = || job.cancel.check().and_then(|()| given_up.check());
        thread::scope(|scope| {
            let compare = || self.digests.iter().try_for_each(|promise| promise.check(&go_on));
            let started = thread::Builder::new().spawn_scoped(scope, compare);
            let compared = started.map_err(|error| Error::from(error).doing("starting threads"))?;
            let done = work();
            if done.is_err() {
                given_up.cancel();
            }
            let compared = compared.join().unwrap_or_else(|bug| panic::resume_unwind(bug));
            done.and_then(|done| compared.map(|()| done))
        })
    }
}
