//! An opened source: where its disk is from, and the disk.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Identity, Note, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{self as engine, Job};

use crate::place::identity::overlap;
use crate::place::unchanged::Unchanged;
use crate::source::arrived::{Arrived, Arriving};
use crate::source::image::{DiskImage, Layers};
use crate::source::origin::Origin;

/// An opened source.
pub struct Opened {
    /// Where its disk is from.
    pub origin: Origin,
    /// The disk.
    pub body: Body,
}

/// The disk of an opened source.
pub enum Body {
    /// It can be read anywhere, by many threads.
    Random(Layers),
    /// It comes in order, once.
    Forward(Arriving),
}

impl Opened {
    /// A disk that comes in order, out of `file` or of a pipe, of that identity.
    pub(crate) fn arriving(
        arrived: Arrived,
        file: Option<Arc<dyn Bytes>>,
        identity: Identity,
        locked: Option<Note>,
    ) -> Self {
        let Arrived { disk, format, assumed, around } = arrived;
        let name = disk.stream.name().to_owned();
        let warnings = around.notes.iter().cloned().chain(locked).collect();
        let origin =
            Origin { name, format, assumed, around, file, identity, piped: None, warnings };
        Self { origin, body: Body::Forward(disk) }
    }

    /// What messages call the disk.
    pub fn name(&self) -> &str {
        &self.origin.name
    }

    /// The virtual disk's size in bytes, where it is known beforehand.
    pub fn size(&self) -> Option<u64> {
        match &self.body {
            Body::Random(layers) => Some(layers.disk.size()),
            Body::Forward(disk) => disk.size(),
        }
    }

    /// The size in bytes that the disk had before its format rounded it up, where the format tells.
    pub fn original_size(&self) -> Option<u64> {
        match &self.body {
            Body::Random(layers) => layers.top().image().original_size(),
            Body::Forward(disk) => disk.stream.original_size(),
        }
    }

    /// Odd things that do not keep the disk from being read, as far as they are known before it is read.
    pub fn warnings(&self) -> Vec<Note> {
        let own = match &self.body {
            Body::Random(_) => Vec::new(),
            Body::Forward(disk) => disk.stream.warnings(),
        };
        own.into_iter().chain(self.origin.warnings.iter().cloned()).collect()
    }

    /// Whether it can be read only once.
    pub fn is_pipe(&self) -> bool {
        matches!(&self.body, Body::Forward(disk) if disk.packed.is_none())
    }

    /// All files that it is read from, with what they are.
    fn files(&self) -> impl Iterator<Item = (Identity, &Arc<dyn Bytes>)> {
        let layers = match &self.body {
            Body::Random(layers) => Some(layers),
            Body::Forward(_) => None,
        };
        layers.into_iter().flat_map(Layers::files).chain(self.origin.files())
    }

    /// The files that it is read from, as they are now.
    pub(crate) fn unchanged(&self) -> Unchanged {
        Unchanged::of(self.files().map(|(_, bytes)| bytes))
    }

    /// The name of the file that it is read from and `target` is, or shows, where there is one.
    pub(crate) fn file_in_use(&self, target: &Identity) -> Option<&str> {
        if self.is_pipe() && overlap(&self.origin.identity, target) {
            return Some(&self.origin.name);
        }
        let mut files = self.files();
        files.find(|(file, _)| overlap(file, target)).map(|(_, bytes)| bytes.name())
    }

    /// The disk, to be read anywhere. One in a compressed file is, at the price of a pass for each
    /// time that somebody goes back in it, and of another where its size is known only at its end.
    ///
    /// # Errors
    /// `Unsupported` for a pipe; what unpacking fails with.
    pub fn into_image(self) -> Result<DiskImage> {
        let Self { origin, body } = self;
        match body {
            Body::Random(layers) => Ok(DiskImage { origin, layers }),
            Body::Forward(Arriving { packed, stream, .. }) => {
                // It holds a window, which whoever unpacks the file anew needs.
                drop(stream);
                let packed = packed.ok_or_else(|| once_only(&origin.name))?;
                DiskImage::packed(origin, packed)
            }
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
        let source = match self.body {
            Body::Random(ref layers) => engine::Source::Disk(layers.disk.as_ref()),
            Body::Forward(disk) => engine::Source::Stream(disk.stream),
        };
        engine::digest(source, algorithms, job).map_err(|error| error.in_file(&self.origin.name))
    }
}

impl From<DiskImage> for Opened {
    fn from(DiskImage { origin, layers }: DiskImage) -> Self {
        Self { origin, body: Body::Random(layers) }
    }
}

/// The error for a pipe, where a file is needed.
pub(crate) fn once_only(name: &str) -> Error {
    Error::unsupported("a pipe can be read only once, front to back; this needs a file")
        .in_file(name)
}
