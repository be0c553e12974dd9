//! The copy, into a target that has no name yet.

use diskferry_block_stream::{Plan, Result};
use diskferry_engine::{self as engine, Copied, CopyOptions, Job, Stage, Undoing};

use crate::convert::fit::Fitted;
use crate::convert::prepared::Prepared;
use crate::convert::promises::Promised;
use crate::convert::task::Task;
use crate::convert::unit::Unit;
use crate::target::destination::{Destination, Target};

/// A target that was written and has no name yet.
pub(super) struct Made<'a> {
    pub source: Prepared,
    pub target: Target,
    pub copied: Copied,
    /// What its virtual size is a multiple of.
    pub unit: Unit,
    /// The unit in which it stores a disk, in bytes; 1 where there is none.
    pub chunk: u64,
    /// What runs that were killed left in its place.
    pub left_behind: Vec<String>,
    /// For as long as it has no name, it is removed where somebody undoes the work.
    _undoing: Undoing<'a>,
}

impl Task<'_> {
    /// Creates the target and copies the source into it.
    ///
    /// # Errors
    /// Those of reading and writing, of the plan, and of what must hold of the source meanwhile.
    pub fn write<'a>(
        &self,
        fitted: Fitted,
        destination: Destination,
        promised: &Promised,
        job: &'a Job,
    ) -> Result<Made<'a>> {
        let Fitted { mut source, plan, unit, parts } = fitted;
        let (chunk, left_behind) = (chunk(&plan), destination.left_behind());
        let target = destination.create(parts, self.request.replace, self.request.durability)?;
        let undoing = job.control.undoing(target.undo());
        target.check_fits(&plan, source.size())?;
        job.control.enter(Stage::Copying);
        let copied = promised.during(job, |job| self.copy(&mut source, plan, &target, job))?;
        Ok(Made { source, target, copied, unit, chunk, left_behind, _undoing: undoing })
    }

    fn copy(
        &self,
        source: &mut Prepared,
        plan: Plan,
        target: &Target,
        job: &Job,
    ) -> Result<Copied> {
        let (zeros, digests) = (self.request.zeros, self.request.digests.clone());
        let fingerprint = self.verifies() && source.is_dear(zeros);
        let options = CopyOptions { zeros, digests, fingerprint };
        match (plan, target, &*source) {
            (Plan::Split(split), Target::Split(files), Prepared::Disk { disk, .. }) => {
                let (parts, descriptor) = (files.parts(), files.descriptor());
                engine::copy_split(disk, split, &parts, descriptor, &options, job)
            }
            (plan, ..) => engine::copy(source.source(), plan, target.output(), &options, job),
        }
    }
}

/// The unit in which a plan stores a disk, in bytes; 1 where there is none.
fn chunk(plan: &Plan) -> u64 {
    match plan {
        Plan::Flat(_) | Plan::Split(_) => 1,
        Plan::Packed(packed) => packed.chunk as u64,
        Plan::Enclosed(enclosed) => enclosed.inner.chunk as u64,
    }
}
