//! Where the blocks of a disk are in an archive: a million of them in little memory.

use std::sync::Arc;

use diskferry_block_stream::{Result, Spent};

use super::blocks::Block;
use super::proof::Proof;
use crate::segment::Segment;

/// A block, and where it is in the archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub block: Block,
    pub from: u64,
    pub proof: Option<Proof>,
}

/// Blocks that follow one another on the disk, and in the archive at equal distances.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first one.
    first: Stored,
    count: u64,
    /// Bytes from the beginning of one to that of the next in the archive.
    stride: u64,
}

impl Run {
    /// The byte of the disk after its last one.
    fn end(&self) -> u64 {
        self.first.block.at + self.count * self.first.block.len
    }

    /// Takes the next block, if it goes on with it.
    fn extend(&mut self, next: &Stored) -> bool {
        let Stored { block, from, proof } = self.first;
        let is_next = next.block.number.checked_sub(block.number) == Some(self.count)
            && (next.block.at, next.block.len, next.block.stored)
                == (self.end(), block.len, block.stored)
            && next.proof == proof;
        let stride = match self.count {
            1 => next.from.saturating_sub(from),
            _ => self.stride,
        };
        let place = stride.checked_mul(self.count).and_then(|there| there.checked_add(from));
        let goes_on = is_next && place == Some(next.from);
        if goes_on {
            self.stride = stride;
            self.count += 1;
        }
        goes_on
    }
}

/// The blocks of a disk in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(Arc<Vec<Run>>);

impl Runs {
    /// Adds the next block, which has some bytes; what that takes is added to `spent`.
    ///
    /// # Errors
    /// `Limit` where it begins a new run, and the list takes too much memory.
    pub fn push(&mut self, next: Stored, spent: &mut Spent) -> Result<()> {
        let runs = Arc::make_mut(&mut self.0);
        if !runs.last_mut().is_some_and(|last| last.extend(&next)) {
            // A list that grows has the old one beside it for a moment, and room to spare.
            spent.more("the list of an XVA's blocks", 3 * size_of::<Run>() as u64)?;
            runs.push(Run { first: next, count: 1, stride: 0 });
        }
        Ok(())
    }

    /// The block that `at` of the disk is in, or the next one that is stored.
    pub fn segment(&self, at: u64) -> Option<Segment> {
        let run = self.0.get(self.0.partition_point(|run| run.end() <= at))?;
        let Stored { block, from, .. } = run.first;
        let index = at.saturating_sub(block.at) / block.len;
        let (at, from) = (block.at + index * block.len, from + index * run.stride);
        Some(Segment { at, len: block.len, from })
    }

    /// The number, place and length in the archive of each block that has a digest, and that.
    pub fn proven(&self) -> impl Iterator<Item = (u64, u64, u64, Proof)> {
        let proven = self.0.iter().filter_map(|run| Some((run, run.first.proof?)));
        proven.flat_map(|(run, proof)| {
            let Stored { block, from, .. } = run.first;
            let place = move |index| (block.number + index, from + index * run.stride);
            (0..run.count).map(place).map(move |(number, from)| (number, from, block.stored, proof))
        })
    }

    /// The number of the first block without a digest.
    pub fn unproven(&self) -> Option<u64> {
        let mut runs = self.0.iter();
        runs.find(|run| run.first.proof.is_none()).map(|run| run.first.block.number)
    }

    /// Bytes that are to be read for all digests.
    pub fn stored(&self) -> u64 {
        let proven = self.0.iter().filter(|run| run.first.proof.is_some());
        proven.map(|run| run.count * run.first.block.stored).sum()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{Budget, Limits};

    use super::*;

    fn stored(number: u64, at: u64, len: u64, from: u64) -> Stored {
        Stored { block: Block { disk: 0, number, at, len, stored: len }, from, proof: None }
    }

    #[test]
    fn what_is_regular_is_one_run_and_the_rest_is_paid_for() {
        let mut spent = Budget::default().nothing();
        let mut runs = Runs::default();
        for index in 0..1000 {
            runs.push(stored(index, index * 8, 8, 100 + index * 20), &mut spent).unwrap();
        }
        assert_eq!(runs.len(), 1);
        // A gap, another length, another distance, another number: each is a run of its own.
        for next in [
            stored(1002, 8016, 8, 40_000),
            stored(1003, 8024, 8, 40_020),
            stored(1004, 8032, 8, 40_041),
            stored(1005, 8040, 8, 40_061),
            stored(1007, 8048, 8, 40_081),
            stored(1008, 8056, 5, 40_101),
        ] {
            runs.push(next, &mut spent).unwrap();
        }
        assert_eq!(runs.len(), 5);
        for (at, segment) in [
            (0, (0, 8, 100)),
            (7, (0, 8, 100)),
            (8, (8, 8, 120)),
            (7999, (7992, 8, 20_080)),
            (8000, (8016, 8, 40_000)),
            (8031, (8024, 8, 40_020)),
            (8032, (8032, 8, 40_041)),
            (8047, (8040, 8, 40_061)),
            (8060, (8056, 5, 40_101)),
        ] {
            let (at_, len, from) = segment;
            assert_eq!(runs.segment(at), Some(Segment { at: at_, len, from }), "{at}");
        }
        assert_eq!(runs.segment(8061), None);
        let mut few = Limits::default().with_metadata(1000).budget().nothing();
        let mut runs = Runs::default();
        let spent =
            (0..100).map(|index| runs.push(stored(index, index * 8, 8, index * index), &mut few));
        let spent: Result<Vec<()>> = spent.collect();
        assert!(spent.is_err());
    }
}
