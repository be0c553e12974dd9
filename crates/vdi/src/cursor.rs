//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Bytes, Extent, Kind, Result, Walk};

use crate::damage::Damage;
use crate::header::Subformat;
use crate::image::Vdi;
use crate::wire::{FREE, ZERO};

/// One thread's reader. The map is in memory, so it holds nothing of its own.
pub(crate) struct Reader<'a> {
    image: &'a Vdi,
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Vdi) -> Self {
        Self { image }
    }

    /// How the disk reads at `at`, which is below its stated size, up to the end of its block.
    fn extent_of(&self, at: u64) -> Result<Extent, Damage> {
        let header = &self.image.header;
        let (block, within) = (header.block.index(at), header.block.offset_in(at));
        // The header has enough blocks for the disk.
        let entry = self.image.map.get(block as usize).copied().unwrap_or(FREE);
        let kind = match entry {
            FREE => Kind::Absent,
            ZERO => Kind::Zero,
            _ => Kind::Plain { file: 0, offset: self.place(block, entry)? + within },
        };
        Ok(Extent { length: header.block.size() - within, kind })
    }

    /// Offset in the file of a block's data, which lies within it as far as the disk needs it.
    fn place(&self, block: u64, entry: u32) -> Result<u64, Damage> {
        let header = &self.image.header;
        let (at, length, end) =
            (header.offset_of(entry), header.used_of(block), self.image.file().len());
        if at.saturating_add(length) > end {
            return Err(Damage::BlockPastEnd { block, entry, at, length, end });
        }
        Ok(at)
    }
}

impl Walk for Reader<'_> {
    fn run(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let Some(left) = self.image.header.stated_size.checked_sub(at).filter(|left| *left > 0)
        else {
            // What makes the last sector whole.
            return Ok(Extent { length: limit, kind: Kind::Zero });
        };
        let first = self.extent_of(at)?;
        Ok(first.joined(limit.min(left), |further| self.extent_of(at + further).ok()))
    }

    /// The map of a static image does not tell what is in use; a sparse file may.
    fn look(&mut self, at: u64, limit: u64) -> Result<Extent> {
        if self.image.header.subformat != Subformat::Static {
            return self.run(at, limit);
        }
        // The file is asked first, and the map no further than it answers: else every hole would
        // cost a walk through the map up to the disk's end.
        let Kind::Plain { offset, .. } = self.run(at, 1)?.kind else { return self.run(at, limit) };
        let file = self.image.file();
        // That byte lies within the file, or it had no place.
        let hole = file.run(offset, limit.min(file.len() - offset))?;
        let Extent { length, kind } = self.run(at, limit.min(hole.length))?;
        Ok(Extent { length, kind: if hole.hole { Kind::Zero } else { kind } })
    }

    fn file(&self, _index: u32) -> &dyn Bytes {
        self.image.file()
    }

    fn entry_span(&self, at: u64) -> u64 {
        let block = self.image.header.block;
        block.size() - block.offset_in(at)
    }
}
