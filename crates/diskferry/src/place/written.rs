//! What was just written, to be read back: by handles, as its files have no names yet.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result, Sibling, Siblings};

use crate::place::file::Access;

/// An image that was just written.
pub(crate) struct Written {
    pub file: File,
    pub parts: Vec<WrittenPart>,
}

/// A file that such an image names.
pub(crate) struct WrittenPart {
    /// The name by which the image calls it.
    pub name: String,
    /// What messages call it.
    pub shown: String,
    pub file: File,
}

/// Those files, by the names that the image has for them.
pub(crate) struct Parts(Vec<(String, Arc<dyn Bytes>)>);

impl Parts {
    /// # Errors
    /// `Io` where one cannot be read.
    pub fn open(parts: Vec<WrittenPart>, access: Access) -> Result<Self> {
        let open = |WrittenPart { name, shown, file }| Ok((name, access.bytes(&shown, file)?));
        parts.into_iter().map(open).collect::<Result<_>>().map(Self)
    }
}

impl Siblings for Parts {
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Sibling> {
        let found = self.0.iter().find(|(own, _)| name == own.as_str());
        let missing = || {
            let text = format!("{role} '{}': not a part of what was written", name.display());
            Error::from(io::Error::new(io::ErrorKind::NotFound, text))
        };
        let (_, bytes) = found.ok_or_else(missing)?;
        Ok(Sibling { bytes: Arc::clone(bytes), siblings: None })
    }
}
