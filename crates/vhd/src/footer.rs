//! The footer: which of its copies is to be believed, and what it says.

use diskferry_block_stream::{Bytes, Error, Result, SECTOR};

use crate::damage::Damage;
use crate::geometry::Geometry;
use crate::wire::{self, COOKIE, Checksum, FOOTER, RawFooter, SHORT_FOOTER};

/// The footer that is believed, checked, and how its copies are.
#[derive(Clone, Debug)]
pub(crate) struct Footer {
    pub raw: RawFooter,
    /// Where it is in the file.
    pub at: u64,
    pub disk_type: DiskType,
    pub geometry: Geometry,
    /// Virtual size in bytes, whole sectors.
    pub size: u64,
    pub size_by: SizeBy,
    /// Where the file's last structure ends: before the footer at the end, if one is there.
    pub end: u64,
    /// Zeros behind the footer of a fixed disk, in bytes.
    pub behind: u64,
    pub copies: Copies,
}

/// What kind of disk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskType {
    Fixed,
    Dynamic,
    Differencing,
}

impl DiskType {
    /// The number that a footer has for it.
    pub fn number(self) -> u32 {
        match self {
            Self::Fixed => 2,
            Self::Dynamic => 3,
            Self::Differencing => 4,
        }
    }

    fn parse(at: u64, number: u32) -> Result<Self> {
        match number {
            2 => Ok(Self::Fixed),
            3 => Ok(Self::Dynamic),
            4 => Ok(Self::Differencing),
            0 | 1 | 5 | 6 => Err(Error::unsupported(format!("VHD disk type {number}"))),
            kind => Err(Damage::DiskType { at, kind }.into()),
        }
    }
}

/// Which of its two sizes the creator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeBy {
    CurrentSize,
    Geometry,
}

/// How the copies of the footer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    pub end: Copy,
    /// Bytes of the footer at the end, where one is there.
    pub end_length: u64,
    /// The one at the start; `None` for fixed disks, which have none.
    pub start: Option<Copy>,
}

/// How one copy of the footer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// Believed, or the same as the one that is.
    Good,
    Missing,
    /// Its checksum is wrong.
    Broken(Checksum),
    /// It is good in itself, but other than the one that is believed, from this byte on.
    Other(u64),
}

/// Creators for whom the geometry is the disk: Virtual PC, and QEMU without `force_size`.
const BY_GEOMETRY: [[u8; 4]; 2] = [*b"vpc ", *b"qemu"];

/// A copy of the footer, as it was found.
struct Found {
    at: u64,
    bytes: [u8; FOOTER],
    length: u64,
    sum: Checksum,
}

impl Found {
    /// Whether bytes that may be cut short are a footer: 512 of them, or 511.
    fn of(at: u64, bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&COOKIE) || !(SHORT_FOOTER..=FOOTER).contains(&bytes.len()) {
            return None;
        }
        let mut whole = [0; FOOTER];
        whole[..bytes.len()].copy_from_slice(bytes);
        let sum = wire::footer_checksum(&whole);
        Some(Self { at, bytes: whole, length: bytes.len() as u64, sum })
    }

    /// The footer at the end of a file, of which `tail` is the end, and `end` the length.
    fn at_end(tail: &[u8], end: u64) -> Option<Self> {
        [FOOTER, SHORT_FOOTER].into_iter().find_map(|length| {
            let start = tail.len().checked_sub(length)?;
            Self::of(end - length as u64, &tail[start..])
        })
    }

    /// The footer of a fixed disk that a file of `end` bytes goes on after, with zeros, of which `tail` is
    /// the end. Nothing but its place makes it more than a piece of a guest's file: it stands where the
    /// disk ends by its size.
    fn before_zeros(tail: &[u8], end: u64) -> Option<Self> {
        let start = end.checked_sub(tail.len() as u64)?;
        let last = start + tail.iter().rposition(|byte| *byte != 0)? as u64;
        // A disk is whole sectors, so the footer is in one.
        let at = last - last % SECTOR;
        let bytes = tail.get(at.checked_sub(start)? as usize..)?.get(..FOOTER)?;
        let found = Self::of(at, bytes).filter(|found| found.is_good() && found.is_fixed())?;
        let raw = RawFooter::parse(&found.bytes);
        let geometry =
            Geometry { cylinders: raw.cylinders, heads: raw.heads, sectors: raw.sectors };
        (raw.current_size == at || size(&raw, geometry).0 == at).then_some(found)
    }

    fn is_good(&self) -> bool {
        self.sum.holds()
    }

    fn is_fixed(&self) -> bool {
        RawFooter::parse(&self.bytes).disk_type == DiskType::Fixed.number()
    }
}

/// Whether a file that starts and ends with these bytes says that it is a VHD.
///
/// One that does so at its start only, or whose footer at the end is broken or cut, is one too: it
/// is better to hear of damage than to take its tables, or a footer, for a part of a disk.
pub(crate) fn probe(head: &[u8], tail: &[u8]) -> bool {
    head.starts_with(&COOKIE)
        || Found::at_end(tail, tail.len() as u64)
            .is_some_and(|found| found.is_good() || begins(&found.bytes))
        || (BEGINNING..SHORT_FOOTER)
            .filter_map(|length| Some(&tail[tail.len().checked_sub(length)?..]))
            .any(begins)
}

/// Whether these bytes are the beginning of a footer, by more than its cookie.
fn begins(bytes: &[u8]) -> bool {
    let Some(fields) = bytes.strip_prefix(&COOKIE) else { return false };
    // The features, of which one bit is always set, and the version.
    matches!(fields, [0, 0, 0, 2 | 3, 0, 1, 0, 0, ..])
}

/// Whether a file of `end` bytes that ends with `tail` is a fixed disk with its footer, and zeros behind that.
pub(crate) fn is_padded(tail: &[u8], end: u64) -> bool {
    Found::before_zeros(tail, end).is_some()
}

/// Bytes at the end of a file within which a footer before zeros is looked for: programs that pad files
/// fill them up to a MiB.
pub(crate) const PADDED: u64 = 2 << 20;

/// Bytes that show a footer to be one.
const BEGINNING: usize = 16;

impl Footer {
    /// Finds the footer and checks it.
    ///
    /// The one at the end is believed where its checksum holds, else the copy at the start, as the
    /// specification has it. A fixed disk has no copy: what is at its start is the disk.
    pub fn read(bytes: &dyn Bytes) -> Result<Self> {
        let end = bytes.len();
        let length = end.min(FOOTER as u64);
        let mut tail = vec![0; length as usize];
        bytes.read_at(end - length, &mut tail)?;
        let last = Found::at_end(&tail, end);
        if let Some(last) = last.as_ref().filter(|last| last.is_good() && last.is_fixed()) {
            let copies = Copies { end: Copy::Good, end_length: last.length, start: None };
            return Self::parse(last, last.at, copies);
        }
        let mut head = vec![0; length as usize];
        bytes.read_at(0, &mut head)?;
        let first = Found::of(0, &head).filter(|first| !first.is_fixed());
        let believed = match (&last, &first) {
            (Some(last), _) if last.is_good() => last,
            (_, Some(first)) if first.is_good() => first,
            (Some(bad), _) | (None, Some(bad)) => {
                return Err(Damage::FooterChecksum { at: bad.at, sum: bad.sum }.into());
            }
            (None, None) => return Self::padded(bytes),
        };
        let copies = Copies {
            end: compare(last.as_ref(), believed),
            end_length: last.as_ref().map_or(0, |last| last.length),
            start: Some(compare(first.as_ref(), believed)),
        };
        let blocks_end = last.as_ref().map_or(end, |last| last.at);
        Self::parse(believed, blocks_end, copies)
    }

    /// The footer of a fixed disk that has zeros behind it.
    fn padded(bytes: &dyn Bytes) -> Result<Self> {
        let end = bytes.len();
        let mut tail = vec![0; end.min(PADDED) as usize];
        bytes.read_at(end - tail.len() as u64, &mut tail)?;
        let found = Found::before_zeros(&tail, end).ok_or(Damage::NoFooter { end })?;
        Self::before_zeros(&found, end)
    }

    fn before_zeros(found: &Found, end: u64) -> Result<Self> {
        let copies = Copies { end: Copy::Good, end_length: found.length, start: None };
        let behind = end.saturating_sub(found.at + found.length);
        Ok(Self { behind, ..Self::parse(found, found.at, copies)? })
    }

    /// The footer at the end of `end` bytes that came in order, the last of which are `tail`; `None`
    /// where they do not say that they are a VHD.
    pub fn of_stream(tail: &[u8], end: u64) -> Result<Option<Self>> {
        if !probe(&[], tail) {
            let found = Found::before_zeros(tail, end);
            return found.map(|found| Self::before_zeros(&found, end)).transpose();
        }
        let found = Found::at_end(tail, end).ok_or(Damage::NoFooter { end })?;
        if !found.is_good() {
            return Err(Damage::FooterChecksum { at: found.at, sum: found.sum }.into());
        }
        let copies = Copies { end: Copy::Good, end_length: found.length, start: None };
        Self::parse(&found, found.at, copies).map(Some)
    }

    fn parse(found: &Found, end: u64, copies: Copies) -> Result<Self> {
        let raw = RawFooter::parse(&found.bytes);
        let disk_type = DiskType::parse(found.at, raw.disk_type)?;
        if raw.version >> 16 > wire::VERSION >> 16 {
            let (major, minor) = (raw.version >> 16, raw.version & 0xffff);
            return Err(Error::unsupported(format!("VHD version {major}.{minor}")));
        }
        let geometry =
            Geometry { cylinders: raw.cylinders, heads: raw.heads, sectors: raw.sectors };
        let (size, size_by) = size(&raw, geometry);
        Ok(Self { at: found.at, disk_type, geometry, size, size_by, end, behind: 0, copies, raw })
    }
}

/// The size that the creator means, as QEMU 10 takes it.
///
/// QEMU before version 10 takes unknown creators to mean their geometry. Nothing but Virtual PC and
/// QEMU itself is known to, so what it came to is followed here. A geometry of no sectors is no
/// size that anybody meant; there alone this differs from QEMU.
fn size(raw: &RawFooter, geometry: Geometry) -> (u64, SizeBy) {
    let spans = geometry != Geometry::MAX && geometry.total() > 0;
    if BY_GEOMETRY.contains(&raw.creator) && spans {
        return (geometry.bytes(), SizeBy::Geometry);
    }
    (raw.current_size - raw.current_size % SECTOR, SizeBy::CurrentSize)
}

fn compare(copy: Option<&Found>, believed: &Found) -> Copy {
    let Some(copy) = copy else { return Copy::Missing };
    if !copy.is_good() {
        return Copy::Broken(copy.sum);
    }
    let differs = copy.bytes.iter().zip(&believed.bytes).position(|(a, b)| a != b);
    differs.map_or(Copy::Good, |byte| Copy::Other(byte as u64))
}
