//! A package of files whose bytes can be read anywhere: an archive, or what was in one.
//!
//! - [`open`] reads the headers of an archive.
//! - [`unpacked`] opens the files beside a descriptor.
//! - [`disks`] finds the disk that is meant.
//! - [`object`] says what contradicts it, and what importers mind.
//! - [`promises`] tells the digests that its manifest has, and compares them.
//! - [`folder`] has the neighbours of a disk.

mod disks;
pub(crate) mod folder;
mod object;
mod open;
pub(crate) mod promises;
pub(crate) mod unpacked;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Error, ErrorKind, Held, Result};

use crate::archive::Archive;
use crate::contents::{Place, places};
use crate::member::Member;
use crate::ovf::Descriptor;
use crate::part::Part;
use crate::xva::{Proofs, Xva};

/// A tar archive, with its list of members; or an OVF package whose files lie in a folder.
pub struct Package {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// What its members are in: the archive, or the files themselves.
    pub(crate) bases: Vec<Arc<dyn Bytes>>,
    pub(crate) budget: Budget,
    pub(crate) members: Held<Vec<Member>>,
    /// The descriptor, where it is an OVF package.
    pub(crate) descriptor: Option<Descriptor>,
    /// Where it ends, where that is without an end mark, and nothing else tells that it is whole.
    pub(crate) unmarked: Option<u64>,
    /// The disks, where it is an XVA.
    pub(crate) xva: Option<Xva>,
    /// The disks of the descriptor that could not be opened, by their references, and why.
    pub(crate) refused: HashMap<String, (ErrorKind, String)>,
}

impl Package {
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

    /// The bytes of the regular file of that name, the first where there are several.
    pub fn member(&self, name: &str) -> Option<Part> {
        self.members.iter().find(|member| member.name == name).map(|member| self.part(member))
    }

    /// The names of its regular files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// What it has of digests beside the blocks of its disk of that name, where it is an XVA; and what is
    /// not compared, and why.
    pub(crate) fn proofs(&self, disk: &str) -> Option<(Proofs, Option<String>)> {
        self.xva.as_ref()?.proofs(disk, &self.bases[0])
    }

    /// Its regular files, in the archive's order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where in the list each name is first.
    pub(crate) fn places(&self) -> HashMap<&str, usize> {
        places(&self.members)
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
