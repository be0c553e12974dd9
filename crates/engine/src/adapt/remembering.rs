//! A cursor that is asked for the parts of one extent one after the other.

use diskferry_block_stream::{Cursor, Extent, Kind, Result};

/// Remembers the last extent: a format may have to walk many tables to find how long it is.
pub(crate) struct Remembering<'a> {
    inner: Box<dyn Cursor + 'a>,
    /// Where the last extent began, and the extent.
    last: Option<(u64, Extent)>,
}

impl<'a> Remembering<'a> {
    pub fn new(inner: Box<dyn Cursor + 'a>) -> Self {
        Self { inner, last: None }
    }
}

impl Cursor for Remembering<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let (start, known) = match self.last {
            Some((start, known)) if (start..start + known.length).contains(&at) => (start, known),
            _ => (at, self.inner.extent(at, limit)?),
        };
        self.last = Some((start, known));
        let skipped = at - start;
        let kind = match known.kind {
            Kind::Plain { file, offset } => Kind::Plain { file, offset: offset + skipped },
            other => other,
        };
        Ok(Extent { length: limit.min(known.length - skipped), kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read(at, buf)
    }
}
