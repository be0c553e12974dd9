//! Opens files with care: what they are is known before they are opened, and checked after.
//!
//! Opening a pipe can wait for ever, and opening a device can do things (rewind a tape, start a
//! watchdog). So only regular files and block devices are opened for random access, and a file that
//! is swapped for another in between is noticed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result};
use diskferry_engine::{FileBytes, MappedBytes};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, makedev, open, openat2};
use rustix::io::Errno;

/// Where an image is, or where one goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A path to a file, a block device or a named pipe.
    Path(PathBuf),
    /// The process's stdin as a source, its stdout as a target.
    Standard,
}

impl Location {
    /// What an argument means on a command line, where `-` is stdin or stdout.
    pub fn from_argument(argument: impl Into<PathBuf>) -> Self {
        let path = argument.into();
        if path.as_os_str() == "-" { Self::Standard } else { Self::Path(path) }
    }
}

/// A path means itself, also `-`.
impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Standard => f.write_str("-"),
        }
    }
}

/// How the bytes of a source file are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// As is quickest.
    #[default]
    Auto,
    /// Through a memory map, where that is safe; else by reads.
    Map,
    /// By reads at positions.
    Read,
}

impl Access {
    /// The bytes of an open file.
    pub(crate) fn bytes(self, name: &str, file: File) -> Result<Arc<dyn Bytes>> {
        let file = FileBytes::new(name, file)?;
        Ok(match self {
            Self::Auto | Self::Read => Arc::new(file),
            Self::Map => match MappedBytes::new(file) {
                Ok(mapped) => Arc::new(mapped),
                Err(file) => Arc::new(file),
            },
        })
    }
}

/// What makes two names the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileId {
    /// A block device, whatever node leads to it.
    Block(u64),
    /// Anything else, by its place in a file system.
    Inode { device: u64, inode: u64 },
    /// No file: bytes at this address.
    Memory(usize),
}

impl FileId {
    pub fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            Self::Block(metadata.rdev())
        } else {
            Self::Inode { device: metadata.dev(), inode: metadata.ino() }
        }
    }

    /// Bytes that are no file's.
    pub fn of_bytes(bytes: &Arc<dyn Bytes>) -> Self {
        Self::Memory(Arc::as_ptr(bytes).cast::<()>() as usize)
    }

    /// Whether what is written to one is read from the other.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self.behind() == Some(other) || other.behind() == Some(self)
    }

    /// The file that a loop device shows, where this is one and its file can be told.
    fn behind(self) -> Option<Self> {
        let Self::Block(device) = self else { return None };
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        // A partition of a loop device has its device's folder around its own.
        let path = |place: &str| format!("/sys/dev/block/{major}:{minor}/{place}/backing_file");
        let told = ["loop", "../loop"].iter().find_map(|place| fs::read(path(place)).ok())?;
        let file = Path::new(OsStr::from_bytes(told.trim_ascii_end()));
        file.metadata().ok().map(|metadata| Self::of(&metadata))
    }
}

/// What can be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Regular,
    Block,
    /// Read or written in order only: pipes, terminals, `/dev/null`.
    Stream,
    Folder,
}

impl Sort {
    pub fn of(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        if kind.is_file() {
            Self::Regular
        } else if kind.is_block_device() {
            Self::Block
        } else if kind.is_dir() {
            Self::Folder
        } else {
            Self::Stream
        }
    }

    /// Whether any byte can be read at any time.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Regular | Self::Block)
    }
}

/// A file for random access, with what makes it the same as another.
pub(crate) struct Opened {
    pub file: File,
    pub id: FileId,
}

/// Opens a regular file or a block device for reading.
///
/// # Errors
/// What the system reports; also when it is anything else, or was swapped for another file
/// meanwhile.
pub(crate) fn open_random(path: &Path) -> io::Result<Opened> {
    open_checked(path.metadata()?, |flags| {
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
    })
}

/// Opens a file that an image named and the policy found at this path, which has no links left in
/// it. Should one have been put there meanwhile, it is not followed.
///
/// # Errors
/// As for [`open_random`].
pub(crate) fn open_without_links(path: &Path) -> io::Result<Opened> {
    open_checked(path.symlink_metadata()?, |flags| {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        let whole = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        let opened = match whole {
            // A kernel before 5.6: at least the last part is no link.
            Err(Errno::NOSYS) => open(path, flags | OFlags::NOFOLLOW, Mode::empty()),
            other => other,
        };
        Ok(File::from(opened?))
    })
}

fn open_checked(
    before: Metadata,
    open: impl FnOnce(OFlags) -> io::Result<File>,
) -> io::Result<Opened> {
    match Sort::of(&before) {
        Sort::Regular | Sort::Block => {}
        Sort::Folder => return Err(io::Error::other("a folder, not an image")),
        Sort::Stream => return Err(io::Error::other("neither a file nor a block device")),
    }
    // Should a pipe take the file's place now, O_NONBLOCK keeps this from waiting for its writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(flags)?;
    let id = FileId::of(&file.metadata()?);
    if id != FileId::of(&before) {
        return Err(io::Error::other("replaced by another file while it was opened"));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(Opened { file, id })
}

/// A handle of its own to stdin.
///
/// # Errors
/// `Io` when stdin is closed.
pub(crate) fn stdin() -> Result<File> {
    own_handle(io::stdin().as_fd()).map_err(|error| Error::from(error).in_file(STDIN))
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

#[cfg(test)]
mod tests {
    use rustix::fs::{FileType, Mode};

    use super::*;

    #[test]
    fn a_dash_is_a_standard_stream_only_as_an_argument() {
        assert_eq!(Location::from_argument("-"), Location::Standard);
        assert_eq!(Location::from_argument("./-"), Location::Path("./-".into()));
        assert_eq!(Location::from(Path::new("-")), Location::Path("-".into()));
    }

    #[test]
    fn hard_links_are_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, c) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
        fs::write(&a, b"").unwrap();
        fs::hard_link(&a, &b).unwrap();
        fs::write(&c, b"").unwrap();
        let id = |path: &Path| FileId::of(&path.metadata().unwrap());
        assert_eq!(id(&a), id(&b));
        assert_ne!(id(&a), id(&c));
    }

    #[test]
    fn neither_pipes_nor_folders_nor_devices_are_opened_as_images() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
            assert!(open_random(path).is_err(), "{path:?}");
        }
    }
}
