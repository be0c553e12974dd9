//! Bytes that are to be a layer, and what lies beside them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, ErrorKind, Identity, Note, Result, Sibling, Siblings};

use crate::place::file::{self, Access};
use crate::place::folder::Folder;
use crate::place::locks::Locks;
use crate::place::policy::Policy;
use crate::source::options::OpenOptions;

/// What messages call a parent's file.
pub(crate) const BACKING: &str = "backing file";

/// The bytes that are to be a layer.
pub(crate) struct Found {
    pub name: String,
    pub bytes: Arc<dyn Bytes>,
    /// What it names is there; `None` where nothing is beside it: it came through a pipe, or the caller has its
    /// bytes.
    pub siblings: Option<Arc<dyn Siblings>>,
    /// The warning that somebody may be writing to it.
    pub locked: Option<Note>,
}

impl Found {
    /// Bytes that somebody has.
    pub fn of_bytes(bytes: Arc<dyn Bytes>, siblings: Option<Arc<dyn Siblings>>) -> Self {
        Self { name: bytes.name().to_owned(), bytes, siblings, locked: None }
    }

    /// A file that is open already, with nothing beside it.
    ///
    /// # Errors
    /// `Io` where it cannot be read.
    pub fn of_file(name: &str, file: File, access: Access) -> Result<Self> {
        Ok(Self::of_bytes(access.bytes(name, file)?, None))
    }

    /// The file at a path that the caller gives.
    ///
    /// # Errors
    /// `Io` where it cannot be opened.
    pub fn at(path: &Path, options: &OpenOptions) -> Result<Self> {
        let name = path.display().to_string();
        let opened = file::open_random(path)
            .map_err(|error| Error::from(error).doing("opening").in_file(&name))?;
        let found = Self::of_file(&name, opened, options.access)?;
        Ok(Self { siblings: Some(options.folder_of(path)), ..found })
    }

    /// Whether it is a block device.
    pub fn is_device(&self) -> bool {
        matches!(self.bytes.identity(), Identity::Device(_))
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

impl From<Sibling> for Found {
    fn from(Sibling { bytes, siblings }: Sibling) -> Self {
        Self::of_bytes(bytes, siblings)
    }
}

impl OpenOptions {
    /// What lies beside the file at `path`, as far as the policy goes.
    pub(crate) fn folder_of(&self, path: &Path) -> Arc<dyn Siblings> {
        let (path, policy) = (path.to_owned(), Arc::new(self.policy.clone()));
        Arc::new(Folder { path, policy, access: self.access })
    }
}

/// Opens the first of these names that may be followed and leads to a file; absolute ones before others, and those of
/// `elsewhere` last.
///
/// # Errors
/// That of the likeliest name, or of one that leads to a file which cannot be opened.
pub(crate) fn open_first(
    siblings: Option<&Arc<dyn Siblings>>,
    role: &'static str,
    names: &[OsString],
    elsewhere: &[OsString],
) -> Result<Found> {
    let is_absolute = |name: &&OsString| Path::new(name).is_absolute();
    // The likeliest name is the one to complain about.
    let mut complaint: Option<Error> = None;
    let mut missing = None;
    for name in names.iter().filter(is_absolute).chain(names).chain(elsewhere) {
        let error = match open_named(siblings, role, name) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let goes_on = is_absolute(&name) || may_be_another(&error);
        match names.first() == Some(name) {
            _ if !goes_on => return Err(error),
            true => complaint = Some(error),
            false if is_missing(&error) && !is_absolute(&name) => missing = Some(name),
            false => {}
        }
    }
    match (complaint, missing) {
        (Some(error), Some(name)) if error.kind() == ErrorKind::Refused => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let (remedy, cause) = (error.remedy().cloned(), cause.unwrap_or_default());
            let text = format!("{cause}; and there is no '{}' beside the image", name.display());
            Err(Error::refused(text).mended_by(remedy))
        }
        (Some(error), _) => Err(error),
        (None, _) => Err(Error::damaged(format!("a {role} without a name"))),
    }
}

/// Opens what an image calls `name`.
///
/// # Errors
/// As for [`Siblings::open`].
pub(crate) fn open_named(
    siblings: Option<&Arc<dyn Siblings>>,
    role: &'static str,
    name: &OsStr,
) -> Result<Found> {
    match siblings {
        Some(siblings) => siblings.open(role, name).map(Found::from),
        None => Err(Policy::nothing_beside(role, name)),
    }
}

/// Whether a name leads to no file, as far as the error tells.
pub(crate) fn is_missing(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|it| it.downcast_ref());
    let cause = cause.map(std::io::Error::kind);
    matches!(cause, Some(IoErrorKind::NotFound | IoErrorKind::NotADirectory))
}

/// Whether another name may still be the one that is meant.
fn may_be_another(error: &Error) -> bool {
    is_missing(error) || error.kind() == ErrorKind::Refused
}
