//! Looks for a parent that an image knows by its id alone, as VirtualBox's images do.
//!
//! Only regular files are looked at that have an extension of the format, beside the image and in
//! the folders that the caller allows; links, sub-folders and whatever such a file names are left
//! alone.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, ErrorKind, Result, Siblings};

use crate::format::{Context, Format, OpenNamed};
use crate::source::found::{BACKING, Found, open_named};
use crate::source::options::OpenOptions;
use crate::source::probe::probe;

/// Files that are looked at, at most: a folder of a machine and its snapshots has far fewer.
const LOOKED_AT: usize = 1024;

/// Finds and opens the file of that format whose image has that id; the first by name where there
/// are several.
///
/// # Errors
/// `Io` when there is none, `Unsupported` when the image came without a folder.
pub(super) fn find(
    options: &OpenOptions,
    siblings: Option<&Arc<dyn Siblings>>,
    format: Format,
    id: &str,
) -> Result<Found> {
    let Some(beside) = siblings else {
        return Err(Error::unsupported(format!(
            "the {BACKING} with the id {id} is beside an image that came without a folder; give \
             the image's path"
        )));
    };
    let names = beside.names(&|name| has_extension(name, format))?;
    let mut looked_at = 0;
    for name in names {
        if looked_at == LOOKED_AT {
            return Err(missing(id, format, &format!("the first {LOOKED_AT} files")));
        }
        looked_at += 1;
        // What cannot be opened is not the file that is looked for.
        let Ok(found) = open_named(siblings, BACKING, &name) else { continue };
        if identity(options, &found, format).is_some_and(|found| found == id) {
            return Ok(found);
        }
    }
    let files = if looked_at == 1 { "file" } else { "files" };
    Err(missing(id, format, &format!("{looked_at} {files}")))
}

fn missing(id: &str, format: Format, looked_at: &str) -> Error {
    Error::new(
        ErrorKind::Io,
        format!(
            "no {format} image beside it has the id {id} of its {BACKING} ({looked_at} looked at)"
        ),
    )
}

fn has_extension(name: &OsStr, format: Format) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    let fits = |known: &&str| extension.is_some_and(|it| it.eq_ignore_ascii_case(known));
    format.extensions().iter().any(fits)
}

/// The id of a file's image, if it is one of that format.
fn identity(options: &OpenOptions, found: &Found, format: Format) -> Option<String> {
    let bytes = Arc::clone(&found.bytes);
    if probe(bytes.as_ref()).ok()? != Some(format) {
        return None;
    }
    // Each may take what one image may, and gives it back: it is none of the chain yet.
    let context = Context { budget: &options.limits.budget(), snapshot: None, named: &NoFiles };
    format.open(bytes, &context).ok()?.id()
}

/// Opens nothing.
struct NoFiles;

impl OpenNamed for NoFiles {
    fn open_named(
        &self,
        _role: &'static str,
        _names: &[OsString],
    ) -> Result<Option<Arc<dyn Bytes>>> {
        Ok(None)
    }
}
