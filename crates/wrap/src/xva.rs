//! XVA, in which XenServer and XCP-ng export machines: a tar archive whose disks are cut into members.
//!
//! ```text
//! ova.xml                  the machine, and the sizes of its disks
//! Ref:4/00000000           a block of the disk 'Ref:4', of 1 MiB; the first one tells how long they are
//! Ref:4/00000000.xxhash    its xxh64 in hexadecimal; by older versions .checksum, its SHA-1
//! Ref:4/00000003           the blocks between are zeros; the first and the last one are always there
//! Ref:4/00000004           of no bytes: a sign of life for a connection, which has a number and no place
//! Ref:5/00000000           the next disk
//! ```
//!
//! The numbers only go up. They count blocks, and are no places: what is of no bytes moves all behind it.
//! Sources: `ocaml/xapi/stream_vdi.ml` of xapi-project/xen-api, and "The XenServer VM import/format" beside
//! it; for archives that were not made by xapi, `@xen-orchestra/xva` of vatesfr/xen-orchestra, which fills
//! the last block up with zeros.

pub(crate) mod arriving;
mod blocks;
pub(crate) mod descriptor;
mod proof;
mod proofs;
pub(crate) mod runs;

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Cancel, Problem, Progress, Result, Spent};

use self::blocks::{Member, Walk};
use self::descriptor::Machine;
use self::runs::{Runs, Stored};
use crate::choose::choice::Found;
use crate::damage::Damage;
use crate::listing::Listing;
use crate::part::Part;
use crate::tar::Entry;

pub(crate) use self::proofs::Proofs;

/// The disks of an archive whose bytes can be read anywhere.
pub(crate) struct Xva {
    walk: Walk,
    /// Where the blocks of each disk are.
    runs: Vec<Runs>,
    /// The last block, whose digest may come next, and its disk.
    last: Option<(usize, Stored)>,
    budget: Budget,
    /// What the lists of blocks take.
    spent: Spent,
}

impl Xva {
    /// # Errors
    /// `Limit` where the disks take too much memory.
    pub fn new(machine: Machine, budget: &Budget) -> Result<Self> {
        let runs = machine.vdis.iter().map(|_| Runs::default()).collect();
        let (walk, spent) = (Walk::new(machine, budget)?, budget.nothing());
        Ok(Self { walk, runs, last: None, budget: budget.clone(), spent })
    }

    /// Takes in the next member; says whether it is one of the blocks and digests that `ova.xml` bounds.
    ///
    /// # Errors
    /// `Damaged` where it is none that may come here, `Limit`.
    pub fn take(&mut self, entry: &Entry) -> Result<bool> {
        let member = self.walk.member(entry)?;
        match member {
            Member::Block(block) => {
                self.keep()?;
                let from = entry.segments.first().map_or(0, |segment| segment.from);
                self.last = Some((block.disk, Stored { block, from, proof: None }));
            }
            Member::Digest(digest) => {
                if let Some((_, stored)) = &mut self.last {
                    let place = entry.segments.first().map_or(0, |segment| segment.from);
                    stored.proof = Some(digest.behind(place - stored.from));
                }
                self.keep()?;
            }
            Member::Other => {}
        }
        Ok(member.is_bounded())
    }

    /// Ends the list of members.
    ///
    /// # Errors
    /// `Limit`.
    pub fn end(&mut self) -> Result<()> {
        self.keep()
    }

    fn keep(&mut self) -> Result<()> {
        match self.last.take().filter(|(_, stored)| stored.block.stored > 0) {
            Some((disk, stored)) => self.runs[disk].push(stored, &mut self.spent),
            None => Ok(()),
        }
    }

    /// The disks to pick from, each as a part of the archive `base`, which messages call `name`.
    pub fn disks(&self, name: &str, base: &Arc<dyn Bytes>) -> Vec<(Found, Result<Part>)> {
        let disks = self.walk.listed().enumerate();
        let disks = disks.map(|(index, disk)| {
            let part = || {
                self.budget.limits().check_virtual_size(disk.size)?;
                disk.finish()?;
                let (name, base) = (format!("{name}/{}", disk.id), Arc::clone(base));
                Ok(Part::of_runs(name, base, disk.size, self.runs[index].clone()))
            };
            (disk.found(), part())
        });
        disks.collect()
    }

    /// The digests that it has of the blocks of the disk of that name; and what is not compared, and why.
    pub fn proofs(&self, disk: &str, base: &Arc<dyn Bytes>) -> Option<(Proofs, Option<String>)> {
        let index = self.walk.listed().position(|known| known.id == disk)?;
        let runs = &self.runs[index];
        let note = runs.unproven().map(|number| blocks::unproven(disk, number));
        Some((Proofs::new(disk, Arc::clone(base), runs.clone()), note))
    }

    /// Reports disks that are not there or not whole, and blocks that have other digests than are beside
    /// them, or none. For that all blocks are read, and counted as progress.
    ///
    /// # Errors
    /// `Io`, `Cancelled`.
    pub fn check(
        &self,
        base: &Arc<dyn Bytes>,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        for (disk, runs) in self.walk.listed().zip(&self.runs) {
            if let Err(damage) = disk.finish() {
                report(Problem::corruption(None, damage.to_string()));
            }
            if let Some(number) = runs.unproven() {
                report(Problem::oddity(None, blocks::unproven(&disk.id, number)));
            }
            progress.expect(runs.stored());
            let proofs = Proofs::new(&disk.id, Arc::clone(base), runs.clone());
            proofs.each(&|| cancel.check(), progress, &mut |at, _, damage: Damage| {
                report(Problem::corruption(Some(at), damage.to_string()));
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The disks of an XVA, which its descriptor tells.
///
/// # Errors
/// `Limit` where they take too much memory.
pub(crate) fn list(machine: Machine, budget: &Budget) -> Result<Listing> {
    let walk = Walk::new(machine, budget)?;
    let disks = walk.listed().map(blocks::Blocks::found).collect();
    Ok(Listing { disks, ..Listing::default() })
}

impl blocks::Blocks {
    /// As a disk to pick.
    fn found(&self) -> Found {
        Found { name: self.id.clone(), size: Some(self.size), format: Some("raw") }
    }
}
