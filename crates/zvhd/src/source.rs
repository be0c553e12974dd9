//! An image that arrives in order, through a pipe: pages, units, and the blocks they are handed out
//! as.

use std::io::Read;

use diskferry_block_stream::{Piece, Result, fill_from};

use crate::damage::Damage;
use crate::header::Flavour;
use crate::unit::Unit;
use crate::wire::{BLOCK, PAGE, UNIT_END, UNIT_HEAD, unit_head};

/// Bytes in order, and how many of them there were.
pub(crate) struct Source<R> {
    reader: R,
    pub name: String,
    pub at: u64,
    flavour: Flavour,
    /// The unit that was read last.
    unit: Vec<u8>,
}

/// What a page begins.
pub(crate) enum Next {
    /// A unit, which was read whole.
    Unit(Unit),
    /// The page that ends the units: its bytes, of which some may be missing.
    Page(Vec<u8>),
}

impl<R: Read> Source<R> {
    pub fn new(reader: R, name: &str, flavour: Flavour) -> Self {
        Self { reader, name: name.to_owned(), at: 0, flavour, unit: Vec::new() }
    }

    /// Reads the next unit, whose head and end marker are good, or the page after the last one.
    pub fn next(&mut self) -> Result<Next> {
        let at = self.at;
        let mut bytes = std::mem::take(&mut self.unit);
        bytes.resize(PAGE as usize, 0);
        let have = self.fill(&mut bytes)?;
        bytes.truncate(have);
        if have == 0 {
            return Err(Damage::NoLastPage { at }.into());
        }
        if self.flavour.begins(&bytes) {
            return Ok(Next::Page(bytes));
        }
        if have < PAGE as usize {
            return Err(Damage::PageCut { at, end: self.at }.into());
        }
        let (size, block) = unit_head(&bytes).ok_or(Damage::NoUnit { at })?;
        let unit = Unit::new(at, size, block, self.flavour)?;
        let length = unit.length();
        bytes.resize(length as usize, 0);
        self.fill(&mut bytes[PAGE as usize..])?;
        if self.at < at + length {
            return Err(Damage::UnitCut { at, block, length, end: self.at }.into());
        }
        if !bytes.ends_with(&UNIT_END) {
            return Err(Damage::EndMarker { at, block }.into());
        }
        self.unit = bytes;
        Ok(Next::Unit(unit))
    }

    /// The payload of the unit that was read last.
    pub fn payload(&self, unit: &Unit) -> &[u8] {
        &self.unit[UNIT_HEAD..][..unit.size as usize]
    }

    /// Fills as much of `buf` as there are bytes for.
    pub fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = fill_from(&mut self.reader, self.at, buf)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A disk as it is handed out, block by block.
pub(crate) struct Passed {
    size: u64,
    /// Bytes of the disk that were handed out.
    at: u64,
    /// The block that is next, where one is.
    block: Option<u64>,
    /// There are no more blocks.
    over: bool,
}

/// What a [`Passed`] wants.
pub(crate) enum Step {
    /// Another unit, or word that there are none.
    More,
    /// This is the next piece. Bytes are those of the block from this offset on.
    Piece(Piece, usize),
}

impl Passed {
    pub fn new(size: u64) -> Self {
        Self { size, at: 0, block: None, over: false }
    }

    /// The next block that is stored: not before what was handed out.
    pub fn block(&mut self, block: u32) {
        self.block = Some(u64::from(block));
    }

    /// No more blocks are stored.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// The next piece, of at most `room` bytes of data.
    pub fn step(&mut self, room: usize) -> Step {
        let (start, end) = match self.block {
            Some(block) => (block * BLOCK, ((block + 1) * BLOCK).min(self.size)),
            None if self.over => (self.size, self.size),
            None => return Step::More,
        };
        if self.at < start {
            let zeros = start - self.at;
            self.at = start;
            return Step::Piece(Piece::Zero(zeros), 0);
        }
        if self.block.is_none() {
            return Step::Piece(Piece::End, 0);
        }
        let count = (end - self.at).min(room as u64);
        let within = (self.at - start) as usize;
        self.at += count;
        if self.at == end {
            self.block = None;
        }
        Step::Piece(Piece::Data(count as usize), within)
    }
}
