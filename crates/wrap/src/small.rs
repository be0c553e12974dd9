//! What is short in an archive, or the beginning of what is not.

use diskferry_block_stream::{Budget, Error, Result};

use crate::choose::judge::Candidate;
use crate::ovf::{self, Descriptor};
use crate::peek::{Ahead, Peek};
use crate::tar::Entry;
use crate::xva::descriptor::{self as xva, Machine};

/// All bytes of a member that is short, and whose data come next.
///
/// # Errors
/// Those of reading it.
pub(crate) fn whole(archive: &mut dyn Ahead, entry: &Entry) -> Result<Vec<u8>> {
    let mut bytes = vec![0; entry.size as usize];
    let begun = archive.at();
    for segment in &entry.segments {
        archive.fill(&mut bytes[segment.at as usize..segment.end() as usize])?;
    }
    archive.skip(entry.rest - (archive.at() - begun))?;
    Ok(bytes)
}

/// The first bytes of a member whose data come next; they are not taken.
///
/// # Errors
/// Those of reading them.
pub(crate) fn head(archive: &mut Peek, entry: &Entry) -> Result<Vec<u8>> {
    let length = entry.size.min(Candidate::HEAD as u64);
    let stored = entry.segments.iter().take_while(|segment| segment.at < length);
    let stored = stored.map(|it| (it.at as usize, (it.end().min(length) - it.at) as usize));
    let total = stored.clone().map(|(_, length)| length).sum();
    // They follow one another.
    let mut seen = archive.peek(total)?;
    let mut head = vec![0; length as usize];
    for (at, length) in stored {
        let there = length.min(seen.len());
        let (part, rest) = seen.split_at(there);
        head[at..at + there].copy_from_slice(part);
        if there < length {
            head.truncate(at + there);
            break;
        }
        seen = rest;
    }
    Ok(head)
}

/// What the descriptor of an XVA, whose data come next, tells, if it is one.
///
/// # Errors
/// `Limit` for one that is too long; those of reading it.
pub(crate) fn machine(
    archive: &mut dyn Ahead,
    entry: &Entry,
    budget: &Budget,
) -> Result<Option<Machine>> {
    if entry.size > xva::MAX {
        return Err(Error::limit(format!("a descriptor '{}' of {} bytes", entry.name, entry.size)));
    }
    xva::read(&whole(archive, entry)?, budget)
}

/// The text of a descriptor, whose data come next, and what it says.
///
/// # Errors
/// As for [`ovf::read`], and those of reading it.
pub(crate) fn described(
    archive: &mut dyn Ahead,
    entry: &Entry,
    budget: &Budget,
) -> Result<(Vec<u8>, Descriptor)> {
    if entry.size > ovf::MAX {
        return Err(Error::limit(format!("an OVF descriptor of {} bytes", entry.size)));
    }
    let text = whole(archive, entry)?;
    let descriptor = ovf::read(&entry.name, &text, budget)?;
    Ok((text, descriptor))
}
