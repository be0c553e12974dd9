//! The file that Google Compute Engine imports: one raw disk, in a tar archive, in a gzip file.
//!
//! ```text
//! gzip:  | header, 10 bytes | deflate, one stream | CRC-32 | length mod 2^32 |
//! tar:     | header: disk.raw | the disk, whole GiB | two blocks of zeros, to a record of 10240 |
//! ```
//!
//! The deflate stream is made in parallel: each chunk is packed by itself, up to a flush, and chunks
//! of zeros are all the same bytes. It is one gzip member, as its importer need not know of more.
//! Sources: RFC 1952; Google's documentation, "Create custom images": GNU tar's old format, the name
//! `disk.raw`, a size of whole GiB.

use diskferry_block_stream::{
    Chunk, Error, Foretold, Form, Layout, Naming, OptionSpec, Packed, Packer, Plan, Preallocation,
    Remedy, Result, Sink, Stamp, Writing,
};
use diskferry_codec::OpenDeflater;
use diskferry_codec::digest::{Crc32Part, crc32};

use crate::write::{BLOCK, Header, Magic, end};

/// What the virtual size is a multiple of, in bytes.
const UNIT: u64 = 1 << 30;

/// The options by name: none.
pub const OPTIONS: &[OptionSpec] = &[];

/// How such a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// zlib's level, 1 to 9; `None` for its usual one.
    pub level: Option<u32>,
}

impl Writing for Options {
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(Error::misuse(format!("gcp has no option '{key}'")))
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.level = level;
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        UNIT
    }

    fn foretell(&self) -> Foretold {
        Foretold::of("raw")
    }
}

/// zlib's own default, and gzip's.
const LEVEL: u32 = 6;

/// Bytes of the disk in a chunk. Chunks know nothing of one another: smaller ones shrink less.
const CHUNK: usize = 1 << 20;

/// How a disk of `size` bytes is stored; it is rounded up to whole GiB, with zeros.
///
/// # Errors
/// `Misuse` for a level that there is not; `Unsupported` where the size is not known, for the archive
/// begins with it, or 0; `Limit` past the end of 64 bits.
pub fn plan(size: Option<u64>, options: &Options, stamp: &Stamp) -> Result<Plan> {
    let level = options.level.unwrap_or(LEVEL);
    if !(1..=9).contains(&level) {
        return Err(Error::misuse(format!("gzip has no level {level}; it has 1 to 9")));
    }
    let size = size.ok_or_else(|| {
        Error::unsupported(
            "a tar archive of a disk whose size is not known beforehand: it begins with the size",
        )
        .mended_by(Remedy::GiveSize)
    })?;
    if size == 0 {
        return Err(Error::unsupported("a disk of 0 bytes: there is none in whole GiB to import"));
    }
    let size = size.checked_next_multiple_of(UNIT).filter(|size| *size < 1 << 63);
    let size = size.ok_or_else(|| Error::limit("a disk of more than 2^63 bytes"))?;
    let mut zeros = Vec::new();
    let mut deflater = OpenDeflater::new(level).map_err(Error::compressing)?;
    deflater.compress(&vec![0; CHUNK], &mut zeros).map_err(Error::compressing)?;
    let head =
        Header { name: "disk.raw", size, mode: 0o644, seconds: stamp.seconds, magic: Magic::Gnu };
    Ok(Plan::Packed(Packed {
        chunk: CHUNK,
        parts: 1,
        preallocation: Preallocation::Off,
        packer: Some(Box::new(move || {
            let deflater = OpenDeflater::new(level).map_err(Error::compressing)?;
            Ok(Box::new(ChunkPacker { deflater, crc: 0 }))
        })),
        layout: Box::new(GcpLayout {
            size,
            head: head.block()?,
            many_zeros: zeros.repeat(ZEROS_AT_ONCE),
            zeros,
            at: 0,
            passed: 0,
            crc: Crc32Part::default(),
        }),
    }))
}

/// One thread's compressor.
struct ChunkPacker {
    deflater: OpenDeflater,
    /// Of the chunk that was packed last.
    crc: u32,
}

impl Packer for ChunkPacker {
    fn pack(&mut self, _at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        self.crc = crc32(data).crc;
        self.deflater.compress(data, out).map_err(Error::compressing)?;
        Ok(Form::Packed)
    }

    fn note(&self) -> u64 {
        u64::from(self.crc)
    }
}

struct GcpLayout {
    /// Bytes of the disk: whole GiB.
    size: u64,
    head: [u8; BLOCK],
    /// A chunk of zeros, packed; and many of them.
    zeros: Vec<u8>,
    many_zeros: Vec<u8>,
    /// Where the next byte goes; 0 before the first.
    at: u64,
    /// Bytes of the disk so far.
    passed: u64,
    /// Of the archive so far.
    crc: Crc32Part,
}

/// Packed chunks of zeros that are written at once: some 64 KiB.
const ZEROS_AT_ONCE: usize = 64;

/// Method deflate, no flags, no time, no extra flags, made by Unix.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

impl GcpLayout {
    fn put(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        sink.put(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Puts bytes of the archive as they are.
    fn put_stored(&mut self, bytes: &[u8], last: bool, sink: &mut dyn Sink) -> Result<()> {
        debug_assert!(bytes.len() <= usize::from(u16::MAX));
        let length = (bytes.len() as u16).to_le_bytes();
        let inverted = length.map(|byte| !byte);
        let block = [&[u8::from(last)], &length[..], &inverted, bytes].concat();
        self.crc = self.crc.extend(bytes);
        self.put(&block, sink)
    }

    fn begin(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.at > 0 {
            return Ok(());
        }
        self.put(&GZIP, sink)?;
        let head = self.head;
        self.put_stored(&head, false, sink)
    }

    /// Counts bytes of the disk.
    fn pass(&mut self, bytes: u64) -> Result<()> {
        self.passed = self.passed.saturating_add(bytes);
        if self.passed > self.size {
            let (passed, size) = (self.passed, self.size);
            return Err(Error::misuse(format!(
                "a disk of {passed} bytes, laid out as one of {size}"
            )));
        }
        Ok(())
    }
}

impl Layout for GcpLayout {
    fn zeros(&mut self, mut chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        self.begin(sink)?;
        let bytes = chunks.saturating_mul(CHUNK as u64);
        self.pass(bytes)?;
        self.crc = self.crc.combine(Crc32Part::zeros(bytes));
        while chunks > 0 {
            let count = chunks.min(ZEROS_AT_ONCE as u64);
            let len = self.zeros.len() * count as usize;
            sink.put(self.at, &self.many_zeros[..len])?;
            self.at += len as u64;
            chunks -= count;
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        self.pass(CHUNK as u64)?;
        let crc = u32::try_from(chunk.note).expect("the packer notes a CRC of 32 bits");
        self.crc = self.crc.combine(Crc32Part { crc, len: CHUNK as u64 });
        let at = self.at;
        self.at += chunk.length as u64;
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        self.pass(0)?;
        if size.checked_next_multiple_of(UNIT) != Some(self.size) {
            let planned = self.size;
            return Err(Error::misuse(format!(
                "a disk of {size} bytes, laid out as one of {planned}"
            )));
        }
        self.zeros((self.size - self.passed) / CHUNK as u64, sink)?;
        let zeros = vec![0; end(BLOCK as u64 + self.size)];
        self.put_stored(&zeros, true, sink)?;
        let trailer = [self.crc.crc.to_le_bytes(), (self.crc.len as u32).to_le_bytes()].concat();
        self.put(&trailer, sink)?;
        Ok(self.at)
    }
}
