//! What is to be done with each ticket, whoever does it.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, MakePacker};

use super::digests::Digests;
use super::options::Zeros;
use crate::output::Output;
use crate::source::Source;

/// What a worker does with a ticket.
pub(super) struct Work<'a> {
    pub(super) source: Shape<'a>,
    /// Bytes in a chunk.
    pub(super) chunk: u64,
    pub(super) pack: Pack,
    pub(super) zeros: Zeros,
    /// Plain extents are left to the kernel.
    pub(super) splice: bool,
    /// Whether the output can share storage with each of the source's files.
    pub(super) share: Vec<bool>,
    /// Each ticket's CRC-32 is computed.
    pub(super) crc: bool,
    /// Each ticket's fingerprint is taken; the disk's byte that the source begins at.
    pub(super) fingerprint: Option<u64>,
}

/// What becomes of the chunks a worker has read.
pub(super) enum Pack {
    /// They are kept as they are; a flat file's zeros are found when it is written.
    Whole,
    /// Each is looked at by itself.
    Chunks {
        /// Parts of a chunk whose zeros are told apart.
        parts: u32,
        packer: Option<MakePacker>,
    },
}

/// What workers know of the source.
#[derive(Clone)]
pub(super) enum Shape<'a> {
    Disk(&'a dyn Disk),
    Stream,
}

impl<'a> Shape<'a> {
    pub(super) fn of(source: &Source<'a>) -> Self {
        match source {
            Source::Disk(disk) => Self::Disk(*disk),
            Source::Stream(_) => Self::Stream,
        }
    }
}

impl Work<'_> {
    /// Bytes that a ticket reads at most, where `batch` bytes of the source are best read together.
    pub(super) fn run(&self, batch: u64) -> u64 {
        RUN.max(self.chunk).max(batch).next_multiple_of(self.chunk)
    }

    /// What packed chunks take of a permit, before the last of them is known to have shrunk: taken
    /// at once, so that no vector has to double. Nothing, where none are packed.
    pub(super) fn packed_room(&self, run: u64) -> usize {
        match self.pack {
            Pack::Chunks { packer: Some(_), .. } => (run + run / 4 + 64) as usize,
            Pack::Chunks { packer: None, .. } | Pack::Whole => 0,
        }
    }
}

/// Bytes of disk that a ticket reads at most; a whole chunk, or a whole grain of a source that has to
/// be read by grains, where that is more.
///
/// Small enough to stay in a core's cache between reading and writing, large enough that a
/// ticket's own cost does not show.
pub(super) const RUN: u64 = 1 << 20;

/// Copies inside the kernel need bytes that nobody has to look at.
pub(super) fn can_splice(digests: &Digests, zeros: Zeros, output: &dyn Output) -> bool {
    zeros == Zeros::Trust && digests.is_empty() && output.storage().is_some()
}

/// Whether the output can share storage with each of the source's files; those are asked only where
/// the kernel may copy, to whole blocks.
pub(super) fn shareable(source: &Source<'_>, may: bool, output: &dyn Output) -> Vec<bool> {
    let shares = |file: &Arc<dyn Bytes>| {
        may && output.storage().is_some_and(|storage| storage.shares(file.as_ref()))
    };
    source.files().iter().map(shares).collect()
}

/// Chunks of a flat file: the file system's usual block.
pub(super) const FLAT_CHUNK: u64 = 4096;
