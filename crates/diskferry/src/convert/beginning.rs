//! What a stream begins with, looked at before the rest comes.

use diskferry_block_stream::Result;
use diskferry_engine::Job;
use diskferry_inspect::{self as inspect, Inspection, TableKind};

use crate::source::forward::lookahead::{Glimpse, Kept};

/// What a stream begins with.
pub(crate) struct Beginning {
    /// What was found there.
    pub found: Inspection,
    /// How many bytes of the disk were looked at.
    pub end: u64,
    /// Whether those are all.
    pub is_all: bool,
}

impl Beginning {
    /// Looks at what was kept of a disk, which will have `size` bytes where that is known.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn look(kept: &Kept, size: Option<u64>, job: &Job) -> Result<Self> {
        let own = kept.is_last().then_some(kept.end());
        let disk = Glimpse { size: size.or(own).unwrap_or(UNTOLD), known: vec![kept] };
        let found = inspect::inspect(&disk, &job.control.cancel)?;
        Ok(Self { found, end: kept.end(), is_all: kept.is_last() })
    }

    /// Whether there is a GPT, by its first copy.
    pub fn has_gpt(&self) -> bool {
        self.found.used_gpt().is_some()
    }

    /// Whether there is one, or should be.
    pub fn may_have_gpt(&self) -> bool {
        let Inspection { table, mbr, gpt, .. } = &self.found;
        let announced = mbr.as_ref().is_some_and(|mbr| mbr.protective().is_some());
        self.has_gpt() || announced || (*table != TableKind::Mbr && gpt.is_some())
    }
}

/// For the size of a disk that is not known: more than any has, so that nothing is past its end.
const UNTOLD: u64 = 1 << 62;
