//! A disk with zeros added at its end.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Error, Extent, Kind, Order, Result};

/// A disk grown to `size` bytes.
pub struct Pad {
    disk: Arc<dyn Disk>,
    size: u64,
}

impl Pad {
    /// # Errors
    /// `Misuse` when `size` is less than the disk's.
    pub fn new(disk: Arc<dyn Disk>, size: u64) -> Result<Self> {
        if size < disk.size() {
            return Err(Error::misuse(format!(
                "a disk of {} bytes cannot be padded to {size}",
                disk.size()
            )));
        }
        Ok(Self { disk, size })
    }
}

impl Disk for Pad {
    fn size(&self) -> u64 {
        self.size
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
        Ok(Box::new(PadCursor { inner: self.disk.cursor()?, end: self.disk.size() }))
    }
}

struct PadCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    /// Where the zeros begin.
    end: u64,
}

impl Cursor for PadCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        if at >= self.end {
            return Ok(Extent { length: limit, kind: Kind::Zero });
        }
        self.inner.extent(at, limit.min(self.end - at))
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let inside = self.end.saturating_sub(at).min(buf.len() as u64) as usize;
        let (inner, zeros) = buf.split_at_mut(inside);
        zeros.fill(0);
        if inner.is_empty() { Ok(()) } else { self.inner.read(at, inner) }
    }
}
