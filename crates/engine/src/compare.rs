//! Whether two disks have the same content.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Kind, Order, Result};

use crate::adapt::{Pad, Remembering};
use crate::job::Job;
use crate::scout::Scout;
use crate::sequence::{Buffers, Sequencer, Step};
use crate::source::{Source, batch};
use crate::ticket::{Segment, Ticket};

/// How two disks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The byte at this offset is not the same.
    Content(u64),
    /// The sizes are not the same, in bytes; what both have is.
    Size(u64, u64),
}

/// Compares two disks; where one is longer, its rest is compared with zeros.
///
/// Returns the first difference: of content, else of size.
///
/// # Errors
/// The first error of reading them, or `Cancelled`.
pub fn compare(a: &Arc<dyn Disk>, b: &Arc<dyn Disk>, job: &Job) -> Result<Option<Difference>> {
    let size = a.size().max(b.size());
    let both = Both { a: Pad::new(Arc::clone(a), size)?, b: Pad::new(Arc::clone(b), size)? };
    let run = RUN.max(batch(a.as_ref())).max(batch(b.as_ref())).next_multiple_of(GRAIN);
    let permits = (job.memory / (2 * run)).clamp(1, job.threads() as u64);
    let sequencer = Sequencer::<(), ()>::new(permits as usize);
    job.control.progress.expect(size);
    let turn = Mutex::new(Turn {
        scout: Scout::new(Source::Disk(&both), GRAIN, run, &job.control.cancel)?,
        a: cursor_if(both.a.order() == Order::Forward, &both.a)?,
        b: cursor_if(both.b.order() == Order::Forward, &both.b)?,
    });
    let first = AtomicU64::new(u64::MAX);
    job.on_each_thread(|| {
        let _guard = sequencer.guard();
        let mut cursors = None;
        while let Step::Claim(mut buffers) = sequencer.next(&job.control.cancel) {
            buffers.input.resize(run as usize, 0);
            buffers.packed.resize(run as usize, 0);
            let claimed = turn.lock().unwrap_or_else(PoisonError::into_inner).claim(&mut buffers);
            let compared = match claimed {
                Err(error) => Err(error),
                Ok(None) => {
                    sequencer.exhausted(buffers);
                    continue;
                }
                // What follows a known difference cannot be the first one.
                Ok(Some(ticket)) if ticket.at > first.load(Ordering::Relaxed) => {
                    sequencer.exhausted(buffers);
                    continue;
                }
                Ok(Some(ticket)) => {
                    let found = both.difference(&mut cursors, &ticket.segments, &mut buffers);
                    job.control.progress.pass(ticket.length);
                    found
                }
            };
            match compared {
                Ok(Some(at)) => {
                    first.fetch_min(at, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(error) => sequencer.fail(error),
            }
            sequencer.written(buffers);
        }
    });
    sequencer.outcome()?;
    Ok(match first.into_inner() {
        u64::MAX if a.size() == b.size() => None,
        u64::MAX => Some(Difference::Size(a.size(), b.size())),
        at => Some(Difference::Content(at)),
    })
}

/// Bytes read from each side at a time; a whole grain where a side has to be read by grains.
const RUN: u64 = 1 << 20;

/// Tickets need whole chunks of something; nothing here depends on its size.
const GRAIN: u64 = 4096;

/// Two disks of the same size: data wherever one of them may differ from the other.
struct Both {
    a: Pad,
    b: Pad,
}

/// What threads take turns at: cutting the disks into tickets, and reading what is best read in order.
struct Turn<'a> {
    scout: Scout<'a>,
    /// The cursors of the sides that are best read front to back.
    a: Option<Box<dyn Cursor + 'a>>,
    b: Option<Box<dyn Cursor + 'a>>,
}

impl Turn<'_> {
    /// The next ticket, with its bytes of the sides that are read here.
    fn claim(&mut self, buffers: &mut Buffers) -> Result<Option<Ticket>> {
        let Some(ticket) = self.scout.claim(&mut [])? else { return Ok(None) };
        fill(&mut self.a, &ticket.segments, &mut buffers.input)?;
        fill(&mut self.b, &ticket.segments, &mut buffers.packed)?;
        Ok(Some(ticket))
    }
}

/// A thread's cursors of the sides that any thread may read.
type Cursors<'a> = (Option<Box<dyn Cursor + 'a>>, Option<Box<dyn Cursor + 'a>>);

fn cursor_if(wanted: bool, disk: &dyn Disk) -> Result<Option<Box<dyn Cursor + '_>>> {
    wanted.then(|| disk.cursor()).transpose()
}

/// Reads the segments, one after the other, where there is a cursor for it.
fn fill(
    cursor: &mut Option<Box<dyn Cursor + '_>>,
    segments: &[Segment],
    buf: &mut [u8],
) -> Result<()> {
    let Some(cursor) = cursor else { return Ok(()) };
    let mut start = 0;
    for segment in segments {
        let length = segment.length as usize;
        cursor.read(segment.at, &mut buf[start..][..length])?;
        start += length;
    }
    Ok(())
}

impl Both {
    /// Offset of the first byte within the segments that differs. What is read in turns is in the
    /// buffers already.
    fn difference<'a>(
        &'a self,
        cursors: &mut Option<Cursors<'a>>,
        segments: &[Segment],
        buffers: &mut Buffers,
    ) -> Result<Option<u64>> {
        let (a, b) = match cursors {
            Some(cursors) => cursors,
            None => cursors.insert((
                cursor_if(self.a.order() != Order::Forward, &self.a)?,
                cursor_if(self.b.order() != Order::Forward, &self.b)?,
            )),
        };
        fill(a, segments, &mut buffers.input)?;
        fill(b, segments, &mut buffers.packed)?;
        let mut start = 0;
        for segment in segments {
            let range = start..start + segment.length as usize;
            let (left, right) = (&buffers.input[range.clone()], &buffers.packed[range.clone()]);
            if left != right {
                let index = left.iter().zip(right).position(|(a, b)| a != b);
                return Ok(index.map(|index| segment.at + index as u64));
            }
            start = range.end;
        }
        Ok(None)
    }
}

impl Disk for Both {
    fn size(&self) -> u64 {
        self.a.size()
    }

    fn grain(&self) -> u64 {
        self.a.grain().max(self.b.grain())
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(BothCursor {
            a: Remembering::new(self.a.cursor()?),
            b: Remembering::new(self.b.cursor()?),
        }))
    }
}

/// The long runs of one side are cut at the short ones of the other.
struct BothCursor<'a> {
    a: Remembering<'a>,
    b: Remembering<'a>,
}

impl Cursor for BothCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let left = self.a.extent(at, limit)?;
        let right = self.b.extent(at, limit)?;
        let zero = left.kind.reads_zero() && right.kind.reads_zero();
        let kind = if zero { Kind::Zero } else { Kind::Data { compressed: false } };
        Ok(Extent { length: left.length.min(right.length), kind })
    }

    fn read(&mut self, _at: u64, _buf: &mut [u8]) -> Result<()> {
        unreachable!("only the extents of both disks are asked for together")
    }
}
