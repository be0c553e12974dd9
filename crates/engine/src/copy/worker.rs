//! What a worker does with a ticket: reads it, finds its zeros, packs its chunks.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Form, Kind, Packer, Result};
use diskferry_codec::{Fingerprint, zeros};

use super::done::{Done, Item, crc, fingerprint, push_zeros, zero_parts};
use super::options::Zeros;
use super::work::{Pack, Shape, Work};
use crate::sequence::Buffers;
use crate::ticket::{Segment, Span, Ticket, spans};

/// One thread's sessions.
pub(super) struct Worker<'a> {
    work: &'a Work<'a>,
    run: usize,
    files: &'a [Arc<dyn Bytes>],
    cursor: Option<Box<dyn Cursor + 'a>>,
    packer: Option<Box<dyn Packer>>,
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
    fn read(
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

    fn cursor(&mut self, disk: &'a dyn Disk) -> Result<&mut (dyn Cursor + 'a)> {
        match self.cursor {
            Some(ref mut cursor) => Ok(cursor.as_mut()),
            None => Ok(self.cursor.insert(disk.cursor()?).as_mut()),
        }
    }

    /// Turns a span's chunks into items.
    fn pack(&mut self, span: &Span, done: &mut Done) -> Result<()> {
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
}
