//! Which files an image may make us open.
//!
//! An image from a stranger may name any file as its backing file: `/etc/shadow`, a device, a pipe
//! that never ends. So names are judged before anything is opened. Without further leave they must
//! be plain names of regular files beside the image itself, or paths that come to one without leaving
//! its folder (`./base.raw`, `sub/../base.raw`); the caller may allow folders.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use diskferry_block_stream::{Error, Remedy, Result};
use serde::{Deserialize, Serialize};

use crate::place::kind::FileKind;

/// Which files an image may refer to.
///
/// By default only plain names beside the image itself, in whatever words: no absolute path, no `..` that
/// leaves the folder, no sub-folder, no link that leads out of it, no device. What is refused is
/// [`ErrorKind::Refused`](crate::ErrorKind::Refused), and nothing was opened then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// Folders under which any file may be referred to, also by an absolute or a relative path. A
    /// parent that is known by its id is looked for in the folders themselves, too.
    pub allow: Vec<PathBuf>,
}

/// A file that an image may refer to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permitted {
    /// The path by the image's name, for messages, and for what that file names in turn.
    pub path: PathBuf,
    /// The path without links, which is the one that was judged.
    pub real: PathBuf,
    /// Whether it may be a block device: only where the caller allowed its folder.
    pub device: bool,
}

impl Policy {
    /// One that allows the files under these folders, too.
    pub fn allowing(folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { allow: folders.into_iter().map(Into::into).collect() }
    }

    /// Judges the name of a file that an image at `image` refers to as its `role` ("backing file").
    pub(crate) fn judge(
        &self,
        image: &Path,
        role: &'static str,
        name: &OsStr,
    ) -> Result<Permitted> {
        let refuse = |refusal: Refusal| refused(role, name, refusal);
        never_a_file(name).map_or(Ok(()), |refusal| Err(refuse(refusal)))?;
        let folder = match image.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let (file, not_beside) = match beside(folder, name) {
            Ok(plain) => (plain, None),
            Err(refusal) if self.allow.is_empty() => return Err(refuse(refusal)),
            Err(refusal) => (name, Some(refusal)),
        };
        let path = image.parent().unwrap_or(Path::new("")).join(file);
        let real = folder.join(file).canonicalize().map_err(|error| missing(role, name, error))?;
        let within = |folder: &Path| {
            folder.canonicalize().is_ok_and(|real_folder| real.starts_with(real_folder))
        };
        let device = self.allow.iter().any(|folder| within(folder));
        if let Some(refusal) = not_beside.filter(|_| !device) {
            return Err(refuse(refusal));
        }
        if !device && !within(folder) {
            return Err(refuse(Refusal::LeadsOut));
        }
        // What cannot be looked at is an error when it is opened.
        match real.metadata().map(|metadata| FileKind::of(&metadata)) {
            Ok(FileKind::Block) if !device => Err(refuse(Refusal::Device)),
            Ok(FileKind::Folder | FileKind::Stream) => Err(refuse(Refusal::NoFile)),
            Ok(FileKind::Regular | FileKind::Block) | Err(_) => {
                Ok(Permitted { path, real, device })
            }
        }
    }

    /// Judges the name of a file that an image in an archive refers to: it is one of the archive, or
    /// none. Nothing outside can be meant, whatever the caller allows.
    pub(crate) fn judge_in_archive<'a>(role: &'static str, name: &'a OsStr) -> Result<&'a str> {
        let refuse = |refusal: Refusal| refused(role, name, refusal);
        if let Some(refusal) = never_a_file(name) {
            return Err(refuse(refusal));
        }
        let plain = plain(name).ok().and_then(|(plain, _)| plain.to_str());
        plain.ok_or_else(|| refuse(Refusal::NotInArchive))
    }

    /// The error for what an image names that has nothing beside it.
    pub(crate) fn nothing_beside(role: &'static str, name: &OsStr) -> Error {
        refused(role, name, Refusal::NoFolder)
    }
}

/// An image names a file that the caller's policy does not let it have.
#[derive(Debug, thiserror::Error)]
#[error("the {role} '{name}' {refusal}")]
struct Refused {
    role: &'static str,
    name: String,
    refusal: Refusal,
}

fn refused(role: &'static str, name: &OsStr, refusal: Refusal) -> Error {
    let name: String = name.to_string_lossy().chars().take(SHOWN).collect();
    let file = name.clone();
    let remedy = match refusal {
        Refusal::Absolute | Refusal::Elsewhere => Some(Remedy::AllowFile { file }),
        Refusal::LeadsOut => Some(Remedy::AllowLink { file }),
        Refusal::Device => Some(Remedy::AllowDevice { file }),
        _ => None,
    };
    Error::refused(Refused { role, name, refusal }).mended_by(remedy)
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("is an empty name")]
    Empty,
    #[error("has a NUL byte in its name")]
    Nul,
    #[error("is described by JSON, which is never followed")]
    Json,
    #[error("is named by a protocol, which is never followed")]
    Protocol,
    #[error("is a path of Windows, which leads nowhere here")]
    Windows,
    #[error("is an absolute path")]
    Absolute,
    #[error("is not beside the image")]
    Elsewhere,
    #[error("is a link out of the image's folder")]
    LeadsOut,
    #[error("is a device")]
    Device,
    #[error("is neither a file nor a block device")]
    NoFile,
    #[error("is beside an image that came without a folder; give the image's path")]
    NoFolder,
    #[error("is not beside the image in the archive")]
    NotInArchive,
}

/// Names that mean no file, whatever the caller allows.
fn never_a_file(name: &OsStr) -> Option<Refusal> {
    let bytes = name.as_encoded_bytes();
    let is_drive = matches!(bytes, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let protocol = || {
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        (!bytes[..colon].contains(&b'/')).then_some(Refusal::Protocol)
    };
    if bytes.is_empty() {
        Some(Refusal::Empty)
    } else if bytes.contains(&0) {
        Some(Refusal::Nul)
    } else if bytes.starts_with(b"json:") {
        Some(Refusal::Json)
    } else if is_drive {
        Some(Refusal::Windows)
    } else {
        protocol()
    }
}

/// The plain name of the file beside the image that a path comes to; or why there is none.
///
/// Folders that a path goes into and out of again (`sub/../base.raw`) need not be there, and nothing in them is
/// looked at. One that is a link, from which `..` leads elsewhere, is no such folder.
fn beside<'a>(folder: &Path, name: &'a OsStr) -> Result<&'a OsStr, Refusal> {
    let (plain, passed) = plain(name)?;
    let is_link = |passed: &PathBuf| folder.join(passed).is_symlink();
    if passed.iter().any(is_link) { Err(Refusal::LeadsOut) } else { Ok(plain) }
}

/// The plain name that a path comes to, and the folders that it passes, those above first.
fn plain(name: &OsStr) -> Result<(&OsStr, Vec<PathBuf>), Refusal> {
    let path = Path::new(name);
    if path.is_absolute() {
        return Err(Refusal::Absolute);
    }
    let bytes = name.as_encoded_bytes();
    // What ends so names a folder, which components do not show; what is longer is no path.
    if bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes.len() > LONGEST {
        return Err(Refusal::Elsewhere);
    }
    let (mut inside, mut passed): (Vec<&OsStr>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                passed.extend((!inside.is_empty()).then(|| inside.iter().collect()));
                inside.push(part);
            }
            Component::ParentDir if inside.is_empty() => return Err(Refusal::Elsewhere),
            Component::ParentDir => {
                passed.push(inside.iter().collect());
                inside.pop();
            }
            Component::RootDir | Component::Prefix(_) => return Err(Refusal::Absolute),
        }
    }
    if let [only] = inside[..] { Ok((only, passed)) } else { Err(Refusal::Elsewhere) }
}

/// Bytes of the longest path, Linux' own bound.
const LONGEST: usize = 4096;

/// Characters of a name in a message.
const SHOWN: usize = 1000;

fn missing(role: &'static str, name: &OsStr, error: io::Error) -> Error {
    let name = name.display();
    Error::from(io::Error::new(error.kind(), format!("{role} '{name}': {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use diskferry_block_stream::ErrorKind;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn allowing(folders: &[&Path]) -> Policy {
        Policy { allow: folders.iter().map(|folder| folder.to_path_buf()).collect() }
    }

    #[test]
    fn names_that_are_not_plain_are_refused_before_anything_is_looked_at() {
        let image = Path::new("/no/such/folder/a.qcow2");
        for (name, refusal) in [
            ("", Refusal::Empty),
            ("a\0b", Refusal::Nul),
            ("json:{\"driver\":\"raw\"}", Refusal::Json),
            ("nbd://host/disk", Refusal::Protocol),
            ("nbd:host:10809", Refusal::Protocol),
            ("file:base.raw", Refusal::Protocol),
            ("fat:/etc", Refusal::Protocol),
            (r"C:\vm\base.raw", Refusal::Windows),
            ("/etc/passwd", Refusal::Absolute),
            ("//etc/passwd", Refusal::Absolute),
            ("..", Refusal::Elsewhere),
            (".", Refusal::Elsewhere),
            ("../base.raw", Refusal::Elsewhere),
            ("sub/base.raw", Refusal::Elsewhere),
            ("./sub/base.raw", Refusal::Elsewhere),
            ("sub/../../base.raw", Refusal::Elsewhere),
            ("sub/../../images/base.raw", Refusal::Elsewhere),
            ("sub/..", Refusal::Elsewhere),
            ("base.raw/", Refusal::Elsewhere),
            ("base.raw/.", Refusal::Elsewhere),
            ("./base.raw/", Refusal::Elsewhere),
            (&"./".repeat(2048), Refusal::Elsewhere),
            (&format!("{}{}base.raw", "a/".repeat(1000), "../".repeat(1000)), Refusal::Elsewhere),
        ] {
            let judged = Policy::default().judge(image, "backing file", name.as_ref());
            let error = judged.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{name:?}");
            assert!(error.to_string().contains(&refusal.to_string()), "{name:?}: {error}");
        }
    }

    #[test]
    fn what_would_allow_a_name_is_said() {
        for name in ["/etc/passwd", "../base.raw"] {
            let error =
                Policy::default().judge(Path::new("a"), "data file", name.as_ref()).unwrap_err();
            assert_eq!(
                error.remedy(),
                Some(&Remedy::AllowFile { file: name.to_owned() }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_plain_name_beside_the_image_is_permitted() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.raw");
        fs::write(&base, b"").unwrap();
        let image = folder.path().join("a.qcow2");
        let permitted =
            Policy::default().judge(&image, "backing file", "base.raw".as_ref()).unwrap();
        assert_eq!(permitted.path, base);
        assert_eq!(permitted.real, base.canonicalize().unwrap());
        assert!(!permitted.device);
    }

    #[test]
    fn a_path_that_stays_beside_the_image_is_the_plain_name() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = root.path().join("images");
        for path in [folder.join("sub/deep"), outside.path().join("deep")] {
            fs::create_dir_all(path).unwrap();
        }
        for path in [folder.join("base.raw"), outside.path().join("base.raw")] {
            fs::write(path, b"").unwrap();
        }
        symlink(outside.path(), folder.join("out")).unwrap();
        symlink("sub", folder.join("in")).unwrap();
        symlink(outside.path().join("deep"), folder.join("sub/out")).unwrap();
        symlink("base.raw", folder.join("link")).unwrap();
        let image = folder.join("a.qcow2");
        let judge =
            |policy: &Policy, name: &str| policy.judge(&image, "backing file", name.as_ref());
        for name in [
            "./base.raw",
            ".//./base.raw",
            "sub/../base.raw",
            "sub/deep/../../base.raw",
            "sub/../gone/../base.raw",
            "gone/deep/../../base.raw",
            "base.raw/../base.raw",
        ] {
            let permitted = judge(&Policy::default(), name).unwrap();
            assert_eq!(permitted.path, folder.join("base.raw"), "{name}");
            assert_eq!(permitted.real, folder.join("base.raw").canonicalize().unwrap(), "{name}");
            assert!(judge(&allowing(&[outside.path()]), name).is_ok(), "{name}");
        }
        assert!(judge(&Policy::default(), "./link").is_ok());
        // `..` of a link is not where the link is.
        for name in [
            "out/../base.raw",
            "out/deep/../../base.raw",
            "in/../base.raw",
            "sub/out/../../base.raw",
            "link/../base.raw",
        ] {
            let error = judge(&Policy::default(), name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{name}: {error}");
        }
        let allowed = judge(&allowing(&[outside.path()]), "out/deep/../base.raw").unwrap();
        assert_eq!(allowed.real, outside.path().join("base.raw").canonicalize().unwrap());
    }

    #[test]
    fn a_name_is_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"M\xfcnchen.raw");
        fs::write(folder.path().join(name), b"").unwrap();
        let image = folder.path().join("a.qcow2");
        let judge = |name: &[u8]| {
            let name = OsStr::from_bytes(name);
            Policy::default().judge(&image, "backing file", name)
        };
        let permitted = judge(b"M\xfcnchen.raw").unwrap();
        assert_eq!(permitted.path, folder.path().join(name));
        for name in
            [&b"../M\xfcnchen.raw"[..], b"/M\xfcnchen.raw", b"\xfc:M", b"\xfc\0", b"json:\xfc"]
        {
            assert_eq!(judge(name).unwrap_err().kind(), ErrorKind::Refused, "{name:?}");
        }
    }

    #[test]
    fn a_link_may_stay_in_the_folder_and_not_lead_out() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let image = folder.path().join("a.qcow2");
        for path in [folder.path().join("base.raw"), outside.path().join("secret")] {
            fs::write(path, b"").unwrap();
        }
        symlink("base.raw", folder.path().join("inside")).unwrap();
        symlink(outside.path().join("secret"), folder.path().join("outside")).unwrap();
        let judge =
            |policy: &Policy, name: &str| policy.judge(&image, "backing file", name.as_ref());
        assert!(judge(&Policy::default(), "inside").is_ok());
        let error = judge(&Policy::default(), "outside").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(judge(&allowing(&[outside.path()]), "outside").is_ok());
    }

    #[test]
    fn what_is_no_file_is_refused_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink("fifo", path("link")).unwrap();
        let image = path("a.qcow2");
        for name in ["fifo", "socket", "folder", "link"] {
            for policy in [Policy::default(), allowing(&[folder.path()])] {
                let error = policy.judge(&image, "backing file", name.as_ref()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused, "{name}: {error}");
                assert!(error.to_string().contains("neither a file nor"), "{name}: {error}");
            }
        }
        let devices = allowing(&[Path::new("/dev")]);
        let error = devices.judge(&image, "backing file", "/dev/null".as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }

    #[test]
    fn an_allowed_folder_allows_what_is_really_under_it() {
        let root = tempfile::tempdir().unwrap();
        let (images, bases) = (root.path().join("images"), root.path().join("bases"));
        fs::create_dir(&images).unwrap();
        fs::create_dir_all(bases.join("sub")).unwrap();
        let base = bases.join("base.raw");
        fs::write(&base, b"").unwrap();
        fs::write(root.path().join("secret"), b"").unwrap();
        symlink("../secret", bases.join("link")).unwrap();
        let (image, policy) = (images.join("a.qcow2"), allowing(&[&bases]));
        let judge = |name: &str| policy.judge(&image, "backing file", name.as_ref());
        let absolute = |name: &str| bases.join(name).display().to_string();
        for name in [&absolute("base.raw"), &absolute("sub/../base.raw"), "../bases/base.raw"] {
            assert_eq!(judge(name).unwrap().real, base.canonicalize().unwrap(), "{name}");
        }
        for name in [&absolute("link"), &absolute("../secret"), "../secret", "../bases/link"] {
            assert_eq!(judge(name).unwrap_err().kind(), ErrorKind::Refused, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_of_input_naming_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.qcow2");
        let error =
            Policy::default().judge(&image, "backing file", "gone.raw".as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("backing file 'gone.raw'"), "{error}");
    }
}
