//! Looks at whole disks without converting them: comparing, digesting.

use diskferry_block_stream::{ErrorKind, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{self as engine, Difference, Job, Source};

use crate::source::{DiskImage, Input};

impl DiskImage {
    /// The first difference between this disk's content and another's, of content, else of size.
    /// Where one is longer, its rest is compared with zeros.
    ///
    /// # Errors
    /// `Io` or `Damaged` when one of them cannot be read, `Cancelled`.
    pub fn compare(&self, other: &Self, job: &Job) -> Result<Option<Difference>> {
        engine::compare(self.disk(), other.disk(), job).map_err(|error| match error.kind() {
            ErrorKind::Cancelled => error.in_file(self.name()),
            _ => error,
        })
    }
}

impl Input {
    /// What messages call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Image(image) => image.name(),
            Self::Stream(stream) => stream.name(),
        }
    }

    /// The virtual disk's size in bytes, where it is known beforehand.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Image(image) => Some(image.disk().size()),
            Self::Stream(stream) => stream.size(),
        }
    }

    /// The size in bytes that the disk had before its format rounded it up, where the format tells.
    pub fn original_size(&self) -> Option<u64> {
        match self {
            Self::Image(image) => image.top().image().original_size(),
            Self::Stream(stream) => stream.original_size(),
        }
    }

    /// Digests of the virtual disk's content, in hexadecimal, in the order of `algorithms`; and its
    /// size in bytes. They are the same whatever format the disk is stored in.
    ///
    /// # Errors
    /// `Io` or `Damaged` when it cannot be read, `Cancelled`.
    pub fn digest(
        self,
        algorithms: &[Algorithm],
        job: &Job,
    ) -> Result<(u64, Vec<(Algorithm, String)>)> {
        let name = self.name().to_owned();
        let digested = match self {
            Self::Image(image) => {
                engine::digest(Source::Disk(image.disk().as_ref()), algorithms, job)
            }
            Self::Stream(stream) => {
                engine::digest(Source::Stream(stream.into_stream()), algorithms, job)
            }
        };
        digested.map_err(|error| error.in_file(&name))
    }
}
