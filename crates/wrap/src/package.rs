//! A package of files whose bytes can be read anywhere: an archive, or what was in one.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Error, ErrorKind, Limits, Problem, Progress, Result};

use crate::capacity::Capacity;
use crate::choose::{
    Choice, Found, LIKELY, Likeness, goes_with_disks, is_descriptor, is_manifest, is_manifest_of,
    refused,
};
use crate::contents::{Place, object_to_files, places};
use crate::damage::Damage;
use crate::digests::Digests;
use crate::joined::Joined;
use crate::objection::Objection;
use crate::ovf::{Descriptor, Listed};
use crate::part::{Part, Segment};
use crate::peek::Walk;
use crate::tar::{Entry, Headers};
use crate::xva::{self, Xva};
use crate::{Archive, manifest, ovf};

/// What the bytes of a member say that it is.
pub type JudgePart<'a> = dyn Fn(&Part) -> Result<Likeness> + 'a;

/// A tar archive, with its list of members; or an OVF package whose files lie in a folder.
pub struct Package {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// What its members are in: the archive, or the files themselves.
    pub(crate) bases: Vec<Arc<dyn Bytes>>,
    pub(crate) limits: Limits,
    pub(crate) members: Vec<Member>,
    /// The descriptor, where it is an OVF package.
    pub(crate) descriptor: Option<Descriptor>,
    /// Where it ends, where that is without an end mark, and nothing else tells that it is whole.
    pub(crate) unmarked: Option<u64>,
    /// The disks, where it is an XVA.
    pub(crate) xva: Option<Xva>,
    /// The disks of the descriptor that could not be opened, by their references, and why.
    pub(crate) refused: HashMap<String, (ErrorKind, String)>,
}

/// A disk of a package.
pub struct Picked {
    /// Its bytes.
    pub part: Part,
    /// The name of the member that it is, as the package has it.
    pub member: String,
    /// All disks, with what there is to say of each.
    pub disks: Vec<Found>,
}

/// A regular file in an archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name.
    pub name: String,
    /// Its length in bytes, holes included.
    pub size: u64,
    /// Which of the package's bytes it is in.
    pub base: usize,
    pub segments: Vec<Segment>,
}

impl Member {
    /// Where its data begin in what it is in.
    pub fn begin(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.from)
    }

    /// Whether all of it is stored.
    pub fn is_whole(&self) -> bool {
        self.segments.iter().map(|segment| segment.len).sum::<u64>() == self.size
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
        let mut xva: Option<Xva> = None;
        while let Some(entry) = headers.next(&mut walk)? {
            if entry.is_file && members.is_empty() && xva::is_descriptor(&entry.name) {
                xva = read_xva(&entry, &bytes, limits)?;
            }
            crate::peek::Ahead::skip(&mut walk, entry.rest)?;
            if let Some(xva) = &mut xva
                && xva.take(&entry)?
            {
                headers.uncount();
                continue;
            }
            if entry.is_file {
                limits.spend("an archive's list", entry.name.len() as u64 + 128)?;
                let (name, size, segments) = (entry.name, entry.size, entry.segments);
                members.push(Member { name, size, base: 0, segments });
            }
        }
        // Of an XVA, the last blocks of its disks tell.
        let unmarked = headers.unmarked.filter(|_| xva.is_none());
        let mut package = Self {
            name: name.to_owned(),
            place: Place::Archive,
            bases: vec![bytes],
            limits: limits.clone(),
            members,
            descriptor: None,
            unmarked,
            xva,
            refused: HashMap::new(),
        };
        match &mut package.xva {
            Some(xva) => xva.end()?,
            None => package.descriptor = package.read_descriptor()?,
        }
        Ok(package)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of archive it is.
    pub fn kind(&self) -> Archive {
        match (&self.xva, &self.descriptor) {
            (Some(_), _) => Archive::Xva,
            (None, Some(_)) => Archive::Ova,
            (None, None) => Archive::Tar,
        }
    }

    /// Where its files are.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Whether its files lie in a folder.
    pub fn is_unpacked(&self) -> bool {
        self.place == Place::Folder
    }

    /// Whether it has an OVF descriptor.
    pub fn is_ova(&self) -> bool {
        self.descriptor.is_some()
    }

    /// The disk that is meant, whose bytes are named `archive/member`; and all disks, with what `judge` says
    /// of each.
    ///
    /// In an OVF package and in an XVA the descriptor tells what a disk is. Elsewhere it is a member that
    /// `judge` knows or that is large, or the only member.
    ///
    /// # Errors
    /// As for [`Choice::pick`]; `Damaged` where the descriptor names it, and it is not there; whatever
    /// `judge` fails with.
    pub fn disk(&self, choice: Choice, judge: &JudgePart<'_>) -> Result<Picked> {
        self.pick(choice, self.find(judge)?)
    }

    /// The disk that is meant of those that were [found](Self::find).
    ///
    /// # Errors
    /// As for [`Choice::pick`]; `Damaged` where the descriptor names it, and it is not there.
    pub fn pick(&self, choice: Choice, found: Vec<(Found, Result<Part>)>) -> Result<Picked> {
        let (disks, mut parts) = found.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let picked = choice.pick(&disks).and_then(|picked| {
            let part = parts.swap_remove(picked)?;
            let member = part.name().strip_prefix(&self.path(""));
            let member = member.unwrap_or(&disks[picked].name).to_owned();
            Ok(Picked { part, member, disks })
        });
        picked.map_err(|error| error.in_file(&self.name))
    }

    /// All disks, with what `judge` says of each, and their bytes where they are there.
    ///
    /// # Errors
    /// Whatever `judge` fails with; why there is none, where all that could be one is something else.
    pub fn find(&self, judge: &JudgePart<'_>) -> Result<Vec<(Found, Result<Part>)>> {
        if let Some(xva) = &self.xva {
            return Ok(xva.disks(&self.name, &self.bases[0]));
        }
        // A disk of a descriptor that is missing is no reason not to get at another.
        let parts: Vec<(String, Option<u64>, Result<Part>)> = match &self.descriptor {
            Some(Descriptor { name, disks, .. }) => {
                let listed =
                    |disk: &Listed| (disk.href.clone(), disk.size, self.of_descriptor(name, disk));
                disks.iter().map(listed).collect()
            }
            None => self.candidates().map(|(name, part)| (name, None, Ok(part))).collect(),
        };
        let (mut disks, mut other) = (Vec::new(), None);
        for (name, listed, part) in parts {
            let (size, likeness) = match &part {
                Ok(part) => (Some(part.len()), judge(part)?),
                Err(_) => (listed, Likeness::Unknown),
            };
            let format = likeness.format();
            match likeness {
                // What a descriptor calls a disk is one, or is refused when it is opened.
                Likeness::Other(why) if self.descriptor.is_none() => {
                    other.get_or_insert_with(|| refused(&name, &why));
                }
                _ => disks.push((Found { name, size, format }, part)),
            }
        }
        if let Some(other) = other.filter(|_| disks.is_empty()) {
            return Err(other.in_file(&self.name));
        }
        if self.descriptor.is_none() {
            let likely = |(found, _): &(Found, Result<Part>)| {
                found.format.is_some() || found.size.is_some_and(|size| size >= LIKELY)
            };
            if disks.iter().any(likely) {
                disks.retain(likely);
            }
        }
        Ok(disks)
    }

    /// The bytes of the regular file of that name, the first where there are several.
    pub fn member(&self, name: &str) -> Option<Part> {
        self.members.iter().find(|member| member.name == name).map(|member| self.part(member))
    }

    /// The names of its regular files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Reports what contradicts the archive or the specification of OVF packages; for that, all that
    /// the manifest lists is read, and counted as progress. Of an XVA, blocks that have other digests than
    /// are beside them, and disks that are not whole.
    ///
    /// # Errors
    /// As for [`object`](Self::object).
    pub fn check(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        if let Some(xva) = &self.xva {
            return xva.check(&self.bases[0], cancel, progress, report);
        }
        let mut problem = |objection: Objection| {
            if let Some(problem) = objection.into_problem() {
                report(problem);
            }
        };
        self.object(&mut Digests::default(), cancel, progress, &mut problem)
    }

    /// Reports what importers mind in it; for that, all that the manifest lists is read, unless its
    /// digests are known. Progress is counted in those bytes.
    ///
    /// # Errors
    /// `Io` when a member cannot be read; `Limit` for a manifest that is too long; `Cancelled`.
    pub fn object(
        &self,
        known: &mut Digests,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Objection),
    ) -> Result<()> {
        self.object_to_files(report);
        let descriptor = self.descriptor.iter();
        descriptor.flat_map(|it| &it.objections).for_each(|objection| report(objection.clone()));
        self.object_to_manifest(known, cancel, progress, report)
    }

    /// Compares what the descriptor says of files with the archive's list, or says that neither a descriptor
    /// nor an end mark tells that it is whole: nothing is read.
    pub fn object_to_files(&self, report: &mut dyn FnMut(Objection)) {
        match (&self.descriptor, self.unmarked) {
            (Some(descriptor), _) => object_to_files(descriptor, &self.members, self.place, report),
            (None, Some(at)) => report(Objection::no_end(at)),
            (None, None) => {}
        }
    }

    /// Reports that the descriptor gives the disk that [`disk`](Self::disk) has found under that name
    /// another size than the `size` in bytes that it has.
    pub fn object_to_capacity(&self, disk: &str, size: u64, report: &mut dyn FnMut(Objection)) {
        let Some(descriptor) = &self.descriptor else { return };
        let capacity = Capacity::of(descriptor, disk);
        capacity.and_then(|it| it.object(size)).into_iter().for_each(report);
    }

    /// What it has of digests beside the blocks of its disk of that name, where it is an XVA; and what is
    /// not compared, and why.
    pub(crate) fn proofs(&self, disk: &str) -> Option<(xva::Proofs, Option<String>)> {
        self.xva.as_ref()?.proofs(disk, &self.bases[0])
    }

    /// Its regular files, in the archive's order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where in the list the descriptor is, and each member that it lists.
    pub(crate) fn listed_files(&self) -> impl Iterator<Item = usize> {
        let descriptor = self.descriptor.iter();
        let hrefs = descriptor.clone().flat_map(|it| it.files.iter().flat_map(Listed::names));
        let names: HashSet<String> = hrefs.chain(descriptor.map(|it| it.name.clone())).collect();
        let places = 0..self.members.len();
        places.filter(move |place| names.contains(&self.members[*place].name))
    }

    /// Where in the list each name is first.
    pub(crate) fn places(&self) -> HashMap<&str, usize> {
        places(&self.members)
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
    pub(crate) fn small(&self, member: &Member, most: u64, what: &str) -> Result<Vec<u8>> {
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
    fn of_descriptor(&self, descriptor: &str, disk: &Listed) -> Result<Part> {
        let href = &disk.href;
        if let Some((kind, text)) = self.refused.get(href) {
            return Err(Error::new(*kind, text.clone()));
        }
        let lacks = |href: &str| missing(descriptor, href, self.place);
        let find = |end: &str| self.members.iter().find(|member| disk.is(&member.name, end));
        if !disk.in_chunks {
            let member = find("").ok_or_else(|| lacks(href))?;
            return Ok(self.part(member));
        }
        let chunks = (0..).map_while(|number| find(&format!(".{number:09}")));
        let chunks = chunks.map(|chunk| Arc::new(self.part(chunk)) as Arc<dyn Bytes>);
        let joined = Joined::new(self.path(href), chunks)?;
        let len = joined.len();
        // Nothing else tells that there is no further chunk.
        if len == 0 || disk.size.is_some_and(|size| size != len) {
            return Err(lacks(&format!("{href}.…")));
        }
        let whole = Segment { at: 0, len, from: 0 };
        Ok(Part::new(self.path(href), Arc::new(joined), len, vec![whole]))
    }

    pub(crate) fn part(&self, member: &Member) -> Part {
        let base = Arc::clone(&self.bases[member.base]);
        Part::new(self.path(&member.name), base, member.size, member.segments.clone())
    }

    /// What messages call its file of that name.
    pub(crate) fn path(&self, member: &str) -> String {
        match self.place {
            Place::Archive => format!("{}/{member}", self.name),
            Place::Folder => {
                let folder = Path::new(&self.name).parent().unwrap_or(Path::new(""));
                folder.join(member).display().to_string()
            }
        }
    }
}

/// The disks of the XVA whose descriptor, if it is one, is that member.
fn read_xva(entry: &Entry, bytes: &Arc<dyn Bytes>, limits: &Limits) -> Result<Option<Xva>> {
    if entry.size > xva::MAX {
        return Err(Error::limit(format!("a descriptor '{}' of {} bytes", entry.name, entry.size)));
    }
    let part = Part::new(entry.name.clone(), Arc::clone(bytes), entry.size, entry.segments.clone());
    let mut text = vec![0; entry.size as usize];
    part.read_at(0, &mut text)?;
    xva::read(&text, limits)?.map(|machine| Xva::new(machine, limits)).transpose()
}

/// A disk that the descriptor names and the package does not have.
pub(crate) fn missing(descriptor: &str, href: &str, place: Place) -> Error {
    let problem = format!("names the disk '{href}', which is not {place}, or not whole");
    let damage = Damage::Ovf { name: descriptor.to_owned(), problem };
    match place {
        Place::Archive => damage.into(),
        Place::Folder => Error::new(ErrorKind::Io, damage),
    }
}
