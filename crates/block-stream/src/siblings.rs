//! What lies beside an image: the files that it may name.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::{Bytes, Result};

/// Opens what an image names: its backing file, its extents, its data files.
///
/// A folder is one, an archive, the prefix of a bucket, whatever a caller has. A name comes out of a file, from a
/// stranger: it may be absolute, lead out of the folder, or name a device. What it may lead to is for whoever
/// implements this to decide, and nothing is opened on an image's say-so alone.
pub trait Siblings: Send + Sync {
    /// Opens the file that an image here calls `name`, as its `role` ("backing file").
    ///
    /// # Errors
    /// `Refused` where the name may not be followed; `Io` where there is no such file, with a
    /// [`NotFound`](std::io::ErrorKind::NotFound) as its cause, or where it cannot be opened.
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Sibling>;

    /// The names of the files here that are `wanted` by their names, as [`open`](Self::open) takes them, and in an
    /// order that is always the same: among them is a parent looked for that an image knows by its id alone.
    ///
    /// # Errors
    /// `Io` where they cannot be listed.
    fn names(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<OsString>> {
        let _ = wanted;
        Ok(Vec::new())
    }

    /// Other names, as [`open`](Self::open) takes them, for what an image that was moved calls by these: only an id
    /// tells whether one of them is what it means.
    fn elsewhere(&self, names: &[OsString]) -> Vec<OsString> {
        let _ = names;
        Vec::new()
    }
}

/// A file beside an image.
pub struct Sibling {
    /// Its bytes.
    pub bytes: Arc<dyn Bytes>,
    /// What lies beside it in turn; `None` where nothing does.
    pub siblings: Option<Arc<dyn Siblings>>,
}
