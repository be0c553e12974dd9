//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Cursor, Disk, Error, Extent, Kind, Result, read_runs};

use crate::header::Blocks;
use crate::image::Vhd;
use crate::wire::{self, SECTOR};

/// One thread's reader: it holds the one sector bitmap it is in.
pub(crate) struct Reader<'a> {
    image: &'a Vhd,
    /// The bitmap in memory, and of which block it is. Only differencing disks need one.
    bitmap: Vec<u8>,
    bitmap_index: Option<u64>,
}

/// A stretch of the disk that reads one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Absent,
    Zero,
    Plain { offset: u64 },
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Vhd) -> Self {
        Self { image, bitmap: Vec::new(), bitmap_index: None }
    }

    /// The longest run at `at` that reads one way. A block's own end ends a run of what is stored:
    /// a bitmap is between it and the next one's data.
    fn run(&mut self, at: u64, limit: u64) -> Result<(Way, u64)> {
        let Some(blocks) = &self.image.header.blocks else {
            return Ok((Way::Plain { offset: at }, limit));
        };
        let (way, mut length) = self.way(blocks, at)?;
        while length < limit && !matches!(way, Way::Plain { .. }) {
            let next = at + length;
            // Whole blocks that are not stored cost nothing to skip; to look into one may fail, and
            // what precedes it is good.
            if !matches!(self.image.block(blocks, next / blocks.block.bytes()), Ok(None)) {
                break;
            }
            let (next_way, more) = self.way(blocks, next)?;
            if next_way != way {
                break;
            }
            length += more;
        }
        Ok((way, length.min(limit)))
    }

    /// How the disk reads at `at`, and for how many bytes at least, within one block.
    fn way(&mut self, blocks: &Blocks, at: u64) -> Result<(Way, u64)> {
        let block = blocks.block;
        let (index, within) = (at / block.bytes(), at % block.bytes());
        let left = block.bytes() - within;
        let differencing = blocks.parent.is_some();
        let Some(place) = self.image.block(blocks, index)? else {
            // What a child would find here is its parent's, what a dynamic disk has is zeros.
            return Ok((if differencing { Way::Absent } else { Way::Zero }, left));
        };
        let plain = Way::Plain { offset: place + block.bitmap() + within };
        if !differencing {
            return Ok((plain, left));
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
        Ok((if set { plain } else { Way::Absent }, length))
    }

    /// Fills the front of `buf` with one run; returns its length.
    fn read_run(&mut self, at: u64, buf: &mut [u8]) -> Result<u64> {
        let (way, length) = self.run(at, buf.len() as u64)?;
        let part = &mut buf[..length as usize];
        match way {
            Way::Absent | Way::Zero => part.fill(0),
            Way::Plain { offset } => self.image.file().read_at(offset, part)?,
        }
        Ok(length)
    }

    /// The extent at `at`; holes of a sparse file are zeros that nobody has to read.
    fn look(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let (way, length) = self.run(at, limit)?;
        Ok(match way {
            Way::Absent => Extent { length, kind: Kind::Absent },
            Way::Zero => Extent { length, kind: Kind::Zero },
            Way::Plain { offset } => {
                let run = self.image.file().run(offset, length)?;
                let kind = if run.hole { Kind::Zero } else { Kind::Plain { file: 0, offset } };
                Extent { length: run.length, kind }
            }
        })
    }

    fn locate(&self, error: Error, at: u64, length: u64) -> Error {
        let left = self.image.size().saturating_sub(at);
        error.at("reading", at, length.min(left)).in_file(self.image.file().name())
    }
}

impl Cursor for Reader<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let block = self.image.header.blocks.as_ref().map_or(limit, |blocks| blocks.block.bytes());
        self.look(at, limit).map_err(|error| self.locate(error, at, limit.min(block)))
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let whole = buf.len() as u64;
        read_runs(at, buf, |at, buf| self.read_run(at, buf))
            .map_err(|error| self.locate(error, at, whole))
    }
}
