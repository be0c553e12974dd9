//! How a source is opened, whatever can be one.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result, Siblings};
use diskferry_engine::{Control, End, ReadBack};

use crate::place::location::Location;
use crate::place::written::Parts;
use crate::source::found::Found;
use crate::source::image::DiskImage;
use crate::source::opened::{Body, Opened};
use crate::source::opening::Opening;
use crate::source::options::OpenOptions;

impl OpenOptions {
    /// Opens a source, whatever can be one. That may take long where an image has to be unpacked to a scratch file,
    /// which is followed and stopped by the `control`.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Damaged` when an image contradicts itself, `Unsupported`
    /// when it needs what is not there or refers to files that the policy does not allow, `Limit`
    /// when it asks for too much, `Misuse` for a snapshot that it does not have.
    pub fn open(&self, location: &Location, control: &Control) -> Result<Opened> {
        let opened = Opening::new(self, control).open(location)?.opened()?;
        match &opened.body {
            Body::Forward(_) if self.parent.is_some() => {
                let text =
                    "it comes in order, and is never over a parent that another file could be";
                Err(Error::misuse(text).in_file(opened.name()))
            }
            _ => Ok(opened),
        }
    }

    /// Opens an image that can be read anywhere: not a pipe.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and `Unsupported` for a pipe.
    pub fn open_image(&self, location: &Location, control: &Control) -> Result<DiskImage> {
        self.open(location, control)?.into_image()
    }

    /// Opens an image in a file that is open already. Nothing is beside it: what it refers to
    /// cannot be found.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_file(&self, name: &str, file: File, control: &Control) -> Result<DiskImage> {
        let found = Found::of_file(name, file, self.access)?;
        Opening::new(self, control).open_found(found.minding(self.locks)?)?.opened()?.into_image()
    }

    /// Opens an image whose bytes the caller has: in memory, or out of a store of its own. What it refers to
    /// is looked for beside `path`, as if it were there; without one, nothing is beside it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_bytes(
        &self,
        bytes: Arc<dyn Bytes>,
        path: Option<&Path>,
        control: &Control,
    ) -> Result<DiskImage> {
        self.open_beside(bytes, path.map(|path| self.folder_of(path)), control)
    }

    /// The same, where the caller says what lies beside it, and so who opens what it refers to.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and those of the siblings.
    pub fn open_beside(
        &self,
        bytes: Arc<dyn Bytes>,
        siblings: Option<Arc<dyn Siblings>>,
        control: &Control,
    ) -> Result<DiskImage> {
        Opening::new(self, control)
            .open_found(Found::of_bytes(bytes, siblings))?
            .opened()?
            .into_image()
    }

    /// Opens an image that was just written, as its files have no names yet. Whoever else has a device
    /// open that was the target is not asked for.
    pub(crate) fn open_written(
        &self,
        name: &str,
        written: ReadBack,
        control: &Control,
    ) -> Result<DiskImage> {
        let ReadBack { bytes, parts, end } = written;
        let siblings: Option<Arc<dyn Siblings>> = match parts.is_empty() {
            true => None,
            false => Some(Arc::new(Parts(parts))),
        };
        let found = Found { name: name.to_owned(), ..Found::of_bytes(bytes, siblings) };
        let opening = Opening::new(self, control);
        let outcome = match end {
            End::AsWritten => opening.open_found(found),
            End::WithDevice => opening.open_device(found),
        };
        outcome?.opened()?.into_image()
    }
}
