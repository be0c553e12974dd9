//! Unpacking: each unit alone if it can be, after what came before it if not.

use diskferry_block_stream::Result;
use diskferry_codec::{CodecError, HISTORY, OpenInflater};

use super::image::Zvhd;
use crate::cursor::Units;
use crate::damage::Damage;
use crate::unit::ZLIB_HEAD;
use crate::wire::{BLOCK, UNIT_HEAD};

/// One thread's session.
///
/// Going forward, each unit is unpacked once, after the one before it: history that a unit does not
/// refer to changes nothing. Anywhere else a unit is tried alone. The inflater is strict, so that
/// one which refers to bytes before its start fails, and early, as it must do so within its first
/// 32 KiB. Then the unit before it is tried, and so on, back to one that stands alone or follows
/// what was unpacked last; from there it goes forward. A unit that stands alone has the same bytes
/// after any history, and opening has seen that the one before it ends with a flush; whether that
/// one is good as well shows when it is read.
pub(super) struct Unpacker<'a> {
    image: &'a Zvhd,
    inflater: OpenInflater,
    /// The unit that the inflater holds.
    held: Option<usize>,
    payload: Vec<u8>,
    /// The last bytes of a unit's block, and which unit's.
    tail: Vec<u8>,
    tail_of: Option<usize>,
    /// A unit that cannot be unpacked: no need to go back beyond it again and again.
    broken: Option<usize>,
}

/// A unit does not unpack.
struct Failed(CodecError);

impl<'a> Unpacker<'a> {
    pub fn new(image: &'a Zvhd) -> Self {
        Self {
            image,
            inflater: OpenInflater::new(),
            held: None,
            payload: Vec::new(),
            tail: Vec::with_capacity(HISTORY),
            tail_of: None,
            broken: None,
        }
    }

    /// The block of a unit.
    pub fn unpack(&mut self, index: usize) -> Result<&[u8]> {
        if self.held != Some(index) {
            self.held = None;
            let mut first = index;
            while !self.begin(first, index)? {
                first -= 1;
            }
            for next in first + 1..=index {
                let followed = self.inflate(next, true)?;
                self.settle(next, followed)?;
            }
            self.held = Some(index);
        }
        Ok(self.inflater.unit())
    }

    /// Unpacks a unit, unless it needs those before it. `target` is the one that is wanted.
    fn begin(&mut self, index: usize, target: usize) -> Result<bool> {
        let Some(before) = index.checked_sub(1) else {
            let begun = self.inflate(index, false)?;
            return self.settle(index, begun).map(|()| true);
        };
        if self.tail_of == Some(before) {
            let followed = self.inflate(index, true)?;
            return self.settle(index, followed).map(|()| true);
        }
        if self.inflate(index, false)?.is_ok() {
            return Ok(true);
        }
        if self.broken != Some(before) {
            return Ok(false);
        }
        self.broken = Some(target);
        let (unit, needed) = (self.image.units[target], self.image.units[before].block);
        Err(Damage::Needs { at: unit.at, block: unit.block, needed }.into())
    }

    /// Inflates a unit, after the one whose tail is at hand or after nothing, and keeps its tail.
    fn inflate(&mut self, index: usize, after: bool) -> Result<Result<(), Failed>> {
        let unit = self.image.units[index];
        self.payload.resize(unit.size as usize, 0);
        self.image.file().read_at(unit.at + UNIT_HEAD as u64, &mut self.payload)?;
        // Opening has seen the header.
        let skipped = if index == 0 { ZLIB_HEAD.min(self.payload.len()) } else { 0 };
        let history = if after { &self.tail[..] } else { &[] };
        let inflated = self.inflater.inflate(history, &self.payload[skipped..], BLOCK as usize);
        Ok(match inflated {
            Ok(block) => {
                self.tail.clear();
                self.tail.extend_from_slice(&block[block.len() - HISTORY..]);
                self.tail_of = Some(index);
                Ok(())
            }
            Err(error) => Err(Failed(error)),
        })
    }

    /// What a failure means when there is nothing left to try.
    fn settle(&mut self, index: usize, inflated: Result<(), Failed>) -> Result<()> {
        let Err(Failed(source)) = inflated else { return Ok(()) };
        self.broken = Some(index);
        let unit = self.image.units[index];
        Err(Damage::Payload { at: unit.at, block: unit.block, source }.into())
    }
}

impl Units for Unpacker<'_> {
    fn count(&self) -> usize {
        self.image.units.len()
    }

    fn block(&self, index: usize) -> u32 {
        self.image.units[index].block
    }

    /// Opening has checked them all.
    fn check(&self, _index: usize) -> Result<(), Damage> {
        Ok(())
    }

    fn read(&mut self, index: usize, within: usize, part: &mut [u8]) -> Result<()> {
        part.copy_from_slice(&self.unpack(index)?[within..][..part.len()]);
        Ok(())
    }
}
