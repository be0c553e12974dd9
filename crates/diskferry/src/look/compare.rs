//! Compares whole disks.

use diskferry_block_stream::{ErrorKind, Result};
use diskferry_engine::{self as engine, Difference, Job};

use crate::source::image::DiskImage;

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
