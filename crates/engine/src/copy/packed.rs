//! A file of chunks, each packed by itself, that a layout places.

use diskferry_block_stream::{Packed, Result};

use super::digests::Digests;
use super::options::{Copied, Zeros};
use super::passage::{Passage, Writing};
use super::place::{InOrder, Places};
use super::room::Room;
use super::run::run;
use super::work::{Pack, Shape, Work, can_splice, shareable};
use super::write::{Count, OutputSink, Writer};
use crate::job::Job;
use crate::output::{Output, WriteOrder};
use crate::source::Source;

/// Moves a source into a file by its chunks, where a layout has them.
pub(super) fn copy_packed(
    source: Source<'_>,
    packed: Packed,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    let Packed { chunk, parts, preallocation, packer, layout } = packed;
    let room = Room::wanted(preallocation, output)?;
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
    let writer = Writer::new(output, 0, zeros, Count::Placed);
    let writing = match output.order() {
        WriteOrder::Forward => Writing::InOrder(writer),
        WriteOrder::Any => Writing::Placed(writer),
    };
    let in_order = InOrder { digests, places: Places::Layout { layout, chunk: chunk as u64 } };
    let mut done = run(source, Passage { work, in_order, writing }, job)?;
    let mut len = 0;
    if let Places::Layout { layout, .. } = &mut done.in_order.places {
        len = layout.finish(done.size, &mut OutputSink { output, cancel: &job.control.cancel })?;
    }
    room.reserve(len)?;
    room.fill(len, job)?;
    job.control.cancel.check()?;
    output.finish(len, job)?;
    Ok(done.summary(len))
}
