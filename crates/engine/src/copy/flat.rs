//! A flat file: the disk's bytes as they are, with something before and behind them.

use diskferry_block_stream::{Error, Flat, Result};

use super::digests::Digests;
use super::options::{Copied, Zeros};
use super::passage::{Passage, Writing};
use super::place::{InOrder, Places};
use super::room::Room;
use super::run::run;
use super::work::{FLAT_CHUNK, Pack, Shape, Work, can_splice, shareable};
use super::write::{Count, Writer, zero};
use crate::job::Job;
use crate::output::{Output, WriteOrder};
use crate::source::Source;

/// Moves a source into a file in which its bytes sit as they are.
pub(super) fn copy_flat(
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
    let room = Room::wanted(flat.preallocation, output)?;
    if let Some(size) = known {
        room.reserve(target_size(size)?)?;
    }
    let head = flat.head.len() as u64;
    output.write_at(0, &flat.head)?;
    zero(output, head, flat.base.saturating_sub(head), &job.control.cancel)?;
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
    let writer = Writer::new(output, flat.base, zeros, Count::Written);
    let writing = match output.order() {
        WriteOrder::Forward => Writing::InOrder(writer),
        WriteOrder::Any if digests.is_empty() => Writing::AsRead(writer),
        WriteOrder::Any => Writing::Placed(writer),
    };
    let in_order = InOrder { digests, places: Places::Disk };
    let done = run(source, Passage { work, in_order, writing }, job)?;
    let len = target_size(done.size)?;
    if !flat.tail.is_empty() {
        output.write_at(flat.base + done.size, &flat.tail)?;
    }
    if known.is_none() {
        room.reserve(len)?;
    }
    room.fill(len, job)?;
    job.control.cancel.check()?;
    output.finish(len, job)?;
    Ok(done.summary(len))
}
