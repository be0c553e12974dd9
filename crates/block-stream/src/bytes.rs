//! The bytes under a format: a file read by position, a memory map, or a vector.

use std::fs::File;

use crate::{Error, Identity, Result, Version};

/// Random access to bytes that do not change; shared by all threads.
pub trait Bytes: Send + Sync {
    /// The name that messages use, usually the path the user gave.
    fn name(&self) -> &str;

    /// Length in bytes, as it was at opening.
    fn len(&self) -> u64;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` with the bytes at `at`.
    ///
    /// # Errors
    /// `Io` when the read fails, also when the bytes end early: a file that shrinks is an error.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()>;

    /// Shows the bytes themselves to `see`, where they are in memory already (a map, a vector).
    ///
    /// Returns false, and calls nothing, when they are not, or not any more; the caller then reads.
    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        let _ = (at, len, see);
        false
    }

    /// The run that starts at `at`: how long, at most `limit`, and whether it is a hole.
    ///
    /// # Errors
    /// `Io` when the system cannot tell.
    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        let _ = at;
        Ok(Run { length: limit, hole: false })
    }

    /// Bytes of storage that the file takes, where that is known.
    fn allocated(&self) -> Option<u64> {
        None
    }

    /// Where these `len` bytes at `at` are in others, if they are a part of others: those, and the
    /// offset there. For copies inside the kernel, and for people who look for them.
    fn origin(&self, at: u64, len: u64) -> Option<(&dyn Bytes, u64)> {
        let _ = (at, len);
        None
    }

    /// The open file, for copies inside the kernel.
    fn file(&self) -> Option<&File> {
        None
    }

    /// What makes them the same as others: those of a chain that comes back to a file of its own, or of a target that
    /// is a file of the source. By default the open file tells, and else that they are in memory here.
    fn identity(&self) -> Identity {
        let metadata = self.file().and_then(|file| file.metadata().ok());
        metadata.map_or_else(|| Identity::of_memory(self), |it| Identity::of(&it))
    }

    /// Which bytes they are by now, as far as that can be told without reading them: asked before the work and after
    /// it, it tells whether somebody has changed them. By default the open file tells.
    fn version(&self) -> Option<Version> {
        self.file().and_then(Version::of)
    }

    /// Bytes that are best read together, at least one: where each read is a request to a server, some MiB. No more is
    /// read together than a reader has room for.
    fn batch(&self) -> u64 {
        1
    }

    /// Tells that these `len` bytes at `at` will be read soon, for whoever can fetch them meanwhile. It does not wait
    /// and cannot fail: an error is the later read's. What is told in vain does no harm.
    fn will_need(&self, at: u64, len: u64) {
        let _ = (at, len);
    }
}

/// A stretch of a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes, at least one.
    pub length: u64,
    /// No storage behind it: it reads as zeros.
    pub hole: bool,
}

/// An image in memory, for tests and for services that have it there.
impl Bytes for Vec<u8> {
    fn name(&self) -> &str {
        "memory"
    }

    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        let len = buf.len();
        if self.view(at, len, &mut |bytes| buf.copy_from_slice(bytes)) {
            return Ok(());
        }
        Err(Error::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
            .at("reading", at, len as u64)
            .in_file(self.name()))
    }

    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        let bytes =
            usize::try_from(at).ok().and_then(|start| self.get(start..start.checked_add(len)?));
        bytes.map(see).is_some()
    }
}
