//! An OVF package whose files lie in a folder, beside the descriptor.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Error, ErrorKind, Limits, Result};

use super::Package;
use crate::contents::Place;
use crate::damage::Damage;
use crate::member::Member;
use crate::ovf::{self, Descriptor, Listed};
use crate::segment::Segment;

/// Opens what lies beside a descriptor.
pub trait Neighbours {
    /// The file of that name, where there is one.
    ///
    /// # Errors
    /// `Unsupported` where the name must not be followed; `Io`.
    fn open(&mut self, name: &str) -> Result<Option<Arc<dyn Bytes>>>;
}

impl Package {
    /// The package of the descriptor that messages call by its path `name`, and its folder has as `own`. Each
    /// file that it lists is asked for once, and so is the manifest.
    ///
    /// A file that is not there or must not be opened is missing: of a disk that is an error where it is the one
    /// that is meant.
    ///
    /// # Errors
    /// `Damaged` where it is no descriptor, or has itself as a disk; `Limit` for more files than there may be;
    /// `Unsupported` for a manifest that must not be opened; `Io`.
    pub fn unpacked(
        name: &str,
        own: &str,
        descriptor: Arc<dyn Bytes>,
        neighbours: &mut dyn Neighbours,
        budget: &Budget,
    ) -> Result<Self> {
        let mut read = || {
            let descriptor_bytes = Arc::clone(&descriptor);
            let mut package = Self::of_one(name, own, descriptor_bytes, budget)?;
            let text = package.small(&package.members[0], ovf::MAX, "an OVF descriptor")?;
            let descriptor = ovf::read(own, &text, budget)?;
            package.gather(&descriptor, neighbours)?;
            package.descriptor = Some(descriptor);
            Ok(package)
        };
        read().map_err(|error: Error| error.doing("opening the OVF package").in_file(name))
    }

    /// The package with nothing but its descriptor.
    fn of_one(name: &str, own: &str, bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let mut package = Self {
            name: name.to_owned(),
            place: Place::Folder,
            bases: Vec::new(),
            budget: budget.clone(),
            members: budget.hold(Vec::new()),
            descriptor: None,
            unmarked: None,
            xva: None,
            refused: HashMap::new(),
        };
        package.add(own, bytes)?;
        Ok(package)
    }

    /// Opens all that the descriptor lists.
    fn gather(&mut self, descriptor: &Descriptor, neighbours: &mut dyn Neighbours) -> Result<()> {
        let own = &descriptor.name;
        let disks: HashSet<&str> = descriptor.disks.iter().map(|disk| disk.href.as_str()).collect();
        if let Some(disk) = descriptor.disks.iter().find(|disk| disk.is(own, "")) {
            let problem = format!("has itself as a disk, by the name '{}'", disk.href);
            return Err(Damage::Ovf { name: own.clone(), problem }.into());
        }
        let stem = own.rsplit_once('.').map_or(own.as_str(), |(stem, _)| stem);
        let manifest = format!("{stem}.mf");
        if let Some(bytes) = neighbours.open(&manifest)? {
            self.add(&manifest, bytes)?;
        }
        let mut asked = HashSet::from([own.clone(), manifest]);
        for file in &descriptor.files {
            if !asked.insert(file.href.clone()) {
                continue;
            }
            self.bound(asked.len())?;
            match self.open_file(file, neighbours) {
                Ok(()) => {}
                // It is no fault of what is asked for.
                Err(error) if error.kind() == ErrorKind::Limit => {
                    return Err(error);
                }
                Err(error) if disks.contains(file.href.as_str()) => {
                    self.refused.insert(file.href.clone(), (error.kind(), error.to_string()));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Opens a file that is listed, or its chunks as far as there are any.
    fn open_file(&mut self, file: &Listed, neighbours: &mut dyn Neighbours) -> Result<()> {
        for number in 0u32.. {
            let end = if file.in_chunks { format!(".{number:09}") } else { String::new() };
            let [name, unescaped] = file.names().map(|name| format!("{name}{end}"));
            let found = match neighbours.open(&name)? {
                None if unescaped != name => neighbours.open(&unescaped)?.map(|it| (unescaped, it)),
                found => found.map(|it| (name, it)),
            };
            let Some((name, bytes)) = found else { break };
            self.add(&name, bytes)?;
            if !file.in_chunks {
                break;
            }
        }
        Ok(())
    }

    /// Has a further file.
    fn add(&mut self, name: &str, bytes: Arc<dyn Bytes>) -> Result<()> {
        self.bound(self.members.len() + 1)?;
        self.members.spend("a package's list", name.len() as u64 + 256)?;
        let (size, base) = (bytes.len(), self.bases.len());
        let segments = vec![Segment { at: 0, len: size, from: 0 }];
        self.bases.push(bytes);
        self.members.push(Member { name: name.to_owned(), size, base, segments });
        Ok(())
    }

    fn bound(&self, files: usize) -> Result<()> {
        let most = self.budget.limits().members;
        match files > most as usize {
            true => Err(Limits::reached("members", format!("a package of more than {most} files"))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{Cancel, Progress};

    use super::*;
    use crate::choose::choice::Choice;
    use crate::choose::judge::{Candidate, Likeness};
    use crate::objection::{Objection, Point};

    fn nothing(_: &Candidate<'_>) -> Result<Likeness> {
        Ok(Likeness::Unknown)
    }

    /// Files in memory, and what was asked for.
    #[derive(Default)]
    struct Folder {
        files: HashMap<&'static str, &'static str>,
        asked: Vec<String>,
    }

    impl Neighbours for Folder {
        fn open(&mut self, name: &str) -> Result<Option<Arc<dyn Bytes>>> {
            self.asked.push(name.to_owned());
            if name.contains('/') {
                return Err(Error::unsupported(format!("'{name}' is elsewhere")));
            }
            let file = self.files.get(name);
            Ok(file.map(|text| Arc::new(text.as_bytes().to_vec()) as Arc<dyn Bytes>))
        }
    }

    const TEXT: &str = "<Envelope>
        <File id='1' href='a'/><File id='2' href='../b'/><File id='3' href='c' chunkSize='2'/>
        <File id='4' href='d%20e'/><File id='5' href='a'/><File id='6' href='f'/>
        <Disk fileRef='1'/><Disk fileRef='2'/><Disk fileRef='3'/><Disk fileRef='4'/><Disk fileRef='5'/></Envelope>";

    fn open(folder: &mut Folder, text: &str, budget: &Budget) -> Result<Package> {
        let descriptor: Arc<dyn Bytes> = Arc::new(text.as_bytes().to_vec());
        Package::unpacked("x/vm.ovf", "vm.ovf", descriptor, folder, budget)
    }

    fn full() -> Folder {
        let files = [
            ("a", "AAAA"),
            ("c.000000000", "CC"),
            ("c.000000001", "c"),
            ("d e", "DE"),
            ("vm.mf", "SHA1(a)= 00\nSHA1(g)= 00"),
        ];
        Folder { files: files.into(), asked: Vec::new() }
    }

    #[test]
    fn each_file_is_asked_for_once_and_disks_are_read_from_them() {
        let mut folder = full();
        let package = open(&mut folder, TEXT, &Budget::default()).unwrap();
        let asked = ["vm.mf", "a", "../b", "c.000000000", "c.000000001", "c.000000002"];
        assert_eq!(folder.asked[..6], asked);
        assert_eq!(folder.asked[6..], ["d%20e", "d e", "f"]);
        for (number, name, bytes) in [(1, "x/a", "AAAA"), (3, "x/c", "CCc"), (4, "x/d e", "DE")] {
            let picked = package.disk(Choice::Number(number), &nothing).unwrap();
            assert_eq!(picked.body.name(), name);
            let mut found = vec![0; picked.body.len() as usize];
            picked.body.read_at(0, &mut found).unwrap();
            assert_eq!(found, bytes.as_bytes(), "{name}");
            assert_eq!(picked.disks.len(), 4);
        }
        let refused = package.disk(Choice::Number(2), &nothing).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert!(refused.to_string().contains("'../b' is elsewhere"), "{refused}");
        let missing = open(&mut Folder::default(), TEXT, &Budget::default()).unwrap();
        let missing = missing.disk(Choice::First, &nothing).err().unwrap();
        assert_eq!(missing.kind(), ErrorKind::Io);
    }

    #[test]
    fn the_manifest_is_compared_as_in_an_archive() {
        let package = open(&mut full(), TEXT, &Budget::default()).unwrap();
        let mut points = Vec::new();
        let mut note = |objection: Objection| points.push(objection.point);
        let (cancel, progress) = (Cancel::default(), Progress::default());
        package.object(&mut Default::default(), &cancel, &progress, &mut note).unwrap();
        assert_eq!(points.iter().filter(|point| **point == Point::Digest).count(), 2);
        // Files in a folder are in no order.
        assert!(!points.iter().any(|point| matches!(point, Point::First | Point::Order)));
        let promises = package.promises("a").unwrap();
        assert_eq!(promises.digests.len(), 1);
    }

    #[test]
    fn there_are_no_more_files_than_there_may_be() {
        let budget = Limits::default().with_members(6).budget();
        let error = open(&mut full(), TEXT, &budget).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let budget = Limits::default().with_metadata(100).budget();
        assert_eq!(open(&mut full(), TEXT, &budget).err().unwrap().kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_descriptor_is_no_disk_of_its_own() {
        for href in ["vm.ovf", "./vm.ovf", "vm.%6fvf"] {
            let text =
                format!("<Envelope><File id='1' href='{href}'/><Disk fileRef='1'/></Envelope>");
            let error = open(&mut full(), &text, &Budget::default()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{href}");
        }
    }
}
