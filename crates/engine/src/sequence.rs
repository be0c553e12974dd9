//! Who does what next: permits before tickets, and results in the disk's order.
//!
//! A worker takes a permit (a pair of buffers), claims a ticket, works on it, and hands the result
//! over. Whoever finds the head of the order ready places it, and what follows it; what is placed
//! is written by whoever is free. A ticket is only claimed with its memory in hand, so the head can
//! always be finished, and nothing waits for memory that only the head could free.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use diskferry_block_stream::{Cancel, Error, Result};

/// The memory to work on one ticket.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The disk's bytes: the ticket's spans, one after the other.
    pub input: Vec<u8>,
    /// What the packer made of them.
    pub packed: Vec<u8>,
}

/// Gives every worker its next step. `R` is a ticket's result, `W` a placed one to be written.
pub(crate) struct Sequencer<R, W> {
    state: Mutex<State<R, W>>,
    changed: Condvar,
}

struct State<R, W> {
    /// Permits nobody holds.
    permits: Vec<Buffers>,
    /// No ticket is left to claim.
    exhausted: bool,
    /// Tickets claimed and not yet written; each holds one permit.
    in_flight: usize,
    /// Results that wait for their turn, by index.
    ready: BTreeMap<u64, R>,
    /// Index of the result to place next.
    head: u64,
    /// Somebody is placing.
    placing: bool,
    /// Placed, not yet written.
    placed: VecDeque<W>,
    /// The first error; once it is set, everybody goes home.
    failed: Option<Error>,
}

/// What a worker does next.
pub(crate) enum Step<R, W> {
    /// Claim a ticket with these buffers and work on it.
    Claim(Buffers),
    /// Place this result: nobody else is placing.
    Place(R),
    /// Write this.
    Write(W),
    /// Nothing is left to do.
    Leave,
}

impl<R, W> Sequencer<R, W> {
    pub fn new(permits: usize) -> Self {
        let state = State {
            permits: std::iter::repeat_with(Buffers::default).take(permits).collect(),
            exhausted: false,
            in_flight: 0,
            ready: BTreeMap::new(),
            head: 0,
            placing: false,
            placed: VecDeque::new(),
            failed: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until there is something to do. Writing goes first, for it frees a permit.
    pub fn next(&self, cancel: &Cancel) -> Step<R, W> {
        let mut state = self.lock();
        loop {
            if cancel.is_cancelled() && state.failed.is_none() {
                state.failed = Some(Error::cancelled());
                self.changed.notify_all();
            }
            if state.failed.is_some() {
                return Step::Leave;
            }
            if let Some(work) = state.placed.pop_front() {
                return Step::Write(work);
            }
            let head = state.head;
            if !state.placing
                && let Some(result) = state.ready.remove(&head)
            {
                state.placing = true;
                state.head += 1;
                return Step::Place(result);
            }
            if !state.exhausted
                && let Some(buffers) = state.permits.pop()
            {
                state.in_flight += 1;
                return Step::Claim(buffers);
            }
            if state.exhausted && state.in_flight == 0 {
                self.changed.notify_all();
                return Step::Leave;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// There was no ticket for these buffers.
    pub fn exhausted(&self, buffers: Buffers) {
        let mut state = self.lock();
        state.exhausted = true;
        drop(state);
        self.written(buffers);
    }

    /// A ticket's result is ready to be placed.
    pub fn ready(&self, index: u64, result: R) {
        let mut state = self.lock();
        state.ready.insert(index, result);
        if index == state.head && !state.placing {
            self.changed.notify_one();
        }
    }

    /// The result taken by [`Step::Place`] is placed; `work` is left to be written.
    pub fn placed(&self, work: Option<W>) {
        let mut state = self.lock();
        state.placing = false;
        state.placed.extend(work);
        self.changed.notify_one();
    }

    /// A ticket is done with; its permit is free again.
    pub fn written(&self, buffers: Buffers) {
        let mut state = self.lock();
        state.permits.push(buffers);
        state.in_flight -= 1;
        let over = state.exhausted && state.in_flight == 0;
        if over { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    /// Ends the work for everybody. The first error wins.
    pub fn fail(&self, error: Error) {
        self.lock().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// The outcome, when all workers have left.
    pub fn outcome(self) -> Result<()> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }

    /// Held by a worker: should it panic, the others do not wait for it.
    pub fn guard(&self) -> PanicGuard<'_, R, W> {
        PanicGuard(self)
    }

    fn lock(&self) -> MutexGuard<'_, State<R, W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct PanicGuard<'a, R, W>(&'a Sequencer<R, W>);

impl<R, W> Drop for PanicGuard<'_, R, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::misuse("a worker panicked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use diskferry_block_stream::ErrorKind;
    use diskferry_testkit::{Random, within};

    use super::*;

    /// Runs `tickets` through a sequencer, each step taking a time of its own, and returns the
    /// order in which they were placed.
    fn sequence(threads: usize, permits: usize, tickets: u64, seed: u64) -> Vec<u64> {
        let sequencer = Sequencer::<u64, u64>::new(permits);
        let next = AtomicU64::new(0);
        let placed = Mutex::new(Vec::new());
        let written = AtomicU64::new(0);
        let what = format!("{threads} threads, {permits} permits, {tickets} tickets, seed {seed}");
        within(Duration::from_secs(60), &what, || {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (sequencer, next, placed, written) = (&sequencer, &next, &placed, &written);
                    let mut random = Random::new(seed ^ (thread as u64) << 32);
                    scope.spawn(move || {
                        let _guard = sequencer.guard();
                        loop {
                            let pause = random.below(4);
                            match sequencer.next(&Cancel::default()) {
                                Step::Leave => break,
                                Step::Claim(buffers) => {
                                    let index = next.fetch_add(1, Ordering::SeqCst);
                                    if index >= tickets {
                                        sequencer.exhausted(buffers);
                                        continue;
                                    }
                                    dawdle(pause);
                                    sequencer.ready(index, index);
                                }
                                Step::Place(index) => {
                                    dawdle(pause);
                                    placed.lock().unwrap().push(index);
                                    sequencer.placed(Some(index));
                                }
                                Step::Write(_) => {
                                    dawdle(pause);
                                    written.fetch_add(1, Ordering::SeqCst);
                                    sequencer.written(Buffers::default());
                                }
                            }
                        }
                    });
                }
            });
        });
        assert_eq!(written.into_inner(), tickets, "{what}");
        sequencer.outcome().unwrap();
        placed.into_inner().unwrap()
    }

    fn dawdle(pause: u64) {
        match pause {
            0 => {}
            1 => std::thread::yield_now(),
            other => std::thread::sleep(Duration::from_micros(other * 10)),
        }
    }

    #[test]
    fn every_ticket_is_placed_in_order_whatever_the_timing() {
        for seed in 0..30 {
            for (threads, permits) in [(1, 1), (1, 4), (2, 1), (3, 2), (7, 1), (7, 28), (5, 3)] {
                let tickets = seed * 7 % 100;
                let placed = sequence(threads, permits, tickets, seed);
                assert_eq!(placed, (0..tickets).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_error_wins_and_everybody_leaves() {
        let sequencer = Sequencer::<(), ()>::new(2);
        let Step::Claim(_) = sequencer.next(&Cancel::default()) else { panic!("no claim") };
        sequencer.fail(Error::misuse("first"));
        sequencer.fail(Error::misuse("second"));
        assert!(matches!(sequencer.next(&Cancel::default()), Step::Leave));
        assert_eq!(sequencer.outcome().unwrap_err().to_string(), "first");
    }

    #[test]
    fn who_waits_leaves_when_another_fails_panics_or_is_cancelled() {
        for how in ["fail", "panic", "cancel"] {
            let sequencer = Sequencer::<(), ()>::new(1);
            let cancel = Cancel::default();
            within(Duration::from_secs(20), how, || {
                std::thread::scope(|scope| {
                    let Step::Claim(buffers) = sequencer.next(&cancel) else { panic!("no claim") };
                    // No permit is left, so this one waits.
                    let waits = scope.spawn(|| matches!(sequencer.next(&cancel), Step::Leave));
                    std::thread::sleep(Duration::from_millis(20));
                    match how {
                        "fail" => sequencer.fail(Error::misuse("x")),
                        "panic" => {
                            let worker = scope.spawn(|| {
                                let _guard = sequencer.guard();
                                panic!("on purpose");
                            });
                            assert!(worker.join().is_err());
                        }
                        _ => {
                            cancel.cancel();
                            // Whoever is at work comes by sooner or later.
                            sequencer.written(buffers);
                            assert!(matches!(sequencer.next(&cancel), Step::Leave));
                        }
                    }
                    assert!(waits.join().unwrap(), "{how}");
                });
            });
            let kind = sequencer.outcome().unwrap_err().kind();
            let cancelled = how == "cancel";
            assert_eq!(kind == ErrorKind::Cancelled, cancelled, "{how}");
        }
    }
}
