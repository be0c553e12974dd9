//! The copy, into a target that has no name yet.

use diskferry_block_stream::{Note, Plan, Result};
use diskferry_engine::{
    self as engine, Copied, CopyOptions, Destination, Job, Stage, Target, Undoing,
};

use crate::convert::fit::Fitted;
use crate::convert::prepared::Prepared;
use crate::convert::promises::Promised;
use crate::convert::task::Task;
use crate::convert::unit::Unit;

/// A target that was written and has no name yet.
pub(super) struct Made<'a> {
    /// Where it does not get its name, it is undone; before all else here is dropped.
    _undoing: Undoing<'a>,
    pub source: Prepared,
    pub target: Box<dyn Target>,
    pub copied: Copied,
    /// What its virtual size is a multiple of.
    pub unit: Unit,
    /// The unit in which it stores a disk, in bytes; 1 where there is none.
    pub chunk: u64,
    /// What runs that were killed left in its place.
    pub left_behind: Vec<Note>,
}

impl Task<'_> {
    /// Creates the target and copies the source into it.
    ///
    /// # Errors
    /// Those of reading and writing, of the plan, and of what must hold of the source meanwhile.
    pub fn write<'a>(
        &self,
        fitted: Fitted,
        destination: Box<dyn Destination>,
        promised: &Promised,
        job: &'a Job,
    ) -> Result<Made<'a>> {
        let Fitted { mut source, plan, unit } = fitted;
        let (chunk, left_behind) = (chunk(&plan), destination.left_behind());
        let mut needs = self.needs();
        (needs.plan, needs.size) = (Some(&plan), source.size());
        let target = destination.create(&needs)?;
        let undoing = job.control.undoing(target.undo());
        job.control.enter(Stage::Copying);
        let (zeros, digests) = (self.request.zeros, self.request.digests.clone());
        let fingerprint = self.verifies() && source.is_dear(zeros);
        let options = CopyOptions { zeros, digests, fingerprint };
        let copied = promised.during(job, |job| {
            engine::copy(source.source(), plan, target.outputs(), &options, job)
        })?;
        Ok(Made { source, target, copied, unit, chunk, left_behind, _undoing: undoing })
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
