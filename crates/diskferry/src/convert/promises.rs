//! What must hold of what a conversion reads: it stays as it is, and has the digests that an OVF package has of it,
//! which are compared meanwhile.

use std::panic;
use std::thread;

use diskferry_block_stream::{Cancel, Error, ErrorKind, Note, NoteKind, Result};
use diskferry_engine::Job;
use diskferry_wrap::{Digests, Objection, Promise, Promises};

use crate::place::unchanged::Unchanged;
use crate::source::around::Archive;
use crate::source::opened::Opened;

/// What must hold of a source's files: what the packages around it promise, and that nobody writes to them.
pub(crate) struct Promised {
    name: String,
    archives: Vec<Archive>,
    digests: Vec<Promise>,
    /// What is not compared, and why.
    notes: Vec<Note>,
    /// That nobody writes to them meanwhile.
    unchanged: Unchanged,
}

impl Promised {
    /// Reads the manifests. Those that only come with the disk are compared by whoever reads it.
    ///
    /// # Errors
    /// `Limit` for a manifest that is too long, `Io`.
    pub fn of(input: &Opened) -> Result<Self> {
        let (name, archives) = (input.name().to_owned(), input.origin.around.archives.clone());
        let unchanged = input.unchanged();
        let mut promised =
            Self { name, archives, digests: Vec::new(), notes: Vec::new(), unchanged };
        for Promises { digests, note } in input.origin.around.promises()? {
            promised.digests.extend(digests);
            let note = note.map(|text| Note::of(NoteKind::Archive, input.name(), text));
            promised.notes.extend(note);
        }
        Ok(promised)
    }

    /// What is not compared, and what contradicts the packages: the disk has `size` bytes.
    pub fn warnings(self, size: Option<u64>) -> Vec<Note> {
        let Self { name, archives, mut notes, .. } = self;
        let mut note = |objection: Objection| {
            if objection.is_contradiction() {
                notes.push(Note::of(NoteKind::Archive, &name, objection.text));
            }
        };
        for Archive { package, member } in archives {
            package.object_to_files(&mut note);
            if let Some(size) = size {
                package.object_to_capacity(&member, size, &mut note);
            }
        }
        notes
    }

    /// Does the work, and compares the digests meanwhile: a digest takes the bytes in their order, and the
    /// work takes them as it likes. Where one fails, the other stops.
    ///
    /// # Errors
    /// Those of the work; `Damaged` where a file has another digest; `Io` where there is no thread, and where the source
    /// was changed and looks damaged by that.
    pub fn during<T>(&self, job: &Job, work: impl FnOnce(&Job) -> Result<T>) -> Result<T> {
        let worked = match self.digests.as_slice() {
            [] => work(job),
            digests => {
                let compare = |cancel: &Cancel| {
                    let mut known = Digests::default();
                    digests.iter().try_for_each(|it| it.check(&mut known, &|| cancel.check()))
                };
                side_by_side(job, compare, work)
            }
        };
        // Where the source was changed meanwhile, that is what is wrong, and no damage of its own.
        if worked.as_ref().is_err_and(|error| error.kind() == ErrorKind::Damaged) {
            self.still_holds()?;
        }
        worked
    }

    /// # Errors
    /// `Io` where somebody has written to a file of the source.
    pub fn still_holds(&self) -> Result<()> {
        self.unchanged.check()
    }
}

/// Does the work, and something else on a thread of its own. Where one fails or panics, the other stops.
fn side_by_side<T>(
    job: &Job,
    aside: impl FnOnce(&Cancel) -> Result<()> + Send,
    work: impl FnOnce(&Job) -> Result<T>,
) -> Result<T> {
    let part = job.part();
    let cancel = part.control.cancel.clone();
    let stop_both = |error| {
        cancel.cancel();
        error
    };
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, || {
            let _bug = StopAtPanic(&cancel);
            aside(&cancel).map_err(stop_both)
        });
        let started = started.map_err(|error| Error::from(error).doing("starting threads"))?;
        // The scope waits for the thread before a panic goes on.
        let _bug = StopAtPanic(&cancel);
        let worked = work(&part).map_err(stop_both);
        let aside = started.join().unwrap_or_else(|bug| panic::resume_unwind(bug));
        match (worked, aside) {
            // It was stopped because of the other.
            (Err(worked), Err(aside)) if worked.kind() == ErrorKind::Cancelled => Err(aside),
            (worked, aside) => worked.and_then(|worked| aside.map(|()| worked)),
        }
    })
}

/// Asks to stop where it is dropped by a panic.
struct StopAtPanic<'a>(&'a Cancel);

impl Drop for StopAtPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::time::{Duration, Instant};

    use super::*;

    fn until_stopped(cancel: &Cancel) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(20);
        while !cancel.is_cancelled() {
            assert!(Instant::now() < patience, "nobody asked it to stop");
            thread::yield_now();
        }
        cancel.check()
    }

    #[test]
    fn where_one_fails_the_other_stops() {
        let job = Job::new(1).unwrap();
        let kind = |result: Result<()>| result.map_err(|error| error.kind());
        let waits = |job: &Job| until_stopped(&job.control.cancel);
        let damaged = side_by_side(&job, |_| Err(Error::damaged("another digest")), waits);
        assert_eq!(kind(damaged), Err(ErrorKind::Damaged));
        let failed = side_by_side(&job, until_stopped, |_| Err(Error::limit("no room")));
        assert_eq!(kind(failed), Err(ErrorKind::Limit));
        assert_eq!(kind(side_by_side(&job, |_| Ok(()), |_| Ok(()))), Ok(()));
        assert!(!job.control.cancel.is_cancelled(), "what the caller has is the caller's");
        job.control.cancel.cancel();
        assert_eq!(kind(side_by_side(&job, until_stopped, waits)), Err(ErrorKind::Cancelled));
    }

    #[test]
    fn where_one_panics_the_other_stops_and_the_panic_goes_on() {
        let job = Job::new(1).unwrap();
        let waits = |job: &Job| until_stopped(&job.control.cancel);
        let of_work = || side_by_side(&job, until_stopped, |_| panic!("a bug")) as Result<()>;
        let of_aside = || side_by_side(&job, |_| panic!("a bug"), waits);
        for panicking in [&of_work as &dyn Fn() -> Result<()>, &of_aside] {
            let bug = panic::catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
            assert_eq!(bug.downcast_ref(), Some(&"a bug"));
        }
        assert!(!job.control.cancel.is_cancelled(), "what the caller has is the caller's");
    }
}
