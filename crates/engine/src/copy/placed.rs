//! A ticket's bytes with their places in the output, to be written by anyone.

use std::ops::Range;

use diskferry_block_stream::{Kind, Result};

use super::done::{Done, Item};
use crate::sequence::Buffers;
use crate::ticket::Segment;

/// A ticket with places, to be written.
pub(super) struct Placed {
    /// Bytes of the disk that the progress has not been told of.
    pub(super) left: u64,
    pub(super) writes: Vec<Write>,
    pub(super) buffers: Buffers,
}

impl Placed {
    /// The places of a flat file, in which the disk begins at `base`.
    pub(super) fn flat(done: Done, base: u64) -> Result<Self> {
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
        Ok(Self { left: done.length, writes, buffers: done.buffers })
    }
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

/// The writes of a spliced part of the disk, (its first byte, its length), that goes to `to`: its
/// segments, and zeros around them.
pub(super) fn splice(
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
