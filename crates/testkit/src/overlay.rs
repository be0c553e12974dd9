//! Bytes that were damaged without being copied, and that know what was read of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{Bytes, Error, Result};

/// The first bytes of a file, some of them replaced.
///
/// Whoever reads them has only so many operations: what would go on for ever ends with an `Io` error that says
/// [`EXHAUSTED`](Self::EXHAUSTED), at the same place each time, however fast the machine is.
pub struct Overlay {
    name: String,
    base: Arc<Vec<u8>>,
    length: usize,
    patch: Option<(usize, Vec<u8>)>,
    reads: AtomicU64,
    read: AtomicU64,
    trace: Option<Mutex<Vec<(u64, u64)>>>,
}

impl Overlay {
    /// What the error says when the operations are used up.
    pub const EXHAUSTED: &str = "more reads than any honest use of this file takes";

    /// Reads that anybody may make.
    const READS: u64 = 1 << 20;

    /// Bytes that anybody may read: the tests' images are far smaller.
    const READ: u64 = 2 << 30;

    /// All bytes, as they are.
    #[must_use]
    pub fn new(name: &str, base: Arc<Vec<u8>>) -> Self {
        let (reads, read, length) = (AtomicU64::new(0), AtomicU64::new(0), base.len());
        Self { name: name.to_owned(), base, length, patch: None, reads, read, trace: None }
    }

    /// Keeps what is read in mind.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Some(Mutex::default());
        self
    }

    /// Cut off after so many bytes.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.length = length.min(self.base.len());
        self
    }

    /// With these bytes at `at`, in place of what was there.
    #[must_use]
    pub fn patched(mut self, at: usize, bytes: &[u8]) -> Self {
        self.patch = Some((at, bytes.to_vec()));
        self
    }

    /// The reads so far, as offset and length, and forgets them.
    pub fn take_trace(&self) -> Vec<(u64, u64)> {
        let Some(trace) = &self.trace else { return Vec::new() };
        std::mem::take(&mut trace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, at: u64, len: usize) -> Result<()> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        let read = self.read.fetch_add(len as u64, Ordering::Relaxed);
        if reads > Self::READS || read > Self::READ {
            return Err(std::io::Error::other(Self::EXHAUSTED).into());
        }
        if let Some(trace) = &self.trace
            && len > 0
        {
            trace.lock().unwrap_or_else(PoisonError::into_inner).push((at, len as u64));
        }
        Ok(())
    }

    fn part(&self, at: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(at).ok()?;
        self.base[..self.length].get(start..start.checked_add(len)?)
    }

    /// The part of `len` bytes at `at` that is replaced: where in it, and by what.
    fn replaced(&self, at: u64, len: usize) -> Option<(usize, &[u8])> {
        let (from, bytes) = self.patch.as_ref()?;
        let (at, end) = (at as usize, at as usize + len);
        let (start, stop) = (at.max(*from), end.min(from + bytes.len()));
        (start < stop).then(|| (start - at, &bytes[start - from..stop - from]))
    }
}

impl Bytes for Overlay {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.length as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        let place = |error: Error| error.at("reading", at, buf.len() as u64).in_file(&self.name);
        self.note(at, buf.len()).map_err(place)?;
        let Some(part) = self.part(at, buf.len()) else {
            let error = Error::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            return Err(error.at("reading", at, buf.len() as u64).in_file(&self.name));
        };
        buf.copy_from_slice(part);
        if let Some((from, bytes)) = self.replaced(at, buf.len()) {
            buf[from..from + bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        let Some(part) = self.part(at, len) else { return false };
        if self.replaced(at, len).is_some() || self.note(at, len).is_err() {
            return false;
        }
        see(part);
        true
    }
}
