//! The extents of a disk, merged as far as they are alike.

use std::ptr;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Disk, Kind, Result};
use serde::Serialize;

use crate::source::image::DiskImage;

/// A run of a disk that is alike from one end to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapEntry {
    /// Offset in the disk, in bytes.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// What is there.
    pub kind: MapKind,
    /// Whether it is stored compressed.
    pub compressed: bool,
    /// The file in which it is stored as it is, where it is.
    pub file: Option<String>,
    /// The offset in that file, in bytes.
    pub offset: Option<u64>,
}

/// What a run of a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MapKind {
    /// Stored.
    Data,
    /// Zeros, said to be such.
    Zero,
    /// In no layer; reads as zeros.
    Absent,
}

impl MapKind {
    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Zero => "zero",
            Self::Absent => "absent",
        }
    }
}

impl DiskImage {
    /// Shows every extent of the disk in order, neighbours that are alike as one. It takes no more
    /// memory for a large disk than for a small one.
    ///
    /// # Errors
    /// `Damaged` or `Io` when a table cannot be read, `Cancelled`, and whatever `see` fails with.
    pub fn map(&self, cancel: &Cancel, mut see: impl FnMut(MapEntry) -> Result<()>) -> Result<()> {
        let disk = self.disk().as_ref();
        let scratch = &self.around().scratch;
        let mut cursor = disk.cursor()?;
        let mut pending: Option<Run> = None;
        let mut at = 0;
        while at < disk.size() {
            cancel.check()?;
            let extent = cursor.extent(at, disk.size() - at)?;
            let next = Run { start: at, length: extent.length, kind: extent.kind };
            at += extent.length;
            match &mut pending {
                Some(run) if run.goes_on_with(&next, disk.files()) => run.length += next.length,
                run => {
                    if let Some(done) = run.replace(next) {
                        see(done.entry(disk, scratch))?;
                    }
                }
            }
        }
        pending.map_or(Ok(()), |last| see(last.entry(disk, scratch)))
    }
}

struct Run {
    start: u64,
    length: u64,
    kind: Kind,
}

impl Run {
    fn goes_on_with(&self, next: &Self, files: &[Arc<dyn Bytes>]) -> bool {
        match (self.kind, next.kind) {
            (Kind::Plain { file, offset }, Kind::Plain { file: next_file, offset: start }) => {
                let bytes = files[file as usize].as_ref();
                // What is joined of files is in one of them.
                let is_in_one = || {
                    let both = self.length + next.length;
                    bytes.origin(offset, 1).is_none() || bytes.origin(offset, both).is_some()
                };
                file == next_file && offset + self.length == start && is_in_one()
            }
            (a, b) => a == b,
        }
    }

    fn entry(self, disk: &dyn Disk, scratch: &[Arc<dyn Bytes>]) -> MapEntry {
        let whole = |file: u32, offset| {
            let bytes = disk.files()[file as usize].as_ref();
            // A member of an archive is where it is in the archive.
            let mut place = (bytes, offset);
            while let Some(outer) = place.0.origin(place.1, self.length) {
                place = outer;
            }
            place
        };
        let (kind, compressed, place) = match self.kind {
            Kind::Absent => (MapKind::Absent, false, None),
            Kind::Zero => (MapKind::Zero, false, None),
            Kind::Data { compressed } => (MapKind::Data, compressed, None),
            Kind::Plain { file, offset } => (MapKind::Data, false, Some(whole(file, offset))),
        };
        // A place in a scratch file means nothing to anybody else.
        let is_scratch =
            |file: &dyn Bytes| scratch.iter().any(|it| ptr::addr_eq(it.as_ref(), file));
        let place = place.filter(|(file, _)| !is_scratch(*file));
        MapEntry {
            start: self.start,
            length: self.length,
            kind,
            compressed,
            file: place.map(|(file, _)| file.name().to_owned()),
            offset: place.map(|(_, offset)| offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_wrap::Joined;

    use super::*;

    #[test]
    fn only_what_is_alike_and_adjoins_is_merged() {
        let run = |kind| Run { start: 0, length: 10, kind };
        let plain = |file, offset| Kind::Plain { file, offset };
        let data = |compressed| Kind::Data { compressed };
        let bytes = || Arc::new(vec![0u8; 20]) as Arc<dyn Bytes>;
        let joined = Joined::new("joined".into(), [bytes(), bytes()]).unwrap();
        let files = [bytes(), bytes(), Arc::new(joined)];
        for (a, b, merged) in [
            (Kind::Zero, Kind::Zero, true),
            (Kind::Zero, Kind::Absent, false),
            (data(true), data(true), true),
            (data(true), data(false), false),
            (plain(0, 5), plain(0, 15), true),
            (plain(0, 5), plain(0, 16), false),
            (plain(0, 5), plain(1, 15), false),
            (plain(0, 5), data(false), false),
            (plain(2, 0), plain(2, 10), true),
            (plain(2, 10), plain(2, 20), false),
        ] {
            assert_eq!(run(a).goes_on_with(&run(b), &files), merged, "{a:?} {b:?}");
        }
    }
}
