//! Stretches of a disk that came in order and are kept, to be looked at before they are handed on.

use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Disk, Extent, Kind, Note, Order, Piece, Result, Stream,
};
use diskferry_codec::zeros;

/// A stretch of a disk. Its zeros take no memory.
pub(crate) struct Kept {
    end: u64,
    runs: Vec<Run>,
    /// The disk ends with it.
    is_last: bool,
}

struct Run {
    at: u64,
    length: u64,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    /// Zeros that the stream had as bytes.
    Zeros,
    /// Zeros that the stream said to be such.
    Hole,
}

/// How much is kept.
#[derive(Clone, Copy)]
pub(crate) struct Most {
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes that are read.
    pub read: u64,
}

impl Most {
    /// What the first copy of a GPT is in.
    pub const TABLE: Self = Self { memory: 64 << 10, read: 64 << 10 };

    /// What an import target's rules are judged by before anything is written. Where the first
    /// partition is mostly zeros, this leads to the next: as far as is unpacked in a few seconds.
    pub const HEAD: Self = Self { memory: 16 << 20, read: 1 << 30 };

    /// What follows the last place for partitions: the backup of a GPT, and whatever zeros.
    pub const TAIL: Self = Self { memory: 16 << 20, read: u64::MAX };
}

impl Kept {
    /// Reads the stretch that begins at `start`, up to the bounds or to the stream's end; of `zeros`
    /// at its beginning the stream has told already.
    ///
    /// # Errors
    /// Those of the stream; `Cancelled`.
    pub fn read(
        stream: &mut dyn Stream,
        start: u64,
        zeros: u64,
        most: Most,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut kept = Self { end: start, runs: Vec::new(), is_last: false };
        if zeros > 0 {
            let _ = kept.push(zeros, What::Hole);
        }
        let mut buf = vec![0; PIECE];
        let (mut memory, mut read) = (0, 0);
        while memory < most.memory && read < most.read {
            cancel.check()?;
            match stream.next(&mut buf)? {
                Piece::Data(count) => {
                    memory += kept.push_bytes(&buf[..count]);
                    read += count as u64;
                }
                Piece::Zero(count) => {
                    memory += kept.push(count, What::Hole);
                    // They cost next to nothing, but a stream may have no end of them.
                    read += BLOCK as u64;
                }
                Piece::End => {
                    kept.is_last = true;
                    break;
                }
            }
        }
        Ok(kept)
    }

    /// Where it ends on the disk.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether the disk ends there, too.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Adds bytes; answers how much memory that takes.
    fn push_bytes(&mut self, bytes: &[u8]) -> usize {
        let blocks = bytes.chunks(BLOCK).map(|block| {
            let what = match zeros::is_zero(block) {
                true => What::Zeros,
                false => What::Bytes(block.to_vec()),
            };
            self.push(block.len() as u64, what)
        });
        blocks.sum()
    }

    /// Adds a run, to the last one where they are alike; answers how much memory that takes.
    fn push(&mut self, length: u64, what: What) -> usize {
        let at = self.end;
        self.end = at.saturating_add(length);
        let memory = match (self.runs.last_mut().map(|last| &mut last.what), &what) {
            (Some(What::Zeros), What::Zeros) | (Some(What::Hole), What::Hole) => 0,
            (Some(What::Bytes(have)), What::Bytes(more)) if have.len() < PIECE => {
                have.extend_from_slice(more);
                more.len()
            }
            (_, new) => {
                let bytes = if let What::Bytes(bytes) = new { bytes.len() } else { 0 };
                self.runs.push(Run { at, length, what });
                return bytes + size_of::<Run>();
            }
        };
        if let Some(last) = self.runs.last_mut() {
            last.length = last.length.saturating_add(length);
        }
        memory
    }

    /// The runs that are not before `at`.
    fn runs_from(&self, at: u64) -> &[Run] {
        &self.runs[self.runs.partition_point(|run| run.at + run.length <= at)..]
    }

    /// Hands out the piece at `at` as it came; none where the stretch is over.
    pub fn next(&self, at: u64, buf: &mut [u8]) -> Option<Piece> {
        let run = self.runs_from(at).first()?;
        let (within, left) = (at - run.at, run.length - (at - run.at));
        let count = left.min(buf.len() as u64) as usize;
        Some(match &run.what {
            What::Hole => Piece::Zero(left),
            What::Zeros => {
                buf[..count].fill(0);
                Piece::Data(count)
            }
            What::Bytes(bytes) => {
                buf[..count].copy_from_slice(&bytes[within as usize..][..count]);
                Piece::Data(count)
            }
        })
    }

    /// Puts what it has of the bytes at `at` into `buf`.
    fn copy(&self, at: u64, buf: &mut [u8]) {
        let end = at.saturating_add(buf.len() as u64);
        for run in self.runs_from(at).iter().take_while(|run| run.at < end) {
            if let What::Bytes(bytes) = &run.what {
                let (from, to) = (run.at.max(at), (run.at + run.length).min(end));
                buf[(from - at) as usize..(to - at) as usize]
                    .copy_from_slice(&bytes[(from - run.at) as usize..(to - run.at) as usize]);
            }
        }
    }
}

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Bytes that are looked at for zeros at a time.
const BLOCK: usize = 4096;

/// A stream of which the beginning was kept, from its beginning.
pub(crate) struct Replayed {
    /// None once it was handed out.
    kept: Option<Arc<Kept>>,
    at: u64,
    rest: Box<dyn Stream>,
}

impl Replayed {
    pub fn new(kept: Arc<Kept>, rest: Box<dyn Stream>) -> Self {
        Self { kept: Some(kept), at: 0, rest }
    }
}

impl Stream for Replayed {
    fn name(&self) -> &str {
        self.rest.name()
    }

    fn size(&self) -> Option<u64> {
        self.rest.size()
    }

    fn original_size(&self) -> Option<u64> {
        self.rest.original_size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let Some(kept) = &self.kept else { return self.rest.next(buf) };
        match kept.next(self.at, buf) {
            Some(piece) => {
                self.at += length(piece);
                Ok(piece)
            }
            None if kept.is_last => Ok(Piece::End),
            None => {
                self.kept = None;
                self.rest.next(buf)
            }
        }
    }

    fn warnings(&self) -> Vec<Note> {
        self.rest.warnings()
    }
}

/// Bytes of the disk in a piece.
pub(crate) fn length(piece: Piece) -> u64 {
    match piece {
        Piece::Data(count) => count as u64,
        Piece::Zero(count) => count,
        Piece::End => 0,
    }
}

/// A disk of which some stretches are known; the rest reads as zeros.
pub(crate) struct Glimpse<'a> {
    pub size: u64,
    pub known: Vec<&'a Kept>,
}

impl Disk for Glimpse<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        1
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn order(&self) -> Order {
        Order::Any
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(GlimpseCursor(&self.known)))
    }
}

struct GlimpseCursor<'a>(&'a [&'a Kept]);

impl Cursor for GlimpseCursor<'_> {
    fn extent(&mut self, _at: u64, limit: u64) -> Result<Extent> {
        Ok(Extent { length: limit, kind: Kind::Data { compressed: false } })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0);
        self.0.iter().for_each(|kept| kept.copy(at, buf));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diskferry_testkit::{Model, StreamSize, laws};

    use super::*;

    fn keep(stream: &mut dyn Stream, memory: usize, read: u64) -> Kept {
        Kept::read(stream, 0, 0, Most { memory, read }, &Cancel::default()).unwrap()
    }

    #[test]
    fn what_is_kept_is_handed_out_again_and_then_the_rest() {
        let model = Model::fragmented(3, 3 << 20, 512);
        for (memory, read) in
            [(0, 0), (1, u64::MAX), (1 << 20, u64::MAX), (64 << 20, 1 << 20), (64 << 20, u64::MAX)]
        {
            let mut stream = model.stream(7, StreamSize::Unknown);
            let kept = keep(&mut stream, memory, read);
            assert_eq!(kept.is_last(), memory == 64 << 20 && read == u64::MAX);
            assert_eq!(kept.is_last(), kept.end() == model.size());
            let known = Glimpse { size: kept.end(), known: vec![&kept] };
            let mut bytes = vec![0xee; kept.end() as usize];
            known.cursor().unwrap().read(0, &mut bytes).unwrap();
            assert!(bytes == model.bytes(0, bytes.len()), "{memory}, {read}");
            // A model's stream borrows it; what follows is another, from there on.
            let all = model.bytes(0, model.size() as usize);
            let rest = std::io::Cursor::new(all[bytes.len()..].to_vec());
            let rest = Box::new(diskferry_engine::ReadStream::new("rest", rest, None));
            let mut replayed = Replayed::new(Arc::new(kept), rest);
            let mut buf = vec![0xee; 1000];
            let mut read = Vec::new();
            loop {
                match replayed.next(&mut buf).unwrap() {
                    Piece::Data(count) => read.extend_from_slice(&buf[..count]),
                    Piece::Zero(count) => read.resize(read.len() + count as usize, 0),
                    Piece::End => break,
                }
            }
            assert!(read == all, "{memory}");
        }
    }

    #[test]
    fn a_glimpse_reads_as_a_disk_does() {
        let model = Model::fragmented(4, 1 << 20, 512);
        let kept = keep(&mut model.stream(1, StreamSize::Unknown), usize::MAX, u64::MAX);
        laws::reading(&Glimpse { size: model.size(), known: vec![&kept] }, &model);
    }

    #[test]
    fn single_bytes_take_no_more_memory_than_there_may_be() {
        /// A byte that is zero, one that is not, and so on.
        struct Bytewise(u64);
        impl Stream for Bytewise {
            fn name(&self) -> &str {
                "bytes"
            }
            fn size(&self) -> Option<u64> {
                None
            }
            fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
                self.0 += 1;
                buf[0] = (self.0 % 2) as u8;
                Ok(Piece::Data(1))
            }
        }
        let kept = keep(&mut Bytewise(0), 1 << 20, u64::MAX);
        assert!(kept.runs.len() * size_of::<Run>() <= 1 << 20);
    }

    #[test]
    fn zeros_take_no_memory_and_are_not_followed_for_ever() {
        struct Empty;
        impl Stream for Empty {
            fn name(&self) -> &str {
                "empty"
            }
            fn size(&self) -> Option<u64> {
                None
            }
            fn next(&mut self, _buf: &mut [u8]) -> Result<Piece> {
                Ok(Piece::Zero(1 << 40))
            }
        }
        let kept = Kept::read(&mut Empty, 0, 0, Most::HEAD, &Cancel::default()).unwrap();
        assert_eq!(kept.runs.len(), 1);
        let job = Cancel::default();
        job.cancel();
        assert!(Kept::read(&mut Empty, 0, 0, Most::HEAD, &job).is_err());
    }
}
