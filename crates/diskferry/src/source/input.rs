//! An opened source: an image, or a disk that arrives in order.

use std::fs::File;

use diskferry_block_stream::{Error, Result};

use super::image::DiskImage;
use crate::place::unchanged::Unchanged;
use crate::source::stream::StreamInput;
use crate::source::unwrap::Around;

/// An opened source.
pub enum Input {
    /// An image that can be read anywhere.
    Image(DiskImage),
    /// A disk that arrives in order.
    Stream(StreamInput),
}

impl Input {
    /// What is around the disk.
    pub(crate) fn around(&self) -> &Around {
        match self {
            Self::Image(image) => image.around(),
            Self::Stream(stream) => stream.around(),
        }
    }

    /// Odd things that do not keep the disk from being read, as far as they are known before it is read.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Image(image) => image.warnings().to_vec(),
            Self::Stream(stream) => stream.info().warnings,
        }
    }

    /// The same, with a warning of the file that it is in.
    pub(super) fn warned(mut self, warning: Option<String>) -> Self {
        match &mut self {
            Self::Image(image) => image.warnings.extend(warning),
            Self::Stream(stream) => stream.locked = warning,
        }
        self
    }

    /// The files that it is read from, as they are now.
    pub(crate) fn unchanged(&self) -> Unchanged {
        match self {
            Self::Image(image) => Unchanged::of(image.files()),
            Self::Stream(stream) => {
                let around = stream.around().files.iter().map(|other| &other.bytes);
                Unchanged::of(stream.file().into_iter().chain(around))
            }
        }
    }

    /// Knows that so many bytes of a pipe were read for it.
    pub(super) fn out_of_pipe(mut self, piped: u64) -> Self {
        if let Self::Image(DiskImage { wrapped: Some(wrapped), .. }) = &mut self {
            wrapped.piped = Some(piped);
        }
        self
    }

    /// The disk, to be read anywhere. One in a compressed file is, at the price of a pass for each
    /// time that somebody goes back in it, and of another where its size is known only at its end.
    ///
    /// # Errors
    /// `Unsupported` for a pipe; what unpacking fails with.
    pub fn into_image(self) -> Result<DiskImage> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Stream(stream) => {
                let name = stream.name().to_owned();
                let (packed, id) = stream.into_packed().ok_or_else(|| once_only(&name))?;
                DiskImage::packed(packed, id)
            }
        }
    }
}

pub(super) fn once_only(name: &str) -> Error {
    Error::unsupported("a pipe can be read only once, front to back; this needs a file")
        .in_file(name)
}

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
