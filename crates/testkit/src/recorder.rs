//! An output in memory, that notices what a file would swallow.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diskferry_block_stream::{Bytes, Error, Result, Run};
use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_engine::{Job, Output, Storage, WriteOrder};

use crate::random::mix;

/// An output that keeps what it is given, and complains about what no output should be given:
/// bytes written twice, bytes out of order where order matters, bytes past the end.
pub struct Recorder {
    forward_only: bool,
    /// Seed of what was there before; without one, the output starts as zeros.
    garbage: Option<u64>,
    copying: Copying,
    state: Mutex<State>,
}

/// What a recorder does when it is asked to copy as a kernel would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copying {
    /// It refuses.
    #[default]
    Refused,
    /// It copies all.
    Whole,
    /// It copies the first half, as a kernel may.
    Half,
}

/// What a recorder was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of [`Output::write_at`].
    pub writes: u64,
    /// Bytes written by them.
    pub written: u64,
    /// Calls of [`Output::zero`].
    pub zeros: u64,
    /// Bytes copied by [`Storage::copy_from`](diskferry_engine::Storage::copy_from).
    pub copied: u64,
    /// Lengths given to [`Storage::allocate`](diskferry_engine::Storage::allocate).
    pub allocated: Vec<u64>,
    /// Lengths given to [`Storage::fill`](diskferry_engine::Storage::fill).
    pub filled: Vec<u64>,
    /// Lengths given to [`Output::finish`].
    pub finished: Vec<u64>,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Arc<Page>>,
    written: Ranges,
    zeroed: Ranges,
    /// How far a forward-only output has come.
    passed: u64,
    log: Vec<(u64, u64)>,
    counts: Counts,
    problems: Vec<String>,
}

type Page = [u8; PAGE as usize];

/// Small enough that scattered tables stay cheap.
const PAGE: u64 = 4096;

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder like a new file: written in any order, zeros where nothing was written.
    pub fn new() -> Self {
        Self {
            forward_only: false,
            garbage: None,
            copying: Copying::Refused,
            state: Mutex::default(),
        }
    }

    /// A recorder like a pipe.
    pub fn forward_only() -> Self {
        Self { forward_only: true, ..Self::new() }
    }

    /// A recorder like a used device: full of other bytes.
    pub fn garbage(seed: u64) -> Self {
        Self { garbage: Some(seed), ..Self::new() }
    }

    /// The same, with another answer to [`Storage::copy_from`](diskferry_engine::Storage::copy_from).
    #[must_use]
    pub fn copying(self, copying: Copying) -> Self {
        Self { copying, ..self }
    }

    /// Whether it is like a pipe.
    pub fn is_forward_only(&self) -> bool {
        self.forward_only
    }

    /// What was asked of it so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Every write, copies too: offset and length, in the order they came.
    pub fn log(&self) -> Vec<(u64, u64)> {
        self.lock().log.clone()
    }

    /// What was wrong with what was asked.
    pub fn problems(&self) -> Vec<String> {
        let state = self.lock();
        let mut problems = state.problems.clone();
        let end = state.written.end().max(state.zeroed.end());
        match state.counts.finished[..] {
            [] => problems.push("never finished".into()),
            [len] if end > len => {
                problems.push(format!("finished with {len:#x} bytes, but written up to {end:#x}"))
            }
            [_] => {}
            _ => problems.push(format!("finished more than once: {:?}", state.counts.finished)),
        }
        problems
    }

    /// The parts of the finished file that were neither written nor made zero.
    pub fn untouched(&self) -> Vec<Range<u64>> {
        let state = self.lock();
        let len = state.counts.finished.last().copied().unwrap_or(0);
        let mut touched = state.written.clone();
        for range in state.zeroed.iter() {
            touched.insert(range);
        }
        touched.gaps(len)
    }

    /// The file as it was finished.
    ///
    /// # Panics
    /// When it was not.
    pub fn recorded(&self) -> Arc<Recorded> {
        let state = self.lock();
        let len = *state.counts.finished.last().expect("the output was finished");
        Arc::new(Recorded {
            len,
            pages: state.pages.clone(),
            base: Base { garbage: self.garbage, zeroed: state.zeroed.clone() },
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a problem, and makes the job fail by it.
    fn complain(state: &mut State, problem: String) -> Error {
        state.problems.push(problem.clone());
        Error::misuse(problem).in_file("recorder")
    }

    /// Checks a range that is about to be written or zeroed.
    fn admit(&self, state: &mut State, doing: &str, at: u64, len: u64) -> Result<()> {
        let Some(end) = at.checked_add(len) else {
            return Err(Self::complain(
                state,
                format!("{doing} {len} bytes at {at:#x}: no such place"),
            ));
        };
        if !state.counts.finished.is_empty() && len > 0 {
            return Err(Self::complain(
                state,
                format!("{doing} {len} bytes at {at:#x} after the finish"),
            ));
        }
        if self.forward_only && at < state.passed {
            let passed = state.passed;
            let problem =
                format!("{doing} {len} bytes at {at:#x} goes back, {passed:#x} is passed");
            return Err(Self::complain(state, problem));
        }
        state.passed = state.passed.max(end);
        let again = state.written.overlap(at, end).or_else(|| state.zeroed.overlap(at, end));
        if let Some(again) = again {
            let problem = format!(
                "{doing} {len} bytes at {at:#x} overlaps what was written at {:#x}..{:#x}",
                again.start, again.end
            );
            return Err(Self::complain(state, problem));
        }
        Ok(())
    }

    fn put(&self, state: &mut State, mut at: u64, mut bytes: &[u8]) {
        let base = Base { garbage: self.garbage, zeroed: Ranges::default() };
        while !bytes.is_empty() {
            let (number, skip) = (at / PAGE, (at % PAGE) as usize);
            let (part, rest) = bytes.split_at(bytes.len().min(PAGE as usize - skip));
            let zeroed = &state.zeroed;
            let page = state.pages.entry(number).or_insert_with(|| {
                let mut page = [0; PAGE as usize];
                base.fill_with(zeroed, number * PAGE, &mut page);
                Arc::new(page)
            });
            Arc::make_mut(page)[skip..][..part.len()].copy_from_slice(part);
            at += part.len() as u64;
            bytes = rest;
        }
    }
}

impl Output for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn order(&self) -> WriteOrder {
        if self.forward_only { WriteOrder::Forward } else { WriteOrder::Any }
    }

    fn starts_zero(&self) -> bool {
        self.garbage.is_none()
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.lock();
        let len = bytes.len() as u64;
        self.admit(&mut state, "writing", at, len)?;
        state.counts.writes += 1;
        state.counts.written += len;
        state.log.push((at, len));
        state.written.insert(at..at + len);
        self.put(&mut state, at, bytes);
        Ok(())
    }

    fn zero(&self, at: u64, len: u64) -> Result<()> {
        let mut state = self.lock();
        self.admit(&mut state, "zeroing", at, len)?;
        state.counts.zeros += 1;
        state.zeroed.insert(at..at + len);
        let (first, last) = (at / PAGE, (at + len).div_ceil(PAGE));
        for (number, page) in state.pages.range_mut(first..last) {
            let from = at.max(number * PAGE) - number * PAGE;
            let to = (at + len).min((number + 1) * PAGE) - number * PAGE;
            Arc::make_mut(page)[from as usize..to as usize].fill(0);
        }
        Ok(())
    }

    fn finish(&self, len: u64, _job: &Job) -> Result<()> {
        self.lock().counts.finished.push(len);
        Ok(())
    }

    fn storage(&self) -> Option<&dyn Storage> {
        (!self.forward_only).then_some(self as &dyn Storage)
    }
}

impl Storage for Recorder {
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64> {
        let len = match self.copying {
            Copying::Refused => return Ok(0),
            Copying::Whole => len,
            Copying::Half => len / 2,
        };
        let mut bytes = vec![0; len as usize];
        source.read_at(from, &mut bytes)?;
        let mut state = self.lock();
        self.admit(&mut state, "copying", at, len)?;
        state.counts.copied += len;
        state.log.push((at, len));
        state.written.insert(at..at + len);
        self.put(&mut state, at, &bytes);
        Ok(len)
    }

    fn shares(&self, _source: &dyn Bytes) -> bool {
        false
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.lock().counts.allocated.push(len);
        Ok(())
    }

    fn fill(&self, len: u64, _job: &Job) -> Result<()> {
        self.lock().counts.filled.push(len);
        Ok(())
    }
}

/// What a [`Recorder`] holds, to be read back.
pub struct Recorded {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
    base: Base,
}

impl Recorded {
    /// Offset of the first byte that is not the same in `other`; a missing byte differs.
    pub fn first_difference(&self, other: &Self) -> Option<u64> {
        let shared = self.len.min(other.len);
        let numbers = self.pages.keys().chain(other.pages.keys());
        let mut numbers: Vec<u64> = numbers.copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let content = numbers.into_iter().find_map(|number| {
            let (mine, theirs) = (self.page(number), other.page(number));
            let found = mine.iter().zip(theirs.iter()).position(|(a, b)| a != b)?;
            Some(number * PAGE + found as u64).filter(|at| *at < shared)
        });
        content.or((self.len != other.len).then_some(shared))
    }

    /// The SHA-256 of its length and of all that is not zero in it, in hexadecimal: the same for
    /// the same bytes, and quick for a file of any length.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new(Algorithm::Sha256);
        digest.update(&self.len.to_le_bytes());
        for (number, page) in &self.pages {
            if page.iter().any(|byte| *byte != 0) {
                digest.update(&number.to_le_bytes());
                digest.update(&page[..]);
            }
        }
        digest.finish()
    }

    /// All its bytes.
    ///
    /// # Panics
    /// When they are more than a test should hold in memory.
    pub fn to_vec(&self) -> Vec<u8> {
        assert!(self.len <= 512 << 20, "{} recorded bytes are too many for memory", self.len);
        let mut bytes = vec![0; self.len as usize];
        self.read_at(0, &mut bytes).expect("all of the file is within the file");
        bytes
    }

    fn page(&self, number: u64) -> Arc<Page> {
        self.pages.get(&number).map_or_else(
            || {
                let mut page = [0; PAGE as usize];
                self.base.fill(number * PAGE, &mut page);
                Arc::new(page)
            },
            Arc::clone,
        )
    }
}

impl Bytes for Recorded {
    fn name(&self) -> &str {
        "recorded"
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        if at.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(Error::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
                .at("reading", at, buf.len() as u64)
                .in_file(self.name()));
        }
        while !buf.is_empty() {
            let (number, skip) = (at / PAGE, (at % PAGE) as usize);
            let (part, rest) = buf.split_at_mut(buf.len().min(PAGE as usize - skip));
            match self.pages.get(&number) {
                Some(page) => part.copy_from_slice(&page[skip..][..part.len()]),
                None => self.base.fill(at, part),
            }
            at += part.len() as u64;
            buf = rest;
        }
        Ok(())
    }

    /// Only what lies within one page is in memory as one slice.
    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        let (number, skip) = (at / PAGE, (at % PAGE) as usize);
        if at.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        let part = self.pages.get(&number).and_then(|page| page[skip..].get(..len));
        part.map(see).is_some()
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        let end = at.saturating_add(limit).min(self.len);
        let first = at / PAGE;
        let next = self.pages.range(first..).map(|(number, _)| *number);
        let hole = self.base.garbage.is_none() && !self.pages.contains_key(&first);
        let until = if hole {
            next.take(1).last().map_or(end, |number| number * PAGE)
        } else if self.base.garbage.is_some() {
            end
        } else {
            let held = next.zip(first..).take_while(|(number, expected)| number == expected);
            held.last().map_or(end, |(number, _)| (number + 1) * PAGE)
        };
        Ok(Run { length: until.min(end) - at, hole })
    }

    fn allocated(&self) -> Option<u64> {
        Some(self.pages.len() as u64 * PAGE)
    }
}

/// What is there before anything is written.
struct Base {
    garbage: Option<u64>,
    zeroed: Ranges,
}

impl Base {
    fn fill(&self, at: u64, buf: &mut [u8]) {
        self.fill_with(&self.zeroed, at, buf);
    }

    fn fill_with(&self, zeroed: &Ranges, at: u64, buf: &mut [u8]) {
        let Some(seed) = self.garbage else { return buf.fill(0) };
        for (byte, at) in buf.iter_mut().zip(at..) {
            *byte = mix(seed ^ (at / 8)).to_le_bytes()[(at % 8) as usize] | 1;
        }
        let end = at + buf.len() as u64;
        for range in zeroed.within(at, end) {
            let range = range.start.max(at) - at..range.end.min(end) - at;
            buf[range.start as usize..range.end as usize].fill(0);
        }
    }
}

/// Ranges that neither overlap nor touch, by their starts.
#[derive(Clone, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    fn end(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// The ranges that have bytes in common with this one.
    fn within(&self, start: u64, end: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self.0.range(..start).next_back().filter(|(_, until)| **until > start);
        let after = if start < end { Some(self.0.range(start..end)) } else { None };
        before
            .into_iter()
            .filter(move |_| start < end)
            .chain(after.into_iter().flatten())
            .map(|(start, end)| *start..*end)
    }

    fn overlap(&self, start: u64, end: u64) -> Option<Range<u64>> {
        self.within(start, end).next()
    }

    fn insert(&mut self, Range { mut start, mut end }: Range<u64>) {
        if start >= end {
            return;
        }
        if let Some((before, until)) = self.0.range(..=start).next_back()
            && *until >= start
        {
            start = *before;
            end = end.max(*until);
        }
        let swallowed: Vec<u64> = self.0.range(start..=end).map(|(start, _)| *start).collect();
        for inner in swallowed {
            end = end.max(self.0.remove(&inner).unwrap_or(end));
        }
        self.0.insert(start, end);
    }

    fn gaps(&self, len: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in self.iter().chain(std::iter::once(len..len)) {
            let start = range.start.min(len);
            if at < start {
                gaps.push(at..start);
            }
            at = at.max(range.end);
        }
        gaps
    }
}

/// An output that keeps nothing, for tests of memory and speed.
#[derive(Debug, Default)]
pub struct Discard;

impl Output for Discard {
    fn name(&self) -> &str {
        "nowhere"
    }

    fn starts_zero(&self) -> bool {
        true
    }

    fn write_at(&self, _at: u64, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    fn zero(&self, _at: u64, _len: u64) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _len: u64, _job: &Job) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn it_gives_back_what_was_written() {
        for garbage in [None, Some(4)] {
            let recorder = garbage.map_or_else(Recorder::new, Recorder::garbage);
            let mut model = vec![0xaa_u8; 300_000];
            if let Some(seed) = garbage {
                Base { garbage: Some(seed), zeroed: Ranges::default() }.fill(0, &mut model);
            } else {
                model.fill(0);
            }
            let mut random = Random::new(1);
            let mut at = 0;
            while at < model.len() {
                let len = random.length((model.len() - at) as u64).min(20_000) as usize;
                let part = &mut model[at..at + len];
                match random.below(3) {
                    0 => {
                        part.fill(at as u8);
                        recorder.write_at(at as u64, part).unwrap();
                    }
                    1 => {
                        part.fill(0);
                        recorder.zero(at as u64, len as u64).unwrap();
                    }
                    _ => {}
                }
                at += len;
            }
            recorder.lock().counts.finished.push(model.len() as u64);
            assert_eq!(recorder.problems(), [""; 0]);
            assert!(recorder.recorded().to_vec() == model);
            let touched: u64 = recorder.untouched().iter().map(|gap| gap.end - gap.start).sum();
            assert!(touched > 0 && touched < model.len() as u64);
        }
    }

    #[test]
    fn runs_tell_where_pages_are() {
        let recorder = Recorder::new();
        recorder.write_at(2 * PAGE + 5, &[1; PAGE as usize]).unwrap();
        recorder.write_at(1 << 46, &[1]).unwrap();
        recorder.lock().counts.finished.push(1 << 47);
        let file = recorder.recorded();
        let run = |at, limit| file.run(at, limit).unwrap();
        assert_eq!(run(1, u64::MAX), Run { length: 2 * PAGE - 1, hole: true });
        assert_eq!(run(1, 7), Run { length: 7, hole: true });
        assert_eq!(run(2 * PAGE + 1, u64::MAX), Run { length: 2 * PAGE - 1, hole: false });
        assert_eq!(run(4 * PAGE, u64::MAX).length, (1 << 46) - 4 * PAGE);
        assert_eq!(run((1 << 46) + PAGE, u64::MAX).length, (1 << 46) - PAGE);
    }

    #[test]
    fn it_complains() {
        let twice = Recorder::new();
        twice.write_at(100, &[1; 10]).unwrap();
        twice.write_at(110, &[1; 10]).unwrap();
        twice.write_at(90, &[1; 10]).unwrap();
        for (at, len) in [(90, 1), (119, 1), (80, 11), (0, 1000), (105, 10)] {
            assert!(twice.write_at(at, &vec![0; len]).is_err(), "{at} {len}");
            assert!(twice.zero(at, len as u64).is_err(), "{at} {len}");
        }
        assert!(twice.write_at(120, &[]).is_ok());
        let back = Recorder::forward_only();
        back.write_at(100, &[1; 10]).unwrap();
        assert!(back.write_at(50, &[1]).is_err());
        assert!(back.problems()[0].contains("goes back"));
    }

    #[test]
    fn differences_are_found_wherever_they_are() {
        let file = |len: u64, writes: &[(u64, u8)]| {
            let recorder = Recorder::new();
            for (at, byte) in writes {
                recorder.write_at(*at, &[*byte]).unwrap();
            }
            recorder.lock().counts.finished.push(len);
            recorder.recorded()
        };
        let one = file(1 << 40, &[(5, 1), (1 << 39, 2)]);
        for (other, difference) in [
            (file(1 << 40, &[(5, 1), (1 << 39, 2), (1 << 30, 0)]), None),
            (file(1 << 40, &[(5, 1)]), Some(1 << 39)),
            (file(1 << 40, &[(1 << 39, 2)]), Some(5)),
            (file(1 << 41, &[(5, 1), (1 << 39, 2)]), Some(1 << 40)),
        ] {
            assert_eq!(one.first_difference(&other), difference);
            assert_eq!(other.first_difference(&one), difference);
            assert_eq!(one.digest() == other.digest(), difference.is_none());
        }
    }
}
