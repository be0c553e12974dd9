//! Finds the disk of an archive: it is told of the regular files one after another, in the archive's order, and says
//! what there is to do with each. It reads nothing itself.
//!
//! In an OVF package the descriptor tells what a disk is. Elsewhere it is a member that the [judge](super::judge)
//! knows or that is large, or the only member. Who has the whole list asks for [all](Chooser::all) of them, and
//! then for one; of what comes in order, the one is [looked for](Chooser::of), and begins before all are known.
//! What comes behind it may show that it is not the one after all.

use diskferry_block_stream::{Error, NotInOrder, Result};

use super::choice::{Choice, Found};
use super::judge::{LIKELY, Likeness};
use super::names::{goes_with_disks, is_descriptor};
use crate::contents::{Place, missing};
use crate::member::Member;
use crate::ovf::{Descriptor, Listed};

pub(crate) struct Chooser {
    goal: Goal,
    /// The first descriptor that came, which is the one that counts.
    descriptor: Option<Descriptor>,
    /// The disk of the descriptor that is meant, where one is looked for.
    wanted: Option<Listed>,
    /// The name of the disk that is meant, once it has come.
    begun: Option<String>,
    /// Members that it was told of.
    told: usize,
    /// Members that are taken for disks.
    likely: Vec<Taken>,
    /// Those that are taken for disks where there are no others.
    short: Vec<Taken>,
    /// Why the first one is refused that is something else.
    other: Option<Error>,
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    All,
    One(Choice),
}

/// A disk, and the place of its member among all that were told of.
#[derive(Clone)]
pub(crate) struct Taken {
    pub found: Found,
    pub place: usize,
}

/// What there is to do with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Pass,
    /// It tells the disks: it is read, and [told](Chooser::described).
    Describe,
    /// Its first bytes tell whether it is a disk, which is [told](Chooser::judged).
    Judge,
    /// It is the disk that is meant.
    Begin,
}

/// What a member is once it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not the disk that is meant.
    Pass,
    /// The disk that is meant, if none comes that is more like one.
    Hold,
    /// The disk that is meant.
    Begin,
}

impl Chooser {
    /// Finds all disks.
    pub fn all() -> Self {
        Self::new(Goal::All)
    }

    /// Finds the one that is meant.
    pub fn of(choice: Choice) -> Self {
        Self::new(Goal::One(choice))
    }

    fn new(goal: Goal) -> Self {
        let (likely, short) = (Vec::new(), Vec::new());
        let (descriptor, wanted, begun, other) = (None, None, None, None);
        Self { goal, descriptor, wanted, begun, told: 0, likely, short, other }
    }

    /// Is told of the next regular file.
    pub fn member(&mut self, name: &str, size: u64) -> Step {
        self.told += 1;
        match (&self.descriptor, &self.begun) {
            (None, _) if is_descriptor(name) => Step::Describe,
            (Some(_), None) if self.wanted.as_ref().is_some_and(|it| it.is(name, "")) => {
                self.begun = Some(name.to_owned());
                Step::Begin
            }
            (Some(_), _) => Step::Pass,
            (None, _) if size == 0 || goes_with_disks(name) => Step::Pass,
            // What else there is matters only where there must be nothing.
            (None, Some(_)) if !self.is_only() => Step::Pass,
            (None, _) => Step::Judge,
        }
    }

    /// Is told what the last member is like.
    pub fn judged(&mut self, name: &str, size: u64, likeness: Likeness) -> Verdict {
        let found = Found { name: name.to_owned(), size: Some(size), format: likeness.format() };
        let is_meant = |before: &[Taken]| {
            self.begun.is_none() && self.rank().is_some_and(|rank| rank == before.len() + 1)
        };
        let (is_likely, is_short) = (is_meant(&self.likely), is_meant(&self.short));
        let taken = Taken { found, place: self.told - 1 };
        match likeness {
            Likeness::Other(why) => {
                self.other.get_or_insert_with(|| refused(name, &why));
                Verdict::Pass
            }
            Likeness::Unknown if size < LIKELY => {
                // One that is likely is there already, and rules it out.
                if self.begun.is_none() {
                    self.short.push(taken);
                }
                if is_short { Verdict::Hold } else { Verdict::Pass }
            }
            Likeness::Disk(_) | Likeness::Unknown => {
                self.likely.push(taken);
                if is_likely {
                    self.begun = Some(name.to_owned());
                    return Verdict::Begin;
                }
                Verdict::Pass
            }
        }
    }

    /// Is told what the descriptor says, and which members came `before` it.
    ///
    /// # Errors
    /// As for [`Choice::pick`]; [`NotInOrder`] where the disk that is meant cannot be had any more, is another one
    /// than that which has begun, or is in chunks; and where one has begun by its number.
    pub fn described(&mut self, descriptor: Descriptor, before: &[Member]) -> Result<()> {
        if let Goal::One(choice) = self.goal {
            let wanted = &descriptor.disks[choice.pick(&descriptor.found())?];
            let mut before = before.iter().map(|member| &member.name);
            match &self.begun {
                _ if wanted.in_chunks => return Err(in_chunks(wanted)),
                // A number was of the members, and is of the descriptor now.
                Some(_) if matches!(choice, Choice::Number(_)) => return Err(late(&descriptor)),
                Some(begun) if !wanted.is(begun, "") => return Err(late(&descriptor)),
                None if before.any(|name| wanted.is(name, "")) => return Err(late(&descriptor)),
                _ => self.wanted = Some(wanted.clone()),
            }
        }
        self.descriptor = Some(descriptor);
        Ok(())
    }

    /// The descriptor, and the disk of it that is looked for.
    pub fn looks_for(&self) -> Option<(&Descriptor, &Listed)> {
        self.descriptor.as_ref().zip(self.wanted.as_ref()).filter(|_| self.begun.is_none())
    }

    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_ref()
    }

    /// Whether the disk that is meant must be the only one, and no descriptor tells which are some.
    pub fn is_only(&self) -> bool {
        self.descriptor.is_none() && self.goal == Goal::One(Choice::Only)
    }

    /// Whether there may be disks that it was not told of when the one that is meant has begun.
    pub fn may_have_more(&self) -> bool {
        self.descriptor.is_none() && !self.is_only()
    }

    /// The disks that are known by now.
    pub fn disks(&self) -> Vec<Found> {
        match &self.descriptor {
            Some(descriptor) => descriptor.found(),
            None => self.taken().iter().map(|taken| taken.found.clone()).collect(),
        }
    }

    /// The members that are taken for disks where there is no descriptor.
    pub fn taken(&self) -> &[Taken] {
        if self.likely.is_empty() { &self.short } else { &self.likely }
    }

    /// Is told that there are no more members.
    ///
    /// # Errors
    /// Why there is no disk, where all that could be one is something else; `Damaged` where the descriptor's has not
    /// come; `Misuse` where one was to be the only one, and is not.
    pub fn end(&mut self) -> Result<()> {
        if let Some((descriptor, wanted)) = self.looks_for() {
            return Err(missing(&descriptor.name, &wanted.href, Place::Archive));
        }
        if self.descriptor.is_none() && self.taken().is_empty() {
            self.other.take().map_or(Ok(()), Err)?;
        }
        match self.goal {
            // Only now all are known that can be chosen from.
            Goal::One(choice) if self.begun.is_none() || self.is_only() => {
                choice.pick(&self.disks()).map(|_| ())
            }
            Goal::One(_) | Goal::All => Ok(()),
        }
    }

    /// Which one is meant of those that come, from 1 on.
    fn rank(&self) -> Option<usize> {
        match self.goal {
            Goal::All => None,
            Goal::One(Choice::Only | Choice::First) => Some(1),
            Goal::One(Choice::Number(number)) => Some(number as usize),
        }
    }
}

impl Descriptor {
    /// The disks to pick from: as many as it has.
    pub fn found(&self) -> Vec<Found> {
        let found =
            |disk: &Listed| Found { name: disk.href.clone(), size: disk.size, format: None };
        self.disks.iter().map(found).collect()
    }
}

/// Says of the only member that could be meant why it is not.
fn refused(member: &str, why: &Error) -> Error {
    let cause = std::error::Error::source(why).map_or_else(String::new, ToString::to_string);
    Error::new(why.kind(), format!("'{member}' is {cause}"))
}

/// A descriptor that comes when a disk of it has passed.
fn late(descriptor: &Descriptor) -> Error {
    NotInOrder::error(format!(
        "the descriptor '{}', which tells the disks and their numbers, comes after them; unpack the archive first",
        descriptor.name
    ))
}

fn in_chunks(disk: &Listed) -> Error {
    NotInOrder::error(format!(
        "the disk '{}' is cut into chunks, which are put together only where the archive itself is not compressed \
         and in a file",
        disk.href
    ))
}

#[cfg(test)]
mod tests;
