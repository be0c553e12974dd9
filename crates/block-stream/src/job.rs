//! What connects a running job with whoever started it: a way to stop it, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Result};

/// A request to stop, shared between a job and whoever may stop it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    here: AtomicBool,
    /// The request that this one is a part of.
    outer: Option<Cancel>,
}

impl Cancel {
    /// A request of its own, to stop a part of the work: who asks for all of it to stop means this, too.
    #[must_use]
    pub fn part(&self) -> Self {
        Self(Arc::new(Asked { here: AtomicBool::new(false), outer: Some(self.clone()) }))
    }

    /// Asks every job that holds this, or a [`part`](Self::part) of it, to stop soon.
    pub fn cancel(&self) {
        self.0.here.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        let Asked { here, outer } = &*self.0;
        here.load(Ordering::Relaxed) || outer.as_ref().is_some_and(Self::is_cancelled)
    }

    /// # Errors
    /// `Cancelled` once somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// How far a job is, counted in bytes: of the virtual disk, or of the file that is read. Polled; it never goes
/// back.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    total: AtomicU64,
    passed: AtomicU64,
}

impl Progress {
    /// States how many bytes there are to pass; more work adds to it.
    pub fn expect(&self, bytes: u64) {
        self.0.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are done with: written, or known to be zeros.
    pub fn pass(&self, bytes: u64) {
        self.0.passed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes to pass, 0 while that is unknown.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Bytes passed.
    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::Relaxed)
    }
}
