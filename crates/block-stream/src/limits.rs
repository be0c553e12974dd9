//! How much an image may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Bounds on what opening and reading one image, with its whole chain and all that it is wrapped in,
/// may take.
///
/// Clones share one budget. The defaults let every honest image of up to 64 TiB through.
#[derive(Clone, Debug)]
pub struct Limits {
    metadata: Arc<AtomicU64>,
    /// Layers of a backing chain.
    pub chain_depth: u32,
    /// The largest virtual size in bytes.
    pub virtual_size: u64,
    /// Wrappers around wrappers: a tar in a gzip file is two.
    pub nesting: u32,
    /// Members of an archive.
    pub members: u32,
    /// Bytes that a compressed file may unpack to. How much they shrink by is no bound: zeros, which
    /// disks are full of, shrink a thousand times by gzip and a million times by bzip2.
    pub unpacked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metadata: Arc::new(AtomicU64::new(Self::METADATA)),
            chain_depth: 64,
            virtual_size: 1 << 63,
            nesting: 4,
            members: 10_000,
            unpacked: 65 << 40,
        }
    }
}

impl Limits {
    /// The default budget for tables held in memory, in bytes.
    ///
    /// qemu refuses an L1 table above 32 MiB; this holds several layers of that size.
    pub const METADATA: u64 = 256 << 20;

    /// Limits with another budget for tables held in memory, in bytes.
    #[must_use]
    pub fn with_metadata(self, bytes: u64) -> Self {
        Self { metadata: Arc::new(AtomicU64::new(bytes)), ..self }
    }

    /// Takes `bytes` of table memory from the budget, before they are allocated.
    ///
    /// # Errors
    /// `Limit` when the budget does not hold that much any more.
    pub fn spend(&self, what: &'static str, bytes: u64) -> Result<usize> {
        self.metadata
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .ok()
            .and_then(|_| usize::try_from(bytes).ok())
            .ok_or_else(|| {
                Error::limit(format!("{what} takes {bytes} bytes, past the bound on table memory"))
            })
    }

    /// Gives back what [`spend`](Self::spend) took for memory that is free again.
    pub fn refund(&self, bytes: u64) {
        self.metadata.fetch_add(bytes, Ordering::Relaxed);
    }

    /// # Errors
    /// `Limit` when a virtual size of `size` bytes is past the bound.
    pub fn check_virtual_size(&self, size: u64) -> Result<()> {
        if size > self.virtual_size {
            return Err(Error::limit(format!(
                "a virtual size of {size} bytes, past the bound of {}",
                self.virtual_size
            )));
        }
        Ok(())
    }
}
