//! The copy: read, find zeros, pack, place, write.

mod digests;
mod done;
mod enclose;
mod flat;
mod options;
mod packed;
mod passage;
mod place;
mod placed;
mod read;
mod room;
mod run;
mod work;
mod worker;
mod write;

use std::sync::Arc;

use diskferry_block_stream::{Disk, Error, Order, Plan, Result, Split};

use self::digests::Digests;
pub use self::options::{Copied, CopyOptions, Zeros};
pub use self::read::{digest, fingerprint};
use crate::adapt::{Forward, Slice};
use crate::job::Job;
use crate::output::Output;
use crate::source::Source;

/// Moves the whole of `source` into `output`, laid out as `plan` says.
///
/// The same source, plan and options give the same bytes for any number of threads.
///
/// # Errors
/// The first error of any part; the output is then incomplete, and the caller drops it.
pub fn copy(
    source: Source<'_>,
    plan: Plan,
    output: &dyn Output,
    options: &CopyOptions,
    job: &Job,
) -> Result<Copied> {
    let source = source.in_best_order()?;
    if let Some(size) = source.size() {
        job.progress.expect(size);
    }
    let digests = Digests::new(&options.digests).fingerprinting(options.fingerprint);
    let (copied, digests) = copy_file(source, plan, output, digests, options.zeros, job)?;
    Ok(Copied { fingerprint: digests.fingerprint, digests: digests.finish(), ..copied })
}

/// Moves the whole of `source` into several files: each part into its output, and then the
/// descriptor into `output`. The parts' files have the names `names`.
///
/// # Errors
/// As for [`copy`]; `Misuse` when the plan is for another size.
pub fn copy_split(
    source: &Arc<dyn Disk>,
    split: Split,
    parts: &[(&str, &dyn Output)],
    output: &dyn Output,
    options: &CopyOptions,
    job: &Job,
) -> Result<Copied> {
    let planned = split.parts.iter().map(|part| part.length).sum::<u64>();
    if planned != source.size() || split.parts.len() != parts.len() {
        return Err(
            Error::misuse("a plan for another disk, or for other files").in_file(output.name())
        );
    }
    job.progress.expect(source.size());
    let mut digests = Digests::new(&options.digests).fingerprinting(options.fingerprint);
    let mut total = Copied { size: source.size(), ..Copied::default() };
    // One cursor for all parts: a new one may have to read what precedes its part.
    let mut forward = match source.order() {
        Order::Forward => Some(Forward::new(source.as_ref())?),
        Order::Any | Order::Grains => None,
    };
    let mut at = 0;
    for (part, (_, part_output)) in split.parts.into_iter().zip(parts) {
        let slice = Slice::new(Arc::clone(source), at, part.length)?;
        let piece = match &mut forward {
            Some(forward) => Source::Stream(Box::new(forward.part(part.length))),
            None => Source::Disk(&slice),
        };
        digests.base = at;
        let copied;
        (copied, digests) = copy_file(piece, part.plan, *part_output, digests, options.zeros, job)?;
        total.copied += copied.copied;
        total.zeros += copied.zeros;
        total.target_size += copied.target_size;
        at += part.length;
    }
    let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let descriptor = (split.descriptor)(&names)?;
    output.write_at(0, &descriptor)?;
    job.cancel.check()?;
    output.finish(descriptor.len() as u64, job)?;
    total.target_size += descriptor.len() as u64;
    Ok(Copied { fingerprint: digests.fingerprint, digests: digests.finish(), ..total })
}

/// Moves a source into one file; `digests` go on from what came before it.
fn copy_file(
    source: Source<'_>,
    plan: Plan,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    match plan {
        Plan::Flat(flat) => flat::copy_flat(source, flat, output, digests, zeros, job),
        Plan::Packed(packed) => packed::copy_packed(source, packed, output, digests, zeros, job),
        Plan::Enclosed(enclosed) => {
            enclose::copy_enclosed(source, enclosed, output, digests, zeros, job)
        }
        Plan::Split(_) => Err(Error::unsupported(
            "this subformat is several files; it cannot be written to a pipe or a device, nor \
             from a pipe",
        )
        .in_file(output.name())),
    }
}
