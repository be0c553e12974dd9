//! Whether two disks have the same content.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Kind, Result};

use crate::Job;
use crate::adapt::{Pad, Remembering};
use crate::scout::{Scout, Source};
use crate::sequence::{Buffers, Sequencer, Step};

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
    let permits = (job.memory / (2 * RUN)).clamp(1, job.threads() as u64);
    let sequencer = Sequencer::<(), ()>::new(permits as usize);
    job.progress.expect(size);
    let scout = Mutex::new(Scout::new(Source::Disk(&both), GRAIN, RUN, &job.cancel)?);
    let first = AtomicU64::new(u64::MAX);
    job.on_each_thread(|| {
        let _guard = sequencer.guard();
        let mut cursors = None;
        while let Step::Claim(mut buffers) = sequencer.next(&job.cancel) {
            let ticket =
                scout.lock().unwrap_or_else(std::sync::PoisonError::into_inner).claim(&mut []);
            let compared = match ticket {
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
                    let segments = ticket.segments.iter();
                    let found = segments
                        .map(|segment| {
                            let length = segment.length as usize;
                            both.difference(&mut cursors, segment.at, length, &mut buffers)
                        })
                        .find_map(Result::transpose);
                    job.progress.pass(ticket.length);
                    found.transpose()
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

/// Bytes read from each side at a time.
const RUN: u64 = 1 << 20;

/// Tickets need whole chunks of something; nothing here depends on its size.
const GRAIN: u64 = 4096;

/// Two disks of the same size: data wherever one of them may differ from the other.
struct Both {
    a: Pad,
    b: Pad,
}

type Cursors<'a> = (Box<dyn Cursor + 'a>, Box<dyn Cursor + 'a>);

impl Both {
    /// Offset of the first byte within `len` bytes at `at` that differs.
    fn difference<'a>(
        &'a self,
        cursors: &mut Option<Cursors<'a>>,
        at: u64,
        len: usize,
        buffers: &mut Buffers,
    ) -> Result<Option<u64>> {
        let (a, b) = match cursors {
            Some(cursors) => cursors,
            None => cursors.insert((self.a.cursor()?, self.b.cursor()?)),
        };
        buffers.input.resize(RUN as usize, 0);
        buffers.packed.resize(RUN as usize, 0);
        let (left, right) = (&mut buffers.input[..len], &mut buffers.packed[..len]);
        a.read(at, left)?;
        b.read(at, right)?;
        if left == right {
            return Ok(None);
        }
        Ok(left.iter().zip(&*right).position(|(a, b)| a != b).map(|index| at + index as u64))
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
