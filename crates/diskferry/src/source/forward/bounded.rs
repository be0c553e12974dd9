//! A disk that comes in order, as long as a limit allows, with what archives around it say at its end.

use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Limits, Note, NoteKind, Piece, Result, Stream};
use diskferry_wrap::Ending;

use crate::source::forward::footed::Told;
use crate::source::forward::lookahead::length;

/// What an archive around a stream tells at its end.
pub(crate) type AtEnd = Arc<OnceLock<Ending>>;

/// A disk that comes in order, as long as a limit allows, and what archives around it have to say at its
/// end.
pub(crate) struct Bounded {
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
    /// Bounds a disk; `raw` tells, at its end, whether one that is taken for raw is.
    pub fn new(
        inner: Box<dyn Stream>,
        limits: Limits,
        raw: Option<Told>,
        endings: Vec<AtEnd>,
    ) -> Self {
        Self { inner, limits, raw, passed: 0, over: false, endings }
    }

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

    fn warnings(&self) -> Vec<Note> {
        let name = self.inner.name();
        let odd = self.odd_length().map(|text| Note::of(NoteKind::Size, name, text));
        let told = self.notes().into_iter().map(|text| Note::of(NoteKind::Archive, name, text));
        self.inner.warnings().into_iter().chain(odd).chain(told).collect()
    }
}
