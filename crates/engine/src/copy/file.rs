//! One file of a target, by its plan.

use diskferry_block_stream::{Error, Plan, Result};

use super::digests::Digests;
use super::enclose::copy_enclosed;
use super::flat::copy_flat;
use super::options::{Copied, Zeros};
use super::packed::copy_packed;
use crate::job::Job;
use crate::needs::check_forward;
use crate::output::{Output, WriteOrder};
use crate::source::Source;

/// Moves a source into one file; `digests` go on from what came before it.
pub(super) fn copy_file(
    source: Source<'_>,
    plan: Plan,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    if output.order() == WriteOrder::Forward {
        check_forward(&plan).map_err(|error| error.in_file(output.name()))?;
    }
    match plan {
        Plan::Flat(flat) => copy_flat(source, flat, output, digests, zeros, job),
        Plan::Packed(packed) => copy_packed(source, packed, output, digests, zeros, job),
        Plan::Enclosed(enclosed) => copy_enclosed(source, enclosed, output, digests, zeros, job),
        Plan::Split(_) => Err(Error::unsupported(
            "this subformat is several files; it cannot be written to a pipe or a device, nor \
             from a pipe",
        )
        .in_file(output.name())),
    }
}
