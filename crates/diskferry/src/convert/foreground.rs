//! What there is to look at before any work.

use std::sync::Arc;

use diskferry_block_stream::Disk;

use crate::convert::beginning::Beginning;
use crate::source::image::DiskImage;

/// What there is to look at before any work.
pub(crate) enum Foreground<'a> {
    /// An image, and the disk that is made of it.
    Disk(&'a DiskImage, &'a Arc<dyn Disk>),
    /// The name of a stream, and what it begins with, where that was looked at.
    Stream(&'a str, Option<&'a Beginning>),
}
