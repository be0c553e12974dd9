//! Tells of a GPT that counts in other sectors than the target will show.

use diskferry_block_stream::{Disk, Note, NoteKind, Piece, Remedy, Result, Stream};

use crate::source::forward::lookahead::length;

/// What targets show their guests: all formats that are written do.
const SHOWN: usize = 512;

/// The other size of sectors that is in use.
const LARGE: usize = 4096;

/// Bytes of a disk's beginning that tell: both places where a GPT's first header may be.
const HEAD: usize = LARGE + SIGNATURE.len();

/// What a header begins with. Source: UEFI 2.10, 5.3.2.
const SIGNATURE: &[u8] = b"EFI PART";

/// Whether a disk that begins so has a GPT for the larger sectors.
fn is_for_large(head: &[u8]) -> bool {
    let has = |at| head.get(at..).is_some_and(|rest: &[u8]| rest.starts_with(SIGNATURE));
    has(LARGE) && !has(SHOWN)
}

fn warning(name: &str) -> Note {
    let text = format!(
        "its GPT counts in sectors of {LARGE} bytes, and the target shows sectors of {SHOWN}: no partition will \
         be found"
    );
    let remedy = Remedy::RewriteGpt { sectors: SHOWN as u32 };
    Note::of(NoteKind::PartitionTable, name, text).mended_by(remedy)
}

/// What there is to say of a disk's table.
///
/// # Errors
/// Those of reading its beginning.
pub(crate) fn warn(name: &str, disk: &dyn Disk) -> Result<Option<Note>> {
    if disk.size() < HEAD as u64 {
        return Ok(None);
    }
    let mut head = [0; HEAD];
    let mut cursor = disk.cursor()?;
    // Two small reads: what is between them need not be unpacked.
    for (at, len) in [(SHOWN, SIGNATURE.len()), (LARGE, SIGNATURE.len())] {
        cursor.read(at as u64, &mut head[at..at + len])?;
    }
    Ok(is_for_large(&head).then(|| warning(name)))
}

/// A stream whose beginning is looked at as it passes.
pub(crate) struct Watched {
    inner: Box<dyn Stream>,
    head: Vec<u8>,
}

impl Watched {
    pub fn new(inner: Box<dyn Stream>) -> Self {
        Self { inner, head: Vec::new() }
    }
}

impl Stream for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn original_size(&self) -> Option<u64> {
        self.inner.original_size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let piece = self.inner.next(buf)?;
        let room = HEAD - self.head.len();
        if room > 0 {
            let count = usize::try_from(length(piece)).map_or(room, |count| count.min(room));
            match piece {
                Piece::Data(_) => self.head.extend_from_slice(&buf[..count]),
                Piece::Zero(_) => self.head.resize(self.head.len() + count, 0),
                Piece::End => {}
            }
        }
        Ok(piece)
    }

    fn warnings(&self) -> Vec<Note> {
        let mut warnings = self.inner.warnings();
        warnings.extend(is_for_large(&self.head).then(|| warning(self.name())));
        warnings
    }
}
