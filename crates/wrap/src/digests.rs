//! Digests of files of packages, computed once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diskferry_block_stream::{Bytes, Progress, Result};
use diskferry_codec::digest::{Algorithm, Digest};

use crate::part::Part;

/// Digests of files of packages that are known: each file is read once for each kind of digest, however
/// often it is asked for.
#[derive(Default)]
pub struct Digests(HashMap<(String, Algorithm), String>);

impl Digests {
    /// The digest of a file in hexadecimal; `go_on` is asked every MiB that is read.
    ///
    /// # Errors
    /// `Io`; whatever `go_on` fails with.
    pub(crate) fn of(
        &mut self,
        part: &Part,
        algorithm: Algorithm,
        go_on: &dyn Fn() -> Result<()>,
        progress: &Progress,
    ) -> Result<&str> {
        Ok(match self.0.entry((part.name().to_owned(), algorithm)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(digest(part, algorithm, go_on, progress)?),
        })
    }
}

/// Reads a file for its digest.
fn digest(
    part: &Part,
    algorithm: Algorithm,
    go_on: &dyn Fn() -> Result<()>,
    progress: &Progress,
) -> Result<String> {
    let mut digest = Digest::new(algorithm);
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    progress.expect(part.len());
    while at < part.len() {
        go_on()?;
        let count = (part.len() - at).min(buf.len() as u64) as usize;
        part.read_at(at, &mut buf[..count])?;
        digest.update(&buf[..count]);
        progress.pass(count as u64);
        at += count as u64;
    }
    Ok(digest.finish())
}
