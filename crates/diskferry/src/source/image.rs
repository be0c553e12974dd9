//! An opened image with its backing chain, and what there is to ask of it.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, Identity, Image, Note, ParentRef, Result, Siblings};

use crate::format::Format;
use crate::source::around::Around;
use crate::source::arrived::{Arrived, Packed};
use crate::source::origin::Origin;

/// An opened image with its backing chain.
pub struct DiskImage {
    pub(crate) origin: Origin,
    pub(crate) layers: Layers,
}

/// A disk that can be read anywhere: an image, and what it is backed by.
pub struct Layers {
    pub(crate) disk: Arc<dyn Disk>,
    /// The image itself, then its backing files from the nearest to the base.
    pub(crate) layers: Vec<Layer>,
    pub(crate) missing: Option<Missing>,
    pub(crate) snapshot: Option<String>,
    /// It is unpacked anew by whoever reads it.
    pub(crate) is_packed: bool,
}

/// One image of a chain.
pub struct Layer {
    pub(crate) name: String,
    pub(crate) siblings: Option<Arc<dyn Siblings>>,
    pub(crate) format: Format,
    pub(crate) assumed: bool,
    pub(crate) image: Arc<dyn Image>,
    pub(crate) bytes: Arc<dyn Bytes>,
    /// Its data files.
    pub(crate) others: Vec<Arc<dyn Bytes>>,
}

/// A backing file that could not be opened.
pub(crate) struct Missing {
    pub parent: ParentRef,
    pub error: Note,
}

impl DiskImage {
    /// Where it is from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The virtual disk, over the whole chain.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.layers.disk
    }

    /// The image's own format.
    pub fn format(&self) -> Format {
        self.top().format
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.top().name
    }

    /// The image itself, then its backing files from the nearest to the base.
    pub fn layers(&self) -> &[Layer] {
        &self.layers.layers
    }

    /// Odd things that do not keep the disk from being read, in the image and its chain.
    pub fn warnings(&self) -> &[Note] {
        &self.origin.warnings
    }

    /// Whether it is in a compressed file, and unpacked anew by whoever reads it.
    pub(crate) fn is_packed(&self) -> bool {
        self.layers.is_packed
    }

    /// The disk of a compressed file, to be read anywhere.
    ///
    /// # Errors
    /// What unpacking it fails with.
    pub(super) fn packed(origin: Origin, packed: Packed) -> Result<Self> {
        let bytes = Arc::clone(origin.file.as_ref().unwrap_or(&packed.bytes));
        let (Arrived { disk, format, assumed, around }, image) = packed.into_image()?;
        let (mut warnings, name) = (origin.warnings, disk.stream.name().to_owned());
        warnings.extend(disk.stream.warnings());
        let image: Arc<dyn Image> = Arc::new(image);
        let disk = Arc::clone(&image) as Arc<dyn Disk>;
        let layer = Layer {
            name: name.clone(),
            siblings: None,
            format,
            assumed,
            image,
            bytes,
            others: Vec::new(),
        };
        let layers =
            Layers { disk, layers: vec![layer], missing: None, snapshot: None, is_packed: true };
        Ok(Self { origin: Origin { name, format, assumed, around, warnings, ..origin }, layers })
    }

    /// What is around the disk.
    pub(crate) fn around(&self) -> &Around {
        &self.origin.around
    }

    /// The file that it is in, with all that is around it.
    pub(crate) fn file(&self) -> &Arc<dyn Bytes> {
        self.origin.file.as_ref().unwrap_or(&self.top().bytes)
    }

    /// The layer on top.
    pub(crate) fn top(&self) -> &Layer {
        self.layers.top()
    }
}

impl Layers {
    /// The image itself.
    pub(crate) fn top(&self) -> &Layer {
        &self.layers[0]
    }

    /// All files that they are read from, with what they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Identity, &Arc<dyn Bytes>)> {
        let own = self.layers.iter().map(|layer| &layer.bytes);
        let others = self.layers.iter().flat_map(|layer| &layer.others);
        own.chain(others).map(|bytes| (bytes.identity(), bytes))
    }
}

impl Layer {
    /// What messages call it: the path, as it was given or named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is taken for raw only because it bears no other format's signature.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// The opened image.
    pub fn image(&self) -> &Arc<dyn Image> {
        &self.image
    }

    /// The bytes of its file.
    pub fn bytes(&self) -> &Arc<dyn Bytes> {
        &self.bytes
    }

    /// The bytes of the files that it has beside it, other than its backing file.
    pub fn data_files(&self) -> impl Iterator<Item = &Arc<dyn Bytes>> {
        self.others.iter()
    }
}
