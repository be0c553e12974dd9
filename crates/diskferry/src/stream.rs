//! A disk that arrives in order, through a pipe or out of a compressed file.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Bytes, Error, Piece, Result, Stream};
use diskferry_codec::zeros;

use crate::file::FileId;
use crate::format::{Format, Sample};
use crate::wrapped::{self, Around, Arrived, Packed, Wanted};
use crate::{Info, Shrink};

/// A source that can only be read once, front to back: a raw disk, or an image of a kind that is
/// made for that; out of a pipe, or in a compressed file.
pub struct StreamInput {
    stream: Box<dyn Stream>,
    format: Format,
    assumed: bool,
    around: Around,
    /// Bytes of the pipe that were read.
    read: Arc<AtomicU64>,
    /// The compressed file, which can be read again.
    packed: Option<Packed>,
    pub(crate) id: FileId,
}

impl StreamInput {
    /// Looks at the first bytes of a pipe.
    ///
    /// # Errors
    /// `Unsupported` when it is to be, or is, an image that needs random access; `Damaged` or
    /// `Limit` where its first bytes are no good; `Io` when it cannot be read.
    pub(crate) fn new(name: &str, pipe: File, id: FileId, wanted: &Wanted) -> Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let pipe = Counted::new(pipe, &read);
        let arrived = wrapped::arrive(name, pipe, Around::default(), wanted)?;
        Ok(Self::of(arrived, read, None, id))
    }

    /// Looks at the first bytes of a compressed file.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn packed(packed: Packed, id: FileId) -> Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        Ok(Self::of(packed.begin(&read)?, read, Some(packed), id))
    }

    fn of(arrived: Arrived, read: Arc<AtomicU64>, packed: Option<Packed>, id: FileId) -> Self {
        let Arrived { stream, format, assumed, around } = arrived;
        Self { stream, format, assumed, around, read, packed, id }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        self.stream.name()
    }

    /// The virtual disk's size in bytes, where it is known beforehand.
    pub(crate) fn size(&self) -> Option<u64> {
        self.stream.size()
    }

    /// The size in bytes that the disk had before its format rounded it up, where that is known.
    pub(crate) fn original_size(&self) -> Option<u64> {
        self.stream.original_size()
    }

    /// Whether it can be read only once.
    pub(crate) fn is_pipe(&self) -> bool {
        self.packed.is_none()
    }

    /// How many bytes of the pipe were read so far.
    pub(crate) fn read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// What there is to say about it before it is read: its size where that is known, else 0.
    pub(crate) fn info(&self) -> Info {
        let (file, size) = (self.file(), self.size());
        let length = file.map_or(0, |bytes| bytes.len());
        let mut info = Info::of_stream(self.name(), self.format, size.unwrap_or(0), length, 1);
        info.assumed = self.assumed;
        info.allocated_size = file.and_then(|bytes| bytes.allocated());
        info.set_around(&self.around);
        info
    }

    /// The compressed file, or the one that it is in, where it is no pipe.
    pub(crate) fn file(&self) -> Option<&Arc<dyn Bytes>> {
        self.packed.as_ref().map(Packed::file)
    }

    /// The compressed file, where it is one and no pipe.
    pub(crate) fn into_packed(self) -> Option<(Packed, FileId)> {
        self.packed.map(|packed| (packed, self.id))
    }

    /// The disk as it arrives; its size may be known only at its end.
    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// The disk made `size` bytes long: zeros are added at its end, or cut off there.
    pub(crate) fn into_resized(self, size: u64, shrink: Shrink) -> Resized {
        Resized {
            inner: self.stream,
            size,
            shrink,
            passed: 0,
            over: false,
            arrived: Arc::default(),
        }
    }
}

/// Counts what is read.
pub(crate) struct Counted<R> {
    pub inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    pub fn new(inner: R, count: &Arc<AtomicU64>) -> Self {
        Self { inner, count: Arc::clone(count) }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A stream that is taken for raw. Should it end in a format's signature, it was none.
pub(crate) struct Assumed {
    inner: Box<dyn Stream>,
    /// What to do about it.
    instead: &'static str,
    /// The last bytes, at most [`Sample::TAIL`].
    tail: Vec<u8>,
}

impl Assumed {
    pub fn new(inner: Box<dyn Stream>, around: &Around) -> Self {
        let instead = match around.layers.is_empty() {
            true => "give a file, or take those bytes for a part of the disk with -f raw",
            false => "unpack it first",
        };
        Self { inner, instead, tail: Vec::new() }
    }

    fn remember(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(Sample::TAIL)..];
        let over = (self.tail.len() + data.len()).saturating_sub(Sample::TAIL);
        self.tail.drain(..over);
        self.tail.extend_from_slice(data);
    }
}

impl Stream for Assumed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let piece = self.inner.next(buf)?;
        match piece {
            Piece::Data(count) => self.remember(&buf[..count]),
            Piece::Zero(_) => self.tail.clear(),
            Piece::End => {
                if let Some(format) = Format::probe(&Sample { head: &[], tail: &self.tail }) {
                    return Err(Error::unsupported(format!(
                        "no raw disk but a {format} image, by its last bytes, which came too late; {}",
                        self.instead
                    ))
                    .in_file(self.name()));
                }
            }
        }
        Ok(piece)
    }
}

/// A stream that is made longer or shorter.
pub(crate) struct Resized {
    inner: Box<dyn Stream>,
    size: u64,
    shrink: Shrink,
    /// Bytes handed out.
    passed: u64,
    /// The inner stream has ended.
    over: bool,
    arrived: Arc<AtomicU64>,
}

impl Resized {
    /// How many bytes the inner stream has had so far.
    pub fn arrived(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.arrived)
    }

    /// The inner stream's next piece, unless it has ended.
    fn more(&mut self, buf: &mut [u8]) -> Result<Piece> {
        if self.over {
            return Ok(Piece::End);
        }
        let piece = self.inner.next(buf)?;
        match piece {
            Piece::Data(count) => _ = self.arrived.fetch_add(count as u64, Ordering::Relaxed),
            Piece::Zero(count) => _ = self.arrived.fetch_add(count, Ordering::Relaxed),
            Piece::End => self.over = true,
        }
        Ok(piece)
    }

    /// Reads what is beyond the size, which must be nothing, or zeros where those may be dropped.
    fn drain(&mut self, buf: &mut [u8]) -> Result<Piece> {
        loop {
            let at = self.arrived.load(Ordering::Relaxed);
            let data = match self.more(buf)? {
                Piece::End => return Ok(Piece::End),
                Piece::Zero(_) => &[][..],
                Piece::Data(count) => &buf[..count],
            };
            match self.shrink {
                Shrink::Refuse => {
                    return Err(Error::misuse(format!(
                        "the stream goes on after {} bytes; --allow-shrink drops what follows, \
                         where it is zeros",
                        self.size
                    ))
                    .in_file(self.name()));
                }
                Shrink::DropZeros if zeros::is_zero(data) => {}
                Shrink::DropZeros => {
                    let index = data.iter().position(|byte| *byte != 0).unwrap_or(0);
                    return Err(not_zero(at + index as u64, self.size).in_file(self.name()));
                }
            }
        }
    }
}

impl Stream for Resized {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let left = self.size - self.passed;
        if left == 0 {
            return self.drain(buf);
        }
        let room = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let piece = match self.more(&mut buf[..room])? {
            Piece::End => Piece::Zero(left),
            Piece::Zero(count) => Piece::Zero(count.min(left)),
            data => data,
        };
        self.passed += match piece {
            Piece::Data(count) => count as u64,
            Piece::Zero(count) => count,
            Piece::End => 0,
        };
        Ok(piece)
    }
}

/// A byte that shrinking to `size` would lose.
pub(crate) fn not_zero(at: u64, size: u64) -> Error {
    Error::misuse(format!(
        "shrinking to {size} bytes would drop data: the byte at {at:#x} is not zero"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use diskferry_block_stream::ErrorKind;
    use diskferry_engine::ReadStream;

    use super::*;

    fn resized(bytes: &[u8], size: u64, shrink: Shrink) -> Resized {
        let reader = Cursor::new(bytes.to_vec());
        let input = StreamInput {
            stream: Box::new(ReadStream::new("pipe", reader, None)),
            format: Format::RAW,
            assumed: false,
            around: Around::default(),
            read: Arc::default(),
            packed: None,
            id: FileId::Inode { device: 0, inode: 0 },
        };
        input.into_resized(size, shrink)
    }

    fn read(mut stream: impl Stream) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = [0xff; 3];
        loop {
            match stream.next(&mut buf)? {
                Piece::Data(count) => all.extend_from_slice(&buf[..count]),
                Piece::Zero(count) => all.resize(all.len() + count as usize, 0),
                Piece::End => return Ok(all),
            }
        }
    }

    #[test]
    fn it_grows_with_zeros_and_shrinks_by_zeros() {
        for (bytes, size, expected) in [
            (&b"abcd"[..], 4, &b"abcd"[..]),
            (b"abcd", 6, b"abcd\0\0"),
            (b"", 2, b"\0\0"),
            (b"ab\0\0\0\0\0\0", 2, b"ab"),
            (b"", 0, b""),
        ] {
            assert_eq!(read(resized(bytes, size, Shrink::DropZeros)).unwrap(), expected);
        }
    }

    #[test]
    fn it_drops_no_data_and_nothing_unasked() {
        for (bytes, shrink, text) in [
            (&b"abcde"[..], Shrink::DropZeros, "the byte at 0x3 is not zero"),
            (b"abc\0\0\0\0\0\0\0\0\x01", Shrink::DropZeros, "the byte at 0xb is not zero"),
            (b"abc\0", Shrink::Refuse, "--allow-shrink"),
        ] {
            let error = read(resized(bytes, 3, shrink)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn the_last_bytes_are_remembered_however_they_come() {
        let bytes: Vec<u8> = (0..3 * Sample::TAIL).map(|index| (index % 251) as u8).collect();
        for step in [1, 7, Sample::TAIL - 1, Sample::TAIL, 2 * Sample::TAIL + 5] {
            let inner = Box::new(ReadStream::new("pipe", Cursor::new(Vec::new()), None));
            let mut stream = Assumed::new(inner, &Around::default());
            bytes.chunks(step).for_each(|piece| stream.remember(piece));
            assert!(stream.tail == bytes[2 * Sample::TAIL..], "in pieces of {step}");
        }
    }

    #[test]
    fn it_counts_what_arrived() {
        let stream = resized(b"abcd", 10, Shrink::Refuse);
        let arrived = stream.arrived();
        read(stream).unwrap();
        assert_eq!(arrived.load(Ordering::Relaxed), 4);
    }
}
