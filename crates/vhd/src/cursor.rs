//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Bytes, Extent, Kind, Result, SECTOR, Walk};

use crate::header::Blocks;
use crate::image::Vhd;
use crate::wire;

/// One thread's reader: it holds the one sector bitmap it is in.
pub(crate) struct Reader<'a> {
    image: &'a Vhd,
    /// The bitmap in memory, and of which block it is. Only differencing disks need one.
    bitmap: Vec<u8>,
    bitmap_index: Option<u64>,
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Vhd) -> Self {
        Self { image, bitmap: Vec::new(), bitmap_index: None }
    }

    /// How the disk reads at `at`, and for how many bytes at least, within one block.
    fn extent_in(&mut self, blocks: &Blocks, at: u64) -> Result<Extent> {
        let block = blocks.block;
        let (index, within) = (at / block.bytes(), at % block.bytes());
        let left = block.bytes() - within;
        let differencing = blocks.parent.is_some();
        let Some(place) = self.image.block(blocks, index)? else {
            // What a child would find here is its parent's, what a dynamic disk has is zeros.
            let kind = if differencing { Kind::Absent } else { Kind::Zero };
            return Ok(Extent { length: left, kind });
        };
        let plain = Kind::Plain { file: 0, offset: place + block.bitmap() + within };
        if !differencing {
            return Ok(Extent { length: left, kind: plain });
        }
        if self.bitmap_index != Some(index) {
            self.bitmap_index = None;
            self.bitmap.resize(block.bitmap() as usize, 0);
            self.image.file().read_at(place, &mut self.bitmap)?;
            self.bitmap_index = Some(index);
        }
        let (first, end) = ((within / SECTOR) as usize, (block.bytes() / SECTOR) as usize);
        let (set, sectors) = wire::bit_run(&self.bitmap, first, end);
        let length = sectors as u64 * SECTOR - within % SECTOR;
        Ok(Extent { length, kind: if set { plain } else { Kind::Absent } })
    }
}

impl Walk for Reader<'_> {
    /// A block's own end ends a run of what is stored: a bitmap is between it and the next one's data.
    fn run(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let Some(blocks) = &self.image.header.blocks else {
            return Ok(Extent { length: limit, kind: Kind::Plain { file: 0, offset: at } });
        };
        let first = self.extent_in(blocks, at)?;
        Ok(first.joined(limit, |further| {
            // Whole blocks that are not stored cost nothing to skip; to look into one may fail, and
            // what precedes it is good.
            let next = at + further;
            let stored = self.image.block(blocks, next / blocks.block.bytes());
            matches!(stored, Ok(None)).then(|| self.extent_in(blocks, next).ok())?
        }))
    }

    /// Holes of a sparse file are zeros that nobody has to read.
    fn look(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.run(at, limit)?.or_hole(self.image.file())
    }

    fn file(&self, _index: u32) -> &dyn Bytes {
        self.image.file()
    }

    /// All of the disk, where there is no table.
    fn entry_span(&self, _at: u64) -> u64 {
        self.image.header.blocks.as_ref().map_or(u64::MAX, |blocks| blocks.block.bytes())
    }
}
