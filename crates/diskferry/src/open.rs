//! Opens an image with all that it needs: its data files, and its backing chain.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Disk, Error, ErrorKind, Image, Limits, ParentRef, Problem, Result,
};
use diskferry_engine::{Chain, Job};
use diskferry_wrap::Choice;

use crate::beside;
use crate::file::{self, Access, FileId, Location, Opened, STDIN, Sort, Unchanged};
use crate::format::{Context, Format, OpenNamed, Sample};
use crate::info::Info;
use crate::policy::{Permitted, Policy};
use crate::stream::StreamInput;
use crate::wrapped::{self, Archive, Around, Arrived, Packed, Peeled, Wanted};

/// How sources are opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The image's format; by default its content tells.
    pub format: Option<Format>,
    /// Which disk is meant, where the file is an archive.
    pub disk: Choice,
    /// An internal snapshot to open instead of the active state, by id or name.
    pub snapshot: Option<String>,
    /// What the image and its chain may ask for.
    pub limits: Limits,
    /// Which files the image may refer to.
    pub policy: Policy,
    /// What to do about files that the image refers to.
    pub backing: Backing,
    /// How bytes are read.
    pub access: Access,
}

/// What to do about the backing chain and the data files of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// They are opened; one that cannot be is an error.
    #[default]
    Required,
    /// They are opened as far as that is possible. What is missing is a warning, and reads as zeros
    /// or not at all: for looking at an image, not for converting it.
    Lenient,
    /// Backing files are left alone: this one layer is the disk. Data files are opened.
    Ignored,
}

impl OpenOptions {
    /// Opens a source, whatever can be one.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Damaged` when an image contradicts itself, `Unsupported`
    /// when it needs what is not there or refers to files that the policy does not allow, `Limit`
    /// when it asks for too much, `Misuse` for a snapshot that it does not have.
    pub fn open(&self, location: &Location) -> Result<Input> {
        match location {
            Location::Standard => self.open_stdin(),
            Location::Path(path) => self.open_path(path),
        }
    }

    /// Opens an image that can be read anywhere: not a pipe.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and `Unsupported` for a pipe.
    pub fn open_image(&self, location: &Location) -> Result<DiskImage> {
        self.open(location)?.into_image()
    }

    /// What there is to say about an image. Nothing is unpacked for it: the size of a disk in
    /// a compressed file may be unknown, and whether that is a fixed VHD, with a warning.
    ///
    /// # Errors
    /// As for [`open_image`](Self::open_image).
    pub fn info(&self, location: &Location) -> Result<Info> {
        match self.open(location)? {
            Input::Image(image) => Ok(image.info()),
            Input::Stream(stream) if stream.is_pipe() => Err(once_only(stream.name())),
            Input::Stream(stream) => {
                let mut info = stream.info();
                if stream.size().is_none() {
                    let or_vhd = if info.assumed { ", and whether it is a fixed VHD," } else { "" };
                    info.warnings.push(format!(
                        "{}: the disk's size{or_vhd} is known only when all of it was unpacked",
                        stream.name()
                    ));
                }
                Ok(info)
            }
        }
    }

    /// Opens an image in a file that is open already. Nothing is beside it: what it refers to
    /// cannot be found.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_file(&self, name: &str, file: File) -> Result<DiskImage> {
        self.open_written(name, Written { file, parts: Vec::new() })
    }

    /// Opens an image whose bytes the caller has: in memory, or out of a store of its own. What it refers to
    /// is looked for beside `path`, as if it were there; without one, nothing is beside it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_bytes(&self, bytes: Arc<dyn Bytes>, path: Option<&Path>) -> Result<DiskImage> {
        let (name, id) = (bytes.name().to_owned(), FileId::of_bytes(&bytes));
        let source = Source { name, path: path.map(Path::to_owned), bytes, id };
        self.open_source(source, Vec::new())?.into_image()
    }

    /// Opens an image that was just written, by handles, as its files have no names yet.
    pub(crate) fn open_written(&self, name: &str, written: Written) -> Result<DiskImage> {
        let Written { file, parts } = written;
        let id = FileId::of(&file.metadata().map_err(|error| Error::from(error).in_file(name))?);
        let found = Found { name: name.to_owned(), path: None, opened: Opened { file, id } };
        self.open_found(found, parts)?.into_image()
    }

    fn open_stdin(&self) -> Result<Input> {
        let mut file = file::stdin()?;
        let io = |error: std::io::Error| Error::from(error).in_file(STDIN);
        let metadata = file.metadata().map_err(io)?;
        let id = FileId::of(&metadata);
        // Where somebody has read from it already, the disk is what is left.
        if Sort::of(&metadata).is_random() && file.stream_position().map_err(io)? == 0 {
            // Looking around in a file moves its position, which is not ours alone: whoever gets
            // stdin after us would find it at the end. An opening of our own has its own.
            if let Ok(own) = File::open("/proc/self/fd/0") {
                file = own;
            }
            let opened = Opened { file, id };
            let found = Found { name: STDIN.to_owned(), path: None, opened };
            return self.open_found(found, Vec::new());
        }
        StreamInput::new(STDIN, file, id, &Wanted::of(self)).map(Input::Stream)
    }

    fn open_path(&self, path: &Path) -> Result<Input> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::from(error).doing("opening").in_file(&name);
        let metadata = path.metadata().map_err(io)?;
        if Sort::of(&metadata) != Sort::Stream {
            let opened = file::open_random(path).map_err(io)?;
            let found = Found { name, path: Some(path.to_owned()), opened };
            return self.open_found(found, Vec::new());
        }
        // Who names a pipe means it. A link to one, in a folder that others fill, is a trap in which
        // opening waits for ever; and a character device may do anything when it is opened.
        let named = !path.is_symlink() || path.starts_with("/dev") || path.starts_with("/proc");
        let odd = match metadata.file_type().is_fifo() {
            true if named => None,
            true => Some("a link to a pipe; name the pipe itself, or `-` for stdin"),
            false if file::is_stdin(&metadata) => None,
            false => Some("neither a file, nor a block device, nor a pipe"),
        };
        if let Some(odd) = odd {
            return Err(Error::unsupported(odd).in_file(&name));
        }
        let pipe = File::open(path).map_err(io)?;
        let id = FileId::of(&metadata);
        StreamInput::new(&name, pipe, id, &Wanted::of(self)).map(Input::Stream)
    }

    /// Opens a file that can be read anywhere, out of whatever it is wrapped in.
    fn open_found(&self, found: Found, parts: Vec<WrittenPart>) -> Result<Input> {
        self.open_source(found.source(self.access)?, parts)
    }

    fn open_source(&self, file: Source, parts: Vec<WrittenPart>) -> Result<Input> {
        // A device is a disk: what it begins with is its guest's affair.
        if matches!(file.id, FileId::Block(_)) {
            return self.open_chain(file, None, parts).map(Input::Image);
        }
        match wrapped::peel(Arc::clone(&file.bytes), &Wanted::of(self))? {
            Peeled::Packed(packed) => StreamInput::packed(packed, file.id).map(Input::Stream),
            Peeled::Bytes { around, .. } if around.layers.is_empty() => {
                self.open_chain(file, None, parts).map(Input::Image)
            }
            Peeled::Bytes { bytes, around } => {
                // What is in an archive has no folder.
                let top = Source { name: bytes.name().to_owned(), path: None, bytes, ..file };
                let wrapped = Wrapped { around, file: file.bytes };
                self.open_chain(top, Some(wrapped), parts).map(Input::Image)
            }
        }
    }

    fn open_chain(
        &self,
        top: Source,
        wrapped: Option<Wrapped>,
        parts: Vec<WrittenPart>,
    ) -> Result<DiskImage> {
        let mut chain = Opening { options: self, parts, layers: Vec::new(), warnings: Vec::new() };
        if self.format == Some(Format::RAW) {
            chain.warnings.extend(wrapped::looks_wrapped(top.bytes.as_ref())?);
        }
        let format = Wanted::of(self).disk_format();
        chain.open_layer(top, format, self.snapshot.as_deref())?;
        let mut missing = None;
        while self.backing != Backing::Ignored
            && let Some(parent) = chain.parent()
        {
            match (chain.open_parent(&parent), self.backing) {
                (Ok(()), _) => {}
                (Err(error), Backing::Lenient) => {
                    chain.warnings.push(error.to_string());
                    missing = Some(Missing { parent, error: error.to_string() });
                    break;
                }
                (Err(error), _) => return Err(error),
            }
        }
        let Opening { layers, warnings, .. } = chain;
        let mut upwards =
            layers.iter().rev().map(|layer| Arc::clone(&layer.image) as Arc<dyn Disk>);
        let base = upwards.next().expect("the top layer was opened");
        let disk = upwards.fold(base, |parent, layer| Arc::new(Chain::new(layer, parent)));
        let snapshot = self.snapshot.clone();
        Ok(DiskImage { disk, layers, missing, warnings, snapshot, wrapped })
    }
}

fn once_only(name: &str) -> Error {
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

    /// The files that it is read from, as they are now.
    pub(crate) fn unchanged(&self) -> Unchanged {
        match self {
            Self::Image(image) => Unchanged::of(image.files()),
            Self::Stream(stream) => Unchanged::of(stream.file()),
        }
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

/// What the top layer of an image came out of.
struct Wrapped {
    around: Around,
    file: Arc<dyn Bytes>,
}

/// An opened image with its backing chain.
pub struct DiskImage {
    disk: Arc<dyn Disk>,
    /// The image itself, then what it is backed by.
    layers: Vec<Layer>,
    missing: Option<Missing>,
    warnings: Vec<String>,
    snapshot: Option<String>,
    wrapped: Option<Wrapped>,
}

/// One image of a chain.
pub struct Layer {
    name: String,
    path: Option<PathBuf>,
    format: Format,
    assumed: bool,
    image: Arc<dyn Image>,
    bytes: Arc<dyn Bytes>,
    id: FileId,
    /// Its data files.
    others: Vec<Neighbour>,
}

/// A file that an image has beside it, other than its backing file.
struct Neighbour {
    id: FileId,
    bytes: Arc<dyn Bytes>,
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

    /// Whether it is in a compressed file.
    pub(crate) fn is_packed(&self) -> bool {
        self.around().layers.iter().any(|layer| wrapped::is_compression(layer))
    }

    fn packed(packed: Packed, id: FileId) -> Result<Self> {
        let bytes = Arc::clone(packed.file());
        let (Arrived { stream, format, assumed, around, .. }, image) = packed.into_image()?;
        let name = stream.name().to_owned();
        let image: Arc<dyn Image> = Arc::new(image);
        let disk = Arc::clone(&image) as Arc<dyn Disk>;
        let file = Arc::clone(&bytes);
        let layer =
            Layer { name, path: None, format, assumed, image, bytes, id, others: Vec::new() };
        Ok(Self {
            disk,
            layers: vec![layer],
            missing: None,
            warnings: stream.warnings(),
            snapshot: None,
            wrapped: Some(Wrapped { around, file }),
        })
    }

    /// What is around the disk.
    pub(crate) fn around(&self) -> &Around {
        static NOTHING: Around =
            Around { layers: Vec::new(), disks: Vec::new(), archives: Vec::new() };
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
        layers.chain(self.wrapped.as_ref().map(|wrapped| &wrapped.file))
    }

    /// The name of the file of the chain that `id` is, or shows, where it is one.
    pub(crate) fn file_in_use(&self, id: FileId) -> Option<&str> {
        let own = self.layers.iter().map(|layer| (layer.id, layer.name()));
        let others = self.layers.iter().flat_map(|layer| &layer.others);
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

/// A chain that is being opened, from the top down.
struct Opening<'a> {
    options: &'a OpenOptions,
    /// What the top layer names is here, where it was just written.
    parts: Vec<WrittenPart>,
    layers: Vec<Layer>,
    warnings: Vec<String>,
}

impl Opening<'_> {
    fn open_layer(
        &mut self,
        source: Source,
        format: Option<Format>,
        snapshot: Option<&str>,
    ) -> Result<()> {
        let Source { name, path, bytes, id } = source;
        let told = match format {
            Some(format) => Some(format),
            None => probe(bytes.as_ref())?,
        };
        let format = match told {
            Some(format) => format,
            None => {
                let head = wrapped::head(bytes.as_ref(), Sample::HEAD)?;
                Format::assume_raw(&head).map_err(|error| error.in_file(&name))?
            }
        };
        let neighbours = Neighbours {
            options: self.options,
            image: &name,
            path: path.as_deref(),
            parts: &self.parts,
            found: RefCell::default(),
            warnings: RefCell::default(),
        };
        let limits = &self.options.limits;
        let context = Context { limits, snapshot, named: &neighbours };
        let image =
            format.open(Arc::clone(&bytes), &context).map_err(|error| error.in_file(&name))?;
        let Neighbours { found, warnings, .. } = neighbours;
        self.warnings.extend(warnings.into_inner());
        let described = image.describe().warnings.into_iter();
        self.warnings.extend(described.map(|warning| format!("{name}: {}", warning.text)));
        let (assumed, others) = (told.is_none(), found.into_inner());
        self.layers.push(Layer { name, path, format, assumed, image, bytes, id, others });
        Ok(())
    }

    /// The parent of the lowest layer so far.
    fn parent(&self) -> Option<ParentRef> {
        self.layers.last()?.image.parent().cloned()
    }

    fn open_parent(&mut self, parent: &ParentRef) -> Result<()> {
        let child = self.layers.last().expect("a parent is a layer's");
        let (limits, name) = (&self.options.limits, child.name.clone());
        if self.layers.len() >= limits.chain_depth as usize {
            let depth = limits.chain_depth;
            let what = format!("a backing chain of more than {depth} layers");
            return Err(Limits::reached("depth", what).in_file(self.layers[0].name()));
        }
        let format = self.stated_format(parent, &name)?;
        let found = self.find_parent(parent, format).map_err(|error| error.in_file(&name))?;
        if self.layers.iter().any(|layer| layer.id == found.opened.id) {
            return Err(Error::damaged(format!(
                "the backing chain comes back to '{}'",
                found.name
            ))
            .in_file(&name));
        }
        self.open_layer(found.source(self.options.access)?, format, None)?;
        self.check_identity(parent, &name)?;
        if format.is_none() {
            let opened = self.layers.last().expect("it was opened just now");
            self.warnings.push(format!(
                "{name}: it does not say which format its backing file '{}' has; taken for {}, by \
                 its content",
                parent.name(),
                opened.format
            ));
        }
        Ok(())
    }

    /// The file that the child says is its parent: the first of its names that leads to one, or,
    /// where it has no name for it, the file beside it that has the id.
    ///
    /// Formats with ids have names without folders, for images move. What is not beside the child
    /// may then be in a folder that the caller allows; its id tells whether it is the one.
    fn find_parent(&self, parent: &ParentRef, format: Option<Format>) -> Result<Found> {
        let child = self.layers.last().expect("a parent is a layer's");
        let (path, policy) = (child.path.as_deref(), &self.options.policy);
        let allowed = policy.allow.iter().filter(|_| parent.id.is_some());
        let folders: Vec<PathBuf> = allowed.filter_map(|it| it.canonicalize().ok()).collect();
        let elsewhere = folders
            .iter()
            .flat_map(|folder| parent.names.iter().map(|name| folder.join(name).into_os_string()));
        let mut refused = None;
        for name in parent.names.iter().cloned().chain(elsewhere) {
            match policy.judge(path, BACKING, &name) {
                Ok(permitted) => return open_permitted(permitted, BACKING, &name),
                // The likeliest name is the one to complain about.
                Err(error) => _ = refused.get_or_insert(error),
            }
        }
        match (refused, &parent.id) {
            (Some(error), _) => Err(error),
            (None, Some(id)) => {
                let format = format.unwrap_or(child.format);
                beside::find(self.options, path, format, id)
            }
            (None, None) => Err(Error::damaged("a parent without a name")),
        }
    }

    /// Makes sure that the layer opened last is the one that its child was made over, as far as the
    /// format tells; else drops it.
    fn check_identity(&mut self, parent: &ParentRef, child: &str) -> Result<()> {
        let opened = self.layers.last().expect("it was opened just now");
        let (Some(wanted), Some(found)) = (&parent.id, opened.image.id()) else { return Ok(()) };
        if *wanted == found {
            return Ok(());
        }
        let error = Error::damaged(format!(
            "its backing file '{}' has the id {found}, and not {wanted}: it is another image, or \
             was changed since",
            opened.name
        ));
        self.layers.pop();
        Err(error.in_file(child))
    }

    /// The format that the child says its parent has. It is obeyed: a raw backing file holds
    /// whatever its guest wrote, which may look like another format.
    fn stated_format(&self, parent: &ParentRef, child: &str) -> Result<Option<Format>> {
        let Some(stated) = &parent.format else { return Ok(None) };
        // Old qemu wrote the protocol's name where it meant a raw image.
        let name = match stated.as_str() {
            "file" | "host_device" => "raw",
            other => other,
        };
        Format::from_name(name).map(Some).ok_or_else(|| {
            Error::unsupported(format!(
                "its backing file '{}' has the format '{stated}', which diskferry does not read",
                parent.name()
            ))
            .in_file(child)
        })
    }
}

/// What messages call a parent's file.
pub(crate) const BACKING: &str = "backing file";

/// The format whose signature the bytes bear.
pub(crate) fn probe(bytes: &dyn Bytes) -> Result<Option<Format>> {
    let len = bytes.len();
    let part = |at, most: usize| {
        let mut part = vec![0; usize::try_from(len).map_or(most, |len| len.min(most))];
        bytes.read_at(at, &mut part).map(|()| part)
    };
    let head = part(0, Sample::HEAD)?;
    let tail = part(len.saturating_sub(Sample::TAIL as u64), Sample::TAIL)?;
    Ok(Format::probe(&Sample { head: &head, tail: &tail }))
}

/// An open file that is to be a layer.
pub(crate) struct Found {
    pub name: String,
    pub path: Option<PathBuf>,
    pub opened: Opened,
}

impl Found {
    fn source(self, access: Access) -> Result<Source> {
        let Self { name, path, opened: Opened { file, id } } = self;
        let bytes = access.bytes(&name, file)?;
        Ok(Source { name, path, bytes, id })
    }
}

/// The bytes that are to be a layer.
struct Source {
    name: String,
    path: Option<PathBuf>,
    bytes: Arc<dyn Bytes>,
    id: FileId,
}

/// Opens a file that an image names, if the policy has it.
pub(crate) fn open_named(
    options: &OpenOptions,
    image: Option<&Path>,
    role: &'static str,
    name: &OsStr,
) -> Result<Found> {
    open_permitted(options.policy.judge(image, role, name)?, role, name)
}

fn open_permitted(permitted: Permitted, role: &'static str, name: &OsStr) -> Result<Found> {
    let Permitted { path, real, device } = permitted;
    let (shown, name) = (path.display().to_string(), name.display());
    let opened = file::open_without_links(&real)
        .map_err(|error| Error::new(ErrorKind::Io, format!("{role} '{name}': {error}")))?;
    if matches!(opened.id, FileId::Block(_)) && !device {
        return Err(Error::unsupported(format!("the {role} '{name}' became a device")));
    }
    Ok(Found { name: shown, path: Some(path), opened })
}

/// The files beside one layer.
struct Neighbours<'a> {
    options: &'a OpenOptions,
    image: &'a str,
    path: Option<&'a Path>,
    parts: &'a [WrittenPart],
    found: RefCell<Vec<Neighbour>>,
    warnings: RefCell<Vec<String>>,
}

impl Neighbours<'_> {
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Arc<dyn Bytes>> {
        let (shown, opened) = match self.parts.iter().find(|part| name == part.name.as_str()) {
            Some(part) => {
                let file = part.file.try_clone()?;
                let id = FileId::of(&file.metadata()?);
                (part.shown.clone(), Opened { file, id })
            }
            None => {
                let found = open_named(self.options, self.path, role, name)?;
                (found.name, found.opened)
            }
        };
        let bytes = self.options.access.bytes(&shown, opened.file)?;
        self.found.borrow_mut().push(Neighbour { id: opened.id, bytes: Arc::clone(&bytes) });
        Ok(bytes)
    }
}

impl OpenNamed for Neighbours<'_> {
    fn open_named(&self, role: &'static str, name: &OsStr) -> Result<Option<Arc<dyn Bytes>>> {
        match self.open(role, name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if self.options.backing == Backing::Lenient => {
                let error = error.in_file(self.image);
                self.warnings.borrow_mut().push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.in_file(self.image)),
        }
    }
}
