//! Bytes that are to be a layer, where they are from, and so what is beside them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, ErrorKind, Result};

use super::OpenOptions;
use crate::place::file::{self, Access, FileId, Opened};
use crate::place::locks::Locks;
use crate::place::policy::{Permitted, Policy};
use crate::source::unwrap::Archive;

/// What messages call a parent's file.
pub(crate) const BACKING: &str = "backing file";

/// The bytes that are to be a layer.
pub(crate) struct Source {
    pub name: String,
    pub origin: Origin,
    pub bytes: Arc<dyn Bytes>,
    pub id: FileId,
    /// The warning that somebody may be writing to it.
    pub locked: Option<String>,
}

impl Source {
    pub fn of_file(name: String, origin: Origin, opened: Opened, access: Access) -> Result<Self> {
        let Opened { file, id } = opened;
        let bytes = access.bytes(&name, file)?;
        Ok(Self { name, origin, bytes, id, locked: None })
    }

    /// Asks whether somebody writes to its file.
    ///
    /// # Errors
    /// `Io` where somebody does, and that is minded.
    pub fn minding(mut self, locks: Locks) -> Result<Self> {
        if let Some(file) = self.bytes.file() {
            self.locked = locks.judge(&self.name, file)?;
        }
        Ok(self)
    }
}

/// Where an image is from: what it names is beside it there.
#[derive(Clone)]
pub(crate) enum Origin {
    /// Nothing is beside it: it came through a pipe, or the caller has its bytes.
    Nowhere,
    /// A file of this path.
    Path(PathBuf),
    /// A member of an archive that can be read anywhere.
    Member(Archive),
}

impl Origin {
    /// Opens the file that an image from here names as its `role`, if the policy has it.
    ///
    /// # Errors
    /// `Unsupported` where the policy does not allow it, `Io` where it is not there.
    pub fn open(&self, options: &OpenOptions, role: &'static str, name: &OsStr) -> Result<Source> {
        self.judge(&options.policy, role, name)?.open(options.access, role, name)
    }

    /// Judges the name of a file that an image from here refers to.
    ///
    /// # Errors
    /// As for [`open`](Self::open); nothing was opened then.
    pub fn judge(&self, policy: &Policy, role: &'static str, name: &OsStr) -> Result<Named> {
        match self {
            Self::Nowhere => policy.judge(None, role, name).map(Named::File),
            Self::Path(path) => policy.judge(Some(path), role, name).map(Named::File),
            Self::Member(archive) => {
                let name = policy.judge_in_archive(role, name)?;
                Ok(Named::Member(archive.beside(name)))
            }
        }
    }
}

/// A file that an image may have, not yet opened.
pub(crate) enum Named {
    File(Permitted),
    Member(Archive),
}

impl Named {
    /// # Errors
    /// `Io` where it is not there, or became something else.
    pub fn open(self, access: Access, role: &'static str, name: &OsStr) -> Result<Source> {
        let name = name.display();
        match self {
            Self::File(Permitted { path, real, device }) => {
                let shown = path.display().to_string();
                let opened = file::open_without_links(&real).map_err(|error| {
                    Error::new(ErrorKind::Io, format!("{role} '{name}': {error}"))
                })?;
                if matches!(opened.id, FileId::Block(_)) && !device {
                    return Err(Error::refused(format!("the {role} '{name}' became a device")));
                }
                Source::of_file(shown, Origin::Path(path), opened, access)
            }
            Self::Member(archive) => {
                let missing = || {
                    let text = format!("{role} '{name}': not in the archive");
                    Error::new(ErrorKind::Io, text)
                };
                let part = archive.part().ok_or_else(missing)?;
                let id = FileId::of_member(&archive);
                let (name, bytes) = (part.name().to_owned(), Arc::new(part));
                Ok(Source { name, origin: Origin::Member(archive), bytes, id, locked: None })
            }
        }
    }
}
