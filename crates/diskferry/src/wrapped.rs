//! Gets at the disk in a file that is wrapped: in an archive, in a compressed file, in both.
//!
//! An archive that is not compressed leaves the disk where it is in the file, as bytes that can be
//! read anywhere. From the first compressed layer on, as out of a pipe, all comes in order only.

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Description, Disk, Error, ErrorKind, Image, Limits, Order, Piece,
    Problem, Progress, Result, Stream,
};
use diskferry_engine::Rewinding;
use diskferry_wrap::{
    BytesReader, Choice, Forward, Found, LIKELY, Package, Part, Peek, Promises, Unpacking,
    Wrapping, find_disk,
};

use crate::file::STDIN;
use crate::format::{Format, Sample};
use crate::import::quoted;
use crate::kept::length;
use crate::open::{OpenOptions, probe};
use crate::stream::{Counted, Footed, Told};

/// What is around a disk.
#[derive(Clone, Default)]
pub(crate) struct Around {
    /// The wrappers, from the outside in.
    pub layers: Vec<&'static str>,
    /// The disks of the archive, as far as they are known.
    pub disks: Vec<Found>,
    /// The archives that can be read anywhere, which may have digests of their members.
    pub archives: Vec<Archive>,
}

/// An archive around a disk.
#[derive(Clone)]
pub(crate) struct Archive {
    pub package: Arc<Package>,
    /// The name of the member that the disk is in.
    pub member: String,
}

impl Around {
    /// What the manifests of the archives say of the bytes that the disk is read from.
    ///
    /// # Errors
    /// `Limit` for a manifest that is too long, `Io`.
    pub fn promises(&self) -> Result<Vec<Promises>> {
        self.archives.iter().map(|it| it.package.promises(&it.member)).collect()
    }

    /// # Errors
    /// `Limit` for more wrappers around one another than there may be.
    fn push(&mut self, layer: &'static str, limits: &Limits) -> Result<()> {
        if self.layers.len() >= limits.nesting as usize {
            let what = format!("more than {} wrappers around one another", limits.nesting);
            return Err(Limits::reached("nesting", what));
        }
        self.layers.push(layer);
        Ok(())
    }

    /// What an archive at this depth is asked for: the caller's choice is of the outermost one.
    fn choice(&self, options: &Wanted) -> Choice {
        match options.choice {
            Choice::Number(_) if !self.disks.is_empty() => Choice::Only,
            choice => choice,
        }
    }

    fn found(&mut self, disks: Vec<Found>) {
        if self.disks.is_empty() {
            self.disks = disks;
        }
    }
}

/// Whether a wrapper compresses; the others are archives.
pub(crate) fn is_compression(layer: &str) -> bool {
    !matches!(layer, "tar" | "ova")
}

/// What of a wrapped file is wanted.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// The format of the disk, where it is told.
    format: Option<Format>,
    choice: Choice,
    limits: Limits,
}

impl Wanted {
    pub fn of(options: &OpenOptions) -> Self {
        let (format, choice, limits) = (options.format, options.disk, options.limits.clone());
        Self { format, choice, limits }
    }

    /// The format of the disk; those that are wrappers themselves say nothing of it.
    pub fn disk_format(&self) -> Option<Format> {
        self.format.filter(|format| !format.is_package())
    }

    /// Whether these bytes are the disk, whatever they look like: a raw disk may look like anything.
    fn is_disk(&self, probe: impl FnOnce() -> Result<Option<Format>>) -> Result<bool> {
        match self.disk_format() {
            None => Ok(false),
            Some(format) if format == Format::RAW => Ok(true),
            Some(format) => Ok(probe()? == Some(format)),
        }
    }

    /// # Errors
    /// `Misuse` where a package, or a disk of one, was asked for, and there is none.
    fn check(&self, name: &str, around: &Around) -> Result<()> {
        if let Some(format) = self.format.filter(|format| format.is_package())
            && around.layers.is_empty()
        {
            return Err(Error::damaged(format!("no {format} file")).in_file(name));
        }
        match self.choice {
            Choice::Number(number) if number != 1 && around.disks.is_empty() => {
                Err(Error::misuse(format!("it has no disk {number}: it is no archive"))
                    .in_file(name))
            }
            _ => Ok(()),
        }
    }
}

/// A file without its wrappers.
pub(crate) enum Peeled {
    /// The disk's own file, or a part of one.
    Bytes { bytes: Arc<dyn Bytes>, around: Around },
    /// A compressed file.
    Packed(Packed),
}

/// Takes the wrappers off that leave the disk readable anywhere.
///
/// # Errors
/// As for opening an archive, and choosing a disk in it.
pub(crate) fn peel(mut bytes: Arc<dyn Bytes>, wanted: &Wanted) -> Result<Peeled> {
    let file = Arc::clone(&bytes);
    let mut around = Around::default();
    loop {
        let name = bytes.name().to_owned();
        let wrapping = match wanted.is_disk(|| probe(bytes.as_ref()))? {
            true => None,
            false => Wrapping::of(&head(bytes.as_ref(), Wrapping::HEAD)?),
        };
        match wrapping {
            None => {
                wanted.check(&name, &around)?;
                return Ok(Peeled::Bytes { bytes, around });
            }
            Some(Wrapping::Packed(_)) => {
                return Ok(Peeled::Packed(Packed { bytes, file, around, wanted: wanted.clone() }));
            }
            Some(Wrapping::Tar) => {
                let package = Package::open(&name, Arc::clone(&bytes), &wanted.limits)?;
                let layer = if package.is_ova() { "ova" } else { "tar" };
                around.push(layer, &wanted.limits).map_err(|error| error.in_file(&name))?;
                let (part, disks) = package.disk(around.choice(wanted), &judge_part)?;
                around.found(disks);
                let member = part.name().strip_prefix(&format!("{name}/"));
                let member = member.unwrap_or_default().to_owned();
                around.archives.push(Archive { package: Arc::new(package), member });
                bytes = Arc::new(part);
            }
        }
    }
}

/// The first bytes, at most `most` of them.
pub(crate) fn head(bytes: &dyn Bytes, most: usize) -> Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(bytes.len()).map_or(most, |len| len.min(most))];
    bytes.read_at(0, &mut head)?;
    Ok(head)
}

/// What a member is. Of what is short, its end does not tell: through a pipe the same members are disks.
fn judge_part(part: &Part) -> Result<Option<&'static str>> {
    if part.len() < LIKELY {
        return Ok(judge_head(&head(part, Sample::HEAD)?));
    }
    let wrapping = || Ok(Wrapping::of(&head(part, Wrapping::HEAD)?).map(Wrapping::name));
    probe(part)?.map_or_else(wrapping, |format| Ok(Some(format.name())))
}

fn judge_head(head: &[u8]) -> Option<&'static str> {
    let format = Format::probe(&Sample { head, tail: &[] });
    format.map(Format::name).or_else(|| Wrapping::of(head).map(Wrapping::name))
}

/// A compressed file, whose disk can be had from the beginning as often as it is wanted.
#[derive(Clone)]
pub(crate) struct Packed {
    bytes: Arc<dyn Bytes>,
    /// The file that it is, or is in.
    file: Arc<dyn Bytes>,
    /// What is around the compressed file.
    around: Around,
    wanted: Wanted,
}

impl Packed {
    /// Begins.
    ///
    /// # Errors
    /// As for [`arrive`].
    pub fn begin(&self, read: &Arc<AtomicU64>) -> Result<Arrived> {
        let counted = Counted::new(BytesReader::new(Arc::clone(&self.bytes)), read);
        arrive(self.bytes.name(), counted, self.around.clone(), &self.wanted)
    }

    /// The file, with all that is around the disk.
    pub fn file(&self) -> &Arc<dyn Bytes> {
        &self.file
    }

    /// The disk, to be read anywhere, at the price of a pass for each time that it goes back.
    ///
    /// # Errors
    /// As for [`arrive`]; where the size is known at the end only, whatever the disk's bytes fail
    /// with.
    pub fn into_image(self) -> Result<(Arrived, PackedImage)> {
        let mut arrived = self.begin(&Arc::default())?;
        let size = match arrived.stream.size() {
            Some(size) => size,
            None => run_out(arrived.stream.as_mut(), |_| Ok(()))?,
        };
        if let Some(format) = arrived.told.get() {
            (arrived.format, arrived.assumed) = (*format, false);
        }
        let name = arrived.stream.name().to_owned();
        let (format, innermost) = (arrived.format, arrived.around.layers.last().copied());
        let packed = self.clone();
        let begin = move || Ok(self.begin(&Arc::default())?.stream);
        let disk = Rewinding::new(name, size, Box::new(begin));
        let compression = innermost.filter(|layer| is_compression(layer));
        Ok((arrived, PackedImage { packed, disk, format, compression }))
    }
}

/// Bytes of a stream that are read at a time.
const STEP: usize = 256 << 10;

/// Reads a stream to its end, and returns how long it is; `passed` is told of each piece's length.
fn run_out(stream: &mut dyn Stream, passed: impl Fn(u64) -> Result<()>) -> Result<u64> {
    let mut buf = vec![0; STEP];
    let mut size = 0u64;
    loop {
        let length = match stream.next(&mut buf)? {
            Piece::End => return Ok(size),
            piece => length(piece),
        };
        let too_long = || Error::limit("a stream of more than 2^64 bytes").in_file(stream.name());
        size = size.checked_add(length).ok_or_else(too_long)?;
        passed(length)?;
    }
}

/// A disk that comes in order.
pub(crate) struct Arrived {
    pub stream: Box<dyn Stream>,
    pub format: Format,
    pub assumed: bool,
    pub around: Around,
    /// The format that its end tells, where nothing told before.
    pub told: Told,
}

/// Takes the wrappers off what comes in order.
///
/// # Errors
/// `Unsupported` for a disk that cannot be read in order; `Damaged`, `Limit`, `Io`; as for choosing
/// a disk in an archive.
pub(crate) fn arrive(
    outer: &str,
    reader: impl Forward + 'static,
    around: Around,
    wanted: &Wanted,
) -> Result<Arrived> {
    let (name, peek, notes) = (outer.to_owned(), Peek::new(reader), Vec::new());
    let arriving = Arriving { name, size: None, peek, around, notes };
    let mut arriving = arriving.unwrap(wanted).map_err(|error| error.in_file(outer))?;
    wanted.check(outer, &arriving.around)?;
    let told = match wanted.disk_format() {
        Some(format) => Some(format),
        None => {
            let read = arriving.peek.peek(Sample::HEAD);
            let head = read.map_err(|error| error.doing("reading").in_file(&arriving.name))?;
            let probed = Format::probe(&Sample { head, tail: &[] });
            if probed.is_none() {
                Format::assume_raw(head).map_err(|error| error.in_file(&arriving.name))?;
            }
            probed
        }
    };
    let format = told.unwrap_or(Format::RAW);
    let Arriving { name, size, mut peek, around, notes } = arriving;
    let is_fixed = format == Format::VHD && {
        let head = peek.peek(Wrapping::HEAD).map_err(|error| error.in_file(&name))?;
        Format::probe(&Sample { head, tail: &[] }) != Some(Format::VHD)
    };
    let mut by_end = Told::default();
    let stream: Box<dyn Stream> = if format == Format::RAW || is_fixed {
        wanted
            .limits
            .check_virtual_size(size.unwrap_or(0))
            .map_err(|error| error.in_file(&name))?;
        let raw = Box::new(RawStream { name: name.clone(), peek, size, passed: 0 });
        match told {
            Some(_) if is_fixed => Box::new(Footed::vhd(raw)),
            Some(_) => raw,
            None => {
                let footed = Footed::assumed(raw);
                by_end = footed.told();
                Box::new(footed)
            }
        }
    } else {
        let opened = format.stream(&name, Box::new(peek), &wanted.limits);
        opened.unwrap_or_else(|| Err(in_order_only(format, outer, &name, &around)))?
    };
    let stream: Box<dyn Stream> = match notes.is_empty() {
        true => stream,
        false => Box::new(Noted { inner: stream, notes }),
    };
    Ok(Arrived { stream, format, assumed: told.is_none(), around, told: by_end })
}

/// What is told of a stream by its end.
type Note = Arc<OnceLock<String>>;

/// A stream out of archives that may have something to say at its end.
struct Noted {
    inner: Box<dyn Stream>,
    notes: Vec<Note>,
}

impl Stream for Noted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn original_size(&self) -> Option<u64> {
        self.inner.original_size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.inner.next(buf)
    }

    fn warnings(&self) -> Vec<String> {
        let name = self.inner.name();
        let notes = self.notes.iter().filter_map(|note| note.get());
        let notes = notes.map(|text| format!("{name}: {text}"));
        self.inner.warnings().into_iter().chain(notes).collect()
    }
}

/// A disk whose format needs what is not to be had; how to get at it all the same.
#[derive(Debug, thiserror::Error)]
#[error("{what}; {advice}")]
pub(crate) struct InOrderOnly {
    pub format: Format,
    /// What is around it, from the outside in.
    pub wrapping: Vec<&'static str>,
    /// The name of the member that it is, where it is in an archive.
    pub member: Option<String>,
    what: String,
    pub advice: String,
}

fn in_order_only(format: Format, outer: &str, name: &str, around: &Around) -> Error {
    let wrapping = around.layers.clone();
    let member = name.strip_prefix(&format!("{outer}/")).map(str::to_owned);
    let (what, advice) = match wrapping.as_slice() {
        [] => (
            format!(
                "a {format} image cannot be read from a pipe, for its tables point back and forth"
            ),
            "give a file, or redirect it with '<'".to_owned(),
        ),
        layers => (
            format!(
                "a {format} image in a compressed file or a pipe comes front to back only, and its \
                 tables point back and forth"
            ),
            format!("unpack it first: {}", unpacking(format, outer, layers)),
        ),
    };
    Error::unsupported(InOrderOnly { format, wrapping, member, what, advice }).in_file(name)
}

/// The commands that get a disk out of its wrappers.
fn unpacking(format: Format, outer: &str, layers: &[&str]) -> String {
    // No name of a member goes into a line that people copy.
    let (outer, is_pipe) = (quoted(outer), outer == STDIN);
    match layers {
        ["tar" | "ova"] if is_pipe => "tar -xf -".to_owned(),
        // A tar that reads a pipe does not look whether it is compressed.
        [packed, "tar" | "ova"] if is_pipe => format!("{packed} -dc | tar -xf -"),
        ["tar" | "ova"] | [_, "tar" | "ova"] => format!("tar -xf {outer}"),
        [packed] if is_pipe => format!("{packed} -dc > disk.{format}"),
        [packed] => format!("{packed} -dc {outer} > disk.{format}"),
        _ => "layer by layer".to_owned(),
    }
}

struct Arriving {
    name: String,
    /// Length of the disk's file, where an archive tells it.
    size: Option<u64>,
    peek: Peek,
    around: Around,
    notes: Vec<Note>,
}

impl Arriving {
    fn unwrap(mut self, wanted: &Wanted) -> Result<Self> {
        let limits = &wanted.limits;
        // What is known to be the disk is not waited for.
        if wanted.disk_format() == Some(Format::RAW) {
            return Ok(self);
        }
        loop {
            let head = self.peek.peek(Sample::HEAD)?;
            let probed = Format::probe(&Sample { head, tail: &[] });
            let wrapping = match wanted.is_disk(|| Ok(probed))? {
                true => None,
                false => Wrapping::of(head),
            };
            match wrapping {
                None => return Ok(self),
                Some(Wrapping::Packed(wrapper)) => {
                    self.around.push(wrapper.name(), limits)?;
                    self.peek = Peek::new(Unpacking::new(wrapper, self.peek, limits));
                    self.size = None;
                }
                Some(Wrapping::Tar) => {
                    let choice = self.around.choice(wanted);
                    let inside = find_disk(self.peek, choice, judge_head, limits)?;
                    self.around.push(if inside.is_ova { "ova" } else { "tar" }, limits)?;
                    self.around.found(inside.disks);
                    self.name = format!("{}/{}", self.name, inside.name);
                    self.peek = inside.content;
                    self.notes.push(inside.note);
                    self.size = Some(inside.size);
                }
            }
        }
    }
}

/// A raw disk that comes in order; its holes need not be looked at.
struct RawStream {
    name: String,
    peek: Peek,
    size: Option<u64>,
    passed: u64,
}

impl RawStream {
    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let zeros = self.peek.hole()?;
        if zeros > 0 {
            return Ok(Piece::Zero(zeros));
        }
        loop {
            match self.peek.read(buf) {
                Ok(0) => return Ok(Piece::End),
                Ok(count) => return Ok(Piece::Data(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Stream for RawStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let (at, room) = (self.passed, buf.len() as u64);
        let piece =
            self.piece(buf).map_err(|error| error.at("reading", at, room).in_file(&self.name))?;
        self.passed += length(piece);
        Ok(piece)
    }
}

/// A disk in a compressed file as an image.
pub(crate) struct PackedImage {
    packed: Packed,
    disk: Rewinding,
    format: Format,
    compression: Option<&'static str>,
}

impl Disk for PackedImage {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn grain(&self) -> u64 {
        self.disk.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.disk.files()
    }

    fn order(&self) -> Order {
        self.disk.order()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        self.disk.cursor()
    }
}

impl Image for PackedImage {
    fn describe(&self) -> Description {
        Description {
            subformat: match self.format {
                format if format == Format::RAW => "raw".to_owned(),
                format if format == Format::VHD => "fixed".to_owned(),
                _ => String::new(),
            },
            compression: self.compression,
            ..Description::default()
        }
    }

    /// There are none; checksums are all that there is to check, and what is odd shows at the end. So all of
    /// it is read.
    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        progress.expect(self.size());
        match self.read_through(cancel, progress) {
            Ok(warnings) => {
                warnings.into_iter().for_each(|text| report(Problem::oddity(None, text)));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                report(Problem::corruption(None, error.to_string()));
                Ok(())
            }
            Err(error) => Err(error.in_file(self.packed.bytes.name())),
        }
    }
}

impl PackedImage {
    /// Reads all of the disk, and returns what was odd about it.
    fn read_through(&self, cancel: &Cancel, progress: &Progress) -> Result<Vec<String>> {
        let mut stream = self.packed.begin(&Arc::default())?.stream;
        run_out(stream.as_mut(), |length| {
            progress.pass(length);
            cancel.check()
        })?;
        Ok(stream.warnings())
    }
}

impl<R: Forward> Forward for Counted<R> {
    fn hole(&mut self) -> Result<u64> {
        self.inner.hole()
    }
}

/// Says of a file that is taken as it is that it looks like something else.
pub(crate) fn looks_wrapped(bytes: &dyn Bytes) -> Result<Option<String>> {
    let wrapping = Wrapping::of(&head(bytes, Wrapping::HEAD)?);
    Ok(wrapping.map(|wrapping| {
        format!(
            "{}: taken for a raw disk as it is, though it looks like a {} file",
            bytes.name(),
            wrapping.name()
        )
    }))
}
