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
