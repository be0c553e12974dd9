//! Gets at the disk in a file that is wrapped: in an archive, in a compressed file, in both.
//!
//! An archive that is not compressed leaves the disk where it is in the file, as bytes that can be
//! read anywhere. From the first compressed layer on, as out of a pipe, all comes in order only.

mod arrive;
mod judge;
mod listed;
mod naming;
mod packed;
mod recorded;
mod scratch;

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Error, Limits, Result};
use diskferry_wrap::{Choice, Folder, Found, Package, Part, Picked, Promises, Wrapping};

pub(crate) use self::arrive::{Arrival, Arrived, InOrderOnly, Unordered, arrive};
pub(crate) use self::judge::Formats;
pub(crate) use self::listed::list as list_disks;
pub(crate) use self::packed::Packed;
pub(crate) use self::scratch::Scratch;
use crate::format::Format;
use crate::source::{Neighbour, OpenOptions, probe};

/// What is around a disk.
#[derive(Clone, Default)]
pub(crate) struct Around {
    /// The wrappers, from the outside in.
    pub layers: Vec<&'static str>,
    /// The disks of the archive, as far as they are known.
    pub disks: Vec<Found>,
    /// Whether there may be more of them: an archive that comes in order is read no further than is needed.
    pub may_have_more: bool,
    /// The archives that can be read anywhere, which may have digests of their members.
    pub archives: Vec<Archive>,
    /// The scratch files that it was unpacked to.
    pub scratch: Vec<Arc<dyn Bytes>>,
    /// The files of the package that it is in, where they lie in a folder; the pieces of a split file.
    pub files: Vec<Neighbour>,
    /// What there is to say of them.
    pub notes: Vec<String>,
}

/// An archive around a disk, or a package that lies in a folder.
#[derive(Clone)]
pub(crate) struct Archive {
    pub package: Arc<Package>,
    /// The name of the member that the disk is in.
    pub member: String,
}

impl Archive {
    /// The member of that name in the same folder of the archive.
    pub fn beside(&self, name: &str) -> Self {
        let (member, package) = (self.folder().path_of(name), Arc::clone(&self.package));
        Self { package, member }
    }

    /// Its bytes, where the archive has it.
    pub fn part(&self) -> Option<Part> {
        self.package.member(&self.member)
    }

    /// The folder of the archive that the member is in.
    pub fn folder(&self) -> Folder {
        Folder::of(&self.package, &self.member)
    }
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
    fn choice(&self, options: &Wanted) -> Choice {
        match options.choice {
            Choice::Number(_) if !self.disks.is_empty() => Choice::Only,
            choice => choice,
        }
    }

    /// The format of the disk, where what is around it tells: in an XVA the disk is raw, whatever its guest
    /// made it look like.
    pub fn told_format(&self) -> Option<Format> {
        self.layers.last().filter(|layer| **layer == "xva").map(|_| Format::RAW)
    }

    pub fn found(&mut self, disks: Vec<Found>, may_have_more: bool) {
        if self.disks.is_empty() {
            (self.disks, self.may_have_more) = (disks, may_have_more);
        }
    }
}

/// Whether a wrapper compresses; the others are archives.
pub(crate) fn is_compression(layer: &str) -> bool {
    !matches!(layer, "tar" | "ova" | "ovf" | "xva")
}

/// What of a wrapped file is wanted.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// The format of the disk, where it is told.
    format: Option<Format>,
    choice: Choice,
    budget: Budget,
}

impl Wanted {
    pub fn of(options: &OpenOptions, budget: &Budget) -> Self {
        let (format, choice, budget) = (options.format, options.disk, budget.clone());
        Self { format, choice, budget }
    }

    /// The format of the disk; those that are wrappers themselves say nothing of it.
    pub fn disk_format(&self) -> Option<Format> {
        self.format.filter(|format| !format.is_package())
    }

    /// Whether these bytes are the disk, whatever they look like: a raw disk may look like anything.
    pub fn is_disk(&self, probe: impl FnOnce() -> Result<Option<Format>>) -> Result<bool> {
        match self.disk_format() {
            None => Ok(false),
            Some(format) if format == Format::RAW => Ok(true),
            Some(format) => Ok(probe()? == Some(format)),
        }
    }

    /// # Errors
    /// `Misuse` where a package, or a disk of one, was asked for, and there is none.
    fn check(&self, name: &str, around: &Around) -> Result<()> {
        if let Some(format) = self.format.filter(|format| format.is_package())
            && around.layers.is_empty()
        {
            return Err(Error::damaged(format!("no {format} file")).in_file(name));
        }
        match self.choice {
            Choice::Number(number) if number != 1 && around.disks.is_empty() => {
                Err(Error::misuse(format!("it has no disk {number}: it is no archive"))
                    .in_file(name))
            }
            _ => Ok(()),
        }
    }
}

/// A file without its wrappers.
pub(crate) enum Peeled {
    /// The disk's own file, or a part of one.
    Bytes { bytes: Arc<dyn Bytes>, around: Around },
    /// A compressed file, or a member of an archive that is one.
    Packed { bytes: Arc<dyn Bytes>, around: Around },
}

/// Takes the wrappers off that leave the disk readable anywhere, when those `around` it are off.
///
/// # Errors
/// As for opening an archive, and choosing a disk in it.
pub(crate) fn peel(
    mut bytes: Arc<dyn Bytes>,
    mut around: Around,
    wanted: &Wanted,
) -> Result<Peeled> {
    loop {
        let name = bytes.name().to_owned();
        let is_told = around.told_format().is_some();
        let wrapping = match is_told || wanted.is_disk(|| probe(bytes.as_ref()))? {
            true => None,
            false => Wrapping::of(&head(bytes.as_ref(), Wrapping::HEAD)?),
        };
        match wrapping {
            None => {
                wanted.check(&name, &around)?;
                return Ok(Peeled::Bytes { bytes, around });
            }
            Some(Wrapping::Packed(_)) => {
                return Ok(Peeled::Packed { bytes, around });
            }
            Some(Wrapping::Tar) => {
                let package = Package::open(&name, Arc::clone(&bytes), &wanted.budget)?;
                let kind = package.kind();
                let limits = wanted.budget.limits();
                around.push(kind.name(), limits).map_err(|error| error.in_file(&name))?;
                let package = Arc::new(package);
                let formats = Formats { limits: limits.clone() };
                let picked = package.disk(around.choice(wanted), &formats)?;
                let Picked { member, disks, body: part, .. } = picked;
                around.found(disks, false);
                around.archives.push(Archive { package, member });
                bytes = Arc::new(part);
            }
        }
    }
}

/// The first bytes, at most `most` of them.
pub(crate) fn head(bytes: &dyn Bytes, most: usize) -> Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(bytes.len()).map_or(most, |len| len.min(most))];
    bytes.read_at(0, &mut head)?;
    Ok(head)
}

/// Says of a file that is taken as it is that it looks like something else.
pub(crate) fn looks_wrapped(bytes: &dyn Bytes) -> Result<Option<String>> {
    let wrapping = Wrapping::of(&head(bytes, Wrapping::HEAD)?);
    Ok(wrapping.map(|wrapping| {
        format!(
            "{}: taken for a raw disk as it is, though it looks like a {} file",
            bytes.name(),
            wrapping.name()
        )
    }))
}
