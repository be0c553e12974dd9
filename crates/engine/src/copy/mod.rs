//! The copy: read, find zeros, pack, place, write.

mod digests;
mod done;
mod enclose;
mod file;
mod flat;
mod options;
mod packed;
mod passage;
mod place;
mod placed;
mod read;
mod room;
mod run;
mod split;
mod work;
mod worker;
mod write;

use diskferry_block_stream::{Error, Plan, Result};

use self::digests::Digests;
use self::file::copy_file;
pub use self::options::{Copied, CopyOptions, Zeros};
pub use self::read::{digest, fingerprint};
use self::split::copy_split;
use crate::job::Job;
use crate::outputs::Outputs;
use crate::source::Source;

/// Moves the whole of `source` into `outputs`, laid out as `plan` says: one file, or, for a plan that is
/// a split one, several.
///
/// The same source, plan and options give the same bytes for any number of threads.
///
/// # Errors
/// The first error of any part; what was written is then incomplete, and the caller drops it. `Misuse` where the
/// plan is for another disk or for other outputs, `Unsupported` where an output cannot take what it is for.
pub fn copy<'o>(
    source: Source<'_>,
    plan: Plan,
    outputs: impl Into<Outputs<'o>>,
    options: &CopyOptions,
    job: &Job,
) -> Result<Copied> {
    let (digests, zeros) = (Digests::of(options), options.zeros);
    let (copied, digests) = match (plan, outputs.into()) {
        (Plan::Split(split), Outputs::Split { parts, descriptor }) => {
            copy_split(source, split, parts, descriptor, digests, zeros, job)?
        }
        (plan, Outputs::One(output)) => {
            let source = source.in_best_order()?;
            if let Some(size) = source.size() {
                job.control.progress.expect(size);
            }
            copy_file(source, plan, output, digests, zeros, job)?
        }
        (
            Plan::Flat(_) | Plan::Packed(_) | Plan::Enclosed(_),
            Outputs::Split { descriptor, .. },
        ) => {
            return Err(Error::misuse("a plan for one file, and outputs for several")
                .in_file(descriptor.name()));
        }
    };
    Ok(Copied { fingerprint: digests.fingerprint, digests: digests.finish(), ..copied })
}
