//! Disks whose every byte is known: from a seed, at any place, of any size.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Kind, Piece, Result, Stream};

use crate::Random;
use crate::random::mix;

/// A disk of known content. The same arguments give the same disk.
///
/// Its cursors hold the caller to the contract of [`Cursor`]: to ask past the end is a panic.
pub struct Model {
    seed: u64,
    size: u64,
    grain: u64,
    parts: Vec<Part>,
    longest: u64,
    /// Parts in its file begin at multiples of this, and never one where the last ended.
    alignment: u64,
    plain: Option<PlainFile>,
    asked: AtomicU64,
    read: AtomicU64,
}

/// A part of a model: whole grains, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub at: u64,
    /// Bytes.
    pub length: u64,
    /// What it holds.
    pub texture: Texture,
}

impl Part {
    /// The byte after its last.
    pub fn end(&self) -> u64 {
        self.at + self.length
    }
}

/// What a part of a model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Texture {
    /// Nothing: not in this layer.
    Absent,
    /// Zeros, known as such.
    Zero,
    /// Zeros, stored as if they were data.
    StoredZeros,
    /// Words: shrinks to about a tenth.
    Text,
    /// Does not shrink.
    Noise,
    /// Blocks of noise among blocks of zeros, both smaller than most grains.
    Sparse,
    /// One byte in each grain that is not zero.
    OneByte,
}

impl Texture {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Absent,
        Self::Zero,
        Self::StoredZeros,
        Self::Text,
        Self::Noise,
        Self::Sparse,
        Self::OneByte,
    ];

    /// Whether all its bytes are zero.
    pub fn reads_zero(self) -> bool {
        matches!(self, Self::Absent | Self::Zero | Self::StoredZeros)
    }

    /// Whether it takes storage.
    pub fn is_stored(self) -> bool {
        !matches!(self, Self::Absent | Self::Zero)
    }
}

impl Model {
    /// A disk of these parts, in order.
    ///
    /// # Panics
    /// When a part but the last is not of whole grains.
    pub fn of(seed: u64, grain: u64, parts: &[(Texture, u64)]) -> Self {
        let mut at = 0;
        let mut tiled = Vec::new();
        for &(texture, length) in parts {
            if length > 0 {
                assert!(at % grain == 0, "a part at {at:#x} in grains of {grain}");
                tiled.push(Part { at, length, texture });
            }
            at += length;
        }
        Self {
            seed,
            size: at,
            grain,
            parts: tiled,
            longest: u64::MAX,
            alignment: 512,
            plain: None,
            asked: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// About forty parts of all textures, of all lengths.
    pub fn random(seed: u64, size: u64, grain: u64) -> Self {
        Self::cut(seed, size, grain, &Texture::ALL, |random, left| {
            let most = (size / grain / 10).clamp(1, left);
            if random.below(3) == 0 { random.length(most) } else { 1 + random.below(most) }
        })
    }

    /// Parts of one to three grains: as fragmented as can be.
    pub fn fragmented(seed: u64, size: u64, grain: u64) -> Self {
        Self::cut(seed, size, grain, &Texture::ALL, |random, left| (1 + random.below(3)).min(left))
    }

    /// A disk of any size, nearly all of it absent or zero, with about twenty small pieces of data;
    /// the first and the last grain are data.
    pub fn sparse(seed: u64, size: u64, grain: u64) -> Self {
        const DATA: [Texture; 4] =
            [Texture::Text, Texture::Noise, Texture::Sparse, Texture::OneByte];
        let mut random = Random::new(seed);
        let mut parts = Vec::new();
        let mut left = size.div_ceil(grain);
        let gap = (left / 10).max(1);
        while left > 0 {
            let data = random.length(left.min((1 << 19) / grain).max(1)).min(left);
            parts.push((*random.pick(&DATA), data));
            left -= data;
            let empty = (1 + random.below(gap)).min(left.saturating_sub(1));
            let texture = *random.pick(&[Texture::Absent, Texture::Zero]);
            parts.push((texture, empty));
            left -= empty;
        }
        Self::of_grains(seed, size, grain, parts)
    }

    /// A disk that is one part.
    pub fn full(seed: u64, size: u64, grain: u64, texture: Texture) -> Self {
        Self::of(seed, grain, &[(texture, size)])
    }

    /// A disk that holds nothing.
    pub fn empty(size: u64, grain: u64) -> Self {
        Self::full(0, size, grain, Texture::Absent)
    }

    /// Small disks, that between them meet every edge of a format with chunks of `chunk` bytes:
    /// no bytes at all, a byte less and more than a chunk, sources with grains smaller and larger
    /// than it, each texture.
    pub fn gallery(chunk: u64) -> Vec<Self> {
        let mut models: Vec<_> = [0, 1, 511, chunk - 1, chunk, chunk + 1, 3 * chunk + 512]
            .into_iter()
            .zip(1..)
            .map(|(size, seed)| Self::random(seed, size, 512))
            .collect();
        let some = (40 * chunk).clamp(1 << 20, 5 << 20);
        models.extend([
            Self::random(11, some, chunk),
            Self::random(12, some + 7, 512),
            Self::random(13, some - 1, chunk * 4),
            Self::random(14, some / 2 + 3, 1),
            Self::fragmented(15, some / 2 + 512, 4096),
            Self::full(16, 3 * chunk + 5, chunk, Texture::StoredZeros),
            Self::empty(5 * chunk + 1, chunk),
            Self::of(17, chunk, &[(Texture::Zero, 9 * chunk), (Texture::OneByte, chunk)]),
            Self::sparse(18, (3 << 30) + 513, 4096),
        ]);
        models
    }

    /// The model with cursors that never give extents longer than this.
    #[must_use]
    pub fn with_longest(self, longest: u64) -> Self {
        Self { longest, ..self }
    }

    /// The model whose file has each part at a multiple of `alignment`.
    #[must_use]
    pub fn with_alignment(self, alignment: u64) -> Self {
        Self { alignment, ..self }
    }

    /// The same disk with its data as plain extents of a file in memory.
    #[must_use]
    pub fn plain(&self) -> Self {
        self.plain_in(Arc::new(self.stored()))
    }

    /// The same disk with its data as plain extents of this file, which holds
    /// [`stored`](Self::stored).
    #[must_use]
    pub fn plain_in(&self, file: Arc<dyn Bytes>) -> Self {
        Self {
            plain: Some(PlainFile { files: [file], offsets: self.places().0 }),
            parts: self.parts.clone(),
            asked: AtomicU64::new(0),
            read: AtomicU64::new(0),
            ..*self
        }
    }

    /// A file with the model's stored parts, in an order of its own, with gaps between them.
    ///
    /// # Panics
    /// When that is more than a test should hold in memory.
    pub fn stored(&self) -> Vec<u8> {
        let (offsets, len) = self.places();
        assert!(len <= 512 << 20, "{self}: {len} stored bytes are too many for memory");
        let mut file = vec![0xee; len as usize];
        for (part, offset) in self.parts.iter().zip(offsets) {
            if part.texture.is_stored() {
                self.fill(part.at, &mut file[offset as usize..][..part.length as usize]);
            }
        }
        file
    }

    /// Each part's offset in the file of stored parts, and that file's length.
    fn places(&self) -> (Vec<u64>, u64) {
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|index| mix(self.seed ^ *index as u64));
        let mut offsets = vec![0; self.parts.len()];
        let gap = self.alignment;
        let mut end = gap;
        for index in order {
            offsets[index] = end;
            if self.parts[index].texture.is_stored() {
                end = (end + self.parts[index].length).next_multiple_of(gap) + gap;
            }
        }
        (offsets, end)
    }

    fn cut(
        seed: u64,
        size: u64,
        grain: u64,
        textures: &[Texture],
        length: impl Fn(&mut Random, u64) -> u64,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut parts = Vec::new();
        let mut left = size.div_ceil(grain);
        while left > 0 {
            let grains = length(&mut random, left);
            parts.push((*random.pick(textures), grains));
            left -= grains;
        }
        Self::of_grains(seed, size, grain, parts)
    }

    /// Lengths in grains, the last grain cut at the size.
    fn of_grains(seed: u64, size: u64, grain: u64, parts: Vec<(Texture, u64)>) -> Self {
        let mut at = 0;
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(texture, grains)| {
                let length = grains.saturating_mul(grain).min(size - at);
                at += length;
                (texture, length)
            })
            .collect();
        Self::of(seed, grain, &parts)
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Its parts, which tile it.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The `len` bytes at `at`.
    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(at, &mut bytes);
        bytes
    }

    /// All its bytes.
    ///
    /// # Panics
    /// When they are more than a test should hold in memory.
    pub fn whole(&self) -> Vec<u8> {
        assert!(self.size <= 512 << 20, "{self} is too large for memory");
        self.bytes(0, self.size as usize)
    }

    /// Fills `buf` with the bytes at `at`.
    ///
    /// # Panics
    /// When they are not all within the disk.
    pub fn fill(&self, at: u64, buf: &mut [u8]) {
        self.check("bytes", at, buf.len() as u64);
        for (part, range) in self.overlaps(at, buf.len() as u64) {
            let slice = &mut buf[(range.start - at) as usize..(range.end - at) as usize];
            self.texture(part.texture, range.start, slice);
        }
    }

    /// Offset of the first byte of the `len` at `at` that is not zero.
    pub fn first_non_zero(&self, at: u64, len: u64) -> Option<u64> {
        let stored = self.overlaps(at, len).filter(|(part, _)| !part.texture.reads_zero());
        stored
            .flat_map(|(_, range)| {
                let end = range.end;
                range.step_by(1 << 20).map(move |at| (at, (end - at).min(1 << 20)))
            })
            .find_map(|(at, len)| {
                let bytes = self.bytes(at, len as usize);
                let found = bytes.iter().position(|byte| *byte != 0)?;
                Some(at + found as u64)
            })
    }

    /// How often a cursor was asked for an extent.
    pub fn extents_asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many bytes cursors have read.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The disk as a stream of pieces of all lengths.
    pub fn stream(&self, seed: u64, size: StreamSize) -> ModelStream<'_> {
        ModelStream { model: self, random: Random::new(seed), at: 0, size }
    }

    /// The parts of a range, with what of it they hold.
    fn overlaps(
        &self,
        at: u64,
        len: u64,
    ) -> impl Iterator<Item = (&Part, std::ops::Range<u64>)> + '_ {
        let first = self.parts.partition_point(|part| part.end() <= at);
        self.parts[first..]
            .iter()
            .take_while(move |part| part.at < at + len)
            .map(move |part| (part, part.at.max(at)..part.end().min(at + len)))
    }

    fn texture(&self, texture: Texture, at: u64, buf: &mut [u8]) {
        match texture {
            Texture::Absent | Texture::Zero | Texture::StoredZeros => buf.fill(0),
            Texture::Text => words(at, buf, |word| {
                let number = mix(self.seed ^ (word >> 1)) >> (32 * (word & 1));
                WORDS[(number % WORDS.len() as u64) as usize]
            }),
            Texture::Noise => words(at, buf, |word| mix(self.seed ^ word).to_le_bytes()),
            Texture::Sparse => words(at, buf, |word| {
                let (block, sector) = (word / 512, word / 64);
                let empty_block = mix(self.seed ^ (block << 1)) & 1 == 1;
                if !empty_block && mix(self.seed ^ (sector << 2)) & 3 == 0 {
                    mix(self.seed ^ word).to_le_bytes()
                } else {
                    [0; 8]
                }
            }),
            Texture::OneByte => {
                buf.fill(0);
                let grain = self.grain.max(512);
                let end = at + buf.len() as u64;
                for start in (at - at % grain..end).step_by(grain as usize) {
                    let number = mix(self.seed ^ start);
                    let place = start + number % grain;
                    if (at..end).contains(&place) {
                        buf[(place - at) as usize] = (number >> 56) as u8 | 1;
                    }
                }
            }
        }
    }

    fn check(&self, what: &str, at: u64, len: u64) {
        assert!(
            at.checked_add(len).is_some_and(|end| end <= self.size),
            "{self}: asked for {what} past the end: {len} bytes at {at:#x}"
        );
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, size, grain, parts, .. } = self;
        write!(f, "model of {size} bytes in {} parts (seed {seed}, grain {grain})", parts.len())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Disk for Model {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        self.grain
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.plain.as_ref().map_or(&[], |plain| &plain.files)
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(ModelCursor(self)))
    }
}

struct ModelCursor<'a>(&'a Model);

impl Cursor for ModelCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let model = self.0;
        assert!(limit > 0, "{model}: asked for an extent of at most 0 bytes at {at:#x}");
        model.check("an extent", at, limit);
        model.asked.fetch_add(1, Ordering::Relaxed);
        let index = model.parts.partition_point(|part| part.end() <= at);
        let part = model.parts[index];
        let kind = match (part.texture, &model.plain) {
            (Texture::Absent, _) => Kind::Absent,
            (Texture::Zero, _) => Kind::Zero,
            (_, Some(plain)) => {
                Kind::Plain { file: 0, offset: plain.offsets[index] + (at - part.at) }
            }
            (texture, None) => Kind::Data { compressed: texture == Texture::Text },
        };
        Ok(Extent { length: limit.min(part.end() - at).min(model.longest), kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.0.check("bytes", at, buf.len() as u64);
        self.0.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.fill(at, buf);
        Ok(())
    }
}

/// Where a model's data is plain.
struct PlainFile {
    files: [Arc<dyn Bytes>; 1],
    /// Each part's offset in the file.
    offsets: Vec<u64>,
}

/// Whether a stream tells its size beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSize {
    /// It does.
    Known,
    /// Only its end tells.
    Unknown,
}

/// A model as a stream.
pub struct ModelStream<'a> {
    model: &'a Model,
    random: Random,
    at: u64,
    size: StreamSize,
}

impl Stream for ModelStream<'_> {
    fn name(&self) -> &str {
        "model"
    }

    fn size(&self) -> Option<u64> {
        (self.size == StreamSize::Known).then_some(self.model.size)
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        assert!(!buf.is_empty(), "{}: a piece for no bytes was asked for", self.model);
        let index = self.model.parts.partition_point(|part| part.end() <= self.at);
        let Some(part) = self.model.parts.get(index) else { return Ok(Piece::End) };
        let left = part.end() - self.at;
        // Zeros may also come as bytes.
        if !part.texture.is_stored() && (left > 1 << 20 || self.random.below(4) > 0) {
            let half = self.random.below(2) == 0;
            let zeros = if half { left } else { self.random.length(left) };
            self.at += zeros;
            return Ok(Piece::Zero(zeros));
        }
        let room = left.min(buf.len() as u64);
        let count = if self.random.below(2) == 0 { room } else { self.random.length(room) };
        self.model.fill(self.at, &mut buf[..count as usize]);
        self.at += count;
        Ok(Piece::Data(count as usize))
    }
}

/// Fills `buf` with the 8-byte words from `at` on.
fn words(at: u64, buf: &mut [u8], word: impl Fn(u64) -> [u8; 8]) {
    let skip = (at % 8) as usize;
    let (head, body) = buf.split_at_mut(((8 - skip) % 8).min(buf.len()));
    head.copy_from_slice(&word(at / 8)[skip..][..head.len()]);
    for (part, number) in body.chunks_mut(8).zip(at.div_ceil(8)..) {
        part.copy_from_slice(&word(number)[..part.len()]);
    }
}

const WORDS: [[u8; 8]; 16] = [
    *b"the disk",
    *b" image, ",
    *b"a ferry ",
    *b"crossing",
    *b" to the ",
    *b"cluster ",
    *b"of zeros",
    *b"\nextent ",
    *b"and then",
    *b" header ",
    *b"footer, ",
    *b"snapshot",
    *b" parent ",
    *b"0x000000",
    *b"sector. ",
    *b"\n\tblock ",
];

#[cfg(test)]
mod tests {
    use diskferry_codec::zeros;

    use super::*;

    #[test]
    fn any_slicing_of_a_model_gives_the_same_bytes() {
        for model in Model::gallery(4096) {
            let mut random = Random::new(model.seed());
            if model.size() > 16 << 20 {
                continue;
            }
            let whole = model.whole();
            let mut at = 0;
            while at < whole.len() {
                let len = random.length((whole.len() - at) as u64) as usize;
                assert!(model.bytes(at as u64, len) == whole[at..at + len], "{model} at {at}");
                at += len;
            }
        }
    }

    #[test]
    fn textures_are_what_they_say() {
        let size = 1 << 20;
        for texture in Texture::ALL {
            let bytes = Model::full(5, size, 4096, texture).whole();
            let share = bytes.iter().filter(|byte| **byte != 0).count() as f64 / size as f64;
            assert_eq!(share == 0.0, texture.reads_zero(), "{texture:?}: {share}");
            let zero_blocks = bytes.chunks(4096).filter(|block| zeros::is_zero(block)).count();
            let expected = match texture {
                Texture::Sparse => 64..200,
                Texture::Text | Texture::Noise | Texture::OneByte => 0..1,
                _ => 256..257,
            };
            assert!(expected.contains(&zero_blocks), "{texture:?}: {zero_blocks}");
        }
        let one = Model::full(5, size, 4096, Texture::OneByte).whole();
        assert_eq!(one.iter().filter(|byte| **byte != 0).count(), 256);
        let mut deflater = diskferry_codec::Deflater::new(6, 15).unwrap();
        let mut packed = |texture| {
            let mut out = Vec::new();
            let bytes = Model::full(5, size, 4096, texture).whole();
            deflater.compress(&bytes, &mut out, usize::MAX).unwrap();
            out.len() as u64
        };
        assert!(packed(Texture::Text) < size / 5);
        assert!(packed(Texture::Noise) >= size);
    }

    #[test]
    fn a_stream_is_its_model() {
        for model in Model::gallery(4096) {
            let mut stream = model.stream(3, StreamSize::Unknown);
            let mut buf = vec![0; 100_000];
            let mut at = 0;
            loop {
                let passed = match stream.next(&mut buf).unwrap() {
                    Piece::Data(count) => {
                        assert!(buf[..count] == model.bytes(at, count), "{model} at {at}");
                        count as u64
                    }
                    Piece::Zero(count) => {
                        assert_eq!(model.first_non_zero(at, count), None, "{model} at {at}");
                        count
                    }
                    Piece::End => break,
                };
                at += passed;
            }
            assert_eq!(at, model.size(), "{model}");
        }
    }

    #[test]
    fn plain_parts_are_in_the_file() {
        let model = Model::random(9, 300_001, 512).plain();
        let mut cursor = model.cursor().unwrap();
        let mut at = 0;
        let mut plain = 0;
        while at < model.size() {
            let extent = cursor.extent(at, model.size() - at).unwrap();
            if let Kind::Plain { file: 0, offset } = extent.kind {
                let mut bytes = vec![0; extent.length as usize];
                model.files()[0].read_at(offset, &mut bytes).unwrap();
                assert!(bytes == model.bytes(at, bytes.len()));
                plain += 1;
            }
            at += extent.length;
        }
        assert!(plain > 5);
    }
}
