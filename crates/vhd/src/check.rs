//! Checking: every table entry, the blocks' places, the sector bitmaps.

use std::iter::Peekable;

use diskferry_block_stream::{
    Bytes, Cancel, Disk, Error, Problem, ProblemKind, Progress, Result, SECTOR,
};
use diskferry_codec::zeros::is_zero;

use crate::footer::{Copy, DiskType};
use crate::header::Blocks;
use crate::image::Vhd;
use crate::wire::{self, ENTRY, FOOTER, HEADER, UNUSED};

/// Reports each problem of the image's file, but for those of its footers and its header, which opening
/// tells.
///
/// Progress is what the blocks map: where the bitmaps are looked at, so is most of the file.
pub(crate) fn check(
    image: &Vhd,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    let mut check = Check { image, file: image.file(), cancel, progress, report };
    let Some(blocks) = &image.header.blocks else { return Ok(()) };
    check.places(blocks)?;
    check.entries_beyond(blocks)?;
    if image.header.footer.disk_type == DiskType::Dynamic {
        check.bitmaps(blocks)?;
    }
    Ok(())
}

struct Check<'a> {
    image: &'a Vhd,
    file: &'a dyn Bytes,
    cancel: &'a Cancel,
    progress: &'a Progress,
    report: &'a mut dyn FnMut(Problem),
}

/// Something in the file.
#[derive(Clone, Copy)]
struct Piece {
    at: u64,
    end: u64,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Structure(&'static str),
    /// The block of this index.
    Block(u64),
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Structure(name) => f.write_str(name),
            Self::Block(index) => write!(f, "block {index}"),
        }
    }
}

/// Two rows of pieces, each in order, as one.
struct InOrder<A: Iterator<Item = Piece>, B: Iterator<Item = Piece>> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<A: Iterator<Item = Piece>, B: Iterator<Item = Piece>> Iterator for InOrder<A, B> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if (other.at, other.end) < (one.at, one.end) => {
                self.other.next()
            }
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}

/// Blocks whose places are compared: those of a full disk of 2040 GiB in blocks of 512 KiB, four
/// times over. They take 128 MiB.
const BLOCKS_MAX: usize = 16 << 20;

impl Check<'_> {
    fn say(&mut self, kind: ProblemKind, at: u64, text: String) {
        (self.report)(Problem { kind, at: Some(at), text });
    }

    /// Compares the places of all blocks and structures with each other, and with the file's end.
    fn places(&mut self, blocks: &Blocks) -> Result<()> {
        let mut structures = self.structures(blocks);
        // Of each block its sector and its index.
        let mut placed: Vec<(u32, u32)> = Vec::new();
        let end = self.image.header.footer.end;
        let stored = blocks.block.stored();
        for (index, entry) in self.image.table.iter().enumerate() {
            if *entry == UNUSED {
                continue;
            }
            if placed.len() == BLOCKS_MAX {
                return Err(Error::limit(format!("more than {BLOCKS_MAX} blocks")));
            }
            let at = u64::from(*entry) * SECTOR;
            if at + stored > end {
                let text = format!(
                    "block {index} at {at:#x} runs past the end of the file's blocks ({end:#x})"
                );
                self.say(ProblemKind::Corruption, field(blocks, index as u64), text);
            }
            placed.push((*entry, index as u32));
        }
        self.cancel.check()?;
        placed.sort_unstable();
        structures.sort_by_key(|piece| (piece.at, piece.end));
        let pieces = || {
            let block = |(sector, index): &(u32, u32)| {
                let at = u64::from(*sector) * SECTOR;
                Piece { at, end: at + stored, what: What::Block(u64::from(*index)) }
            };
            InOrder {
                one: structures.iter().copied().peekable(),
                other: placed.iter().map(block).peekable(),
            }
        };
        self.overlaps(blocks, pieces());
        self.gaps(blocks, pieces(), end);
        Ok(())
    }

    fn structures(&self, blocks: &Blocks) -> Vec<Piece> {
        let copy = match self.image.header.footer.copies.start {
            None | Some(Copy::Missing) => 0,
            Some(Copy::Good | Copy::Broken(_) | Copy::Other(_)) => FOOTER as u64,
        };
        let header = (blocks.at, HEADER as u64, "the dynamic disk header");
        // Entries that the disk does not need may be cut off.
        let entries = (blocks.table_entries * ENTRY).min(self.file.len() - blocks.table_offset);
        let table = (blocks.table_offset, entries, "the block allocation table");
        let mut places = vec![(0, copy, "the copy of the footer"), header, table];
        if let Some((_, locators)) = &blocks.parent {
            let locators = locators.iter();
            places.extend(locators.map(|name| (name.at, name.length, "a name of the parent")));
        }
        places.retain(|(_, length, _)| *length > 0);
        let places = places.into_iter();
        places
            .map(|(at, length, name)| Piece { at, end: at + length, what: What::Structure(name) })
            .collect()
    }

    fn overlaps(&mut self, blocks: &Blocks, mut pieces: impl Iterator<Item = Piece>) {
        // The piece that reaches furthest so far.
        let Some(mut last) = pieces.next() else { return };
        for piece in pieces {
            if piece.at < last.end {
                let at = match (&piece.what, &last.what) {
                    (What::Block(index), _) | (_, What::Block(index)) => field(blocks, *index),
                    (What::Structure(_), What::Structure(_)) => piece.at,
                };
                let text = format!(
                    "{} at {:#x} overlaps {} at {:#x}",
                    piece.what, piece.at, last.what, last.at
                );
                self.say(ProblemKind::Corruption, at, text);
            }
            if piece.end > last.end {
                last = piece;
            }
        }
    }

    /// Room for a whole block that nothing is in. Less is nothing: programs align their blocks, and
    /// keep things of their own between them, as XenServer its map of full blocks.
    fn gaps(&mut self, blocks: &Blocks, pieces: impl Iterator<Item = Piece>, end: u64) {
        let mut used = 0;
        let last = (end, end);
        for (at, piece_end) in pieces.map(|piece| (piece.at, piece.end)).chain([last]) {
            if at.saturating_sub(used) >= blocks.block.stored() {
                let text = format!("nothing uses the {} bytes at {used:#x}", at - used);
                self.say(ProblemKind::Leak, used, text);
            }
            used = used.max(piece_end);
        }
    }

    /// Entries behind those that the disk needs. Programs that can grow a disk leave some, unused.
    fn entries_beyond(&mut self, blocks: &Blocks) -> Result<()> {
        const STEP: u64 = 16 << 10;
        let present = self.file.len().saturating_sub(blocks.table_offset) / ENTRY;
        let end = blocks.table_entries.min(present);
        let mut index = blocks.entries;
        let (mut buf, mut entries) = (Vec::new(), Vec::new());
        while index < end {
            self.cancel.check()?;
            buf.resize((STEP.min(end - index) * ENTRY) as usize, 0);
            entries.clear();
            self.file.read_at(blocks.table_offset + index * ENTRY, &mut buf)?;
            wire::entries(&buf, &mut entries);
            if let Some(used) = entries.iter().position(|entry| *entry != UNUSED) {
                let index = index + used as u64;
                let text = format!("table entry {index} is used, though the disk ends before it");
                self.say(ProblemKind::Leak, field(blocks, index), text);
                return Ok(());
            }
            index += entries.len() as u64;
        }
        Ok(())
    }

    /// The sectors whose bits say that they were never written must hold zeros, for programs do not
    /// agree whether to read them.
    fn bitmaps(&mut self, blocks: &Blocks) -> Result<()> {
        let block = blocks.block;
        let mut bitmap = vec![0; block.bitmap() as usize];
        self.progress.expect(self.image.size());
        for index in 0..blocks.entries {
            let bytes = block.bytes().min(self.image.size() - index * block.bytes());
            self.progress.pass(bytes);
            // Blocks in wrong places are told already.
            let Ok(Some(at)) = self.image.block(blocks, index) else { continue };
            self.file.read_at(at, &mut bitmap)?;
            let (mut sector, sectors) = (0, (bytes / SECTOR) as usize);
            while sector < sectors {
                let (set, length) = wire::bit_run(&bitmap, sector, sectors);
                let from = at + block.bitmap() + sector as u64 * SECTOR;
                if !set && let Some(found) = self.not_zero(from, length as u64 * SECTOR)? {
                    let text = format!(
                        "block {index} holds data at {found:#x}, which its bitmap says was never \
                         written: it is read here and by QEMU, and taken for zeros by others"
                    );
                    self.say(ProblemKind::Corruption, found, text);
                    break;
                }
                sector += length;
            }
        }
        Ok(())
    }

    /// Offset of the first sector in this part of the file that is not all zeros.
    fn not_zero(&self, from: u64, length: u64) -> Result<Option<u64>> {
        const STEP: u64 = 64 << 10;
        let mut buf = vec![0; STEP.min(length) as usize];
        let mut done = 0;
        while done < length {
            self.cancel.check()?;
            let part = &mut buf[..STEP.min(length - done) as usize];
            self.file.read_at(from + done, part)?;
            if !is_zero(part) {
                let mut sectors = part.chunks(SECTOR as usize);
                let sector = sectors.position(|sector| !is_zero(sector));
                return Ok(sector.map(|sector| from + done + sector as u64 * SECTOR));
            }
            done += part.len() as u64;
        }
        Ok(None)
    }
}

/// Offset in the file of the table entry of this index.
fn field(blocks: &Blocks, index: u64) -> u64 {
    blocks.table_offset + index * ENTRY
}
