//! Makes a GPT fit: its backup at the disk's new end, its numbers in other sectors; also on a disk that comes in
//! order.
//!
//! ```text
//! | MBR, header, entries | partitions …                  | backup, and the rest |
//!   changed as they pass   as they come                   held to the end, then changed
//! ```
//!
//! The first copy of the table stands in what was [kept](Kept) of the disk's beginning. It tells
//! where the places for partitions end; what follows is held until the stream has ended, since only
//! then is it known where the old backup was. So the result is the same as of a disk that can be
//! read anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Cancel, Note, Piece, Result, Stream};
use diskferry_engine::Job;
use diskferry_inspect::{GptState, Inspection, Patch};

use crate::convert::gpt::{Fit, look_for_gpt};
use crate::convert::resized::Resized;
use crate::source::forward::lookahead::{Glimpse, Kept, Most, length};

/// A stream with its GPT made to fit the size that it was given.
pub(crate) struct MovingGpt {
    inner: Resized,
    /// Bytes of the disk that came, without what was added.
    arrived: Arc<AtomicU64>,
    head: Arc<Kept>,
    /// Where the held rest begins.
    from: u64,
    /// The held rest.
    tail: Option<Kept>,
    /// Bytes that were handed out.
    at: u64,
    /// Zeros that come next.
    zeros: u64,
    patches: Vec<Patch>,
    fit: Fit,
    cancel: Cancel,
}

impl MovingGpt {
    /// A disk that begins as `head` does, where `found` was found, to be made `size` bytes long as
    /// `inner` is.
    ///
    /// # Errors
    /// `Unsupported` where the first copy of the table is no good, or the table does not fit.
    pub fn new(
        inner: Resized,
        head: Arc<Kept>,
        found: &Inspection,
        (fit, size): (Fit, u64),
        job: &Job,
    ) -> Result<Self> {
        let gpt = found.used_gpt().filter(|gpt| gpt.primary.state == GptState::Valid);
        let Some(gpt) = gpt else {
            return Err(fit.cannot(
                "its first copy is not sound, and the other comes last; give a file that is not \
                 compressed",
            ));
        };
        let patches = fit.patches(found, size)?;
        // The new backup may begin before the old one.
        let backup = patches.iter().map(|patch| patch.offset).find(|at| *at >= gpt.usable_start);
        let from = backup.map_or(gpt.usable_end, |at| at.min(gpt.usable_end)).min(size);
        let passing = patches.into_iter().filter(|patch| end(patch) <= from).collect();
        Ok(Self {
            arrived: inner.arrived(),
            inner,
            head,
            from,
            tail: None,
            at: 0,
            zeros: 0,
            patches: passing,
            fit,
            cancel: job.control.cancel.clone(),
        })
    }

    /// The next piece as it was.
    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        if self.tail.is_none() && self.at == self.from {
            self.hold().map_err(|error| error.in_file(self.inner.name()))?;
        }
        if let Some(tail) = &self.tail {
            return Ok(tail.next(self.at, buf).unwrap_or(Piece::End));
        }
        let left = self.from - self.at;
        if self.zeros > 0 {
            let count = self.zeros.min(left);
            self.zeros -= count;
            return Ok(Piece::Zero(count));
        }
        let room = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        Ok(match self.inner.next(&mut buf[..room])? {
            Piece::Zero(count) if count > left => {
                self.zeros = count - left;
                Piece::Zero(left)
            }
            piece => piece,
        })
    }

    /// Reads the rest, and finds what is to be changed in it.
    fn hold(&mut self) -> Result<()> {
        let (zeros, fit) = (std::mem::take(&mut self.zeros), self.fit);
        let tail = Kept::read(&mut self.inner, self.from, zeros, Most::TAIL, &self.cancel)?;
        if !tail.is_last() {
            return Err(fit.cannot(
                "too much stands between the place for partitions and the disk's end to be held; \
                 give a file that is not compressed",
            ));
        }
        let size = self.arrived.load(Ordering::Relaxed);
        let disk = Glimpse { size, known: vec![&self.head, &tail] };
        let found = look_for_gpt(&disk, &self.cancel)?;
        let found =
            found.ok_or_else(|| fit.cannot("the disk ends before its place for partitions"))?;
        let patches = fit.patches(&found, tail.end())?;
        let (passed, left): (Vec<_>, Vec<_>) =
            patches.into_iter().partition(|patch| patch.offset < self.from);
        if passed != self.patches {
            return Err(fit.cannot(
                "its old backup stands where partitions may be; give a file that is not compressed",
            ));
        }
        (self.patches, self.tail) = (left, Some(tail));
        Ok(())
    }

    /// Puts the changes into a piece that begins where we are.
    fn patch(&mut self, piece: Piece, buf: &mut [u8]) -> Piece {
        let at = self.at;
        // They do not overlap, and are in order.
        let mut patches = self.patches.iter().skip_while(|patch| end(patch) <= at);
        match piece {
            Piece::End => Piece::End,
            Piece::Data(count) => {
                let until = at + count as u64;
                for patch in patches.take_while(|patch| patch.offset < until) {
                    let (from, to) = (patch.offset.max(at), end(patch).min(until));
                    let bytes =
                        &patch.bytes[(from - patch.offset) as usize..(to - patch.offset) as usize];
                    buf[(from - at) as usize..(to - at) as usize].copy_from_slice(bytes);
                }
                piece
            }
            Piece::Zero(count) => match patches.next() {
                Some(patch) if patch.offset <= at => {
                    let bytes = &patch.bytes[(at - patch.offset) as usize..];
                    let length = (bytes.len() as u64).min(count).min(buf.len() as u64) as usize;
                    buf[..length].copy_from_slice(&bytes[..length]);
                    self.put_back(count - length as u64);
                    Piece::Data(length)
                }
                Some(patch) if patch.offset < at + count => {
                    let length = patch.offset - at;
                    self.put_back(count - length);
                    Piece::Zero(length)
                }
                _ => piece,
            },
        }
    }

    /// Zeros that were not handed out after all. What is held is asked by its place.
    fn put_back(&mut self, zeros: u64) {
        if self.tail.is_none() {
            self.zeros += zeros;
        }
    }
}

impl Stream for MovingGpt {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn original_size(&self) -> Option<u64> {
        self.inner.original_size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let piece = self.piece(buf)?;
        let piece = self.patch(piece, buf);
        self.at += length(piece);
        Ok(piece)
    }

    fn warnings(&self) -> Vec<Note> {
        self.inner.warnings()
    }
}

fn end(patch: &Patch) -> u64 {
    patch.offset + patch.bytes.len() as u64
}
