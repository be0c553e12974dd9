//! The streams that a process is given.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use diskferry_block_stream::{Error, Identity, Result};
use rustix::fs::{OFlags, makedev};

/// A handle of its own to stdin.
///
/// # Errors
/// `Io` when stdin is closed.
pub(crate) fn stdin() -> Result<File> {
    own_handle(io::stdin().as_fd()).map_err(|error| Error::from(error).in_file(STDIN))
}

/// Whether a path, such as `/dev/stdin`, leads to what stdin is.
pub(crate) fn is_stdin(metadata: &Metadata) -> bool {
    let own = stdin().ok().and_then(|stdin| stdin.metadata().ok());
    own.is_some_and(|own| Identity::of(&own) == Identity::of(metadata))
}

/// A handle of its own to stdout.
///
/// # Errors
/// `Io` when stdout is closed.
pub(crate) fn stdout() -> Result<File> {
    own_handle(io::stdout().as_fd()).map_err(|error| Error::from(error).in_file(STDOUT))
}

/// In the place of a standard stream that is closed when a process starts, Rust's runtime opens
/// `/dev/null` for both reading and writing, which hardly anybody does who means it. A disk that is
/// written there is lost, and one that is read from there is empty.
fn own_handle(stream: BorrowedFd<'_>) -> io::Result<File> {
    let file = File::from(stream.try_clone_to_owned()?);
    let null = makedev(1, 3);
    let metadata = file.metadata()?;
    if metadata.file_type().is_char_device()
        && metadata.rdev() == null
        && rustix::fs::fcntl_getfl(&file)?.contains(OFlags::RDWR)
    {
        return Err(io::Error::other("it is closed"));
    }
    Ok(file)
}

/// What messages call stdin.
pub(crate) const STDIN: &str = "stdin";

/// What messages call stdout.
pub(crate) const STDOUT: &str = "stdout";
