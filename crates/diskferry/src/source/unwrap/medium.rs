//! What wrappers are taken off from: bytes that can be read anywhere, or that come in order.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diskferry_block_stream::{Bytes, Result};
use diskferry_wrap::{BytesReader, Peek, Wrapping};

use crate::format::{Format, Sample};
use crate::source::forward::counted::Counted;
use crate::source::probe::{head, probe};

/// What there is of a file.
pub(super) enum Medium {
    /// All of it, to be read anywhere.
    Random(Arc<dyn Bytes>),
    /// Its bytes as they come.
    Forward(Peek),
}

impl Medium {
    /// The format whose signature it bears.
    pub fn probe(&mut self) -> Result<Option<Format>> {
        match self {
            Self::Random(bytes) => probe(bytes.as_ref()),
            Self::Forward(peek) => {
                let head = peek.peek(Sample::HEAD)?;
                Ok(Format::probe(&Sample { head, tail: &[] }))
            }
        }
    }

    /// The wrapper that it is.
    pub fn wrapping(&mut self) -> Result<Option<Wrapping>> {
        Ok(match self {
            Self::Random(bytes) => Wrapping::of(&head(bytes.as_ref(), Wrapping::HEAD)?),
            Self::Forward(peek) => Wrapping::of(peek.peek(Sample::HEAD)?),
        })
    }

    /// It, with nothing left in its place.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Forward(Peek::new(Cursor::new(Vec::new()))))
    }

    /// Its bytes as they come; `read` counts those that are read of a file.
    pub fn into_reader(self, read: &Arc<AtomicU64>) -> Peek {
        match self {
            Self::Random(bytes) => Peek::new(Counted::new(BytesReader::new(bytes), read)),
            Self::Forward(peek) => peek,
        }
    }
}
