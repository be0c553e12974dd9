//! Where an image goes: a place as it was found, and a target as it is written there.

use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Identity, Note, Result};

use crate::control::Undo;
use crate::needs::Needs;
use crate::outputs::Outputs;

/// A place for an image, to which nothing was done yet. A file that may be there, a device, a pipe; or whatever a
/// caller has, such as an upload.
pub trait Destination: Send {
    /// The name that messages use.
    fn name(&self) -> &str;

    /// The path that it was given, whose extension tells the format where nothing else does.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// What the image's file will be called, without a folder: some images name themselves.
    fn file_name(&self) -> Option<&str> {
        None
    }

    /// What is there now and would be replaced or overwritten, by name. None of it may be what the source needs.
    ///
    /// # Errors
    /// As for [`accepts`](Self::accepts).
    fn overwrites(&self, needs: &Needs<'_>) -> Result<Vec<(String, Identity)>> {
        let _ = needs;
        Ok(Vec::new())
    }

    /// Whether it can hold what is needed, and may. This is asked before anything is read, and again
    /// when more is known; nothing is created before.
    ///
    /// # Errors
    /// `Exists` where something would be overwritten that may not be, `Misuse` or `Unsupported` for
    /// what a place such as this one cannot hold.
    fn accepts(&self, needs: &Needs<'_>) -> Result<()>;

    /// What work that was killed left in its place, one line for each file.
    fn left_behind(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Starts writing.
    ///
    /// # Errors
    /// `Io` when it is refused, `Exists` when the target is there by now, `Misuse` when it turns out too small.
    fn create(self: Box<Self>, needs: &Needs<'_>) -> Result<Box<dyn Target>>;
}

/// A target that is being written.
pub trait Target: Send + Sync {
    /// What takes its bytes: several, where the plan is a split one, else one.
    fn outputs(&self) -> Outputs<'_>;

    /// What removes all that was written. It is called where the target is not to be [kept](Self::keep), whatever
    /// hangs meanwhile; the target itself is dropped after that, if it comes to that.
    fn undo(&self) -> Undo {
        Box::new(|| {})
    }

    /// What was written, to be read once all [outputs](Self::outputs) are finished; `None` where that
    /// cannot be.
    ///
    /// # Errors
    /// `Io` when it cannot be opened.
    fn read_back(&self) -> Result<Option<ReadBack>>;

    /// All is well: what was written is the target from now on, under its name.
    ///
    /// # Errors
    /// `Io` when it is refused; then nothing is kept. `Exists` when another has taken the name.
    fn keep(self: Box<Self>) -> Result<()>;
}

/// What was written, as it reads.
pub struct ReadBack {
    /// The target's own bytes.
    pub bytes: Arc<dyn Bytes>,
    /// Its further files, with the names by which it calls them.
    pub parts: Vec<(String, Arc<dyn Bytes>)>,
    /// Where they end.
    pub end: End,
}

/// Where the bytes of a target end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where what was written does.
    AsWritten,
    /// Where the device does: behind what was written is what was there before.
    WithDevice,
}

impl ReadBack {
    /// A file without others.
    pub fn alone(bytes: Arc<dyn Bytes>) -> Self {
        Self { bytes, parts: Vec::new(), end: End::AsWritten }
    }
}
