//! Checking: every map entry looked at, every block in the file accounted for.

use diskferry_block_stream::{Cancel, Disk, Problem, Progress, Result};

use crate::image::Vdi;
use crate::wire::{ENTRY, Fields, HEADER_1, ZERO};

/// Reports each problem of the image.
pub(crate) fn check(
    image: &Vdi,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    let mut check = Check { image, fields: image.header.fields(), report };
    check.header();
    let placed = check.map(cancel, progress)?;
    check.allocated(&placed);
    check.unused(&placed);
    Ok(())
}

struct Check<'a> {
    image: &'a Vdi,
    fields: Fields,
    report: &'a mut dyn FnMut(Problem),
}

/// The blocks in the file that map entries name: a bit for each, so that a full disk of 64 TiB takes 8 MiB.
/// The worst there can be, a file of 2^32 blocks, takes 512.
struct Placed {
    words: Vec<u64>,
}

impl Placed {
    /// None of so many blocks.
    fn none_of(blocks: u64) -> Self {
        Self { words: vec![0; blocks.div_ceil(64) as usize] }
    }

    /// Takes a block, which there is, in; returns whether it was there already.
    fn insert(&mut self, block: u32) -> bool {
        let (word, bit) = (&mut self.words[block as usize / 64], 1 << (block % 64));
        let before = *word & bit != 0;
        *word |= bit;
        before
    }

    fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The blocks in order.
    fn iter(&self) -> impl Iterator<Item = u64> {
        (0..).step_by(64).zip(&self.words).flat_map(|(first, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(first + u64::from(bit))
            })
        })
    }

    /// The block behind the last one.
    fn end(&self) -> u64 {
        let last = self.words.iter().rposition(|word| *word != 0);
        last.map_or(0, |index| {
            (index as u64 + 1) * 64 - u64::from(self.words[index].leading_zeros())
        })
    }
}

/// Map entries that are looked at before somebody may ask to stop.
const STEP: usize = 64 << 10;

/// Flag: blocks are filled with zeros when they are added. The only one that VirtualBox knows.
const ZERO_EXPAND: u32 = 1;

impl Check<'_> {
    /// What readers put up with, some of them.
    fn header(&mut self) {
        let image = self.image;
        let (header, fields) = (&image.header, self.fields);
        let mut odd = |at, text: String| (self.report)(Problem::oddity(at, text));
        let size = header.header_size;
        if header.version.major > 0 && size < HEADER_1 {
            odd(
                fields.header_size,
                format!("header size {size:#x} is below {HEADER_1:#x}; VirtualBox refuses it"),
            );
        }
        let unknown = header.flags & !ZERO_EXPAND;
        if unknown != 0 {
            odd(fields.flags, format!("unknown flags {unknown:#x}; VirtualBox refuses them"));
        }
        let (blocks, needed) = (header.blocks, image.size().div_ceil(header.block.size()));
        if u64::from(blocks) > needed {
            odd(
                fields.blocks,
                format!("a map of {blocks} blocks, of which the disk needs {needed}"),
            );
        }
    }

    /// Looks at each entry; returns the blocks in the file that they name.
    fn map(&mut self, cancel: &Cancel, progress: &Progress) -> Result<Placed> {
        let image = self.image;
        let header = &image.header;
        // An entry for nothing of the disk may be for what is just behind; and there are no more numbers.
        let mut placed = Placed::none_of((self.blocks() + 1).min(ZERO.into()));
        progress.expect(image.map.len() as u64 * header.block.size());
        let mut block = 0;
        for step in image.map.chunks(STEP) {
            cancel.check()?;
            for &entry in step {
                if entry < ZERO {
                    self.entry(block, entry, &mut placed);
                }
                block += 1;
            }
            progress.pass(step.len() as u64 * header.block.size());
        }
        Ok(placed)
    }

    /// Looks at the entry of a block that is in the file.
    fn entry(&mut self, block: u64, entry: u32, placed: &mut Placed) {
        let (header, end) = (&self.image.header, self.image.file().len());
        let (at, length) = (header.offset_of(entry), header.used_of(block));
        let text = if at.saturating_add(length) > end {
            format!(
                "map entry {entry:#x} for block {block} puts {length:#x} bytes at {at:#x}, past \
                 the end of the file ({end:#x})"
            )
        } else if placed.insert(entry) {
            format!("map entry {entry:#x} for block {block} is also that of a block before it")
        } else {
            return;
        };
        let field = self.image.header.map_offset + block * ENTRY;
        (self.report)(Problem::corruption(field, text));
    }

    /// How many blocks the file has; the last one may end early.
    fn blocks(&self) -> u64 {
        let header = &self.image.header;
        self.image.file().len().saturating_sub(header.data_offset).div_ceil(header.stride())
    }

    /// The header counts the blocks in the file; where its count ends, VirtualBox adds the next.
    fn allocated(&mut self, placed: &Placed) {
        let (stated, found) = (u64::from(self.image.header.allocated), placed.count());
        let next = placed.end();
        let at = self.fields.allocated;
        if stated < next {
            let text = format!(
                "{stated} allocated blocks are stated, and block {:#x} of the file is in use: the \
                 next one to be added would overwrite it",
                next - 1
            );
            (self.report)(Problem::corruption(at, text));
        } else if stated > self.blocks() {
            let text = format!(
                "{stated} allocated blocks are stated, and the file has {}: it is cut off, or the \
                 header is wrong",
                self.blocks()
            );
            (self.report)(Problem::corruption(at, text));
        } else if stated != found {
            let text = format!("{stated} allocated blocks are stated, and {found} are in use");
            (self.report)(Problem::leak(at, text));
        }
    }

    /// Blocks in the file that no entry names.
    fn unused(&mut self, placed: &Placed) {
        let header = &self.image.header;
        let (data, stride) = (header.data_offset, header.stride());
        let whole = self.image.file().len().saturating_sub(data) / stride;
        let mut next = 0;
        for used in placed.iter().chain([whole]) {
            if used > next {
                let text = format!(
                    "blocks {next:#x} to {:#x} of the file, {stride:#x} bytes each, are not in use",
                    used - 1
                );
                (self.report)(Problem::leak(data + next * stride, text));
            }
            next = next.max(used + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placed_blocks_come_in_order() {
        let mut placed = Placed::none_of(200);
        assert_eq!((placed.end(), placed.iter().count()), (0, 0));
        for (block, before) in [(130, false), (0, false), (63, false), (130, true), (64, false)] {
            assert_eq!(placed.insert(block), before);
        }
        assert_eq!(placed.iter().collect::<Vec<_>>(), [0, 63, 64, 130]);
        assert_eq!((placed.end(), placed.count()), (131, 4));
    }
}
