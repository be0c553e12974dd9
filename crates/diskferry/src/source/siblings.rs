//! Looks for a parent that an image knows by its id alone, as VirtualBox's images do.
//!
//! Only regular files are looked at that have an extension of the format, beside the image and in
//! the folders that the caller allows; links, sub-folders and whatever such a file names are left
//! alone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, ErrorKind, Result};

use crate::format::{Context, Format, OpenNamed};
use crate::source::{self, BACKING, OpenOptions, Origin, Source};

/// Files that are looked at, at most: a folder of a machine and its snapshots has far fewer.
const LOOKED_AT: usize = 1024;

/// Finds and opens the file of that format whose image has that id; the first by name where there
/// are several.
///
/// # Errors
/// `Io` when there is none, `Unsupported` when the image came without a folder.
pub(crate) fn find(
    options: &OpenOptions,
    image: &Origin,
    format: Format,
    id: &str,
) -> Result<Source> {
    let mut looked_at = 0;
    for name in candidates(options, image, format, id)? {
        if looked_at == LOOKED_AT {
            return Err(missing(id, format, &format!("the first {LOOKED_AT} files")));
        }
        looked_at += 1;
        // What cannot be opened is not the file that is looked for.
        let Ok(found) = image.open(options, BACKING, &name) else { continue };
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

/// Names of files, as the image could have called them, in an order that is always the same.
fn candidates(
    options: &OpenOptions,
    image: &Origin,
    format: Format,
    id: &str,
) -> Result<Vec<OsString>> {
    let image = match image {
        Origin::Path(path) => path,
        Origin::Member(archive) => {
            let folder = archive.folder();
            let names = folder.names().filter(|name| has_extension(name, format));
            let mut names: Vec<OsString> = names.map(OsString::from).collect();
            names.sort_unstable();
            return Ok(names);
        }
        Origin::Nowhere => {
            return Err(Error::unsupported(format!(
                "the {BACKING} with the id {id} is beside an image that came without a folder; give \
                 the image's path"
            )));
        }
    };
    let folder = match image.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let io = |folder: &Path, error: io::Error| {
        Error::new(ErrorKind::Io, format!("the folder '{}': {error}", folder.display()))
    };
    let mut names = files(folder, format).map_err(|error| io(folder, error))?;
    for allowed in &options.policy.allow {
        let real = allowed.canonicalize().map_err(|error| io(allowed, error))?;
        let inside = files(&real, format).map_err(|error| io(allowed, error))?;
        names.extend(inside.iter().map(|name| real.join(name).into_os_string()));
    }
    Ok(names)
}

/// The names of a folder's regular files with an extension of the format, sorted.
fn files(folder: &Path, format: Format) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if has_extension(&name, format) && entry.file_type()?.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn has_extension(name: impl AsRef<Path>, format: Format) -> bool {
    let extension = name.as_ref().extension().and_then(OsStr::to_str);
    let fits = |known: &&str| extension.is_some_and(|it| it.eq_ignore_ascii_case(known));
    format.extensions().iter().any(fits)
}

/// The id of a file's image, if it is one of that format.
fn identity(options: &OpenOptions, found: &Source, format: Format) -> Option<String> {
    let bytes = Arc::clone(&found.bytes);
    if source::probe(bytes.as_ref()).ok()? != Some(format) {
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
