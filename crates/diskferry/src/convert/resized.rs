//! A disk that arrives in order, made longer or shorter on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Error, Note, Piece, Remedy, Result, Stream};
use diskferry_codec::zeros;

use crate::convert::request::Shrink;
use crate::source::forward::lookahead::length;

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
    /// The disk of `inner` made `size` bytes long: zeros are added at its end, or cut off there.
    pub fn new(inner: Box<dyn Stream>, size: u64, shrink: Shrink) -> Self {
        Self { inner, size, shrink, passed: 0, over: false, arrived: Arc::default() }
    }

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
                        "the stream goes on after {} bytes",
                        self.size
                    ))
                    .mended_by(Remedy::AllowShrink)
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
        self.passed += length(piece);
        Ok(piece)
    }

    fn warnings(&self) -> Vec<Note> {
        self.inner.warnings()
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
        Resized::new(Box::new(ReadStream::new("pipe", reader, None)), size, shrink)
    }

    fn read(mut stream: impl Stream) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = vec![0xff; 3];
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
            (b"abc\0", Shrink::Refuse, "the stream goes on after 3 bytes"),
        ] {
            let error = read(resized(bytes, 3, shrink)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains(text), "{error}");
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
