//! The frame of a cursor: formats differ in how a table is walked, and in nothing else.
//!
//! A format says how its disk reads at one place ([`Walk::run`]), and has a [`Cursor`] for it. What
//! is generic here is compiled for each format by itself, so that nothing is called through a table
//! of functions for each cluster.

use crate::{Bytes, Cursor, Error, Extent, Kind, Result};

/// A disk that finds its bytes by a table: whoever can walk that is a [`Cursor`].
pub trait Walk: Send {
    /// The longest run at `at` that reads one way, of at most `limit` bytes, as far as the table in
    /// memory tells. Damage that lies behind its beginning ends it: whoever comes there is told.
    ///
    /// # Errors
    /// As for [`Cursor::extent`].
    fn run(&mut self, at: u64, limit: u64) -> Result<Extent>;

    /// The same for whoever asks for extents only: with the holes of a sparse file, where the table
    /// does not tell what is in use.
    ///
    /// # Errors
    /// As for [`Cursor::extent`].
    fn look(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.run(at, limit)
    }

    /// The file that plain runs of this index are in.
    fn file(&self, index: u32) -> &dyn Bytes;

    /// Fills `buf` with a stretch of what [`run`](Self::run) called data. It is asked of nobody who
    /// calls nothing so.
    ///
    /// # Errors
    /// As for [`Cursor::read`].
    fn read_data(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        unreachable!("{} bytes at {at:#x}: there is no data but plain data", buf.len())
    }

    /// Bytes of the disk that an entry of the table tells of: so many could not be looked at where
    /// that entry is damaged.
    fn entry_span(&self, at: u64) -> u64;

    /// The file whose fault an error at `at` is.
    fn blamed(&self, at: u64) -> &dyn Bytes {
        let _ = at;
        self.file(0)
    }
}

impl<W: Walk> Cursor for W {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.look(at, limit).map_err(|error| {
            let length = limit.min(self.entry_span(at));
            blame(self, error.at("reading", at, length), at)
        })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let (first, whole) = (at, buf.len() as u64);
        let (mut at, mut buf) = (at, buf);
        while !buf.is_empty() {
            let length = read_run(self, at, buf)
                .map_err(|error| blame(self, error.at("reading", first, whole), at))?;
            at += length;
            buf = &mut buf[length as usize..];
        }
        Ok(())
    }
}

/// Fills the front of `buf` with one run; returns its length.
fn read_run(walk: &mut impl Walk, at: u64, buf: &mut [u8]) -> Result<u64> {
    let Extent { length, kind } = walk.run(at, buf.len() as u64)?;
    let part = &mut buf[..length as usize];
    match kind {
        Kind::Absent | Kind::Zero => part.fill(0),
        Kind::Plain { file, offset } => walk.file(file).read_at(offset, part)?,
        Kind::Data { .. } => walk.read_data(at, part)?,
    }
    Ok(length)
}

fn blame(walk: &impl Walk, error: Error, at: u64) -> Error {
    error.in_file(walk.blamed(at).name())
}

impl Extent {
    /// This run and what follows it and reads on in the same way, up to `limit` bytes in all. `next`
    /// tells of the run that begins so many bytes further on; `None` where it cannot.
    #[must_use]
    pub fn joined(self, limit: u64, mut next: impl FnMut(u64) -> Option<Self>) -> Self {
        let Self { mut length, kind } = self;
        while length < limit {
            let Some(more) = next(length).filter(|next| kind.goes_on(length, next.kind)) else {
                break;
            };
            length += more.length;
        }
        Self { length: length.min(limit), kind }
    }

    /// The beginning of a plain run of `file`: as far as it is a hole, which reads as zeros, or none.
    ///
    /// # Errors
    /// Those of the file.
    pub fn or_hole(self, file: &dyn Bytes) -> Result<Self> {
        let Kind::Plain { offset, .. } = self.kind else { return Ok(self) };
        let run = file.run(offset, self.length)?;
        Ok(Self { length: run.length, kind: if run.hole { Kind::Zero } else { self.kind } })
    }
}

impl Kind {
    /// Whether `next` continues a run of this kind that has `length` bytes.
    fn goes_on(self, length: u64, next: Self) -> bool {
        match (self, next) {
            (Self::Plain { file, offset }, Self::Plain { file: next_file, offset: next }) => {
                file == next_file && offset + length == next
            }
            (kind, next) => kind == next,
        }
    }
}

/// Cuts `buf`, which are the bytes at `at`, where units of `unit` bytes end. `each` gets the offset of
/// a unit, where in it the part begins, and the part.
///
/// # Errors
/// The first one of `each`.
pub fn by_units(
    unit: u64,
    mut at: u64,
    mut buf: &mut [u8],
    mut each: impl FnMut(u64, usize, &mut [u8]) -> Result<()>,
) -> Result<()> {
    while !buf.is_empty() {
        let within = at % unit;
        let length = (unit - within).min(buf.len() as u64);
        let (part, rest) = buf.split_at_mut(length as usize);
        each(at - within, within as usize, part)?;
        at += length;
        buf = rest;
    }
    Ok(())
}

/// The unit (cluster, grain, block) that was unpacked last for the sake of a part of it: whoever reads
/// it in small parts has it unpacked once.
#[derive(Default)]
pub struct Unpacked {
    bytes: Vec<u8>,
    at: Option<u64>,
}

impl Unpacked {
    /// Fills `buf` with the bytes at `at`, of units that have `unit` bytes each and follow one another
    /// from `base` on. `unpack` fills a whole one, whose offset it is told.
    ///
    /// # Errors
    /// The first one of `unpack`.
    pub fn read(
        &mut self,
        (base, unit): (u64, u64),
        at: u64,
        buf: &mut [u8],
        mut unpack: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        by_units(unit, at - base, buf, |start, within, part| {
            let start = base + start;
            if part.len() as u64 == unit {
                return unpack(start, part);
            }
            if self.at != Some(start) {
                self.at = None;
                self.bytes.resize(unit as usize, 0);
                unpack(start, &mut self.bytes)?;
                self.at = Some(start);
            }
            part.copy_from_slice(&self.bytes[within..][..part.len()]);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ErrorKind;

    const UNIT: u64 = 4;

    /// Units of 4 bytes, as a table has them; the file's bytes are their own offsets.
    struct Table {
        units: Vec<Unit>,
        file: Arc<dyn Bytes>,
        unpacked: Unpacked,
        /// Units that were unpacked, in that order.
        log: Vec<u64>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Unit {
        Absent,
        Zero,
        At(u64),
        Packed,
        Damaged,
    }
    use Unit::{Absent, At, Damaged, Packed, Zero};

    impl Table {
        fn new(units: &[Unit]) -> Self {
            let file: Vec<u8> = (0..100).collect();
            let unpacked = Unpacked::default();
            Self { units: units.to_vec(), file: Arc::new(file), unpacked, log: Vec::new() }
        }

        fn unit(&self, at: u64) -> Result<Extent> {
            let within = at % UNIT;
            let kind = match self.units[(at / UNIT) as usize] {
                Absent => Kind::Absent,
                Zero => Kind::Zero,
                At(offset) => Kind::Plain { file: 0, offset: offset + within },
                Packed => Kind::Data { compressed: true },
                Damaged => return Err(Error::damaged("a bad entry")),
            };
            Ok(Extent { length: UNIT - within, kind })
        }

        fn extents(&mut self) -> Vec<(u64, Kind)> {
            let (mut at, end) = (0, UNIT * self.units.len() as u64);
            std::iter::from_fn(|| {
                let extent = (at < end).then(|| self.extent(at, end - at).unwrap())?;
                at += extent.length;
                Some((extent.length, extent.kind))
            })
            .collect()
        }
    }

    impl Walk for Table {
        fn run(&mut self, at: u64, limit: u64) -> Result<Extent> {
            let end = UNIT * self.units.len() as u64 - at;
            let first = self.unit(at)?;
            Ok(first.joined(limit.min(end), |further| self.unit(at + further).ok()))
        }

        fn file(&self, _index: u32) -> &dyn Bytes {
            self.file.as_ref()
        }

        fn read_data(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
            let mut unpacked = std::mem::take(&mut self.unpacked);
            let done = unpacked.read((0, UNIT), at, buf, |start, unit| {
                self.log.push(start / UNIT);
                unit.iter_mut().zip(200 + start as u8..).for_each(|(byte, value)| *byte = value);
                Ok(())
            });
            self.unpacked = unpacked;
            done
        }

        fn entry_span(&self, _at: u64) -> u64 {
            UNIT
        }
    }

    #[test]
    fn what_reads_the_same_way_is_one_run_where_it_goes_on_in_the_file() {
        let plain = |offset| Kind::Plain { file: 0, offset };
        for (units, runs) in [
            (&[Absent, Absent, Zero][..], &[(8, Kind::Absent), (4, Kind::Zero)][..]),
            (&[At(8), At(12), At(20)], &[(8, plain(8)), (4, plain(20))]),
            (&[At(8), At(8)], &[(4, plain(8)), (4, plain(8))]),
            (&[At(8), Packed, Packed], &[(4, plain(8)), (8, Kind::Data { compressed: true })]),
        ] {
            assert_eq!(Table::new(units).extents(), runs);
        }
        let within = Table::new(&[At(8), At(12)]).extent(1, 5).unwrap();
        assert_eq!((within.length, within.kind), (5, plain(9)));
    }

    #[test]
    fn it_reads_across_runs_of_all_kinds() {
        let mut table = Table::new(&[At(40), Absent, Packed, Zero, At(20)]);
        let mut buf = [0xff; 17];
        table.read(2, &mut buf).unwrap();
        assert_eq!(buf, [42, 43, 0, 0, 0, 0, 208, 209, 210, 211, 0, 0, 0, 0, 20, 21, 22]);
    }

    #[test]
    fn damage_is_told_to_whoever_comes_there_and_to_nobody_before() {
        let mut table = Table::new(&[At(8), Damaged, At(16)]);
        assert_eq!(table.extent(0, 12).unwrap().length, 4);
        table.read(0, &mut [0; 4]).unwrap();
        for (error, at, length) in [
            (table.extent(4, 8).unwrap_err(), 4, 4),
            (table.extent(4, 2).unwrap_err(), 4, 2),
            (table.read(1, &mut [0; 9]).unwrap_err(), 1, 9),
        ] {
            assert_eq!(error.kind(), ErrorKind::Damaged);
            let place = error.place();
            assert_eq!((place.offset, place.length), (Some(at), Some(length)));
            assert_eq!(place.file.as_deref(), Some("memory"));
        }
    }

    #[test]
    fn a_unit_that_is_read_in_parts_is_unpacked_once() {
        let mut table = Table::new(&[Packed, Packed, Packed]);
        for at in 1..4 {
            table.read(at, &mut [0; 1]).unwrap();
        }
        assert_eq!(table.log, [0]);
        // Whole ones need no room of their own, and leave the one that has it.
        table.read(3, &mut [0; 6]).unwrap();
        assert_eq!(table.log, [0, 1, 2]);
        let mut byte = [0];
        table.read(9, &mut byte).unwrap();
        assert_eq!((byte, &table.log[..]), ([209], &[0, 1, 2][..]));
    }

    #[test]
    fn units_are_counted_from_their_base_and_a_failure_holds_nothing() {
        let mut unpacked = Unpacked::default();
        let mut seen = Vec::new();
        let fail = |_: u64, _: &mut [u8]| Err(Error::damaged("no"));
        assert!(unpacked.read((3, UNIT), 4, &mut [0; 1], fail).is_err());
        unpacked
            .read((3, UNIT), 4, &mut [0; 4], |start, _| {
                seen.push(start);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [3, 7]);
    }

    #[test]
    fn a_hole_of_the_file_reads_as_zeros() {
        struct Sparse;
        impl Bytes for Sparse {
            fn name(&self) -> &str {
                "sparse"
            }
            fn len(&self) -> u64 {
                8
            }
            fn read_at(&self, _at: u64, _buf: &mut [u8]) -> Result<()> {
                Ok(())
            }
            fn run(&self, at: u64, limit: u64) -> Result<crate::Run> {
                Ok(crate::Run { length: limit.min(4 - at % 4), hole: at >= 4 })
            }
        }
        let plain = |offset, length| Extent { length, kind: Kind::Plain { file: 0, offset } };
        assert_eq!(plain(1, 7).or_hole(&Sparse).unwrap(), plain(1, 3));
        let hole = Extent { length: 3, kind: Kind::Zero };
        assert_eq!(plain(5, 3).or_hole(&Sparse).unwrap(), hole);
        let absent = Extent { length: 8, kind: Kind::Absent };
        assert_eq!(absent.or_hole(&Sparse).unwrap(), absent);
    }
}
