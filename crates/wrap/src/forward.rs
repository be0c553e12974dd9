//! An archive that comes in order only: it is passed over up to the disk, and what follows the disk
//! is looked at when the disk was read.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Error, Limits, NotInOrder, Result};
use diskferry_codec::digest::Digest;

use crate::choose::{
    Choice, Found, LIKELY, goes_with_disks, is_descriptor, is_manifest, is_manifest_of,
};
use crate::damage::Damage;
use crate::manifest::{self, Line};
use crate::ovf::{self, Listed};
use crate::package::missing;
use crate::part::Segment;
use crate::peek::{Ahead, Forward, Peek};
use crate::tar::{Entry, Headers};

/// A disk in an archive.
pub struct Inside {
    /// The member's name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// All disks of the archive, as far as they are known by now: those of an OVF package.
    pub disks: Vec<Found>,
    /// Whether an OVF descriptor told the disk.
    pub is_ova: bool,
    /// Its bytes. Their end is told only when the whole archive was read and found good, and when they
    /// have the digest that a manifest before them has.
    pub content: Peek,
    /// Why they are not compared with the manifest, where they are not; known at their end.
    pub note: Arc<OnceLock<String>>,
}

/// What the first bytes of a member say that it is.
pub type Judge = fn(&[u8]) -> Option<&'static str>;

/// Passes over an archive up to the disk that is meant.
///
/// In an OVF package the descriptor tells what a disk is; it is the first member. Elsewhere it is a
/// member that `judge` knows or that is large, or the only member. Where a second one comes after
/// the [only](Choice::Only) disk that was expected, reading that disk to its end fails.
///
/// # Errors
/// As for [`Choice::pick`]; `Damaged`, `Limit`, `Io`; `Unsupported` for a disk in chunks.
pub fn find_disk(archive: Peek, choice: Choice, judge: Judge, limits: &Limits) -> Result<Inside> {
    Search { archive, headers: Headers::new(limits), choice, judge, limits, manifest: None }.run()
}

/// Bytes of a member that `judge` sees.
const HEAD: usize = 64 << 10;

struct Search<'a> {
    archive: Peek,
    headers: Headers,
    choice: Choice,
    judge: Judge,
    limits: &'a Limits,
    /// A manifest that was passed over: in order, one is of use only between the descriptor and the disk.
    manifest: Option<String>,
}

impl Search<'_> {
    fn run(mut self) -> Result<Inside> {
        // Members that are taken for disks, and those that are not.
        let (mut disks, mut others) = (Vec::new(), Vec::new());
        // Of short members, the one that is meant if there are no others.
        let meant = match self.choice {
            Choice::Only | Choice::First => 1,
            Choice::Number(number) => number as usize,
        };
        let mut held = None;
        while let Some(entry) = self.headers.next(&mut self.archive)? {
            if entry.is_file && is_descriptor(&entry.name) {
                disks.append(&mut others);
                return self.by_descriptor(&entry, &disks);
            }
            if !entry.is_file || entry.size == 0 || goes_with_disks(&entry.name) {
                if entry.is_file && is_manifest(&entry.name) {
                    self.manifest.get_or_insert(entry.name);
                }
                self.archive.skip(entry.rest)?;
                continue;
            }
            if let Some(found) = likely(&mut self.archive, &entry, self.judge)? {
                disks.push(found);
                if disks.len() == meant {
                    return Ok(self.inside(entry, disks, Promised::Nothing));
                }
                self.archive.skip(entry.rest)?;
                continue;
            }
            self.limits.spend("an archive's list", entry.name.len() as u64 + 128)?;
            others.push(Found { name: entry.name.clone(), size: Some(entry.size), format: None });
            if others.len() == meant {
                held = Some(whole(&mut self.archive, &entry)?);
            } else {
                self.archive.skip(entry.rest)?;
            }
        }
        let disks = if disks.is_empty() { others } else { disks };
        let picked = self.choice.pick(&disks)?;
        // Whatever else could be picked was returned when it came.
        let none = || Error::misuse(format!("the disk '{}' was passed over", disks[picked].name));
        let bytes = held.ok_or_else(none)?;
        self.archive.drain()?;
        Ok(Inside {
            name: disks[picked].name.clone(),
            size: bytes.len() as u64,
            disks,
            is_ova: false,
            content: Peek::new(io::Cursor::new(bytes)),
            note: Arc::default(),
        })
    }

    /// Looks for the disk that the descriptor, whose data come next, tells.
    fn by_descriptor(mut self, descriptor: &Entry, passed: &[Found]) -> Result<Inside> {
        let Told { text, files, disks } = told(&mut self.archive, descriptor, self.limits)?;
        let wanted = &files[self.choice.pick(&disks)?];
        if wanted.in_chunks {
            return Err(NotInOrder::error(format!(
                "the disk '{}' is cut into chunks, which are put together only where the archive \
                 itself is not compressed and in a file",
                wanted.href
            )));
        }
        if passed.iter().any(|found| wanted.is(&found.name, "")) {
            return Err(late(&descriptor.name));
        }
        let mut promised = Promised::Later;
        while let Some(entry) = self.headers.next(&mut self.archive)? {
            if entry.is_file && wanted.is(&entry.name, "") {
                return Ok(self.inside(entry, disks, promised));
            }
            let is_own = is_manifest_of(&entry.name, &descriptor.name);
            if entry.is_file && is_own && matches!(promised, Promised::Later) {
                promised = self.by_manifest(&entry, (&descriptor.name, &text), wanted)?;
            } else {
                self.archive.skip(entry.rest)?;
                if entry.is_file && is_manifest(&entry.name) {
                    self.manifest.get_or_insert(entry.name);
                }
            }
        }
        Err(missing(&descriptor.name, &wanted.href))
    }

    /// What the manifest, whose data come next, says of the disk. The descriptor is compared at once.
    fn by_manifest(
        &mut self,
        listing: &Entry,
        (descriptor, text): (&str, &[u8]),
        disk: &Listed,
    ) -> Result<Promised> {
        if listing.size > manifest::MAX {
            return Err(Error::limit(format!("a manifest of {} bytes", listing.size)));
        }
        let lines = whole(&mut self.archive, listing)?;
        let (mut digests, mut is_known) = (Vec::<(Digest, Vec<Line>)>::new(), true);
        for line in manifest::lines(&listing.name, &String::from_utf8_lossy(&lines)) {
            match line.algorithm {
                Some(algorithm) if line.file == descriptor => {
                    let mut digest = Digest::new(algorithm);
                    digest.update(text);
                    line.compare(algorithm, &digest.finish())?;
                }
                Some(algorithm) if disk.is(&line.file, "") => {
                    let of_kind = |(digest, _): &&mut (Digest, _)| digest.algorithm() == algorithm;
                    match digests.iter_mut().find(of_kind) {
                        Some((_, lines)) => lines.push(line),
                        None => digests.push((Digest::new(algorithm), vec![line])),
                    }
                }
                None if disk.is(&line.file, "") => is_known = false,
                _ => {}
            }
        }
        Ok(match (digests.is_empty(), is_known) {
            (false, _) => Promised::Digests(digests),
            (true, true) => Promised::Nowhere(format!("is not in the manifest '{}'", listing.name)),
            (true, false) => Promised::Nowhere(format!(
                "has a digest of an unknown kind in the manifest '{}'",
                listing.name
            )),
        })
    }

    fn inside(self, entry: Entry, disks: Vec<Found>, promised: Promised) -> Inside {
        let Self { archive, headers, choice, judge, limits, manifest } = self;
        let is_ova = !matches!(promised, Promised::Nothing);
        let next_header = archive.at().saturating_add(entry.rest);
        let Entry { name, size, segments, .. } = entry;
        let is_whole = segments.iter().map(|segment| segment.len).sum::<u64>() == size;
        let note = Arc::<OnceLock<String>>::default();
        let promised = promised.of(&name, is_whole, &note);
        let rest = Rest {
            headers,
            next_header,
            name: name.clone(),
            choice,
            judge,
            limits: limits.clone(),
            is_ova,
            manifest,
            note: Arc::clone(&note),
        };
        let content =
            Content { archive, segments, next: 0, at: 0, size, promised, rest: Some(rest) };
        Inside { name, size, disks, is_ova, content: Peek::new(content), note }
    }
}

/// All bytes of a member that is short.
fn whole(archive: &mut Peek, entry: &Entry) -> Result<Vec<u8>> {
    let mut bytes = vec![0; entry.size as usize];
    let begun = archive.at();
    for segment in &entry.segments {
        archive.fill(&mut bytes[segment.at as usize..segment.end() as usize])?;
    }
    archive.skip(entry.rest - (archive.at() - begun))?;
    Ok(bytes)
}

/// What a descriptor tells: the files of the disks, and the disks to pick from.
struct Told {
    text: Vec<u8>,
    files: Vec<Listed>,
    disks: Vec<Found>,
}

/// Reads a descriptor, whose data come next.
fn told(archive: &mut Peek, descriptor: &Entry, limits: &Limits) -> Result<Told> {
    if descriptor.size > ovf::MAX {
        return Err(Error::limit(format!("an OVF descriptor of {} bytes", descriptor.size)));
    }
    let text = whole(archive, descriptor)?;
    let files = ovf::read(&descriptor.name, &text, limits)?.disks;
    let found = |file: &Listed| Found { name: file.href.clone(), size: file.size, format: None };
    let disks = files.iter().map(found).collect();
    Ok(Told { text, files, disks })
}

/// A descriptor that comes when a disk of it has passed.
fn late(descriptor: &str) -> Error {
    NotInOrder::error(format!(
        "the descriptor '{descriptor}', which tells the disks and their numbers, comes after them; \
         unpack the archive first"
    ))
}

/// What a manifest says of the disk.
enum Promised {
    /// It is in no OVF package.
    Nothing,
    /// There was no manifest yet.
    Later,
    /// There is nothing in it to compare, for this reason.
    Nowhere(String),
    /// It has digests of it: each in the making, and the lines that have it.
    Digests(Vec<(Digest, Vec<Line>)>),
}

impl Promised {
    /// What is compared of the disk called `name`; else says why not.
    fn of(self, name: &str, is_whole: bool, note: &OnceLock<String>) -> Self {
        let text = match &self {
            Self::Nothing | Self::Later => return self,
            Self::Digests(_) if is_whole => return self,
            Self::Digests(_) => {
                format!("'{name}' has holes, and is not compared with the manifest")
            }
            Self::Nowhere(why) => format!("'{name}' {why}"),
        };
        note.get_or_init(|| text);
        Self::Nothing
    }
}

/// A member that is taken for a disk, by its length or by its first bytes, which come next.
fn likely(archive: &mut Peek, entry: &Entry, judge: Judge) -> Result<Option<Found>> {
    let first = entry.segments.first().filter(|segment| segment.at == 0);
    let stored = first.map_or(0, |segment| segment.len.min(HEAD as u64));
    let format = judge(archive.peek(stored as usize)?);
    let found = Found { name: entry.name.clone(), size: Some(entry.size), format };
    Ok(Some(found).filter(|_| format.is_some() || entry.size >= LIKELY))
}

/// The bytes of a member, and then the rest of the archive.
struct Content {
    archive: Peek,
    segments: Vec<Segment>,
    /// Index of the segment that `at` is in or before.
    next: usize,
    at: u64,
    size: u64,
    promised: Promised,
    /// What is to be looked at after the last byte; none once that is done.
    rest: Option<Rest>,
}

struct Rest {
    headers: Headers,
    /// Where the next header is.
    next_header: u64,
    /// The name of the disk, and how it was chosen.
    name: String,
    choice: Choice,
    judge: Judge,
    limits: Limits,
    /// Whether a descriptor has told it.
    is_ova: bool,
    /// A manifest that nothing was compared with.
    manifest: Option<String>,
    note: Arc<OnceLock<String>>,
}

impl Rest {
    /// Whether a descriptor that comes after the disk tells that it is the one.
    fn agree(&self, archive: &mut Peek, descriptor: &Entry) -> Result<()> {
        if matches!(self.choice, Choice::Number(_)) {
            return Err(late(&descriptor.name));
        }
        let Told { files, disks, .. } = told(archive, descriptor, &self.limits)?;
        let wanted = &files[self.choice.pick(&disks)?];
        if wanted.is(&self.name, "") { Ok(()) } else { Err(late(&descriptor.name)) }
    }
}

impl Content {
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
        if let Promised::Digests(digests) = &mut self.promised {
            digests.iter_mut().for_each(|(digest, _)| digest.update(&buf[..count]));
        }
        self.at += count as u64;
        Ok(count)
    }

    /// Reads the rest of the archive: what it is in may have a checksum at its end.
    fn end(&mut self) -> Result<()> {
        let Some(mut rest) = self.rest.take() else { return Ok(()) };
        let promised = std::mem::replace(&mut self.promised, Promised::Nothing);
        // Of a disk that came before the descriptor nothing was known to compare.
        let is_later = matches!(promised, Promised::Later) || !rest.is_ova;
        if let Promised::Digests(digests) = promised {
            for (digest, lines) in digests {
                let (algorithm, found) = (digest.algorithm(), digest.finish());
                lines.iter().try_for_each(|line| line.compare(algorithm, &found))?;
            }
        }
        let archive = &mut self.archive;
        archive.skip(rest.next_header - archive.at())?;
        while let Some(entry) = rest.headers.next(archive)? {
            if entry.is_file && is_manifest(&entry.name) {
                rest.manifest.get_or_insert_with(|| entry.name.clone());
            }
            if rest.is_ova || !entry.is_file {
                archive.skip(entry.rest)?;
                continue;
            }
            if is_descriptor(&entry.name) {
                rest.agree(archive, &entry)?;
                rest.is_ova = true;
                continue;
            }
            if rest.choice == Choice::Only
                && entry.size > 0
                && !goes_with_disks(&entry.name)
                && let Some(other) = likely(archive, &entry, rest.judge)?
            {
                let name = rest.name.clone();
                let first = Found { name, size: Some(self.size), format: None };
                Choice::Only.pick(&[first, other])?;
            }
            archive.skip(entry.rest)?;
        }
        if let Some(name) = rest.manifest.filter(|_| rest.is_ova && is_later) {
            let why = "is not between the descriptor and the disk, which was not compared with it";
            rest.note.get_or_init(|| format!("the manifest '{name}' {why}"));
        }
        archive.drain()
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
