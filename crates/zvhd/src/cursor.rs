//! Reading: from an offset of the disk to units.

use diskferry_block_stream::{Cursor, Error, Extent, Kind, Result};

use crate::damage::Damage;
use crate::wire::BLOCK;

/// What a format knows of its units, in the order of their blocks, and one thread's session to
/// unpack them.
pub(crate) trait Units: Send {
    fn count(&self) -> usize;

    /// The block of the unit `index`, as the tables have it.
    fn block(&self, index: usize) -> u32;

    /// Whether the tables say something about the unit that cannot be.
    fn check(&self, index: usize) -> Result<(), Damage>;

    /// Fills `part` with the bytes of a unit's block from `within` on.
    fn read(&mut self, index: usize, within: usize, part: &mut [u8]) -> Result<()>;
}

/// One thread's reader.
pub(crate) struct Reader<'a, U> {
    pub name: &'a str,
    pub size: u64,
    pub units: U,
}

impl<U: Units> Reader<'_, U> {
    /// The first unit whose block is not below this one.
    fn find(&self, block: u64) -> usize {
        let (mut low, mut high) = (0, self.units.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if u64::from(self.units.block(middle)) < block {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    /// The unit that has the byte `at`, if one has, and the bytes from there to the end of the run.
    fn run(&self, at: u64, limit: u64) -> Result<(Option<usize>, u64)> {
        let block = at / BLOCK;
        let index = self.find(block);
        if index == self.units.count() {
            return Ok((None, limit));
        }
        let next = u64::from(self.units.block(index));
        if next > block {
            return Ok((None, limit.min(next * BLOCK - at)));
        }
        self.units.check(index)?;
        let mut end = (block + 1) * BLOCK;
        let mut following = index + 1;
        while end - at < limit
            && following < self.units.count()
            && u64::from(self.units.block(following)) * BLOCK == end
            // Its damage is told to whoever asks for it.
            && self.units.check(following).is_ok()
        {
            end += BLOCK;
            following += 1;
        }
        Ok((Some(index), limit.min(end - at)))
    }

    fn fill(&mut self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let within = at % BLOCK;
            let left = (BLOCK - within).min(buf.len() as u64);
            let (unit, length) = self.run(at, left)?;
            let (part, rest) = buf.split_at_mut(length as usize);
            match unit {
                Some(index) => self.units.read(index, within as usize, part)?,
                None => part.fill(0),
            }
            at += length;
            buf = rest;
        }
        Ok(())
    }

    fn locate(&self, error: Error, at: u64, length: u64) -> Error {
        error.at("reading", at, length).in_file(self.name)
    }
}

impl<U: Units> Cursor for Reader<'_, U> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let (unit, length) = self
            .run(at, limit)
            .map_err(|error| self.locate(error, at, limit.min(BLOCK - at % BLOCK)))?;
        let kind = if unit.is_some() { Kind::Data { compressed: true } } else { Kind::Zero };
        Ok(Extent { length, kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let length = buf.len() as u64;
        self.fill(at, buf).map_err(|error| self.locate(error, at, length))
    }
}
