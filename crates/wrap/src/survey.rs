//! The members of an archive, whatever it is compressed by: one pass over all of it.

use std::io::{self, Read};
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Cancel, Progress, Result};

use crate::peek::{Ahead, BytesReader, Forward, Peek};
use crate::tar::{Headers, Kind};
use crate::unpacking::Unpacking;
use crate::wrapping::Wrapping;

/// What an archive is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The names of its members as they are written, folders and links among them.
    pub members: Vec<String>,
    /// The kinds of tar that their headers are of, each once.
    pub kinds: Vec<Kind>,
}

/// Looks through an archive, which may be in a compressed file, to its end: a file that is cut or has
/// a wrong checksum anywhere is an error. `None` for a file that is no archive. Progress is counted in
/// bytes of the file.
///
/// # Errors
/// `Damaged`, `Limit`, `Io`, `Unsupported` for an archive in several volumes, `Cancelled`.
pub fn survey(
    bytes: &Arc<dyn Bytes>,
    budget: &Budget,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Option<Survey>> {
    let located =
        |error: diskferry_block_stream::Error| error.doing("looking through").in_file(bytes.name());
    let inner = BytesReader::new(Arc::clone(bytes));
    progress.expect(bytes.len());
    let (cancel, progress) = (cancel.clone(), progress.clone());
    walk(Peek::new(Watched { inner, cancel, progress }), budget).map_err(located)
}

fn walk(mut archive: Peek, budget: &Budget) -> Result<Option<Survey>> {
    if let Some(Wrapping::Packed(wrapper)) = Wrapping::of(archive.peek(Wrapping::HEAD)?) {
        archive = Peek::new(Unpacking::new(wrapper, archive, budget));
    }
    if Wrapping::of(archive.peek(Wrapping::HEAD)?) != Some(Wrapping::Tar) {
        return Ok(None);
    }
    let mut headers = Headers::new(budget);
    let mut spent = budget.hold(());
    let mut survey = Survey { members: Vec::new(), kinds: Vec::new() };
    while let Some(entry) = headers.next(&mut archive)? {
        archive.skip(entry.rest)?;
        spent.spend("an archive's list", entry.name.len() as u64 + 32)?;
        survey.members.push(if entry.is_dotted { format!("./{}", entry.name) } else { entry.name });
        if !survey.kinds.contains(&entry.kind) {
            survey.kinds.push(entry.kind);
        }
    }
    archive.drain()?;
    Ok(Some(survey))
}

/// Bytes that are counted as they are read, until somebody says stop.
struct Watched {
    inner: BytesReader,
    cancel: Cancel,
    progress: Progress,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.cancel.check()?;
        let count = self.inner.read(buf)?;
        self.progress.pass(count as u64);
        Ok(count)
    }
}

impl Forward for Watched {}
