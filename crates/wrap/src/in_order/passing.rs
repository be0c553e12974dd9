//! The way through an archive that comes in order, from member to member.

use std::sync::Arc;

use diskferry_block_stream::{self as block_stream, Budget, Result};

use super::promised::Promised;
use crate::choose::chooser::{Chooser, Step, Verdict};
use crate::choose::judge::{Candidate, Judge};
use crate::choose::names::is_manifest;
use crate::choose::needed::refuse_needing;
use crate::ending::Ending;
use crate::member::Member;
use crate::peek::{Ahead, Peek};
use crate::small::{described, head, machine, whole};
use crate::tar::{Entry, Headers};
use crate::xva::descriptor::{Machine, is_descriptor};

/// An archive on its way, and what is known of it so far.
pub(crate) struct Passing {
    pub headers: Headers,
    pub chooser: Chooser,
    /// The disk that is meant if there is none that is more like one.
    pub held: Option<Held>,
    /// What manifests say of the disk.
    pub promised: Promised,
    judge: Arc<dyn Judge>,
    budget: Budget,
    members: block_stream::Held<Vec<Member>>,
}

/// A short member, kept until all others have passed.
pub(crate) struct Held {
    pub member: String,
    pub bytes: Vec<u8>,
    /// The error if it needs others.
    pub needs_others: Result<()>,
}

/// Where the way stops.
pub(crate) enum Stop {
    /// Behind the descriptor of an XVA.
    Machine(Machine),
    /// In front of the data of the disk that is meant.
    Disk(Entry),
    /// At the end.
    End,
}

impl Passing {
    pub fn new(chooser: Chooser, judge: &Arc<dyn Judge>, budget: &Budget) -> Self {
        Self {
            headers: Headers::new(budget),
            chooser,
            held: None,
            promised: Promised::default(),
            judge: Arc::clone(judge),
            budget: budget.clone(),
            members: budget.hold(Vec::new()),
        }
    }

    /// Goes on from the next header to where the disk that is meant begins, or to the end.
    ///
    /// # Errors
    /// `Damaged`, `Limit`, `Io`, `Unsupported` for an archive in several volumes; as for [`Chooser::described`].
    pub fn go_on(&mut self, archive: &mut Peek) -> Result<Stop> {
        while let Some(entry) = self.headers.next(archive)? {
            if !entry.is_file {
                archive.skip(entry.rest)?;
                continue;
            }
            let is_first = self.members.is_empty();
            self.note(&entry)?;
            if is_first && is_descriptor(&entry.name) {
                match machine(archive, &entry, &self.budget)? {
                    Some(machine) => return Ok(Stop::Machine(machine)),
                    None => continue,
                }
            }
            let at = archive.at();
            match self.chooser.member(&entry.name, entry.size) {
                Step::Begin => return Ok(Stop::Disk(entry)),
                Step::Judge => {
                    if self.judge(archive, &entry)? {
                        return Ok(Stop::Disk(entry));
                    }
                }
                Step::Describe => {
                    let (text, descriptor) = described(archive, &entry, &self.budget)?;
                    self.chooser.described(descriptor, &self.members)?;
                    if self.chooser.looks_for().is_some() {
                        self.promised.keep(text);
                    }
                }
                Step::Pass if is_manifest(&entry.name) => self.manifest(archive, &entry)?,
                Step::Pass => {}
            }
            archive.skip(entry.rest - (archive.at() - at))?;
        }
        Ok(Stop::End)
    }

    /// Judges a member; says whether it is the disk that is meant. Where others may be it as well, it is kept.
    fn judge(&mut self, archive: &mut Peek, entry: &Entry) -> Result<bool> {
        let head = head(archive, entry)?;
        let member = Candidate { name: &entry.name, size: entry.size, head: &head, part: None };
        let likeness = self.judge.likeness(&member)?;
        let verdict = self.chooser.judged(&entry.name, entry.size, likeness);
        let needs_others = || match self.chooser.is_only() {
            true => refuse_needing(&member, self.judge.as_ref()),
            false => Ok(()),
        };
        match verdict {
            Verdict::Begin => needs_others().map(|()| true),
            Verdict::Hold => {
                let (name, needs_others) = (entry.name.clone(), needs_others());
                let bytes = whole(archive, entry)?;
                self.held = Some(Held { member: name, bytes, needs_others });
                Ok(false)
            }
            Verdict::Pass => Ok(false),
        }
    }

    /// Looks at a manifest: it is of use between its descriptor and the disk.
    fn manifest(&mut self, archive: &mut Peek, entry: &Entry) -> Result<()> {
        match self.chooser.looks_for() {
            Some((descriptor, disk)) if self.promised.wants(&entry.name, descriptor) => {
                self.promised.read(archive, entry, descriptor, disk)
            }
            _ => {
                self.promised.passed(&entry.name);
                Ok(())
            }
        }
    }

    /// Keeps in mind that a file is there; its name is kept twice where it is taken for a disk.
    fn note(&mut self, entry: &Entry) -> Result<()> {
        self.members.spend("an archive's list", 2 * entry.name.len() as u64 + 256)?;
        let (name, size) = (entry.name.clone(), entry.size);
        self.members.push(Member { name, size, base: 0, segments: Vec::new() });
        Ok(())
    }

    /// What there is to say of the archive at the end, when nothing was wrong.
    pub fn ending(&self, disk: &str) -> Ending {
        Ending::of(self.chooser.descriptor(), &self.members, self.headers.unmarked, disk)
    }
}
