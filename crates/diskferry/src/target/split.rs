//! A target of several files: its parts are named after it, judged with it, and kept with it.

use std::path::{Path, PathBuf};

use diskferry_block_stream::{Error, Result, Split};
use diskferry_engine::{Durability, Entry, FileOutput, Kept, Output, Replace};

use crate::place::file::Location;
use crate::place::written::{Written, WrittenPart};
use crate::target::destination::Destination;

/// Where a part of a target goes.
pub(crate) struct PartPlace {
    /// The file's name without the folder, which is what the target calls it.
    name: String,
    path: PathBuf,
    pub destination: Destination,
}

/// Where the parts of a target go, beside it.
///
/// # Errors
/// `Unsupported` where the target is no file, `Misuse` where a name cannot be had.
pub(crate) fn places(target: &Destination, split: &Split) -> Result<Vec<PartPlace>> {
    let in_target = |error: Error| error.in_file(&target.name);
    let Some(path) = target.file_path() else {
        return Err(in_target(Error::unsupported(
            "this subformat is several files; it cannot be written to a pipe or a device",
        )));
    };
    refuse_link(path).map_err(in_target)?;
    split.parts.iter().map(|part| place(path, &part.suffix).map_err(in_target)).collect()
}

fn place(target: &Path, suffix: &str) -> Result<PartPlace> {
    let name = part_name(target, suffix).ok_or_else(|| {
        Error::misuse(
            "a disk in several files has their names in it, which must be UTF-8 without quotes and \
             control characters",
        )
    })?;
    let path = target.with_file_name(&name);
    refuse_link(&path)?;
    let destination = Destination::find(&Location::Path(path.clone()))?;
    if destination.file_path().is_none() {
        return Err(Error::misuse("it exists and is no regular file").in_file(&destination.name));
    }
    Ok(PartPlace { name, path, destination })
}

/// `disk.vmdk` and "-flat" make `disk-flat.vmdk`; `None` where that cannot be said in a descriptor.
fn part_name(target: &Path, suffix: &str) -> Option<String> {
    let stem = target.file_stem()?.to_str()?;
    let name = match target.extension() {
        Some(extension) => format!("{stem}{suffix}.{}", extension.to_str()?),
        None => format!("{stem}{suffix}"),
    };
    let plain = !name.contains(|character: char| character == '"' || character.is_control());
    plain.then_some(name)
}

/// Files that name each other lie in one folder under their own names.
fn refuse_link(path: &Path) -> Result<()> {
    if path.is_symlink() {
        return Err(Error::misuse("a link; a disk in several files needs their own names")
            .in_file(&path.display().to_string()));
    }
    Ok(())
}

/// A target of several files that is being written.
pub(crate) struct SplitOutput {
    descriptor: FileOutput,
    parts: Vec<PartOutput>,
}

struct PartOutput {
    name: String,
    path: PathBuf,
    output: FileOutput,
}

impl SplitOutput {
    /// Starts all files.
    ///
    /// # Errors
    /// As for [`FileOutput::create`].
    pub fn create(
        target: &Path,
        parts: Vec<PartPlace>,
        replace: Replace,
        durability: Durability,
    ) -> Result<Self> {
        let descriptor = FileOutput::create(target, replace)?.with_durability(durability);
        let parts = parts.into_iter().map(|PartPlace { name, path, .. }| {
            let output = FileOutput::create(&path, replace)?.with_durability(durability);
            Ok(PartOutput { name, path, output })
        });
        Ok(Self { descriptor, parts: parts.collect::<Result<_>>()? })
    }

    /// The file that names the others.
    pub fn descriptor(&self) -> &FileOutput {
        &self.descriptor
    }

    /// The parts with the names that the descriptor has for them.
    pub fn parts(&self) -> Vec<(&str, &dyn Output)> {
        self.parts.iter().map(|part| (part.name.as_str(), &part.output as &dyn Output)).collect()
    }

    /// The temporary names of the files that have one.
    pub fn temporary(&self) -> Vec<Entry> {
        let outputs = self.parts.iter().map(|part| &part.output).chain([&self.descriptor]);
        outputs.filter_map(FileOutput::temporary).cloned().collect()
    }

    /// Handles to read back what was written.
    ///
    /// # Errors
    /// `Io` when a file cannot be opened.
    pub fn read_back(&self) -> Result<Written> {
        let parts = self.parts.iter().map(|part| {
            let shown = part.path.display().to_string();
            Ok(WrittenPart { name: part.name.clone(), shown, file: part.output.reopen()? })
        });
        Ok(Written { parts: parts.collect::<Result<_>>()?, file: self.descriptor.reopen()? })
    }

    /// Gives the parts their names, then the target.
    ///
    /// Where one of them is refused its name, those that have theirs are removed, also where they
    /// have replaced older files: these cannot be brought back, and what is left of the older disk
    /// must not be taken for whole.
    ///
    /// # Errors
    /// As for [`FileOutput::keep`].
    pub fn keep(self) -> Result<()> {
        let mut kept = AllOrNone(Vec::new());
        for PartOutput { output, .. } in self.parts {
            kept.0.push(output.keep()?);
        }
        self.descriptor.keep()?;
        kept.0.clear();
        Ok(())
    }
}

/// Files that are removed unless all of them are kept.
struct AllOrNone(Vec<Kept>);

impl Drop for AllOrNone {
    fn drop(&mut self) {
        for kept in &self.0 {
            // The error that led here is the one to tell.
            let _ = kept.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use diskferry_block_stream::{ErrorKind, Flat, Part, Plan};
    use diskferry_engine::Job;

    use super::*;

    fn split(suffixes: &[&str]) -> Split {
        let part = |suffix: &&str| Part {
            suffix: suffix.to_string(),
            length: 1,
            plan: Plan::Flat(Flat::default()),
        };
        Split { parts: suffixes.iter().map(part).collect(), descriptor: Box::new(|_| Ok(vec![])) }
    }

    fn destination(path: &Path) -> Destination {
        Destination::find(&Location::Path(path.to_owned())).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn parts_are_named_after_the_target() {
        for (target, name) in [
            ("disk.vmdk", Some("disk-flat.vmdk")),
            ("dir.d/disk", Some("disk-flat")),
            ("a.b.VMDK", Some("a.b-flat.VMDK")),
            (".vmdk", Some(".vmdk-flat")),
            ("Zürich disk.vmdk", Some("Zürich disk-flat.vmdk")),
            ("12\".vmdk", None),
            ("two\nlines.vmdk", None),
        ] {
            assert_eq!(part_name(Path::new(target), "-flat").as_deref(), name);
        }
    }

    #[test]
    fn what_cannot_be_several_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let Err(error) = places(&destination(Path::new("/dev/null")), &split(&["-flat"])) else {
            panic!("a device has no parts");
        };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        fs::write(path("real.vmdk"), b"").unwrap();
        std::os::unix::fs::symlink("real.vmdk", path("link.vmdk")).unwrap();
        std::os::unix::fs::symlink("elsewhere", path("disk-flat.vmdk")).unwrap();
        fs::create_dir(path("other-flat.vmdk")).unwrap();
        for target in ["link.vmdk", "disk.vmdk", "other.vmdk"] {
            let Err(error) = places(&destination(&path(target)), &split(&["-flat"])) else {
                panic!("{target} was taken");
            };
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        }
    }

    #[test]
    fn all_files_get_their_names_or_none() {
        for (blocked, expected) in [
            (None, &["a-1.vmdk", "a-2.vmdk", "a.vmdk"][..]),
            (Some("a-2.vmdk"), &["a-2.vmdk"]),
            (Some("a.vmdk"), &["a.vmdk"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("a.vmdk");
            let parts = places(&destination(&target), &split(&["-1", "-2"])).unwrap();
            let output =
                SplitOutput::create(&target, parts, Replace::Never, Durability::default()).unwrap();
            assert_eq!(names(folder.path()).len(), output.temporary().len());
            for (_, part) in output.parts() {
                part.finish(0, &Job::new(1).unwrap()).unwrap();
            }
            // Somebody else takes a name meanwhile.
            if let Some(blocked) = blocked {
                fs::write(folder.path().join(blocked), b"theirs").unwrap();
            }
            assert_eq!(output.keep().is_ok(), blocked.is_none());
            assert_eq!(names(folder.path()), expected);
        }
    }
}
