//! Where a conversion goes: a file that appears only when it is whole, a block device, a pipe.

mod device;
mod file;
mod partial;
mod pipe;

pub use device::DeviceOutput;
pub use file::{Durability, FileOutput, Replace};
pub use partial::{Entry, Kept, left_behind};
pub use pipe::PipeOutput;

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use diskferry_block_stream::{Bytes, Error, Result};

use crate::Job;

/// Takes the bytes of a target.
pub trait Output: Send + Sync {
    /// The name that messages use.
    fn name(&self) -> &str;

    /// Whether bytes can only be appended; [`write_at`](Self::write_at) is then called in order.
    fn forward_only(&self) -> bool {
        false
    }

    /// Whether a part that is never written reads as zeros.
    fn starts_zero(&self) -> bool;

    /// Writes `bytes` at `at`; called from many threads.
    ///
    /// # Errors
    /// `Io` when it cannot.
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()>;

    /// Makes `len` bytes at `at` read as zeros. Called only where [`starts_zero`](Self::starts_zero)
    /// is not so, or where bytes can only be appended.
    ///
    /// # Errors
    /// `Io` when it cannot.
    fn zero(&self, at: u64, len: u64) -> Result<()>;

    /// Copies inside the kernel, sharing storage where the file system can.
    ///
    /// Returns how many bytes were copied; the caller does the rest itself. 0 is a refusal.
    ///
    /// # Errors
    /// `Io` when the disk is full or failing; that something is not supported is no error.
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64> {
        let _ = (source, from, at, len);
        Ok(0)
    }

    /// Whether [`copy_from`](Self::copy_from) would share storage with these bytes' file, where both
    /// offsets are whole blocks.
    fn shares(&self, source: &dyn Bytes) -> bool {
        let _ = source;
        false
    }

    /// Reserves storage for the first `len` bytes.
    ///
    /// # Errors
    /// `Io` when there is no room.
    fn allocate(&self, len: u64) -> Result<()>;

    /// Writes zeros wherever the first `len` bytes have no storage yet.
    ///
    /// # Errors
    /// `Io` when there is no room, `Cancelled` when the job is.
    fn fill(&self, len: u64, job: &Job) -> Result<()>;

    /// All is written, the target has `len` bytes: makes that so, and as durable as was asked for.
    ///
    /// # Errors
    /// `Io` when it cannot, `Misuse` when the target has another, fixed size.
    fn finish(&self, len: u64, job: &Job) -> Result<()>;
}

/// The folder of a target.
fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Zeros to write where nothing shorter does.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Writes `len` zeros through `write`.
pub(crate) fn write_zeros(
    mut at: u64,
    mut len: u64,
    mut write: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    while len > 0 {
        let step = len.min(ZEROS.len() as u64);
        write(at, &ZEROS[..step as usize])?;
        at += step;
        len -= step;
    }
    Ok(())
}

/// Makes a file's bytes durable, without being deaf to a request to stop: nothing can interrupt
/// the system call itself, and there may be gigabytes to write back.
fn sync(file: &File, job: &Job) -> Result<()> {
    let handle = file.try_clone()?;
    let (done, result) = mpsc::channel();
    std::thread::Builder::new().name("ferry-sync".into()).spawn(move || {
        // The receiver is gone when the job was cancelled; nobody needs the answer then.
        let _ = done.send(handle.sync_all());
    })?;
    loop {
        match result.recv_timeout(Duration::from_millis(50)) {
            Ok(synced) => return Ok(synced?),
            Err(mpsc::RecvTimeoutError::Timeout) => job.cancel.check()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::from(std::io::Error::other("the syncing thread ended early")));
            }
        }
    }
}
