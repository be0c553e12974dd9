//! An archive whose bytes can be read anywhere.

use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Cancel, Error, Limits, Problem, ProblemKind, Progress, Result,
};
use diskferry_codec::digest::Digest;

use crate::choose::{Choice, Found, LIKELY, goes_with_disks, is_descriptor, is_manifest};
use crate::damage::Damage;
use crate::ovf::DiskFile;
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
    disks: Option<Vec<DiskFile>>,
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
        let mut package = Self { bytes, name, limits, members, disks: None };
        package.disks = package.descriptor()?;
        Ok(package)
    }

    /// Whether it has an OVF descriptor.
    pub fn is_ova(&self) -> bool {
        self.disks.is_some()
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
        let parts: Result<Vec<(String, Part)>> = match &self.disks {
            Some(disks) => disks.iter().map(|disk| self.of_descriptor(disk)).collect(),
            None => Ok(self.candidates().collect()),
        };
        let located = |error: Error| error.in_file(&self.name);
        let mut disks = Vec::new();
        for (member, part) in parts.map_err(located)? {
            let format = judge(&part)?;
            disks.push((Found { name: member, size: Some(part.len()), format }, part));
        }
        if self.disks.is_none() {
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

    /// Compares the members with the digests that the manifest has, where there is one. `progress`
    /// is told of the bytes of each, and counts them.
    ///
    /// # Errors
    /// `Io` when a member cannot be read; `Cancelled`.
    pub fn check(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        let Some(listing) = self.members.iter().find(|member| is_manifest(&member.name)) else {
            return Ok(());
        };
        let text = self.small(listing, manifest::MAX, "a manifest")?;
        let folder = &listing.name[..listing.name.rfind('/').map_or(0, |slash| slash + 1)];
        for line in manifest::parse(&text) {
            let mut problem = |kind, at, text| report(Problem { kind, at, text });
            let file = &format!("{folder}{}", line.file);
            let Some(member) = self.members.iter().find(|member| member.name == *file) else {
                let text = format!("the manifest lists '{file}', which is not in the archive");
                problem(ProblemKind::Corruption, None, text);
                continue;
            };
            let at = member.segments.first().map(|segment| segment.from);
            let Some(algorithm) = line.algorithm else {
                let text = format!("the manifest has a digest of '{file}' of an unknown kind");
                problem(ProblemKind::Oddity, at, text);
                continue;
            };
            self.limits.check_virtual_size(member.size)?;
            let (part, digest) = (self.part(member), Digest::new(algorithm));
            let found = digest_of(&part, digest, cancel, progress)?;
            if found != line.digest {
                let text = format!(
                    "'{file}' has the {algorithm} {found}, and not {}, as the manifest has it",
                    line.digest
                );
                problem(ProblemKind::Corruption, at, text);
            }
        }
        Ok(())
    }

    /// The disks that the descriptor names, where there is a descriptor.
    fn descriptor(&self) -> Result<Option<Vec<DiskFile>>> {
        let Some(member) = self.members.iter().find(|member| is_descriptor(&member.name)) else {
            return Ok(None);
        };
        let text = self.small(member, ovf::MAX, "an OVF descriptor")?;
        ovf::disks(&member.name, &text, &self.limits).map(Some)
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
    fn of_descriptor(&self, disk: &DiskFile) -> Result<(String, Part)> {
        let href = &disk.href;
        let find = |end: &str| self.members.iter().find(|member| disk.is(&member.name, end));
        if !disk.in_chunks {
            let member = find("").ok_or_else(|| missing(href))?;
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
            return Err(missing(&format!("{href}.…")));
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
pub(crate) fn missing(href: &str) -> Error {
    let problem = format!("names the disk '{href}', which is not in the archive, or not whole");
    Damage::Ovf { name: ".ovf".to_owned(), problem }.into()
}

fn digest_of(
    part: &Part,
    mut digest: Digest,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<String> {
    progress.expect(part.len());
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while at < part.len() {
        cancel.check()?;
        let count = (part.len() - at).min(buf.len() as u64) as usize;
        part.read_at(at, &mut buf[..count])?;
        digest.update(&buf[..count]);
        at += count as u64;
        progress.pass(count as u64);
    }
    Ok(digest.finish())
}
