//! Opens an OVF package by its descriptor: the files beside it that it lists, and of those the disk that is meant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, ErrorKind, Result};
use diskferry_wrap::{self as wrap, Package, Picked, is_descriptor_text};

use super::image::Neighbour;
use super::source::{Origin, Source};
use super::{OpenOptions, probe};
use crate::wrapped::{self, Archive, Around, Wanted};

/// What messages call a file that the descriptor lists.
const ROLE: &str = "file of the package";

/// Bytes of a descriptor in front of its first element, at most: writers have a comment there.
const HEAD: usize = 64 << 10;

impl OpenOptions {
    /// The disk of the package whose descriptor `file` is, and what is around it then besides what is `around`
    /// that; the file itself where it is none.
    ///
    /// # Errors
    /// `Unsupported` where nothing is beside it; as for [`Package::unpacked`] and [`Package::disk`].
    pub(super) fn out_of_package(
        &self,
        file: Source,
        mut around: Around,
    ) -> Result<(Source, Around)> {
        let wanted = Wanted::of(self);
        if wanted.is_disk(|| probe(file.bytes.as_ref()))?
            || !is_descriptor_text(&wrapped::head(file.bytes.as_ref(), HEAD)?)
        {
            return Ok((file, around));
        }
        let (path, own) = place(&file)?;
        let mut beside =
            Beside { options: self, descriptor: &file, path: &path, files: Vec::new() };
        let bytes = Arc::clone(&file.bytes);
        let package = Package::unpacked(&file.name, &own, bytes, &mut beside, &self.limits)?;
        around.files.extend(beside.files);
        around.push("ovf", &self.limits).map_err(|error| error.in_file(&file.name))?;
        let Picked { part, member, disks } = package.disk(self.disk, &wrapped::judge_part)?;
        around.found(disks, false);
        let origin = Origin::Path(path.with_file_name(&member));
        let name = part.name().to_owned();
        let is_it = |it: &&Neighbour| it.bytes.name() == name;
        let chunk = format!("{name}.");
        for it in &around.files {
            let own = it.bytes.name();
            if (own == name || own.starts_with(&chunk))
                && let Some(file) = it.bytes.file()
            {
                around.notes.extend(self.locks.judge(own, file)?);
            }
        }
        // A disk in chunks is none of the files.
        let id = around.files.iter().find(is_it).map_or(file.id, |it| it.id);
        around.files.push(Neighbour { id: file.id, bytes: file.bytes });
        around.archives.push(Archive { package: Arc::new(package), member });
        Ok((Source { name, origin, bytes: Arc::new(part), id, locked: file.locked }, around))
    }
}

/// The path of a descriptor, and its name in its folder.
fn place(file: &Source) -> Result<(PathBuf, String)> {
    let refuse = |text: &str| Err(Error::unsupported(text).in_file(&file.name));
    let Origin::Path(path) = &file.origin else {
        return refuse("an OVF descriptor, whose disks are in files beside it; give its path");
    };
    match path.file_name() {
        Some(own) => Ok((path.clone(), own.to_string_lossy().into_owned())),
        None => refuse("an OVF descriptor without a name of its own"),
    }
}

/// The folder of a descriptor.
struct Beside<'a> {
    options: &'a OpenOptions,
    descriptor: &'a Source,
    path: &'a Path,
    /// What was opened.
    files: Vec<Neighbour>,
}

impl wrap::Neighbours for Beside<'_> {
    fn open(&mut self, name: &str) -> Result<Option<Arc<dyn Bytes>>> {
        let (origin, policy) = (&self.descriptor.origin, &self.options.policy);
        let named = match origin.judge(policy, ROLE, name.as_ref()) {
            Ok(named) => named,
            // The name may be followed, for it was looked for.
            Err(error) if error.kind() == ErrorKind::Io && !self.is_there(name) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Source { bytes, id, .. } = named.open(self.options.access, ROLE, name.as_ref())?;
        if id == self.descriptor.id {
            let text = format!("the {ROLE} '{name}' is the descriptor itself");
            return Err(Error::damaged(text));
        }
        self.files.push(Neighbour { id, bytes: Arc::clone(&bytes) });
        Ok(Some(bytes))
    }
}

impl Beside<'_> {
    fn is_there(&self, name: &str) -> bool {
        self.path.with_file_name(name).symlink_metadata().is_ok()
    }
}
