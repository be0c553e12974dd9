//! What is copied, compared or digested: a disk, or a stream.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, Order, Result, Stream};

use crate::adapt::Forward;

/// What is copied: a disk that any thread may read anywhere, or a stream.
pub enum Source<'a> {
    /// Read in parallel, unless it is best read front to back.
    Disk(&'a dyn Disk),
    /// Read in order, packed in parallel.
    Stream(Box<dyn Stream + 'a>),
}

impl<'a> Source<'a> {
    /// The same disk, as a stream where it is best read front to back.
    pub(crate) fn in_best_order(self) -> Result<Self> {
        match self {
            Self::Disk(disk) if disk.order() == Order::Forward => {
                Ok(Self::Stream(Box::new(Forward::new(disk)?)))
            }
            other => Ok(other),
        }
    }

    /// Bytes that are best read together.
    pub(crate) fn batch(&self) -> u64 {
        match self {
            Self::Disk(disk) => batch(*disk),
            Self::Stream(_) => 1,
        }
    }

    /// Virtual size in bytes, where it is known beforehand.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Disk(disk) => Some(disk.size()),
            Self::Stream(stream) => stream.size(),
        }
    }

    pub(crate) fn files(&self) -> &[Arc<dyn Bytes>] {
        match self {
            Self::Disk(disk) => disk.files(),
            Self::Stream(_) => &[],
        }
    }
}

/// Bytes of a disk that are best read together, as far as that is no more than a worker should hold: a grain, where
/// a part of one costs all of it; and what its files have in one request.
pub(crate) fn batch(disk: &dyn Disk) -> u64 {
    let grain = match disk.order() {
        Order::Grains => disk.grain(),
        Order::Any | Order::Forward => 1,
    };
    let files = disk.files().iter().map(|file| file.batch());
    files.fold(grain, u64::max).min(BATCH_MAX)
}

/// What is longer is read in parts.
const BATCH_MAX: u64 = 4 << 20;
