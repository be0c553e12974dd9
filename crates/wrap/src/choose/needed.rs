//! Disks of an archive that others of it need: backing files, extents, data files. Nobody means them who has not
//! chosen.

use std::collections::HashSet;

use diskferry_block_stream::{NotInOrder, Result};

use super::choice::{Choice, Found};
use super::judge::{Candidate, Judge};
use super::names::beside;
use crate::part::Part;

/// The disk that is meant where nobody has chosen one of several: the only one that no other disk of the archive
/// needs. `None` where it is not clear.
pub(crate) fn only_unneeded(disks: &[(Found, Result<Part>)], judge: &dyn Judge) -> Option<Choice> {
    if !(2..=MOST).contains(&disks.len()) {
        return None;
    }
    let mut needed = HashSet::new();
    for (found, part) in disks {
        let needs = part.as_ref().map(|part| judge.needs(part)).unwrap_or_default();
        needed.extend(needs.iter().map(|name| beside(&found.name, name)));
    }
    let mut unneeded = (1..).zip(disks).filter(|(_, (found, _))| !needed.contains(&found.name));
    match (unneeded.next(), unneeded.next()) {
        (Some((number, _)), None) => Some(Choice::Number(number)),
        _ => None,
    }
}

/// Disks that are looked at: more than a chain has layers, or a split disk of 64 TiB has parts of 1 TiB.
const MOST: usize = 1024;

/// Refuses what seems to be the only disk of an archive that comes in order where it needs others: they may come
/// later, or have passed.
///
/// # Errors
/// That it is one.
pub(crate) fn refuse_needing(member: &Candidate<'_>, judge: &dyn Judge) -> Result<()> {
    match judge.needs_others(member) {
        false => Ok(()),
        true => Err(NotInOrder::error(format!(
            "'{}' is a part of a disk whose other parts are elsewhere in the archive; unpack the archive first",
            member.name
        ))),
    }
}
