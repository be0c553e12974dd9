//! An image that arrives in order, through a pipe: unpacked as it comes.

use std::io::Read;

use diskferry_block_stream::{Budget, ErrorKind, Note, NoteKind, Piece, Problem, Result, Stream};
use diskferry_codec::{HISTORY, OpenInflater};

use super::scan::oddities;
use crate::damage::Damage;
use crate::header::{Flavour, Header};
use crate::source::{Next, Passed, Source, Step};
use crate::unit::Unit;
use crate::wire::{BLOCK, DEFINED, Defined, PAGE};

/// A ZVHD image, read front to back.
pub struct ZvhdStream<R> {
    source: Source<R>,
    header: Header,
    passed: Passed,
    /// The block of the last unit.
    previous: Option<u32>,
    inflater: OpenInflater,
    /// The last bytes of that block.
    tail: Vec<u8>,
    /// The first page, as far as it means something.
    first: Defined,
    oddities: Vec<Problem>,
}

impl<R: Read + Send> ZvhdStream<R> {
    /// Reads the first page. `name` is for messages.
    ///
    /// # Errors
    /// `Damaged` when it contradicts itself, `Limit` for too large a disk, `Io`.
    pub fn new(reader: R, name: &str, budget: &Budget) -> Result<Self> {
        let source = Source::new(reader, name, Flavour::Zvhd);
        Self::open(source, budget).map_err(|error| error.doing("opening").in_file(name))
    }

    fn open(mut source: Source<R>, budget: &Budget) -> Result<Self> {
        let mut page = [0; PAGE as usize];
        if source.fill(&mut page)? < page.len() {
            return Err(Damage::Short { end: source.at }.into());
        }
        let mut first: Defined = [0; DEFINED];
        first.copy_from_slice(&page[..DEFINED]);
        let header = Header::parse(&first, Flavour::Zvhd, 0)?;
        budget.limits().check_virtual_size(header.size)?;
        Ok(Self {
            source,
            passed: Passed::new(header.size),
            header,
            previous: None,
            inflater: OpenInflater::new(),
            tail: Vec::with_capacity(HISTORY),
            first,
            oddities: Vec::new(),
        })
    }

    /// Reads the next unit, or what ends them.
    fn advance(&mut self) -> Result<()> {
        match self.source.next() {
            Ok(Next::Unit(unit)) => self.take(unit),
            Ok(Next::Page(last)) => self.end(&last),
            // The writers of the reference end an empty disk with its first page.
            Err(error) if error.kind() == ErrorKind::Damaged && self.is_bare_page() => {
                self.passed.end();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn is_bare_page(&self) -> bool {
        self.header.size == 0 && self.source.at == PAGE
    }

    fn take(&mut self, unit: Unit) -> Result<()> {
        unit.check_place(self.previous, self.header.size)?;
        let mut payload = self.source.payload(&unit);
        if self.previous.is_none() {
            payload = unit.without_header(payload)?;
        }
        unit.check_flush(payload)?;
        let block = self
            .inflater
            .inflate(&self.tail, payload, BLOCK as usize)
            .map_err(|source| Damage::Payload { at: unit.at, block: unit.block, source })?;
        self.tail.clear();
        self.tail.extend_from_slice(&block[block.len() - HISTORY..]);
        self.previous = Some(unit.block);
        self.passed.block(unit.block);
        Ok(())
    }

    /// What follows the last page means nothing, but whoever sends it may want it taken.
    fn end(&mut self, last: &[u8]) -> Result<()> {
        let at = self.source.at - last.len() as u64;
        let mut rest = [0; PAGE as usize];
        while self.source.fill(&mut rest)? > 0 {}
        let defined = &last[..last.len().min(DEFINED)];
        self.oddities = oddities(at, defined, self.source.at - at, &self.first);
        self.passed.end();
        Ok(())
    }

    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        loop {
            match self.passed.step(buf.len()) {
                Step::More => self.advance()?,
                Step::Piece(Piece::Data(count), within) => {
                    buf[..count].copy_from_slice(&self.inflater.unit()[within..][..count]);
                    return Ok(Piece::Data(count));
                }
                Step::Piece(piece, _) => return Ok(piece),
            }
        }
    }
}

impl<R: Read + Send> Stream for ZvhdStream<R> {
    fn name(&self) -> &str {
        &self.source.name
    }

    fn size(&self) -> Option<u64> {
        Some(self.header.size)
    }

    fn original_size(&self) -> Option<u64> {
        Some(self.header.original)
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.piece(buf).map_err(|error| error.doing("reading").in_file(&self.source.name))
    }

    fn warnings(&self) -> Vec<Note> {
        let note = |odd: &Problem| Note::of(NoteKind::Format, &self.source.name, &*odd.text);
        self.oddities.iter().map(note).collect()
    }
}
