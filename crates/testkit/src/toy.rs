//! A packed format as small as can be, to test the laws and the engine by.
//!
//! ```text
//! stream:  "toystrm1" chunk:u32 pad:u32 | { index:u64 length:u32 form:u32 bytes } ... | !0:u64 0:u64 size:u64
//! table:   "toytabl1" chunk:u32 pad:u32 size:u64 table:u64 count:u64 | chunks, stored ones at 4096s ...
//!          | { index:u64 length:u32 form:u32 offset:u64 } ...
//! ```
//!
//! All numbers are little-endian; form 0 is stored, 1 is deflate.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Chunk, Cursor, Disk, Error, Extent, Form, Kind, Layout, Packed, Packer, Preallocation,
    Result, Sink,
};
use diskferry_codec::{Deflater, Inflater};

/// Which of the two toys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toy {
    /// Front to back.
    Stream,
    /// The header, written last, tells where the table is.
    Table,
}

/// Whether chunks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Deflated, where that makes them smaller.
    Deflate,
    /// As they are.
    None,
}

/// A plan to write a toy with chunks of `chunk` bytes.
pub fn plan(toy: Toy, chunk: usize, packing: Packing) -> Packed {
    let layout = ToyLayout { toy, chunk: chunk as u32, index: 0, end: 0, table: Vec::new() };
    Packed {
        chunk,
        parts: 1,
        preallocation: Preallocation::Off,
        packer: (packing == Packing::Deflate).then(|| -> MakePacker { Box::new(packer) }),
        layout: Box::new(layout),
    }
}

type MakePacker = Box<dyn Fn() -> Result<Box<dyn Packer>> + Send + Sync>;

fn packer() -> Result<Box<dyn Packer>> {
    Ok(Box::new(ToyPacker(Deflater::new(1, 12).map_err(Error::misuse)?)))
}

struct ToyPacker(Deflater);

impl Packer for ToyPacker {
    fn pack(&mut self, _at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        let packed = self.0.compress(data, out, data.len() - 1).map_err(Error::misuse)?;
        Ok(if packed { Form::Packed } else { Form::Stored })
    }
}

struct ToyLayout {
    toy: Toy,
    chunk: u32,
    /// The next chunk.
    index: u64,
    /// Of the file, so far.
    end: u64,
    /// Records: index, length, form, offset.
    table: Vec<[u8; 24]>,
}

impl ToyLayout {
    fn head(&self) -> Vec<u8> {
        let magic = match self.toy {
            Toy::Stream => STREAM,
            Toy::Table => TABLE,
        };
        [&magic[..], &u64::from(self.chunk).to_le_bytes()].concat()
    }

    /// The stream's head goes first, whatever follows.
    fn begin(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.end == 0 {
            match self.toy {
                Toy::Stream => {
                    sink.put(0, &self.head())?;
                    self.end = STREAM_HEAD;
                }
                Toy::Table => self.end = TABLE_HEAD,
            }
        }
        Ok(())
    }
}

impl Layout for ToyLayout {
    fn owes(&self) -> Vec<Range<u64>> {
        match self.toy {
            Toy::Stream => Vec::new(),
            Toy::Table => iter::once(0..TABLE_HEAD).collect(),
        }
    }

    fn zeros(&mut self, chunks: u64, _sink: &mut dyn Sink) -> Result<()> {
        self.index += chunks;
        Ok(())
    }

    fn chunk(&mut self, Chunk { form, length, .. }: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        let form_number = u32::from(form == Form::Packed);
        let mut record = [0; 24];
        record[..8].copy_from_slice(&self.index.to_le_bytes());
        record[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        record[12..16].copy_from_slice(&form_number.to_le_bytes());
        let at = match (self.toy, form) {
            (Toy::Stream, _) => {
                sink.put(self.end, &record[..16])?;
                self.end + 16
            }
            (Toy::Table, Form::Stored) => self.end.next_multiple_of(4096),
            (Toy::Table, Form::Packed) => self.end,
        };
        if self.toy == Toy::Table {
            record[16..].copy_from_slice(&at.to_le_bytes());
            self.table.push(record);
        }
        self.index += 1;
        self.end = at + length as u64;
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.begin(sink)?;
        let tail = match self.toy {
            Toy::Stream => [!0, 0, size].map(u64::to_le_bytes).concat(),
            Toy::Table => {
                let count = self.table.len() as u64;
                let numbers = [size, self.end, count].map(u64::to_le_bytes).concat();
                sink.put(0, &[self.head(), numbers].concat())?;
                self.table.concat()
            }
        };
        sink.put(self.end, &tail)?;
        Ok(self.end + tail.len() as u64)
    }
}

const STREAM: &[u8; 8] = b"toystrm1";
const TABLE: &[u8; 8] = b"toytabl1";
const STREAM_HEAD: u64 = 16;
const TABLE_HEAD: u64 = 40;

/// An opened toy.
pub struct ToyDisk {
    size: u64,
    chunk: u64,
    files: [Arc<dyn Bytes>; 1],
    /// By index, ascending.
    chunks: Vec<Place>,
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: u64,
    offset: u64,
    length: u32,
    form: Form,
}

impl ToyDisk {
    /// Opens a toy of either kind.
    ///
    /// # Errors
    /// `Damaged` when it is none, or when a part is not within the file.
    pub fn open(bytes: Arc<dyn Bytes>) -> Result<Self> {
        let mut magic = [0; 8];
        take(bytes.as_ref(), 0, &mut magic)?;
        let (size, chunk, chunks) = match &magic {
            STREAM => read_stream(bytes.as_ref())?,
            TABLE => read_table(bytes.as_ref())?,
            _ => return Err(damaged("not a toy", 0)),
        };
        let disk = Self { size, chunk, files: [bytes], chunks };
        disk.check()?;
        Ok(disk)
    }

    fn check(&self) -> Result<()> {
        if !self.chunk.is_power_of_two() || self.chunk > 64 << 20 {
            return Err(damaged("chunk", self.chunk));
        }
        let mut next = 0;
        for place in &self.chunks {
            let end = place.offset.checked_add(u64::from(place.length));
            if end.is_none_or(|end| end > self.files[0].len()) {
                return Err(damaged("chunk past the end", place.offset));
            }
            if place.index < next || place.index >= self.size.div_ceil(self.chunk) {
                return Err(damaged("index", place.index));
            }
            let length = u64::from(place.length);
            if length > self.chunk || (place.form == Form::Stored && length != self.chunk) {
                return Err(damaged("length", length));
            }
            next = place.index + 1;
        }
        Ok(())
    }
}

fn read_stream(bytes: &dyn Bytes) -> Result<(u64, u64, Vec<Place>)> {
    let [chunk] = numbers(bytes, 8)?;
    let mut chunks = Vec::new();
    let mut at = STREAM_HEAD;
    loop {
        let [index, word] = numbers(bytes, at)?;
        if index == !0 {
            let [size] = numbers(bytes, at + 16)?;
            return Ok((size, chunk, chunks));
        }
        let (length, form) = length_and_form(word)?;
        chunks.push(Place { index, offset: at + 16, length, form });
        at += 16 + u64::from(length);
    }
}

fn read_table(bytes: &dyn Bytes) -> Result<(u64, u64, Vec<Place>)> {
    let [chunk, size, table, count] = numbers(bytes, 8)?;
    let end = count.checked_mul(24).and_then(|len| table.checked_add(len));
    if end.is_none_or(|end| end > bytes.len()) {
        return Err(damaged("table past the end", table));
    }
    let chunks = (0..count)
        .map(|number| {
            let [index, word, offset] = numbers(bytes, table + 24 * number)?;
            let (length, form) = length_and_form(word)?;
            Ok(Place { index, offset, length, form })
        })
        .collect::<Result<_>>()?;
    Ok((size, chunk, chunks))
}

fn length_and_form(word: u64) -> Result<(u32, Form)> {
    let form = match word >> 32 {
        0 => Form::Stored,
        1 => Form::Packed,
        other => return Err(damaged("form", other)),
    };
    Ok((word as u32, form))
}

fn numbers<const N: usize>(bytes: &dyn Bytes, at: u64) -> Result<[u64; N]> {
    let mut numbers = [[0; 8]; N];
    take(bytes, at, numbers.as_flattened_mut())?;
    Ok(numbers.map(u64::from_le_bytes))
}

/// Reads what must be within the file.
fn take(bytes: &dyn Bytes, at: u64, buf: &mut [u8]) -> Result<()> {
    if at.checked_add(buf.len() as u64).is_none_or(|end| end > bytes.len()) {
        return Err(damaged("end of file", at));
    }
    bytes.read_at(at, buf)
}

fn damaged(what: &str, number: u64) -> Error {
    Error::damaged(format!("{what}: {number:#x}"))
}

impl Disk for ToyDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        self.chunk
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(ToyCursor {
            disk: self,
            inflater: Inflater::new(),
            packed: Vec::new(),
            unpacked: Vec::new(),
            held: None,
        }))
    }
}

struct ToyCursor<'a> {
    disk: &'a ToyDisk,
    inflater: Inflater,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
    /// Index of the chunk that is unpacked.
    held: Option<u64>,
}

impl ToyCursor<'_> {
    /// The chunk at `at`, where there is one; and where that, or the gap, ends.
    fn place(&self, at: u64) -> (Option<Place>, u64) {
        let ToyDisk { chunk, chunks, size, .. } = self.disk;
        let index = at / chunk;
        let next = chunks.partition_point(|place| place.index < index);
        match chunks.get(next) {
            Some(place) if place.index == index => (Some(*place), ((index + 1) * chunk).min(*size)),
            Some(place) => (None, place.index * chunk),
            None => (None, *size),
        }
    }

    fn unpack(&mut self, place: Place) -> Result<()> {
        if self.held == Some(place.index) {
            return Ok(());
        }
        self.held = None;
        self.packed.resize(place.length as usize, 0);
        self.unpacked.resize(self.disk.chunk as usize, 0);
        self.disk.files[0].read_at(place.offset, &mut self.packed)?;
        self.inflater.inflate(&self.packed, &mut self.unpacked).map_err(Error::damaged)?;
        self.held = Some(place.index);
        Ok(())
    }
}

impl Cursor for ToyCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let (place, end) = self.place(at);
        let kind = match place {
            None => Kind::Absent,
            Some(Place { form: Form::Packed, .. }) => Kind::Data { compressed: true },
            Some(Place { form: Form::Stored, offset, .. }) => {
                Kind::Plain { file: 0, offset: offset + at % self.disk.chunk }
            }
        };
        Ok(Extent { length: limit.min(end - at), kind })
    }

    fn read(&mut self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let (place, end) = self.place(at);
            let (part, rest) = buf.split_at_mut((buf.len() as u64).min(end - at) as usize);
            let skip = at % self.disk.chunk;
            match place {
                None => part.fill(0),
                Some(place) if place.form == Form::Stored => {
                    self.disk.files[0].read_at(place.offset + skip, part)?;
                }
                Some(place) => {
                    self.unpack(place)?;
                    part.copy_from_slice(&self.unpacked[skip as usize..][..part.len()]);
                }
            }
            at += part.len() as u64;
            buf = rest;
        }
        Ok(())
    }
}
