//! Reads a disk for its digests alone.

use diskferry_block_stream::Result;
use diskferry_codec::Fingerprint;
use diskferry_codec::digest::Algorithm;

use super::digests::Digests;
use super::options::Zeros;
use super::passage::{Passage, Writing};
use super::place::{InOrder, Places};
use super::run::run;
use super::work::{FLAT_CHUNK, Pack, Shape, Work};
use crate::job::Job;
use crate::source::Source;

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
        job.control.progress.expect(size);
    }
    let work = Work {
        source: Shape::of(&source),
        chunk: FLAT_CHUNK,
        pack: Pack::Whole,
        zeros: Zeros::Trust,
        splice: false,
        share: Vec::new(),
        crc: digests.has_crc(),
        fingerprint: digests.fingerprint_base(),
    };
    let in_order = InOrder { digests, places: Places::Disk };
    let done = run(source, Passage { work, in_order, writing: Writing::Nowhere }, job)?;
    Ok((done.size, done.in_order.digests))
}
