//! Writing: blocks that stand alone, in one stream that a reader may take as a whole.
//!
//! Each block is deflated from an empty window and flushed, on any thread; in front of the first
//! stands the stream's header. To a reader with one inflater for the whole file that is one zlib
//! stream, to one that tries, so many.

use diskferry_block_stream::{
    Chunk, Error, Foretold, Form, Layout, Naming, Packed, Packer, Plan, Preallocation, Result,
    Sink, Stamp, Writing,
};
use diskferry_codec::OpenDeflater;

use super::options::Options;
use crate::header::Flavour;
use crate::wire::BLOCK;
use crate::write::{ROUNDING, Shape, UnitWriter};

impl Writing for Options {
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(Error::misuse(format!("zvhd has no option '{key}'")))
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.compress(level)
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        ROUNDING
    }

    fn foretell(&self) -> Foretold {
        Foretold::of("zvhd")
    }
}

/// How a disk of `size` bytes is stored.
///
/// The image has that size, in whole sectors, as its original one; readers present it in whole GiB.
/// Id and time are the stamp's.
///
/// # Errors
/// `Unsupported` where the size is not known, which is in the first page, or needs more blocks than
/// have numbers.
pub fn plan(size: Option<u64>, options: &Options, stamp: &Stamp) -> Result<Plan> {
    let shape = Shape::of(size, stamp, Flavour::Zvhd)?;
    let level = options.level;
    let make = move || BlockPacker::new(level).map(|packer| Box::new(packer) as Box<dyn Packer>);
    Ok(Plan::Packed(Packed {
        chunk: BLOCK as usize,
        parts: 1,
        preallocation: Preallocation::Off,
        packer: Some(Box::new(make)),
        layout: Box::new(ZvhdLayout { units: UnitWriter::new(shape) }),
    }))
}

/// The stream's header, as the reference writes it: a window of 32 KiB, the fastest level. No
/// reader needs to know the level, and blocks may be of any.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];

/// One thread's compressor.
struct BlockPacker(OpenDeflater);

impl BlockPacker {
    fn new(level: u32) -> Result<Self> {
        OpenDeflater::new(level).map(Self).map_err(Error::compressing)
    }
}

impl Packer for BlockPacker {
    fn pack(&mut self, _at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        self.0.compress(data, out).map_err(Error::compressing)?;
        Ok(Form::Packed)
    }
}

/// An image under construction. Nothing goes back.
struct ZvhdLayout {
    units: UnitWriter,
}

impl Layout for ZvhdLayout {
    fn zeros(&mut self, chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        self.units.skip(chunks)
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        // Whoever packs a block cannot know that it is the first.
        let head = if self.units.is_first() { &ZLIB_HEAD[..] } else { &[] };
        Ok(self.units.begin(head, chunk.length, sink)?.payload)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.units.check_whole(size)?;
        let page = self.units.shape.page().to_bytes();
        self.units.put(&page, sink)?;
        self.units.end(sink)
    }
}
