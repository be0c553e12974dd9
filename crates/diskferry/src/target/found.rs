//! What is at the path of a target, with nothing done to it.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use diskferry_block_stream::{Error, ErrorKind, Result};

use crate::place::kind::FileKind;

/// What is at the path of a target.
pub(super) enum Found {
    /// Nothing yet, in a folder that is there.
    Nothing,
    /// A regular file.
    File(Metadata),
    /// A block device.
    Device(Metadata),
    /// A named pipe or a character device.
    Pipe(Metadata),
}

impl Found {
    /// # Errors
    /// `Misuse` where nothing can be written to it, `Io` where its folder is missing.
    pub fn at(path: &Path) -> Result<Self> {
        Self::look(path).map_err(|error| error.in_file(&path.display().to_string()))
    }

    fn look(path: &Path) -> Result<Self> {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.is_symlink() {
                    return Err(Error::misuse(
                        "a link that leads nowhere; remove it, or name what it leads to as the target",
                    ));
                }
                check_folder(path)?;
                return Ok(Self::Nothing);
            }
            Err(error) => return Err(error.into()),
        };
        match FileKind::of(&metadata) {
            FileKind::Regular => Ok(Self::File(metadata)),
            FileKind::Block => Ok(Self::Device(metadata)),
            FileKind::Folder => Err(Error::misuse("a folder; name a file in it as the target")),
            FileKind::Stream if metadata.file_type().is_socket() => {
                Err(Error::misuse("a socket cannot be a target"))
            }
            FileKind::Stream => Ok(Self::Pipe(metadata)),
        }
    }
}

fn check_folder(path: &Path) -> Result<()> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(Error::misuse("the name of a folder; name a file as the target"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => return Ok(()),
        None => return Err(Error::misuse("no file name")),
    };
    folder.metadata().map(drop).map_err(|error| {
        Error::new(ErrorKind::Io, format!("the target's folder '{}': {error}", folder.display()))
    })
}
