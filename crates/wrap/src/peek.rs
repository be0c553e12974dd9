//! Bytes that come in order, and can be looked at before they are taken.

use std::io::{self, Read};
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result};

use crate::damage::Damage;

/// Bytes that come in order only.
pub trait Forward: Read + Send {
    /// How many zeros come next that are nowhere stored, and passes over them. 0 where the next
    /// bytes are stored, or are the end.
    ///
    /// # Errors
    /// As for reading.
    fn hole(&mut self) -> Result<u64> {
        Ok(0)
    }
}

impl Forward for std::fs::File {}
impl Forward for io::Cursor<Vec<u8>> {}
impl Forward for &[u8] {}

/// Bytes in order, and the offset of the next one: what a walk through an archive needs.
pub(crate) trait Ahead {
    /// Offset of the next byte.
    fn at(&self) -> u64;

    /// The next `want` bytes, or all that there are; they are not taken.
    fn peek(&mut self, want: usize) -> Result<&[u8]>;

    /// Passes over `len` bytes, which must be there.
    fn skip(&mut self, len: u64) -> Result<()>;

    /// Fills `buf`.
    fn fill(&mut self, buf: &mut [u8]) -> Result<()>;
}

/// A reader that can look ahead.
pub struct Peek {
    inner: Box<dyn Forward>,
    /// Bytes that were looked at, from `start` on.
    seen: Vec<u8>,
    start: usize,
    at: u64,
}

impl Peek {
    /// Wraps a reader.
    pub fn new(inner: impl Forward + 'static) -> Self {
        Self { inner: Box::new(inner), seen: Vec::new(), start: 0, at: 0 }
    }

    /// The next `want` bytes, or all that there are; they are not taken.
    ///
    /// # Errors
    /// As for reading.
    pub fn peek(&mut self, want: usize) -> Result<&[u8]> {
        if self.seen.len() - self.start < want {
            self.seen.drain(..self.start);
            self.start = 0;
            while self.seen.len() < want {
                let had = self.seen.len();
                self.seen.resize(want, 0);
                let count = read(&mut self.inner, &mut self.seen[had..]);
                self.seen.truncate(had + *count.as_ref().unwrap_or(&0));
                if count? == 0 {
                    break;
                }
            }
        }
        let rest = &self.seen[self.start..];
        Ok(&rest[..want.min(rest.len())])
    }

    /// Reads what is left, to the end.
    ///
    /// # Errors
    /// As for reading.
    pub fn drain(&mut self) -> Result<()> {
        let mut buf = vec![0; SKIP];
        while self.hole()? > 0 || self.some(&mut buf)? > 0 {}
        Ok(())
    }

    /// Reads some bytes to the front of `buf`; answers how many.
    pub(crate) fn some(&mut self, buf: &mut [u8]) -> Result<usize> {
        let seen = &self.seen[self.start..];
        let count = if seen.is_empty() {
            read(&mut self.inner, buf)?
        } else {
            let count = seen.len().min(buf.len());
            buf[..count].copy_from_slice(&seen[..count]);
            self.start += count;
            count
        };
        self.at += count as u64;
        Ok(count)
    }
}

fn read(inner: &mut impl Read, buf: &mut [u8]) -> Result<usize> {
    loop {
        match inner.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(Error::from),
        }
    }
}

impl Read for Peek {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.some(buf)?)
    }
}

impl Forward for Peek {
    fn hole(&mut self) -> Result<u64> {
        if self.start < self.seen.len() {
            return Ok(0);
        }
        let zeros = self.inner.hole()?;
        self.at += zeros;
        Ok(zeros)
    }
}

impl Ahead for Peek {
    fn at(&self) -> u64 {
        self.at
    }

    fn peek(&mut self, want: usize) -> Result<&[u8]> {
        Self::peek(self, want)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        let end = self.at.saturating_add(len);
        let mut buf = vec![0; len.min(SKIP as u64) as usize];
        while self.at < end {
            let room = (end - self.at).min(buf.len() as u64) as usize;
            if self.some(&mut buf[..room])? == 0 {
                return Err(Damage::Short { at: self.at }.into());
            }
        }
        Ok(())
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.some(&mut buf[filled..])? {
                0 => return Err(Damage::Short { at: self.at }.into()),
                count => filled += count,
            }
        }
        Ok(())
    }
}

/// Bytes that are passed over at a time.
const SKIP: usize = 256 << 10;

/// Bytes that can be read anywhere, from the first to the last.
pub struct BytesReader {
    bytes: Arc<dyn Bytes>,
    at: u64,
}

impl BytesReader {
    /// Starts at the first byte.
    pub fn new(bytes: Arc<dyn Bytes>) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Read for BytesReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.len() - self.at;
        let count = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        self.bytes.read_at(self.at, &mut buf[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Forward for BytesReader {}

/// A place in bytes that can be read anywhere: what is passed over is never read.
pub(crate) struct Walk<'a> {
    bytes: &'a dyn Bytes,
    at: u64,
    seen: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a dyn Bytes) -> Self {
        Self { bytes, at: 0, seen: Vec::new() }
    }

    fn left(&self) -> u64 {
        self.bytes.len() - self.at
    }
}

impl Ahead for Walk<'_> {
    fn at(&self) -> u64 {
        self.at
    }

    fn peek(&mut self, want: usize) -> Result<&[u8]> {
        let count = usize::try_from(self.left()).map_or(want, |left| left.min(want));
        self.seen.resize(count, 0);
        self.bytes.read_at(self.at, &mut self.seen)?;
        Ok(&self.seen)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        if len > self.left() {
            return Err(Damage::Short { at: self.bytes.len() }.into());
        }
        self.at += len;
        Ok(())
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        if buf.len() as u64 > self.left() {
            return Err(Damage::Short { at: self.bytes.len() }.into());
        }
        self.bytes.read_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(())
    }
}
