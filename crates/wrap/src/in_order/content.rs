//! A disk in an archive that comes in order: its bytes, and then the rest of the archive.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::Result;

use super::passing::{Passing, Stop};
use crate::damage::Damage;
use crate::ending::Ending;
use crate::peek::{Ahead, Forward, Peek};
use crate::segment::Segment;
use crate::tar::Entry;

pub(crate) struct Content {
    archive: Peek,
    segments: Vec<Segment>,
    /// Index of the segment that `at` is in or before.
    next: usize,
    at: u64,
    size: u64,
    /// What is to be looked at after the last byte; none once that is done.
    rest: Option<Rest>,
}

struct Rest {
    passing: Passing,
    /// Where the next header is.
    next_header: u64,
    /// The name of the disk.
    name: String,
    ending: Arc<OnceLock<Ending>>,
}

impl Rest {
    /// Looks at what comes after the disk, to the archive's end.
    fn look(&mut self, archive: &mut Peek) -> Result<()> {
        archive.skip(self.next_header - archive.at())?;
        // As the disk has begun, there is no other to stop at.
        while !matches!(self.passing.go_on(archive)?, Stop::End) {}
        self.passing.chooser.end()?;
        archive.drain()
    }

    /// What there is to say when nothing was wrong.
    fn ending(self) -> Ending {
        let mut ending = self.passing.ending(&self.name);
        if self.passing.chooser.descriptor().is_some() {
            ending.notes.extend(self.passing.promised.notes());
        }
        ending
    }
}

impl Content {
    /// The disk that `entry` is, whose bytes come next. What there is to say at its end goes to `ending`.
    pub fn new(
        archive: Peek,
        entry: Entry,
        passing: Passing,
        ending: &Arc<OnceLock<Ending>>,
    ) -> Self {
        let next_header = archive.at().saturating_add(entry.rest);
        let Entry { name, size, segments, .. } = entry;
        let rest = Rest { passing, next_header, name, ending: Arc::clone(ending) };
        Self { archive, segments, next: 0, at: 0, size, rest: Some(rest) }
    }

    /// The stretch at `at`: how long, and whether it is stored.
    fn stretch(&mut self) -> (u64, bool) {
        while self.segments.get(self.next).is_some_and(|segment| segment.end() <= self.at) {
            self.next += 1;
        }
        match self.segments.get(self.next) {
            Some(segment) if segment.at <= self.at => (segment.end() - self.at, true),
            Some(segment) => (segment.at - self.at, false),
            None => (self.size - self.at, false),
        }
    }

    fn some(&mut self, buf: &mut [u8]) -> Result<usize> {
        let (length, stored) = self.stretch();
        let count = length.min(buf.len() as u64) as usize;
        if count == 0 {
            if length == 0 {
                self.end()?;
            }
            return Ok(0);
        }
        let part = &mut buf[..count];
        let count = if stored {
            self.archive.some(part)?
        } else {
            part.fill(0);
            count
        };
        if count == 0 {
            return Err(Damage::Short { at: self.archive.at() }.into());
        }
        if let Some(rest) = &mut self.rest {
            rest.passing.promised.update(&buf[..count]);
        }
        self.at += count as u64;
        Ok(count)
    }

    /// Reads the rest of the archive: what it is in may have a checksum at its end.
    fn end(&mut self) -> Result<()> {
        let Some(mut rest) = self.rest.take() else { return Ok(()) };
        rest.passing.promised.compare()?;
        rest.look(&mut self.archive)?;
        let ending = Arc::clone(&rest.ending);
        ending.get_or_init(|| rest.ending());
        Ok(())
    }
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.some(buf)?)
    }
}

impl Forward for Content {
    fn hole(&mut self) -> Result<u64> {
        match self.stretch() {
            (length, false) => {
                self.at += length;
                Ok(length)
            }
            (_, true) => Ok(0),
        }
    }
}
