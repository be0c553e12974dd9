//! A disk in several files: each part into its own, and then the one that names them.

use diskferry_block_stream::{Error, Order, Result, Split};

use super::digests::Digests;
use super::file::copy_file;
use super::options::{Copied, Zeros};
use crate::adapt::{Forward, Slice};
use crate::job::Job;
use crate::output::Output;
use crate::source::Source;

/// Moves a disk into the files of its `parts`, which have these names, and then their `descriptor`.
pub(super) fn copy_split(
    source: Source<'_>,
    split: Split,
    parts: Vec<(&str, &dyn Output)>,
    descriptor: &dyn Output,
    mut digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    let Source::Disk(disk) = source else {
        return Err(Error::unsupported(
            "this subformat is several files; it cannot be written from a pipe",
        )
        .in_file(descriptor.name()));
    };
    let planned = split.parts.iter().map(|part| part.length).sum::<u64>();
    if planned != disk.size() || split.parts.len() != parts.len() {
        return Err(
            Error::misuse("a plan for another disk, or for other files").in_file(descriptor.name())
        );
    }
    job.control.progress.expect(disk.size());
    let mut total = Copied { size: disk.size(), ..Copied::default() };
    // One cursor for all parts: a new one may have to read what precedes its part.
    let mut forward = match disk.order() {
        Order::Forward => Some(Forward::new(disk)?),
        Order::Any | Order::Grains => None,
    };
    let mut at = 0;
    for (part, (_, output)) in split.parts.into_iter().zip(&parts) {
        let slice = Slice::new(disk, at, part.length)?;
        let piece = match &mut forward {
            Some(forward) => Source::Stream(Box::new(forward.part(part.length))),
            None => Source::Disk(&slice),
        };
        digests.base = at;
        let copied;
        (copied, digests) = copy_file(piece, part.plan, *output, digests, zeros, job)?;
        total.copied += copied.copied;
        total.zeros += copied.zeros;
        total.target_size += copied.target_size;
        at += part.length;
    }
    let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let text = (split.descriptor)(&names)?;
    descriptor.write_at(0, &text)?;
    job.control.cancel.check()?;
    descriptor.finish(text.len() as u64, job)?;
    total.target_size += text.len() as u64;
    Ok((total, digests))
}
