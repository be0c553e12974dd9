//! What is around a disk: archives, compressed files, a package's folder, a scratch file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Limits, Note, Result, Sibling, Siblings};
use diskferry_wrap::{Choice, Folder, Found as Listed, Package, Part, Promises};

use crate::format::Format;
use crate::place::policy::Policy;

/// What is around a disk.
#[derive(Clone, Default)]
pub(crate) struct Around {
    /// The wrappers, from the outside in.
    pub layers: Vec<&'static str>,
    /// The disks of the archive, as far as they are known.
    pub disks: Vec<Listed>,
    /// Whether there may be more of them: an archive that comes in order is read no further than is needed.
    pub may_have_more: bool,
    /// The archives that can be read anywhere, which may have digests of their members.
    pub archives: Vec<Archive>,
    /// The scratch files that it was unpacked to.
    pub scratch: Vec<Arc<dyn Bytes>>,
    /// The files of the package that it is in, where they lie in a folder; the pieces of a split file.
    pub files: Vec<Arc<dyn Bytes>>,
    /// What there is to say of them.
    pub notes: Vec<Note>,
}

/// An archive around a disk, or a package that lies in a folder.
#[derive(Clone)]
pub(crate) struct Archive {
    pub package: Arc<Package>,
    /// The name of the member that the disk is in.
    pub member: String,
}

impl Around {
    /// Whether the disk is the file that was given.
    pub fn is_nothing(&self) -> bool {
        let Self { layers, scratch, files, notes, .. } = self;
        layers.is_empty() && scratch.is_empty() && files.is_empty() && notes.is_empty()
    }

    /// What the manifests of the archives say of the bytes that the disk is read from.
    ///
    /// # Errors
    /// `Limit` for a manifest that is too long, `Io`.
    pub fn promises(&self) -> Result<Vec<Promises>> {
        self.archives.iter().map(|it| it.package.promises(&it.member)).collect()
    }

    /// # Errors
    /// `Limit` for more wrappers around one another than there may be.
    pub fn push(&mut self, layer: &'static str, limits: &Limits) -> Result<()> {
        if self.layers.len() >= limits.nesting as usize {
            let what = format!("more than {} wrappers around one another", limits.nesting);
            return Err(Limits::reached("nesting", what));
        }
        self.layers.push(layer);
        Ok(())
    }

    /// What an archive at this depth is asked for: the caller's choice is of the outermost one.
    pub fn choice(&self, asked: Choice) -> Choice {
        match asked {
            Choice::Number(_) if !self.disks.is_empty() => Choice::Only,
            choice => choice,
        }
    }

    /// The format of the disk, where what is around it tells: in an XVA the disk is raw, whatever its guest
    /// made it look like.
    pub fn told_format(&self) -> Option<Format> {
        self.layers.last().filter(|layer| **layer == "xva").map(|_| Format::RAW)
    }

    pub fn found(&mut self, disks: Vec<Listed>, may_have_more: bool) {
        if self.disks.is_empty() {
            (self.disks, self.may_have_more) = (disks, may_have_more);
        }
    }

    /// What lies beside the disk in the innermost archive, where it is in one that can be read anywhere.
    pub fn members(&self) -> Option<Arc<dyn Siblings>> {
        let archive = self.archives.last().filter(|it| !it.package.is_unpacked())?;
        Some(Arc::new(archive.clone()))
    }
}

/// Whether a wrapper compresses; the others are archives.
pub(crate) fn is_compression(layer: &str) -> bool {
    !matches!(layer, "tar" | "ova" | "ovf" | "xva")
}

impl Archive {
    /// Its bytes, where the archive has it.
    pub fn part(&self) -> Option<Part> {
        self.package.member(&self.member)
    }

    /// The folder of the archive that the member is in.
    fn folder(&self) -> Folder {
        Folder::of(&self.package, &self.member)
    }
}

/// The members in the same folder of the archive: no name leads out of it, whatever the caller allows.
impl Siblings for Archive {
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Sibling> {
        let member = self.folder().path_of(Policy::judge_in_archive(role, name)?);
        let archive = Self { member, package: Arc::clone(&self.package) };
        let missing = || {
            let text = format!("{role} '{}': not in the archive", name.display());
            Error::from(io::Error::new(io::ErrorKind::NotFound, text))
        };
        let bytes = Arc::new(archive.part().ok_or_else(missing)?);
        Ok(Sibling { bytes, siblings: Some(Arc::new(archive)) })
    }

    fn names(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<OsString>> {
        let folder = self.folder();
        let names = folder.names().map(OsString::from);
        let mut names: Vec<OsString> = names.filter(|name| wanted(name)).collect();
        names.sort_unstable();
        Ok(names)
    }
}
