//! What a worker made of a ticket: items that tile it, and the sums of its content.

use std::ops::Range;

use diskferry_block_stream::Result;
use diskferry_codec::digest::Crc32Part;
use diskferry_codec::{Fingerprint, zeros};

use crate::sequence::Buffers;
use crate::ticket::Segment;

/// A ticket's outcome.
pub(super) struct Done {
    pub(super) at: u64,
    pub(super) length: u64,
    /// What the ticket holds, tiling it in chunks; the last item may end past the disk.
    pub(super) items: Vec<Item>,
    pub(super) crc: Option<Crc32Part>,
    pub(super) fingerprint: Fingerprint,
    pub(super) buffers: Buffers,
}

/// A part of a ticket: whole chunks.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// Zeros: so many bytes.
    Zeros(u64),
    /// Chunks kept as they are, at this place of the input buffer, with their zero parts.
    Stored { start: usize, length: usize, zero_parts: u64 },
    /// One chunk, packed, at this place of the packed buffer; and its bytes in the input buffer.
    /// The packer's note goes to the layout.
    Packed { packed: Range<usize>, note: u64, start: usize, length: usize },
    /// Chunks of so many bytes, whose data, these segments, the kernel copies from the source's files.
    Splice { length: u64, segments: Vec<Segment> },
}

impl Item {
    /// Bytes of the disk, up to whole chunks.
    pub(super) fn length(&self) -> u64 {
        match *self {
            Self::Zeros(length) | Self::Splice { length, .. } => length,
            Self::Stored { length, .. } | Self::Packed { length, .. } => length as u64,
        }
    }
}

impl Done {
    /// The ticket's content in order, as bytes or as a length of zeros, without the padding of a
    /// last chunk.
    pub(super) fn for_each_piece(
        &self,
        mut see: impl FnMut(Content<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut left = self.length;
        for item in &self.items {
            let start = match item {
                Item::Zeros(_) => None,
                Item::Stored { start, .. } | Item::Packed { start, .. } => Some(*start),
                Item::Splice { .. } => unreachable!("nothing is spliced while bytes are looked at"),
            };
            let length = item.length().min(left);
            left -= length;
            see(match start {
                Some(start) => Content::Bytes(&self.buffers.input[start..][..length as usize]),
                None => Content::Zeros(length),
            })?;
        }
        Ok(())
    }
}

/// A piece of a ticket's content.
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    Zeros(u64),
}

pub(super) fn push_zeros(items: &mut Vec<Item>, length: u64) {
    match items.last_mut() {
        Some(Item::Zeros(zeros)) => *zeros += length,
        _ if length > 0 => items.push(Item::Zeros(length)),
        _ => {}
    }
}

/// Which of `parts` equal parts are all zeros, the first in bit 0.
pub(super) fn zero_parts(bytes: &[u8], parts: u32) -> u64 {
    if parts <= 1 {
        return 0;
    }
    bytes
        .chunks_exact(bytes.len() / parts as usize)
        .enumerate()
        .filter(|(_, part)| zeros::is_zero(part))
        .fold(0, |map, (n, _)| map | 1 << n)
}

/// The fingerprint of a ticket's content, where the source begins at `base` of the disk.
pub(super) fn fingerprint(done: &Done, base: u64) -> Fingerprint {
    let (mut sum, mut at) = (Fingerprint::default(), base + done.at);
    done.for_each_piece(|content| {
        at += match content {
            Content::Bytes(bytes) => {
                sum = sum.plus(Fingerprint::of(at, bytes));
                bytes.len() as u64
            }
            Content::Zeros(length) => length,
        };
        Ok(())
    })
    .expect("the closure never fails");
    sum
}

/// The CRC-32 of a ticket's content.
pub(super) fn crc(done: &Done) -> Crc32Part {
    let mut crc = Crc32Part::default();
    done.for_each_piece(|content| {
        crc = match content {
            Content::Bytes(bytes) => crc.extend(bytes),
            Content::Zeros(length) => crc.combine(Crc32Part::zeros(length)),
        };
        Ok(())
    })
    .expect("the closure never fails");
    crc
}
