//! An archive that comes in order only: it is passed over up to the disk, and what follows the disk
//! is looked at when the disk was read.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Error, Limits, NotInOrder, Result};
use diskferry_codec::digest::Digest;

use crate::choose::{
    Choice, Found, LIKELY, Likeness, goes_with_disks, is_descriptor, is_manifest, is_manifest_of,
    refused,
};
use crate::contents::Place;
use crate::damage::Damage;
use crate::ending::Ending;
use crate::manifest::{self, Line};
use crate::ovf::{self, Descriptor, Listed};
use crate::package::{Member, missing};
use crate::part::Segment;
use crate::peek::{Ahead, Forward, Peek};
use crate::tar::{Entry, Headers};
use crate::{Archive, xva};

/// A disk in an archive.
pub struct Inside {
    /// The member's name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The disks of the archive, as far as they are known by now.
    pub disks: Vec<Found>,
    /// Whether there may be more of them, behind this one. Where it is the [only](Choice::Only) one that is
    /// expected, there are none, or reading it to its end fails.
    pub may_have_more: bool,
    /// What kind of archive it is: whose descriptor told the disk.
    pub archive: Archive,
    /// Its bytes. Their end is told only when the whole archive was read and found good, and when they
    /// have the digest that a manifest before them has.
    pub content: Peek,
    /// What there is to say at their end, from then on.
    pub ending: Arc<OnceLock<Ending>>,
}

/// What the first bytes of a member say that it is.
pub type Judge = fn(&[u8]) -> Likeness;

/// Passes over an archive up to the disk that is meant.
///
/// In an OVF package the descriptor tells what a disk is; it is the first member. Elsewhere it is a
/// member that `judge` knows or that is large, or the only member. Where others come after the
/// [only](Choice::Only) disk that was expected, reading that disk to its end fails, with a list of all.
///
/// # Errors
/// As for [`Choice::pick`]; `Damaged`, `Limit`, `Io`; `Unsupported` for a disk in chunks.
pub fn find_disk(archive: Peek, choice: Choice, judge: Judge, limits: &Limits) -> Result<Inside> {
    let headers = Headers::new(limits);
    let (members, manifest, notes) = (Vec::new(), None, Vec::new());
    Search { archive, headers, choice, judge, limits, members, manifest, notes }.run()
}

/// Bytes of a member that `judge` sees.
const HEAD: usize = 64 << 10;

struct Search<'a> {
    archive: Peek,
    headers: Headers,
    choice: Choice,
    judge: Judge,
    limits: &'a Limits,
    /// The files that there are so far.
    members: Vec<Member>,
    /// A manifest that was passed over: in order, one is of use only between the descriptor and the disk.
    manifest: Option<String>,
    /// What is not compared with one, and why.
    notes: Vec<String>,
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
        let (mut held, mut other, mut is_first) = (None, None, true);
        while let Some(entry) = self.headers.next(&mut self.archive)? {
            if entry.is_file && std::mem::take(&mut is_first) && xva::is_descriptor(&entry.name) {
                let Some(machine) = machine(&mut self.archive, &entry, self.limits)? else {
                    continue;
                };
                let Self { archive, headers, choice, limits, .. } = self;
                return xva::begin(archive, headers, machine, choice, limits);
            }
            note(&mut self.members, &entry, self.limits)?;
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
            let found = match taken(&mut self.archive, &entry, self.judge)? {
                Taken::Disk(found) => {
                    disks.push(found);
                    if disks.len() == meant {
                        return Ok(self.inside(entry, disks, None, Promised::Nothing));
                    }
                    self.archive.skip(entry.rest)?;
                    continue;
                }
                Taken::Other(why) => {
                    other.get_or_insert(why);
                    self.archive.skip(entry.rest)?;
                    continue;
                }
                Taken::Short(found) => found,
            };
            self.limits.spend("an archive's list", entry.name.len() as u64 + 128)?;
            others.push(found);
            if others.len() == meant {
                held = Some(whole(&mut self.archive, &entry)?);
            } else {
                self.archive.skip(entry.rest)?;
            }
        }
        let disks = if disks.is_empty() { others } else { disks };
        if let Some(other) = other.filter(|_| disks.is_empty()) {
            return Err(other);
        }
        let picked = self.choice.pick(&disks)?;
        // Whatever else could be picked was returned when it came.
        let none = || Error::misuse(format!("the disk '{}' was passed over", disks[picked].name));
        let bytes = held.ok_or_else(none)?;
        self.archive.drain()?;
        let name = disks[picked].name.clone();
        let ending = Ending::of(None, &self.members, self.headers.unmarked, &name);
        Ok(Inside {
            name,
            size: bytes.len() as u64,
            disks,
            may_have_more: false,
            archive: Archive::Tar,
            content: Peek::new(io::Cursor::new(bytes)),
            ending: Arc::new(ending.into()),
        })
    }

    /// Looks for the disk that the descriptor, whose data come next, tells.
    fn by_descriptor(mut self, descriptor: &Entry, passed: &[Found]) -> Result<Inside> {
        let Told { text, descriptor, disks } = told(&mut self.archive, descriptor, self.limits)?;
        let wanted = &descriptor.disks[self.choice.pick(&disks)?].clone();
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
            note(&mut self.members, &entry, self.limits)?;
            if entry.is_file && wanted.is(&entry.name, "") {
                return Ok(self.inside(entry, disks, Some(descriptor), promised));
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
        Err(missing(&descriptor.name, &wanted.href, Place::Archive))
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
        let mut digests = Vec::<(Digest, Vec<Line>)>::new();
        let mut own = HashMap::new();
        let (mut of_descriptor, mut of_disk) = (Uncompared::Absent, Uncompared::Absent);
        for line in manifest::lines(&listing.name, &String::from_utf8_lossy(&lines)) {
            let is_disk = disk.is(&line.file, "");
            match line.algorithm {
                Some(algorithm) if line.file == descriptor => {
                    // It is computed once, however often it is listed.
                    let own = own.entry(algorithm).or_insert_with(|| {
                        let mut digest = Digest::new(algorithm);
                        digest.update(text);
                        digest.finish()
                    });
                    line.compare(algorithm, own)?;
                }
                Some(algorithm) if is_disk => {
                    let of_kind = |(digest, _): &&mut (Digest, _)| digest.algorithm() == algorithm;
                    match digests.iter_mut().find(of_kind) {
                        Some((_, lines)) => lines.push(line),
                        None => digests.push((Digest::new(algorithm), vec![line])),
                    }
                }
                None if line.file == descriptor => of_descriptor = Uncompared::Unknown,
                None if is_disk => of_disk = Uncompared::Unknown,
                _ => {}
            }
        }
        if own.is_empty() {
            self.notes.push(format!("'{descriptor}' {}", of_descriptor.in_manifest(&listing.name)));
        }
        Ok(match digests.is_empty() {
            false => Promised::Digests(digests),
            true => Promised::Nowhere(of_disk.in_manifest(&listing.name)),
        })
    }

    fn inside(
        self,
        entry: Entry,
        disks: Vec<Found>,
        descriptor: Option<Descriptor>,
        promised: Promised,
    ) -> Inside {
        let Self { archive, headers, choice, judge, limits, members, manifest, mut notes } = self;
        let is_ova = descriptor.is_some();
        let next_header = archive.at().saturating_add(entry.rest);
        let Entry { name, size, segments, .. } = entry;
        let is_whole = segments.iter().map(|segment| segment.len).sum::<u64>() == size;
        let ending = Arc::<OnceLock<Ending>>::default();
        let (promised, note) = promised.of(&name, is_whole);
        notes.extend(note);
        let rest = Rest {
            headers,
            next_header,
            name: name.clone(),
            disks: disks.clone(),
            choice,
            judge,
            limits: limits.clone(),
            members,
            descriptor,
            manifest,
            notes,
            ending: Arc::clone(&ending),
        };
        let content =
            Content { archive, segments, next: 0, at: 0, size, promised, rest: Some(rest) };
        let may_have_more = !is_ova && choice != Choice::Only;
        let archive = if is_ova { Archive::Ova } else { Archive::Tar };
        Inside { name, size, disks, may_have_more, archive, content: Peek::new(content), ending }
    }
}

/// Keeps in mind that a file is there.
pub(crate) fn note(members: &mut Vec<Member>, entry: &Entry, limits: &Limits) -> Result<()> {
    if entry.is_file {
        limits.spend("an archive's list", entry.name.len() as u64 + 128)?;
        members.push(Member {
            name: entry.name.clone(),
            size: entry.size,
            base: 0,
            segments: Vec::new(),
        });
    }
    Ok(())
}

/// What the descriptor of an XVA, whose data come next, tells, if it is one.
pub(crate) fn machine(
    archive: &mut Peek,
    entry: &Entry,
    limits: &Limits,
) -> Result<Option<xva::Machine>> {
    if entry.size > xva::MAX {
        let what = format!("a descriptor '{}' of {} bytes", entry.name, entry.size);
        return Err(Error::limit(what));
    }
    xva::read(&whole(archive, entry)?, limits)
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

/// What a descriptor tells, and the disks to pick from: as many as it has.
pub(crate) struct Told {
    text: Vec<u8>,
    pub descriptor: Descriptor,
    pub disks: Vec<Found>,
}

/// Reads a descriptor, whose data come next.
pub(crate) fn told(archive: &mut Peek, descriptor: &Entry, limits: &Limits) -> Result<Told> {
    if descriptor.size > ovf::MAX {
        return Err(Error::limit(format!("an OVF descriptor of {} bytes", descriptor.size)));
    }
    let text = whole(archive, descriptor)?;
    let descriptor = ovf::read(&descriptor.name, &text, limits)?;
    let found = |file: &Listed| Found { name: file.href.clone(), size: file.size, format: None };
    let disks = descriptor.disks.iter().map(found).collect();
    Ok(Told { text, descriptor, disks })
}

/// A descriptor that comes when a disk of it has passed.
fn late(descriptor: &str) -> Error {
    NotInOrder::error(format!(
        "the descriptor '{descriptor}', which tells the disks and their numbers, comes after them; \
         unpack the archive first"
    ))
}

/// What of a file is in a manifest, where that is nothing to compare.
#[derive(Clone, Copy)]
enum Uncompared {
    /// Nothing.
    Absent,
    /// A digest of an unknown kind.
    Unknown,
}

impl Uncompared {
    /// In words that follow the file's name.
    fn in_manifest(self, manifest: &str) -> String {
        match self {
            Self::Absent => format!("is not in the manifest '{manifest}'"),
            Self::Unknown => {
                format!("has a digest of an unknown kind in the manifest '{manifest}'")
            }
        }
    }
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
    /// What is compared of the disk called `name`; else why not.
    fn of(self, name: &str, is_whole: bool) -> (Self, Option<String>) {
        let text = match &self {
            Self::Nothing | Self::Later => return (self, None),
            Self::Digests(_) if is_whole => return (self, None),
            Self::Digests(_) => {
                format!("'{name}' has holes, and is not compared with the manifest")
            }
            Self::Nowhere(why) => format!("'{name}' {why}"),
        };
        (Self::Nothing, Some(text))
    }
}

/// What a member is taken for.
pub(crate) enum Taken {
    /// A disk, by its signature or its length.
    Disk(Found),
    /// A disk if there are no others.
    Short(Found),
    /// Something else, and why it is refused.
    Other(Error),
}

/// What a member is taken for by its length and its first bytes, which come next.
pub(crate) fn taken(archive: &mut Peek, entry: &Entry, judge: Judge) -> Result<Taken> {
    let first = entry.segments.first().filter(|segment| segment.at == 0);
    let stored = first.map_or(0, |segment| segment.len.min(HEAD as u64));
    let found = |format| Found { name: entry.name.clone(), size: Some(entry.size), format };
    Ok(match judge(archive.peek(stored as usize)?) {
        Likeness::Disk(format) => Taken::Disk(found(Some(format))),
        Likeness::Unknown if entry.size >= LIKELY => Taken::Disk(found(None)),
        Likeness::Unknown => Taken::Short(found(None)),
        Likeness::Other(why) => Taken::Other(refused(&entry.name, &why)),
    })
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
    /// The name of the disk, all that are known, and how it was chosen.
    name: String,
    disks: Vec<Found>,
    choice: Choice,
    judge: Judge,
    limits: Limits,
    members: Vec<Member>,
    /// The descriptor, where one has come.
    descriptor: Option<Descriptor>,
    /// A manifest that nothing was compared with.
    manifest: Option<String>,
    /// What is not compared with one that has come, and why.
    notes: Vec<String>,
    ending: Arc<OnceLock<Ending>>,
}

impl Rest {
    /// Whether a descriptor that comes after the disk tells that it is the one.
    fn agree(&mut self, archive: &mut Peek, entry: &Entry) -> Result<()> {
        if matches!(self.choice, Choice::Number(_)) {
            return Err(late(&entry.name));
        }
        let Told { descriptor, disks, .. } = told(archive, entry, &self.limits)?;
        let wanted = &descriptor.disks[self.choice.pick(&disks)?];
        if !wanted.is(&self.name, "") {
            return Err(late(&entry.name));
        }
        self.descriptor = Some(descriptor);
        Ok(())
    }

    /// Looks at what comes after the disk, to the archive's end.
    fn look(&mut self, archive: &mut Peek) -> Result<()> {
        archive.skip(self.next_header - archive.at())?;
        while let Some(entry) = self.headers.next(archive)? {
            note(&mut self.members, &entry, &self.limits)?;
            if entry.is_file && is_manifest(&entry.name) {
                self.manifest.get_or_insert_with(|| entry.name.clone());
            }
            if self.descriptor.is_some() || !entry.is_file {
                archive.skip(entry.rest)?;
                continue;
            }
            if is_descriptor(&entry.name) {
                self.agree(archive, &entry)?;
                continue;
            }
            if self.choice == Choice::Only
                && entry.size > 0
                && !goes_with_disks(&entry.name)
                && let Taken::Disk(other) = taken(archive, &entry, self.judge)?
            {
                self.disks.push(other);
            }
            archive.skip(entry.rest)?;
        }
        // Only now all are known that can be chosen from.
        if self.descriptor.is_none() && self.choice == Choice::Only {
            self.choice.pick(&self.disks)?;
        }
        archive.drain()
    }

    /// What there is to say when nothing was wrong. Of a disk that came before the manifest nothing was
    /// known to compare.
    fn ending(self, is_later: bool) -> Ending {
        let descriptor = self.descriptor.as_ref();
        let mut ending = Ending::of(descriptor, &self.members, self.headers.unmarked, &self.name);
        ending.notes.extend(self.notes);
        if let Some(name) = self.manifest.filter(|_| descriptor.is_some() && is_later) {
            let why = "is not between the descriptor and the disk, which was not compared with it";
            ending.notes.push(format!("the manifest '{name}' {why}"));
        }
        ending
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
        let is_later = matches!(promised, Promised::Later) || rest.descriptor.is_none();
        if let Promised::Digests(digests) = promised {
            for (digest, lines) in digests {
                let (algorithm, found) = (digest.algorithm(), digest.finish());
                lines.iter().try_for_each(|line| line.compare(algorithm, &found))?;
            }
        }
        rest.look(&mut self.archive)?;
        let ending = Arc::clone(&rest.ending);
        ending.get_or_init(|| rest.ending(is_later));
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
