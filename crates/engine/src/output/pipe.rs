//! A pipe, or anything else that only takes bytes in order.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use diskferry_block_stream::{Error, Result};

use super::traits::{Output, WriteOrder};
use super::zeros::write_zeros;
use crate::job::Job;

/// Bytes in order, such as to stdout.
pub struct PipeOutput<W> {
    name: String,
    /// The writer, and how many bytes it has had.
    writer: Mutex<(W, u64)>,
}

impl<W: Write + Send> PipeOutput<W> {
    /// Wraps a writer; `name` is what messages call it.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer: Mutex::new((writer, 0)) }
    }

    /// The writer.
    pub(crate) fn into_inner(self) -> W {
        self.writer.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }

    fn advance(&self, to: u64, bytes: &[u8]) -> Result<()> {
        let mut guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, passed) = &mut *guard;
        let mut append = |at: u64, bytes: &[u8]| {
            writer.write_all(bytes).map_err(|error| {
                Error::from(error).at("writing", at, bytes.len() as u64).in_file(&self.name)
            })
        };
        let gap = to.checked_sub(*passed).ok_or_else(|| {
            Error::misuse(format!("{to:#x} comes after {passed:#x} in a pipe")).in_file(&self.name)
        })?;
        write_zeros(*passed, gap, &mut append)?;
        append(to, bytes)?;
        *passed = to + bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write + Send> Output for PipeOutput<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self) -> WriteOrder {
        WriteOrder::Forward
    }

    /// Gaps are filled with zeros when what follows them is written.
    fn starts_zero(&self) -> bool {
        true
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.advance(at, bytes)
    }

    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.advance(at + len, &[])
    }

    fn finish(&self, len: u64, _job: &Job) -> Result<()> {
        self.advance(len, &[])?;
        let mut guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.flush().map_err(|error| Error::from(error).doing("flushing").in_file(&self.name))
    }
}
