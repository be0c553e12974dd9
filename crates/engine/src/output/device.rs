//! A block device: as long as it is, and full of what was there before.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use diskferry_block_stream::{Error, Result};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::retry_on_intr;

use super::sync::sync;
use super::traits::Output;
use super::zeros::write_zeros;
use crate::job::Job;

/// A block device that is overwritten in place.
pub struct DeviceOutput {
    name: String,
    file: File,
    len: u64,
    /// Cleared when the device turns out not to zero ranges by itself.
    zeroes: AtomicBool,
}

impl DeviceOutput {
    /// Opens the device for this process alone: one that is mounted or in use is refused.
    ///
    /// # Errors
    /// `Io` when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::from(error).doing("opening").in_file(&name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            // On a block device, O_EXCL without O_CREAT asks that nobody else holds it.
            .custom_flags(OFlags::EXCL.bits() as i32)
            .open(path)
            .map_err(io)?;
        let len = file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { file, len, zeroes: AtomicBool::new(true), name })
    }

    /// Bytes the device holds.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// What it is, as it was opened.
    ///
    /// # Errors
    /// `Io` when the system does not tell.
    pub fn metadata(&self) -> Result<Metadata> {
        self.file.metadata().map_err(|error| Error::from(error).in_file(&self.name))
    }

    /// Another handle to read back what was written.
    ///
    /// # Errors
    /// `Io` when it cannot be had.
    pub fn reopen(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| Error::from(error).in_file(&self.name))
    }

    /// # Errors
    /// `Misuse` when the device ends before `len` bytes from `at`.
    fn check_end(&self, at: u64, len: u64) -> Result<()> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            end => Err(self.too_small(end.unwrap_or(u64::MAX))),
        }
    }

    fn too_small(&self, len: u64) -> Error {
        Error::misuse(format!("{len} bytes do not fit onto a device of {}", self.len))
            .in_file(&self.name)
    }
}

impl Output for DeviceOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn starts_zero(&self) -> bool {
        false
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.check_end(at, bytes.len() as u64)?;
        self.file.write_all_at(bytes, at).map_err(|error| {
            Error::from(error).at("writing", at, bytes.len() as u64).in_file(&self.name)
        })
    }

    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.check_end(at, len)?;
        if self.zeroes.load(Ordering::Relaxed) {
            // On a block device this is BLKZEROOUT: quick where the hardware can, correct elsewhere.
            let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
            let zeroed = retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, at, len));
            if zeroed.is_ok() {
                return Ok(());
            }
            self.zeroes.store(false, Ordering::Relaxed);
        }
        write_zeros(at, len, |at, zeros| self.write_at(at, zeros))
    }

    fn finish(&self, len: u64, job: &Job) -> Result<()> {
        self.check_end(0, len)?;
        sync(&self.file, job).map_err(|error| error.at("syncing", 0, len).in_file(&self.name))
    }
}
