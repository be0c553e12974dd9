//! A conversion from a source to a target.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use diskferry_block_stream::{Disk, Error, ErrorKind, Plan, Result, Stream};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{
    self as engine, Copied, CopyOptions, Difference, Job, Pad, Replace, Slice, Source, Zeros,
};
use diskferry_raw::Raw;
use serde::Serialize;
use serde::ser::Serializer;
use uuid::Uuid;

use crate::file::{FileId, Location};
use crate::format::{Compress, Format};
use crate::info::{Info, as_map};
use crate::open::{Backing, DiskImage, Input, OpenOptions};
use crate::stream::{StreamInput, not_zero};
use crate::target::{Destination, Target};
use crate::watch::{Stage, Watch};

/// What is to be converted, into what.
///
/// [`new`](Self::new) gives the defaults; set what is to be otherwise, and [`run`](Self::run) it.
#[derive(Clone, Debug)]
pub struct Convert {
    /// Where the disk is.
    pub source: Location,
    /// Where it goes.
    pub target: Location,
    /// How the source is opened.
    pub open: OpenOptions,
    /// The target's format; by default its extension tells.
    pub to: Option<Format>,
    /// Options of the target's format, by name.
    pub options: Vec<(String, String)>,
    /// Whether the target is to be compressed.
    pub compress: Option<Compress>,
    /// The virtual size of the target, in bytes; by default the source's.
    pub size: Option<u64>,
    /// What to do when that is less than the source's.
    pub shrink: Shrink,
    /// What to do with zeros that the source stores.
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute in the same pass.
    pub digests: Vec<Algorithm>,
    /// Whether the target is read back.
    pub verify: Verify,
    /// What to do with an existing target.
    pub replace: Replace,
    /// Ids and times that go into the target.
    pub identity: Identity,
    /// A window into the running conversion.
    pub watch: Watch,
}

/// What to do when the target is to be smaller than the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shrink {
    /// It is an error.
    #[default]
    Refuse,
    /// What is beyond the new size is dropped if it is zeros; else it is an error.
    DropZeros,
}

/// Whether the target is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// It is trusted.
    #[default]
    Trust,
    /// It is read back through its own format, and compared with the source.
    ReadBack,
}

/// Ids and times that go into a target, for formats that have them. What is `None` is random, or
/// now; the same source, options and identity give the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The target's id.
    pub uuid: Option<Uuid>,
    /// When it was made, in seconds since 1970.
    pub time: Option<u64>,
}

/// What a conversion did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The source.
    pub source: Info,
    /// The target.
    pub target: Info,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The digests asked for, in that order, in hexadecimal.
    #[serde(serialize_with = "digests_as_map")]
    pub digests: Vec<(Algorithm, String)>,
    /// Whether the target was read back and found the same.
    pub verified: bool,
    /// Odd things about the source and the conversion.
    pub warnings: Vec<String>,
}

impl Convert {
    /// A conversion with the defaults.
    pub fn new(source: impl Into<Location>, target: impl Into<Location>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            open: OpenOptions::default(),
            to: None,
            options: Vec::new(),
            compress: None,
            size: None,
            shrink: Shrink::default(),
            zeros: Zeros::default(),
            digests: Vec::new(),
            verify: Verify::default(),
            replace: Replace::Never,
            identity: Identity::default(),
            watch: Watch::default(),
        }
    }

    /// Converts. Either the target is there afterwards, whole and durable, or nothing is; a pipe or
    /// a device that was the target has then had a part of it.
    ///
    /// All that is wrong with the request or the target is found before the source's data is read
    /// and before anything is created.
    ///
    /// # Errors
    /// `Misuse` when the request makes no sense or would overwrite something; what opening the
    /// source fails with; what the engine or the target's format fails with; `Io` when the target
    /// reads back differently; `Cancelled`.
    pub fn run(&self, job: &Job) -> Result<Summary> {
        self.convert(job).map_err(|error| match error.kind() {
            ErrorKind::Cancelled => error.in_file(&self.target.to_string()),
            _ => error,
        })
    }

    fn convert(&self, job: &Job) -> Result<Summary> {
        let started = Instant::now();
        self.watch.enter(Stage::Opening, &job.progress);
        let destination = self.destination()?;
        let name = destination.name.clone();
        let in_target = |error: Error| error.in_file(&name);
        let format = self.target_format(&destination)?;
        let writing = format.writing(&self.options, self.compress).map_err(in_target)?;
        let input = self.open.open(&self.source)?;
        refuse_own_source(&input, &destination)?;
        let mut source = self.prepare(input, job)?;
        let plan = writing.plan(source.size(), &self.identity).map_err(in_target)?;
        let grain = match &plan {
            Plan::Flat(_) | Plan::Split(_) => 1,
            Plan::Packed(packed) => packed.chunk as u64,
        };

        let target = destination.create(self.replace)?;
        let guard = self.watch.guard(target.partial_path());
        target.check_fits(&plan, source.size())?;
        self.watch.enter(Stage::Copying, &job.progress);
        let options = self.copy_options(&source);
        let copied = engine::copy(source.take(), plan, target.output(), &options, job)?;
        let (target_info, odd) = match target.read_back()? {
            Some(file) => self.look_back(&source, format, file, &target, &copied, job)?,
            None => {
                let Copied { size, target_size, .. } = copied;
                (Info::of_stream(&name, format, size, target_size, grain), None)
            }
        };
        job.cancel.check()?;
        self.watch.finish(|| target.keep())?;
        drop(guard);

        let (source_info, mut warnings) = source.into_info(copied.size);
        warnings.extend(odd);
        let asked = |(kind, _): &(Algorithm, String)| self.digests.contains(kind);
        Ok(Summary {
            source: source_info,
            target: target_info,
            copied: copied.copied,
            zeros: copied.zeros,
            seconds: started.elapsed().as_secs_f64(),
            digests: copied.digests.into_iter().filter(asked).collect(),
            verified: self.verify == Verify::ReadBack,
            warnings,
        })
    }

    /// Opens the target through its own reader, and compares it where that is asked for. Returns
    /// what it says of itself, and what is odd about it.
    fn look_back(
        &self,
        source: &Prepared,
        format: Format,
        file: File,
        target: &Target,
        copied: &Copied,
        job: &Job,
    ) -> Result<(Info, Option<String>)> {
        let open =
            OpenOptions { format: Some(format), backing: Backing::Ignored, ..Default::default() };
        let image = open.open_file(target.output().name(), file)?;
        let is_device = matches!(target, Target::Device(..));
        if self.verify == Verify::ReadBack {
            self.watch.enter(Stage::Verifying, &job.progress);
            verify(source, &image, copied, is_device, job)?;
        }
        let rest = image.disk().size().saturating_sub(copied.size);
        let odd = (is_device && rest > 0).then(|| {
            format!(
                "{}: the device goes on for {rest} bytes after the disk, with what was there before",
                image.name()
            )
        });
        // What a raw image cannot tell of itself is known of this one.
        Ok((Info { warnings: image.warnings().to_vec(), ..image.info() }, odd))
    }

    /// The target as it is, once nothing speaks against it.
    fn destination(&self) -> Result<Destination> {
        let destination = Destination::find(&self.target)?;
        // Before the hint at --force, which would not help here.
        if let Location::Path(path) = &self.source
            && let Ok(metadata) = path.metadata()
            && destination.id == Some(FileId::of(&metadata))
        {
            return Err(Error::misuse("the source and the target are the same file")
                .in_file(&destination.name));
        }
        destination.check_replace(self.replace)?;
        if self.verify == Verify::ReadBack && destination.is_pipe() {
            return Err(Error::misuse("a pipe cannot be read back; --verify needs a file")
                .in_file(&destination.name));
        }
        Ok(destination)
    }

    fn target_format(&self, destination: &Destination) -> Result<Format> {
        let told = self.to.or_else(|| Format::from_extension(destination.path()?));
        told.ok_or_else(|| {
            let names: Vec<&str> = crate::formats().iter().map(|format| format.name()).collect();
            Error::misuse(format!(
                "no extension tells the target's format; give it with -O: {}",
                names.join(", ")
            ))
            .in_file(&destination.name)
        })
    }

    /// The source at the size that the target is to have.
    fn prepare(&self, input: Input, job: &Job) -> Result<Prepared> {
        match input {
            Input::Stream(stream) => Ok(self.prepare_stream(stream)),
            Input::Image(image) => {
                let disk = Arc::clone(image.disk());
                let own = disk.size();
                let disk: Arc<dyn Disk> = match self.size {
                    Some(size) if size > own => Arc::new(Pad::new(disk, size)?),
                    Some(size) if size < own => self.shrunk(&image, size, job)?,
                    _ => disk,
                };
                Ok(Prepared::Disk { image, disk })
            }
        }
    }

    fn prepare_stream(&self, stream: StreamInput) -> Prepared {
        let info = stream.info();
        match self.size {
            None => Prepared::Stream { info, stream: Some(stream.into_stream()), sized: None },
            Some(size) => {
                let resized = stream.into_resized(size, self.shrink);
                let sized = Some((size, resized.arrived()));
                Prepared::Stream { info, stream: Some(Box::new(resized)), sized }
            }
        }
    }

    fn shrunk(&self, image: &DiskImage, size: u64, job: &Job) -> Result<Arc<dyn Disk>> {
        let own = image.disk().size();
        if self.shrink == Shrink::Refuse {
            return Err(Error::misuse(format!(
                "a size of {size} bytes is less than the disk's {own}; --allow-shrink drops the \
                 rest, where it is zeros"
            ))
            .in_file(image.name()));
        }
        self.watch.enter(Stage::Shrinking, &job.progress);
        let rest: Arc<dyn Disk> = Arc::new(Slice::new(Arc::clone(image.disk()), size, own - size)?);
        let nothing: Arc<dyn Disk> = Arc::new(Raw::open(Arc::new(Vec::new())));
        match engine::compare(&rest, &nothing, job)? {
            Some(Difference::Content(at)) => Err(not_zero(size + at, size).in_file(image.name())),
            Some(Difference::Size(..)) | None => {
                Ok(Arc::new(Slice::new(Arc::clone(image.disk()), 0, size)?))
            }
        }
    }

    /// What the engine is told.
    fn copy_options(&self, source: &Prepared) -> CopyOptions {
        let mut digests = self.digests.clone();
        if matches!(source, Prepared::Stream { .. })
            && self.verify == Verify::ReadBack
            && !digests.contains(&VERIFIED_BY)
        {
            digests.push(VERIFIED_BY);
        }
        CopyOptions { zeros: self.zeros, digests }
    }
}

/// The digest that stands in for a source that can be read only once.
const VERIFIED_BY: Algorithm = Algorithm::Sha256;

/// A source at the target's size.
enum Prepared {
    Disk {
        image: DiskImage,
        disk: Arc<dyn Disk>,
    },
    Stream {
        info: Info,
        /// Taken by the copy.
        stream: Option<Box<dyn Stream>>,
        /// The size asked for, and how many bytes arrived.
        sized: Option<(u64, Arc<AtomicU64>)>,
    },
}

impl Prepared {
    fn size(&self) -> Option<u64> {
        match self {
            Self::Disk { disk, .. } => Some(disk.size()),
            Self::Stream { sized, .. } => sized.as_ref().map(|(size, _)| *size),
        }
    }

    fn take(&mut self) -> Source<'_> {
        match self {
            Self::Disk { disk, .. } => Source::Disk(&**disk),
            Self::Stream { stream, .. } => {
                Source::Stream(stream.take().expect("a source is copied once"))
            }
        }
    }

    /// What there is to say about it after the copy of `size` bytes.
    fn into_info(self, size: u64) -> (Info, Vec<String>) {
        match self {
            Self::Disk { image, .. } => (image.info(), image.warnings().to_vec()),
            Self::Stream { info, sized, .. } => {
                let arrived = sized.map_or(size, |(_, arrived)| arrived.load(Ordering::Relaxed));
                let mut warnings = Vec::new();
                if arrived < size {
                    warnings.push(format!(
                        "{}: the stream ended after {arrived} bytes; the rest of the {size} is zeros",
                        info.file
                    ));
                }
                (info.with_size(arrived), warnings)
            }
        }
    }
}

fn refuse_own_source(input: &Input, destination: &Destination) -> Result<()> {
    let Some(id) = destination.id else { return Ok(()) };
    let used = match input {
        Input::Image(image) => image.file_in_use(id),
        Input::Stream(stream) => (stream.id == id).then(|| stream.name()),
    };
    let Some(name) = used else { return Ok(()) };
    Err(Error::misuse(format!("the target is the same file as '{name}', which the source needs"))
        .in_file(&destination.name))
}

/// Compares the target with what was copied.
fn verify(
    source: &Prepared,
    target: &DiskImage,
    copied: &Copied,
    is_device: bool,
    job: &Job,
) -> Result<()> {
    let size = copied.size;
    let differs = |what: String| {
        Error::new(ErrorKind::Io, format!("the target reads back differently: {what}"))
            .in_file(target.name())
    };
    let mut disk = Arc::clone(target.disk());
    if disk.size() < size {
        return Err(differs(format!("{} bytes instead of {size}", disk.size())));
    }
    // Formats may round the size up, with zeros. A device's rest is none of the target.
    if is_device && disk.size() > size {
        disk = Arc::new(Slice::new(disk, 0, size)?);
    }
    match source {
        Prepared::Disk { disk: original, .. } => match engine::compare(original, &disk, job)? {
            Some(Difference::Content(at)) => Err(differs(format!("at {at:#x}"))),
            Some(Difference::Size(..)) | None => Ok(()),
        },
        Prepared::Stream { .. } => {
            let disk: Arc<dyn Disk> = Arc::new(Slice::new(disk, 0, size)?);
            let (_, found) = engine::digest(Source::Disk(disk.as_ref()), &[VERIFIED_BY], job)?;
            match (copied.digests.iter().find(|(kind, _)| *kind == VERIFIED_BY), found.first()) {
                (Some(sent), Some(found)) if sent == found => Ok(()),
                _ => Err(differs(format!("its {VERIFIED_BY} is not that of the source"))),
            }
        }
    }
}

fn digests_as_map<S: Serializer>(
    digests: &[(Algorithm, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let named: Vec<_> = digests.iter().map(|(kind, digest)| (kind.name(), digest)).collect();
    as_map(&named, serializer)
}
