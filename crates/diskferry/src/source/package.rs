//! Opens an OVF package by its descriptor: the files beside it that it lists, and of those the disk that is meant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Error, ErrorKind, Result};
use diskferry_wrap::{self as wrap, Package, Picked, is_descriptor_text};

use super::found::{Origin, Source};
use super::image::Neighbour;
use super::{OpenOptions, probe};
use crate::place::file::FileId;
use crate::source::unwrap::{self, Archive, Around, Formats, Wanted};

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
        budget: &Budget,
    ) -> Result<(Source, Around)> {
        let wanted = Wanted::of(self, budget);
        if wanted.is_disk(|| probe(file.bytes.as_ref()))?
            || !is_descriptor_text(&unwrap::head(file.bytes.as_ref(), HEAD)?)
        {
            return Ok((file, around));
        }
        let (path, own) = place(&file)?;
        let mut beside =
            Beside { options: self, descriptor: &file, path: &path, files: Vec::new() };
        let bytes = Arc::clone(&file.bytes);
        let package = Package::unpacked(&file.name, &own, bytes, &mut beside, budget)?;
        let files = beside.files;
        around.push("ovf", &self.limits).map_err(|error| error.in_file(&file.name))?;
        let formats = Formats { limits: self.limits.clone() };
        let Picked { member, disks, body: part, .. } = package.disk(self.disk, &formats)?;
        around.found(disks, false);
        around.archives.push(Archive { package: Arc::new(package), member: member.clone() });
        let bytes: Arc<dyn Bytes> = Arc::new(part);
        // What a disk in chunks names is beside those.
        let (mut origin, mut id) =
            (Origin::Path(path.with_file_name(&member)), FileId::of_bytes(&bytes));
        around.files.push(Neighbour { id: file.id, bytes: file.bytes });
        around.notes.extend(file.locked);
        for (name, mut opened) in files {
            if name.strip_prefix(&member).is_some_and(|end| end.is_empty() || is_chunk(end)) {
                opened = opened.minding(self.locks)?;
                around.notes.extend(opened.locked);
            }
            if name == member {
                (origin, id) = (opened.origin, opened.id);
            }
            around.files.push(Neighbour { id: opened.id, bytes: opened.bytes });
        }
        Ok((Source { name: bytes.name().to_owned(), origin, bytes, id, locked: None }, around))
    }
}

/// Whether a name ends so that is a chunk's.
fn is_chunk(end: &str) -> bool {
    let digits = end.strip_prefix('.').filter(|digits| digits.len() == 9);
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
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
    /// What was opened, by the names that the descriptor has.
    files: Vec<(String, Source)>,
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
        let found = named.open(self.options.access, ROLE, name.as_ref())?;
        if found.id == self.descriptor.id {
            let text = format!("the {ROLE} '{name}' is the descriptor itself");
            return Err(Error::damaged(text));
        }
        let bytes = Arc::clone(&found.bytes);
        self.files.push((name.to_owned(), found));
        Ok(Some(bytes))
    }
}

impl Beside<'_> {
    fn is_there(&self, name: &str) -> bool {
        self.path.with_file_name(name).symlink_metadata().is_ok()
    }
}
