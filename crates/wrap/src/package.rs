//! An archive whose bytes can be read anywhere.

use std::collections::HashMap;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Error, Limits, Problem, Progress, Result};
use diskferry_codec::digest::Digest;

use crate::choose::{Choice, Found, LIKELY, goes_with_disks, is_descriptor, is_manifest};
use crate::damage::Damage;
use crate::objection::{Objection, Point};
use crate::ovf::{Descriptor, Listed, OBJECTIONS};
use crate::part::{Part, Segment};
use crate::peek::Walk;
use crate::tar::Headers;
use crate::{manifest, ovf};

/// A tar archive, with its list of members.
pub struct Package {
    bytes: Arc<dyn Bytes>,
    name: String,
    limits: Limits,
    members: Vec<Member>,
    /// The descriptor, where it is an OVF package.
    descriptor: Option<Descriptor>,
}

/// A regular file in an archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name.
    pub name: String,
    /// Its length in bytes, holes included.
    pub size: u64,
    segments: Vec<Segment>,
}

impl Member {
    /// Where its data begin in the archive.
    fn begin(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.from)
    }
}

impl Package {
    /// Reads all headers of an archive, which messages call `name`.
    ///
    /// # Errors
    /// `Damaged` where they contradict the archive, `Limit` for more members than there may be,
    /// `Unsupported` for kinds of members that are not read, `Io`.
    pub fn open(name: &str, bytes: Arc<dyn Bytes>, limits: &Limits) -> Result<Self> {
        let opened = Self::read(name, bytes, limits);
        opened.map_err(|error| error.doing("opening the archive").in_file(name))
    }

    fn read(name: &str, bytes: Arc<dyn Bytes>, limits: &Limits) -> Result<Self> {
        let mut headers = Headers::new(limits);
        let mut walk = Walk::new(bytes.as_ref());
        let mut members = Vec::new();
        while let Some(entry) = headers.next(&mut walk)? {
            crate::peek::Ahead::skip(&mut walk, entry.rest)?;
            if entry.is_file {
                limits.spend("an archive's list", entry.name.len() as u64 + 128)?;
                let (name, size, segments) = (entry.name, entry.size, entry.segments);
                members.push(Member { name, size, segments });
            }
        }
        let (name, limits) = (name.to_owned(), limits.clone());
        let mut package = Self { bytes, name, limits, members, descriptor: None };
        package.descriptor = package.read_descriptor()?;
        Ok(package)
    }

    /// Whether it has an OVF descriptor.
    pub fn is_ova(&self) -> bool {
        self.descriptor.is_some()
    }

    /// The bytes of the disk that is meant, named `archive/member`; and all disks, with what `judge`
    /// says of each.
    ///
    /// In an OVF package the descriptor tells what a disk is. Elsewhere it is a member that `judge`
    /// knows or that is large, or the only member.
    ///
    /// # Errors
    /// As for [`Choice::pick`]; `Damaged` where the descriptor names what is not there; whatever
    /// `judge` fails with.
    pub fn disk(
        &self,
        choice: Choice,
        judge: &dyn Fn(&Part) -> Result<Option<&'static str>>,
    ) -> Result<(Part, Vec<Found>)> {
        let parts: Result<Vec<(String, Part)>> = match &self.descriptor {
            Some(Descriptor { name, disks, .. }) => {
                disks.iter().map(|disk| self.of_descriptor(name, disk)).collect()
            }
            None => Ok(self.candidates().collect()),
        };
        let located = |error: Error| error.in_file(&self.name);
        let mut disks = Vec::new();
        for (member, part) in parts.map_err(located)? {
            let format = judge(&part)?;
            disks.push((Found { name: member, size: Some(part.len()), format }, part));
        }
        if self.descriptor.is_none() {
            let likely = |(found, _): &(Found, Part)| {
                found.format.is_some() || found.size.is_some_and(|size| size >= LIKELY)
            };
            if disks.iter().any(likely) {
                disks.retain(likely);
            }
        }
        let (found, mut parts): (Vec<Found>, Vec<Part>) = disks.into_iter().unzip();
        let picked = choice.pick(&found).map_err(located)?;
        Ok((parts.swap_remove(picked), found))
    }

    /// Reports what contradicts the archive or the specification of OVF packages; for that, all that
    /// the manifest lists is read, and counted as progress.
    ///
    /// # Errors
    /// `Io` when a member cannot be read; `Cancelled`.
    pub fn check(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        let mut problem = |objection: Objection| {
            if let Some(problem) = objection.into_problem() {
                report(problem);
            }
        };
        self.object(cancel, progress, &mut problem)
    }

    /// Reports what importers mind in it; for that, all that the manifest lists is read. Progress is
    /// counted in those bytes.
    ///
    /// # Errors
    /// `Io` when a member cannot be read, `Cancelled`.
    pub fn object(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Objection),
    ) -> Result<()> {
        self.object_to_files(report);
        let descriptor = self.descriptor.iter();
        descriptor.flat_map(|it| &it.objections).for_each(|objection| report(objection.clone()));
        let Some(listing) = self.members.iter().find(|member| is_manifest(&member.name)) else {
            return Ok(());
        };
        let text = self.small(listing, manifest::MAX, "a manifest")?;
        let folder = &listing.name[..listing.name.rfind('/').map_or(0, |slash| slash + 1)];
        for line in manifest::parse(&text) {
            let mut object = |point, at, text| report(Objection::new(point, at, text));
            let file = &format!("{folder}{}", line.file);
            let at = listing.begin();
            if line.is_spaced {
                let text = format!("the manifest has a blank before the parenthesis of '{file}'");
                object(Point::Manifest, at, text);
            }
            let Some(member) = self.members.iter().find(|member| member.name == *file) else {
                let text = format!("the manifest lists '{file}', which is not in the archive");
                object(Point::Digest, at, text);
                continue;
            };
            let Some(algorithm) = line.algorithm else {
                let text = format!("the manifest has a digest of '{file}' of an unknown kind");
                object(Point::Manifest, at, text);
                continue;
            };
            self.limits.check_virtual_size(member.size)?;
            let found = digest(&self.part(member), Digest::new(algorithm), cancel, progress)?;
            if found != line.digest {
                let text = format!(
                    "'{file}' has the {algorithm} {found}, and not {}, as the manifest has it",
                    line.digest
                );
                object(Point::Digest, member.begin(), text);
            }
        }
        Ok(())
    }

    /// Compares what the descriptor says of files with the archive's list: nothing is read.
    pub fn object_to_files(&self, report: &mut dyn FnMut(Objection)) {
        let Some(descriptor) = &self.descriptor else { return };
        let mut left = OBJECTIONS;
        let mut object = |point, at, text| {
            if left > 0 {
                left -= 1;
                report(Objection::new(point, at, text));
            }
        };
        let own = &descriptor.name;
        if let Some(first) = self.members.first().filter(|first| first.name != *own) {
            let text = format!("'{}' is the first member, not the descriptor '{own}'", first.name);
            object(Point::First, first.begin(), text);
        }
        let places: HashMap<&str, usize> = self
            .members
            .iter()
            .enumerate()
            .map(|(at, member)| (member.name.as_str(), at))
            .collect();
        let mut last = 0;
        for file in descriptor.files.iter().filter(|file| !file.in_chunks) {
            let href = &file.href;
            let Some(&place) = file.names().iter().find_map(|name| places.get(name.as_str()))
            else {
                let text = format!("'{own}' lists the file '{href}', which is not in the archive");
                object(Point::Missing, None, text);
                continue;
            };
            let member = &self.members[place];
            if let Some(size) = file.size.filter(|size| *size != member.size) {
                let real = member.size;
                let text = format!("'{own}' has '{href}' with {size} bytes; it has {real}");
                object(Point::Size, member.begin(), text);
            }
            if place < last {
                let text = format!("'{href}' is not where the list in '{own}' has it");
                object(Point::Order, member.begin(), text);
            }
            last = place;
        }
    }

    fn read_descriptor(&self) -> Result<Option<Descriptor>> {
        let Some(member) = self.members.iter().find(|member| is_descriptor(&member.name)) else {
            return Ok(None);
        };
        let text = self.small(member, ovf::MAX, "an OVF descriptor")?;
        let read = ovf::read(&member.name, &text, &self.limits);
        let at = member.begin().unwrap_or_default();
        read.map(Some).map_err(|error| error.at("reading the OVF descriptor", at, member.size))
    }

    /// A member as a whole.
    fn small(&self, member: &Member, most: u64, what: &str) -> Result<Vec<u8>> {
        if member.size > most {
            return Err(Error::limit(format!("{what} of {} bytes", member.size)));
        }
        let mut bytes = vec![0; member.size as usize];
        self.part(member).read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn candidates(&self) -> impl Iterator<Item = (String, Part)> {
        let members = self.members.iter();
        let members = members.filter(|member| member.size > 0 && !goes_with_disks(&member.name));
        members.map(|member| (member.name.clone(), self.part(member)))
    }

    /// The file of a disk of the descriptor: a member, or several that are its chunks.
    fn of_descriptor(&self, descriptor: &str, disk: &Listed) -> Result<(String, Part)> {
        let href = &disk.href;
        let find = |end: &str| self.members.iter().find(|member| disk.is(&member.name, end));
        if !disk.in_chunks {
            let member = find("").ok_or_else(|| missing(descriptor, href))?;
            return Ok((href.clone(), self.part(member)));
        }
        let (mut segments, mut len) = (Vec::new(), 0u64);
        for number in 0.. {
            let Some(chunk) = find(&format!(".{number:09}")) else { break };
            segments.extend(
                chunk.segments.iter().map(|segment| Segment { at: segment.at + len, ..*segment }),
            );
            len = len
                .checked_add(chunk.size)
                .filter(|len| *len < 1 << 62)
                .ok_or_else(|| Error::limit(format!("'{href}' is of more than 2^62 bytes")))?;
        }
        // Nothing else tells that there is no further chunk.
        if len == 0 || disk.size.is_some_and(|size| size != len) {
            return Err(missing(descriptor, &format!("{href}.…")));
        }
        let name = format!("{}/{href}", self.name);
        Ok((href.clone(), Part::new(name, Arc::clone(&self.bytes), len, segments)))
    }

    fn part(&self, member: &Member) -> Part {
        let name = format!("{}/{}", self.name, member.name);
        Part::new(name, Arc::clone(&self.bytes), member.size, member.segments.clone())
    }
}

/// A disk that the descriptor names and the archive does not have.
pub(crate) fn missing(descriptor: &str, href: &str) -> Error {
    let problem = format!("names the disk '{href}', which is not in the archive, or not whole");
    Damage::Ovf { name: descriptor.to_owned(), problem }.into()
}

fn digest(part: &Part, mut digest: Digest, cancel: &Cancel, progress: &Progress) -> Result<String> {
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    progress.expect(part.len());
    while at < part.len() {
        cancel.check()?;
        let count = (part.len() - at).min(buf.len() as u64) as usize;
        part.read_at(at, &mut buf[..count])?;
        digest.update(&buf[..count]);
        progress.pass(count as u64);
        at += count as u64;
    }
    Ok(digest.finish())
}
