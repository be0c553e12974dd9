//! Runs the workers of a copy until every ticket is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diskferry_block_stream::{Bytes, Error, Remedy, Result};

use super::digests::Digests;
use super::done::Done;
use super::options::Copied;
use super::passage::{Passage, Writing};
use super::place::InOrder;
use super::placed::Placed;
use super::worker::Worker;
use super::write::Writer;
use crate::job::Job;
use crate::scout::Scout;
use crate::sequence::{Buffers, Sequencer, Step};
use crate::source::Source;

/// What is known when all tickets are done.
pub(super) struct Finished {
    /// Bytes of the disk.
    pub(super) size: u64,
    /// Bytes of it that were stored.
    pub(super) copied: u64,
    pub(super) in_order: InOrder,
}

impl Finished {
    /// What was done, in a file of `target_size` bytes; and the digests so far.
    pub(super) fn summary(self, target_size: u64) -> (Copied, Digests) {
        let Self { size, copied, in_order } = self;
        let zeros = size.saturating_sub(copied);
        (Copied { size, copied, zeros, target_size, ..Copied::default() }, in_order.digests)
    }
}

/// Sends all of `source` through the passage.
pub(super) fn run(source: Source<'_>, passage: Passage<'_>, job: &Job) -> Result<Finished> {
    let Passage { work, in_order, writing } = passage;
    let run = work.run(source.batch());
    let room = work.packed_room(run);
    let permits = job.memory / (run + room as u64);
    let permits = permits.clamp(1, job.threads() as u64 * PERMITS_PER_THREAD);
    let files = source.files().to_vec();
    let scout =
        Scout::new(source, work.chunk, run, &job.control.cancel)?.sharing(&files, &work.share);
    let line = Line {
        sequencer: Sequencer::new(permits as usize),
        scout: Mutex::new(scout),
        in_order: Mutex::new(in_order),
        writing,
        files: &files,
        run: run as usize,
        room,
        job,
    };
    job.on_each_thread(|| {
        let _guard = line.sequencer.guard();
        let mut worker = Worker::new(&work, line.run, &files);
        loop {
            let step = match line.sequencer.next(&job.control.cancel) {
                Step::Leave => break,
                Step::Claim(buffers) => line.claim(&mut worker, buffers),
                Step::Place(done) => line.place(done),
                Step::Write(placed) => line.write(placed),
            };
            if let Err(error) = step {
                line.sequencer.fail(error);
                break;
            }
        }
    });
    let Line { sequencer, scout, in_order, writing, .. } = line;
    sequencer.outcome()?;
    Ok(Finished {
        size: lock(&scout).position(),
        copied: writing.writer().map_or(0, Writer::copied),
        in_order: in_order.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

/// What the workers of a copy share.
struct Line<'a> {
    sequencer: Sequencer<Done, Placed>,
    scout: Mutex<Scout<'a>>,
    in_order: Mutex<InOrder>,
    writing: Writing<'a>,
    files: &'a [Arc<dyn Bytes>],
    /// Bytes that a ticket's buffers hold, as they are and packed.
    run: usize,
    room: usize,
    job: &'a Job,
}

impl Line<'_> {
    /// Claims a ticket, works on it, and hands it over.
    fn claim(&self, worker: &mut Worker<'_>, mut buffers: Buffers) -> Result<()> {
        buffers.packed.clear();
        reserve(&mut buffers.packed, self.room)?;
        reserve(&mut buffers.input, self.run)?;
        buffers.input.resize(self.run, 0);
        let claimed = lock(&self.scout).claim(&mut buffers.input)?;
        let Some(ticket) = claimed else {
            self.sequencer.exhausted(buffers);
            return Ok(());
        };
        let done = worker.work(&ticket, buffers)?;
        if let Writing::AsRead(writer) = &self.writing {
            return self.write(writer.place(done)?);
        }
        self.sequencer.ready(ticket.index, done);
        Ok(())
    }

    /// Places what is next in the disk's order.
    fn place(&self, done: Done) -> Result<()> {
        let placed = lock(&self.in_order).place(done, self.writing.writer(), self.job)?;
        let left = match self.writing {
            Writing::Placed(_) => Some(placed),
            Writing::Nowhere | Writing::AsRead(_) | Writing::InOrder(_) => {
                self.write(placed)?;
                None
            }
        };
        self.sequencer.placed(left);
        Ok(())
    }

    /// Writes what is placed, and gives the permit back.
    fn write(&self, placed: Placed) -> Result<()> {
        if let Some(writer) = self.writing.writer() {
            for write in &placed.writes {
                writer.write(write, &placed.buffers, self.files, &self.job.control.cancel)?;
            }
        }
        self.job.control.progress.pass(placed.left);
        self.sequencer.written(placed.buffers);
        Ok(())
    }
}

/// Permits for each thread: one being worked on, one waiting for its turn, some to even things out.
const PERMITS_PER_THREAD: u64 = 4;

/// Makes room for `len` bytes in all. Without the memory for that, it is better to say so than to abort.
fn reserve(buffer: &mut Vec<u8>, len: usize) -> Result<()> {
    buffer.try_reserve_exact(len.saturating_sub(buffer.len())).map_err(|_| {
        Error::limit(format!("no memory for a buffer of {len} bytes"))
            .mended_by(Remedy::TakeLessMemory)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
