//! Opens an archive: its headers are read, and its descriptor.

use std::collections::HashMap;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Result};

use super::Package;
use crate::choose::names::is_descriptor;
use crate::contents::Place;
use crate::member::Member;
use crate::ovf::{self, Descriptor};
use crate::peek::{Ahead, Walk};
use crate::small::machine;
use crate::tar::Headers;
use crate::xva::{Xva, descriptor};

impl Package {
    /// Reads all headers of an archive, which messages call `name`.
    ///
    /// # Errors
    /// `Damaged` where they contradict the archive, `Limit` for more members than there may be,
    /// `Unsupported` for kinds of members that are not read, `Io`.
    pub fn open(name: &str, bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let opened = Self::read(name, bytes, budget);
        opened.map_err(|error| error.doing("opening the archive").in_file(name))
    }

    fn read(name: &str, bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let mut headers = Headers::new(budget);
        let mut walk = Walk::new(bytes.as_ref());
        let mut members = budget.hold(Vec::new());
        let mut xva: Option<Xva> = None;
        while let Some(entry) = headers.next(&mut walk)? {
            let at = walk.at();
            if entry.is_file && members.is_empty() && descriptor::is_descriptor(&entry.name) {
                let machine = machine(&mut walk, &entry, budget)?;
                xva = machine.map(|machine| Xva::new(machine, budget)).transpose()?;
            }
            walk.skip(entry.rest - (walk.at() - at))?;
            if let Some(xva) = &mut xva
                && xva.take(&entry)?
            {
                headers.uncount();
                continue;
            }
            if entry.is_file {
                members.spend("an archive's list", entry.name.len() as u64 + 128)?;
                let (name, size, segments) = (entry.name, entry.size, entry.segments);
                members.push(Member { name, size, base: 0, segments });
            }
        }
        members.join(headers.maps);
        // Of an XVA, the last blocks of its disks tell.
        let unmarked = headers.unmarked.filter(|_| xva.is_none());
        let mut package = Self {
            name: name.to_owned(),
            place: Place::Archive,
            bases: vec![bytes],
            budget: budget.clone(),
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

    fn read_descriptor(&self) -> Result<Option<Descriptor>> {
        let Some(member) = self.members.iter().find(|member| is_descriptor(&member.name)) else {
            return Ok(None);
        };
        let text = self.small(member, ovf::MAX, "an OVF descriptor")?;
        let read = ovf::read(&member.name, &text, &self.budget);
        let at = member.begin().unwrap_or_default();
        read.map(Some).map_err(|error| error.at("reading the OVF descriptor", at, member.size))
    }
}
