//! A streamOptimized image, from its first byte to its last.
//!
//! ```text
//! sector 0     header: version 3, deflate, markers, the directory at the end
//! sector 1     descriptor, 20 sectors
//! sector 128   grains, each after a marker, padded to a sector; a table follows the grains it
//!              maps: marker, 4 sectors; where it would map nothing there is none
//! at the end   marker, grain directory; marker, footer; end-of-stream marker
//! ```
//!
//! This is what VMware's tools write. QEMU's directory in front would do without a footer, but
//! takes a file that can be written backwards, and 7-Zip refuses it.

use diskferry_block_stream::{Chunk, Error, Form, Layout, Packer, Result, SECTOR, Sink};
use diskferry_codec::{NoiseProbe, ZlibPacker, entropy};

use crate::wire::{
    self, DEFLATE, DIRECTORY_AT_END, GRAIN_MARKER, NEWLINES, RawHeader, RawMarker, Sector, flag,
    marker,
};
use crate::write::{
    DESCRIPTOR, DESCRIPTOR_SECTORS, GRAIN_SECTORS, SPAN, TABLE_ENTRIES, check_size, sector_of,
};

/// One thread's compressor of grains.
pub(crate) struct GrainPacker {
    packer: ZlibPacker,
    /// For grains that are noise, unless a level was asked for.
    noise: Option<(NoiseProbe, ZlibPacker)>,
}

/// Files of libdeflate's level 5 are smaller than those of zlib's level 6, and those of its own default
/// level 6 only half a percent smaller, in a seventh more time.
const LEVEL: u32 = 5;

impl GrainPacker {
    /// A packer of the level that was asked for.
    pub fn boxed(level: Option<u32>) -> Result<Box<dyn Packer>> {
        let packer = ZlibPacker::new(level.unwrap_or(LEVEL)).map_err(Error::compressing)?;
        let noise = match level {
            Some(_) => None,
            None => {
                let probe = NoiseProbe::new().map_err(Error::compressing)?;
                Some((probe, ZlibPacker::storing().map_err(Error::compressing)?))
            }
        };
        Ok(Box::new(Self { packer, noise }))
    }
}

impl Packer for GrainPacker {
    /// The grain with its marker, in whole sectors. There are no other grains in such an image, so
    /// one that does not shrink is packed all the same.
    fn pack(&mut self, at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        let start = out.len();
        out.resize(start + GRAIN_MARKER, 0);
        let may_be = entropy(data) >= NoiseProbe::ENTROPY;
        let mut packer = &mut self.packer;
        if let Some((probe, storing)) = self.noise.as_mut().filter(|_| may_be)
            && probe.is_noise(data).map_err(Error::compressing)?
        {
            packer = storing;
        }
        packer.compress(data, out).map_err(Error::compressing)?;
        let size = out.len() - start - GRAIN_MARKER;
        // A grain of 64 KiB never takes as much as 128.
        let marker = wire::grain_marker(at / SECTOR, size as u32);
        out[start..][..GRAIN_MARKER].copy_from_slice(&marker);
        out.resize(start + (GRAIN_MARKER + size).next_multiple_of(SECTOR as usize), 0);
        Ok(Form::Packed)
    }
}

/// An image under construction. Nothing goes back, and memory holds one table and the directory.
pub(crate) struct StreamLayout {
    /// Bytes of the disk: whole grains.
    capacity: u64,
    descriptor: Vec<u8>,
    /// Where the next byte goes; 0 before the header is written.
    next: u64,
    /// Sectors of the tables, 0 where there is none.
    directory: Vec<u32>,
    /// The table of the next grain, up to that grain.
    table: Vec<u32>,
}

/// Where the first grain is, in sectors: VMware's tools begin at a whole grain, too.
const OVERHEAD: u64 = GRAIN_SECTORS;

impl StreamLayout {
    pub fn new(capacity: u64, descriptor: Vec<u8>) -> Self {
        let table = Vec::with_capacity(TABLE_ENTRIES as usize);
        Self { capacity, descriptor, next: 0, directory: Vec::new(), table }
    }

    /// Writes what precedes the grains, unless that is done.
    fn begin(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.next > 0 {
            return Ok(());
        }
        let mut front = self.header(DIRECTORY_AT_END).to_vec();
        front.append(&mut self.descriptor);
        front.resize((OVERHEAD * SECTOR) as usize, 0);
        self.put(&front, sink)
    }

    fn header(&self, directory: u64) -> Sector {
        let header = RawHeader {
            version: 3,
            flags: flag::NEWLINES | flag::COMPRESSED | flag::MARKERS,
            capacity: self.capacity / SECTOR,
            grain: GRAIN_SECTORS,
            descriptor: DESCRIPTOR,
            descriptor_sectors: DESCRIPTOR_SECTORS,
            table_entries: TABLE_ENTRIES as u32,
            redundant: 0,
            directory,
            overhead: OVERHEAD,
            unclean: 0,
            newlines: NEWLINES,
            compression: DEFLATE,
        };
        header.to_bytes()
    }

    fn put(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        sink.put(self.next, bytes)?;
        self.next += bytes.len() as u64;
        Ok(())
    }

    /// Writes a marker and the whole sectors that it announces; returns their place.
    fn put_marked(&mut self, kind: u32, bytes: &[u8], sink: &mut dyn Sink) -> Result<u64> {
        let value = bytes.len() as u64 / SECTOR;
        self.put(&RawMarker { value, size: 0, kind }.to_bytes(), sink)?;
        let at = self.next;
        self.put(bytes, sink)?;
        Ok(at)
    }

    /// Ends the table, once it is full: not before its last grain is written.
    fn close_full_table(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.table.len() as u64 == TABLE_ENTRIES { self.close_table(sink) } else { Ok(()) }
    }

    fn close_table(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let mut at = 0;
        if self.table.iter().any(|entry| *entry != 0) {
            self.table.resize(TABLE_ENTRIES as usize, 0);
            let table = wire::entries_to_sectors(&self.table);
            at = sector_of(self.put_marked(marker::TABLE, &table, sink)?)?;
        }
        if self.directory.len() as u64 == self.capacity.div_ceil(SPAN) {
            return check_size(u64::MAX, self.capacity);
        }
        self.directory.push(at);
        self.table.clear();
        Ok(())
    }
}

impl Layout for StreamLayout {
    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        self.begin(sink)?;
        self.close_full_table(sink)?;
        // The rest of this table, whole tables in one step, and the start of another.
        let room = TABLE_ENTRIES - self.table.len() as u64;
        let first = if self.table.is_empty() { 0 } else { chunks.min(room) };
        self.table.resize(self.table.len() + first as usize, 0);
        self.close_full_table(sink)?;
        let (tables, rest) = ((chunks - first) / TABLE_ENTRIES, (chunks - first) % TABLE_ENTRIES);
        if tables > self.capacity.div_ceil(SPAN) - self.directory.len() as u64 {
            return check_size(u64::MAX, self.capacity);
        }
        self.directory.resize(self.directory.len() + tables as usize, 0);
        self.table.resize(self.table.len() + rest as usize, 0);
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        self.close_full_table(sink)?;
        let at = self.next;
        self.table.push(sector_of(at)?);
        self.next += chunk.length as u64;
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        check_size(size, self.capacity)?;
        if !self.table.is_empty() {
            self.close_table(sink)?;
        }
        let directory = wire::entries_to_sectors(&self.directory);
        let at = self.put_marked(marker::DIRECTORY, &directory, sink)?;
        let footer = self.header(u64::from(sector_of(at)?));
        self.put_marked(marker::FOOTER, &footer, sink)?;
        let end = RawMarker { value: 0, size: 0, kind: marker::END };
        self.put(&end.to_bytes(), sink)?;
        Ok(self.next)
    }
}
