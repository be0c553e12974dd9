//! Gets at the disk in a file that is wrapped: in an archive, in a compressed file, in both.
//!
//! An archive that is not compressed leaves the disk where it is in the file, as bytes that can be read anywhere. From
//! the first compressed layer on, as out of a pipe, all comes in order only. Layers are taken off by one loop; what it
//! looks at is a [`Medium`].

mod coming;
pub mod in_order_only;
pub mod judge;
pub mod listed;
mod medium;
mod naming;
pub mod packed;
mod recorded;
pub mod scratch;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diskferry_block_stream::{Bytes, Error, NotInOrder, Result};
use diskferry_codec::Wrapper;
use diskferry_wrap::{Forward, Package, Peek, Picked, Unpacking, Wrapping, find_disk};

use crate::source::around::{Archive, Around};
use crate::source::arrived::{Arrived, Arriving, Packed};
use crate::source::forward::bounded::AtEnd;
use crate::source::forward::counted::Counted;
use crate::source::unlike::name_inside;
use crate::source::unwrap::coming::{Begun, Coming};
use crate::source::unwrap::in_order_only::InOrderOnly;
use crate::source::unwrap::judge::Formats;
use crate::source::unwrap::medium::Medium;
use crate::source::unwrap::recorded::{Recording, record};
use crate::source::wanted::Wanted;

/// A disk without its wrappers.
pub(crate) enum Unwrapped {
    /// The disk's own file, or a part of one, which can be read anywhere.
    Random { bytes: Arc<dyn Bytes>, around: Around },
    /// One that comes in order, and can be read so.
    Forward(Arrived),
    /// One that comes in order, and cannot.
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
    /// How many bytes of what it comes out of were read.
    pub read: Arc<AtomicU64>,
    /// The compressed file that it comes out of, where it is no pipe.
    pub packed: Option<Packed>,
}

/// Wrappers that are being taken off, from the outside in.
pub(crate) struct Unwrapping<'a> {
    wanted: &'a Wanted,
    medium: Medium,
    around: Around,
    /// Counts the bytes of the compressed file or the pipe.
    read: Arc<AtomicU64>,
    /// The outermost file that comes in order, in the words of messages.
    outer: Option<String>,
    /// The compressed file, where that is no pipe.
    packed: Option<Packed>,
    /// What is kept of what comes in order, and what is around that.
    recording: Option<(Recording, Around)>,
    /// What of the disk's file is known by what it comes out of.
    inside: Inside,
}

/// The file of a disk that comes in order.
struct Inside {
    name: String,
    /// The name that says what it is by now: without the extensions of what was taken off.
    claimed: String,
    /// Its length, where an archive tells it.
    size: Option<u64>,
    endings: Vec<AtEnd>,
}

impl<'a> Unwrapping<'a> {
    /// Begins with bytes that can be read anywhere, when the wrappers `around` them are off.
    pub fn of_bytes(bytes: Arc<dyn Bytes>, around: Around, wanted: &'a Wanted) -> Self {
        let inside = Inside::of(bytes.name());
        Self { around, ..Self::of(Medium::Random(bytes), inside, wanted) }
    }

    /// Begins with what comes out of a pipe, which messages call `name`.
    pub fn of_pipe(name: &str, pipe: impl Forward + 'static, wanted: &'a Wanted) -> Self {
        let read = Arc::default();
        let medium = Medium::Forward(Peek::new(Counted::new(pipe, &read)));
        let outer = Some(name.to_owned());
        Self { outer, read, ..Self::of(medium, Inside::of(name), wanted) }
    }

    fn of(medium: Medium, inside: Inside, wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            medium,
            around: Around::default(),
            read: Arc::default(),
            outer: None,
            packed: None,
            recording: None,
            inside,
        }
    }

    /// Takes them off.
    ///
    /// # Errors
    /// As for opening an archive, choosing a disk in it, and unpacking; `Damaged`, `Limit`, `Io`.
    pub fn run(mut self) -> Result<Unwrapped> {
        let error = match self.peel().and_then(|()| self.begin()) {
            Ok(unwrapped) => return Ok(unwrapped),
            Err(error) => error,
        };
        let not_in_order = InOrderOnly::is_cause_of(&error) || NotInOrder::is_cause_of(&error);
        let Some((recording, around)) = self.recording.filter(|_| not_in_order) else {
            return Err(error);
        };
        let (all, read, packed) = (recording.rewind(), self.read, self.packed);
        Ok(Unwrapped::NotInOrder(Unordered { error, around, all, read, packed }))
    }

    /// All that the compressed file has, without its outermost layer.
    ///
    /// # Errors
    /// `Limit` for too many wrappers, `Io`.
    pub fn unpacked(mut self) -> Result<(Box<dyn Read + Send>, Arc<AtomicU64>)> {
        if let Some(Wrapping::Packed(wrapper)) = self.wrapping()? {
            self.unpack(wrapper)?;
        }
        let Self { medium, read, .. } = self;
        Ok((Box::new(medium.into_reader(&read)), read))
    }

    /// Takes all of them off.
    fn peel(&mut self) -> Result<()> {
        while let Some(wrapping) = self.wrapping()? {
            let taken = match wrapping {
                Wrapping::Packed(wrapper) => self.unpack(wrapper),
                Wrapping::Tar => self.open_archive(),
            };
            taken.map_err(|error| self.located(error))?;
        }
        let name = self.outer.as_deref().unwrap_or(&self.inside.name);
        self.wanted.check(name, &self.around)
    }

    /// The next wrapper; none where the disk comes next.
    fn wrapping(&mut self) -> Result<Option<Wrapping>> {
        // What is known to be the disk is not waited for.
        if self.around.told_format().is_some() || self.wanted.is_raw() {
            return Ok(None);
        }
        let medium = &mut self.medium;
        let is_disk = match self.wanted.disk_format() {
            Some(format) => medium.probe().map(|probed| probed == Some(format)),
            None => Ok(false),
        };
        let found = is_disk.and_then(|is_disk| if is_disk { Ok(None) } else { medium.wrapping() });
        found.map_err(|error| self.located(error))
    }

    /// Unpacks what is compressed, from now on in order.
    fn unpack(&mut self, wrapper: Wrapper) -> Result<()> {
        if let Medium::Random(bytes) = &self.medium {
            self.outer = Some(bytes.name().to_owned());
            let (bytes, around) = (Arc::clone(bytes), self.around.clone());
            self.packed = Some(Packed { bytes, around, wanted: self.wanted.clone() });
        }
        self.around.push(wrapper.name(), self.wanted.budget.limits())?;
        let packed = self.medium.take().into_reader(&self.read);
        let unpacked = Peek::new(Unpacking::new(wrapper, packed, &self.wanted.budget));
        self.medium = Medium::Forward(unpacked);
        (self.inside.claimed, self.inside.size) = (name_inside(&self.inside.claimed), None);
        self.record();
        Ok(())
    }

    /// Keeps what comes in order from here on, as far as it is no compression's: what may have to be read anywhere
    /// is what the outermost one hides.
    fn record(&mut self) {
        if let (None, Medium::Forward(_)) = (&self.recording, &self.medium) {
            let (recorder, recording) = record(self.medium.take().into_reader(&self.read));
            self.medium = Medium::Forward(Peek::new(recorder));
            self.recording = Some((recording, self.around.clone()));
        }
    }

    /// Goes on with the disk that is meant of those in an archive.
    fn open_archive(&mut self) -> Result<()> {
        self.record();
        match self.medium.take() {
            Medium::Random(bytes) => self.open_package(bytes),
            Medium::Forward(peek) => self.find_disk(peek),
        }
    }

    fn open_package(&mut self, bytes: Arc<dyn Bytes>) -> Result<()> {
        let (name, limits) = (bytes.name().to_owned(), self.wanted.budget.limits());
        let package = Package::open(&name, bytes, &self.wanted.budget)?;
        let kind = package.kind();
        self.around.push(kind.name(), limits).map_err(|error| error.in_file(&name))?;
        let package = Arc::new(package);
        let formats = Formats { limits: limits.clone() };
        let picked = package.disk(self.around.choice(self.wanted.choice), &formats)?;
        let Picked { member, disks, body: part, .. } = picked;
        self.around.found(disks, false);
        self.around.archives.push(Archive { package, member });
        self.inside = Inside::of(part.name());
        self.medium = Medium::Random(Arc::new(part));
        Ok(())
    }

    fn find_disk(&mut self, archive: Peek) -> Result<()> {
        let (choice, limits) =
            (self.around.choice(self.wanted.choice), self.wanted.budget.limits());
        let picked = find_disk(archive, choice, &Formats::judge(limits), &self.wanted.budget)?;
        self.around.push(picked.archive.name(), limits)?;
        self.around.found(picked.disks, picked.may_have_more);
        let inside = &mut self.inside;
        inside.name = format!("{}/{}", inside.name, picked.member);
        (inside.claimed, inside.size) = (picked.member, Some(picked.body.size));
        inside.endings.push(picked.body.ending);
        self.medium = Medium::Forward(picked.body.content);
        Ok(())
    }

    /// Begins with the disk.
    fn begin(&mut self) -> Result<Unwrapped> {
        self.record();
        let around = std::mem::take(&mut self.around);
        match self.medium.take() {
            Medium::Random(bytes) => Ok(Unwrapped::Random { bytes, around }),
            Medium::Forward(peek) => {
                let Inside { name, claimed, size, endings } = &self.inside;
                let outer = self.outer.as_deref().unwrap_or(name);
                let coming = Coming { outer, name, claimed, size: *size, peek, around: &around };
                let Begun { stream, format, assumed, told } =
                    coming.begin(self.wanted, endings.clone())?;
                if let Some((recording, _)) = self.recording.take() {
                    recording.stop();
                }
                let (read, packed) = (Arc::clone(&self.read), self.packed.take());
                let disk = Arriving { stream, told, read, packed };
                Ok(Unwrapped::Forward(Arrived { disk, format, assumed, around }))
            }
        }
    }

    /// An error of what comes in order is one of the file that it comes out of, unless a deeper layer was named.
    fn located(&self, error: Error) -> Error {
        match &self.outer {
            Some(outer) => error.in_file(outer),
            None => error,
        }
    }
}

impl Inside {
    fn of(name: &str) -> Self {
        let (name, claimed) = (name.to_owned(), name.to_owned());
        Self { name, claimed, size: None, endings: Vec::new() }
    }
}
