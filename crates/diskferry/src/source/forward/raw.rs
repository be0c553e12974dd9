//! A raw disk that comes in order.

use std::io::{self, Read};

use diskferry_block_stream::{Piece, Result, Stream};
use diskferry_wrap::{Forward, Peek};

use crate::source::forward::lookahead::length;

/// Its holes need not be looked at.
pub(crate) struct RawStream {
    name: String,
    peek: Peek,
    size: Option<u64>,
    passed: u64,
}

impl RawStream {
    /// A disk of `size` bytes, where that is known.
    pub fn new(name: String, peek: Peek, size: Option<u64>) -> Self {
        Self { name, peek, size, passed: 0 }
    }

    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let zeros = self.peek.hole()?;
        if zeros > 0 {
            return Ok(Piece::Zero(zeros));
        }
        loop {
            match self.peek.read(buf) {
                Ok(0) => return Ok(Piece::End),
                Ok(count) => return Ok(Piece::Data(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Stream for RawStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let (at, room) = (self.passed, buf.len() as u64);
        let piece =
            self.piece(buf).map_err(|error| error.at("reading", at, room).in_file(&self.name))?;
        self.passed += length(piece);
        Ok(piece)
    }
}
