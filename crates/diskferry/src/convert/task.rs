//! What is to be made, and where it goes: settled before anything is read.

use std::time::Instant;

use diskferry_block_stream::{Error, Remedy, Result, Side, Writing};

use crate::convert::brief::Brief;
use crate::convert::request::{Convert, Verify};
use crate::place::file::{FileId, Location};
use crate::target::destination::Destination;

/// A request, and what was settled about it.
pub(super) struct Task<'a> {
    pub started: Instant,
    pub request: &'a Convert,
    pub brief: Brief,
    pub writing: Box<dyn Writing>,
    /// What messages call the target.
    pub name: String,
    /// The name of its file, without the folder, where it has one.
    pub file_name: Option<String>,
}

impl<'a> Task<'a> {
    /// Settles it; the target is left as it was found.
    ///
    /// # Errors
    /// `Misuse` or `Unsupported` where the request makes no sense, or its target cannot be had.
    pub fn settle(request: &'a Convert) -> Result<(Self, Destination)> {
        let started = Instant::now();
        let destination = destination(request)?;
        let brief = Brief::of(request, &destination)?;
        destination.check_holds(brief.format)?;
        let name = destination.name.clone();
        let writing = brief.format.writing(&brief.options, brief.compress);
        let writing = writing.map_err(|error| error.on(Side::Target).in_file(&name))?;
        let file_name = destination.file_name().map(str::to_owned);
        Ok((Self { started, request, brief, writing, name, file_name }, destination))
    }

    /// Says that an error is about the target.
    pub fn in_target(&self, error: Error) -> Error {
        error.on(Side::Target).in_file(&self.name)
    }

    /// Whether the target is read back and compared.
    pub fn verifies(&self) -> bool {
        self.request.verify == Verify::ReadBack
    }
}

/// The target as it is, once nothing speaks against it.
fn destination(request: &Convert) -> Result<Destination> {
    let destination = Destination::find(&request.target)?;
    let misuse = |text: &str| Error::misuse(text).in_file(&destination.name);
    // Before leave to replace is asked for, which would not help here.
    if let Location::Path(path) = &request.source
        && let Ok(metadata) = path.metadata()
        && destination.id == Some(FileId::of(&metadata))
    {
        return Err(misuse("the source and the target are the same file"));
    }
    destination.check_replace(request.replace)?;
    if request.verify == Verify::ReadBack && destination.is_pipe() {
        return Err(misuse("a pipe cannot be read back").mended_by(Remedy::WriteToFile));
    }
    Ok(destination)
}
