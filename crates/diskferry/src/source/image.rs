//! An opened image with its backing chain, and what there is to ask of it.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, Image, ParentRef, Problem, Result};
use diskferry_engine::Job;

use super::found::Origin;
use crate::format::Format;
use crate::place::file::FileId;
use crate::source::unwrap::{Archive, Around, Arrived, Packed};

/// An opened image with its backing chain.
pub struct DiskImage {
    pub(super) disk: Arc<dyn Disk>,
    /// The image itself, then what it is backed by.
    pub(super) layers: Vec<Layer>,
    pub(super) missing: Option<Missing>,
    pub(super) warnings: Vec<String>,
    pub(super) snapshot: Option<String>,
    pub(super) wrapped: Option<Wrapped>,
    /// It is unpacked anew by whoever reads it.
    pub(super) is_packed: bool,
}

/// One image of a chain.
pub struct Layer {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) format: Format,
    pub(super) assumed: bool,
    pub(super) image: Arc<dyn Image>,
    pub(super) bytes: Arc<dyn Bytes>,
    pub(super) id: FileId,
    /// Its data files.
    pub(super) others: Vec<Neighbour>,
}

/// What the top layer of an image came out of.
pub(super) struct Wrapped {
    pub around: Around,
    pub file: Arc<dyn Bytes>,
    /// Bytes that came out of the pipe, where that is what it came out of.
    pub piped: Option<u64>,
}

/// A file that an image has beside it, other than its backing file.
#[derive(Clone)]
pub(crate) struct Neighbour {
    pub id: FileId,
    pub bytes: Arc<dyn Bytes>,
}

/// A backing file that could not be opened.
pub(crate) struct Missing {
    pub parent: ParentRef,
    pub error: String,
}

impl DiskImage {
    /// The virtual disk, over the whole chain.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
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
        &self.layers
    }

    /// Odd things that do not keep the disk from being read, in the image and its chain.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reports what opening warned of in the image itself, without its backing files; then reads every
    /// table of it, and reports each problem. Of an OVF package the digests in the manifest are
    /// compared, of a compressed file all is read: checksums are all that there is to check.
    ///
    /// # Errors
    /// `Io` when a table cannot be read, `Limit` when checking would need too much memory,
    /// `Cancelled`.
    pub fn check(&self, job: &Job, report: &mut dyn FnMut(Problem)) -> Result<()> {
        for Archive { package, member } in &self.around().archives {
            package.object_to_capacity(member, self.disk.size(), &mut |objection| {
                objection.into_problem().into_iter().for_each(&mut *report);
            });
            let checked = package.check(&job.cancel, &job.progress, report);
            checked.map_err(|error| error.in_file(self.file().name()))?;
        }
        self.top().image.check(&job.cancel, &job.progress, report)
    }

    /// Whether it is in a compressed file, and unpacked anew by whoever reads it.
    pub(crate) fn is_packed(&self) -> bool {
        self.is_packed
    }

    pub(super) fn packed(packed: Packed, id: FileId) -> Result<Self> {
        let bytes = Arc::clone(packed.file());
        let (Arrived { stream, format, assumed, around, .. }, image) = packed.into_image()?;
        let name = stream.name().to_owned();
        let image: Arc<dyn Image> = Arc::new(image);
        let disk = Arc::clone(&image) as Arc<dyn Disk>;
        let file = Arc::clone(&bytes);
        let layer = Layer {
            name,
            origin: Origin::Nowhere,
            format,
            assumed,
            image,
            bytes,
            id,
            others: Vec::new(),
        };
        Ok(Self {
            disk,
            layers: vec![layer],
            missing: None,
            warnings: around.notes.iter().cloned().chain(stream.warnings()).collect(),
            snapshot: None,
            wrapped: Some(Wrapped { around, file, piped: None }),
            is_packed: true,
        })
    }

    /// What is around the disk.
    pub(crate) fn around(&self) -> &Around {
        static NOTHING: Around = Around {
            layers: Vec::new(),
            disks: Vec::new(),
            may_have_more: false,
            archives: Vec::new(),
            scratch: Vec::new(),
            files: Vec::new(),
            notes: Vec::new(),
        };
        self.wrapped.as_ref().map_or(&NOTHING, |wrapped| &wrapped.around)
    }

    /// Its name in the archive that it is in, where it is in one.
    pub(crate) fn member(&self) -> Option<&str> {
        let file = self.wrapped.as_ref()?.file.name();
        self.name().strip_prefix(file)?.strip_prefix('/').filter(|name| !name.is_empty())
    }

    /// The bytes of the file that it is in, with all that is around it.
    pub(crate) fn file(&self) -> &dyn Bytes {
        self.file_bytes().as_ref()
    }

    /// The same, to be shared.
    pub(crate) fn file_bytes(&self) -> &Arc<dyn Bytes> {
        self.wrapped.as_ref().map_or(&self.top().bytes, |wrapped| &wrapped.file)
    }

    /// The name by which it is asked for: that of the descriptor, where that is beside it.
    pub(crate) fn given(&self) -> &str {
        let package = self.around().archives.first().map(|it| &it.package);
        package.filter(|it| it.is_unpacked()).map_or(self.file().name(), |it| it.name())
    }

    /// Bytes that came out of the pipe, where it came out of one.
    pub(crate) fn piped(&self) -> Option<u64> {
        self.wrapped.as_ref().and_then(|wrapped| wrapped.piped)
    }

    pub(crate) fn top(&self) -> &Layer {
        &self.layers[0]
    }

    pub(crate) fn missing(&self) -> Option<&Missing> {
        self.missing.as_ref()
    }

    pub(crate) fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
    }

    /// All files that it is read from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<dyn Bytes>> {
        let layers = self.layers.iter().flat_map(|layer| {
            std::iter::once(&layer.bytes).chain(layer.others.iter().map(|other| &other.bytes))
        });
        let around = self.around().files.iter().map(|other| &other.bytes);
        layers.chain(self.wrapped.as_ref().map(|wrapped| &wrapped.file)).chain(around)
    }

    /// The name of the file of the chain that `id` is, or shows, where it is one.
    pub(crate) fn file_in_use(&self, id: FileId) -> Option<&str> {
        let own = self.layers.iter().map(|layer| (layer.id, layer.name()));
        let others = self.layers.iter().flat_map(|layer| &layer.others);
        let others = others.chain(&self.around().files);
        let mut files = own.chain(others.map(|other| (other.id, other.bytes.name())));
        files.find(|(file, _)| file.overlaps(id)).map(|(_, name)| name)
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
        self.others.iter().map(|other| &other.bytes)
    }
}
