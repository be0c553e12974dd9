//! Carries bytes to their place in the output, leaving out what reads as zeros anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use diskferry_block_stream::{Bytes, Cancel, Result, Sink};
use diskferry_codec::zeros;

use super::digests::ZERO_STEP;
use super::done::Done;
use super::options::Zeros;
use super::placed::{Placed, Write};
use super::work::RUN;
use crate::output::{Output, Storage, WriteOrder};
use crate::sequence::Buffers;

/// Runs of zeros inside written bytes that become holes: whole blocks of the usual size.
const HOLE: usize = 4096;

/// Carries out writes, and counts what they carry.
pub(super) struct Writer<'a> {
    pub(super) output: &'a dyn Output,
    /// Where a flat file has the disk's first byte.
    base: u64,
    holes: Holes,
    storage: Option<&'a dyn Storage>,
    count: Count,
    copied: AtomicU64,
    /// The kernel has refused to copy between these files.
    refused: AtomicBool,
}

/// What becomes of zeros among the bytes that are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holes {
    /// Nobody looks for them, or they have to be written.
    None,
    /// Whole blocks of them are left out.
    Blocks,
}

/// When bytes of the disk count as copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// When they are written, holes left out.
    Written,
    /// When their chunk is placed.
    Placed,
}

impl<'a> Writer<'a> {
    pub(super) fn new(output: &'a dyn Output, base: u64, zeros: Zeros, count: Count) -> Self {
        let holes = match zeros {
            Zeros::Scan if starts_empty(output) => Holes::Blocks,
            Zeros::Scan | Zeros::Trust => Holes::None,
        };
        Self {
            output,
            base,
            holes,
            storage: output.storage(),
            count,
            copied: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        }
    }

    /// Where a flat file has these bytes.
    pub(super) fn place(&self, done: Done) -> Result<Placed> {
        Placed::flat(done, self.base)
    }

    /// Bytes of the disk that were stored.
    pub(super) fn copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_written(&self, bytes: u64) {
        if self.count == Count::Written {
            self.count(bytes);
        }
    }

    pub(super) fn write(
        &self,
        write: &Write,
        buffers: &Buffers,
        files: &[Arc<dyn Bytes>],
        cancel: &Cancel,
    ) -> Result<()> {
        match *write {
            Write::Input { at, ref range } => self.sparse(at, &buffers.input[range.clone()]),
            Write::Packed { at, ref range } => {
                self.output.write_at(at, &buffers.packed[range.clone()])
            }
            Write::Zeros { at, length } => zero(self.output, at, length, cancel),
            Write::Splice { at, file, offset, length } => {
                self.count_written(length);
                self.splice(at, files[file as usize].as_ref(), offset, length)
            }
        }
    }

    /// Writes bytes, leaving holes for whole blocks of zeros where those read as zeros anyway.
    fn sparse(&self, at: u64, bytes: &[u8]) -> Result<()> {
        if self.holes == Holes::None {
            self.count_written(bytes.len() as u64);
            return self.output.write_at(at, bytes);
        }
        for (range, zero) in zeros::runs(bytes, HOLE) {
            if !zero {
                self.count_written(range.len() as u64);
                self.output.write_at(at + range.start as u64, &bytes[range])?;
            }
        }
        Ok(())
    }

    /// Lets the kernel copy; does it by hand from where the kernel refuses.
    fn splice(&self, at: u64, file: &dyn Bytes, offset: u64, length: u64) -> Result<()> {
        let mut done = 0;
        if let Some(storage) = self.storage
            && !self.refused.load(Ordering::Relaxed)
        {
            done = storage.copy_from(file, offset, at, length)?;
            if done < length {
                self.refused.store(true, Ordering::Relaxed);
            }
        }
        let mut buf = vec![0; RUN.min(length - done) as usize];
        while done < length {
            let part = &mut buf[..RUN.min(length - done) as usize];
            file.read_at(offset + done, part)?;
            self.output.write_at(at + done, part)?;
            done += part.len() as u64;
        }
        Ok(())
    }
}

/// Gives a layout's own bytes to the output.
pub(super) struct OutputSink<'a> {
    pub(super) output: &'a dyn Output,
    pub(super) cancel: &'a Cancel,
}

impl Sink for OutputSink<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.cancel.check()?;
        self.output.write_at(at, bytes)
    }

    fn zeros(&mut self, at: u64, len: u64) -> Result<()> {
        self.cancel.check()?;
        zero(self.output, at, len, self.cancel)
    }
}

/// Makes a part of the output read as zeros, where it does not already.
///
/// A pipe gets them now rather than with what follows: there may be terabytes, and only here can
/// somebody stop them.
pub(super) fn zero(output: &dyn Output, mut at: u64, mut len: u64, cancel: &Cancel) -> Result<()> {
    if starts_empty(output) {
        return Ok(());
    }
    while len > 0 {
        cancel.check()?;
        let step = len.min(ZERO_STEP);
        output.zero(at, step)?;
        at += step;
        len -= step;
    }
    Ok(())
}

/// Whether what is never written reads as zeros, without anybody's doing.
pub(super) fn starts_empty(output: &dyn Output) -> bool {
    output.starts_zero() && output.order() == WriteOrder::Any
}
