//! Where a conversion goes: judged before anything is read, created when all else is clear.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use diskferry_block_stream::{Error, Plan, Remedy, Result};
use diskferry_engine::{
    DeviceOutput, Durability, Entry, FileOutput, Output, PipeOutput, Replace, Undo, left_behind,
};

use crate::format::Format;
use crate::place::file::{self, FileId, Location, STDOUT, Sort};
use crate::place::written::Written;
use crate::target::split::{PartPlace, SplitOutput};

/// A target as it was found, with nothing done to it.
pub(crate) struct Destination {
    pub name: String,
    place: Place,
    /// What it is now, where that could be a source as well.
    pub id: Option<FileId>,
}

enum Place {
    /// A file that is there only if `exists`.
    File {
        path: PathBuf,
        exists: bool,
    },
    Device(PathBuf),
    /// A named pipe or a character device.
    Pipe(PathBuf),
    Stdout,
}

impl Destination {
    /// Finds out what a target is.
    ///
    /// # Errors
    /// `Misuse` where nothing can be written to it, `Io` where its folder is missing.
    pub fn find(target: &Location) -> Result<Self> {
        match target {
            Location::Standard => Self::find_stdout(),
            Location::Path(path) => Self::find_path(path),
        }
    }

    fn find_stdout() -> Result<Self> {
        if io::stdout().is_terminal() {
            return Err(Error::misuse(
                "a terminal takes no disk image; name a target file, or redirect stdout",
            )
            .in_file(STDOUT));
        }
        let metadata =
            file::stdout()?.metadata().map_err(|error| Error::from(error).in_file(STDOUT))?;
        let id = (Sort::of(&metadata).is_random() || metadata.file_type().is_fifo())
            .then(|| FileId::of(&metadata));
        Ok(Self { name: STDOUT.to_owned(), place: Place::Stdout, id })
    }

    fn find_path(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let path = path.to_owned();
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.is_symlink() {
                    return Err(Error::misuse(
                        "a link that leads nowhere; remove it, or name what it leads to as the target",
                    )
                    .in_file(&name));
                }
                check_folder(&path).map_err(|error| error.in_file(&name))?;
                return Ok(Self { name, place: Place::File { path, exists: false }, id: None });
            }
            Err(error) => return Err(Error::from(error).in_file(&name)),
        };
        let id = Some(FileId::of(&metadata));
        match Sort::of(&metadata) {
            Sort::Regular => Ok(Self { name, place: Place::File { path, exists: true }, id }),
            Sort::Block => Ok(Self { name, place: Place::Device(path), id }),
            Sort::Folder => {
                Err(Error::misuse("a folder; name a file in it as the target").in_file(&name))
            }
            Sort::Stream if metadata.file_type().is_socket() => {
                Err(Error::misuse("a socket cannot be a target").in_file(&name))
            }
            Sort::Stream => {
                let id = id.filter(|_| metadata.file_type().is_fifo());
                Ok(Self { name, place: Place::Pipe(path), id })
            }
        }
    }

    /// # Errors
    /// `Exists` where something would be overwritten that may not be.
    pub fn check_replace(&self, replace: Replace) -> Result<()> {
        let (lost, remedy) = match self.place {
            Place::File { exists: true, .. } => ("the target exists", Remedy::ReplaceTarget),
            Place::Device(_) => ("the target is a block device", Remedy::OverwriteDevice),
            Place::File { .. } | Place::Pipe(_) | Place::Stdout => return Ok(()),
        };
        match replace {
            Replace::Allowed => Ok(()),
            Replace::Never => Err(Error::exists(lost).mended_by(remedy).in_file(&self.name)),
        }
    }

    /// # Errors
    /// `Unsupported` for a format that a place such as this one cannot hold.
    pub fn check_holds(&self, format: Format) -> Result<()> {
        match self.place {
            Place::Device(_) if format.ends_with_file() => Err(Error::unsupported(format!(
                "a {format} image ends with its file, and a device goes on; write it to a file"
            ))
            .in_file(&self.name)),
            _ => Ok(()),
        }
    }

    /// Whether what is written can be read back.
    pub fn is_pipe(&self) -> bool {
        matches!(self.place, Place::Pipe(_) | Place::Stdout)
    }

    /// The path that the user gave.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } | Place::Device(path) | Place::Pipe(path) => Some(path),
            Place::Stdout => None,
        }
    }

    /// The path of a regular file, there or not.
    pub fn file_path(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            Place::Device(_) | Place::Pipe(_) | Place::Stdout => None,
        }
    }

    /// The name of the file, without the folder. What goes through a pipe gets a name from whoever
    /// receives it.
    pub fn file_name(&self) -> Option<&str> {
        self.file_path()?.file_name()?.to_str()
    }

    /// What runs that were killed left in its place, one line for each file.
    pub fn left_behind(&self) -> Vec<String> {
        let Some(path) = self.file_path() else { return Vec::new() };
        let lines = left_behind(path).into_iter().map(|name| {
            let left = path.with_file_name(name);
            format!("{}: what a killed run left of this target; it can be removed", left.display())
        });
        lines.collect()
    }

    /// Starts writing; the `parts` are files of their own beside it.
    ///
    /// # Errors
    /// `Io` when the system refuses, `Exists` when the target is there by now and may not be replaced.
    pub fn create(
        self,
        parts: Option<Vec<PartPlace>>,
        replace: Replace,
        durability: Durability,
    ) -> Result<Target> {
        let name = self.name;
        Ok(match self.place {
            Place::File { path, .. } => match parts {
                Some(parts) => {
                    Target::Split(SplitOutput::create(&path, parts, replace, durability)?)
                }
                None => {
                    Target::File(FileOutput::create(&path, replace)?.with_durability(durability))
                }
            },
            Place::Device(path) => {
                let device = DeviceOutput::open(&path)?;
                if self.id != Some(FileId::of(&device.metadata()?)) {
                    return Err(Error::misuse("it was replaced by another while it was opened")
                        .in_file(&name));
                }
                Target::Device(device)
            }
            Place::Pipe(path) => {
                let opened = OpenOptions::new().write(true).open(&path);
                let pipe =
                    opened.map_err(|error| Error::from(error).doing("opening").in_file(&name))?;
                Target::Pipe(PipeOutput::new(name, pipe))
            }
            Place::Stdout => Target::Pipe(PipeOutput::new(name, file::stdout()?)),
        })
    }
}

fn check_folder(path: &Path) -> Result<()> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(Error::misuse("the name of a folder; name a file as the target"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => return Ok(()),
        None => return Err(Error::misuse("no file name")),
    };
    folder.metadata().map(drop).map_err(|error| {
        Error::new(
            diskferry_block_stream::ErrorKind::Io,
            format!("the target's folder '{}': {error}", folder.display()),
        )
    })
}

/// A target that is being written.
pub(crate) enum Target {
    File(FileOutput),
    Split(SplitOutput),
    Device(DeviceOutput),
    Pipe(PipeOutput<File>),
}

impl Target {
    pub fn output(&self) -> &dyn Output {
        match self {
            Self::File(file) => file,
            Self::Split(files) => files.descriptor(),
            Self::Device(device) => device,
            Self::Pipe(pipe) => pipe,
        }
    }

    /// Removes its files while they have temporary names.
    pub fn undo(&self) -> Undo {
        let temporary: Vec<Entry> = match self {
            Self::File(file) => file.temporary().cloned().into_iter().collect(),
            Self::Split(files) => files.temporary(),
            Self::Device(_) | Self::Pipe(_) => Vec::new(),
        };
        Box::new(move || temporary.iter().for_each(|entry| _ = entry.remove()))
    }

    /// # Errors
    /// `Misuse` when a disk of `size` bytes cannot fit, as far as that is known beforehand.
    pub fn check_fits(&self, plan: &Plan, size: Option<u64>) -> Result<()> {
        let (Self::Device(device), Plan::Flat(flat), Some(size)) = (self, plan, size) else {
            return Ok(());
        };
        let needed = flat.base.saturating_add(size).saturating_add(flat.tail.len() as u64);
        if needed > device.size() {
            return Err(Error::misuse(format!(
                "{needed} bytes do not fit onto a device of {}",
                device.size()
            ))
            .in_file(device.name()));
        }
        Ok(())
    }

    /// Handles to read back what was written; `None` for pipes.
    ///
    /// # Errors
    /// `Io` when it cannot be opened.
    pub fn read_back(&self) -> Result<Option<Written>> {
        let alone = |file| Written { file, parts: Vec::new() };
        match self {
            Self::File(output) => output.reopen().map(alone).map(Some),
            Self::Split(files) => files.read_back().map(Some),
            Self::Device(output) => output.reopen().map(alone).map(Some),
            Self::Pipe(_) => Ok(None),
        }
    }

    /// All is well: gives the target its name.
    ///
    /// # Errors
    /// As for [`FileOutput::keep`] and [`SplitOutput::keep`].
    pub fn keep(self) -> Result<()> {
        match self {
            Self::File(file) => file.keep().map(drop),
            Self::Split(files) => files.keep(),
            Self::Device(_) | Self::Pipe(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    #[test]
    fn what_exists_is_refused_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let existing = folder.path().join("a.raw");
        std::fs::write(&existing, b"").unwrap();
        let destination = Destination::find(&Location::Path(existing)).unwrap();
        let error = destination.check_replace(Replace::Never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(error.remedy(), Some(&Remedy::ReplaceTarget));
        assert!(destination.check_replace(Replace::Allowed).is_ok());
        // What would be replaced there is not to be had, and leave to replace is no help.
        let dangling = folder.path().join("link.raw");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        let error = Destination::find(&Location::Path(dangling)).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("a link that leads nowhere"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_target_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Location::Path(folder.path().join(name));
        for (target, kind) in [
            (path(""), ErrorKind::Misuse),
            (path("new/"), ErrorKind::Misuse),
            (path("no/such/folder.raw"), ErrorKind::Io),
        ] {
            let Err(error) = Destination::find(&target) else { panic!("{target} was taken") };
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn a_device_does_not_hold_what_ends_with_its_file() {
        let place = |place| Destination { name: "sda".into(), place, id: None };
        let device = place(Place::Device("sda".into()));
        let file = place(Place::File { path: "a".into(), exists: false });
        for (format, held) in [
            (Format::RAW, true),
            (Format::QCOW2, true),
            (Format::VHD, false),
            (Format::VMDK, false),
        ] {
            assert_eq!(device.check_holds(format).is_ok(), held, "{format}");
            assert!(file.check_holds(format).is_ok(), "{format}");
        }
    }

    #[test]
    fn null_is_a_pipe_that_needs_no_leave() {
        let null = Destination::find(&Location::Path("/dev/null".into())).unwrap();
        assert!(null.is_pipe());
        assert!(null.check_replace(Replace::Never).is_ok());
    }
}
