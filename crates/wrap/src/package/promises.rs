//! What the manifest of a package says of its files: its digests, compared with theirs.

use std::collections::{HashMap, HashSet};

use diskferry_block_stream::{Bytes, Cancel, Error, Progress, Result};
use diskferry_codec::digest::Algorithm;

use super::Package;
use crate::choose::names::{is_manifest, is_manifest_of};
use crate::digests::Digests;
use crate::manifest::{self, Line};
use crate::member::Member;
use crate::objection::{OBJECTIONS, Objection, Point};
use crate::ovf::Listed;
use crate::part::Part;
use crate::xva::Proofs;

/// What a manifest says of the files that a disk is read from.
#[derive(Default)]
pub struct Promises {
    /// The digests that it has of them.
    pub digests: Vec<Promise>,
    /// What is not compared, and why.
    pub note: Option<String>,
}

/// Digests that a package has of its files.
pub struct Promise(Kind);

enum Kind {
    /// One that a manifest has of a file.
    File {
        part: Part,
        algorithm: Algorithm,
        /// The lines that have it: more than one may.
        lines: Vec<Line>,
    },
    /// Those beside the blocks of a disk.
    Blocks(Proofs),
}

impl Promise {
    /// Compares the file's digest, and reads it unless that is known, or those of all blocks of a disk;
    /// `go_on` is asked every MiB.
    ///
    /// # Errors
    /// `Damaged` where it is another; `Io`; whatever `go_on` fails with.
    pub fn check(&self, known: &mut Digests, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let (part, algorithm, lines) = match &self.0 {
            Kind::File { part, algorithm, lines } => (part, *algorithm, lines),
            Kind::Blocks(proofs) => return proofs.check(go_on),
        };
        let found = known.of(part, algorithm, go_on, &Progress::default())?;
        let compared = lines.iter().try_for_each(|line| line.compare(algorithm, found));
        compared.map_err(|damage| {
            Error::from(damage).doing("comparing with the manifest").in_file(part.name())
        })
    }
}

impl Package {
    /// What the manifest says of the descriptor, and of the file of the disk that [`disk`](Self::disk)
    /// has found under that name, or of its chunks; in an XVA, what is beside the blocks of that disk. There is nothing where there is no manifest.
    ///
    /// A file with holes is not compared: they may be of any length, and cost nothing to convert.
    ///
    /// # Errors
    /// `Limit` for a manifest that is too long, `Io`.
    pub fn promises(&self, disk: &str) -> Result<Promises> {
        if let Some((proofs, note)) = self.proofs(disk) {
            return Ok(Promises { digests: vec![Promise(Kind::Blocks(proofs))], note });
        }
        let mut promises = Promises::default();
        let Some(listing) = self.manifest() else { return Ok(promises) };
        let located = |error: Error| error.doing("reading the manifest").in_file(self.name());
        let text = self.small(listing, manifest::MAX, "a manifest").map_err(located)?;
        let text = String::from_utf8_lossy(&text);
        // Of several of a name the first counts, as everywhere.
        let files = self.files_of(disk).rev().map(|member| (member.name.as_str(), member));
        let files: HashMap<&str, &Member> = files.collect();
        let (mut seen, mut places) = (HashSet::new(), HashMap::new());
        let mut uncompared = None;
        for line in manifest::lines(&listing.name, &text) {
            let Some((&name, member)) = files.get_key_value(line.file.as_str()) else { continue };
            seen.insert(name);
            let problem = match line.algorithm {
                None => "has a digest of an unknown kind in",
                Some(_) if !member.is_whole() => "has holes, and is not compared with",
                // It is read once, however often it is listed.
                Some(algorithm) => {
                    let place = *places.entry((name, algorithm)).or_insert(promises.digests.len());
                    match promises.digests.get_mut(place) {
                        Some(Promise(Kind::File { lines, .. })) => lines.push(line),
                        Some(Promise(Kind::Blocks(_))) | None => {
                            let (part, lines) = (self.part(member), vec![line]);
                            let promise = Kind::File { part, algorithm, lines };
                            promises.digests.push(Promise(promise));
                        }
                    }
                    continue;
                }
            };
            uncompared.get_or_insert((name, problem));
        }
        let unlisted = files.keys().copied().filter(|name| !seen.contains(name)).min();
        let note = uncompared.or(unlisted.map(|name| (name, "is not in")));
        promises.note = note
            .map(|(name, problem)| format!("'{name}' {problem} the manifest '{}'", listing.name));
        Ok(promises)
    }

    /// Reports what is wrong with the manifest, and what the files have other digests than it says.
    ///
    /// # Errors
    /// `Io` when a member cannot be read, `Limit`, `Cancelled`.
    pub(crate) fn object_to_manifest(
        &self,
        known: &mut Digests,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Objection),
    ) -> Result<()> {
        let Some(listing) = self.manifest() else { return Ok(()) };
        let text = self.small(listing, manifest::MAX, "a manifest")?;
        let places = self.places();
        let (mut listed, mut has_sha512) = (HashSet::new(), false);
        for line in manifest::lines(&listing.name, &String::from_utf8_lossy(&text)) {
            let mut object = |point, at, text| report(Objection::new(point, at, text));
            let file = &line.file;
            let at = listing.begin();
            if let Some(text) = line.oddity() {
                object(Point::Manifest, at, text);
            }
            let Some(&place) = places.get(file.as_str()) else {
                let text = format!("the manifest lists '{file}', which is not {}", self.place());
                object(Point::Digest, at, text);
                continue;
            };
            listed.insert(place);
            let Some(algorithm) = line.algorithm else {
                let text = format!("the manifest has a digest of '{file}' of an unknown kind");
                object(Point::Manifest, at, text);
                continue;
            };
            let member = &self.members()[place];
            if algorithm == Algorithm::Sha512 && !has_sha512 {
                has_sha512 = true;
                object(Point::Kind, at, format!("the manifest has a sha512 of '{file}'"));
            }
            if !member.is_whole() {
                // A hole may be of any length.
                let text = format!("'{file}' has holes, and is not compared with the manifest");
                object(Point::Manifest, member.begin(), text);
                continue;
            }
            let found = known.of(&self.part(member), algorithm, &|| cancel.check(), progress)?;
            if let Err(damage) = line.compare(algorithm, found) {
                object(Point::Digest, member.begin(), damage.to_string());
            }
        }
        for place in self.listed_files().filter(|place| !listed.contains(place)).take(OBJECTIONS) {
            let name = &self.members()[place].name;
            let text = format!("the manifest '{}' has no digest of '{name}'", listing.name);
            report(Objection::new(Point::Unlisted, listing.begin(), text));
        }
        Ok(())
    }

    /// Where in the list the descriptor is, and each member that it lists.
    pub(crate) fn listed_files(&self) -> impl Iterator<Item = usize> {
        let descriptor = self.descriptor.iter();
        let hrefs = descriptor.clone().flat_map(|it| it.files.iter().flat_map(Listed::names));
        let names: HashSet<String> = hrefs.chain(descriptor.map(|it| it.name.clone())).collect();
        let places = 0..self.members.len();
        places.filter(move |place| names.contains(&self.members[*place].name))
    }

    /// The list of digests. In an archive that is no OVF package a long file of that name is something
    /// else.
    pub(crate) fn manifest(&self) -> Option<&Member> {
        let mut manifests = self.members.iter().filter(|member| is_manifest(&member.name));
        let own = self.descriptor.as_ref().and_then(|descriptor| {
            manifests.clone().find(|member| is_manifest_of(&member.name, &descriptor.name))
        });
        let found = own.or_else(|| manifests.next());
        found.filter(|member| self.is_ova() || member.size <= manifest::MAX)
    }

    /// The descriptor, and the members that the disk called `disk` is read from.
    pub(crate) fn files_of(&self, disk: &str) -> impl DoubleEndedIterator<Item = &Member> {
        let listed = self.descriptor.iter().flat_map(|it| &it.disks).find(|it| it.is(disk, ""));
        self.members.iter().filter(move |member| match (&self.descriptor, listed) {
            (Some(descriptor), _) if member.name == descriptor.name => true,
            (_, Some(listed)) if listed.in_chunks => {
                let number = |end: &str| end.len() == 9 && end.bytes().all(|c| c.is_ascii_digit());
                let parts = member.name.rsplit_once('.').filter(|(_, end)| number(end));
                parts.is_some_and(|(name, _)| listed.is(name, ""))
            }
            (_, Some(listed)) => listed.is(&member.name, ""),
            (_, None) => member.name == disk,
        })
    }
}
