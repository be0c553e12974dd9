//! Images made by hand, byte by byte: what our writer does not make, and what nobody should.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Disk, Image, Piece, Result, Stream};
use diskferry_zvhd::zvhd::{Zvhd, ZvhdStream};
use diskferry_zvhd::zvhd2::{Zvhd2, Zvhd2Stream};
use flate2::{Compress, Compression, FlushCompress};

pub const BLOCK: usize = 2 << 20;
pub const PAGE: usize = 4096;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Zvhd,
    Zvhd2,
}

impl Format {
    pub fn open(self, bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Box<dyn Image>> {
        Ok(match self {
            Self::Zvhd => Box::new(Zvhd::open(bytes, budget)?),
            Self::Zvhd2 => Box::new(Zvhd2::open(bytes, budget)?),
        })
    }

    pub fn stream(self, bytes: Vec<u8>, budget: &Budget) -> Result<Box<dyn Stream>> {
        let reader = std::io::Cursor::new(bytes);
        Ok(match self {
            Self::Zvhd => Box::new(ZvhdStream::new(reader, "pipe", budget)?),
            Self::Zvhd2 => Box::new(Zvhd2Stream::new(reader, "pipe", budget)?),
        })
    }

    /// The disk in a file, as far as it is not zeros at its end.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<u8>> {
        let image = self.open(Arc::new(bytes.to_vec()), &Budget::default())?;
        read(image.as_ref())
    }

    /// The same, as it comes through a pipe.
    pub fn read_stream(self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = self.stream(bytes.to_vec(), &Budget::default())?;
        let size = stream.size();
        let (mut disk, mut zeros) = (Vec::new(), 0);
        let mut buf = vec![0xa5; 300_000];
        loop {
            match stream.next(&mut buf)? {
                Piece::Data(count) => {
                    disk.resize(disk.len() + zeros as usize, 0);
                    zeros = 0;
                    disk.extend_from_slice(&buf[..count]);
                }
                Piece::Zero(count) => zeros += count,
                Piece::End => break,
            }
        }
        assert_eq!(size, Some(disk.len() as u64 + zeros));
        trim(&mut disk);
        Ok(disk)
    }
}

/// The disk, as far as it is not zeros at its end.
pub fn read(disk: &dyn Disk) -> Result<Vec<u8>> {
    let mut cursor = disk.cursor()?;
    let (mut at, mut bytes) = (0, Vec::new());
    while at < disk.size() {
        let extent = cursor.extent(at, disk.size() - at)?;
        if !extent.kind.reads_zero() {
            bytes.resize(at as usize, 0);
            bytes.resize((at + extent.length) as usize, 0xa5);
            cursor.read(at, &mut bytes[at as usize..])?;
        }
        at += extent.length;
    }
    trim(&mut bytes);
    Ok(bytes)
}

pub fn trim(disk: &mut Vec<u8>) {
    let end = disk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    disk.truncate(end);
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A page with these sizes; what ZVHD2 adds is for whoever makes it.
pub fn page(format: Format, original: u64, current: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    put(&mut page, 0, if format == Format::Zvhd { b"stream" } else { b"z2strm" });
    put(&mut page, 0x08, &2_u32.to_le_bytes());
    put(&mut page, 0x0c, &0x1_0000_u32.to_le_bytes());
    put(&mut page, 0x10, &u64::MAX.to_le_bytes());
    put(&mut page, 0x1c, b"tap\0");
    put(&mut page, 0x20, &0x1_0004_u32.to_le_bytes());
    put(&mut page, 0x28, &original.to_le_bytes());
    put(&mut page, 0x30, &current.to_le_bytes());
    put(&mut page, 0x3c, &4_u32.to_le_bytes());
    if format == Format::Zvhd2 {
        page[0x57] = 1;
        put(&mut page, 0x58, &(BLOCK as u32).to_le_bytes());
        put(&mut page, 0x5c, &(original.div_ceil(BLOCK as u64) as u32).to_le_bytes());
        page[0x8d] = 1;
    }
    seal(&mut page);
    page
}

/// Gives a page its checksum.
pub fn seal(page: &mut [u8]) {
    page[0x40..0x44].fill(0);
    let sum: u32 = page[..512].iter().map(|byte| u32::from(*byte)).sum();
    put(page, 0x40, &(!sum).to_le_bytes());
}

/// A unit of a block.
pub fn unit(block: u32, payload: &[u8]) -> Vec<u8> {
    let mut unit = b"hwstream bg\0".to_vec();
    unit.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    unit.extend_from_slice(&block.to_le_bytes());
    unit.resize(48, 0);
    unit.extend_from_slice(payload);
    let length = (unit.len() + 4).next_multiple_of(PAGE);
    unit.resize(length - 4, 0);
    unit.extend_from_slice(b"end\0");
    unit
}

/// A ZVHD file of these units.
pub fn zvhd(original: u64, current: u64, units: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let page = page(Format::Zvhd, original, current);
    let mut file = page.clone();
    for (block, payload) in units {
        file.extend(unit(*block, payload));
    }
    file.extend(page);
    file
}

/// A ZVHD2 file of these units, in whatever order; the compression is `method`.
pub fn zvhd2(original: u64, current: u64, method: u8, units: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut page = page(Format::Zvhd2, original, current);
    page[0x8d] = method;
    seal(&mut page);
    let mut file = page.clone();
    let mut entries = Vec::new();
    for (block, payload) in units {
        let unit = unit(*block, payload);
        entries.push((*block, file.len() as u64, unit.len() as u32));
        file.extend(unit);
    }
    file.extend(&page);
    entries.sort_unstable();
    let index = file.len();
    for (block, at, length) in &entries {
        file.extend(at.to_le_bytes());
        file.extend(block.to_le_bytes());
        file.extend(length.to_le_bytes());
    }
    let segments = entries.len().div_ceil(32768);
    file.resize(index + segments * 524_288, 0);
    let bitmap = file.len();
    let bitmap_segments = original.div_ceil(BLOCK as u64).div_ceil(32768) as usize;
    file.resize(bitmap + bitmap_segments * PAGE, 0);
    for (block, ..) in &entries {
        file[bitmap + *block as usize / 8] |= 1 << (block % 8);
    }
    put(&mut page, 0x60, &(index as u64).to_le_bytes());
    put(&mut page, 0x68, &(bitmap as u64).to_le_bytes());
    for (at, value) in [
        (0x70, segments * 524_288),
        (0x74, bitmap_segments * PAGE),
        (0x78, 524_288),
        (0x7c, PAGE),
        (0x80, segments),
        (0x84, bitmap_segments),
        (0x88, entries.len()),
    ] {
        put(&mut page, at, &(value as u32).to_le_bytes());
    }
    seal(&mut page);
    file.extend(page);
    file
}

/// The blocks as one stream that keeps its history, without the header in front.
pub fn chained(level: u32, blocks: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut stream = Compress::new(Compression::new(level), false);
    blocks
        .iter()
        .map(|block| {
            let mut out = Vec::with_capacity(block.len() + block.len() / 8 + 1000);
            stream.compress_vec(block, &mut out, FlushCompress::Sync).unwrap();
            assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
            out
        })
        .collect()
}

/// A block as a stream of its own, without the header in front.
pub fn alone(level: u32, block: &[u8]) -> Vec<u8> {
    chained(level, &[block]).remove(0)
}

/// The payload with zlib's header in front.
pub fn headed(payload: &[u8]) -> Vec<u8> {
    [&[0x78, 0x9c], payload].concat()
}

/// A block of text.
pub fn text(seed: u64) -> Vec<u8> {
    use diskferry_testkit::{Model, Texture};
    Model::full(seed, BLOCK as u64, 4096, Texture::Text).whole()
}

/// A zstd frame of a block.
pub fn zstd(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packer = diskferry_codec::ZstdPacker::new(1).unwrap();
    assert!(packer.compress(block, &mut out, usize::MAX).unwrap());
    out
}
