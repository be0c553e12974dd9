//! A disk that comes in order, taken out of its wrappers as it does.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Bytes, Error, Limits, NotInOrder, Piece, Result, Stream};
use diskferry_wrap::{Ending, Forward, Peek, Unpacking, Wrapping, find_disk};

use super::recorded::record;
use super::{Around, Formats, Wanted};
use crate::format::{Format, Sample};
use crate::import::quoted;
use crate::place::file::STDIN;
use crate::source::forward::lookahead::length;
use crate::source::stream::{Counted, Footed, Told};
use crate::source::unlike::{DEEP, OnDisk, Suspect, name_inside};

/// What came in order.
pub(crate) enum Arrival {
    /// A disk that can be read so.
    Disk(Arrived),
    /// One that cannot.
    NotInOrder(Unordered),
}

/// What comes in order and cannot be read so.
pub(crate) struct Unordered {
    /// Why, and what to do about it.
    pub error: Error,
    /// What is around all that is kept.
    pub around: Around,
    /// All that it is in, from the first byte on; `None` where too much of it has passed.
    pub all: Option<Box<dyn Read + Send>>,
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
/// `Damaged`, `Limit`, `Io`; as for choosing a disk in an archive.
pub(crate) fn arrive(
    outer: &str,
    reader: impl Forward + 'static,
    mut around: Around,
    wanted: &Wanted,
) -> Result<Arrival> {
    // What may have to be read anywhere is what the outermost compression hides.
    let layers = around.layers.len();
    let unpacked = around.unpack_first(Peek::new(reader), wanted);
    let (recorder, recording) = record(unpacked.map_err(|error| error.in_file(outer))?);
    let claimed = match around.layers.len() > layers {
        true => name_inside(outer),
        false => outer.to_owned(),
    };
    match disk_of(outer, claimed, recorder, around.clone(), wanted) {
        Ok(arrived) => {
            recording.stop();
            Ok(Arrival::Disk(arrived))
        }
        Err(error) if InOrderOnly::is_cause_of(&error) || NotInOrder::is_cause_of(&error) => {
            Ok(Arrival::NotInOrder(Unordered { error, around, all: recording.rewind() }))
        }
        Err(error) => Err(error),
    }
}

impl Around {
    /// Unpacks what is compressed, once.
    pub fn unpack_first(&mut self, mut packed: Peek, wanted: &Wanted) -> Result<Peek> {
        // What is known to be the disk is not waited for.
        if wanted.disk_format() == Some(Format::RAW) {
            return Ok(packed);
        }
        let head = packed.peek(Sample::HEAD)?;
        let probed = Format::probe(&Sample { head, tail: &[] });
        match Wrapping::of(head) {
            Some(Wrapping::Packed(wrapper)) if !wanted.is_disk(|| Ok(probed))? => {
                self.push(wrapper.name(), wanted.budget.limits())?;
                Ok(Peek::new(Unpacking::new(wrapper, packed, &wanted.budget)))
            }
            _ => Ok(packed),
        }
    }
}

fn disk_of(
    outer: &str,
    claimed: String,
    reader: impl Forward + 'static,
    around: Around,
    wanted: &Wanted,
) -> Result<Arrived> {
    let (name, peek, endings) = (outer.to_owned(), Peek::new(reader), Vec::new());
    let arriving = Arriving { name, claimed, size: None, peek, around, endings };
    let mut arriving = arriving.unwrap(wanted).map_err(|error| error.in_file(outer))?;
    wanted.check(outer, &arriving.around)?;
    let told = match wanted.disk_format().or(arriving.around.told_format()) {
        Some(format) => Some(format),
        None => {
            let read = arriving.peek.peek(Sample::HEAD);
            let head = read.map_err(|error| error.doing("reading").in_file(&arriving.name))?;
            let probed = Format::probe(&Sample { head, tail: &[] });
            if probed.is_none() {
                arriving.judge().map_err(|error| error.in_file(&arriving.name))?;
            }
            probed
        }
    };
    let format = told.unwrap_or(Format::RAW);
    let Arriving { name, claimed, size, mut peek, around, endings } = arriving;
    let is_fixed = format == Format::VHD && {
        let head = peek.peek(Wrapping::HEAD).map_err(|error| error.in_file(&name))?;
        Format::probe(&Sample { head, tail: &[] }) != Some(Format::VHD)
    };
    let mut by_end = Told::default();
    let stream: Box<dyn Stream> = if format == Format::RAW || is_fixed {
        let raw = Box::new(RawStream { name: name.clone(), peek, size, passed: 0 });
        match told {
            Some(_) if is_fixed => Box::new(Footed::vhd(raw)),
            Some(_) => raw,
            None => {
                let footed = Footed::assumed(raw).named(claimed);
                by_end = footed.told();
                Box::new(footed)
            }
        }
    } else {
        let opened = format.stream(&name, Box::new(peek), &wanted.budget);
        match opened {
            Some(Ok(stream)) => stream,
            Some(Err(error)) if !NotInOrder::is_cause_of(&error) => return Err(error),
            _ => return Err(in_order_only(format, outer, &name, &around)),
        }
    };
    let limits = wanted.budget.limits().clone();
    let known = stream.size().unwrap_or(0);
    limits.check_virtual_size(known).map_err(|error| error.in_file(stream.name()))?;
    let raw = (format == Format::RAW).then(|| Arc::clone(&by_end));
    let stream = Box::new(Bounded { inner: stream, limits, raw, passed: 0, over: false, endings });
    Ok(Arrived { stream, format, assumed: told.is_none(), around, told: by_end })
}

/// What an archive around a stream tells at its end.
type AtEnd = Arc<OnceLock<Ending>>;

/// A disk that comes in order, as long as a limit allows, and what archives around it have to say at its
/// end.
struct Bounded {
    inner: Box<dyn Stream>,
    limits: Limits,
    /// What its end tells of a disk that is taken for raw; `None` for others.
    raw: Option<Told>,
    /// Bytes of the disk that were handed out.
    passed: u64,
    /// Whether these are all.
    over: bool,
    /// From the outermost archive in.
    endings: Vec<AtEnd>,
}

impl Bounded {
    /// What the archives around it have to say, once they were read.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for ending in self.endings.iter().filter_map(|ending| ending.get()) {
            notes.extend(ending.notes.iter().cloned());
            let capacity = ending.capacity.as_ref().filter(|_| self.over);
            let contradicts = capacity.and_then(|capacity| capacity.object(self.passed));
            notes.extend(contradicts.map(|objection| objection.text));
        }
        notes
    }

    /// What is odd about a raw disk, as opening a file of it would say.
    fn odd_length(&self) -> Option<String> {
        let is_raw = self.raw.as_ref().is_some_and(|told| told.get().is_none());
        let size = self.inner.size().or(self.over.then_some(self.passed));
        size.filter(|_| is_raw).and_then(diskferry_raw::odd_length)
    }
}

impl Stream for Bounded {
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
        let piece = self.inner.next(buf)?;
        self.over = matches!(piece, Piece::End);
        self.passed = self.passed.saturating_add(length(piece));
        let checked = self.limits.check_virtual_size(self.passed);
        checked.map(|()| piece).map_err(|error| error.in_file(self.inner.name()))
    }

    fn warnings(&self) -> Vec<String> {
        let name = self.inner.name();
        let own = self.odd_length().into_iter().chain(self.notes());
        let own = own.map(|text| format!("{name}: {text}"));
        self.inner.warnings().into_iter().chain(own).collect()
    }
}

/// A disk whose format needs what is not to be had; how to get at it all the same.
#[derive(thiserror::Error)]
#[error("{what}; {advice}")]
pub(crate) struct InOrderOnly {
    pub format: Format,
    /// What is around it.
    pub around: Around,
    /// The name of the member that it is, where it is in an archive.
    pub member: Option<String>,
    what: String,
    pub advice: String,
    /// The compressed file, where it is no pipe.
    pub file: OnceLock<Arc<dyn Bytes>>,
}

impl fmt::Debug for InOrderOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl InOrderOnly {
    /// The one that is the cause of an error.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    fn is_cause_of(error: &Error) -> bool {
        Self::of(error).is_some()
    }
}

fn in_order_only(format: Format, outer: &str, name: &str, around: &Around) -> Error {
    let around = around.clone();
    let member = name.strip_prefix(&format!("{outer}/")).map(str::to_owned);
    let (what, advice) = match around.layers.as_slice() {
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
    Error::unsupported(InOrderOnly { format, around, member, what, advice, file: OnceLock::new() })
        .in_file(name)
}

/// The commands that get a disk out of its wrappers.
fn unpacking(format: Format, outer: &str, layers: &[&str]) -> String {
    // No name of a member goes into a line that people copy.
    let (outer, is_pipe) = (quoted(outer), outer == STDIN);
    // What a package has beside its descriptor is a file by itself.
    match layers.strip_prefix(&["ovf"]).unwrap_or(layers) {
        // Its blocks are no file yet.
        layers if layers.contains(&"xva") => "convert it to raw without '-f'".to_owned(),
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
    /// The name that says what it is by now: without the extensions of what was taken off.
    claimed: String,
    /// Length of the disk's file, where an archive tells it.
    size: Option<u64>,
    peek: Peek,
    around: Around,
    endings: Vec<AtEnd>,
}

impl Arriving {
    fn unwrap(mut self, wanted: &Wanted) -> Result<Self> {
        let (budget, limits) = (&wanted.budget, wanted.budget.limits());
        // What is known to be the disk is not waited for.
        if wanted.disk_format() == Some(Format::RAW) {
            return Ok(self);
        }
        loop {
            let head = self.peek.peek(Sample::HEAD)?;
            let probed = Format::probe(&Sample { head, tail: &[] });
            let is_told = self.around.told_format().is_some();
            let wrapping = match is_told || wanted.is_disk(|| Ok(probed))? {
                true => None,
                false => Wrapping::of(head),
            };
            match wrapping {
                None => return Ok(self),
                Some(Wrapping::Packed(wrapper)) => {
                    self.around.push(wrapper.name(), limits)?;
                    self.claimed = name_inside(&self.claimed);
                    self.peek = Peek::new(Unpacking::new(wrapper, self.peek, budget));
                    self.size = None;
                }
                Some(Wrapping::Tar) => {
                    let choice = self.around.choice(wanted);
                    let picked = find_disk(self.peek, choice, &Formats::judge(limits), budget)?;
                    let inside = picked.body;
                    self.around.push(picked.archive.name(), limits)?;
                    self.around.found(picked.disks, picked.may_have_more);
                    self.name = format!("{}/{}", self.name, picked.member);
                    self.claimed = picked.member;
                    self.peek = inside.content;
                    self.endings.push(inside.ending);
                    self.size = Some(inside.size);
                }
            }
        }
    }
}

impl Arriving {
    /// Makes sure that nothing speaks against a raw disk, as far as the beginning tells.
    fn judge(&mut self) -> Result<()> {
        let head = self.peek.peek(Sample::HEAD)?.to_vec();
        let suspect = Suspect { name: &self.claimed, head: &head, tail: None, size: self.size };
        let peek = &mut self.peek;
        suspect.judge(|| OnDisk::look(Arc::new(peek.peek(DEEP)?.to_vec())))
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

impl<R: Forward> Forward for Counted<R> {
    fn hole(&mut self) -> Result<u64> {
        self.inner.hole()
    }
}
