//! Where the further files of a target go: beside it, named after it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use diskferry_block_stream::{Error, Part, Result};

use crate::target::found::Found;

/// Where a part of a target goes.
pub(super) struct PartPlace {
    /// The file's name without the folder, which is what the target calls it.
    pub name: String,
    pub path: PathBuf,
    /// The file that is there now.
    pub there: Option<Metadata>,
}

/// Where the parts of a target go, beside it.
///
/// # Errors
/// `Misuse` where a name cannot be had.
pub(super) fn places(target: &Path, parts: &[Part]) -> Result<Vec<PartPlace>> {
    let in_target = |error: Error| error.in_file(&target.display().to_string());
    refuse_link(target).map_err(in_target)?;
    parts.iter().map(|part| place(target, &part.suffix).map_err(in_target)).collect()
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
    let there = match Found::at(&path)? {
        Found::Nothing => None,
        Found::File(metadata) => Some(metadata),
        Found::Device(_) | Found::Pipe(_) => {
            return Err(Error::misuse("it exists and is no regular file")
                .in_file(&path.display().to_string()));
        }
    };
    Ok(PartPlace { name, path, there })
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

#[cfg(test)]
mod tests {
    use std::fs;

    use diskferry_block_stream::{ErrorKind, Flat, Plan};

    use super::*;

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
        fs::write(path("real.vmdk"), b"").unwrap();
        std::os::unix::fs::symlink("real.vmdk", path("link.vmdk")).unwrap();
        std::os::unix::fs::symlink("elsewhere", path("disk-flat.vmdk")).unwrap();
        fs::create_dir(path("other-flat.vmdk")).unwrap();
        let part =
            || Part { suffix: "-flat".to_owned(), length: 1, plan: Plan::Flat(Flat::default()) };
        for target in ["link.vmdk", "disk.vmdk", "other.vmdk"] {
            let Err(error) = places(&path(target), &[part()]) else {
                panic!("{target} was taken");
            };
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        }
    }
}
