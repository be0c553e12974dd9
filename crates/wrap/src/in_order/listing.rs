//! All disks of an archive that comes in order: for that, it is passed over to its end.

use std::sync::Arc;

use diskferry_block_stream::{Budget, Result};

use super::passing::{Passing, Stop};
use crate::choose::chooser::Chooser;
use crate::choose::judge::Judge;
use crate::listing::Listing;
use crate::peek::Peek;
use crate::xva;

/// Lists all disks of an archive. What a disk is, is told as in [`Package::disk`](crate::Package::disk).
///
/// # Errors
/// `Damaged`, `Limit`, `Io`, `Unsupported` for an archive in several volumes.
pub fn list_disks(mut archive: Peek, judge: &Arc<dyn Judge>, budget: &Budget) -> Result<Listing> {
    let mut passing = Passing::new(Chooser::all(), judge, budget);
    if let Stop::Machine(machine) = passing.go_on(&mut archive)? {
        return xva::list(machine, budget);
    }
    passing.chooser.end()?;
    archive.drain()?;
    let disks = passing.chooser.disks();
    Ok(Listing { disks, notes: passing.ending("").notes })
}
