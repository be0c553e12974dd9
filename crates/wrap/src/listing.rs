//! All disks of an archive that comes in order: for that, it is passed over to its end.

use diskferry_block_stream::{Limits, Result};

use crate::choose::{Found, goes_with_disks, is_descriptor};
use crate::ending::Ending;
use crate::forward::{Judge, Taken, Told, machine, note, taken, told};
use crate::peek::{Ahead, Peek};
use crate::tar::Headers;
use crate::xva;

/// The disks of an archive.
#[derive(Debug, Default)]
pub struct Listing {
    /// All of them, in the order of their numbers.
    pub disks: Vec<Found>,
    /// What contradicts the descriptor.
    pub notes: Vec<String>,
}

/// Lists all disks of an archive. What a disk is, is told as for [`find_disk`](crate::find_disk).
///
/// # Errors
/// `Damaged`, `Limit`, `Io`, `Unsupported` for an archive in several volumes.
pub fn list_disks(mut archive: Peek, judge: Judge, limits: &Limits) -> Result<Listing> {
    let mut headers = Headers::new(limits);
    let (mut members, mut descriptor) = (Vec::new(), None);
    // Members that are taken for disks, and those that are not.
    let (mut disks, mut others) = (Vec::new(), Vec::new());
    while let Some(entry) = headers.next(&mut archive)? {
        if entry.is_file && members.is_empty() && xva::is_descriptor(&entry.name) {
            note(&mut members, &entry, limits)?;
            match machine(&mut archive, &entry, limits)? {
                Some(machine) => return xva::list(machine, limits),
                None => continue,
            }
        }
        note(&mut members, &entry, limits)?;
        // Of several descriptors the first one counts.
        if entry.is_file && is_descriptor(&entry.name) && descriptor.is_none() {
            descriptor = Some(told(&mut archive, &entry, limits)?);
            continue;
        }
        if entry.is_file && entry.size > 0 && !goes_with_disks(&entry.name) {
            match taken(&mut archive, &entry, judge)? {
                Taken::Disk(found) => disks.push(found),
                Taken::Short(found) => others.push(found),
                Taken::Other(_) => {}
            }
        }
        archive.skip(entry.rest)?;
    }
    archive.drain()?;
    let (descriptor, listed) = match descriptor {
        Some(Told { descriptor, disks, .. }) => (Some(descriptor), Some(disks)),
        None => (None, None),
    };
    let Ending { notes, .. } = Ending::of(descriptor.as_ref(), &members, headers.unmarked, "");
    let disks = listed.unwrap_or(if disks.is_empty() { others } else { disks });
    Ok(Listing { disks, notes })
}
