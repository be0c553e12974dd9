//! What is to be made, and where it goes: settled before anything is read.

use std::time::Instant;

use diskferry_block_stream::{Error, Identity, Result, Side, Writing};
use diskferry_engine::{Destination, Needs};

use crate::convert::brief::Brief;
use crate::convert::request::{Convert, Verify};
use crate::format::Format;
use crate::place::location::Location;

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
    pub fn settle(request: &'a Convert, destination: &dyn Destination) -> Result<Self> {
        let started = Instant::now();
        let mut needs = Needs::default();
        needs.read_back = request.verify == Verify::ReadBack;
        refuse_source(request, destination, &needs)?;
        destination.accepts(&needs)?;
        let brief = Brief::of(request, destination)?;
        needs.ends_with_file = ends_with_file(brief.format);
        destination.accepts(&needs)?;
        let name = destination.name().to_owned();
        let writing = brief.format.writing(&brief.options, brief.compress);
        let writing = writing.map_err(|error| error.on(Side::Target).in_file(&name))?;
        let file_name = destination.file_name().map(str::to_owned);
        Ok(Self { started, request, brief, writing, name, file_name })
    }

    /// What is needed of the target's place, whatever the plan.
    pub fn needs(&self) -> Needs<'a> {
        let mut needs = Needs::default();
        needs.read_back = self.verifies();
        needs.ends_with_file = ends_with_file(self.brief.format);
        needs
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

/// The format, where its images end with their file.
fn ends_with_file(format: Format) -> Option<&'static str> {
    format.ends_with_file().then(|| format.name())
}

/// That it goes elsewhere than it comes from, as far as the path of the source tells. It is asked before
/// leave to replace what is there, which would not help.
fn refuse_source(
    request: &Convert,
    destination: &dyn Destination,
    needs: &Needs<'_>,
) -> Result<()> {
    let Location::Path(path) = &request.source else { return Ok(()) };
    let Ok(source) = path.metadata() else { return Ok(()) };
    let source = Identity::of(&source);
    let is_source = |(_, there): &(String, Identity)| *there == source;
    if destination.overwrites(needs)?.iter().any(is_source) {
        let text = "the source and the target are the same file";
        return Err(Error::misuse(text).in_file(destination.name()));
    }
    Ok(())
}
