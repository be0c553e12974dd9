//! A file in a file: the inner one goes in order, and what is around it comes last.

use std::io::{self, Write};

use diskferry_block_stream::{Enclosed, Enclosure, Result};

use super::digests::Digests;
use super::options::{Copied, Zeros};
use super::packed::copy_packed;
use crate::job::Job;
use crate::output::{Output, PipeOutput};
use crate::source::Source;

/// Moves a source into a file within a file.
pub(super) fn copy_enclosed(
    source: Source<'_>,
    enclosed: Enclosed,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    let Enclosed { base, inner, enclosure } = enclosed;
    let inside = Inside { output, base, enclosure, passed: 0 };
    let inside = PipeOutput::new(output.name(), inside);
    let (copied, digests) = copy_packed(source, inner, &inside, digests, zeros, job)?;
    let Inside { enclosure, passed, .. } = inside.into_inner();
    let (head, tail) = enclosure.finish(passed)?;
    debug_assert_eq!(head.len() as u64, base);
    output.write_at(0, &head)?;
    output.write_at(base + passed, &tail)?;
    let len = base + passed + tail.len() as u64;
    job.control.cancel.check()?;
    output.finish(len, job)?;
    Ok((Copied { target_size: len, ..copied }, digests))
}

/// The part of an output that holds the inner file. It takes bytes in order only, as a pipe does, so
/// that the enclosure sees them in order.
struct Inside<'a> {
    output: &'a dyn Output,
    base: u64,
    enclosure: Box<dyn Enclosure>,
    /// Bytes of the inner file so far.
    passed: u64,
}

impl Write for Inside<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write_at(self.base + self.passed, bytes)?;
        self.enclosure.pass(bytes);
        self.passed += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// The rest of the file is still to come.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
