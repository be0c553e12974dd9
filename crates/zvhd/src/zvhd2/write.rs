//! Writing: blocks that stand alone, then the tables.
//!
//! Nothing goes back: the last page, which says where the tables are, is at the end.

use diskferry_block_stream::{
    Chunk, Error, Foretold, Form, Layout, Naming, Packed, Packer, Plan, Preallocation, Result,
    Sink, Stamp, Writing,
};
use diskferry_codec::{OpenDeflater, ZstdPacker};

use super::options::Options;
use super::tables::Compression;
use crate::header::Flavour;
use crate::wire::{
    BITMAP_SEGMENT, BLOCK, INDEX_SEGMENT, RawEntry, RawPage, RawTables, SEGMENT_ENTRIES,
};
use crate::write::{ROUNDING, Shape, UnitWriter};

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set(key, value)
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.compress(level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        ROUNDING
    }

    fn foretell(&self) -> Foretold {
        Foretold::of("zvhd2")
    }
}

/// How a disk of `size` bytes is stored.
///
/// The image has that size, in whole sectors, as its original one; readers present it in whole GiB.
/// Id and time are the stamp's.
///
/// # Errors
/// `Misuse` for a level that the codec does not have; `Unsupported` where the size is not known,
/// which is in the first page, or needs more blocks than have numbers.
pub fn plan(size: Option<u64>, options: &Options, stamp: &Stamp) -> Result<Plan> {
    let (compression, level) = (options.compression, options.level()?);
    let shape = Shape::of(size, stamp, Flavour::Zvhd2)?;
    let make = move || {
        BlockPacker::new(compression, level).map(|packer| Box::new(packer) as Box<dyn Packer>)
    };
    Ok(Plan::Packed(Packed {
        chunk: BLOCK as usize,
        parts: 1,
        preallocation: Preallocation::Off,
        packer: Some(Box::new(make)),
        layout: Box::new(Zvhd2Layout::new(shape, compression)),
    }))
}

/// A zlib stream's header: a window of 32 KiB, the fastest level, which no reader needs to know.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];

/// One thread's compressor.
enum BlockPacker {
    /// Each block is a stream with its header, which is flushed and not finished, as the reference
    /// wants it.
    Zlib(OpenDeflater),
    Zstd(Box<ZstdPacker>),
}

impl BlockPacker {
    fn new(compression: Compression, level: u32) -> Result<Self> {
        match compression {
            Compression::Zlib => OpenDeflater::new(level).map(Self::Zlib),
            Compression::Zstd => {
                ZstdPacker::new(level as i32).map(|packer| Self::Zstd(Box::new(packer)))
            }
        }
        .map_err(Error::compressing)
    }
}

impl Packer for BlockPacker {
    fn pack(&mut self, _at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        match self {
            Self::Zlib(deflater) => {
                out.extend_from_slice(&ZLIB_HEAD);
                deflater.compress(data, out).map_err(Error::compressing)?;
            }
            Self::Zstd(packer) => {
                packer.compress(data, out, usize::MAX).map_err(Error::compressing)?;
            }
        }
        Ok(Form::Packed)
    }
}

/// An image under construction: memory holds its index.
struct Zvhd2Layout {
    units: UnitWriter,
    tables: RawTables,
    entries: Vec<RawEntry>,
}

impl Zvhd2Layout {
    fn new(shape: Shape, compression: Compression) -> Self {
        let tables = RawTables {
            version: 1,
            block_size: BLOCK as u32,
            blocks: shape.blocks as u32,
            compression: compression.number(),
            ..RawTables::default()
        };
        let units = UnitWriter::new(shape).with_first_page(tables.clone());
        Self { units, tables, entries: Vec::new() }
    }

    fn page(&self) -> Vec<u8> {
        RawPage { tables: self.tables.clone(), ..self.units.shape.page() }.to_bytes()
    }

    fn put_index(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.tables.index_offset = self.units.position();
        self.tables.index_segments = self.entries.len().div_ceil(SEGMENT_ENTRIES as usize) as u32;
        self.tables.index_segment = INDEX_SEGMENT as u32;
        self.tables.index_size = self.tables.index_segments * INDEX_SEGMENT as u32;
        self.tables.units = self.entries.len() as u32;
        for entries in self.entries.chunks(SEGMENT_ENTRIES as usize) {
            let mut segment = Vec::with_capacity(INDEX_SEGMENT as usize);
            for entry in entries {
                segment.extend_from_slice(&entry.to_bytes());
            }
            segment.resize(INDEX_SEGMENT as usize, 0);
            self.units.put(&segment, sink)?;
        }
        Ok(())
    }

    fn put_bitmap(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let segments = self.units.shape.blocks.div_ceil(SEGMENT_ENTRIES);
        self.tables.bitmap_offset = self.units.position();
        self.tables.bitmap_segments = segments as u32;
        self.tables.bitmap_segment = BITMAP_SEGMENT as u32;
        self.tables.bitmap_size = (segments * BITMAP_SEGMENT) as u32;
        let mut entries = self.entries.iter().map(|entry| u64::from(entry.block)).peekable();
        for number in 1..=segments {
            let mut segment = [0; BITMAP_SEGMENT as usize];
            while let Some(block) = entries.next_if(|block| *block < number * SEGMENT_ENTRIES) {
                let bit = block % SEGMENT_ENTRIES;
                segment[(bit / 8) as usize] |= 1 << (bit % 8);
            }
            self.units.put(&segment, sink)?;
        }
        Ok(())
    }
}

/// Units whose index segments' size still fits its field.
const UNITS_MAX: u64 = (u32::MAX as u64 / INDEX_SEGMENT) * SEGMENT_ENTRIES;

impl Layout for Zvhd2Layout {
    fn zeros(&mut self, chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        self.units.skip(chunks)
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        if self.entries.len() as u64 == UNITS_MAX {
            return Err(Error::limit(format!("more than {UNITS_MAX} blocks in ZVHD2's index")));
        }
        let placed = self.units.begin(&[], chunk.length, sink)?;
        self.entries.push(RawEntry { at: placed.at, block: placed.block, length: placed.length });
        Ok(placed.payload)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.units.check_whole(size)?;
        let middle = self.page();
        self.units.put(&middle, sink)?;
        self.put_index(sink)?;
        self.put_bitmap(sink)?;
        let last = self.page();
        self.units.put(&last, sink)?;
        self.units.end(sink)
    }
}
