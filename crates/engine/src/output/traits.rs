//! What takes the bytes of one file of a target.

use diskferry_block_stream::{Bytes, Result};

use crate::job::Job;

/// Takes the bytes of one file of a target.
pub trait Output: Send + Sync {
    /// The name that messages use.
    fn name(&self) -> &str;

    /// In which order it takes bytes.
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
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

    /// All is written, the file has `len` bytes: makes that so, and as durable as was asked for.
    ///
    /// # Errors
    /// `Io` when it cannot, `Misuse` when the target has another, fixed size.
    fn finish(&self, len: u64, job: &Job) -> Result<()>;

    /// What can be done about its storage, where the system gives it that.
    fn storage(&self) -> Option<&dyn Storage> {
        None
    }
}

/// In which order an output takes bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteOrder {
    /// As they come.
    #[default]
    Any,
    /// Front to back: they can only be appended.
    Forward,
}

/// What only a local file can do: its storage can be had from other files, and before it is needed.
pub trait Storage: Send + Sync {
    /// Copies inside the kernel, sharing storage where the file system can.
    ///
    /// Returns how many bytes were copied; the caller does the rest itself. 0 is a refusal.
    ///
    /// # Errors
    /// `Io` when the disk is full or failing; that something is not supported is no error.
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64>;

    /// Whether [`copy_from`](Self::copy_from) would share storage with these bytes' file, where both
    /// offsets are whole blocks.
    fn shares(&self, source: &dyn Bytes) -> bool;

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
}
