//! Bytes that remember what was said and read of them.

use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{Bytes, Identity, Result, Run, Version};

/// Bytes that remember what they were told of reads to come, and the reads.
pub struct Hinted {
    inner: Arc<dyn Bytes>,
    batch: u64,
    told: Mutex<Vec<Told>>,
}

/// What became of bytes, by place and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// They will be read.
    Hint(u64, u64),
    /// They are read.
    Read(u64, u64),
}

impl Told {
    /// The place and length of a hint.
    pub fn hint(self) -> Option<(u64, u64)> {
        match self {
            Self::Hint(at, len) => Some((at, len)),
            Self::Read(..) => None,
        }
    }
}

impl Hinted {
    /// Those of `inner`, of which `batch` are best read together.
    pub fn new(inner: Arc<dyn Bytes>, batch: u64) -> Self {
        Self { inner, batch, told: Mutex::default() }
    }

    /// What became of them so far, in its order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

impl Bytes for Hinted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.note(Told::Read(at, buf.len() as u64));
        self.inner.read_at(at, buf)
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        self.inner.run(at, limit)
    }

    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn version(&self) -> Option<Version> {
        Some(Version::Tag(self.inner.len().to_string()))
    }

    fn batch(&self) -> u64 {
        self.batch
    }

    fn will_need(&self, at: u64, len: u64) {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.inner.len()), "{at} {len}");
        self.note(Told::Hint(at, len));
    }
}
