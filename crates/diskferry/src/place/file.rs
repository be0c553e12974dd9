//! Opens files with care: what they are is known before they are opened, and checked after.
//!
//! Opening a pipe can wait for ever, and opening a device can do things (rewind a tape, start a
//! watchdog). So only regular files and block devices are opened for random access, and a file that
//! is swapped for another in between is noticed.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Identity, Result};
use diskferry_engine::{FileBytes, MappedBytes};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::place::kind::FileKind;

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

/// Opens a regular file or a block device for reading.
///
/// # Errors
/// What the system reports; also when it is anything else, or was swapped for another file
/// meanwhile.
pub(crate) fn open_random(path: &Path) -> io::Result<File> {
    open_checked(path.metadata()?, |flags| {
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
    })
}

/// Opens a file that an image named and the policy found at this path, which has no links left in
/// it. Should one have been put there meanwhile, it is not followed.
///
/// # Errors
/// As for [`open_random`].
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
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
) -> io::Result<File> {
    match FileKind::of(&before) {
        FileKind::Regular | FileKind::Block => {}
        FileKind::Folder => return Err(io::Error::other("a folder, not an image")),
        FileKind::Stream => return Err(io::Error::other("neither a file nor a block device")),
    }
    // Should a pipe take the file's place now, O_NONBLOCK keeps this from waiting for its writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(flags)?;
    if Identity::of(&file.metadata()?) != Identity::of(&before) {
        return Err(io::Error::other("replaced by another file while it was opened"));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use rustix::fs::FileType;

    use super::*;

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
