//! A part of a disk.

use std::ops::Deref;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Error, Extent, Order, Result};

/// The `len` bytes of a disk that start at `at`, as a disk.
pub struct Slice<D = Arc<dyn Disk>> {
    disk: D,
    at: u64,
    len: u64,
}

impl<D: Deref<Target: Disk>> Slice<D> {
    /// # Errors
    /// `Misuse` when the part is not within the disk.
    pub fn new(disk: D, at: u64, len: u64) -> Result<Self> {
        if at.checked_add(len).is_none_or(|end| end > disk.size()) {
            return Err(Error::misuse(format!(
                "{len} bytes at {at:#x} are not within a disk of {} bytes",
                disk.size()
            )));
        }
        Ok(Self { disk, at, len })
    }
}

impl<D: Deref<Target: Disk> + Send + Sync> Disk for Slice<D> {
    fn size(&self) -> u64 {
        self.len
    }

    fn grain(&self) -> u64 {
        self.disk.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.disk.files()
    }

    fn order(&self) -> Order {
        self.disk.order()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(SliceCursor { inner: self.disk.cursor()?, at: self.at }))
    }
}

struct SliceCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    at: u64,
}

impl Cursor for SliceCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.inner.extent(self.at + at, limit)
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read(self.at + at, buf)
    }
}
