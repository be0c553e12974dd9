//! Tickets: runs of the disk that one worker handles at a time, and what of them it has to read.

use diskferry_block_stream::Kind;

/// A run of the disk for one worker.
pub(crate) struct Ticket {
    /// Position in the order of tickets.
    pub index: u64,
    /// First byte: the start of a chunk.
    pub at: u64,
    /// Bytes: whole chunks, but for the last ticket.
    pub length: u64,
    /// The parts that are not known to be zeros, in order.
    pub segments: Vec<Segment>,
}

/// A part of a ticket that must be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub at: u64,
    pub length: u64,
    pub kind: Kind,
    /// The output can refer to these bytes, rather than have them again.
    pub shared: bool,
}

impl Segment {
    pub fn end(&self) -> u64 {
        self.at + self.length
    }

    /// The part of it from `from` to `to`.
    pub fn part(&self, from: u64, to: u64) -> Self {
        let kind = match self.kind {
            Kind::Plain { file, offset } => Kind::Plain { file, offset: offset + (from - self.at) },
            other => other,
        };
        Self { at: from, length: to - from, kind, shared: self.shared }
    }
}

/// Consecutive chunks of a ticket that hold at least one segment's bytes, and their place in the
/// worker's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub at: u64,
    pub length: usize,
    pub start: usize,
}

impl Span {
    pub fn end(&self) -> u64 {
        self.at + self.length as u64
    }
}

/// The chunks that `segments` touch, merged where they meet.
pub(crate) fn spans(segments: &[Segment], chunk: u64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for segment in segments {
        let (from, to) = (floor(segment.at, chunk), ceil(segment.end(), chunk));
        match spans.last_mut() {
            Some(last) if from <= last.end() => {
                last.length = (to.max(last.end()) - last.at) as usize;
            }
            last => {
                let start = last.map_or(0, |last| last.start + last.length);
                spans.push(Span { at: from, length: (to - from) as usize, start });
            }
        }
    }
    spans
}

/// The start of the chunk that `at` is in.
pub(crate) fn floor(at: u64, chunk: u64) -> u64 {
    at - at % chunk
}

/// The end of the chunk that ends at `at` or holds it. Past the end of the 64-bit range there is no next chunk; no disk is that large.
pub(crate) fn ceil(at: u64, chunk: u64) -> u64 {
    floor(at.saturating_add(chunk - 1), chunk)
}
