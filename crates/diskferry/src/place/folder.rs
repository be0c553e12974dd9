//! The folder of an image: what the image names is there, as far as the policy goes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Error, ErrorKind, Identity, Result, Sibling, Siblings};

use crate::place::file::{self, Access};
use crate::place::policy::{Permitted, Policy};

/// The files beside the one at a path, and those in the folders that the policy allows.
pub(crate) struct Folder {
    /// The path of the file that they are beside.
    pub path: PathBuf,
    pub policy: Arc<Policy>,
    pub access: Access,
}

impl Siblings for Folder {
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Sibling> {
        let Permitted { path, real, device } = self.policy.judge(&self.path, role, name)?;
        let opened = file::open_without_links(&real).map_err(|error| {
            let name = name.display();
            Error::from(io::Error::new(error.kind(), format!("{role} '{name}': {error}")))
        })?;
        let bytes = self.access.bytes(&path.display().to_string(), opened)?;
        if matches!(bytes.identity(), Identity::Device(_)) && !device {
            let name = name.display();
            return Err(Error::refused(format!("the {role} '{name}' became a device")));
        }
        let (policy, access) = (Arc::clone(&self.policy), self.access);
        Ok(Sibling { bytes, siblings: Some(Arc::new(Self { path, policy, access })) })
    }

    /// Only regular files: links, sub-folders and devices are left alone.
    fn names(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<OsString>> {
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let io = |folder: &Path, error: io::Error| {
            Error::new(ErrorKind::Io, format!("the folder '{}': {error}", folder.display()))
        };
        let mut names = files(folder, wanted).map_err(|error| io(folder, error))?;
        for allowed in &self.policy.allow {
            let real = allowed.canonicalize().map_err(|error| io(allowed, error))?;
            let inside = files(&real, wanted).map_err(|error| io(allowed, error))?;
            names.extend(inside.iter().map(|name| real.join(name).into_os_string()));
        }
        Ok(names)
    }

    fn elsewhere(&self, names: &[OsString]) -> Vec<OsString> {
        let folders = self.policy.allow.iter().filter_map(|folder| folder.canonicalize().ok());
        let within =
            |folder: PathBuf| names.iter().map(move |name| folder.join(name).into_os_string());
        folders.flat_map(within).collect()
    }
}

/// The names of a folder's regular files that are wanted, sorted.
fn files(folder: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if wanted(&name) && entry.file_type()?.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
