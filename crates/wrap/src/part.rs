//! Bytes that are a part of others: a member of an archive.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Identity, Result, Run, Version};

use crate::segment::Segment;
use crate::xva::runs::Runs;

/// A member of an archive, by where its bytes are in the archive. What is nowhere is zeros.
#[derive(Clone)]
pub struct Part {
    name: String,
    base: Arc<dyn Bytes>,
    len: u64,
    places: Places,
}

/// Where the stored stretches of a member are.
#[derive(Clone)]
enum Places {
    /// In order, apart from one another or adjoining, none of them empty.
    Segments(Vec<Segment>),
    /// The same, of the disk of an XVA.
    Runs(Runs),
}

impl Part {
    /// A part of `base`, which messages call `name`. The segments are in order, and within `len`
    /// bytes here and within `base` there: whoever made them has seen to it.
    pub fn new(name: String, base: Arc<dyn Bytes>, len: u64, mut segments: Vec<Segment>) -> Self {
        segments.retain(|segment| segment.len > 0);
        debug_assert!(segments.windows(2).all(|pair| pair[0].end() <= pair[1].at));
        debug_assert!(
            segments.iter().all(|segment| {
                segment.end() <= len && segment.from + segment.len <= base.len()
            })
        );
        Self { name, base, len, places: Places::Segments(segments) }
    }

    /// The disk of an XVA.
    pub(crate) fn of_runs(name: String, base: Arc<dyn Bytes>, len: u64, runs: Runs) -> Self {
        Self { name, base, len, places: Places::Runs(runs) }
    }

    /// The segment that `at` is in, or the next one.
    fn segment(&self, at: u64) -> Option<Segment> {
        match &self.places {
            Places::Segments(segments) => {
                segments.get(segments.partition_point(|segment| segment.end() <= at)).copied()
            }
            Places::Runs(runs) => runs.segment(at),
        }
    }
}

/// # Errors
/// `Io` where not all of the `length` bytes at `at` are there.
pub(crate) fn check_within(bytes: &dyn Bytes, at: u64, length: usize) -> Result<()> {
    let length = length as u64;
    if at.checked_add(length).is_some_and(|end| end <= bytes.len()) {
        return Ok(());
    }
    let end = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    Err(Error::from(end).at("reading", at, length).in_file(bytes.name()))
}

impl Bytes for Part {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        check_within(self, at, buf.len())?;
        while !buf.is_empty() {
            let run = self.run_within(at, buf.len() as u64);
            let (part, rest) = buf.split_at_mut(run.length as usize);
            match self.origin(at, run.length).filter(|_| !run.hole) {
                Some((base, from)) => base.read_at(from, part)?,
                None => part.fill(0),
            }
            at += run.length;
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
        let run = self.run_within(at, limit);
        match self.origin(at, run.length).filter(|_| !run.hole) {
            // The archive may have holes of its own.
            Some((base, from)) => base.run(from, run.length),
            None => Ok(run),
        }
    }

    /// Of all of its base, it takes what that takes.
    fn allocated(&self) -> Option<u64> {
        self.segment(0).filter(|it| self.is_all(it)).and_then(|_| self.base.allocated())
    }

    fn origin(&self, at: u64, len: u64) -> Option<(&dyn Bytes, u64)> {
        let segment = self.segment(at).filter(|segment| segment.at <= at)?;
        let end = at.checked_add(len)?;
        (end <= segment.end()).then(|| (self.base.as_ref(), segment.from + (at - segment.at)))
    }

    /// All of its base is that.
    fn identity(&self) -> Identity {
        let first = self.segment(0);
        match first.filter(|it| self.is_all(it)) {
            Some(_) => self.base.identity(),
            None => self.base.identity().part(first.map_or(self.base.len(), |it| it.from)),
        }
    }

    fn version(&self) -> Option<Version> {
        self.base.version()
    }

    fn batch(&self) -> u64 {
        self.base.batch()
    }

    fn will_need(&self, mut at: u64, len: u64) {
        let end = at.saturating_add(len).min(self.len);
        while let Some(segment) = self.segment(at).filter(|segment| segment.at.max(at) < end) {
            at = at.max(segment.at);
            let here = segment.end().min(end) - at;
            self.base.will_need(segment.from + (at - segment.at), here);
            at += here;
        }
    }
}

impl Part {
    /// Whether this segment, its first one, is all of its base.
    fn is_all(&self, first: &Segment) -> bool {
        first.from == 0 && first.len == self.base.len()
    }

    /// The run at `at`, within one segment or between two.
    fn run_within(&self, at: u64, limit: u64) -> Run {
        match self.segment(at) {
            Some(segment) if segment.at <= at => {
                Run { length: limit.min(segment.end() - at), hole: false }
            }
            Some(segment) => Run { length: limit.min(segment.at - at), hole: true },
            None => Run { length: limit, hole: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_testkit::{Hinted, Told};

    use super::*;

    fn part() -> Part {
        let base: Arc<dyn Bytes> = Arc::new(b"0123456789".to_vec());
        let segments = vec![
            Segment { at: 2, len: 3, from: 4 },
            Segment { at: 5, len: 0, from: 9 },
            Segment { at: 5, len: 1, from: 0 },
            Segment { at: 8, len: 2, from: 8 },
        ];
        Part::new("a.tar/b".into(), base, 12, segments)
    }

    #[test]
    fn it_reads_its_segments_and_zeros_between() {
        let whole = [&[0; 2][..], b"4560", &[0; 2], b"89", &[0; 2]].concat();
        for at in 0..12 {
            for len in 0..=12 - at {
                let mut buf = vec![0xee; len];
                part().read_at(at as u64, &mut buf).unwrap();
                assert_eq!(buf, &whole[at..at + len], "{len} bytes at {at}");
            }
        }
        assert!(part().read_at(12, &mut [0]).is_err());
        assert!(part().read_at(u64::MAX, &mut [0]).is_err());
    }

    #[test]
    fn its_runs_tile_it_and_tell_where_they_are() {
        let mut at = 0;
        let mut runs = Vec::new();
        while at < 12 {
            let run = part().run(at, 12 - at).unwrap();
            runs.push((run.length, run.hole, part().origin(at, run.length).map(|(_, from)| from)));
            at += run.length;
        }
        let expected = [
            (2, true, None),
            (3, false, Some(4)),
            (1, false, Some(0)),
            (2, true, None),
            (2, false, Some(8)),
            (2, true, None),
        ];
        assert_eq!(runs, expected);
        assert!(part().origin(4, 2).is_none());
    }

    #[test]
    fn it_hands_on_to_its_base_what_is_asked_and_told() {
        let base = Arc::new(Hinted::new(Arc::new(vec![0; 100]), 7));
        let whole = base.identity();
        let of = |segments: &[(u64, u64, u64)], len| {
            let segments = segments.iter().map(|&(at, len, from)| Segment { at, len, from });
            Part::new("a".into(), Arc::clone(&base) as Arc<dyn Bytes>, len, segments.collect())
        };
        let part = of(&[(2, 3, 40), (5, 1, 10), (8, 2, 80)], 12);
        assert_eq!((part.batch(), part.version()), (7, base.version()));
        for (at, len) in [(3, 6), (0, u64::MAX), (6, 2), (10, 2), (12, 1)] {
            part.will_need(at, len);
        }
        let told = [(41, 2), (10, 1), (80, 1), (40, 3), (10, 1), (80, 2)];
        assert_eq!(base.told(), told.map(|(at, len)| Told::Hint(at, len)));
        assert_eq!(part.identity(), whole.clone().part(40));
        assert_eq!(of(&[], 5).identity(), whole.clone().part(100));
        assert_eq!(of(&[(0, 100, 0)], 100).identity(), whole);
    }

    #[test]
    fn it_shows_what_its_base_shows() {
        let mut seen = Vec::new();
        assert!(part().view(3, 2, &mut |bytes| seen.extend_from_slice(bytes)));
        assert_eq!(seen, b"56");
        assert!(!part().view(0, 3, &mut |_| unreachable!()));
    }
}
