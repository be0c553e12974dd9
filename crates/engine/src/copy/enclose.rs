//! A file in a file: the inner one goes in order, and what is around it comes last.

use std::sync::{Mutex, PoisonError};

use diskferry_block_stream::{Enclosed, Enclosure, Error, Result};

use super::digests::Digests;
use super::{Copied, Zeros, copy_packed};
use crate::output::write_zeros;
use crate::scout::Source;
use crate::{Job, Output};

pub(super) fn copy_enclosed(
    source: Source<'_>,
    enclosed: Enclosed,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    if output.forward_only() {
        return Err(Error::unsupported(
            "this format cannot be written to a pipe: what it begins with tells the length and the \
             digest of what follows; write it to a file",
        )
        .in_file(output.name()));
    }
    let Enclosed { base, inner, enclosure } = enclosed;
    let inside = Inside { output, base, state: Mutex::new(State { enclosure, passed: 0 }) };
    let (copied, digests) = copy_packed(source, inner, &inside, digests, zeros, job)?;
    let State { enclosure, passed } =
        inside.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (head, tail) = enclosure.finish(passed)?;
    debug_assert_eq!(head.len() as u64, base);
    output.write_at(0, &head)?;
    output.write_at(base + passed, &tail)?;
    let len = base + passed + tail.len() as u64;
    job.cancel.check()?;
    output.finish(len, job)?;
    Ok((Copied { target_size: len, ..copied }, digests))
}

/// The part of an output that holds the inner file, as an output of its own. It takes bytes in
/// order only, as a pipe does, so that the enclosure sees them in order.
struct Inside<'a> {
    output: &'a dyn Output,
    base: u64,
    state: Mutex<State>,
}

struct State {
    enclosure: Box<dyn Enclosure>,
    /// Bytes of the inner file so far.
    passed: u64,
}

impl Inside<'_> {
    fn advance(&self, to: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = to.checked_sub(state.passed).ok_or_else(|| {
            let passed = state.passed;
            Error::misuse(format!("{to:#x} comes after {passed:#x} in an inner file"))
                .in_file(self.output.name())
        })?;
        write_zeros(state.passed, gap, |at, zeros| {
            state.enclosure.pass(zeros);
            self.output.write_at(self.base + at, zeros)
        })?;
        state.enclosure.pass(bytes);
        state.passed = to + bytes.len() as u64;
        self.output.write_at(self.base + to, bytes)
    }
}

impl Output for Inside<'_> {
    fn name(&self) -> &str {
        self.output.name()
    }

    fn forward_only(&self) -> bool {
        true
    }

    /// Gaps are filled with zeros when what follows them is written.
    fn starts_zero(&self) -> bool {
        true
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.advance(at, bytes)
    }

    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.advance(at + len, &[])
    }

    fn allocate(&self, _len: u64) -> Result<()> {
        Ok(())
    }

    fn fill(&self, _len: u64, _job: &Job) -> Result<()> {
        Ok(())
    }

    /// The rest of the file is still to come.
    fn finish(&self, len: u64, _job: &Job) -> Result<()> {
        self.advance(len, &[])
    }
}
