//! The copy: read, find zeros, pack, place, write.

mod digests;
mod enclose;
mod place;
mod run;
mod worker;
mod write;

use std::sync::Arc;

use diskferry_block_stream::{
    Disk, Error, Flat, Order as ReadOrder, Packed, Plan, Preallocation, Result, Split,
};
use diskferry_codec::Fingerprint;
use diskferry_codec::digest::Algorithm;

use self::digests::Digests;
use self::place::{Order, Place};
use self::run::run;
use self::worker::{Pack, Shape, Work};
use self::write::{Count, OutputSink, Writer, zero};
use crate::adapt::{Forward, Slice};
use crate::scout::Source;
use crate::{Job, Output};

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// What to do with bytes that are there and are zeros.
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute on the way.
    pub digests: Vec<Algorithm>,
    /// Whether to take the disk's fingerprint on the way.
    pub fingerprint: bool,
}

/// What to do with bytes of the source that are there and are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// Look for them, and store nothing for them where the target allows.
    #[default]
    Scan,
    /// Trust the source's map. Whole extents are then copied inside the kernel; where the output can
    /// share storage with the source's files, nothing is copied at all.
    Trust,
}

/// What a copy did.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Virtual size of the disk, in bytes.
    pub size: u64,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// Length of the target, in bytes.
    pub target_size: u64,
    /// The digests asked for, in that order, in hexadecimal.
    pub digests: Vec<(Algorithm, String)>,
    /// What the disk holds, where that was asked for.
    pub fingerprint: Option<Fingerprint>,
}

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
        ReadOrder::Forward => Some(Forward::new(source.as_ref())?),
        ReadOrder::Any | ReadOrder::Grains => None,
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
        Plan::Flat(flat) => copy_flat(source, flat, output, digests, zeros, job),
        Plan::Packed(packed) => copy_packed(source, packed, output, digests, zeros, job),
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

/// The digests of a disk's content, in the order of `algorithms`, in hexadecimal; and its size.
///
/// # Errors
/// The first error of reading it, or `Cancelled`.
pub fn digest(
    source: Source<'_>,
    algorithms: &[Algorithm],
    job: &Job,
) -> Result<(u64, Vec<(Algorithm, String)>)> {
    let (size, digests) = read(source, Digests::new(algorithms), job)?;
    Ok((size, digests.finish()))
}

/// What a disk holds; and its size.
///
/// # Errors
/// As for [`digest`].
pub fn fingerprint(source: Source<'_>, job: &Job) -> Result<(u64, Fingerprint)> {
    let (size, digests) = read(source, Digests::new(&[]).fingerprinting(true), job)?;
    Ok((size, digests.fingerprint.unwrap_or_default()))
}

/// Reads all of a disk for its digests; answers its size, too.
fn read(source: Source<'_>, digests: Digests, job: &Job) -> Result<(u64, Digests)> {
    let source = source.in_best_order()?;
    if let Some(size) = source.size() {
        job.progress.expect(size);
    }
    let order = Order { digests, place: Place::Nowhere };
    let work = Work {
        source: Shape::of(&source),
        chunk: FLAT_CHUNK,
        pack: Pack::Whole,
        zeros: Zeros::Trust,
        splice: false,
        share: Vec::new(),
        crc: order.digests.has_crc(),
        fingerprint: order.digests.fingerprint_base(),
    };
    let done = run(source, &work, None, Some(order), job)?;
    let digests = done.order.map_or_else(|| Digests::new(&[]), |order| order.digests);
    Ok((done.size, digests))
}

fn copy_flat(
    source: Source<'_>,
    flat: Flat,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    let known = source.size();
    let target_size = |size: u64| {
        flat.base
            .checked_add(size)
            .and_then(|end| end.checked_add(flat.tail.len() as u64))
            .ok_or_else(|| Error::limit("a file of more than 2^64 bytes").in_file(output.name()))
    };
    if let Some(size) = known {
        let len = target_size(size)?;
        if flat.preallocation == Preallocation::Falloc {
            output.allocate(len)?;
        }
    }
    let head = flat.head.len() as u64;
    output.write_at(0, &flat.head)?;
    zero(output, head, flat.base.saturating_sub(head), &job.cancel)?;
    let splice = can_splice(&digests, zeros, output);
    let work = Work {
        source: Shape::of(&source),
        chunk: FLAT_CHUNK,
        pack: Pack::Whole,
        zeros,
        splice,
        share: shareable(&source, splice && flat.base.is_multiple_of(FLAT_CHUNK), output),
        crc: digests.has_crc(),
        fingerprint: digests.fingerprint_base(),
    };
    let ordered = output.forward_only() || !digests.is_empty();
    let order = ordered.then(|| Order { digests, place: Place::Flat { base: flat.base } });
    let writer = Writer::new(output, flat.base, work.zeros, Count::Written);
    let done = run(source, &work, Some(&writer), order, job)?;
    let len = target_size(done.size)?;
    if !flat.tail.is_empty() {
        output.write_at(flat.base + done.size, &flat.tail)?;
    }
    match flat.preallocation {
        Preallocation::Off => {}
        Preallocation::Falloc if known.is_some() => {}
        Preallocation::Falloc => output.allocate(len)?,
        Preallocation::Full => output.fill(len, job)?,
    }
    job.cancel.check()?;
    output.finish(len, job)?;
    Ok(writer.summary(done, len))
}

fn copy_packed(
    source: Source<'_>,
    packed: Packed,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    if output.forward_only() && !packed.streamable {
        return Err(Error::unsupported(
            "this format cannot be written to a pipe: its tables precede \
             or point back to the data; write it to a file",
        )
        .in_file(output.name()));
    }
    let Packed { chunk, parts, streamable: _, preallocation, packer, layout } = packed;
    let splice = packer.is_none() && can_splice(&digests, zeros, output);
    let work = Work {
        source: Shape::of(&source),
        chunk: chunk as u64,
        zeros,
        splice,
        share: shareable(&source, splice, output),
        pack: Pack::Chunks { parts, packer },
        crc: digests.has_crc(),
        fingerprint: digests.fingerprint_base(),
    };
    let order = Order { digests, place: Place::Layout { layout, chunk: chunk as u64 } };
    let writer = Writer::new(output, 0, work.zeros, Count::Placed);
    let mut done = run(source, &work, Some(&writer), Some(order), job)?;
    let mut len = 0;
    if let Some(Order { place: Place::Layout { layout, .. }, .. }) = &mut done.order {
        len = layout.finish(done.size, &mut OutputSink { output, cancel: &job.cancel })?;
    }
    match preallocation {
        Preallocation::Off => {}
        Preallocation::Falloc => output.allocate(len)?,
        Preallocation::Full => output.fill(len, job)?,
    }
    job.cancel.check()?;
    output.finish(len, job)?;
    Ok(writer.summary(done, len))
}

/// Copies inside the kernel need bytes that nobody has to look at.
fn can_splice(digests: &Digests, zeros: Zeros, output: &dyn Output) -> bool {
    zeros == Zeros::Trust && digests.is_empty() && !output.forward_only()
}

/// Whether the output can share storage with each of the source's files; those are asked only where
/// the kernel may copy, to whole blocks.
fn shareable(source: &Source<'_>, may: bool, output: &dyn Output) -> Vec<bool> {
    source.files().iter().map(|file| may && output.shares(file.as_ref())).collect()
}

/// Chunks of a flat file: the file system's usual block.
const FLAT_CHUNK: u64 = 4096;
