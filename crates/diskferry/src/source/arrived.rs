//! A disk that comes in order, and what it comes out of.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diskferry_block_stream::{Bytes, Cancel, Piece, Result, Stream};

use crate::format::Format;
use crate::source::around::Around;
use crate::source::forward::footed::Told;
use crate::source::forward::lookahead::{Kept, Most, Replayed};
use crate::source::wanted::Wanted;

/// A disk that comes in order: raw, or an image of a kind that is made for that; out of a pipe, or in a compressed
/// file. It can be read once, front to back.
pub struct Arriving {
    pub(crate) stream: Box<dyn Stream>,
    /// The format that its end tells, where nothing told before.
    pub(crate) told: Told,
    /// How many bytes of the compressed file or the pipe were read so far.
    pub(crate) read: Arc<AtomicU64>,
    /// The compressed file, which can be read again.
    pub(crate) packed: Option<Packed>,
}

/// The same, with what was found on the way to it.
pub(crate) struct Arrived {
    pub disk: Arriving,
    pub format: Format,
    pub assumed: bool,
    pub around: Around,
}

/// A compressed file, whose disk can be had from the beginning as often as it is wanted.
#[derive(Clone)]
pub(crate) struct Packed {
    pub bytes: Arc<dyn Bytes>,
    /// What is around the compressed file.
    pub around: Around,
    pub wanted: Wanted,
}

impl Arriving {
    /// Reads the beginning, which is handed out again afterwards.
    ///
    /// # Errors
    /// Those of the stream; `Cancelled`.
    pub(crate) fn keep(&mut self, most: Most, cancel: &Cancel) -> Result<Arc<Kept>> {
        let kept = Kept::read(self.stream.as_mut(), 0, 0, most, cancel);
        let kept = Arc::new(kept.map_err(|error| error.in_file(self.stream.name()))?);
        let rest = std::mem::replace(&mut self.stream, Box::new(Nothing));
        self.stream = Box::new(Replayed::new(Arc::clone(&kept), rest));
        Ok(kept)
    }

    /// The virtual disk's size in bytes, where it is known beforehand.
    pub fn size(&self) -> Option<u64> {
        self.stream.size()
    }

    /// The disk as it arrives; its size may be known only at its end.
    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }
}

/// In place of a stream that was taken.
struct Nothing;

impl Stream for Nothing {
    fn name(&self) -> &str {
        ""
    }

    fn size(&self) -> Option<u64> {
        Some(0)
    }

    fn next(&mut self, _buf: &mut [u8]) -> Result<Piece> {
        Ok(Piece::End)
    }
}
