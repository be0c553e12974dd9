//! Unpacking: each unit by itself.

use std::io;

use diskferry_block_stream::{Error, Result, Unpacked};
use diskferry_codec::{CodecError, FLUSHED, OpenInflater, ZlibUnpacker, ZstdUnpacker};

use super::image::Zvhd2;
use super::tables::{Compression, Entry, Tables};
use crate::cursor::Units;
use crate::damage::Damage;
use crate::header::Flavour;
use crate::unit::Unit;
use crate::wire::{BLOCK, UNIT_END, UNIT_HEAD, unit_head};

/// One thread's session.
pub(super) struct Unpacker<'a> {
    image: &'a Zvhd2,
    codec: Codec,
    unit: Vec<u8>,
    unpacked: Unpacked,
}

impl<'a> Unpacker<'a> {
    pub fn new(image: &'a Zvhd2) -> Result<Self> {
        let codec = Codec::new(image.compression)?;
        Ok(Self { image, codec, unit: Vec::new(), unpacked: Unpacked::default() })
    }

    /// Fills `out` with the block of a unit.
    pub fn unpack(&mut self, index: usize, out: &mut [u8]) -> Result<()> {
        let image = self.image;
        // Without tables, there are no entries.
        let (Some(tables), Some(entry)) = (&image.tables, image.entries.get(index)) else {
            out.fill(0);
            return Ok(());
        };
        tables.check(entry)?;
        let unit = self.load(entry)?;
        let payload = &self.unit[UNIT_HEAD..][..unit.size as usize];
        self.codec.unpack(&unit, payload, out)
    }

    /// Reads the unit of an entry whose place is good.
    fn load(&mut self, entry: &Entry) -> Result<Unit> {
        let Entry { block, raw, .. } = *entry;
        let (at, length) = (raw.at, raw.length);
        self.unit.resize(length as usize, 0);
        self.image.file().read_at(at, &mut self.unit)?;
        let (size, found) = unit_head(&self.unit).ok_or(Damage::NotAUnit { at, block })?;
        if found != block {
            return Err(Damage::UnitBlock { at, block, found }.into());
        }
        let unit = Unit::new(at, size, block, Flavour::Zvhd2)?;
        if unit.length() != u64::from(length) {
            return Err(Damage::UnitLength { at, block, found: unit.length(), length }.into());
        }
        if !self.unit.ends_with(&UNIT_END) {
            return Err(Damage::EndMarker { at, block }.into());
        }
        Ok(unit)
    }
}

impl Units for Unpacker<'_> {
    fn count(&self) -> usize {
        self.image.entries.len()
    }

    fn block(&self, index: usize) -> u32 {
        self.image.entries[index].block
    }

    fn check(&self, index: usize) -> Result<(), Damage> {
        let tables: Option<&Tables> = self.image.tables.as_ref();
        tables.map_or(Ok(()), |tables| tables.check(&self.image.entries[index]))
    }

    fn read(&mut self, index: usize, within: usize, part: &mut [u8]) -> Result<()> {
        let at = index as u64 * BLOCK + within as u64;
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let done = unpacked.read((0, BLOCK), at, part, |_, block| self.unpack(index, block));
        self.unpacked = unpacked;
        done
    }
}

/// A session for the payloads of an image.
pub(super) enum Codec {
    Zlib { open: Box<OpenInflater>, finished: Box<ZlibUnpacker> },
    Zstd(Box<ZstdUnpacker>),
}

impl Codec {
    pub fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Zlib => Self::Zlib { open: Box::default(), finished: Box::default() },
            Compression::Zstd => {
                let unpacker = ZstdUnpacker::new().map_err(|error| {
                    Error::from(io::Error::other(error)).doing("preparing to unpack")
                })?;
                Self::Zstd(Box::new(unpacker))
            }
        })
    }

    /// Fills `out`, which is a block, with what a unit's payload is.
    pub fn unpack(&mut self, unit: &Unit, payload: &[u8], out: &mut [u8]) -> Result<()> {
        let damaged = |source: CodecError| {
            Error::from(Damage::Payload { at: unit.at, block: unit.block, source })
        };
        match self {
            Self::Zstd(unpacker) => unpacker.decompress_whole(payload, out).map_err(damaged),
            // The reference only reads streams that are not finished. A finished one ends with an
            // Adler-32, which is never like a flush: its halves are below 65521.
            Self::Zlib { open, .. } if payload.ends_with(&FLUSHED) => {
                let stream = unit.without_header(payload)?;
                out.copy_from_slice(open.inflate(&[], stream, out.len()).map_err(damaged)?);
                Ok(())
            }
            Self::Zlib { finished, .. } => finished.decompress_whole(payload, out).map_err(damaged),
        }
    }
}
