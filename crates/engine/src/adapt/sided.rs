//! A disk whose errors say which side of a job it is.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Order, Result, Side};

/// A disk of which it is known whether it is read as a source, or because it was just written. Two files may
/// have names that are hard to tell apart; errors that say their side need not be told by them.
pub struct Sided {
    disk: Arc<dyn Disk>,
    side: Side,
}

impl Sided {
    /// The disk, as it is.
    pub fn new(disk: Arc<dyn Disk>, side: Side) -> Self {
        Self { disk, side }
    }
}

impl Disk for Sided {
    fn size(&self) -> u64 {
        self.disk.size()
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
        let inner = self.disk.cursor().map_err(|error| error.on(self.side))?;
        Ok(Box::new(SidedCursor { inner, side: self.side }))
    }
}

struct SidedCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    side: Side,
}

impl Cursor for SidedCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.inner.extent(at, limit).map_err(|error| error.on(self.side))
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read(at, buf).map_err(|error| error.on(self.side))
    }
}
