//! The headers of an archive, one after another.

use diskferry_block_stream::{Budget, Error, Limits, Result, Spent};

use super::block::{BLOCK, Block, check_sum, name, number, padded, text};
use super::entry::{Entry, Kind};
use super::extended::{Extended, Sparse};
use super::sparse::{Lines, Map, segments};
use crate::damage::Damage;
use crate::peek::Ahead;
use crate::segment::Segment;

/// A walk through the headers of an archive.
pub(crate) struct Headers {
    budget: Budget,
    /// What the maps of sparse members take.
    pub maps: Spent,
    /// Headers that there may be.
    left: u32,
    /// Headers that there might be before the last member came.
    left_before: u32,
    /// Where the archive ended, if it did without an end mark: then nobody knows whether it was cut there.
    pub unmarked: Option<u64>,
}

impl Headers {
    pub fn new(budget: &Budget) -> Self {
        let left = budget.limits().members;
        Self {
            budget: budget.clone(),
            maps: budget.nothing(),
            left,
            left_before: left,
            unmarked: None,
        }
    }

    /// Does not count the last member, as something else bounds how many of its kind there are. Where
    /// extended headers are in front of it, they are.
    pub fn uncount(&mut self) {
        self.left = self.left_before.min(self.left + 1);
    }

    /// The next member; the source is then at its data, and is at the next header when called again.
    ///
    /// # Errors
    /// `Damaged`, `Limit`, `Unsupported` for an archive in several volumes.
    pub fn next(&mut self, source: &mut dyn Ahead) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        self.left_before = self.left;
        loop {
            let at = source.at();
            let seen = source.peek(BLOCK as usize)?;
            let is_something = at > 0 || !seen.is_empty();
            if is_something && seen.iter().all(|byte| *byte == 0) {
                self.unmarked = (seen.len() < BLOCK as usize).then_some(at);
                return match extended.at {
                    None => Ok(None),
                    Some(at) => Err(Damage::Orphan { at }.into()),
                };
            }
            let Some(block) = seen.first_chunk::<{ BLOCK as usize }>().copied() else {
                return Err(Damage::Short { at: at + seen.len() as u64 }.into());
            };
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let most = self.budget.limits().members;
                Limits::reached("members", format!("an archive of more than {most} members"))
            })?;
            check_sum(&block, at)?;
            source.skip(BLOCK)?;
            let size = number(&block[124..136]).ok_or(Damage::Number { at, field: "size" })?;
            match block[156] {
                b'x' => extended.records(at, &self.take(source, size, "an extended header")?)?,
                b'L' => {
                    let name = self.take(source, size, "a long name")?;
                    (extended.at, extended.name) = (Some(at), Some(text(&name)));
                }
                // What holds for all members.
                b'g' => source.skip(padded(size, at)?)?,
                // The long name of a link's target.
                b'K' => {
                    source.skip(padded(size, at)?)?;
                    extended.at = Some(at);
                }
                b'M' => return Err(Error::unsupported("a tar archive in several volumes")),
                kind => return self.entry(at, &block, kind, size, extended, source).map(Some),
            }
        }
    }

    /// The data of a member that is a part of the headers.
    fn take(&self, source: &mut dyn Ahead, size: u64, what: &'static str) -> Result<Vec<u8>> {
        let at = source.at();
        if size > EXTENDED_MAX {
            return Err(Error::limit(format!("{what} of {size} bytes in a tar archive")));
        }
        let spent = self.budget.spend(what, size)?;
        let mut data = vec![0; spent.bytes()];
        source.fill(&mut data)?;
        source.skip(padded(size, at)? - size)?;
        Ok(data)
    }

    fn entry(
        &mut self,
        at: u64,
        block: &Block,
        kind: u8,
        size: u64,
        extended: Extended,
        source: &mut dyn Ahead,
    ) -> Result<Entry> {
        let tar_kind = Kind::of(block, extended.has_records);
        let written = extended.name.unwrap_or_else(|| name(block));
        let name = written.trim_start_matches("./").to_owned();
        let is_dotted = name.len() < written.len();
        // Of links, devices and folders there are no data, whatever their size is said to be.
        let stored = if (b'1'..=b'6').contains(&kind) { 0 } else { extended.size.unwrap_or(size) };
        let rest = padded(stored, at)?;
        let is_file = matches!(kind, b'0' | 0 | b'7' | b'S') && !name.ends_with('/');
        let in_data = matches!(extended.sparse, Sparse::InData { .. }) && kind != b'S';
        let (size, map) = match (kind, extended.sparse) {
            (b'S', _) => {
                let real = number(&block[483..495]);
                let real = real.ok_or(Damage::Number { at, field: "real size" })?;
                (real, Some(self.old_map(at, block, source)?))
            }
            (_, Sparse::None) => (stored, None),
            (_, Sparse::Map { entries, size }) => {
                let missing = Damage::Map { at, problem: "has no size" };
                (size.ok_or(missing)?, Some(entries))
            }
            (_, Sparse::InData { size }) => {
                let missing = Damage::Map { at, problem: "has no size" };
                (size.ok_or(missing)?, Some(self.map_in_data(at, source)?))
            }
        };
        let begun = source.at();
        // The map at the front of the data is a part of them; the blocks after an old header are not.
        let before = if in_data { begun - (at + BLOCK) } else { 0 };
        let too_long = || Damage::Map { at, problem: "is longer than the member" };
        let rest = rest.checked_sub(before).ok_or_else(too_long)?;
        let stored = stored.checked_sub(before).ok_or_else(too_long)?;
        begun.checked_add(rest).ok_or(Damage::Number { at, field: "size" })?;
        let segments = match map {
            None => vec![Segment { at: 0, len: stored, from: begun }],
            Some(map) => segments(at, &map, size, stored, begun)?,
        };
        Ok(Entry { name, is_dotted, is_file, size, segments, rest, kind: tar_kind })
    }

    /// The map in an old GNU header and the blocks after it.
    fn old_map(&mut self, at: u64, block: &Block, source: &mut dyn Ahead) -> Result<Map> {
        let mut map = Map::new();
        let mut more = self.old_entries(at, &block[386..482], &mut map)? && block[482] != 0;
        while more {
            let mut block: Block = [0; BLOCK as usize];
            source.fill(&mut block)?;
            more = self.old_entries(at, &block[..504], &mut map)? && block[504] != 0;
        }
        Ok(map)
    }

    /// Adds entries up to the first that is none; says whether all were some.
    fn old_entries(&mut self, at: u64, entries: &[u8], map: &mut Map) -> Result<bool> {
        for entry in entries.chunks_exact(24) {
            if entry[12] == 0 {
                return Ok(false);
            }
            let field = "map";
            let offset = number(&entry[..12]).ok_or(Damage::Number { at, field })?;
            let length = number(&entry[12..]).ok_or(Damage::Number { at, field })?;
            self.add(map, offset, length)?;
        }
        Ok(true)
    }

    /// The map of version 1.0, in front of the data: lines of decimal numbers, to a whole block.
    fn map_in_data(&mut self, at: u64, source: &mut dyn Ahead) -> Result<Map> {
        let mut lines = Lines::new(at);
        let mut map = Map::new();
        for _ in 0..lines.number(source)? {
            let (offset, length) = (lines.number(source)?, lines.number(source)?);
            self.add(&mut map, offset, length)?;
        }
        Ok(map)
    }

    fn add(&mut self, map: &mut Map, offset: u64, length: u64) -> Result<()> {
        self.maps.more("a sparse member's map", size_of::<Segment>() as u64)?;
        map.push((offset, length));
        Ok(())
    }
}

/// Bytes of an extended header. Those with a map of version 0.1 are the longest: GNU tar no longer
/// writes them.
const EXTENDED_MAX: u64 = 16 << 20;
