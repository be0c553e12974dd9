//! The digests of all blocks of a disk, compared with theirs.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Progress, Result};

use super::blocks;
use super::proof::Sum;
use super::runs::Runs;
use crate::damage::Damage;

/// The digests of a disk's blocks.
pub(crate) struct Proofs {
    disk: String,
    base: Arc<dyn Bytes>,
    runs: Runs,
}

impl Proofs {
    pub fn new(disk: &str, base: Arc<dyn Bytes>, runs: Runs) -> Self {
        Self { disk: disk.to_owned(), base, runs }
    }

    /// Compares all of them; `go_on` is asked every MiB.
    ///
    /// # Errors
    /// `Damaged` for the first that is another; `Io`; whatever `go_on` fails with.
    pub fn check(&self, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        self.each(go_on, &Progress::default(), &mut |at, len, damage| {
            let error = Error::from(damage).at("digesting", at, len);
            Err(error.in_file(self.base.name()))
        })
    }

    /// Tells `wrong` of each block that has another digest: where in the archive it is, and how long.
    ///
    /// # Errors
    /// `Io`, and whatever `go_on` and `wrong` fail with.
    pub fn each(
        &self,
        go_on: &dyn Fn() -> Result<()>,
        progress: &Progress,
        wrong: &mut dyn FnMut(u64, u64, Damage) -> Result<()>,
    ) -> Result<()> {
        let mut buf = vec![0; STEP as usize];
        let mut stated = Vec::new();
        for (number, from, stored, proof) in self.runs.proven() {
            let mut sum = Sum::new(proof.kind);
            let mut at = 0;
            while at < stored {
                go_on()?;
                let part = &mut buf[..(stored - at).min(STEP) as usize];
                self.base.read_at(from + at, part)?;
                sum.update(part);
                at += part.len() as u64;
                progress.pass(part.len() as u64);
            }
            stated.resize(proof.len as usize, 0);
            self.base.read_at(from + proof.behind, &mut stated)?;
            if let Err(damage) = sum.compare(&blocks::name(&self.disk, number), &stated) {
                wrong(from, stored, damage)?;
            }
        }
        Ok(())
    }
}

/// Bytes that are read at a time.
const STEP: u64 = 1 << 20;
