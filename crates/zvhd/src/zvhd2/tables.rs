//! Index and bitmap: which blocks are stored, and where.

use diskferry_block_stream::{Budget, Bytes, Error, Held, Result};

use crate::damage::Damage;
use crate::header::{Flavour, Header};
use crate::wire::{
    BITMAP_SEGMENT, BLOCK, Defined, ENTRY, INDEX_SEGMENT, PAGE, RawEntry, RawPage, RawTables,
    SEGMENT_ENTRIES,
};

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    Zlib,
    #[default]
    Zstd,
}

impl Compression {
    /// Its number in a page.
    pub fn number(self) -> u8 {
        match self {
            Self::Zlib => 0,
            Self::Zstd => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// A page with the fields that only ZVHD2 has.
pub(super) struct Page {
    pub header: Header,
    pub compression: Compression,
    pub raw: RawTables,
}

impl Page {
    /// Checks the page at `at`, but for where its tables are.
    pub fn parse(bytes: &Defined, at: u64) -> Result<Self> {
        let header = Header::parse(bytes, Flavour::Zvhd2, at)?;
        let raw = RawPage::parse(bytes).tables;
        check_version(&raw, at)?;
        let block = raw.block_size;
        if u64::from(block) != BLOCK {
            // The format has them, but its reference reads them wrong, and nobody writes them.
            let known = block.is_power_of_two() && (1 << 20..=32 << 20).contains(&block);
            return Err(if known {
                Error::unsupported(format!(
                    "ZVHD2 in blocks of {block:#x} bytes; there are only images in blocks of \
                     {BLOCK:#x}"
                ))
            } else {
                Damage::BlockSize(block).into()
            });
        }
        let compression = match raw.compression {
            0 => Compression::Zlib,
            1 => Compression::Zstd,
            other => return Err(Error::unsupported(format!("ZVHD2 compression method {other}"))),
        };
        Ok(Self { header, compression, raw })
    }
}

/// Checks that the page at `at` is of a version of ZVHD2. Later ones are taken for this one, as by
/// the reference.
pub(super) fn check_version(raw: &RawTables, at: u64) -> Result<(), Damage> {
    if raw.version == 0 { Err(Damage::Version { at }) } else { Ok(()) }
}

/// A stored block, as bitmap and index have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The block, by the bitmap, or by the entry's place where the index has every block.
    pub block: u32,
    /// Where in the index it is, as a number.
    pub number: u32,
    pub raw: RawEntry,
}

/// Where the tables of an image are, checked against its length.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// Offset of the last page.
    pub end: u64,
    pub index_at: u64,
    size: u64,
    blocks: u32,
    bitmap_at: u64,
    units: u32,
    index_has_all: bool,
    has_bitmap: bool,
}

impl Tables {
    /// Checks what the last page, at `end`, says of the tables. None where there are no tables at
    /// all, as in an empty disk that the reference wrote.
    pub fn new(page: &Page, end: u64) -> Result<Option<Self>, Damage> {
        let raw = &page.raw;
        let blocks = raw.blocks;
        let needed = page.header.original.div_ceil(BLOCK);
        if u64::from(blocks) < needed {
            return Err(Damage::TooFewBlocks { at: end, blocks, size: page.header.original });
        }
        // The first page alone: a disk of no size, or an image that was never finished.
        if end == 0 {
            return if needed == 0 { Ok(None) } else { Err(Damage::NoTables { end: PAGE }) };
        }
        let index_has_all = raw.index_has_all != 0;
        if !index_has_all && raw.units > blocks {
            return Err(Damage::TooManyUnits { at: end, units: raw.units, blocks });
        }
        let segments = |entries: u32| u64::from(entries).div_ceil(SEGMENT_ENTRIES);
        let index = segments(if index_has_all { blocks } else { raw.units });
        let bitmap = segments(blocks);
        // Whoever reads an index with every block needs no bitmap.
        let bitmap = if index_has_all && raw.bitmap_segments == 0 { 0 } else { bitmap };
        for (field, found, expected) in [
            ("number of index segments", raw.index_segments, index),
            ("size of an index segment", raw.index_segment, INDEX_SEGMENT),
            ("size of the index", raw.index_size, index * INDEX_SEGMENT),
            ("number of bitmap segments", raw.bitmap_segments, bitmap),
            ("size of a bitmap segment", raw.bitmap_segment, BITMAP_SEGMENT),
            ("size of the bitmap", raw.bitmap_size, bitmap * BITMAP_SEGMENT),
        ] {
            let found = u64::from(found);
            if found != expected {
                return Err(Damage::TableShape { at: end, field, found, expected });
            }
        }
        for (what, at, length) in [
            ("the index", raw.index_offset, index * INDEX_SEGMENT),
            ("the bitmap", raw.bitmap_offset, bitmap * BITMAP_SEGMENT),
        ] {
            let past = at.checked_add(length).is_none_or(|table_end| table_end > end);
            if length > 0 && (at < PAGE || past) {
                return Err(Damage::TablePlace { what, at, length, end });
            }
        }
        Ok(Some(Self {
            end,
            index_at: raw.index_offset,
            size: page.header.size,
            blocks,
            bitmap_at: raw.bitmap_offset,
            units: raw.units,
            index_has_all,
            has_bitmap: bitmap > 0,
        }))
    }

    /// The bytes of index and bitmap.
    pub fn length(page: &Page) -> u64 {
        u64::from(page.raw.index_size) + u64::from(page.raw.bitmap_size)
    }

    /// Reads bitmap and index.
    pub fn read(&self, bytes: &dyn Bytes, budget: &Budget) -> Result<Held<Vec<Entry>>> {
        let bits = u64::from(self.blocks).div_ceil(8);
        if self.index_has_all {
            let bitmap = match self.has_bitmap {
                true => self.read_bitmap(bytes, bits, budget)?,
                false => budget.hold(Vec::new()),
            };
            return self.read_all(bytes, &bitmap, budget);
        }
        let bitmap = self.read_bitmap(bytes, bits, budget)?;
        let population: u64 = bitmap.iter().map(|byte| u64::from(byte.count_ones())).sum();
        if population != u64::from(self.units) {
            let (at, units) = (self.bitmap_at, self.units);
            return Err(Damage::Population { at, bits: population, units }.into());
        }
        let mut entries = new_entries(population, budget)?;
        let mut index = Index::new(bytes, self.index_at);
        for (block, number) in stored(&bitmap).zip(0..) {
            entries.push(Entry { block, number, raw: index.entry(number)? });
        }
        Ok(entries)
    }

    /// An index that has an entry for every block. Where there is a bitmap, too, it may leave
    /// blocks out, but what it has must be there.
    fn read_all(
        &self,
        bytes: &dyn Bytes,
        bitmap: &[u8],
        budget: &Budget,
    ) -> Result<Held<Vec<Entry>>> {
        let mut index = Index::new(bytes, self.index_at);
        let mut entries = budget.hold(Vec::new());
        for number in 0..self.blocks {
            let raw = index.entry(number)?;
            let in_bitmap =
                bitmap.get(number as usize / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1);
            if !in_bitmap && (raw.at == 0 || raw.length == 0) {
                continue;
            }
            if entries.len() == entries.capacity() {
                let more = (entries.len() as u64).max(64).min(u64::from(self.blocks - number));
                entries.spend("the list of units", more * size_of::<Entry>() as u64)?;
                entries.reserve_exact(more as usize);
            }
            entries.push(Entry { block: number, number, raw });
        }
        Ok(entries)
    }

    /// The bitmap's bytes for the disk's blocks; behind them no bit may be set.
    fn read_bitmap(&self, bytes: &dyn Bytes, used: u64, budget: &Budget) -> Result<Held<Vec<u8>>> {
        let spent = budget.spend("the bitmap", used)?;
        let mut bitmap = vec![0; spent.bytes()];
        bytes.read_at(self.bitmap_at, &mut bitmap)?;
        let rest = (self.bitmap_length() - used) as usize;
        let mut behind = vec![0; rest];
        bytes.read_at(self.bitmap_at + used, &mut behind)?;
        let first = u64::from(self.blocks);
        let bits = stored(&bitmap).map(u64::from).filter(|block| *block >= first);
        let bits = bits.chain(stored(&behind).map(|bit| used * 8 + u64::from(bit)));
        if let Some(block) = bits.min() {
            return Err(
                Damage::BitPastEnd { at: self.bitmap_at, block, blocks: self.blocks }.into()
            );
        }
        Ok(spent.on(bitmap))
    }

    fn bitmap_length(&self) -> u64 {
        u64::from(self.blocks).div_ceil(SEGMENT_ENTRIES) * BITMAP_SEGMENT
    }

    /// Checks what an entry says of its unit.
    pub fn check(&self, entry: &Entry) -> Result<(), Damage> {
        let Entry { block, raw, .. } = *entry;
        let RawEntry { at, block: found, length } = raw;
        let place = self.index_at + u64::from(entry.number) * ENTRY;
        if at == 0 || length == 0 {
            return Err(Damage::EmptyEntry { entry: place, block });
        }
        if found != block {
            return Err(Damage::EntryBlock { entry: place, block, found });
        }
        let whole = u64::from(length);
        if !whole.is_multiple_of(PAGE) || whole > Flavour::Zvhd2.unit_max() {
            return Err(Damage::EntryLength { entry: place, block, length });
        }
        if at < PAGE || at.checked_add(whole).is_none_or(|end| end > self.end) {
            return Err(Damage::EntryPlace { entry: place, block, at, length, end: self.end });
        }
        if u64::from(block) * BLOCK >= self.size {
            return Err(Damage::PastDisk { at, block, size: self.size });
        }
        Ok(())
    }
}

fn new_entries(count: u64, budget: &Budget) -> Result<Held<Vec<Entry>>> {
    let spent = budget.spend("the list of units", count * size_of::<Entry>() as u64)?;
    Ok(spent.on(Vec::with_capacity(count as usize)))
}

/// The bits that are set, in order.
fn stored(bitmap: &[u8]) -> impl Iterator<Item = u32> {
    (0..).zip(bitmap).filter(|(_, byte)| **byte != 0).flat_map(|(index, byte)| {
        let byte = *byte;
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| index * 8 + bit)
    })
}

/// An index that is read in order, a piece at a time.
struct Index<'a> {
    bytes: &'a dyn Bytes,
    at: u64,
    piece: Vec<u8>,
    /// The number of the first entry in the piece.
    first: u32,
}

/// Entries in a piece: they divide a segment, and the index is whole segments, so the last piece is
/// whole, too.
const PIECE: u32 = 4096;

impl<'a> Index<'a> {
    fn new(bytes: &'a dyn Bytes, at: u64) -> Self {
        Self { bytes, at, piece: Vec::new(), first: 0 }
    }

    fn entry(&mut self, number: u32) -> Result<RawEntry> {
        let first = number - number % PIECE;
        if self.piece.is_empty() || first != self.first {
            self.piece.resize(PIECE as usize * ENTRY as usize, 0);
            self.bytes.read_at(self.at + u64::from(first) * ENTRY, &mut self.piece)?;
            self.first = first;
        }
        Ok(RawEntry::parse(&self.piece[(number % PIECE) as usize * ENTRY as usize..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_come_in_order() {
        assert_eq!(stored(&[0x0d, 0, 0x80, 1]).collect::<Vec<_>>(), [0, 2, 3, 23, 24]);
        assert_eq!(stored(&[]).count(), 0);
        assert_eq!(stored(&[0xff; 3]).collect::<Vec<_>>(), (0..24).collect::<Vec<_>>());
    }
}
