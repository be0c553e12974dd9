//! Reading: from an offset of the disk to units.

use diskferry_block_stream::{Bytes, Extent, Kind, Result, Walk, by_units};

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
    pub file: &'a dyn Bytes,
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
}

impl<U: Units> Walk for Reader<'_, U> {
    fn run(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let block = at / BLOCK;
        let index = self.find(block);
        let next = (index < self.units.count()).then(|| u64::from(self.units.block(index)));
        if next != Some(block) {
            let length = next.map_or(limit, |next| limit.min(next * BLOCK - at));
            return Ok(Extent { length, kind: Kind::Zero });
        }
        self.units.check(index)?;
        let first = Extent { length: (block + 1) * BLOCK - at, kind: DATA };
        let mut following = index;
        Ok(first.joined(limit, |further| {
            following += 1;
            let follows = following < self.units.count()
                && u64::from(self.units.block(following)) * BLOCK == at + further
                && self.units.check(following).is_ok();
            follows.then_some(Extent { length: BLOCK, kind: DATA })
        }))
    }

    fn file(&self, _index: u32) -> &dyn Bytes {
        self.file
    }

    fn read_data(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        // Blocks of one run follow one another, and so do their units.
        let first = self.find(at / BLOCK);
        by_units(BLOCK, at, buf, |start, within, part| {
            let index = first + (start / BLOCK - at / BLOCK) as usize;
            self.units.read(index, within, part)
        })
    }

    fn entry_span(&self, at: u64) -> u64 {
        BLOCK - at % BLOCK
    }
}

const DATA: Kind = Kind::Data { compressed: true };
