//! The target gets its name, and the caller a summary.

use diskferry_block_stream::Result;
use diskferry_engine::Job;

use crate::convert::look_back::Seen;
use crate::convert::promises::Promised;
use crate::convert::summary::{Summary, rounding};
use crate::convert::task::Task;
use crate::convert::write::Made;

impl Task<'_> {
    /// Gives the target its name, once nothing speaks against it. All warnings come together here.
    ///
    /// # Errors
    /// `Io` where the source was changed meanwhile or the name is refused, `Exists` where somebody else has it by now,
    /// `Cancelled`.
    pub fn keep(
        &self,
        made: Made<'_>,
        seen: Seen,
        promised: Promised,
        job: &Job,
    ) -> Result<Summary> {
        promised.still_holds()?;
        job.control.cancel.check()?;
        let Made { source, target, copied, unit, left_behind, .. } = made;
        job.control.finish(|| target.keep())?;

        let (source, mut warnings) = source.into_info(copied.size, unit.held(copied.size));
        warnings.extend(promised.warnings(source.virtual_size));
        warnings.extend(seen.warnings);
        warnings.extend(left_behind);
        warnings.extend(rounding(&self.name, self.brief.format, copied.size, unit));
        Ok(Summary {
            source,
            target: seen.info,
            copied: copied.copied,
            zeros: copied.zeros,
            seconds: self.started.elapsed().as_secs_f64(),
            digests: copied.digests,
            verified: self.verifies(),
            ready_for: self.brief.ready_for(),
            warnings,
        })
    }
}
