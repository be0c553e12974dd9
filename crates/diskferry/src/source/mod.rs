//! Opens a source: a file, a device or a pipe, out of whatever it is wrapped in, with all that it needs.
//!
//! ```
//! # fn main() -> diskferry::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("disk.img");
//! # std::fs::write(&path, vec![7; 1 << 20])?;
//! use diskferry::place::Policy;
//! use diskferry::{Control, OpenOptions};
//!
//! let options = OpenOptions::new().policy(Policy::allowing(["/var/lib/images"])).scratch(std::env::temp_dir());
//! let image = options.open_image(&path.as_path().into(), &Control::default())?;
//! assert_eq!((image.format().name(), image.disk().size()), ("raw", 1 << 20));
//! # Ok(())
//! # }
//! ```

mod arriving;
mod chain;
pub(crate) mod forward;
mod found;
mod image;
mod input;
mod named;
mod numbering;
mod package;
mod pieces;
mod probe;
pub(crate) mod siblings;
pub(crate) mod stream;
pub(crate) mod unlike;
pub(crate) mod unwrap;

use std::fs::File;
use std::io::Seek;
use std::ops::ControlFlow;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use diskferry_block_stream::Limits;
use diskferry_block_stream::{Budget, Bytes, Error, Result};
use diskferry_engine::Control;
pub use diskferry_wrap::Choice;
use diskferry_wrap::Listing;
use serde::{Deserialize, Serialize};

pub(crate) use self::found::{BACKING, Origin, Source};
pub(crate) use self::image::Neighbour;
use self::image::Wrapped;
pub use self::image::{DiskImage, Layer};
pub use self::input::Input;
use self::input::once_only;
pub(crate) use self::input::{Written, WrittenPart};
pub(crate) use self::named::as_it_means;
pub(crate) use self::probe::{probe, tail};
pub use self::stream::StreamInput;
use crate::format::Format;
use crate::look::info::Info;
use crate::place::file::{self, Access, FileId, Location, Opened, STDIN, Sort};
use crate::place::locks::Locks;
use crate::place::policy::Policy;
use crate::source::unwrap::{Around, InOrderOnly, Peeled, Wanted};

/// How sources are opened: plain data, that opens any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The image's format; by default its content tells.
    pub format: Option<Format>,
    /// Which disk is meant, where the file is an archive.
    pub disk: Choice,
    /// An internal snapshot to open instead of the active state, by id or name.
    pub snapshot: Option<String>,
    /// What an image and its chain may ask for. Each opening has that anew, and gives it back when the image is
    /// dropped.
    pub limits: Limits,
    /// Which files the image may refer to.
    pub policy: Policy,
    /// What to do about files that the image refers to.
    pub backing: Backing,
    /// How bytes are read.
    pub access: Access,
    /// The image's parent, in place of the one that it names; opened without asking the policy, as it is the caller
    /// who names it. That it has another id is a warning. For an image without a parent this is misuse.
    pub parent: Option<PathBuf>,
    /// The folder in which an image that comes in order, but cannot be read so, is unpacked to a file
    /// without a name; `None` where such an image is refused.
    pub scratch: Option<PathBuf>,
    /// What to do about files that somebody else has open for writing.
    pub locks: Locks,
}

/// What to do about the backing chain and the data files of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The image's format.
    #[must_use]
    pub fn format(mut self, format: impl Into<Option<Format>>) -> Self {
        self.format = format.into();
        self
    }

    /// Which disk is meant, where the file is an archive.
    #[must_use]
    pub fn disk(mut self, disk: Choice) -> Self {
        self.disk = disk;
        self
    }

    /// An internal snapshot to open, by id or name.
    #[must_use]
    pub fn snapshot(mut self, snapshot: impl Into<Option<String>>) -> Self {
        self.snapshot = snapshot.into();
        self
    }

    /// What the image and its chain may ask for.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which files the image may refer to.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What to do about files that the image refers to.
    #[must_use]
    pub fn backing(mut self, backing: Backing) -> Self {
        self.backing = backing;
        self
    }

    /// How bytes are read.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The image's parent, in place of the one that it names.
    #[must_use]
    pub fn parent(mut self, parent: impl Into<Option<PathBuf>>) -> Self {
        self.parent = parent.into();
        self
    }

    /// The folder in which what cannot be read in order is unpacked.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<Option<PathBuf>>) -> Self {
        self.scratch = folder.into();
        self
    }

    /// What to do about files that somebody else has open for writing.
    #[must_use]
    pub fn locks(mut self, locks: Locks) -> Self {
        self.locks = locks;
        self
    }

    /// Opens a source, whatever can be one. That may take long where an image has to be unpacked to a scratch file,
    /// which is followed and stopped by the `control`.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Damaged` when an image contradicts itself, `Unsupported`
    /// when it needs what is not there or refers to files that the policy does not allow, `Limit`
    /// when it asks for too much, `Misuse` for a snapshot that it does not have.
    pub fn open(&self, location: &Location, control: &Control) -> Result<Input> {
        let budget = self.limits.budget();
        let input = match location {
            Location::Standard => self.open_stdin(&budget, control)?,
            Location::Path(path) => self.open_path(path, &budget, control)?,
        };
        match &input {
            Input::Stream(stream) if self.parent.is_some() => {
                let text =
                    "it comes in order, and is never over a parent that another file could be";
                Err(Error::misuse(text).in_file(stream.name()))
            }
            _ => Ok(input),
        }
    }

    /// Opens an image that can be read anywhere: not a pipe.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and `Unsupported` for a pipe.
    pub fn open_image(&self, location: &Location, control: &Control) -> Result<DiskImage> {
        self.open(location, control)?.into_image()
    }

    /// What there is to say about an image. Nothing is unpacked for it: the size of a disk in
    /// a compressed file may be unknown, and whether that is a fixed VHD, with a warning; and whether it is
    /// the only disk of its archive.
    ///
    /// # Errors
    /// As for [`open_image`](Self::open_image).
    pub fn info(&self, location: &Location) -> Result<Info> {
        Ok(self.said(location)?.0)
    }

    /// The same with all disks of the archive, which is unpacked to its end where only that tells them.
    ///
    /// # Errors
    /// As for [`info`](Self::info), and what unpacking fails with.
    pub fn info_with_all_disks(&self, location: &Location) -> Result<Info> {
        let (mut info, file) = self.said(location)?;
        if let Some(file) = file.filter(|_| !info.disks_complete) {
            let Listing { disks, notes } = unwrap::list_disks(file, &self.limits.budget())?;
            info.set_disks(&disks, true);
            info.warnings.extend(notes.into_iter().map(|text| format!("{location}: {text}")));
        }
        Ok(info)
    }

    /// What there is to say, and the file that the disk is in where it comes in order.
    fn said(&self, location: &Location) -> Result<(Info, Option<Arc<dyn Bytes>>)> {
        let options = Self { scratch: None, ..self.clone() };
        let input = match options.open(location, &Control::default()) {
            Err(error) => {
                let name = error.place().file.clone().unwrap_or_default();
                let found = InOrderOnly::of(&error);
                let told =
                    found.and_then(|it| Some((Info::of_unordered(&name, it)?, it.file.get()?)));
                let told = told.map(|(info, file)| (info, Some(Arc::clone(file))));
                return told.ok_or(error);
            }
            Ok(input) => input,
        };
        match input {
            Input::Image(image) => Ok((image.info(), None)),
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
                Ok((info, stream.file().cloned()))
            }
        }
    }

    /// Opens an image in a file that is open already. Nothing is beside it: what it refers to
    /// cannot be found.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_file(&self, name: &str, file: File, control: &Control) -> Result<DiskImage> {
        let id = FileId::of(&file.metadata().map_err(|error| Error::from(error).in_file(name))?);
        let opened = Opened { file, id };
        let source = Source::of_file(name.to_owned(), Origin::Nowhere, opened, self.access)?;
        let (source, budget) = (source.minding(self.locks)?, self.limits.budget());
        self.open_source(source, Vec::new(), &budget, control)?.into_image()
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
        let (name, id) = (bytes.name().to_owned(), FileId::of_bytes(&bytes));
        let origin = path.map_or(Origin::Nowhere, |path| Origin::Path(path.to_owned()));
        let source = Source { name, origin, bytes, id, locked: None };
        self.open_source(source, Vec::new(), &self.limits.budget(), control)?.into_image()
    }

    /// Opens an image that was just written, by handles, as its files have no names yet. Whoever else has a device
    /// open that was the target is not asked for.
    pub(crate) fn open_written(
        &self,
        name: &str,
        written: Written,
        control: &Control,
    ) -> Result<DiskImage> {
        let Written { file, parts } = written;
        let id = FileId::of(&file.metadata().map_err(|error| Error::from(error).in_file(name))?);
        let opened = Opened { file, id };
        let source = Source::of_file(name.to_owned(), Origin::Nowhere, opened, self.access)?;
        self.open_source(source, parts, &self.limits.budget(), control)?.into_image()
    }

    fn open_stdin(&self, budget: &Budget, control: &Control) -> Result<Input> {
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
            let source = Source::of_file(STDIN.to_owned(), Origin::Nowhere, opened, self.access)?;
            return self.open_source(source.minding(self.locks)?, Vec::new(), budget, control);
        }
        let locked = self.locks.judge(STDIN, &file)?;
        Ok(self.open_pipe(STDIN, file, id, budget, control)?.warned(locked))
    }

    fn open_path(&self, path: &Path, budget: &Budget, control: &Control) -> Result<Input> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::from(error).doing("opening").in_file(&name);
        let metadata = path.metadata().map_err(io)?;
        if Sort::of(&metadata) != Sort::Stream {
            let opened = file::open_random(path).map_err(io)?;
            let origin = Origin::Path(path.to_owned());
            let source = Source::of_file(name, origin, opened, self.access)?;
            let source = source.minding(self.locks)?;
            if matches!(source.id, FileId::Block(_)) {
                return self.open_source(source, Vec::new(), budget, control);
            }
            let (source, around) = self.out_of_pieces(path, source)?;
            let (source, around) = self.out_of_package(source, around, budget)?;
            return self.open_around(source, around, Vec::new(), budget, control);
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
        self.open_pipe(&name, pipe, id, budget, control)
    }

    /// Opens what can be read anywhere, out of whatever it is wrapped in.
    fn open_source(
        &self,
        file: Source,
        parts: Vec<WrittenPart>,
        budget: &Budget,
        control: &Control,
    ) -> Result<Input> {
        // A device is a disk: what it begins with is its guest's affair.
        if matches!(file.id, FileId::Block(_)) {
            return self.open_chain(file, None, parts, budget).map(Input::Image);
        }
        let (file, around) = self.out_of_package(file, Around::default(), budget)?;
        self.open_around(file, around, parts, budget, control)
    }

    /// The same of what was taken out of all that is `around` it already.
    fn open_around(
        &self,
        file: Source,
        mut around: Around,
        parts: Vec<WrittenPart>,
        budget: &Budget,
        control: &Control,
    ) -> Result<Input> {
        let mut bytes = Arc::clone(&file.bytes);
        loop {
            match unwrap::peel(bytes, around, &Wanted::of(self, budget))? {
                Peeled::Packed { bytes: packed, around: outside } => {
                    match self.open_packed(&file, packed, outside, budget, control)? {
                        ControlFlow::Break(input) => return Ok(input.warned(file.locked)),
                        ControlFlow::Continue(unpacked) => (bytes, around) = unpacked,
                    }
                }
                Peeled::Bytes { around, .. } if around.is_nothing() => {
                    return self.open_chain(file, None, parts, budget).map(Input::Image);
                }
                Peeled::Bytes { bytes, around } => {
                    // What is beside it is what the innermost archive has there.
                    let archive = around.archives.last();
                    let archive = archive.filter(|it| !it.package.is_unpacked()).cloned();
                    let origin = archive.map_or(file.origin, Origin::Member);
                    let (name, id) = (bytes.name().to_owned(), file.id);
                    let wrapped = Wrapped { around, file: file.bytes, piped: None };
                    let top = Source { name, origin, bytes, id, locked: file.locked };
                    return self.open_chain(top, Some(wrapped), parts, budget).map(Input::Image);
                }
            }
        }
    }
}
