//! A disk as a stream, for one that is best read front to back.

use diskferry_block_stream::{Cursor, Disk, Extent, Piece, Result, Stream};

/// One cursor that goes through a disk.
pub(crate) struct Forward<'a> {
    name: String,
    cursor: Box<dyn Cursor + 'a>,
    at: u64,
    size: u64,
    /// What is left of the last extent.
    rest: Option<Extent>,
}

impl<'a> Forward<'a> {
    pub fn new(disk: &'a dyn Disk) -> Result<Self> {
        let name = disk.files().first().map_or("disk", |file| file.name()).to_owned();
        Ok(Self { name, cursor: disk.cursor()?, at: 0, size: disk.size(), rest: None })
    }

    /// The next `length` bytes of the disk, as a stream of their own.
    pub fn part(&mut self, length: u64) -> Part<'_, 'a> {
        let end = self.at.saturating_add(length).min(self.size);
        Part { start: self.at, end, disk: self }
    }

    fn piece(&mut self, end: u64, buf: &mut [u8]) -> Result<Piece> {
        if self.at == end {
            return Ok(Piece::End);
        }
        let extent = match self.rest.take() {
            Some(extent) => extent,
            None => self.cursor.extent(self.at, self.size - self.at)?,
        };
        let mut length = extent.length.min(end - self.at);
        let piece = if extent.kind.reads_zero() {
            Piece::Zero(length)
        } else {
            length = length.min(buf.len() as u64);
            let part = &mut buf[..length as usize];
            self.cursor.read(self.at, part)?;
            Piece::Data(part.len())
        };
        self.at += length;
        if length < extent.length {
            // Nobody looks at a plain extent's offset: its bytes are read through the cursor.
            self.rest = Some(Extent { length: extent.length - length, ..extent });
        }
        Ok(piece)
    }
}

impl Stream for Forward<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.piece(self.size, buf)
    }
}

/// A part of the disk that a [`Forward`] goes through.
pub(crate) struct Part<'b, 'a> {
    disk: &'b mut Forward<'a>,
    start: u64,
    end: u64,
}

impl Stream for Part<'_, '_> {
    fn name(&self) -> &str {
        &self.disk.name
    }

    fn size(&self) -> Option<u64> {
        Some(self.end - self.start)
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.disk.piece(self.end, buf)
    }
}
