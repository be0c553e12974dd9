//! Runs the workers of a copy until every ticket is done.

use std::sync::{Mutex, PoisonError};

use diskferry_block_stream::{Error, Result};

use super::place::{Order, Placed, place_flat};
use super::worker::{Done, Pack, Work, Worker};
use super::write::Writer;
use crate::Job;
use crate::scout::{Scout, Source};
use crate::sequence::{Sequencer, Step};

/// Bytes of disk that a ticket reads at most; a whole chunk, or a whole grain of a source that has to
/// be read by grains, where that is more.
///
/// Small enough to stay in a core's cache between reading and writing, large enough that a
/// ticket's own cost does not show.
pub(super) const RUN: u64 = 1 << 20;

/// Permits for each thread: one being worked on, one waiting for its turn, some to even things out.
pub(super) const PERMITS_PER_THREAD: u64 = 4;

/// What is known when all tickets are done.
pub(super) struct Finished {
    pub(super) size: u64,
    pub(super) order: Option<Order>,
}

/// Runs all workers until every ticket is done. Without an `order`, tickets are written as they
/// come.
pub(super) fn run(
    source: Source<'_>,
    work: &Work<'_>,
    writer: Option<&Writer<'_>>,
    order: Option<Order>,
    job: &Job,
) -> Result<Finished> {
    let run = RUN.max(work.chunk).max(source.batch()).next_multiple_of(work.chunk);
    let packs = matches!(work.pack, Pack::Chunks { packer: Some(_), .. });
    let permit = run + if packs { packed_room(run) as u64 } else { 0 };
    let permits = (job.memory / permit).clamp(1, job.threads() as u64 * PERMITS_PER_THREAD);
    let sequencer = Sequencer::<Done, Placed>::new(permits as usize);
    let files = source.files().to_vec();
    let scout = Scout::new(source, work.chunk, run, &job.cancel)?.sharing(&files, &work.share);
    let scout = Mutex::new(scout);
    let ordered = order.is_some();
    let order = Mutex::new(order);
    job.on_each_thread(|| {
        let _guard = sequencer.guard();
        let mut worker = Worker::new(work, run as usize, &files);
        loop {
            let step = match sequencer.next(&job.cancel) {
                Step::Leave => break,
                Step::Claim(mut buffers) => {
                    buffers.packed.clear();
                    let room = if packs { packed_room(run) } else { 0 };
                    let ready = reserve(&mut buffers.packed, room)
                        .and_then(|()| reserve(&mut buffers.input, run as usize));
                    let claimed = ready.and_then(|()| {
                        buffers.input.resize(run as usize, 0);
                        lock(&scout).claim(&mut buffers.input)
                    });
                    match claimed {
                        Ok(None) => {
                            sequencer.exhausted(buffers);
                            Ok(())
                        }
                        Ok(Some(ticket)) => worker.work(&ticket, buffers).and_then(|done| {
                            if ordered {
                                sequencer.ready(ticket.index, done);
                                return Ok(());
                            }
                            let placed = place_flat(done, writer.map_or(0, |writer| writer.base))?;
                            worker.write(writer, placed, job, &sequencer)
                        }),
                        Err(error) => Err(error),
                    }
                }
                Step::Place(done) => match lock(&order).as_mut() {
                    Some(order) => order.place(done, writer, job).and_then(|placed| {
                        // A pipe's bytes must leave in order, so whoever places also writes.
                        if writer.is_none_or(|writer| writer.output.forward_only()) {
                            worker.write(writer, placed, job, &sequencer)?;
                            sequencer.placed(None);
                        } else {
                            sequencer.placed(Some(placed));
                        }
                        Ok(())
                    }),
                    None => Ok(()),
                },
                Step::Write(placed) => worker.write(writer, placed, job, &sequencer),
            };
            if let Err(error) = step {
                sequencer.fail(error);
                break;
            }
        }
    });
    sequencer.outcome()?;
    let size = lock(&scout).position();
    let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Finished { size, order })
}

/// Makes room for `len` bytes in all. Without the memory for that, it is better to say so than to abort.
fn reserve(buffer: &mut Vec<u8>, len: usize) -> Result<()> {
    buffer.try_reserve_exact(len.saturating_sub(buffer.len())).map_err(|_| {
        Error::limit(format!(
            "no memory for a buffer of {len} bytes; fewer threads, or a smaller --memory, take less"
        ))
    })
}

/// What packed chunks take of a permit, before the last of them is known to have shrunk: taken at
/// once, so that no vector has to double.
pub(super) fn packed_room(run: u64) -> usize {
    (run + run / 4 + 64) as usize
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
