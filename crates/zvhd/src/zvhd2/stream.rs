//! An image that arrives in order, through a pipe: the units as they come, and at the end whether
//! the tables agree.
//!
//! The last word is the last page's, so what the first one said and what was read are held against
//! it, and against bitmap and index. Files whose units or tables lie in another order than
//! everybody writes them are for random access.

use std::io::Read;

use diskferry_block_stream::{Budget, Bytes, Error, ErrorKind, Held, Piece, Result, Stream};

use super::tables::{Page, Tables};
use super::unpack::Codec;
use crate::damage::Damage;
use crate::header::{Flavour, Header, read_page};
use crate::source::{Next, Passed, Source, Step};
use crate::unit::Unit;
use crate::wire::{BLOCK, DEFINED, Defined, PAGE, RawEntry};

/// A ZVHD2 image, read front to back.
pub struct Zvhd2Stream<R> {
    source: Source<R>,
    header: Header,
    compression: u8,
    passed: Passed,
    codec: Codec,
    block: Vec<u8>,
    /// The units that went by.
    units: Held<Vec<RawEntry>>,
    budget: Budget,
}

impl<R: Read + Send> Zvhd2Stream<R> {
    /// Reads the first page. `name` is for messages.
    ///
    /// # Errors
    /// `Damaged` when it contradicts itself, `Unsupported` for compression methods and block sizes
    /// that nobody writes, `Limit` for too large a disk, `Io`.
    pub fn new(reader: R, name: &str, budget: &Budget) -> Result<Self> {
        let source = Source::new(reader, name, Flavour::Zvhd2);
        Self::open(source, budget).map_err(|error| error.doing("opening").in_file(name))
    }

    fn open(mut source: Source<R>, budget: &Budget) -> Result<Self> {
        let mut page = [0; PAGE as usize];
        if source.fill(&mut page)? < page.len() {
            return Err(Damage::Short { end: source.at }.into());
        }
        let mut first: Defined = [0; DEFINED];
        first.copy_from_slice(&page[..DEFINED]);
        let page = Page::parse(&first, 0)?;
        budget.limits().check_virtual_size(page.header.size)?;
        Ok(Self {
            source,
            passed: Passed::new(page.header.size),
            compression: page.raw.compression,
            codec: Codec::new(page.compression)?,
            header: page.header,
            block: vec![0; BLOCK as usize],
            units: budget.hold(Vec::new()),
            budget: budget.clone(),
        })
    }

    /// Reads the next unit, or what ends them.
    fn advance(&mut self) -> Result<()> {
        match self.source.next() {
            Ok(Next::Unit(unit)) => self.take(unit),
            // The writers of the reference end an empty disk with its first page.
            Err(error) if error.kind() == ErrorKind::Damaged && self.is_bare_page() => {
                self.passed.end();
                Ok(())
            }
            Err(error) => Err(error),
            Ok(Next::Page(page)) => {
                let at = self.source.at - page.len() as u64;
                if page.len() < PAGE as usize {
                    return Err(Damage::PageCut { at, end: self.source.at }.into());
                }
                self.end(at, page)
            }
        }
    }

    fn is_bare_page(&self) -> bool {
        self.header.original == 0 && self.source.at == PAGE
    }

    fn take(&mut self, unit: Unit) -> Result<()> {
        let previous = self.units.last().map(|unit| unit.block);
        if previous.is_some_and(|previous| unit.block <= previous) {
            return Err(only_from_a_file("its units are not in the order of their blocks"));
        }
        unit.check_place(previous, self.header.size)?;
        self.codec.unpack(&unit, self.source.payload(&unit), &mut self.block)?;
        if self.units.len() == self.units.capacity() {
            let more = self.units.len().max(64);
            self.units.spend("the list of units", (more * size_of::<RawEntry>()) as u64)?;
            self.units.reserve_exact(more);
        }
        let length = unit.length() as u32;
        self.units.push(RawEntry { at: unit.at, block: unit.block, length });
        self.passed.block(unit.block);
        Ok(())
    }

    /// Reads all that follows the units, from the page at `at` on, and holds it against what went
    /// by.
    fn end(&mut self, at: u64, page: Vec<u8>) -> Result<()> {
        let tail = self.tail(at, page)?;
        let last_at = tail.len() - PAGE;
        let last = Page::parse(&read_page(&tail, last_at)?, last_at)?;
        for (field, last, first) in [
            ("the original size", last.header.original, self.header.original),
            ("the current size", last.header.size, self.header.size),
            ("the compression method", last.raw.compression.into(), self.compression.into()),
        ] {
            if last != first {
                return Err(Damage::PagesDiffer { at: last_at, field, last, first }.into());
            }
        }
        let tables = Tables::new(&last, last_at)?;
        if last_at != at + PAGE + Tables::length(&last) {
            return Err(only_from_a_file(
                "its tables are not between its middle and its last page",
            ));
        }
        let mut entries = self.budget.hold(Vec::new());
        if let Some(tables) = tables {
            entries = tables.read(&tail, &self.budget)?;
            entries.iter().try_for_each(|entry| tables.check(entry))?;
        }
        if !entries.iter().map(|entry| entry.raw).eq(self.units.iter().copied()) {
            return Err(only_from_a_file("its index has other units than those in front of it"));
        }
        self.passed.end();
        Ok(())
    }

    /// The rest of the file, which begins at `at` with a page.
    fn tail(&mut self, at: u64, page: Vec<u8>) -> Result<Tail> {
        let mut bytes = self.budget.hold(page);
        loop {
            let have = bytes.len();
            bytes.spend("what follows the units", STEP as u64)?;
            bytes.resize(have + STEP, 0);
            let count = self.source.fill(&mut bytes[have..])?;
            bytes.truncate(have + count);
            if count < STEP {
                break;
            }
        }
        // The middle page is no last one, though it looks like it.
        if bytes.len() < 2 * PAGE as usize {
            return Err(Damage::NoLastPage { at: self.source.at }.into());
        }
        Ok(Tail { name: self.source.name.clone(), at, bytes })
    }

    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        loop {
            match self.passed.step(buf.len()) {
                Step::More => self.advance()?,
                Step::Piece(Piece::Data(count), within) => {
                    buf[..count].copy_from_slice(&self.block[within..][..count]);
                    return Ok(Piece::Data(count));
                }
                Step::Piece(piece, _) => return Ok(piece),
            }
        }
    }
}

/// Bytes of the tables that are read at a time.
const STEP: usize = 1 << 20;

fn only_from_a_file(why: &str) -> Error {
    Error::unsupported(format!("{why}, so it cannot be read from a pipe; give a file"))
}

impl<R: Read + Send> Stream for Zvhd2Stream<R> {
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
}

/// The end of a file, at its place in the file.
struct Tail {
    name: String,
    at: u64,
    bytes: Held<Vec<u8>>,
}

impl Bytes for Tail {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        match at.checked_sub(self.at) {
            Some(at) => self.bytes.read_at(at, buf),
            None => Err(only_from_a_file("its tables are among its units")),
        }
    }
}
