//! What an import target would refuse, refused before the copy as far as it can be seen, and else after it.

use diskferry_block_stream::{Error, Foretold, Note, NoteKind, Result};
use diskferry_engine::Job;

use crate::convert::beginning::Beginning;
use crate::convert::brief::Brief;
use crate::convert::fit::Fitted;
use crate::convert::foreground::Foreground;
use crate::convert::task::Task;
use crate::import::{Facts, Readiness};
use crate::source::image::DiskImage;

/// What is known of the result before it is written.
#[derive(Default)]
pub(crate) struct Foreseen {
    facts: Option<Facts>,
    /// What may do harm at the import target.
    warnings: Vec<Note>,
    /// That not all of the source was seen, should nobody look at the result.
    unseen: Option<Note>,
}

impl Task<'_> {
    /// Judges what would be made, by what can be looked at before the copy.
    ///
    /// # Errors
    /// `Refused` where the import target would refuse it; those of reading the source.
    pub fn foresee(&self, fitted: &Fitted, job: &Job) -> Result<Foreseen> {
        let Fitted { source, unit, .. } = fitted;
        let size = source.size_ahead().map(|size| unit.held(size));
        let foretold = self.writing.foretell();
        self.brief.foresee(source.foreground(), foretold, size, self.file_name.as_deref(), job)
    }
}

impl Brief {
    /// Judges what would be made of a disk, of `size` bytes where that is known, in a file of that
    /// name. Of a stream it is judged by what it begins with, as far as that goes.
    ///
    /// # Errors
    /// `Refused` when the import target would refuse it; `Io` or `Damaged` when the disk cannot
    /// be read; `Cancelled`.
    fn foresee(
        &self,
        source: Foreground<'_>,
        foretold: Foretold,
        size: Option<u64>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Foreseen> {
        let Some((readiness, choice)) = &self.import else { return Ok(Foreseen::default()) };
        match source {
            Foreground::Disk(image, disk) => {
                // Rounding up would make zeros of it, which every target takes.
                if image.disk().size() == 0 {
                    return Err(is_empty(readiness).in_file(image.name()));
                }
                let facts = readiness.look(image, disk, job)?;
                let size = size.unwrap_or(disk.size());
                let facts = readiness.plan(choice, foretold, &facts, size, name);
                let warnings =
                    readiness.judge(&facts).map_err(|error| error.in_file(image.name()))?;
                Ok(Foreseen { facts: Some(facts), warnings, ..Foreseen::default() })
            }
            Foreground::Stream(stream, beginning) => {
                let Some(Beginning { found, end, is_all }) = beginning else {
                    return Ok(Foreseen::default());
                };
                if *is_all && *end == 0 {
                    return Err(is_empty(readiness).in_file(stream));
                }
                let facts = readiness.look_ahead(found);
                let facts = readiness.plan(choice, foretold, &facts, size.unwrap_or(0), name);
                let judged = match is_all {
                    true => readiness.judge(&facts),
                    false => readiness.judge_ahead(&facts),
                };
                let warnings = judged.map_err(|error| error.in_file(stream))?;
                let unseen = (!is_all).then(|| {
                    let text = format!(
                        "it was judged for {} by its first {end} bytes only; what is written cannot be looked \
                         at again",
                        readiness.target()
                    );
                    Note::of(NoteKind::Unseen, stream, text)
                });
                Ok(Foreseen { facts: None, warnings, unseen })
            }
        }
    }

    /// Judges what was made, where it can be read back; returns what may do harm.
    ///
    /// # Errors
    /// As for [`foresee`](Self::foresee).
    pub fn confirm(
        &self,
        foreseen: Foreseen,
        written: Option<&DiskImage>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Vec<Note>> {
        let (Some((readiness, _)), Some(image)) = (&self.import, written) else {
            return Ok(foreseen.warnings.into_iter().chain(foreseen.unseen).collect());
        };
        let facts = readiness.look_back(image, foreseen.facts, name, job)?;
        readiness.judge(&facts).map_err(|error| error.in_file(image.name()))
    }
}

fn is_empty(readiness: &Readiness) -> Error {
    Error::refused(format!("{} would refuse it: there is no disk, but 0 bytes", readiness.target()))
}
