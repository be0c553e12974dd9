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
/// Memory is bounded whatever the file says. What zstd and xz call a window or a dictionary, the last bytes that came
/// out, is theirs only once it was [allowed](Self::allow). They take it from the system in one piece, of which no
/// page is there before the stream fills it. Beside it they need no more than a few MiB, and gzip and bzip2, which have no
/// windows that matter, neither.
pub struct Unpacked<R> {
    reader: R,
    wrapper: Wrapper,
    /// The window that was allowed, in bytes.
    allowed: u64,
    /// The window that the member, or its next block, has.
    window: u64,
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
    /// It takes a larger window than is allowed. Nothing is lost: once it is, unpacking goes on.
    #[error("the {wrapper} data at {at:#x} take a window of {window} bytes")]
    Window {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
        /// How much, in bytes.
        window: u64,
    },
    /// It takes a window that no decompressor of ours can have.
    #[error(
        "the {wrapper} data at {at:#x} take a window of {window} bytes, and no more than {ZSTD_WINDOW} are read"
    )]
    TooWide {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
        /// How much, in bytes.
        window: u64,
    },
    /// The system has no memory for it.
    #[error("there is no memory for the window of {window} bytes of the {wrapper} data at {at:#x}")]
    Memory {
        /// The program's name.
        wrapper: &'static str,
        /// Where, in the packed file, in bytes.
        at: u64,
        /// How much, in bytes.
        window: u64,
    },
}

impl<R: Read> Unpacked<R> {
    /// Unpacks what `reader` has, which begins with the wrapper's signature.
    pub fn new(wrapper: Wrapper, reader: R) -> Self {
        let packed = vec![0; BUFFER];
        Self {
            reader,
            wrapper,
            allowed: 0,
            window: 0,
            member: None,
            over: false,
            packed,
            start: 0,
            end: 0,
            at: 0,
        }
    }

    /// Allows a window of so many bytes.
    pub fn allow(&mut self, window: u64) {
        self.allowed = self.allowed.max(window);
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
            if self.window > self.allowed {
                let (wrapper, at, window) = (self.wrapper.name(), self.at, self.window);
                return Err(UnpackError::Window { wrapper, at, window });
            }
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
            if let Some(window) = step.wants {
                self.window = window;
            }
            if step.written > 0 {
                return Ok(step.written);
            }
            if step.read > 0 || step.ended || step.wants.is_some() {
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

    /// Starts the next member, unless its window must be allowed first; false where there is none.
    fn begin_member(&mut self) -> Result<bool, UnpackError> {
        if self.at > 0 {
            self.skip_zeros()?;
        }
        while self.end - self.start < LONGEST_HEADER && self.fill()? {}
        let head = &self.packed[self.start..self.end];
        if self.at > 0 && head.is_empty() {
            return Ok(false);
        }
        if self.at > 0 && !self.wrapper.goes_on(head) {
            return Err(UnpackError::Trailing { wrapper: self.wrapper.name(), at: self.at });
        }
        self.window = match self.wrapper {
            Wrapper::Zstd => zstd_window(head).unwrap_or(0),
            // Of xz, only the decompressor sees where a block begins.
            Wrapper::Bzip2 | Wrapper::Gzip | Wrapper::Xz => 0,
        };
        if self.window <= self.allowed {
            let member = Member::new(self.wrapper, self.window);
            self.member = Some(member.map_err(|fault| self.fault(fault))?);
        }
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
    /// but a header.
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
        let (wrapper, at, window) = (self.wrapper.name(), self.at, self.window);
        match fault {
            Fault::Damaged(detail) => UnpackError::Damaged { wrapper, at, detail },
            Fault::TooWide => UnpackError::TooWide { wrapper, at, window },
            Fault::Memory => UnpackError::Memory { wrapper, at, window },
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
#[derive(Default)]
struct Step {
    read: usize,
    written: usize,
    ended: bool,
    /// The window that it must have to go on.
    wants: Option<u64>,
}

enum Fault {
    Damaged(String),
    TooWide,
    Memory,
}

impl Member {
    /// Of zstd, with the window that its header tells.
    fn new(wrapper: Wrapper, window: u64) -> Result<Self, Fault> {
        Ok(match wrapper {
            Wrapper::Bzip2 => Self::Bzip2(bzip2::Decompress::new(false)),
            Wrapper::Gzip => Self::Gzip(Decompress::new_gzip(15)),
            Wrapper::Xz => {
                Self::Xz(xz::Stream::new_stream_decoder(XZ_BESIDE, 0).map_err(xz_fault)?)
            }
            Wrapper::Zstd if window > ZSTD_WINDOW => return Err(Fault::TooWide),
            Wrapper::Zstd => {
                let mut context = DCtx::try_create().ok_or(Fault::Memory)?;
                let log = window.max(ZSTD_LEAST_WINDOW).next_power_of_two().ilog2();
                context.set_parameter(DParameter::WindowLogMax(log)).map_err(zstd_fault)?;
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
                    wants: None,
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
                    wants: None,
                })
            }
            Self::Xz(session) => {
                let before = (session.total_in(), session.total_out());
                let (ended, wants) = match session.process(input, out, xz::Action::Run) {
                    Ok(status) => (status == xz::Status::StreamEnd, None),
                    Err(xz::Error::MemLimit) => (false, Some(xz_window(session)?)),
                    Err(error) => return Err(xz_fault(error)),
                };
                Ok(Step {
                    read: part(session.total_in(), before.0),
                    written: part(session.total_out(), before.1),
                    ended,
                    wants,
                })
            }
            Self::Zstd(session) => {
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around(out);
                let hint =
                    session.decompress_stream(&mut target, &mut source).map_err(zstd_fault)?;
                Ok(Step {
                    read: source.pos(),
                    written: target.pos(),
                    ended: hint == 0,
                    wants: None,
                })
            }
        }
    }
}

fn xz_fault(error: xz::Error) -> Fault {
    match error {
        xz::Error::Mem => Fault::Memory,
        error => Fault::Damaged(error.to_string()),
    }
}

fn zstd_fault(code: usize) -> Fault {
    match get_error_name(code) {
        "Allocation error : not enough memory" => Fault::Memory,
        name => Fault::Damaged(name.to_owned()),
    }
}

/// Bytes that are read at a time.
const BUFFER: usize = 128 << 10;

/// Bytes that tell whether a further member begins, and of zstd how large its window is.
const LONGEST_HEADER: usize = 18;

/// The window, in bytes, of the zstd frame that begins here (RFC 8878, 3.1.1.1); `None` where there is none, or
/// where it is cut. A frame of a single segment has its content for a window.
fn zstd_window(head: &[u8]) -> Option<u64> {
    let (descriptor, rest) = head.strip_prefix(&ZSTD_FRAME)?.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut content = [0; 8];
    content[..len].copy_from_slice(rest.get(dictionary_id..)?.get(..len)?);
    let content = u64::from_le_bytes(content);
    Some(if len == 2 { content + 256 } else { content })
}

/// The dictionary of the block before which a session has stopped, as that would take more memory than it may: of
/// the sizes that a block can have (two for each power of 2), the least with which it goes on.
fn xz_window(session: &mut xz::Stream) -> Result<u64, Fault> {
    let sizes = (12..=32).flat_map(|log| [1u64 << log, 3 << (log - 1)]);
    let mut fitting = sizes.filter(|size| session.set_memlimit(size + XZ_BESIDE).is_ok());
    fitting.next().ok_or_else(|| Fault::Damaged("a block of filters without a size".to_owned()))
}

/// What liblzma takes beside the dictionary is some 70 KiB, with all filters that there may be. So one of a few KiB
/// need not be asked for.
const XZ_BESIDE: u64 = 128 << 10;

/// What libzstd reads at most.
const ZSTD_WINDOW: u64 = 1 << 31;

/// Smaller ones are no windows to libzstd.
const ZSTD_LEAST_WINDOW: u64 = 1 << 10;

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
            match unpacked.unpack(&mut buf) {
                Ok(0) => return Ok(all),
                Ok(count) => all.extend_from_slice(&buf[..count]),
                Err(UnpackError::Window { window, .. }) => {
                    assert!(window > unpacked.allowed, "{window} was allowed");
                    unpacked.allow(window);
                }
                Err(error) => return Err(error),
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

    /// A stream of xz whose block says to have a dictionary of the n-th size that there is.
    fn xz_with(size: u8, data: &[u8]) -> Vec<u8> {
        let mut packed = liblzma::encode_all(data, 0).unwrap();
        // The header of the first block (3.1 of the format): its length, its flags, the filter, of which the last byte
        // is the dictionary's size, and a checksum.
        let header = &mut packed[12..][..12];
        assert_eq!(header[..4], [2, 0, 0x21, 1]);
        header[4] = size;
        let sum = crc32fast::hash(&header[..8]);
        header[8..].copy_from_slice(&sum.to_le_bytes());
        packed
    }

    /// A frame by hand: this window, no content size, and one block of a byte that is repeated.
    fn zstd_with(window: u8, byte: u8, count: u32) -> Vec<u8> {
        let block = ((count << 3) | 0b011).to_le_bytes();
        [&ZSTD_FRAME[..], &[0, window], &block[..3], &[byte]].concat()
    }

    #[test]
    fn a_window_is_asked_for_before_it_is_taken_and_as_large_as_it_is() {
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let of_zstd = [(10, 0), (17, 5), (27, 0), (27, 7), (30, 1), (31, 0)];
        let frames = of_zstd.map(|(log, eighths)| {
            (
                zstd_with(((log - 10) << 3) | eighths, b'a', 100),
                (1 << log) / 8 * (8 + u64::from(eighths)),
            )
        });
        let frames =
            frames.into_iter().map(|(frame, window)| ([&skippable[..], &frame].concat(), window));
        let of_xz = [
            (14, 1 << 19),
            (15, 3 << 18),
            (22, 1 << 23),
            (34, 1 << 29),
            (39, 3 << 30),
            (40, 1 << 32),
        ];
        let streams = of_xz.map(|(size, window)| (xz_with(size, &[b'a'; 100]), window));
        for (packed, window) in frames.chain(streams) {
            let wrapper = Wrapper::of(&packed).unwrap();
            let mut unpacked = Unpacked::new(wrapper, &packed[..]);
            unpacked.allow(window - 1);
            let mut buf = [0; 1000];
            for _ in 0..2 {
                let error = unpacked.unpack(&mut buf).unwrap_err();
                let asked =
                    matches!(error, UnpackError::Window { window: asked, .. } if asked == window);
                assert!(asked, "{window:#x}: {error}");
            }
            unpacked.allow(window);
            assert_eq!(unpacked.unpack(&mut buf).unwrap(), 100, "{wrapper:?} {window:#x}");
            assert_eq!(buf[..100], [b'a'; 100]);
            assert_eq!(unpacked.unpack(&mut buf).unwrap(), 0);
        }
    }

    #[test]
    fn the_members_and_blocks_that_follow_ask_too() {
        let asked_for = |packed: &[u8]| {
            let mut unpacked = Unpacked::new(Wrapper::of(packed).unwrap(), packed);
            let (mut asked, mut count) = (Vec::new(), 0);
            loop {
                match unpacked.unpack(&mut [0; 1000]) {
                    Ok(0) => return (asked, count),
                    Ok(some) => count += some,
                    Err(UnpackError::Window { window, .. }) => {
                        asked.push(window);
                        unpacked.allow(window);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let [small, large, other] = [0, (28 - 10) << 3, (26 - 10) << 3];
        let frames = [small, large, other].map(|window| zstd_with(window, b'a', 100)).concat();
        assert_eq!(asked_for(&frames), (vec![1 << 10, 1 << 28], 300));
        let streams = [16, 34, 20, 35].map(|size| xz_with(size, &[b'a'; 100])).concat();
        assert_eq!(asked_for(&streams), (vec![1 << 20, 1 << 29, 3 << 28], 400));
        // Of a frame of a single segment, the content is the window.
        let content = text(100_000, 9);
        let frame = zstd::bulk::compress(&content, 3).unwrap();
        assert_eq!(frame[4] & 0x20, 0x20);
        assert_eq!(asked_for(&frame), (vec![100_000], 100_000));
        assert_eq!(asked_for(&zstd::bulk::compress(&content[..300], 3).unwrap()).0, [300]);
        assert_eq!(asked_for(&zstd::bulk::compress(&content[..30], 3).unwrap()).0, [30]);
    }

    #[test]
    fn a_window_that_the_library_cannot_have_is_refused() {
        for window in [((31 - 10) << 3) | 1, (32 - 10) << 3, 0xff] {
            let error = whole(&zstd_with(window, b'a', 100)).unwrap_err();
            assert!(matches!(error, UnpackError::TooWide { .. }), "{error}");
        }
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
