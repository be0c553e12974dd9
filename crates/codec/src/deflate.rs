//! Deflate, one finished stream for each unit: raw (RFC 1951), or with zlib's header and checksum (RFC 1950).
//!
//! ```text
//! raw:   | block | block | ... | block with BFINAL set | pad to a byte | whatever follows: the next unit, old bytes |
//! zlib:  | 2 bytes: method, window, check | a raw stream | Adler-32 of what was packed, big-endian | whatever follows |
//! ```
//!
//! Sources: RFC 1950 and RFC 1951 for the streams; `block/qcow2-threads.c` of qemu for what a reader of qcow2 accepts.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor, Decompressor};

use crate::{CodecError, UNIT_MAX};

/// A session that packs units into raw deflate streams.
///
/// It runs on zlib-rs, which keeps to any window size; libdeflate, which has but one window of 32 KiB, cannot write
/// for readers with a smaller one.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// Makes a session of `level` 0 (stored) to 9 (small), whose streams refer back by less than 2^`window_bits`
    /// bytes, `window_bits` from 9 to 15.
    ///
    /// # Errors
    ///
    /// [`CodecError::Level`] and [`CodecError::Window`] for numbers out of these ranges.
    pub fn new(level: u32, window_bits: u8) -> Result<Self, CodecError> {
        if level > LEVEL_MAX {
            let range = 0..=LEVEL_MAX.into();
            return Err(CodecError::Level { codec: CODEC, level: level.into(), range });
        }
        if !(9..=15).contains(&window_bits) {
            return Err(CodecError::Window(window_bits));
        }
        let stream = Compress::new_with_window_bits(Compression::new(level), false, window_bits);
        Ok(Self { stream })
    }

    /// Appends the finished stream of `input` to `out` and answers true; or leaves `out` as it was and answers false,
    /// if the stream would have more than `at_most` bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError::Oversized`] if `input` has more than [`UNIT_MAX`] bytes; [`CodecError::Library`] if zlib-rs
    /// refuses, which no input is known to cause. `out` is as it was then, too.
    pub fn compress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        at_most: usize,
    ) -> Result<bool, CodecError> {
        check_unit(input.len())?;
        let start = out.len();
        // Always the room of the worst case, though less would stop sooner: `reset` of zlib-rs 0.6.8 forgets that a
        // stream of level 1 broke off within a block, and the next stream then lacks its first three bits.
        out.resize(start + bound(input.len()), 0);
        self.stream.reset();
        let status = self.stream.compress(input, &mut out[start..], FlushCompress::Finish);
        let len = usize::try_from(self.stream.total_out()).unwrap_or(usize::MAX);
        let fits = matches!(status, Ok(Status::StreamEnd)) && len <= at_most;
        out.truncate(if fits { start + len } else { start });
        match status {
            Ok(Status::StreamEnd) => Ok(fits),
            Ok(status) => Err(library(format!("{status:?} in place of the stream's end"))),
            Err(error) => Err(library(error.to_string())),
        }
    }
}

/// A session that unpacks units from raw deflate streams of any window size.
///
/// libdeflate does the work. What it refuses is given to zlib-rs, whose rules are those of zlib and so of qemu; that
/// costs damaged units a second pass, and no other.
pub struct Inflater {
    fast: Decompressor,
    strict: Decompress,
}

/// How a unit's stream stood when the unit was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The stream ended where the unit ends.
    Final,
    /// The stream goes on, or the packed bytes ran out before its end. What would follow is unknown: it may be data
    /// past the unit's end, or another unit's bytes taken for a block. qemu accepts this; a format whose streams must
    /// end can refuse it.
    Open,
}

impl Inflater {
    /// Makes a session.
    #[must_use]
    pub fn new() -> Self {
        Self { fast: Decompressor::new(), strict: Decompress::new(false) }
    }

    /// Fills the whole of `out` from the stream at the start of `input`, and says how the stream stood then. Bytes
    /// of `input` after the stream's end are ignored.
    ///
    /// This accepts what qemu accepts (`inflate` with `Z_FINISH`, then `avail_out == 0`), so a stream that would give
    /// more than `out` holds is no error, but [`Ending::Open`].
    ///
    /// # Errors
    ///
    /// [`CodecError::Short`] if the stream or the input ends before `out` is full; [`CodecError::Damaged`] if it is
    /// no deflate stream, or refers to bytes before its start; [`CodecError::Oversized`] if `input` or `out` has more
    /// than [`UNIT_MAX`] bytes. What `out` holds after an error is unspecified.
    pub fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<Ending, CodecError> {
        check_unit(input.len().max(out.len()))?;
        match self.fast.deflate_decompress(input, out) {
            Ok(len) if len == out.len() => Ok(Ending::Final),
            Ok(len) => Err(CodecError::Short { codec: CODEC, got: len, want: out.len() }),
            Err(_) => self.inflate_strictly(input, out),
        }
    }

    fn inflate_strictly(&mut self, input: &[u8], out: &mut [u8]) -> Result<Ending, CodecError> {
        self.strict.reset(false);
        let status = self.strict.decompress(input, out, FlushDecompress::Finish);
        let got = usize::try_from(self.strict.total_out()).unwrap_or(usize::MAX);
        match status {
            Err(error) => Err(damaged(&error)),
            Ok(_) if got < out.len() => {
                Err(CodecError::Short { codec: CODEC, got, want: out.len() })
            }
            Ok(Status::StreamEnd) => Ok(Ending::Final),
            Ok(Status::Ok | Status::BufError) => Ok(Ending::Open),
        }
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// A session that packs units into streams with zlib's header and checksum.
///
/// libdeflate does the work: where the whole unit is at hand and any window will do, it is faster than zlib and its
/// streams are smaller.
pub struct ZlibPacker {
    compressor: Compressor,
}

impl ZlibPacker {
    /// The levels of libdeflate, which differ from zlib's: 1 (fast) to 12 (small).
    pub const LEVELS: std::ops::RangeInclusive<u32> = 1..=12;

    /// Makes a session of a level within [`LEVELS`](Self::LEVELS).
    ///
    /// # Errors
    ///
    /// [`CodecError::Level`] for another level.
    pub fn new(level: u32) -> Result<Self, CodecError> {
        let known = Some(level).filter(|level| Self::LEVELS.contains(level));
        let (first, last) = (*Self::LEVELS.start(), *Self::LEVELS.end());
        let range = first.into()..=last.into();
        known.map_or(Err(CodecError::Level { codec: ZLIB, level: level.into(), range }), Self::with)
    }

    /// Makes a session whose streams hold their units as they are, for what does not shrink.
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`] if libdeflate has no such level.
    pub fn storing() -> Result<Self, CodecError> {
        Self::with(0)
    }

    fn with(level: u32) -> Result<Self, CodecError> {
        let level = CompressionLvl::new(level as i32).map_err(|error| CodecError::Library {
            codec: ZLIB,
            detail: format!("level {level}: {error:?}"),
        })?;
        Ok(Self { compressor: Compressor::new(level) })
    }

    /// Appends the finished stream of `input` to `out`; a unit that does not shrink takes a few bytes more than it
    /// has.
    ///
    /// # Errors
    ///
    /// [`CodecError::Oversized`] if `input` has more than [`UNIT_MAX`] bytes; [`CodecError::Library`] if libdeflate
    /// refuses, which no input is known to cause. `out` is as it was then.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        check_unit(input.len())?;
        let start = out.len();
        let bound = self.compressor.zlib_compress_bound(input.len());
        out.resize(start + bound, 0);
        let packed = self.compressor.zlib_compress(input, &mut out[start..]);
        out.truncate(start + packed.as_ref().map_or(0, |len| *len));
        packed
            .map(drop)
            .map_err(|error| CodecError::Library { codec: ZLIB, detail: error.to_string() })
    }
}

impl std::fmt::Debug for ZlibPacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZlibPacker").finish_non_exhaustive()
    }
}

/// A session that unpacks units from streams with zlib's header and checksum.
///
/// As with [`Inflater`], what libdeflate refuses is given to zlib-rs, which decides.
pub struct ZlibUnpacker {
    fast: Decompressor,
    strict: Decompress,
}

impl ZlibUnpacker {
    /// Makes a session.
    #[must_use]
    pub fn new() -> Self {
        Self { fast: Decompressor::new(), strict: Decompress::new(true) }
    }

    /// Unpacks the stream at the start of `input` to the start of `out`, and answers how many bytes it has. The stream
    /// must end, and its checksum must be right; bytes of `input` after it are ignored.
    ///
    /// # Errors
    ///
    /// [`CodecError::Long`] if the stream has more bytes than `out`; [`CodecError::Short`] if `input` ends before
    /// it; [`CodecError::Damaged`] if it is no such stream, or its checksum is another;
    /// [`CodecError::Oversized`] if `input` or `out` has more than [`UNIT_MAX`] bytes. What `out` holds after an
    /// error is unspecified.
    pub fn decompress(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, CodecError> {
        check_unit(input.len().max(out.len()))?;
        match self.fast.zlib_decompress(input, out) {
            Ok(len) => Ok(len),
            Err(_) => self.decompress_strictly(input, out),
        }
    }

    /// Fills the whole of `out` from the stream that `input` is: it ends, with the right checksum, where both end.
    ///
    /// Only zlib-rs tells where in `input` the stream ends, so this takes about twice the time of
    /// [`decompress`](Self::decompress).
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress), and [`CodecError::Damaged`] for bytes after the stream.
    pub fn decompress_whole(&mut self, input: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
        check_unit(input.len().max(out.len()))?;
        let got = self.decompress_strictly(input, out)?;
        if got < out.len() {
            return Err(CodecError::Short { codec: ZLIB, got, want: out.len() });
        }
        let left = (input.len() as u64).saturating_sub(self.strict.total_in());
        if left > 0 {
            let detail = format!("{left:#x} bytes follow its end");
            return Err(CodecError::Damaged { codec: ZLIB, detail });
        }
        Ok(())
    }

    fn decompress_strictly(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, CodecError> {
        self.strict.reset(true);
        let status = self.strict.decompress(input, out, FlushDecompress::Finish);
        let got = usize::try_from(self.strict.total_out()).unwrap_or(usize::MAX);
        let read = usize::try_from(self.strict.total_in()).unwrap_or(usize::MAX);
        match status {
            Ok(Status::StreamEnd) => Ok(got),
            Ok(Status::Ok | Status::BufError) if read == input.len() => {
                Err(CodecError::Short { codec: ZLIB, got, want: out.len() })
            }
            Ok(Status::Ok | Status::BufError) => {
                Err(CodecError::Long { codec: ZLIB, want: out.len() })
            }
            Err(error) => Err(CodecError::Damaged {
                codec: ZLIB,
                detail: error.message().unwrap_or("not a zlib stream").to_owned(),
            }),
        }
    }
}

impl Default for ZlibUnpacker {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ZlibUnpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZlibUnpacker").finish_non_exhaustive()
    }
}

pub(crate) fn check_unit(len: usize) -> Result<(), CodecError> {
    if len > UNIT_MAX { Err(CodecError::Oversized { codec: CODEC, len }) } else { Ok(()) }
}

/// More bytes than any stream of `len` bytes has: the worst is level 1, which may spend 9 bits on each byte.
pub(crate) fn bound(len: usize) -> usize {
    len + len / 4 + 64
}

pub(crate) fn library(detail: String) -> CodecError {
    CodecError::Library { codec: CODEC, detail }
}

fn damaged(error: &flate2::DecompressError) -> CodecError {
    CodecError::Damaged {
        codec: CODEC,
        detail: error.message().unwrap_or("not a deflate stream").to_owned(),
    }
}

const CODEC: &str = "deflate";
const ZLIB: &str = "zlib";
const LEVEL_MAX: u32 = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{noise, text};

    fn packed(data: &[u8], level: u32, window_bits: u8) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(
            Deflater::new(level, window_bits)
                .unwrap()
                .compress(data, &mut out, usize::MAX)
                .unwrap()
        );
        out
    }

    /// Both engines' answers, which must agree in the bytes wherever the fast one gives any.
    fn inflated(input: &[u8], len: usize) -> Result<(Vec<u8>, Ending), CodecError> {
        let mut inflater = Inflater::new();
        let (mut out, mut strict) = (vec![0xaa; len], vec![0x55; len]);
        let ending = inflater.inflate(input, &mut out);
        assert_eq!(inflater.inflate_strictly(input, &mut strict), ending);
        let ending = ending?;
        assert_eq!(out, strict);
        Ok((out, ending))
    }

    #[test]
    fn every_level_and_window_comes_back() {
        for level in 0..=9 {
            for window_bits in 9..=15 {
                for data in [vec![], vec![7], vec![0; 70_000], text(70_000, 1), noise(70_000, 2)] {
                    let stream = packed(&data, level, window_bits);
                    assert_eq!(inflated(&stream, data.len()).unwrap(), (data, Ending::Final));
                }
            }
        }
    }

    #[test]
    fn a_stream_of_exactly_the_limit_is_taken_and_one_byte_less_is_not() {
        for (level, data) in
            [(1, text(65536, 3)), (6, text(65536, 3)), (9, noise(65536, 4)), (0, text(65536, 5))]
        {
            let whole = packed(&data, level, 12);
            let mut deflater = Deflater::new(level, 12).unwrap();
            let mut out = b"before".to_vec();
            assert!(!deflater.compress(&data, &mut out, whole.len() - 1).unwrap());
            assert_eq!(out, b"before");
            assert!(!deflater.compress(&data, &mut out, 0).unwrap());
            assert_eq!(out, b"before");
            assert!(deflater.compress(&data, &mut out, whole.len()).unwrap());
            assert_eq!(out, [&b"before"[..], &whole].concat());
        }
    }

    #[test]
    fn history_does_not_show_in_the_bytes() {
        let units = [text(65536, 6), noise(65536, 7), text(1000, 8), vec![0; 65536], vec![]];
        for level in 0..=9 {
            let mut deflater = Deflater::new(level, 12).unwrap();
            for round in 0..3 {
                for unit in &units {
                    let mut out = Vec::new();
                    assert!(deflater.compress(unit, &mut out, usize::MAX).unwrap());
                    assert_eq!(out, packed(unit, level, 12), "level {level}, round {round}");
                    // A unit that does not fit must not harm the next one.
                    assert!(!deflater.compress(unit, &mut out, 1).unwrap());
                }
            }
        }
    }

    #[test]
    fn levels_and_windows_that_do_not_exist_are_refused() {
        assert!(matches!(Deflater::new(10, 12), Err(CodecError::Level { level: 10, .. })));
        for bits in [0, 8, 16, 255] {
            assert_eq!(Deflater::new(6, bits).unwrap_err(), CodecError::Window(bits));
        }
    }

    #[test]
    fn bytes_after_the_end_are_ignored() {
        let data = text(65536, 9);
        for tail in [vec![0], vec![0xff; 511], noise(4096, 10), packed(&data, 6, 12)] {
            let stream = [packed(&data, 6, 12), tail].concat();
            assert_eq!(inflated(&stream, data.len()).unwrap(), (data.clone(), Ending::Final));
        }
    }

    #[test]
    fn a_full_unit_is_accepted_though_its_stream_has_not_ended() {
        let data = noise(300, 11);
        let stored = |last: u8| {
            [&[last][..], &300u16.to_le_bytes(), &(!300u16).to_le_bytes(), &data].concat()
        };
        let cases = [
            ("no final block", stored(0)),
            ("an empty block follows", [&stored(0)[..], &[0, 0, 0, 0xff, 0xff]].concat()),
            ("more data follows", [&stored(0)[..], &stored(1)].concat()),
        ];
        for (name, stream) in cases {
            assert_eq!(
                inflated(&stream, data.len()).unwrap(),
                (data.clone(), Ending::Open),
                "{name}"
            );
        }
    }

    #[test]
    fn a_stream_longer_than_the_unit_is_open() {
        let data = text(65536, 12);
        let (head, ending) = inflated(&packed(&data, 6, 12), 65535).unwrap();
        assert_eq!((&head[..], ending), (&data[..65535], Ending::Open));
    }

    #[test]
    fn a_stream_shorter_than_the_unit_is_an_error() {
        let stream = packed(&text(65535, 13), 6, 12);
        let short = CodecError::Short { codec: CODEC, got: 65535, want: 65536 };
        assert_eq!(inflated(&stream, 65536).unwrap_err(), short);
    }

    #[test]
    fn a_stream_cut_short_is_an_error_at_every_length() {
        let data = text(5000, 14);
        let stream = packed(&data, 6, 12);
        let mut inflater = Inflater::new();
        for len in 0..stream.len() - 1 {
            let error = inflater.inflate(&stream[..len], &mut vec![0; data.len()]);
            // Only the end of the last block may be missing.
            match error {
                Err(CodecError::Short { .. }) => {}
                Ok(Ending::Open) => assert!(len + 2 >= stream.len(), "{len} of {}", stream.len()),
                other => panic!("{len} of {}: {other:?}", stream.len()),
            }
        }
    }

    /// Bits in the order of RFC 1951: codes from their highest bit, numbers from their lowest.
    #[derive(Default)]
    struct Bits(Vec<bool>);

    impl Bits {
        fn number(mut self, value: u16, len: u32) -> Self {
            self.0.extend((0..len).map(|bit| value >> bit & 1 == 1));
            self
        }

        fn code(mut self, value: u16, len: u32) -> Self {
            self.0.extend((0..len).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        /// A final block of fixed codes: `literals`, then 3 bytes from a `distance` of 1 to 4.
        fn copy_of_three(literals: &[u8], distance: u16) -> Vec<u8> {
            let mut bits = Self::default().number(1, 1).number(1, 2);
            for &literal in literals {
                assert!(literal < 144, "literals below 144 have 8-bit codes");
                bits = bits.code(0x30 + u16::from(literal), 8);
            }
            let bits = bits.code(257 - 256, 7).code(distance - 1, 5).code(0, 7);
            bits.0
                .chunks(8)
                .map(|byte| byte.iter().rev().fold(0, |sum, &bit| sum << 1 | u8::from(bit)))
                .collect()
        }
    }

    #[test]
    fn a_distance_to_before_the_start_is_damage_whatever_was_unpacked_before() {
        assert_eq!(
            inflated(&Bits::copy_of_three(b"ab", 2), 5).unwrap(),
            (b"ababa".to_vec(), Ending::Final)
        );
        let mut inflater = Inflater::new();
        let earlier = noise(65536, 15);
        inflater.inflate(&packed(&earlier, 6, 15), &mut vec![0; 65536]).unwrap();
        inflater.inflate_strictly(&packed(&earlier, 6, 15), &mut vec![0; 65536]).unwrap();
        for (literals, distance) in [(&b""[..], 1), (b"", 4), (b"a", 2), (b"ab", 3), (b"abc", 4)] {
            let stream = Bits::copy_of_three(literals, distance);
            let mut out = vec![0; literals.len() + 3];
            let far = CodecError::Damaged {
                codec: CODEC,
                detail: "invalid distance too far back".into(),
            };
            assert_eq!(inflater.inflate(&stream, &mut out).unwrap_err(), far);
            assert_eq!(inflater.inflate_strictly(&stream, &mut out).unwrap_err(), far);
        }
    }

    #[test]
    fn a_bad_unit_does_not_harm_the_next_one() {
        let data = text(65536, 18);
        let good = packed(&data, 6, 12);
        let mut inflater = Inflater::new();
        let bad: [&[u8]; 6] =
            [&[], &good[..100], &good[..good.len() - 1], &good[7..], &[0xff; 600], &[0; 600]];
        for bad in bad {
            let mut out = vec![0; data.len()];
            let _ = inflater.inflate(bad, &mut out);
            assert_eq!(inflater.inflate_strictly(&good, &mut out), Ok(Ending::Final));
            assert!(out == data);
            let _ = inflater.inflate(bad, &mut out);
            assert_eq!(inflater.inflate(&good, &mut out), Ok(Ending::Final));
            assert!(out == data);
        }
    }

    #[test]
    fn distances_beyond_a_small_window_are_read() {
        let half = noise(30_000, 16);
        let data = [&half[..], &half].concat();
        let stream = packed(&data, 9, 15);
        assert!(stream.len() < 40_000, "no far match in the test data");
        assert_eq!(inflated(&stream, data.len()).unwrap(), (data, Ending::Final));
    }

    #[test]
    fn what_is_no_deflate_stream_is_damage() {
        for stream in [&[0x07][..], &[0x01, 1, 0, 1, 0, 9], &[0xff; 64]] {
            assert!(
                matches!(inflated(stream, 64).unwrap_err(), CodecError::Damaged { .. }),
                "{stream:x?}"
            );
        }
    }

    fn zlib_packed(data: &[u8], level: u32) -> Vec<u8> {
        let mut out = Vec::new();
        ZlibPacker::new(level).unwrap().compress(data, &mut out).unwrap();
        out
    }

    /// Both engines' answers, which must agree.
    fn zlib_unpacked(input: &[u8], room: usize) -> Result<Vec<u8>, CodecError> {
        let mut unpacker = ZlibUnpacker::new();
        let (mut out, mut strict) = (vec![0xaa; room], vec![0x55; room]);
        let got = unpacker.decompress(input, &mut out);
        assert_eq!(unpacker.decompress_strictly(input, &mut strict), got);
        let got = got?;
        assert_eq!(out[..got], strict[..got]);
        out.truncate(got);
        Ok(out)
    }

    #[test]
    fn zlib_streams_of_every_level_come_back() {
        for level in ZlibPacker::LEVELS {
            for data in [vec![], vec![7], vec![0; 65536], text(65536, 1), noise(65536, 2)] {
                let stream = zlib_packed(&data, level);
                assert_eq!(stream[0], 0x78, "deflate, a window of 32 KiB");
                assert!(stream.len() <= data.len() + 32, "{} bytes at {level}", stream.len());
                assert_eq!(zlib_unpacked(&stream, data.len()).unwrap(), data);
                let longer = [&stream[..], &[0xff; 100]].concat();
                assert_eq!(zlib_unpacked(&longer, data.len() + 9).unwrap(), data);
            }
        }
        for level in [0, 13, u32::MAX] {
            assert!(matches!(ZlibPacker::new(level), Err(CodecError::Level { .. })));
        }
    }

    #[test]
    fn a_zlib_packer_appends_and_forgets() {
        let (a, b) = (text(65536, 3), noise(65536, 4));
        let mut packer = ZlibPacker::new(6).unwrap();
        let mut out = b"before".to_vec();
        packer.compress(&a, &mut out).unwrap();
        packer.compress(&b, &mut out).unwrap();
        packer.compress(&a, &mut out).unwrap();
        let parts = [zlib_packed(&a, 6), zlib_packed(&b, 6), zlib_packed(&a, 6)];
        assert!(out == [&b"before"[..], &parts.concat()].concat());
    }

    #[test]
    fn a_zlib_stream_that_is_not_as_it_should_be_is_an_error() {
        let data = text(5000, 5);
        let stream = zlib_packed(&data, 6);
        let long = CodecError::Long { codec: ZLIB, want: 4999 };
        assert_eq!(zlib_unpacked(&stream, 4999).unwrap_err(), long);
        for len in 0..stream.len() {
            let error = zlib_unpacked(&stream[..len], 5000).unwrap_err();
            assert!(matches!(error, CodecError::Short { .. }), "{len}: {error}");
        }
        for at in [0, 1, stream.len() - 1, stream.len() - 4] {
            let mut bad = stream.clone();
            bad[at] ^= 0x10;
            let error = zlib_unpacked(&bad, 5000).unwrap_err();
            assert!(matches!(error, CodecError::Damaged { .. }), "{at}: {error}");
        }
        // A raw stream is none.
        assert!(zlib_unpacked(&packed(&data, 6, 15), 5000).is_err());
    }

    #[test]
    fn a_whole_zlib_stream_ends_where_its_input_and_its_unit_end() {
        let data = text(5000, 6);
        let stream = zlib_packed(&data, 6);
        let mut unpacker = ZlibUnpacker::new();
        let mut out = vec![0xaa; 5000];
        unpacker.decompress_whole(&stream, &mut out).unwrap();
        assert_eq!(out, data);
        let longer = [&stream[..], &[0]].concat();
        let error = unpacker.decompress_whole(&longer, &mut out).unwrap_err();
        assert!(matches!(error, CodecError::Damaged { .. }), "{error}");
        for (room, len) in [(5001, stream.len()), (5000, stream.len() - 1)] {
            let error = unpacker.decompress_whole(&stream[..len], &mut vec![0; room]).unwrap_err();
            assert!(matches!(error, CodecError::Short { .. }), "{error}");
        }
        let error = unpacker.decompress_whole(&stream, &mut [0; 4999]).unwrap_err();
        assert!(matches!(error, CodecError::Long { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 1usize..60), 0..20),
            level in 0u32..=9,
            window_bits in 9u8..=15,
        ) {
            let data: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            let stream = packed(&data, level, window_bits);
            prop_assert_eq!(inflated(&stream, data.len()).unwrap(), (data, Ending::Final));
        }

        #[test]
        fn damaged_streams_never_panic(mut data in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..5000) {
            let mut inflater = Inflater::new();
            let mut out = vec![0; len];
            let _ = inflater.inflate(&data, &mut out);
            let mut stream = packed(&text(len, 17), 6, 12);
            for (byte, flip) in stream.iter_mut().rev().zip(data.drain(..)) {
                *byte ^= flip & 1;
            }
            let _ = inflater.inflate(&stream, &mut out);
        }
    }
}
