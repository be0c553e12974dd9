//! What a piece of work may use: threads, memory, and the means to follow and stop it.

use std::sync::Arc;

use diskferry_block_stream::{Error, Result};

use crate::control::Control;

/// The threads, the memory and the controls of a copy, a comparison or a digest.
pub struct Job {
    pool: Arc<rayon::ThreadPool>,
    /// Bound on buffers, in bytes.
    pub memory: u64,
    /// The means to follow and stop it.
    pub control: Control,
}

impl Job {
    /// The default bound on buffers, in bytes.
    pub const MEMORY: u64 = 256 << 20;

    /// A job on `threads` threads; 0 means one for each core.
    ///
    /// # Errors
    /// `Io` when the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("ferry-{n}"))
            .build()
            .map_err(|error| Error::from(std::io::Error::other(error)).doing("starting threads"))?;
        Ok(Self { pool: Arc::new(pool), memory: Self::MEMORY, control: Control::default() })
    }

    /// A part of the work, with the same threads, memory and progress, that can be stopped alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), memory: self.memory, control: self.control.part() }
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` once on each thread, and returns when all have ended.
    pub(crate) fn on_each_thread(&self, work: impl Fn() + Sync) {
        self.pool.in_place_scope(|scope| {
            for _ in 0..self.threads() {
                scope.spawn(|_| work());
            }
        });
    }
}
