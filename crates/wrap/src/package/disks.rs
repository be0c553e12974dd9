//! Finds the disks of a package, and the one that is meant.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result};

use super::Package;
use crate::archive::Archive;
use crate::choose::choice::{Choice, Found};
use crate::choose::chooser::{Chooser, Step, Taken};
use crate::choose::judge::{Judge, judge_part};
use crate::choose::needed::only_unneeded;
use crate::contents::missing;
use crate::joined::Joined;
use crate::ovf::{Descriptor, Listed};
use crate::part::Part;
use crate::picked::Picked;
use crate::segment::Segment;

impl Package {
    /// The disk that is meant, whose bytes are named `archive/member`; and all disks, with what `judge` says
    /// of each.
    ///
    /// In an OVF package and in an XVA the descriptor tells what a disk is. Elsewhere it is a member that
    /// `judge` knows or that is large, or the only member; and of several of those, where nobody has chosen one, the
    /// only one that no other needs.
    ///
    /// # Errors
    /// As for [`Choice::pick`]; `Damaged` where the descriptor names it, and it is not there; whatever
    /// `judge` fails with.
    pub fn disk(&self, choice: Choice, judge: &dyn Judge) -> Result<Picked<Part>> {
        let located = |error: Error| error.in_file(&self.name);
        let found = match (&self.xva, &self.descriptor) {
            (Some(xva), _) => xva.disks(&self.name, &self.bases[0]),
            (None, Some(descriptor)) => self.listed(descriptor, judge)?,
            (None, None) => self.taken(judge)?,
        };
        let choice = match choice {
            Choice::Only | Choice::First if self.kind() == Archive::Tar => {
                only_unneeded(&found, judge).unwrap_or(choice)
            }
            Choice::Only | Choice::First | Choice::Number(_) => choice,
        };
        let (disks, mut parts) = found.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let picked = choice.pick(&disks).map_err(located)?;
        let body = parts.swap_remove(picked).map_err(located)?;
        let member = body.name().strip_prefix(&self.path(""));
        let member = member.unwrap_or(&disks[picked].name).to_owned();
        Ok(Picked { member, disks, may_have_more: false, archive: self.kind(), body })
    }

    /// The disks of the descriptor, and their bytes. One that is missing is no reason not to get at another; and
    /// what a descriptor calls a disk is one, or is refused when it is opened.
    fn listed(
        &self,
        descriptor: &Descriptor,
        judge: &dyn Judge,
    ) -> Result<Vec<(Found, Result<Part>)>> {
        let mut disks = Vec::new();
        for (listed, mut found) in descriptor.disks.iter().zip(descriptor.found()) {
            let part = self.of_descriptor(&descriptor.name, listed);
            if let Ok(part) = &part {
                found.size = Some(part.len());
                found.format = judge_part(&found.name, part, judge)?.format();
            }
            disks.push((found, part));
        }
        Ok(disks)
    }

    /// The members that are taken for disks, and their bytes.
    fn taken(&self, judge: &dyn Judge) -> Result<Vec<(Found, Result<Part>)>> {
        let mut chooser = Chooser::all();
        for member in &self.members {
            if chooser.member(&member.name, member.size) == Step::Judge {
                let likeness = judge_part(&member.name, &self.part(member), judge)?;
                chooser.judged(&member.name, member.size, likeness);
            }
        }
        chooser.end().map_err(|error| error.in_file(&self.name))?;
        let part = |taken: &Taken| Ok(self.part(&self.members[taken.place]));
        Ok(chooser.taken().iter().map(|taken| (taken.found.clone(), part(taken))).collect())
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
}
