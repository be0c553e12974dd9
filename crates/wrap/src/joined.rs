//! Bytes that are others, one after another: a disk that is cut into files.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Identity, Result, Run, Version};

use crate::part::check_within;

/// Several bytes in a row, as if they were one file.
pub struct Joined {
    name: String,
    /// None of them is empty.
    pieces: Vec<Piece>,
    len: u64,
}

struct Piece {
    /// Its place in the whole.
    at: u64,
    bytes: Arc<dyn Bytes>,
}

impl Piece {
    /// The byte after its last one.
    fn end(&self) -> u64 {
        self.at + self.bytes.len()
    }
}

impl Joined {
    /// Bytes one after another, which messages call `name`.
    ///
    /// # Errors
    /// `Limit` for more than 2^62 of them.
    pub fn new(name: String, parts: impl IntoIterator<Item = Arc<dyn Bytes>>) -> Result<Self> {
        let (mut pieces, mut len) = (Vec::new(), 0u64);
        for bytes in parts.into_iter().filter(|bytes| !bytes.is_empty()) {
            let (at, own) = (len, bytes.len());
            let total = len.checked_add(own).filter(|total| *total < 1 << 62);
            len = total
                .ok_or_else(|| Error::limit(format!("'{name}' is of more than 2^62 bytes")))?;
            pieces.push(Piece { at, bytes });
        }
        Ok(Self { name, pieces, len })
    }

    /// The piece that `at` is in.
    fn piece(&self, at: u64) -> Option<&Piece> {
        self.pieces.get(self.pieces.partition_point(|piece| piece.end() <= at))
    }
}

impl Bytes for Joined {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        check_within(self, at, buf.len())?;
        while let Some(piece) = self.piece(at).filter(|_| !buf.is_empty()) {
            let here = (piece.end() - at).min(buf.len() as u64);
            let (part, rest) = buf.split_at_mut(here as usize);
            piece.bytes.read_at(at - piece.at, part)?;
            at += here;
            buf = rest;
        }
        Ok(())
    }

    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        match self.origin(at, len as u64) {
            Some((base, from)) => base.view(from, len, see),
            None => false,
        }
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        match self.piece(at) {
            Some(piece) => piece.bytes.run(at - piece.at, limit.min(piece.end() - at)),
            None => Ok(Run { length: limit, hole: true }),
        }
    }

    fn allocated(&self) -> Option<u64> {
        let each = self.pieces.iter().map(|piece| piece.bytes.allocated());
        each.sum()
    }

    fn origin(&self, at: u64, len: u64) -> Option<(&dyn Bytes, u64)> {
        let piece = self.piece(at)?;
        let end = at.checked_add(len)?;
        (end <= piece.end()).then(|| (piece.bytes.as_ref(), at - piece.at))
    }

    /// That of the first piece, by whose name they are opened.
    fn identity(&self) -> Identity {
        let first = self.pieces.first();
        first.map_or_else(|| Identity::of_memory(self), |piece| piece.bytes.identity())
    }

    fn version(&self) -> Option<Version> {
        let each = self.pieces.iter().map(|piece| piece.bytes.version());
        each.collect::<Option<_>>().map(Version::Several)
    }

    fn batch(&self) -> u64 {
        let each = self.pieces.iter().map(|piece| piece.bytes.batch());
        each.max().unwrap_or(1)
    }

    fn will_need(&self, mut at: u64, len: u64) {
        let end = at.saturating_add(len).min(self.len);
        while let Some(piece) = self.piece(at).filter(|_| at < end) {
            let here = piece.end().min(end) - at;
            piece.bytes.will_need(at - piece.at, here);
            at += here;
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_testkit::{Hinted, Told};

    use super::*;

    fn joined() -> Joined {
        let parts = [&b"012"[..], b"", b"3456", b"7"];
        let parts = parts.map(|part| Arc::new(part.to_vec()) as Arc<dyn Bytes>);
        Joined::new("a".into(), parts).unwrap()
    }

    #[test]
    fn it_reads_across_its_pieces() {
        let (joined, whole) = (joined(), b"01234567");
        assert_eq!(joined.len(), 8);
        for at in 0..=8 {
            for len in 0..=8 - at {
                let mut buf = vec![0xee; len];
                joined.read_at(at as u64, &mut buf).unwrap();
                assert_eq!(buf, &whole[at..at + len], "{len} bytes at {at}");
            }
        }
        for (at, len) in [(8, 1), (0, 9), (u64::MAX, 2)] {
            assert!(joined.read_at(at, &mut vec![0; len]).is_err(), "{len} bytes at {at}");
        }
    }

    #[test]
    fn it_hands_on_to_its_pieces_what_is_asked_and_told() {
        let pieces = [(3, 5), (0, 1), (4, 9)];
        let pieces =
            pieces.map(|(len, batch)| Arc::new(Hinted::new(Arc::new(vec![0; len]), batch)));
        let each = pieces.iter().map(|piece| Arc::clone(piece) as Arc<dyn Bytes>);
        let joined = Joined::new("a".into(), each).unwrap();
        joined.will_need(2, 3);
        joined.will_need(6, u64::MAX);
        joined.will_need(7, 1);
        assert_eq!(pieces[0].told(), [Told::Hint(2, 1)]);
        assert_eq!(pieces[2].told(), [Told::Hint(0, 2), Told::Hint(3, 1)]);
        assert_eq!((joined.batch(), joined.identity()), (9, pieces[0].identity()));
        let versions = [0, 2].map(|piece: usize| pieces[piece].version().unwrap());
        assert_eq!(joined.version(), Some(Version::Several(versions.into())));
    }

    #[test]
    fn its_runs_tile_it_and_are_each_in_one_piece() {
        let (joined, mut at, mut runs) = (joined(), 0, Vec::new());
        while at < joined.len() {
            let run = joined.run(at, joined.len() - at).unwrap();
            runs.push((run.length, joined.origin(at, run.length).map(|(_, from)| from)));
            at += run.length;
        }
        assert_eq!(runs, [(3, Some(0)), (4, Some(0)), (1, Some(0))]);
        assert_eq!(joined.origin(4, 2).map(|(_, from)| from), Some(1));
        assert!(joined.origin(2, 2).is_none());
        let mut seen = Vec::new();
        assert!(joined.view(4, 2, &mut |bytes| seen.extend_from_slice(bytes)));
        assert_eq!(seen, b"45");
        assert!(!joined.view(2, 2, &mut |_| unreachable!()));
    }
}
