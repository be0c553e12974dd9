//! A disk that comes as a stream only, from its beginning, as often as it is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{
    Bytes, Cursor, Disk, Error, ErrorKind, Extent, Kind, Order, Piece, Result, Stream,
};

/// A disk whose bytes come in order, such as one in a compressed file.
///
/// A cursor reads forward. What it is asked for ahead of where it is, it passes over; for what is
/// behind, it takes a reader that another cursor left, or begins anew. So a look from front to back
/// costs one pass for each cursor, and one at `n` places in any order at most `n` passes.
pub struct Rewinding {
    name: String,
    size: u64,
    begin: Begin,
    /// Readers that cursors left behind.
    idle: Mutex<Vec<Reader>>,
}

/// Starts the stream from its beginning.
pub type Begin = Box<dyn Fn() -> Result<Box<dyn Stream>> + Send + Sync>;

impl Rewinding {
    /// A disk of `size` bytes that `begin` starts.
    pub fn new(name: impl Into<String>, size: u64, begin: Begin) -> Self {
        Self { name: name.into(), size, begin, idle: Mutex::default() }
    }

    /// The reader that has the least to pass over up to `at`.
    fn reader(&self, at: u64) -> Result<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let nearest = idle.iter().enumerate().filter(|(_, reader)| reader.at <= at);
        if let Some((index, _)) = nearest.max_by_key(|(_, reader)| reader.at) {
            return Ok(idle.swap_remove(index));
        }
        drop(idle);
        (self.begin)().map(Reader::new)
    }

    /// Lets go of the readers that cursors left behind, and of the memory that they hold; answers whether
    /// there were any.
    pub fn let_go(&self) -> bool {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        !idle.is_empty()
    }

    fn leave(&self, reader: Reader) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(reader);
        }
    }
}

/// Readers that are kept. Each may hold a window.
const IDLE: usize = 4;

impl Disk for Rewinding {
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
        Order::Forward
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(RewindingCursor { disk: self, reader: None }))
    }
}

struct RewindingCursor<'a> {
    disk: &'a Rewinding,
    reader: Option<Reader>,
}

impl RewindingCursor<'_> {
    fn fill(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        match self.try_to_fill(at, buf) {
            // Those that were left behind may hold what a limit allows to all of them together.
            Err(error) if error.kind() == ErrorKind::Limit && self.disk.let_go() => {
                self.try_to_fill(at, buf)
            }
            other => other,
        }
    }

    fn try_to_fill(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let mut reader = match self.reader.take() {
            Some(reader) if reader.at <= at => reader,
            behind => {
                if let Some(reader) = behind {
                    self.disk.leave(reader);
                }
                self.disk.reader(at)?
            }
        };
        reader.pass(at)?;
        reader.fill(buf)?;
        // Only the end tells that all was well: checksums are there.
        if reader.at == self.disk.size {
            reader.expect_end()?;
        }
        self.reader = Some(reader);
        Ok(())
    }
}

impl Cursor for RewindingCursor<'_> {
    fn extent(&mut self, _at: u64, limit: u64) -> Result<Extent> {
        Ok(Extent { length: limit, kind: Kind::Data { compressed: true } })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.fill(at, buf)
            .map_err(|error| error.at("reading", at, buf.len() as u64).in_file(&self.disk.name))
    }
}

impl Drop for RewindingCursor<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.disk.leave(reader);
        }
    }
}

/// A stream somewhere in its course.
struct Reader {
    stream: Box<dyn Stream>,
    /// Bytes that were handed out.
    at: u64,
    /// Zeros that come next.
    zeros: u64,
    over: bool,
}

impl Reader {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, at: 0, zeros: 0, over: false }
    }

    fn pass(&mut self, to: u64) -> Result<()> {
        let mut buf = vec![0; PASS.min((to - self.at).try_into().unwrap_or(PASS))];
        while self.at < to {
            let left = to - self.at;
            let zeros = self.zeros.min(left);
            if zeros > 0 {
                self.zeros -= zeros;
                self.at += zeros;
                continue;
            }
            let room = left.min(PASS as u64) as usize;
            self.fill(&mut buf[..room])?;
        }
        Ok(())
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            let rest = &mut buf[filled..];
            let count = if self.zeros > 0 {
                let count = self.zeros.min(rest.len() as u64);
                rest[..count as usize].fill(0);
                self.zeros -= count;
                count as usize
            } else {
                match self.stream.next(rest)? {
                    Piece::Data(count) => count,
                    Piece::Zero(count) => {
                        self.zeros = count;
                        continue;
                    }
                    Piece::End => {
                        return Err(Error::damaged(format!("the data end at {:#x}", self.at)));
                    }
                }
            };
            filled += count;
            self.at += count as u64;
        }
        Ok(())
    }

    fn expect_end(&mut self) -> Result<()> {
        if self.over {
            return Ok(());
        }
        match self.stream.next(&mut [0])? {
            Piece::End if self.zeros == 0 => self.over = true,
            _ => return Err(Error::damaged(format!("the data go on after {:#x}", self.at))),
        }
        Ok(())
    }
}

/// Bytes that are passed over at a time.
const PASS: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::io::Cursor as Reading;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diskferry_testkit::{Model, laws};

    use super::*;
    use crate::input::ReadStream;

    fn rewinding(bytes: &[u8], size: u64, begun: &Arc<AtomicUsize>) -> Rewinding {
        let (bytes, begun) = (bytes.to_vec(), Arc::clone(begun));
        let begin = move || -> Result<Box<dyn Stream>> {
            begun.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(ReadStream::new("rewinding", Reading::new(bytes.clone()), None)))
        };
        Rewinding::new("rewinding", size, Box::new(begin))
    }

    #[test]
    fn it_reads_as_its_stream_does() {
        for model in [Model::fragmented(3, 1 << 20, 512), Model::of(1, 512, &[])] {
            let bytes = model.bytes(0, model.size() as usize);
            laws::reading(&rewinding(&bytes, model.size(), &Arc::default()), &model);
        }
    }

    #[test]
    fn going_back_begins_anew_and_going_on_does_not() {
        let begun = Arc::default();
        let disk = rewinding(&[7; 1000], 1000, &begun);
        for (at, passes) in [(0, 1), (500, 1), (990, 1), (0, 2), (600, 2), (995, 2), (992, 2)] {
            // Each look has a cursor of its own; what the last one left is taken up.
            let mut buf = [0; 5];
            disk.cursor().unwrap().read(at, &mut buf).unwrap();
            assert_eq!((buf, begun.load(Ordering::Relaxed)), ([7; 5], passes), "at {at}");
        }
    }

    #[test]
    fn readers_that_were_left_make_room_for_one_that_is_needed() {
        /// A stream of which there may be so many at a time.
        struct Rare(Arc<AtomicUsize>, ReadStream<Reading<Vec<u8>>>);
        impl Drop for Rare {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        impl Stream for Rare {
            fn name(&self) -> &str {
                "rare"
            }
            fn size(&self) -> Option<u64> {
                None
            }
            fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
                self.1.next(buf)
            }
        }
        let rare = |most: usize| {
            let free = Arc::new(AtomicUsize::new(most));
            let begin = move || -> Result<Box<dyn Stream>> {
                let less = |free: usize| free.checked_sub(1);
                let taken = free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                taken.map_err(|_| Error::limit("too many"))?;
                let stream = ReadStream::new("rare", Reading::new(vec![7; 1000]), None);
                Ok(Box::new(Rare(Arc::clone(&free), stream)))
            };
            Rewinding::new("rare", 1000, Box::new(begin))
        };
        let disk = rare(1);
        let mut cursor = disk.cursor().unwrap();
        for at in [900, 500, 0] {
            let mut buf = [0; 5];
            cursor.read(at, &mut buf).unwrap();
            disk.cursor().unwrap().read(at, &mut buf).unwrap_err();
        }
        drop(cursor);
        disk.cursor().unwrap().read(0, &mut [0; 5]).unwrap();
        assert_eq!(
            rare(0).cursor().unwrap().read(0, &mut [0]).unwrap_err().kind(),
            ErrorKind::Limit
        );
    }

    #[test]
    fn a_stream_of_another_length_is_damage() {
        for size in [999, 1001] {
            let disk = rewinding(&[7; 1000], size, &Arc::default());
            let mut buf = vec![0; size as usize];
            assert!(disk.cursor().unwrap().read(0, &mut buf).is_err(), "{size}");
        }
    }
}
