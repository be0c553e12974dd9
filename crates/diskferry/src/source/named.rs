//! Opens the files that an image names, by what its names mean, as far as the policy goes; and those that the caller
//! gives in their place.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use diskferry_block_stream::{Error, ErrorKind, ParentRef, Result};

use super::OpenOptions;
use super::found::{BACKING, Origin, Source};
use crate::format::Format;
use crate::place::file::{self, Access};
use crate::place::spelling::{self, Spelled};

/// Opens the first of these names that the policy has and that leads to a file; absolute ones before others, where
/// they lead into a folder that the caller allows, and those of `elsewhere` last.
pub(super) fn open_first(
    options: &OpenOptions,
    image: &Origin,
    role: &'static str,
    names: &[OsString],
    elsewhere: &[OsString],
) -> Result<Source> {
    let (policy, access) = (&options.policy, options.access);
    let is_absolute = |name: &&OsString| Path::new(name).is_absolute();
    let allowed = names.iter().filter(|name| !policy.allow.is_empty() && is_absolute(name));
    // The likeliest name is the one to complain about.
    let mut complaint: Option<Error> = None;
    let mut missing = None;
    for name in allowed.chain(names).chain(elsewhere) {
        match image.judge(policy, role, name) {
            Ok(named) => return named.open(access, role, name),
            Err(error) if names.first() == Some(name) => complaint = Some(error),
            Err(error) if error.kind() == ErrorKind::Io && !is_absolute(&name) => {
                missing = Some(name)
            }
            Err(_) => {}
        }
    }
    match (complaint, missing) {
        (Some(error), Some(name)) if error.kind() == ErrorKind::Refused => {
            let (name, cause) = (name.display(), error.source().map(ToString::to_string));
            let (remedy, cause) = (error.remedy().cloned(), cause.unwrap_or_default());
            let text = format!("{cause}; and there is no '{name}' beside the image");
            Err(Error::refused(text).mended_by(remedy))
        }
        (Some(error), _) => Err(error),
        (None, _) => Err(Error::damaged(format!("a {role} without a name"))),
    }
}

/// The parent, by the names that QEMU means where it wrote them.
pub(crate) fn as_it_means(parent: &ParentRef, child: Format) -> Result<ParentRef> {
    let mut meant = parent.clone();
    if child == Format::QCOW2
        && let Some(name) = parent.names.first()
        && let Some(Spelled { name, format }) = spelling::read(BACKING, name)?
    {
        meant.names = vec![name];
        // What the image says apart from the name has the last word, with QEMU, too.
        meant.format = meant.format.or(format);
    }
    Ok(meant)
}

/// The file that the caller gives as a parent.
pub(super) fn found_at(path: &Path, access: Access) -> Result<Source> {
    let name = path.display().to_string();
    let opened = file::open_random(path)
        .map_err(|error| Error::from(error).doing("opening").in_file(&name))?;
    Source::of_file(name, Origin::Path(path.to_owned()), opened, access)
}
