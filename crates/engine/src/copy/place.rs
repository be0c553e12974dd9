//! What happens in the order of the disk: digests, and the place of each chunk.

use std::ops::Range;

use diskferry_block_stream::{Cancel, Chunk, Form, Kind, Layout, Result};

use super::digests::Digests;
use super::worker::{Done, Item};
use super::write::{OutputSink, Writer};
use crate::Job;
use crate::scout::Segment;
use crate::sequence::Buffers;

/// What happens to results in the disk's order.
pub(super) struct Order {
    pub(super) digests: Digests,
    pub(super) place: Place,
}

/// Where results go.
pub(super) enum Place {
    /// Nothing is written.
    Nowhere,
    /// At the disk's own offsets, after `base` bytes.
    Flat { base: u64 },
    /// Where the layout says.
    Layout { layout: Box<dyn Layout>, chunk: u64 },
}

impl Order {
    pub(super) fn place(
        &mut self,
        done: Done,
        writer: Option<&Writer<'_>>,
        job: &Job,
    ) -> Result<Placed> {
        let told = self.digests.feed(&done, job)?;
        let mut placed = match (&mut self.place, writer) {
            (Place::Layout { layout, chunk }, Some(writer)) => {
                place_chunks(done, layout.as_mut(), *chunk, writer, &job.cancel)?
            }
            (Place::Flat { base }, _) => place_flat(done, *base)?,
            _ => Placed { left: done.length, writes: Vec::new(), buffers: done.buffers },
        };
        placed.left -= told;
        Ok(placed)
    }
}

/// A flat file's places.
pub(super) fn place_flat(done: Done, base: u64) -> Result<Placed> {
    let end = base + done.at + done.length;
    let mut at = base + done.at;
    let mut writes = Vec::with_capacity(done.items.len());
    for item in &done.items {
        let left = end - at;
        let length = match *item {
            Item::Zeros(length) => {
                writes.push(Write::Zeros { at, length: length.min(left) });
                length
            }
            Item::Stored { start, length, .. } => {
                let length = left.min(length as u64);
                writes.push(Write::Input { at, range: start..start + length as usize });
                length
            }
            Item::Splice { length, ref segments } => {
                splice(segments, (at - base, left.min(length)), at, |write| {
                    writes.push(write);
                    Ok(())
                })?;
                length
            }
            Item::Packed { .. } => unreachable!("a flat file packs nothing"),
        };
        at += length;
    }
    Ok(Placed { left: done.length, writes, buffers: done.buffers })
}

/// The writes of a spliced part of the disk, (its first byte, its length), that goes to `to`: its
/// segments, and zeros around them.
fn splice(
    segments: &[Segment],
    (mut at, length): (u64, u64),
    mut to: u64,
    mut push: impl FnMut(Write) -> Result<()>,
) -> Result<()> {
    let end = at + length;
    let first = segments.partition_point(|segment| segment.end() <= at);
    for segment in segments[first..].iter().take_while(|segment| segment.at < end) {
        let part = segment.part(segment.at.max(at), segment.end().min(end));
        if at < part.at {
            push(Write::Zeros { at: to, length: part.at - at })?;
            to += part.at - at;
        }
        if let Kind::Plain { file, offset } = part.kind {
            push(Write::Splice { at: to, file, offset, length: part.length })?;
        }
        to += part.length;
        at = part.end();
    }
    if at < end {
        push(Write::Zeros { at: to, length: end - at })?;
    }
    Ok(())
}

/// Asks the layout for each chunk's place; neighbours that stay neighbours become one write.
pub(super) fn place_chunks(
    done: Done,
    layout: &mut dyn Layout,
    chunk: u64,
    writer: &Writer<'_>,
    cancel: &Cancel,
) -> Result<Placed> {
    let mut sink = OutputSink { output: writer.output, cancel };
    let mut writes: Vec<Write> = Vec::with_capacity(done.items.len());
    let mut left = done.length;
    let mut disk_at = done.at;
    let mut push = |write: Write| -> Result<()> {
        // What the layout puts next must come after these bytes.
        if writer.output.forward_only() {
            return writer.write(&write, &done.buffers, &[], cancel);
        }
        if !writes.last_mut().is_some_and(|last| last.join(&write)) {
            writes.push(write);
        }
        Ok(())
    };
    for item in &done.items {
        let item_at = disk_at;
        disk_at += item.length();
        match *item {
            Item::Zeros(length) => {
                layout.zeros(length.div_ceil(chunk), &mut sink)?;
                left = left.saturating_sub(length);
            }
            Item::Stored { start, length, zero_parts } => {
                debug_assert_eq!(length as u64, chunk);
                let at = layout.chunk(stored(length, zero_parts), &mut sink)?;
                push(Write::Input { at, range: start..start + length })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Packed { ref packed, note, .. } => {
                let range = packed.clone();
                let form = Form::Packed;
                let packed = Chunk { form, length: range.len(), zero_parts: 0, note };
                let at = layout.chunk(packed, &mut sink)?;
                push(Write::Packed { at, range })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Splice { length, ref segments } => {
                for step in (0..length).step_by(chunk as usize) {
                    let at = layout.chunk(stored(chunk as usize, 0), &mut sink)?;
                    splice(segments, (item_at + step, chunk), at, &mut push)?;
                    writer.count(chunk.min(left));
                    left = left.saturating_sub(chunk);
                }
            }
        }
    }
    Ok(Placed { left: done.length, writes, buffers: done.buffers })
}

fn stored(length: usize, zero_parts: u64) -> Chunk {
    Chunk { form: Form::Stored, length, zero_parts, note: 0 }
}

/// A ticket with places, to be written.
pub(super) struct Placed {
    /// Bytes of the disk that the progress has not been told of.
    pub(super) left: u64,
    pub(super) writes: Vec<Write>,
    pub(super) buffers: Buffers,
}

/// Bytes and their place in the file.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Input { at: u64, range: Range<usize> },
    Packed { at: u64, range: Range<usize> },
    Splice { at: u64, file: u32, offset: u64, length: u64 },
    Zeros { at: u64, length: u64 },
}

impl Write {
    /// Takes the next write in, where both its bytes and its place follow this one's.
    pub(super) fn join(&mut self, next: &Write) -> bool {
        match (self, next) {
            (Self::Input { at, range }, Self::Input { at: next_at, range: next })
            | (Self::Packed { at, range }, Self::Packed { at: next_at, range: next })
                if range.end == next.start && *at + range.len() as u64 == *next_at =>
            {
                range.end = next.end;
                true
            }
            (
                Self::Splice { at, file, offset, length },
                Self::Splice { at: next_at, file: next_file, offset: next_offset, length: next },
            ) if file == next_file
                && *at + *length == *next_at
                && *offset + *length == *next_offset =>
            {
                *length += next;
                true
            }
            _ => false,
        }
    }
}
