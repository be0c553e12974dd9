//! An archive that comes in order only: it is passed over up to the disk, and what follows the disk is looked at
//! when the disk was read.
//!
//! - [`passing`] goes from member to member, as the [chooser](crate::choose::chooser) says.
//! - [`promised`] compares the disk with a manifest that came before it.
//! - [`content`] is the disk's bytes, and behind them the rest of the archive.
//! - [`listing`] passes over all of an archive.

mod content;
pub(crate) mod listing;
mod passing;
mod promised;

use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Error, Result};

use self::content::Content;
use self::passing::{Held, Passing, Stop};
use crate::archive::Archive;
use crate::choose::choice::Choice;
use crate::choose::chooser::Chooser;
use crate::choose::judge::Judge;
use crate::peek::Peek;
use crate::picked::{Arriving, Picked};
use crate::tar::Entry;
use crate::xva;

/// Passes over an archive up to the disk that is meant.
///
/// What a disk is, is told as in [`Package::disk`](crate::Package::disk), as far as it is known when the disk comes.
/// Where others come after the [only](Choice::Only) disk that was expected, reading that disk to its end fails, with a
/// list of all.
///
/// # Errors
/// As for [`Choice::pick`]; `Damaged`, `Limit`, `Io`; `Unsupported` for what must be read anywhere: a disk in chunks,
/// one that needs other members, one whose descriptor comes after it.
pub fn find_disk(
    mut archive: Peek,
    choice: Choice,
    judge: &Arc<dyn Judge>,
    budget: &Budget,
) -> Result<Picked<Arriving>> {
    let mut passing = Passing::new(Chooser::of(choice), judge, budget);
    match passing.go_on(&mut archive)? {
        Stop::Machine(machine) => {
            xva::arriving::begin(archive, passing.headers, machine, choice, budget)
        }
        Stop::Disk(entry) => Ok(begun(archive, passing, entry)),
        Stop::End => held(archive, passing),
    }
}

/// The disk whose bytes come next.
fn begun(archive: Peek, mut passing: Passing, entry: Entry) -> Picked<Arriving> {
    let (size, member) = (entry.size, entry.name.clone());
    let (disks, may_have_more) = (passing.chooser.disks(), passing.chooser.may_have_more());
    let kind = passing.chooser.descriptor().map_or(Archive::Tar, |_| Archive::Ova);
    let is_whole = entry.segments.iter().map(|segment| segment.len).sum::<u64>() == size;
    passing.promised.begin(&member, is_whole);
    let ending = Arc::default();
    let content = Content::new(archive, entry, passing, &ending);
    let body = Arriving { size, content: Peek::new(content), ending };
    Picked { member, disks, may_have_more, archive: kind, body }
}

/// The short member that is the disk, as there is none that is more like one: all of the archive has passed.
fn held(mut archive: Peek, mut passing: Passing) -> Result<Picked<Arriving>> {
    passing.chooser.end()?;
    let none = || Error::misuse("the disk that is meant was passed over");
    let Held { member, bytes, needs_others } = passing.held.take().ok_or_else(none)?;
    archive.drain()?;
    needs_others?;
    let (disks, size) = (passing.chooser.disks(), bytes.len() as u64);
    let (content, ending) = (Peek::new(io::Cursor::new(bytes)), passing.ending(&member));
    let body = Arriving { size, content, ending: Arc::new(ending.into()) };
    Ok(Picked { member, disks, may_have_more: false, archive: Archive::Tar, body })
}
