//! One opening of a source: what was found, out of whatever it is wrapped in.

use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use diskferry_block_stream::{Bytes, Error, Identity, Note, Result};
use diskferry_engine::Control;

use crate::place::kind::FileKind;
use crate::place::location::Location;
use crate::place::standard::{self, STDIN};
use crate::source::around::Around;
use crate::source::chain::open_chain;
use crate::source::found::Found;
use crate::source::opened::{Body, Opened};
use crate::source::options::OpenOptions;
use crate::source::origin::Origin;
use crate::source::package::out_of_package;
use crate::source::unwrap::in_order_only::InOrderOnly;
use crate::source::unwrap::scratch::Scratch;
use crate::source::unwrap::{Unordered, Unwrapped, Unwrapping};
use crate::source::wanted::Wanted;

/// One opening: what it wants and may take, and who follows it.
pub(crate) struct Opening<'a> {
    options: &'a OpenOptions,
    wanted: Wanted,
    control: &'a Control,
}

/// What opening a source comes to.
pub(crate) enum Outcome {
    /// A disk.
    Opened(Box<Opened>),
    /// Where a disk is from that would have to be unpacked first, and the error that says so.
    NotInOrder(Option<Box<Origin>>, Error),
}

impl<'a> Opening<'a> {
    pub fn new(options: &'a OpenOptions, control: &'a Control) -> Self {
        Self { options, wanted: Wanted::of(options), control }
    }

    /// Opens what is at a location, as far as that goes without unpacking to a scratch file where none is allowed.
    pub fn open(&self, location: &Location) -> Result<Outcome> {
        match location {
            Location::Standard => self.open_stdin(),
            Location::Path(path) => self.open_path(path),
        }
    }

    fn open_stdin(&self) -> Result<Outcome> {
        let mut file = standard::stdin()?;
        let io = |error: std::io::Error| Error::from(error).in_file(STDIN);
        let metadata = file.metadata().map_err(io)?;
        // Where somebody has read from it already, the disk is what is left.
        if FileKind::of(&metadata).is_random() && file.stream_position().map_err(io)? == 0 {
            // Looking around in a file moves its position, which is not ours alone: whoever gets
            // stdin after us would find it at the end. An opening of our own has its own.
            if let Ok(own) = File::open("/proc/self/fd/0") {
                file = own;
            }
            let found = Found::of_file(STDIN, file, self.options.access)?;
            return self.open_found(found.minding(self.options.locks)?);
        }
        let locked = self.options.locks.judge(STDIN, &file)?;
        self.open_pipe(STDIN, file, (Identity::of(&metadata), locked))
    }

    fn open_path(&self, path: &Path) -> Result<Outcome> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::from(error).doing("opening").in_file(&name);
        let metadata = path.metadata().map_err(io)?;
        if FileKind::of(&metadata) != FileKind::Stream {
            let found = Found::at(path, self.options)?.minding(self.options.locks)?;
            if found.is_device() {
                return self.open_found(found);
            }
            let (found, around) = self.options.out_of_pieces(path, found)?;
            return self.open_around(found, around);
        }
        // Who names a pipe means it. A link to one, in a folder that others fill, is a trap in which
        // opening waits for ever; and a character device may do anything when it is opened.
        let named = !path.is_symlink() || path.starts_with("/dev") || path.starts_with("/proc");
        let odd = match metadata.file_type().is_fifo() {
            true if named => None,
            true => Some("a link to a pipe; name the pipe itself, or `-` for stdin"),
            false if standard::is_stdin(&metadata) => None,
            false => Some("neither a file, nor a block device, nor a pipe"),
        };
        if let Some(odd) = odd {
            return Err(Error::unsupported(odd).in_file(&name));
        }
        let pipe = File::open(path).map_err(io)?;
        self.open_pipe(&name, pipe, (Identity::of(&metadata), None))
    }

    /// Opens what can be read anywhere, out of whatever it is wrapped in.
    pub fn open_found(&self, file: Found) -> Result<Outcome> {
        match file.is_device() {
            true => self.open_device(file),
            false => self.open_around(file, Around::default()),
        }
    }

    /// Opens a device, which is a disk: what it begins with is its guest's affair.
    pub fn open_device(&self, file: Found) -> Result<Outcome> {
        let bytes = Arc::clone(&file.bytes);
        open_chain(self.options, &self.wanted, file, bytes, Around::default()).map(Outcome::from)
    }

    /// The same of what was taken out of all that is `around` it already.
    fn open_around(&self, file: Found, around: Around) -> Result<Outcome> {
        let (file, mut around) = out_of_package(self.options, &self.wanted, file, around)?;
        let mut bytes = Arc::clone(&file.bytes);
        loop {
            match Unwrapping::of_bytes(bytes, around, &self.wanted).run()? {
                Unwrapped::Random { bytes, around } => {
                    return self.open_inside(file, bytes, around);
                }
                Unwrapped::Forward(arrived) => {
                    let (identity, locked) = (file.bytes.identity(), file.locked);
                    return Ok(Opened::arriving(arrived, Some(file.bytes), identity, locked).into());
                }
                Unwrapped::NotInOrder(unordered) if self.options.scratch.is_none() => {
                    let origin = file.origin_of(&unordered);
                    return Ok(Outcome::NotInOrder(origin.map(Box::new), unordered.error));
                }
                Unwrapped::NotInOrder(unordered) => {
                    (bytes, around) = self.unpack(&file.name, unordered)?;
                }
            }
        }
    }

    /// Opens what was found in a file, or is it.
    fn open_inside(&self, file: Found, bytes: Arc<dyn Bytes>, around: Around) -> Result<Outcome> {
        let Found { name, siblings, bytes: whole, locked } = file;
        let (name, siblings) = match around.is_nothing() {
            true => (name, siblings),
            // What is beside it is what the innermost archive has there.
            false => (bytes.name().to_owned(), around.members().or(siblings)),
        };
        let top = Found { name, siblings, bytes, locked };
        open_chain(self.options, &self.wanted, top, whole, around).map(Outcome::from)
    }

    /// Opens what comes out of a pipe.
    fn open_pipe(
        &self,
        name: &str,
        pipe: File,
        (identity, locked): (Identity, Option<Note>),
    ) -> Result<Outcome> {
        let mut outcome = match Unwrapping::of_pipe(name, pipe, &self.wanted).run()? {
            Unwrapped::Forward(arrived) => {
                return Ok(Opened::arriving(arrived, None, identity, locked).into());
            }
            Unwrapped::Random { bytes, around } => {
                let (name, whole) = (name.to_owned(), Arc::clone(&bytes));
                let found = Found { name, siblings: None, bytes: whole, locked };
                self.open_inside(found, bytes, around)?
            }
            Unwrapped::NotInOrder(unordered) if self.options.scratch.is_none() => {
                return Ok(Outcome::NotInOrder(None, unordered.error));
            }
            Unwrapped::NotInOrder(unordered) => {
                let read = Arc::clone(&unordered.read);
                let (bytes, around) = self.unpack(name, unordered)?;
                let name = name.to_owned();
                let found = Found { name, siblings: None, bytes, locked };
                let mut outcome = self.open_around(found, around)?;
                if let Outcome::Opened(opened) = &mut outcome
                    && let Body::Random(_) = opened.body
                {
                    opened.origin.piped = Some(read.load(Ordering::Relaxed));
                }
                outcome
            }
        };
        if let Outcome::Opened(opened) = &mut outcome {
            opened.origin.identity = identity;
        }
        Ok(outcome)
    }

    /// Unpacks to a scratch file what cannot be read in order. Goes on with bytes that can be read anywhere, which
    /// may be wrapped again, and what is around those.
    fn unpack(&self, name: &str, unordered: Unordered) -> Result<(Arc<dyn Bytes>, Around)> {
        let Unordered { error, mut around, all, mut read, packed } = unordered;
        let OpenOptions { scratch: Some(folder), limits, .. } = self.options else {
            return Err(error);
        };
        let Control { cancel, progress, .. } = self.control;
        let name = packed.as_ref().map_or(name, |packed| packed.bytes.name());
        let all = match (all, &packed) {
            (Some(all), _) => all,
            (None, Some(packed)) => {
                let (all, again) = packed.unpacked()?;
                read = again;
                all
            }
            (None, None) => return Err(error),
        };
        if let Some(packed) = &packed {
            progress.expect(packed.bytes.len());
        }
        let scratch = Scratch { folder, limits, cancel, progress };
        let filled = scratch.fill(all, || read.load(Ordering::Relaxed));
        let bytes =
            self.options.access.bytes(name, filled.map_err(|error| error.in_file(name))?)?;
        around.scratch.push(Arc::clone(&bytes));
        Ok((bytes, around))
    }
}

impl Found {
    /// Where the disk is from that was found in this file and cannot be read in order.
    fn origin_of(&self, unordered: &Unordered) -> Option<Origin> {
        let InOrderOnly { format, around, .. } = InOrderOnly::of(&unordered.error)?;
        Some(Origin {
            name: unordered.error.place().file.clone().unwrap_or_default(),
            format: *format,
            assumed: false,
            warnings: around.notes.clone(),
            around: around.clone(),
            file: Some(Arc::clone(&self.bytes)),
            identity: self.bytes.identity(),
            piped: None,
        })
    }
}

impl Outcome {
    /// The disk.
    ///
    /// # Errors
    /// That it would have to be unpacked first.
    pub fn opened(self) -> Result<Opened> {
        match self {
            Self::Opened(opened) => Ok(*opened),
            Self::NotInOrder(_, error) => Err(error),
        }
    }
}

impl From<Opened> for Outcome {
    fn from(opened: Opened) -> Self {
        Self::Opened(Box::new(opened))
    }
}
