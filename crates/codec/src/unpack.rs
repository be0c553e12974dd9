//! Whole files that were compressed to be carried: gzip, xz, zstd and bzip2, unpacked front to back.
//!
//! ```text
//! | member: header, blocks, checksum | member | … | zeros, as tapes and dd leave them |
//! ```
//!
//! A file may have any number of members (pigz, pzstd, BGZF and `cat` make several); what they hold follows one
//! another. Checksums are verified where a member has any. What follows the last member must be zeros.
//!
//! Sources: RFC 1952 (gzip), RFC 8878 (zstd), the .xz file format 1.2.1, and bzip2's manual.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use liblzma::stream as xz;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

/// How a file is compressed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapper {
    /// By bzip2.
    Bzip2,
    /// By gzip, pigz or bgzip.
    Gzip,
    /// By xz.
    Xz,
    /// By zstd or pzstd.
    Zstd,
}

impl Wrapper {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Bzip2, Self::Gzip, Self::Xz, Self::Zstd];

    /// The one whose signature these first bytes of a file bear. A few hundred bytes are enough.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|wrapper| wrapper.begins(head))
    }

    /// The name of the program, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    fn begins(self, mut head: &[u8]) -> bool {
        match self {
            Self::Bzip2 => {
                let level = head.get(3).is_some_and(|level| (b'1'..=b'9').contains(level));
                let block = head.get(4..10);
                head.starts_with(b"BZh")
                    && level
                    && (block == Some(&BZIP2_BLOCK) || block == Some(&BZIP2_END))
            }
            // The only method there is, and no reserved flag.
            Self::Gzip => {
                head.starts_with(&[0x1f, 0x8b, 8])
                    && head.get(3).is_some_and(|flags| flags & 0xe0 == 0)
            }
            Self::Xz => head.starts_with(b"\xfd7zXZ\0"),
            Self::Zstd => {
                // pzstd puts a frame that decoders skip before each frame.
                while let Some(rest) = after_skippable(head) {
                    head = rest;
                }
                head.starts_with(&ZSTD_FRAME)
            }
        }
    }

    /// Whether a further member begins here.
    fn goes_on(self, head: &[u8]) -> bool {
        self.begins(head) || (self == Self::Zstd && is_skippable(head))
    }
}

/// What follows a skippable frame, if one is at the front.
fn after_skippable(head: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    head.get(8 + usize::try_from(length).ok()?..).filter(|_| is_skippable(head))
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

/// A compressed file that is unpacked as it is read.
///
/// Memory is bounded whatever the file says: 256 MiB for xz, a window of 128 MiB for zstd, as their own programs
/// refuse more without being told.
pub struct Unpacked<R> {
    reader: R,
    wrapper: Wrapper,
    /// The member that is being unpacked.
    member: Option<Member>,
    over: bool,
    /// Packed bytes that were read and not used yet.
    packed: Vec<u8>,
    start: usize,
    end: usize,
    /// The offset of the first of these.
    at: u64,
}

/// Why a file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The packed bytes break the rules of their format, or their checksum is another.
    #[error("{wrapper} data at {at:#x}: {detail}")]
    Damaged {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
        /// What the library says is wrong.
        detail: String,
    },
    /// The file ends within a member.
    #[error("the {wrapper} data end early, at {at:#x}")]
    Truncated {
        /// The program's name.
        wrapper: &'static str,
        /// Length of the packed file, in bytes.
        at: u64,
    },
    /// Something follows the last member.
    #[error("what follows the {wrapper} data, at {at:#x}, is neither more of them nor zeros")]
    Trailing {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
    },
    /// It was packed in a way that takes much memory to undo.
    #[error(
        "the {wrapper} data at {at:#x} take more memory to unpack than the bound of {most} bytes"
    )]
    Memory {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
        /// How much they may take, in bytes.
        most: u64,
    },
}

impl<R: Read> Unpacked<R> {
    /// Unpacks what `reader` has, which begins with the wrapper's signature.
    pub fn new(wrapper: Wrapper, reader: R) -> Self {
        let packed = vec![0; BUFFER];
        Self { reader, wrapper, member: None, over: false, packed, start: 0, end: 0, at: 0 }
    }

    /// Bytes of the packed file that were used.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Unpacks some bytes to the front of `out`, which is not empty; answers how many, 0 at the end.
    ///
    /// # Errors
    ///
    /// [`UnpackError`], also for whatever is wrong after the last byte: only an answer of 0 says that all is well.
    pub fn unpack(&mut self, out: &mut [u8]) -> Result<usize, UnpackError> {
        while !self.over {
            let Some(member) = &mut self.member else {
                self.over = !self.begin_member()?;
                continue;
            };
            let step = member.step(&self.packed[self.start..self.end], out);
            let step = step.map_err(|fault| self.fault(fault))?;
            self.take(step.read);
            if step.ended {
                self.member = None;
            }
            if step.written > 0 {
                return Ok(step.written);
            }
            if step.read > 0 || step.ended {
                continue;
            }
            if self.start < self.end {
                return Err(self.fault(Fault::Damaged("no progress".to_owned())));
            }
            if !self.fill()? {
                return Err(UnpackError::Truncated { wrapper: self.wrapper.name(), at: self.at });
            }
        }
        Ok(0)
    }

    /// Starts the next member; false where there is none.
    fn begin_member(&mut self) -> Result<bool, UnpackError> {
        if self.at > 0 {
            self.skip_zeros()?;
        }
        while self.end - self.start < LONGEST_SIGNATURE && self.fill()? {}
        let head = &self.packed[self.start..self.end];
        if self.at > 0 && head.is_empty() {
            return Ok(false);
        }
        if self.at > 0 && !self.wrapper.goes_on(head) {
            return Err(UnpackError::Trailing { wrapper: self.wrapper.name(), at: self.at });
        }
        self.member = Some(Member::new(self.wrapper).map_err(|fault| self.fault(fault))?);
        Ok(true)
    }

    fn skip_zeros(&mut self) -> Result<(), UnpackError> {
        loop {
            let rest = &self.packed[self.start..self.end];
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            let all = zeros == rest.len();
            self.take(zeros);
            if !all || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Reads more packed bytes; false where there are none. There is room: a step or the end of a member takes all
    /// but a signature.
    fn fill(&mut self) -> Result<bool, UnpackError> {
        self.packed.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.reader.read(&mut self.packed[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, count: usize) {
        self.start += count;
        self.at += count as u64;
    }

    fn fault(&self, fault: Fault) -> UnpackError {
        let (wrapper, at) = (self.wrapper.name(), self.at);
        match fault {
            Fault::Damaged(detail) => UnpackError::Damaged { wrapper, at, detail },
            Fault::Memory => {
                let most = if self.wrapper == Wrapper::Xz { XZ_MEMORY } else { ZSTD_WINDOW };
                UnpackError::Memory { wrapper, at, most }
            }
        }
    }
}

/// One member's session.
enum Member {
    Bzip2(bzip2::Decompress),
    Gzip(Decompress),
    Xz(xz::Stream),
    Zstd(DCtx<'static>),
}

/// What a session did: bytes that it took and gave, and whether the member ended.
struct Step {
    read: usize,
    written: usize,
    ended: bool,
}

enum Fault {
    Damaged(String),
    Memory,
}

impl Member {
    fn new(wrapper: Wrapper) -> Result<Self, Fault> {
        Ok(match wrapper {
            Wrapper::Bzip2 => Self::Bzip2(bzip2::Decompress::new(false)),
            Wrapper::Gzip => Self::Gzip(Decompress::new_gzip(15)),
            Wrapper::Xz => {
                Self::Xz(xz::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(xz_fault)?)
            }
            Wrapper::Zstd => {
                let mut context = DCtx::try_create().ok_or(Fault::Memory)?;
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(zstd_fault)?;
                Self::Zstd(context)
            }
        })
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Fault> {
        // The totals of these libraries have 64 bits; a step's part of them fits.
        let part = |after: u64, before: u64| (after - before) as usize;
        match self {
            Self::Bzip2(session) => {
                let before = (session.total_in(), session.total_out());
                let status = session.decompress(input, out);
                let status = status.map_err(|error| Fault::Damaged(error.to_string()))?;
                Ok(Step {
                    read: part(session.total_in(), before.0),
                    written: part(session.total_out(), before.1),
                    ended: status == bzip2::Status::StreamEnd,
                })
            }
            Self::Gzip(session) => {
                let before = (session.total_in(), session.total_out());
                let status = session.decompress(input, out, FlushDecompress::None);
                let status = status.map_err(|error| {
                    Fault::Damaged(error.message().unwrap_or("not a gzip member").to_owned())
                })?;
                Ok(Step {
                    read: part(session.total_in(), before.0),
                    written: part(session.total_out(), before.1),
                    ended: status == Status::StreamEnd,
                })
            }
            Self::Xz(session) => {
                let before = (session.total_in(), session.total_out());
                let status = session.process(input, out, xz::Action::Run).map_err(xz_fault)?;
                Ok(Step {
                    read: part(session.total_in(), before.0),
                    written: part(session.total_out(), before.1),
                    ended: status == xz::Status::StreamEnd,
                })
            }
            Self::Zstd(session) => {
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around(out);
                let hint =
                    session.decompress_stream(&mut target, &mut source).map_err(zstd_fault)?;
                Ok(Step { read: source.pos(), written: target.pos(), ended: hint == 0 })
            }
        }
    }
}

fn xz_fault(error: xz::Error) -> Fault {
    match error {
        xz::Error::Mem | xz::Error::MemLimit => Fault::Memory,
        error => Fault::Damaged(error.to_string()),
    }
}

fn zstd_fault(code: usize) -> Fault {
    match get_error_name(code) {
        "Frame requires too much memory for decoding" | "Allocation error : not enough memory" => {
            Fault::Memory
        }
        name => Fault::Damaged(name.to_owned()),
    }
}

/// Bytes that are read at a time.
const BUFFER: usize = 128 << 10;

/// Bytes that tell whether a further member begins.
const LONGEST_SIGNATURE: usize = 16;

/// What xz itself needs for its strongest preset is 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// 128 MiB, the most that zstd's program takes without being told.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const ZSTD_WINDOW: u64 = 1 << ZSTD_WINDOW_LOG_MAX;

const ZSTD_FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The digits of pi begin a block, and those of its square root end the file.
const BZIP2_BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const BZIP2_END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::samples::{noise, text};

    fn pack(wrapper: Wrapper, data: &[u8]) -> Vec<u8> {
        match wrapper {
            Wrapper::Bzip2 => {
                let mut encoder =
                    bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Wrapper::Gzip => {
                let level = flate2::Compression::new(6);
                let mut encoder =
                    flate2::GzBuilder::new().filename("disk.raw").write(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Wrapper::Xz => liblzma::encode_all(data, 1).unwrap(),
            Wrapper::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// Unpacks with buffers of `out` bytes a file that comes in pieces of `piece`.
    fn unpack(packed: &[u8], piece: usize, out: usize) -> Result<Vec<u8>, UnpackError> {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(buf.len());
                self.0.read(&mut buf[..count])
            }
        }
        let wrapper = Wrapper::of(packed).expect("a signature");
        let mut unpacked = Unpacked::new(wrapper, Pieces(packed, piece));
        let mut all = Vec::new();
        let mut buf = vec![0xee; out];
        loop {
            match unpacked.unpack(&mut buf)? {
                0 => return Ok(all),
                count => all.extend_from_slice(&buf[..count]),
            }
        }
    }

    fn whole(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
        unpack(packed, 1 << 16, 1 << 16)
    }

    #[test]
    fn every_wrapper_comes_back_in_any_pieces() {
        for wrapper in Wrapper::ALL {
            for data in [vec![], vec![7], vec![0; 300_000], text(200_000, 1), noise(200_000, 2)] {
                let packed = pack(wrapper, &data);
                assert_eq!(Wrapper::of(&packed), Some(wrapper));
                for (piece, out) in [(1 << 20, 1 << 20), (1, 1 << 16), (4096, 1000), (7, 13)] {
                    assert!(
                        unpack(&packed, piece, out).unwrap() == data,
                        "{wrapper:?} {piece} {out}"
                    );
                }
            }
        }
    }

    #[test]
    fn members_follow_one_another_and_zeros_follow_them() {
        for wrapper in Wrapper::ALL {
            let [a, b] = [text(70_000, 3), noise(70_000, 4)];
            let both = [pack(wrapper, &a), pack(wrapper, &[]), pack(wrapper, &b)].concat();
            for zeros in [0, 1, 512, 300_000] {
                let padded = [&both[..], &vec![0; zeros]].concat();
                assert!(whole(&padded).unwrap() == [&a[..], &b].concat(), "{wrapper:?} {zeros}");
            }
        }
    }

    #[test]
    fn other_bytes_after_the_end_are_an_error() {
        for wrapper in Wrapper::ALL {
            let packed = pack(wrapper, b"abc");
            for trailing in [&b"x"[..], b"\0\0x", &packed[..3], b"\x1f\x8b"] {
                let error = whole(&[&packed[..], trailing].concat()).unwrap_err();
                let trailing_or_cut =
                    matches!(error, UnpackError::Trailing { .. } | UnpackError::Truncated { .. });
                assert!(trailing_or_cut, "{wrapper:?} {trailing:?}: {error}");
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        for wrapper in Wrapper::ALL {
            let packed = pack(wrapper, &text(3000, 5));
            for cut in 18..packed.len() {
                let error = whole(&packed[..cut]).unwrap_err();
                assert!(
                    matches!(error, UnpackError::Truncated { .. }),
                    "{wrapper:?} {cut}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_changes_nothing() {
        for wrapper in Wrapper::ALL {
            let data = text(3000, 6);
            let packed = pack(wrapper, &data);
            let mut wrong = 0;
            for index in 0..packed.len() {
                let mut flipped = packed.clone();
                flipped[index] ^= 4;
                if Wrapper::of(&flipped) != Some(wrapper) {
                    continue;
                }
                match whole(&flipped) {
                    Ok(unpacked) => assert!(unpacked == data, "{wrapper:?}, bit in byte {index}"),
                    Err(_) => wrong += 1,
                }
            }
            // The rest are a file's name, a time, a level.
            assert!(wrong + 20 > packed.len(), "{wrapper:?}: {wrong} of {}", packed.len());
        }
    }

    #[test]
    fn frames_that_decoders_skip_are_skipped() {
        let skippable = |len: u32| {
            [&[0x5a, 0x2a, 0x4d, 0x18][..], &len.to_le_bytes(), &vec![9; len as usize]].concat()
        };
        let packed = pack(Wrapper::Zstd, b"abc");
        let file = [&skippable(4)[..], &packed, &skippable(100), &packed, &skippable(0)].concat();
        assert_eq!(whole(&file).unwrap(), b"abcabc");
        assert_eq!(Wrapper::of(&skippable(4)), None);
    }

    #[test]
    fn what_takes_too_much_memory_is_refused() {
        let mut options = xz::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 30);
        let mut filters = xz::Filters::new();
        filters.lzma2(&options);
        let stream = xz::Stream::new_stream_encoder(&filters, xz::Check::Crc32).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(b"abc").unwrap();
        let error = whole(&encoder.finish().unwrap()).unwrap_err();
        assert!(matches!(error, UnpackError::Memory { most: 0x1000_0000, .. }), "{error}");

        // A frame header by hand: a window of 2 GiB, and no content size.
        let frame = [&ZSTD_FRAME[..], &[0, (31 - 10) << 3, 1, 0, 0]].concat();
        let error = whole(&frame).unwrap_err();
        assert!(matches!(error, UnpackError::Memory { .. }), "{error}");
        assert!(error.to_string().contains("the bound of 134217728 bytes"), "{error}");
    }

    #[test]
    fn other_bytes_bear_no_signature() {
        for head in [
            &b""[..],
            b"\x1f\x8b",
            b"\x1f\x8b\x08\xe0",
            b"\x1f\x8b\x07\0",
            b"BZh9 a text",
            b"BZh01AY&SY",
            b"\xfd7zXZ",
            b"QFI\xfb",
        ] {
            assert_eq!(Wrapper::of(head), None, "{head:?}");
        }
    }
}
