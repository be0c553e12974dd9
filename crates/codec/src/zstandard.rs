//! Zstandard (RFC 8878), one frame for each unit.
//!
//! ```text
//! | magic 28 b5 2f fd | header: content size, no checksum | block | ... | last block | whatever follows |
//! ```
//!
//! Sources: RFC 8878 for the frame; `block/qcow2-threads.c` of qemu for what a reader of qcow2 accepts.

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective,
    compress_bound, get_error_name,
};

use crate::{CodecError, UNIT_MAX};

/// A session that packs units into frames: the content's size stated, no checksum, no dictionary.
pub struct ZstdPacker {
    context: CCtx<'static>,
}

impl ZstdPacker {
    /// Makes a session of `level`, in the range of the library: 1 to 22, and negative levels, which are faster.
    ///
    /// # Errors
    ///
    /// [`CodecError::Level`] for a level that zstd does not have; [`CodecError::Library`] for want of memory.
    pub fn new(level: i32) -> Result<Self, CodecError> {
        let range = zstd::compression_level_range();
        if !range.contains(&level) {
            let range = i64::from(*range.start())..=i64::from(*range.end());
            return Err(CodecError::Level { codec: CODEC, level: level.into(), range });
        }
        Self::with(&[CParameter::CompressionLevel(level)])
    }

    /// A session for units of up to 64 KiB, about as small as level 3 in less time: the same search, with tables that
    /// fit such units.
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`] for want of memory.
    pub fn for_small_units() -> Result<Self, CodecError> {
        Self::with(&[
            CParameter::CompressionLevel(3),
            CParameter::HashLog(15),
            CParameter::ChainLog(14),
            CParameter::MinMatch(5),
        ])
    }

    /// A session for dense units of up to 64 KiB, such as machine code: level 1's search for matches of 4 bytes finds
    /// in these as much as level 3, which looks for 5, and sooner.
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`] for want of memory.
    pub fn for_small_dense_units() -> Result<Self, CodecError> {
        Self::with(&[
            CParameter::CompressionLevel(1),
            CParameter::HashLog(16),
            CParameter::MinMatch(4),
            CParameter::TargetLength(0),
        ])
    }

    fn with(parameters: &[CParameter]) -> Result<Self, CodecError> {
        let mut context = CCtx::try_create().ok_or_else(no_memory)?;
        for parameter in parameters {
            context.set_parameter(*parameter).map_err(library)?;
        }
        context.set_parameter(CParameter::ContentSizeFlag(true)).map_err(library)?;
        context.set_parameter(CParameter::ChecksumFlag(false)).map_err(library)?;
        Ok(Self { context })
    }

    /// Appends the frame of `input` to `out` and answers true; or leaves `out` as it was and answers false, if the
    /// frame would have more than `at_most` bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError::Oversized`] if `input` has more than [`UNIT_MAX`] bytes; [`CodecError::Library`] for want of
    /// memory. `out` is as it was then, too.
    pub fn compress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        at_most: usize,
    ) -> Result<bool, CodecError> {
        check_unit(input.len())?;
        let start = out.len();
        // Always the room of the worst case: in less, zstd makes other blocks, and the frame would depend on `at_most`.
        out.resize(start + compress_bound(input.len()), 0);
        let result = self.context.compress2(&mut out[start..], input);
        let fits = matches!(result, Ok(len) if len <= at_most);
        out.truncate(if let (true, Ok(len)) = (fits, result) { start + len } else { start });
        result.map_err(library).map(|_| fits)
    }
}

impl std::fmt::Debug for ZstdPacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZstdPacker").finish_non_exhaustive()
    }
}

/// A quick look at whether a unit shrinks at all, by any codec here.
///
/// zstd's quickest search passes over noise without looking at most of it: that takes a fiftieth of the time in which
/// deflate finds out.
#[derive(Debug)]
pub struct NoiseProbe {
    packer: ZstdPacker,
    packed: Vec<u8>,
}

impl NoiseProbe {
    /// The [`entropy`](crate::entropy) from which a unit may be noise, and asking is worth its time.
    pub const ENTROPY: u32 = 1980;

    /// Makes a session.
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`] for want of memory.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self { packer: ZstdPacker::new(1)?, packed: Vec::new() })
    }

    /// Whether `unit` is noise: neither matches nor its bytes' frequencies make it less by a 256th.
    ///
    /// # Errors
    ///
    /// As for [`ZstdPacker::compress`].
    pub fn is_noise(&mut self, unit: &[u8]) -> Result<bool, CodecError> {
        self.packed.clear();
        let shrinks =
            self.packer.compress(unit, &mut self.packed, unit.len() - unit.len() / 256)?;
        Ok(!shrinks)
    }
}

/// A session that unpacks units from frames.
///
/// It needs no window of its own, whatever window a frame asks for: the unit is the window. So its memory stays below
/// a few hundred KiB.
pub struct ZstdUnpacker {
    context: DCtx<'static>,
}

impl ZstdUnpacker {
    /// Makes a session.
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`] for want of memory.
    pub fn new() -> Result<Self, CodecError> {
        let mut context = DCtx::try_create().ok_or_else(no_memory)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(library)?;
        context.set_parameter(DParameter::StableOutBuffer(true)).map_err(library)?;
        Ok(Self { context })
    }

    /// Fills the whole of `out` from the frame, or the frames one after another, at the start of `input`. Bytes of
    /// `input` after the end of the frame that fills `out` are ignored, as are skippable frames before it.
    ///
    /// This accepts what qemu accepts, with or without content sizes and checksums; a checksum that is there must be
    /// right.
    ///
    /// # Errors
    ///
    /// [`CodecError::Short`] if the input ends before `out` is full; [`CodecError::Long`] if `out` is full before its
    /// frame ends; [`CodecError::Damaged`] if it is no frame, needs a dictionary or a window of more than 128 MiB;
    /// [`CodecError::Oversized`] if `input` or `out` has more than [`UNIT_MAX`] bytes. What `out` holds after an
    /// error is unspecified.
    pub fn decompress(&mut self, input: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
        check_unit(input.len().max(out.len()))?;
        self.context.reset(ResetDirective::SessionOnly).map_err(library)?;
        let want = out.len();
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(out);
        let mut more = 0;
        while target.pos() < want {
            let before = (source.pos(), target.pos());
            more = self
                .context
                .decompress_stream(&mut target, &mut source)
                .map_err(|code| damaged(code, want))?;
            if (source.pos(), target.pos()) == before {
                return Err(CodecError::Short { codec: CODEC, got: target.pos(), want });
            }
        }
        if more > 0 { Err(CodecError::Long { codec: CODEC, want }) } else { Ok(()) }
    }

    /// Fills the whole of `out` from the frame, or the frames one after another, that `input` is: the last one ends
    /// where both end. Skippable frames may be anywhere.
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress), and [`CodecError::Damaged`] for bytes after the last frame. As the
    /// unit is the window, a window may be of any size.
    pub fn decompress_whole(&mut self, input: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
        check_unit(input.len().max(out.len()))?;
        let want = out.len();
        match self.context.decompress(out, input) {
            Ok(got) if got == want => Ok(()),
            Ok(got) => Err(CodecError::Short { codec: CODEC, got, want }),
            Err(code) => Err(damaged(code, want)),
        }
    }
}

impl std::fmt::Debug for ZstdUnpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZstdUnpacker").finish_non_exhaustive()
    }
}

fn check_unit(len: usize) -> Result<(), CodecError> {
    if len > UNIT_MAX { Err(CodecError::Oversized { codec: CODEC, len }) } else { Ok(()) }
}

fn damaged(code: ErrorCode, want: usize) -> CodecError {
    if code == negated(ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
        return CodecError::Long { codec: CODEC, want };
    }
    if code == negated(ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
        return library(code);
    }
    CodecError::Damaged { codec: CODEC, detail: get_error_name(code).to_owned() }
}

/// zstd returns its error numbers negated, as a `size_t`.
fn negated(code: ZSTD_ErrorCode) -> ErrorCode {
    (code as usize).wrapping_neg()
}

fn library(code: ErrorCode) -> CodecError {
    CodecError::Library { codec: CODEC, detail: get_error_name(code).to_owned() }
}

fn no_memory() -> CodecError {
    library(negated(ZSTD_ErrorCode::ZSTD_error_memory_allocation))
}

const CODEC: &str = "zstd";

/// The largest window that zstd, and so qemu, reads by default: 128 MiB.
const WINDOW_LOG_MAX: u32 = 27;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;

    use super::*;
    use crate::samples::{noise, text};

    fn packed(data: &[u8], level: i32) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(ZstdPacker::new(level).unwrap().compress(data, &mut out, usize::MAX).unwrap());
        out
    }

    fn unpacked(input: &[u8], len: usize) -> Result<Vec<u8>, CodecError> {
        let mut out = vec![0xaa; len];
        ZstdUnpacker::new().unwrap().decompress(input, &mut out)?;
        Ok(out)
    }

    /// A frame from the streaming interface, `step` bytes at a time: no content size unless `step` takes it all.
    fn streamed(data: &[u8], step: usize, parameters: &[CParameter]) -> Vec<u8> {
        let mut context = CCtx::create();
        for &parameter in parameters {
            context.set_parameter(parameter).unwrap();
        }
        let mut out = vec![0; compress_bound(data.len()) + data.len()];
        let mut target = OutBuffer::around(&mut out[..]);
        let mut parts = data.chunks(step).peekable();
        while let Some(part) = parts.next() {
            let end = match parts.peek() {
                Some(_) => ZSTD_EndDirective::ZSTD_e_continue,
                None => ZSTD_EndDirective::ZSTD_e_end,
            };
            let mut source = InBuffer::around(part);
            while context.compress_stream2(&mut target, &mut source, end).unwrap() > 0
                && source.pos() < part.len()
            {}
        }
        let len = target.pos();
        out.truncate(len);
        out
    }

    #[test]
    fn every_level_comes_back() {
        for level in [-7, -1, 0, 1, 2, 3, 5, 9, 12, 15, 19, 22] {
            for data in
                [vec![7], vec![0; 70_000], text(70_000, 1), noise(70_000, 2), text(300_000, 3)]
            {
                assert_eq!(
                    unpacked(&packed(&data, level), data.len()).unwrap(),
                    data,
                    "level {level}"
                );
            }
        }
    }

    #[test]
    fn a_frame_of_exactly_the_limit_is_taken_and_one_byte_less_is_not() {
        for data in [text(65536, 4), noise(65536, 5)] {
            let whole = packed(&data, 3);
            let mut packer = ZstdPacker::new(3).unwrap();
            let mut out = b"before".to_vec();
            assert!(!packer.compress(&data, &mut out, whole.len() - 1).unwrap());
            assert_eq!(out, b"before");
            assert!(!packer.compress(&data, &mut out, 0).unwrap());
            assert_eq!(out, b"before");
            assert!(packer.compress(&data, &mut out, whole.len()).unwrap());
            assert_eq!(out, [&b"before"[..], &whole].concat());
        }
    }

    #[test]
    fn history_does_not_show_in_the_bytes() {
        let units = [
            text(65536, 6),
            noise(65536, 7),
            text(1000, 8),
            text(140_000, 9),
            vec![0; 65536],
            vec![1],
        ];
        // Among them levels of the row match finder (5 to 12), whose hash is salted anew for each frame.
        for level in [-5, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 19] {
            let fresh: Vec<_> = units.iter().map(|unit| packed(unit, level)).collect();
            let mut packer = ZstdPacker::new(level).unwrap();
            for round in 0..3 {
                for (unit, fresh) in units.iter().zip(&fresh) {
                    let mut out = Vec::new();
                    assert!(packer.compress(unit, &mut out, usize::MAX).unwrap());
                    assert!(&out == fresh, "level {level}, round {round}");
                    // A unit that does not fit must not harm the next one.
                    assert!(!packer.compress(unit, &mut out, 1).unwrap());
                }
            }
        }
    }

    #[test]
    fn noise_is_told_from_what_only_looks_like_it() {
        let mut probe = NoiseProbe::new().unwrap();
        for length in [512, 4096, 65_536, 2 << 20] {
            assert!(probe.is_noise(&noise(length, 1)).unwrap(), "{length}");
            assert!(!probe.is_noise(&text(length, 2)).unwrap(), "{length}");
        }
        // Its bytes are spread evenly, and half of it is there twice.
        let half = noise(32 << 10, 3);
        assert!(!probe.is_noise(&[&half[..], &half].concat()).unwrap());
    }

    #[test]
    fn sessions_for_small_units_take_units_of_any_size() {
        for make in [ZstdPacker::for_small_units, ZstdPacker::for_small_dense_units] {
            let mut packer = make().unwrap();
            for data in [vec![], vec![7], text(65536, 1), noise(70_000, 2), text(3 << 20, 3)] {
                let mut first = Vec::new();
                assert!(packer.compress(&data, &mut first, usize::MAX).unwrap());
                assert_eq!(unpacked(&first, data.len()).unwrap(), data);
                let (mut fresh, mut again) = (Vec::new(), Vec::new());
                assert!(make().unwrap().compress(&data, &mut fresh, usize::MAX).unwrap());
                assert!(packer.compress(&data, &mut again, usize::MAX).unwrap());
                assert!(first == fresh && first == again, "history shows in the bytes");
            }
        }
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        for level in [23, i32::MAX, i32::MIN] {
            assert!(matches!(ZstdPacker::new(level), Err(CodecError::Level { .. })), "{level}");
        }
    }

    #[test]
    fn the_frame_states_its_size_and_has_no_checksum() {
        let frame = packed(&text(65536, 10), 3);
        assert_eq!(frame[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        // RFC 8878, 3.1.1.1.1: size in 2 bytes (less 256), single segment, no checksum, no dictionary.
        assert_eq!(frame[4], 0b0110_0000);
        assert_eq!(u32::from(u16::from_le_bytes([frame[5], frame[6]])) + 256, 65536);
    }

    #[test]
    fn default_level_gives_the_bytes_that_qemu_gives() {
        for data in [text(65536, 11), noise(60_000, 12), vec![0; 65536]] {
            // qemu makes a context for each cluster and streams the cluster through it in one call.
            assert_eq!(packed(&data, 3), streamed(&data, data.len(), &[]));
        }
    }

    #[test]
    fn every_kind_of_frame_that_qemu_reads_is_read() {
        let data = text(65536, 13);
        let (a, b) = data.split_at(20_000);
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let cases = [
            ("one frame", packed(&data, 3)),
            ("without content size", streamed(&data, 1000, &[])),
            ("with checksum", streamed(&data, 1000, &[CParameter::ChecksumFlag(true)])),
            (
                "with content size and checksum",
                streamed(&data, 65536, &[CParameter::ChecksumFlag(true)]),
            ),
            ("window of 2^27", streamed(&data, 1000, &[CParameter::WindowLog(27)])),
            ("two frames", [packed(a, 3), packed(b, 3)].concat()),
            (
                "two frames without content size",
                [streamed(a, 1000, &[]), streamed(b, 1000, &[])].concat(),
            ),
            (
                "skippable frames",
                [&skippable[..], &packed(a, 3), &skippable, &packed(b, 3)].concat(),
            ),
        ];
        for (name, frames) in cases {
            for tail in [vec![], vec![0], noise(600, 14), packed(&data, 3)] {
                let input = [&frames[..], &tail].concat();
                assert_eq!(
                    unpacked(&input, data.len()),
                    Ok(data.clone()),
                    "{name}, {} bytes after it",
                    tail.len()
                );
            }
        }
    }

    #[test]
    fn too_little_and_too_much_are_errors() {
        let data = text(65536, 15);
        for frame in [packed(&data, 3), streamed(&data, 1000, &[])] {
            let long = CodecError::Long { codec: CODEC, want: 65535 };
            assert_eq!(unpacked(&frame, 65535).unwrap_err(), long);
            let short = CodecError::Short { codec: CODEC, got: 65536, want: 65537 };
            assert_eq!(unpacked(&frame, 65537).unwrap_err(), short);
            for len in 0..frame.len() {
                let error = unpacked(&frame[..len], 65536).unwrap_err();
                assert!(
                    matches!(error, CodecError::Short { .. } | CodecError::Long { .. }),
                    "{len}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_frame_that_lacks_its_checksum_has_not_ended() {
        let data = text(65536, 19);
        for step in [1000, 65536] {
            let frame = streamed(&data, step, &[CParameter::ChecksumFlag(true)]);
            for missing in 1..=4 {
                let long = CodecError::Long { codec: CODEC, want: data.len() };
                assert_eq!(
                    unpacked(&frame[..frame.len() - missing], data.len()).unwrap_err(),
                    long
                );
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_leaves_the_session_good() {
        let data = text(65536, 16);
        let good = packed(&data, 3);
        let mut checked = streamed(&data, 1000, &[CParameter::ChecksumFlag(true)]);
        let last = checked.len() - 1;
        checked[last] ^= 1;
        let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 9, 1, 0x0b, 0, 0, 0];
        let mut unpacker = ZstdUnpacker::new().unwrap();
        let cases = [
            ("no frame", vec![0; 64]),
            ("bad checksum", checked),
            ("dictionary", dictionary.to_vec()),
            ("frame cut by another", [&good[..50], &good].concat()),
        ];
        for (name, bad) in cases {
            let mut out = vec![0; data.len()];
            let error = unpacker.decompress(&bad, &mut out).unwrap_err();
            assert!(matches!(error, CodecError::Damaged { .. }), "{name}: {error}");
            unpacker.decompress(&good, &mut out).unwrap();
            assert!(out == data, "{name}");
        }
    }

    #[test]
    fn whole_frames_end_where_their_input_and_their_unit_end() {
        let data = text(65536, 20);
        let (a, b) = data.split_at(20_000);
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let one = packed(&data, 3);
        let mut checked = streamed(&data, 1000, &[CParameter::ChecksumFlag(true)]);
        let good = [
            ("one frame", one.clone()),
            ("without content size", streamed(&data, 1000, &[])),
            ("window of 2^27", streamed(&data, 1000, &[CParameter::WindowLog(27)])),
            ("with checksum", checked.clone()),
            ("frames", [&skippable[..], &packed(a, 3), &packed(b, 19), &skippable].concat()),
        ];
        let mut unpacker = ZstdUnpacker::new().unwrap();
        let mut unpack = |input: &[u8], len| {
            let mut out = vec![0xaa; len];
            unpacker.decompress_whole(input, &mut out).map(|()| out)
        };
        for (name, frames) in good {
            assert_eq!(unpack(&frames, data.len()), Ok(data.clone()), "{name}");
            for tail in [&b"x"[..], &[0; 600], &frames[..9]] {
                let longer = [&frames[..], tail].concat();
                assert!(unpack(&longer, data.len()).is_err(), "{name}, {} more", tail.len());
            }
            let long = unpack(&frames, data.len() - 1).unwrap_err();
            assert!(matches!(long, CodecError::Long { .. }), "{name}: {long}");
            let short = unpack(&frames, data.len() + 1).unwrap_err();
            assert!(matches!(short, CodecError::Short { .. }), "{name}: {short}");
            assert!(unpack(&frames[..frames.len() - 1], data.len()).is_err(), "{name}, cut");
        }
        let last = checked.len() - 1;
        checked[last] ^= 1;
        let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 9, 1, 0x0b, 0, 0, 0];
        for (name, frames) in [
            ("bad checksum", &checked[..]),
            ("no magic", &one[4..]),
            ("dictionary", &dictionary),
            ("nothing", &[]),
        ] {
            assert!(unpack(frames, data.len()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_frame_that_asks_for_a_large_window_gets_no_memory_for_it() {
        let data = text(65536, 17);
        let mut unpacker = ZstdUnpacker::new().unwrap();
        let mut out = vec![0; data.len()];
        unpacker
            .decompress(&streamed(&data, 1000, &[CParameter::WindowLog(27)]), &mut out)
            .unwrap();
        assert!(unpacker.context.sizeof() < 1 << 20, "{} bytes", unpacker.context.sizeof());
        let mut larger = streamed(&data, 1000, &[CParameter::WindowLog(27)]);
        assert_eq!(larger[5], (27 - 10) << 3, "window descriptor");
        larger[5] = (28 - 10) << 3;
        assert!(matches!(unpacker.decompress(&larger, &mut out), Err(CodecError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 1usize..60), 0..20),
            level in -5i32..=10,
        ) {
            let data: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            prop_assert_eq!(unpacked(&packed(&data, level), data.len()).unwrap(), data);
        }

        #[test]
        fn damaged_frames_never_panic(flips in prop::collection::vec((0usize..400, 0u8..8), 1..4), len in 1usize..3000) {
            let mut frame = packed(&text(len, 18), 3);
            for (at, bit) in flips {
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            let _ = unpacked(&frame, len);
        }
    }
}
