//! What a worker does with a ticket: reads it, finds its zeros, packs its chunks.

use std::ops::Range;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Form, Kind, MakePacker, Packer, Result};
use diskferry_codec::Fingerprint;
use diskferry_codec::digest::Crc32Part;
use diskferry_codec::zeros;

use super::Zeros;
use super::place::Placed;
use super::write::Writer;
use crate::Job;
use crate::scout::{Segment, Source, Span, Ticket, spans};
use crate::sequence::{Buffers, Sequencer};

/// What a worker does with a ticket.
pub(super) struct Work<'a> {
    pub(super) source: Shape<'a>,
    /// Bytes in a chunk.
    pub(super) chunk: u64,
    pub(super) pack: Pack,
    pub(super) zeros: Zeros,
    /// Plain extents are left to the kernel.
    pub(super) splice: bool,
    /// Whether the output can share storage with each of the source's files.
    pub(super) share: Vec<bool>,
    /// Each ticket's CRC-32 is computed.
    pub(super) crc: bool,
    /// Each ticket's fingerprint is taken; the disk's byte that the source begins at.
    pub(super) fingerprint: Option<u64>,
}

/// What becomes of the chunks a worker has read.
pub(super) enum Pack {
    /// They are kept as they are; a flat file's zeros are found when it is written.
    Whole,
    /// Each is looked at by itself.
    Chunks {
        /// Parts of a chunk whose zeros are told apart.
        parts: u32,
        packer: Option<MakePacker>,
    },
}

/// What workers know of the source.
#[derive(Clone)]
pub(super) enum Shape<'a> {
    Disk(&'a dyn Disk),
    Stream,
}

impl<'a> Shape<'a> {
    pub(super) fn of(source: &Source<'a>) -> Self {
        match source {
            Source::Disk(disk) => Self::Disk(*disk),
            Source::Stream(_) => Self::Stream,
        }
    }
}

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

/// One thread's sessions.
pub(super) struct Worker<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) run: usize,
    pub(super) files: &'a [Arc<dyn Bytes>],
    pub(super) cursor: Option<Box<dyn Cursor + 'a>>,
    pub(super) packer: Option<Box<dyn Packer>>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(work: &'a Work<'a>, run: usize, files: &'a [Arc<dyn Bytes>]) -> Self {
        Self { work, run, files, cursor: None, packer: None }
    }

    /// Reads a ticket, finds its zeros, packs its chunks.
    pub(super) fn work(&mut self, ticket: &Ticket, mut buffers: Buffers) -> Result<Done> {
        let chunk = self.work.chunk;
        let (spliced, read) = self.divide(ticket);
        let spans = spans(&read, chunk);
        let fill = spans.last().map_or(0, |span| span.start + span.length);
        debug_assert!(fill <= self.run);
        if let Shape::Disk(disk) = self.work.source {
            self.read(disk, &read, &spans, &mut buffers.input[..fill])?;
        } else {
            // The last chunk's padding; a ticket of zeros has no bytes at all.
            let padding = ticket.length.min(fill as u64) as usize;
            buffers.input[padding..fill].fill(0);
        }
        let mut done = Done {
            at: ticket.at,
            length: ticket.length,
            items: Vec::new(),
            crc: None,
            fingerprint: Fingerprint::default(),
            buffers,
        };
        let mut at = ticket.at;
        let mut spliced = spliced.into_iter().peekable();
        let mut splice_until = |done: &mut Done, at: &mut u64, until: u64| {
            while let Some((span, segments)) = spliced.next_if(|(span, _)| span.at < until) {
                push_zeros(&mut done.items, span.at - *at);
                done.items.push(Item::Splice { length: span.length as u64, segments });
                *at = span.end();
            }
            push_zeros(&mut done.items, until.saturating_sub(*at));
            *at = until.max(*at);
        };
        for span in &spans {
            splice_until(&mut done, &mut at, span.at);
            self.pack(span, &mut done)?;
            at = span.end();
        }
        let end = ticket.at + ticket.length;
        if at < end {
            splice_until(&mut done, &mut at, end);
        }
        if self.work.crc {
            done.crc = Some(crc(&done));
        }
        if let Some(base) = self.work.fingerprint {
            done.fingerprint = fingerprint(&done, base);
        }
        Ok(done)
    }

    /// The chunks that the kernel copies, with their segments, and the segments that are read. A
    /// chunk goes one way as a whole.
    fn divide(&self, ticket: &Ticket) -> (Vec<(Span, Vec<Segment>)>, Vec<Segment>) {
        let chunk = self.work.chunk;
        let (apart, mut read): (Vec<Segment>, Vec<Segment>) =
            ticket.segments.iter().partition(|segment| self.splices(segment));
        if apart.is_empty() {
            return (Vec::new(), read);
        }
        let mut spliced = Vec::new();
        let mut reads = spans(&read, chunk).into_iter().peekable();
        for segment in apart {
            let mut at = segment.at;
            while reads.next_if(|span| span.end() <= at).is_some() {}
            while at < segment.end() {
                let next = reads.peek().filter(|span| span.at < segment.end());
                let until = next.map_or(segment.end(), |span| span.at.max(at));
                if at < until {
                    spliced.push(segment.part(at, until));
                    at = until;
                }
                if let Some(span) = next {
                    let until = span.end().min(segment.end());
                    read.push(segment.part(at, until));
                    at = until;
                    reads.next_if(|span| span.end() <= at);
                }
            }
        }
        read.sort_unstable_by_key(|segment| segment.at);
        let mut segments = spliced.iter().copied().peekable();
        let spliced = spans(&spliced, chunk).into_iter().map(|span| {
            let mut inside = Vec::new();
            while let Some(segment) = segments.next_if(|segment| segment.at < span.end()) {
                inside.push(segment);
            }
            (span, inside)
        });
        (spliced.collect(), read)
    }

    /// Whether the kernel may copy this segment: it can be shared, or it is whole chunks.
    fn splices(&self, segment: &Segment) -> bool {
        let whole = |length: u64| length.is_multiple_of(self.work.chunk);
        matches!(segment.kind, Kind::Plain { .. })
            && (segment.shared || self.work.splice && whole(segment.at) && whole(segment.length))
    }

    /// Fills the spans: the segments' bytes, and zeros around them.
    pub(super) fn read(
        &mut self,
        disk: &'a dyn Disk,
        segments: &[Segment],
        spans: &[Span],
        buf: &mut [u8],
    ) -> Result<()> {
        let mut segments = segments.iter().peekable();
        for span in spans {
            let bytes = &mut buf[span.start..][..span.length];
            let mut at = span.at;
            while let Some(segment) = segments.next_if(|segment| segment.at < span.end()) {
                let (gap, rest) =
                    bytes[(at - span.at) as usize..].split_at_mut((segment.at - at) as usize);
                gap.fill(0);
                let part = &mut rest[..segment.length as usize];
                match segment.kind {
                    Kind::Plain { file, offset } => {
                        self.files[file as usize].read_at(offset, part)?;
                    }
                    _ => self.cursor(disk)?.read(segment.at, part)?,
                }
                at = segment.end();
            }
            bytes[(at - span.at) as usize..].fill(0);
        }
        Ok(())
    }

    pub(super) fn cursor(&mut self, disk: &'a dyn Disk) -> Result<&mut (dyn Cursor + 'a)> {
        match self.cursor {
            Some(ref mut cursor) => Ok(cursor.as_mut()),
            None => Ok(self.cursor.insert(disk.cursor()?).as_mut()),
        }
    }

    /// Turns a span's chunks into items.
    pub(super) fn pack(&mut self, span: &Span, done: &mut Done) -> Result<()> {
        let (parts, make) = match &self.work.pack {
            Pack::Whole => {
                let Span { start, length, .. } = *span;
                done.items.push(Item::Stored { start, length, zero_parts: 0 });
                return Ok(());
            }
            Pack::Chunks { parts, packer } => (*parts, packer),
        };
        let chunk = self.work.chunk as usize;
        if self.packer.is_none()
            && let Some(make) = make
        {
            self.packer = Some(make()?);
        }
        for start in (span.start..span.start + span.length).step_by(chunk) {
            let bytes = &done.buffers.input[start..][..chunk];
            if self.work.zeros != Zeros::Trust && zeros::is_zero(bytes) {
                push_zeros(&mut done.items, chunk as u64);
                continue;
            }
            let from = done.buffers.packed.len();
            let form = match &mut self.packer {
                Some(packer) => {
                    let at = span.at + (start - span.start) as u64;
                    packer.pack(at, bytes, &mut done.buffers.packed)?
                }
                None => Form::Stored,
            };
            match form {
                Form::Packed => {
                    let packed = from..done.buffers.packed.len();
                    let note = self.packer.as_ref().map_or(0, |packer| packer.note());
                    done.items.push(Item::Packed { packed, note, start, length: chunk });
                }
                Form::Stored => {
                    let zero_parts = zero_parts(bytes, parts);
                    done.items.push(Item::Stored { start, length: chunk, zero_parts });
                }
            }
        }
        Ok(())
    }

    /// Writes what is placed, and gives the permit back.
    pub(super) fn write(
        &self,
        writer: Option<&Writer<'_>>,
        placed: Placed,
        job: &Job,
        sequencer: &Sequencer<Done, Placed>,
    ) -> Result<()> {
        if let Some(writer) = writer {
            for write in &placed.writes {
                writer.write(write, &placed.buffers, self.files, &job.cancel)?;
            }
        }
        job.progress.pass(placed.left);
        sequencer.written(placed.buffers);
        Ok(())
    }
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

pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    Zeros(u64),
}

/// The fingerprint of a ticket's content, where the source begins at `base` of the disk.
fn fingerprint(done: &Done, base: u64) -> Fingerprint {
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
