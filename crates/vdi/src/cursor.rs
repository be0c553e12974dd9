//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Cursor, Error, Extent, Kind, Result, read_runs};

use crate::damage::Damage;
use crate::header::Subformat;
use crate::image::Vdi;
use crate::wire::{FREE, ZERO};

/// One thread's reader. The map is in memory, so it holds nothing of its own.
pub(crate) struct Reader<'a> {
    image: &'a Vdi,
}

/// A stretch of the disk that reads one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Absent,
    Zero,
    Plain { offset: u64 },
}

impl Way {
    fn kind(self) -> Kind {
        match self {
            Self::Absent => Kind::Absent,
            Self::Zero => Kind::Zero,
            Self::Plain { offset } => Kind::Plain { file: 0, offset },
        }
    }
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Vdi) -> Self {
        Self { image }
    }

    /// How the disk reads at `at`, which is below its stated size, up to the end of its block.
    fn way(&self, at: u64) -> Result<(Way, u64), Damage> {
        let header = &self.image.header;
        let (block, within) = (header.block.index(at), header.block.offset_in(at));
        let left = header.block.size() - within;
        // The header has enough blocks for the disk.
        let entry = self.image.map.get(block as usize).copied().unwrap_or(FREE);
        Ok(match entry {
            FREE => (Way::Absent, left),
            ZERO => (Way::Zero, left),
            _ => (Way::Plain { offset: self.place(block, entry)? + within }, left),
        })
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

    /// The longest run at `at` that reads one way.
    fn run(&self, at: u64, limit: u64) -> Result<(Way, u64), Damage> {
        let Some(left) = self.image.header.stated_size.checked_sub(at).filter(|left| *left > 0)
        else {
            // What makes the last sector whole.
            return Ok((Way::Zero, limit));
        };
        let limit = limit.min(left);
        let (way, mut length) = self.way(at)?;
        while length < limit {
            let joins = match (way, self.way(at + length)) {
                (Way::Plain { offset }, Ok((Way::Plain { offset: next }, _))) => {
                    offset + length == next
                }
                (way, Ok((next, _))) => way == next,
                // Its damage is told to whoever asks for it.
                (_, Err(_)) => false,
            };
            if !joins {
                break;
            }
            length += self.image.header.block.size();
        }
        Ok((way, length.min(limit)))
    }

    fn stretch(&self, at: u64, limit: u64) -> Result<Extent> {
        if self.image.header.subformat == Subformat::Static {
            return self.stretch_of_static(at, limit);
        }
        let (way, length) = self.run(at, limit)?;
        Ok(Extent { length, kind: way.kind() })
    }

    /// The map of a static image does not tell what is in use; a sparse file may.
    fn stretch_of_static(&self, at: u64, limit: u64) -> Result<Extent> {
        // The file is asked first, and the map no further than it answers: else every hole would
        // cost a walk through the map up to the disk's end.
        let Way::Plain { offset } = self.run(at, 1)?.0 else {
            let (way, length) = self.run(at, limit)?;
            return Ok(Extent { length, kind: way.kind() });
        };
        let file = self.image.file();
        // That byte lies within the file, or it had no place.
        let run = file.run(offset, limit.min(file.len() - offset))?;
        let (way, length) = self.run(at, limit.min(run.length))?;
        Ok(Extent { length, kind: if run.hole { Kind::Zero } else { way.kind() } })
    }

    /// Fills the front of `buf` with one run; returns its length.
    fn read_run(&self, at: u64, buf: &mut [u8]) -> Result<u64> {
        let (way, length) = self.run(at, buf.len() as u64)?;
        let part = &mut buf[..length as usize];
        match way {
            Way::Absent | Way::Zero => part.fill(0),
            Way::Plain { offset } => self.image.file().read_at(offset, part)?,
        }
        Ok(length)
    }

    fn locate(&self, error: Error, at: u64, length: u64) -> Error {
        error.at("reading", at, length).in_file(self.image.file().name())
    }
}

impl Cursor for Reader<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.stretch(at, limit).map_err(|error| {
            let block = self.image.header.block;
            self.locate(error, at, limit.min(block.size() - block.offset_in(at)))
        })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let length = buf.len() as u64;
        read_runs(at, buf, |at, buf| self.read_run(at, buf))
            .map_err(|error| self.locate(error, at, length))
    }
}
