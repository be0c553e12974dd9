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
use serde::{Deserialize, Serialize};

/// Where an image is, or where one goes.
/// Stored, it is what it is on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Argument", from = "Argument")]
#[non_exhaustive]
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

/// A location as it is on a command line.
#[derive(Serialize, Deserialize)]
struct Argument(PathBuf);

impl From<Location> for Argument {
    fn from(location: Location) -> Self {
        Self(match location {
            Location::Path(path) if path.as_os_str() == "-" => "./-".into(),
            Location::Path(path) => path,
            Location::Standard => "-".into(),
        })
    }
}

impl From<Argument> for Location {
    fn from(argument: Argument) -> Self {
        Self::from_argument(argument.0)
    }
}

/// A path means itself, also `-`.
impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// What begins at that offset in the bytes at this address.
    Part { of: usize, offset: u64 },
    /// What a loop device shows, where no name leads to it any more: any file.
    Lost,
}

impl FileId {
    pub fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            Self::Block(metadata.rdev())
        } else {
            Self::Inode { device: metadata.dev(), inode: metadata.ino() }
        }
    }

    /// What the bytes are: a file, a part of others, or themselves.
    pub fn of_bytes(bytes: &Arc<dyn Bytes>) -> Self {
        let at = |bytes: *const ()| bytes as usize;
        if let Some(metadata) = bytes.file().and_then(|file| file.metadata().ok()) {
            return Self::of(&metadata);
        }
        match bytes.origin(0, 1) {
            Some((whole, offset)) => Self::Part { of: at((&raw const *whole).cast()), offset },
            None => Self::Memory(at(Arc::as_ptr(bytes).cast())),
        }
    }

    /// Whether what is written to one may be read from the other.
    pub fn overlaps(self, other: Self) -> bool {
        let (own, others) = (self.under(), other.under());
        let meets = |whole: &[Under], any: &[Under]| {
            whole
                .iter()
                .filter(|it| it.whole)
                .any(|it| any.iter().any(|other| it.id.may_be(other.id)))
        };
        meets(&own, &others) || meets(&others, &own)
    }

    fn may_be(self, other: Self) -> bool {
        let lost = |a, b| matches!((a, b), (Self::Lost, Self::Inode { .. }));
        self == other || lost(self, other) || lost(other, self)
    }

    /// This, and all that it stores its bytes in, as far as the system tells.
    fn under(self) -> Vec<Under> {
        let mut found = vec![Under { id: self, whole: true }];
        let mut next = 0;
        while let Some(&Under { id, whole }) = found.get(next) {
            next += 1;
            let Self::Block(device) = id else { continue };
            let known: Vec<Self> = found.iter().map(|it| it.id).collect();
            let new = |id: &Self| !known.contains(id);
            let file = loop_file(device).filter(new).map(|id| Under { id, whole });
            let parts = stored_on(device).into_iter().filter(new);
            found.extend(file.into_iter().chain(parts.map(|id| Under { id, whole: false })));
        }
        found
    }
}

/// What a device stores its bytes in.
#[derive(Clone, Copy, Debug)]
struct Under {
    id: FileId,
    /// All of it belongs to the device; of a disk, a partition has only a part.
    whole: bool,
}

/// The file that a loop device shows.
fn loop_file(device: u64) -> Option<FileId> {
    let told = fs::read(sysfs(device).join("loop/backing_file")).ok()?;
    let file = Path::new(OsStr::from_bytes(told.strip_suffix(b"\n").unwrap_or(&told)));
    // The name may be gone, and the file still be there under another.
    Some(file.metadata().map_or(FileId::Lost, |metadata| FileId::of(&metadata)))
}

/// The disk that a partition is on, the devices that a mapped one or an array is made of.
fn stored_on(device: u64) -> Vec<FileId> {
    let own = sysfs(device);
    let slaves = fs::read_dir(own.join("slaves")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = slaves.filter_map(|it| Some(it.ok()?.path())).collect();
    // A partition's folder is in its disk's.
    if own.join("partition").exists() {
        folders.push(own.join(".."));
    }
    let numbers = folders.iter().filter_map(|it| fs::read_to_string(it.join("dev")).ok());
    let devices = numbers.filter_map(|numbers| {
        let (major, minor) = numbers.trim().split_once(':')?;
        Some(FileId::Block(makedev(major.parse().ok()?, minor.parse().ok()?)))
    });
    devices.collect()
}

/// What the system tells about a block device.
fn sysfs(device: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
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

/// Whether a path, such as `/dev/stdin`, leads to what stdin is.
pub(crate) fn is_stdin(metadata: &Metadata) -> bool {
    let own = stdin().ok().and_then(|stdin| stdin.metadata().ok());
    own.is_some_and(|own| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()))
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
    fn what_is_on_a_loop_device_is_in_its_file() {
        let id = |inode| FileId::Inode { device: 1, inode };
        assert!(id(1).overlaps(id(1)));
        assert!(!id(1).overlaps(id(2)));
        // Devices that nothing is known of are themselves only.
        assert!(!FileId::Block(makedev(4000, 1)).overlaps(FileId::Block(makedev(4000, 2))));
        assert!(!FileId::Block(makedev(4000, 1)).overlaps(id(1)));
    }

    /// Every partition that this machine has overlaps its disk, and no other partition of it.
    #[test]
    fn partitions_overlap_their_disk() {
        let devices = fs::read_dir("/sys/dev/block").into_iter().flatten();
        for name in devices.filter_map(|it| it.ok()?.file_name().into_string().ok()) {
            let Some((major, minor)) = name.split_once(':') else { continue };
            let own = makedev(major.parse().unwrap(), minor.parse().unwrap());
            if !sysfs(own).join("partition").exists() {
                continue;
            }
            let disk = stored_on(own);
            assert_eq!(disk.len(), 1, "{name}");
            assert!(disk[0].overlaps(FileId::Block(own)) && FileId::Block(own).overlaps(disk[0]));
        }
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
