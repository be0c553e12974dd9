//! The laws of reading.

use diskferry_block_stream::{Cursor, Disk, Error, Extent, Kind};

use super::show;
use crate::{Model, Random};

/// A disk is its model: its extents tile it and tell the truth, whatever the limit and wherever
/// they are asked from; and every slicing, on one thread or on seven, reads the same bytes.
///
/// Small disks are looked at whole, large ones around every edge of the model.
///
/// # Panics
/// When the disk is not its model.
pub fn reading(disk: &dyn Disk, model: &Model) {
    crate::within(super::LIMIT, &format!("reading a {model}"), || {
        assert_eq!(disk.size(), model.size(), "{model}: the size");
        assert!(disk.grain() > 0, "{model}: the grain");
        let law = Law { disk, model, edges: edges(disk, model) };
        let map = law.map();
        law.limits(&map);
        law.slices();
        law.threads();
    });
}

/// As [`reading`], but with one slicing only: for what is read many times.
pub(super) fn content(disk: &dyn Disk, model: &Model) {
    assert_eq!(disk.size(), model.size(), "{model}: the size");
    let law = Law { disk, model, edges: edges(disk, model) };
    law.map();
    let mut cursor = law.cursor();
    if disk.size() <= SMALL {
        for at in (0..disk.size()).step_by(100_003) {
            law.slice(cursor.as_mut(), at, 100_003);
        }
        return;
    }
    for &edge in &law.edges {
        law.slice(cursor.as_mut(), edge.saturating_sub(1000), 3000);
    }
}

struct Law<'a> {
    disk: &'a dyn Disk,
    model: &'a Model,
    /// Offsets worth a look.
    edges: Vec<u64>,
}

/// Where something may begin or end: parts of the model, grains of the disk, the disk itself.
fn edges(disk: &dyn Disk, model: &Model) -> Vec<u64> {
    let size = disk.size();
    let parts = model.parts();
    // A fragmented model has more edges than need a look.
    let step = parts.len().div_ceil(64).max(1);
    let mut edges: Vec<u64> = parts.iter().step_by(step).map(|part| part.at).collect();
    edges.extend(parts.iter().map(|part| part.end() - part.end() % disk.grain()).step_by(step));
    edges.extend([size / 2, size / 3, size]);
    edges.sort_unstable();
    edges.dedup();
    edges
}

impl Law<'_> {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        self.expect("a cursor", self.disk.cursor())
    }

    fn expect<T>(&self, what: &str, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| panic!("{}: {what}: {error}", self.model))
    }

    /// All extents, asked without a limit.
    fn map(&self) -> Vec<(u64, Extent)> {
        let map = self.walk(0, u64::MAX, MAP_STEPS);
        for (at, extent) in &map {
            self.truth(*at, *extent);
        }
        map
    }

    /// Successive extents from `from` on, at most `steps` of them.
    fn walk(&self, from: u64, limit: u64, steps: usize) -> Vec<(u64, Extent)> {
        let mut cursor = self.cursor();
        let (mut at, size) = (from, self.disk.size());
        let mut map = Vec::new();
        while at < size && map.len() < steps {
            let limit = limit.min(size - at);
            let what = format!("the extent at {at:#x} of at most {limit}");
            let extent = self.expect(&what, cursor.extent(at, limit));
            let length = extent.length;
            assert!((1..=limit).contains(&length), "{}: {what}: it has {length} bytes", self.model);
            map.push((at, extent));
            at += length;
        }
        map
    }

    /// What an extent says is so.
    fn truth(&self, at: u64, Extent { length, kind }: Extent) {
        let what = format!("{}: the extent at {at:#x} of {length} bytes, {kind:?}", self.model);
        match kind {
            Kind::Absent | Kind::Zero => {
                if let Some(place) = self.model.first_non_zero(at, length) {
                    panic!("{what}: the byte at {place:#x} is not zero");
                }
            }
            Kind::Data { .. } => {}
            Kind::Plain { file, offset } => {
                let files = self.disk.files();
                let bytes = files.get(file as usize);
                let bytes = bytes.unwrap_or_else(|| panic!("{what}: of {} files", files.len()));
                let end = offset.checked_add(length);
                assert!(
                    end.is_some_and(|end| end <= bytes.len()),
                    "{what}: past the end of the file, {:#x}",
                    bytes.len()
                );
                // The ends of a long run say enough.
                let tail = length.saturating_sub(WINDOW).max(WINDOW.min(length));
                for (from, to) in [(0, length.min(WINDOW)), (tail, length)] {
                    let mut found = vec![0; (to - from) as usize];
                    self.expect(&what, bytes.read_at(offset + from, &mut found));
                    same(&what, at + from, &found, &self.model.bytes(at + from, found.len()));
                }
            }
        }
    }

    /// Other limits and other starts show the same map.
    fn limits(&self, map: &[(u64, Extent)]) {
        let grain = self.disk.grain();
        let limits = [1, 511, 4097, grain, grain + 1, 3 * grain - 1, u64::MAX];
        for &edge in &self.edges {
            for limit in limits {
                for from in [edge.saturating_sub(2), edge.saturating_sub(limit.min(grain) / 2 + 1)]
                {
                    for (at, extent) in self.walk(from, limit, LIMIT_STEPS) {
                        self.agrees(map, at, extent);
                    }
                }
            }
        }
    }

    /// The extent at `at` is a part of what the map without limits has there.
    fn agrees(&self, map: &[(u64, Extent)], at: u64, found: Extent) {
        let last = at + found.length - 1;
        for place in [at, last] {
            let index = map.partition_point(|(at, _)| *at <= place) - 1;
            let (start, known) = map[index];
            if place >= start + known.length {
                // The walk without limits was given up before this.
                return;
            }
            let agree = match (known.kind, found.kind) {
                (Kind::Plain { file, offset }, Kind::Plain { file: other, offset: begin }) => {
                    file == other && offset + (place - start) == begin + (place - at)
                }
                (known, found) => known == found,
            };
            assert!(
                agree,
                "{}: the extent at {at:#x} is {found:?}, but without a limit, at {start:#x}, {known:?}",
                self.model
            );
        }
    }

    fn slices(&self) {
        let size = self.disk.size();
        let mut cursor = self.cursor();
        if size <= SMALL {
            self.slice(cursor.as_mut(), 0, size as usize);
            for len in [511, 4096, 100_003] {
                for at in (0..size).step_by(len) {
                    self.slice(cursor.as_mut(), at, len);
                }
            }
        }
        let grain = self.disk.grain().min(WINDOW);
        for &edge in &self.edges {
            for (before, len) in [(1, 2), (511, 1024), (grain, 2 * grain + 1), (3, 65_541)] {
                self.slice(cursor.as_mut(), edge.saturating_sub(before), len as usize);
            }
            for at in edge.saturating_sub(20)..edge + 20 {
                self.slice(cursor.as_mut(), at, 1);
            }
        }
        // Backwards, with the extents asked in between.
        for &edge in self.edges.iter().rev().filter(|edge| **edge < size) {
            self.expect("an extent", cursor.extent(edge, 1));
            self.slice(cursor.as_mut(), edge, 5000);
        }
    }

    /// Reads what of these bytes is within the disk.
    fn slice(&self, cursor: &mut (dyn Cursor + '_), at: u64, len: usize) {
        let len = (len as u64).min(self.disk.size().saturating_sub(at)) as usize;
        if len == 0 {
            return;
        }
        let mut found = vec![0xa5; len];
        let what = format!("{}: reading {len} bytes at {at:#x}", self.model);
        if let Err(error) = cursor.read(at, &mut found) {
            panic!("{what}: {error}");
        }
        same(&what, at, &found, &self.model.bytes(at, len));
    }

    /// Seven cursors on seven threads, each in an order of its own.
    fn threads(&self) {
        std::thread::scope(|scope| {
            for thread in 0..7 {
                scope.spawn(move || {
                    let mut random = Random::new(self.model.seed() ^ thread);
                    let mut cursor = self.cursor();
                    for _ in 0..40 {
                        let at = random.pick(&self.edges).saturating_sub(random.length(1 << 17));
                        self.slice(cursor.as_mut(), at, random.length(1 << 18) as usize);
                    }
                });
            }
        });
    }
}

/// Disks up to this size are read whole.
const SMALL: u64 = 24 << 20;

/// Bytes looked at where all would be too many.
const WINDOW: u64 = 4 << 20;

/// Extents asked for without a limit.
const MAP_STEPS: usize = 200_000;

/// Extents asked for from one edge, with one limit.
const LIMIT_STEPS: usize = 12;

fn same(what: &str, at: u64, found: &[u8], expected: &[u8]) {
    if let Some(index) = found.iter().zip(expected).position(|(a, b)| a != b) {
        panic!(
            "{what}: the bytes at {:#x} are {}, expected {}",
            at + index as u64,
            show(&found[index..]),
            show(&expected[index..])
        );
    }
}
