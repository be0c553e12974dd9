//! Open deflate: raw streams (RFC 1951) that are flushed after each unit and never finished, so that one after the
//! other they are a stream themselves.
//!
//! ```text
//! | block | block | ... | an empty stored block: pad to a byte, 00 00 ff ff |
//! ```
//!
//! A unit is packed by itself, but it may have been packed, by others, after another one, and then refers up to 32 KiB
//! back into that. [`OpenInflater`] is told what came before, and never takes a unit for independent that is not.
//!
//! Sources: RFC 1951; zlib's manual for `Z_SYNC_FLUSH`.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};

use crate::CodecError;
use crate::deflate::{bound, check_unit, library};

/// What an open unit ends with: length and inverted length of the empty stored block.
pub const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// How far a unit may refer back, in bytes, and so how much of what came before it has to be known.
pub const HISTORY: usize = 32 << 10;

/// A session that packs units, each by itself, into open streams.
///
/// It runs on zlib-rs: libdeflate, which is faster, can only make finished streams.
#[derive(Debug)]
pub struct OpenDeflater {
    stream: Compress,
}

impl OpenDeflater {
    /// Makes a session of `level` 0 (stored) to 9 (small).
    ///
    /// # Errors
    ///
    /// [`CodecError::Level`] for another level.
    pub fn new(level: u32) -> Result<Self, CodecError> {
        if level > LEVEL_MAX {
            let range = 0..=LEVEL_MAX.into();
            return Err(CodecError::Level { codec: CODEC, level: level.into(), range });
        }
        Ok(Self { stream: Compress::new(Compression::new(level), false) })
    }

    /// Appends the open stream of `input` to `out`. It has at most 5 bytes for each started 64 KiB, and 5, more than
    /// `input`: what does not shrink is stored.
    ///
    /// # Errors
    ///
    /// [`CodecError::Oversized`] if `input` has more than [`UNIT_MAX`](crate::UNIT_MAX) bytes;
    /// [`CodecError::Library`] if zlib-rs refuses, which no input is known to cause. `out` is as it was then.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        check_unit(input.len())?;
        let start = out.len();
        out.resize(start + bound(input.len()), 0);
        self.stream.reset();
        let status = self.stream.compress(input, &mut out[start..], FlushCompress::Sync);
        let (read, len) = (self.stream.total_in(), self.stream.total_out());
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let whole = read == input.len() as u64 && len < out.len() - start;
        match status {
            Ok(Status::Ok) if whole && len > stored_len(input.len()) => {
                out.truncate(start);
                store(input, out);
                Ok(())
            }
            Ok(Status::Ok) if whole => {
                out.truncate(start + len);
                Ok(())
            }
            Ok(status) => {
                out.truncate(start);
                Err(library(format!("{status:?} after {read} of {} bytes", input.len())))
            }
            Err(error) => {
                out.truncate(start);
                Err(library(error.to_string()))
            }
        }
    }
}

/// Bytes that [`store`] makes of `len`.
fn stored_len(len: usize) -> usize {
    len + (len.div_ceil(STORED_MAX) + 1) * STORED_HEAD
}

/// Appends stored blocks, which have the disk's bytes as they are, and the empty one that ends a unit.
fn store(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(stored_len(input.len()));
    for part in input.chunks(STORED_MAX).chain([&[][..]]) {
        out.extend_from_slice(&stored_head(part.len(), false));
        out.extend_from_slice(part);
    }
}

/// Bytes in a stored block, at most, and before them.
const STORED_MAX: usize = u16::MAX as usize;
const STORED_HEAD: usize = 5;

/// What precedes a stored block's bytes where the stream stands at a whole byte: three bits, rounded up, the length
/// and its inverse. `len` is at most [`STORED_MAX`].
fn stored_head(len: usize, last: bool) -> [u8; STORED_HEAD] {
    let [low, high] = (len as u16).to_le_bytes();
    [last.into(), low, high, !low, !high]
}

/// A session that unpacks open units.
///
/// libdeflate does the work. It only reads finished streams, of which it wants the whole, so each unit is made one: in
/// front of it what came before, as a stored block; behind it a final stored block that nobody who made the unit could
/// foresee. If the stream comes out with that at its end, then it was read to the unit's end, and did not end before.
pub struct OpenInflater {
    fast: Decompressor,
    strict: Decompress,
    mark: [u8; 8],
    packed: Vec<u8>,
    unpacked: Vec<u8>,
    /// Where in `unpacked` the last unit is.
    unit: Range<usize>,
}

impl OpenInflater {
    /// Makes a session.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fast: Decompressor::new(),
            strict: Decompress::new(false),
            mark: RandomState::new().hash_one(0).to_le_bytes(),
            packed: Vec::new(),
            unpacked: Vec::new(),
            unit: 0..0,
        }
    }

    /// The unit that was unpacked last; nothing after an error, or a question about another.
    #[must_use]
    pub fn unit(&self) -> &[u8] {
        &self.unpacked[self.unit.clone()]
    }

    /// The `len` bytes that `packed` is, if it refers to nothing but itself and `history`, which came directly before
    /// it. All of `packed` must be used, no block of it may be marked as the last, and it must end where a block ends.
    /// Only the last [`HISTORY`] bytes of `history` matter.
    ///
    /// # Errors
    ///
    /// [`CodecError::Damaged`] if it is no such stream, and also if it refers to bytes before `history`;
    /// [`CodecError::Short`] or [`CodecError::Long`] if it has another length;
    /// [`CodecError::Oversized`] if `packed` or `len` are more than [`UNIT_MAX`](crate::UNIT_MAX) bytes.
    pub fn inflate(
        &mut self,
        history: &[u8],
        packed: &[u8],
        len: usize,
    ) -> Result<&[u8], CodecError> {
        self.unit = 0..0;
        check_unit(packed.len().max(len))?;
        if !packed.ends_with(&FLUSHED) {
            let detail = "it does not end with a flush".to_owned();
            return Err(CodecError::Damaged { codec: CODEC, detail });
        }
        let history = &history[history.len().saturating_sub(HISTORY)..];
        self.packed.clear();
        if !history.is_empty() {
            self.packed.extend_from_slice(&stored_head(history.len(), false));
            self.packed.extend_from_slice(history);
        }
        self.packed.extend_from_slice(packed);
        self.packed.extend_from_slice(&stored_head(self.mark.len(), true));
        self.packed.extend_from_slice(&self.mark);
        let (start, room) = (history.len(), history.len() + len + self.mark.len());
        self.unpacked.resize(room, 0);
        let inflated = self.fast.deflate_decompress(&self.packed, &mut self.unpacked);
        let marked = |got| self.unpacked.get(start..got).is_some_and(|it| it.ends_with(&self.mark));
        match inflated {
            Ok(got) if !marked(got) => {
                let detail = "a block of it is marked as the last".to_owned();
                Err(CodecError::Damaged { codec: CODEC, detail })
            }
            Ok(got) if got < room => {
                let got = got - start - self.mark.len();
                Err(CodecError::Short { codec: CODEC, got, want: len })
            }
            Ok(_) => {
                self.unit = start..start + len;
                Ok(self.unit())
            }
            Err(DecompressionError::InsufficientSpace) => {
                Err(CodecError::Long { codec: CODEC, want: len })
            }
            Err(DecompressionError::BadData) => Err(CodecError::Damaged {
                codec: CODEC,
                detail: "no deflate stream, or one that refers to bytes before its start".into(),
            }),
        }
    }

    /// Whether a unit that begins with `packed` refers to bytes before its start, as far as `packed` tells. A unit that
    /// does so does it within its first [`HISTORY`] bytes, which are packed into little more; so this is quick.
    ///
    /// What is no deflate stream may be called either.
    #[must_use]
    pub fn refers_back(&mut self, packed: &[u8]) -> bool {
        self.unit = 0..0;
        self.strict.reset(false);
        self.unpacked.resize(self.unpacked.len().max(HISTORY), 0);
        let out = &mut self.unpacked[..HISTORY];
        self.strict.decompress(packed, out, FlushDecompress::None).is_err()
    }
}

impl Default for OpenInflater {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for OpenInflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenInflater").finish_non_exhaustive()
    }
}

const CODEC: &str = "deflate";
const LEVEL_MAX: u32 = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{noise, text};

    fn packed(data: &[u8], level: u32) -> Vec<u8> {
        let mut out = Vec::new();
        OpenDeflater::new(level).unwrap().compress(data, &mut out).unwrap();
        out
    }

    fn inflated(history: &[u8], packed: &[u8], len: usize) -> Result<Vec<u8>, CodecError> {
        OpenInflater::new().inflate(history, packed, len).map(<[u8]>::to_vec)
    }

    /// The units as one stream, each of which may refer back to the one before.
    fn chained(units: &[&[u8]], level: u32) -> Vec<Vec<u8>> {
        let mut stream = Compress::new(Compression::new(level), false);
        let unit = |unit: &&[u8]| {
            let mut out = Vec::with_capacity(bound(unit.len()));
            stream.compress_vec(unit, &mut out, FlushCompress::Sync).unwrap();
            out
        };
        units.iter().map(unit).collect()
    }

    #[test]
    fn every_level_comes_back_and_ends_with_a_flush() {
        for level in 0..=9 {
            for data in [vec![], vec![7], vec![0; 70_000], text(70_000, 1), noise(200_000, 2)] {
                let stream = packed(&data, level);
                assert!(stream.ends_with(&FLUSHED), "level {level}");
                assert!(stream.len() <= stored_len(data.len()), "level {level}: {}", stream.len());
                assert_eq!(inflated(&[], &stream, data.len()).unwrap(), data, "level {level}");
                // History that nothing refers to changes nothing.
                assert_eq!(inflated(&text(40_000, 3), &stream, data.len()).unwrap(), data);
            }
        }
        assert!(matches!(OpenDeflater::new(10), Err(CodecError::Level { level: 10, .. })));
    }

    #[test]
    fn what_a_session_did_does_not_show_in_the_bytes() {
        let units = [text(65536, 6), noise(65536, 7), text(1000, 8), vec![0; 65536], vec![]];
        for level in 0..=9 {
            let mut deflater = OpenDeflater::new(level).unwrap();
            for round in 0..3 {
                for unit in &units {
                    let mut out = b"before".to_vec();
                    deflater.compress(unit, &mut out).unwrap();
                    let alone = [&b"before"[..], &packed(unit, level)].concat();
                    assert!(out == alone, "level {level}, round {round}");
                }
            }
        }
    }

    #[test]
    fn units_one_after_the_other_are_one_stream() {
        let units = [text(100_000, 1), noise(70_000, 2), text(5, 3)];
        let stream: Vec<u8> =
            units.iter().zip([1, 6, 9]).flat_map(|(unit, level)| packed(unit, level)).collect();
        let whole = units.concat();
        assert_eq!(inflated(&[], &stream, whole.len()).unwrap(), whole);
    }

    #[test]
    fn a_unit_that_refers_back_needs_what_came_before_it() {
        let blob = noise(20_000, 1);
        let first = [text(100_000, 2), blob.clone()].concat();
        let second = [&blob[..], &text(100_000, 3)].concat();
        for level in [1, 6, 9] {
            let units = chained(&[&first, &second], level);
            assert_eq!(inflated(&[], &units[0], first.len()).unwrap(), first);
            let mut inflater = OpenInflater::new();
            let alone = inflater.inflate(&[], &units[1], second.len()).unwrap_err();
            assert!(matches!(alone, CodecError::Damaged { .. }), "level {level}: {alone}");
            assert_eq!(inflater.inflate(&first, &units[1], second.len()).unwrap(), second);
            assert!(inflater.refers_back(&units[1]), "level {level}");
            assert!(inflater.refers_back(&units[1][..units[1].len().min(40_000)]));
            assert!(!inflater.refers_back(&units[0]), "level {level}");
            assert!(!inflater.refers_back(&packed(&second, level)), "level {level}");
        }
    }

    #[test]
    fn a_reference_may_reach_back_by_all_of_the_history() {
        // A block of fixed codes: three bytes from a distance of 32768, the end of the block, and a flush.
        let mut bits: Vec<bool> = Vec::new();
        let mut number =
            |value: u32, len: u32| bits.extend((0..len).map(|bit| value >> bit & 1 == 1));
        number(0, 1);
        number(1, 2);
        // Length 3 is code 257: seven bits, 0000001, the highest first. Distance code 29, 13 more bits.
        number(0b100_0000, 7);
        number(0b10111, 5);
        number(8191, 13);
        number(0, 7);
        number(0, 3);
        let mut stream: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().rev().fold(0, |sum, &bit| sum << 1 | u8::from(bit)))
            .collect();
        stream.extend_from_slice(&FLUSHED);
        let history = noise(40_000, 4);
        let at = history.len() - HISTORY;
        assert_eq!(inflated(&history, &stream, 3).unwrap(), history[at..at + 3]);
        assert!(inflated(&[], &stream, 3).is_err());
        assert!(OpenInflater::new().refers_back(&stream));
    }

    #[test]
    fn another_length_a_finished_stream_and_stray_bytes_are_errors() {
        let data = text(10_000, 5);
        let good = packed(&data, 6);
        let finished = |unit: &[u8]| {
            let mut stream = Compress::new(Compression::new(6), false);
            let mut out = Vec::with_capacity(bound(unit.len()));
            stream.compress_vec(unit, &mut out, FlushCompress::Finish).unwrap();
            out
        };
        let last_and_empty = [&good[..], &[1, 0, 0, 0xff, 0xff]].concat();
        let mut last_of_all = Vec::new();
        store(&data, &mut last_of_all);
        let at = last_of_all.len() - STORED_HEAD;
        last_of_all[at] = 1;
        let cases = [
            ("finished", finished(&data)),
            ("finished, then flushed", [&finished(&data)[..], &[0, 0, 0, 0xff, 0xff]].concat()),
            ("the empty block is the last", last_and_empty),
            ("a last block is empty", last_of_all),
            ("no flush", good[..good.len() - 5].to_vec()),
            ("cut", good[..good.len() / 2].to_vec()),
            ("cut, then flushed", [&good[..good.len() / 2], &[0, 0, 0, 0xff, 0xff]].concat()),
            ("stray bytes", [&good[..], b"stray"].concat()),
            ("stray bytes and a flush", [&good[..], b"stray", &FLUSHED].concat()),
            ("zlib's header", [&[0x78, 0x01], &good[..]].concat()),
            ("nothing", vec![]),
            ("a flush alone", FLUSHED.to_vec()),
        ];
        for (name, unit) in cases {
            for history in [&[][..], &text(HISTORY, 6)] {
                assert!(inflated(history, &unit, data.len()).is_err(), "{name}");
            }
        }
        for (len, long) in
            [(9_999, true), (9_990, true), (0, true), (10_001, false), (11_000, false)]
        {
            let error = inflated(&[], &good, len).unwrap_err();
            assert_eq!(matches!(error, CodecError::Long { .. }), long, "{len}: {error}");
            assert_eq!(matches!(error, CodecError::Short { .. }), !long, "{len}: {error}");
        }
        // A second flush is an empty block more.
        let twice = [&good[..], &[0, 0, 0, 0xff, 0xff]].concat();
        assert_eq!(inflated(&[], &twice, data.len()).unwrap(), data);
    }

    #[test]
    fn a_bad_unit_does_not_harm_the_next_one() {
        let data = text(65536, 7);
        let good = packed(&data, 6);
        let mut inflater = OpenInflater::new();
        for bad in [&[][..], &good[..100], &good[7..], &[0xff; 600], &[0; 600]] {
            assert!(inflater.inflate(&[], bad, data.len()).is_err());
            let _ = inflater.refers_back(bad);
            assert!(!inflater.refers_back(&good));
            assert_eq!(inflater.unit(), b"");
            assert_eq!(inflater.inflate(&[], &good, data.len()).unwrap(), data);
            assert_eq!(inflater.unit(), data);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 1usize..60), 0..20),
            level in 0u32..=9,
        ) {
            let data: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            let stream = packed(&data, level);
            let mut inflater = OpenInflater::new();
            prop_assert!(!inflater.refers_back(&stream));
            prop_assert_eq!(inflater.inflate(&[], &stream, data.len()).unwrap(), &data);
        }

        #[test]
        fn chained_units_come_back_alone_if_at_all_with_history_always(
            seed in 0u64..50,
            len in 1usize..60_000,
            level in 1u32..=9,
        ) {
            let units = [text(50_000, seed), text(len, seed + 1), noise(len, seed)];
            let views: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
            let mut inflater = OpenInflater::new();
            let mut history: &[u8] = &[];
            for (unit, stream) in units.iter().zip(chained(&views, level)) {
                if let Ok(alone) = inflater.inflate(&[], &stream, unit.len()) {
                    prop_assert_eq!(alone, unit);
                } else {
                    prop_assert!(inflater.refers_back(&stream));
                }
                prop_assert_eq!(inflater.inflate(history, &stream, unit.len()).unwrap(), unit);
                history = if unit.len() < HISTORY { break } else { unit };
            }
        }

        #[test]
        fn damaged_units_never_panic(flips in prop::collection::vec((0usize..400, 0u8..8), 1..4), len in 1usize..3000) {
            let mut stream = packed(&text(len, 18), 3);
            for (at, bit) in flips {
                if let Some(byte) = stream.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            let _ = inflated(&[], &stream, len);
            let _ = OpenInflater::new().refers_back(&stream);
        }
    }
}
