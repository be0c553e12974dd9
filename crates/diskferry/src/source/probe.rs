//! What bytes that can be read anywhere are, by those in front and at the end.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Note, NoteKind, Result};
use diskferry_codec::zeros;
use diskferry_wrap::Wrapping;

use crate::format::{FixedDisk, Format, Sample};
use crate::source::unlike::{OnDisk, Suspect};

/// The format whose signature the bytes bear.
pub(crate) fn probe(bytes: &dyn Bytes) -> Result<Option<Format>> {
    let first = head(bytes, Sample::HEAD)?;
    let last = tail(bytes, Sample::TAIL)?;
    let probed = Format::probe(&Sample { head: &first, tail: &last });
    if probed.is_some() || !zeros::is_zero(&last[last.len().saturating_sub(PADDING)..]) {
        return Ok(probed);
    }
    let is_padded = FixedDisk::is_padded(&tail(bytes, FixedDisk::TAIL)?, bytes.len());
    Ok(is_padded.then_some(Format::VHD))
}

/// The raw format, for bytes that bear no signature of another and that nothing speaks against.
pub(crate) fn assume_raw(name: &str, bytes: &Arc<dyn Bytes>) -> Result<Format> {
    let (first, last) = (head(bytes.as_ref(), Sample::HEAD)?, tail(bytes.as_ref(), Sample::TAIL)?);
    let suspect = Suspect { name, head: &first, tail: Some(&last), size: Some(bytes.len()) };
    suspect.judge(|| OnDisk::look(Arc::clone(bytes))).map(|()| Format::RAW)
}

/// The last bytes, at most `most` of them.
pub(crate) fn tail(bytes: &dyn Bytes, most: usize) -> Result<Vec<u8>> {
    let mut tail = vec![0; usize::try_from(bytes.len()).map_or(most, |len| len.min(most))];
    bytes.read_at(bytes.len() - tail.len() as u64, &mut tail)?;
    Ok(tail)
}

/// A fixed VHD that was filled up with zeros ends with so many at least: a footer's own are more.
const PADDING: usize = 256;

/// The first bytes, at most `most` of them.
pub(crate) fn head(bytes: &dyn Bytes, most: usize) -> Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(bytes.len()).map_or(most, |len| len.min(most))];
    bytes.read_at(0, &mut head)?;
    Ok(head)
}

/// Says of a file that is taken as it is that it looks like something else.
pub(crate) fn looks_wrapped(bytes: &dyn Bytes) -> Result<Option<Note>> {
    let wrapping = Wrapping::of(&head(bytes, Wrapping::HEAD)?);
    Ok(wrapping.map(|wrapping| {
        let what = wrapping.name();
        let text = format!("taken for a raw disk as it is, though it looks like a {what} file");
        Note::of(NoteKind::Wrapped, bytes.name(), text)
    }))
}
