//! The files of what was just written, to be read back: they have no names yet.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result, Sibling, Siblings};

/// The further files of an image that was just written, by the names that it has for them.
pub(crate) struct Parts(pub Vec<(String, Arc<dyn Bytes>)>);

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
