//! Which files an image may make us open.
//!
//! An image from a stranger may name any file as its backing file: `/etc/shadow`, a device, a pipe
//! that never ends. So names are judged before anything is opened. Without further leave they must
//! be plain names of regular files beside the image itself; the caller may allow folders.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use diskferry_block_stream::{Error, ErrorKind, Result};

use crate::file::Sort;

/// Which files an image may refer to.
///
/// By default only plain names beside the image itself: no absolute path, no `..`, no sub-folder,
/// no link that leads out of the folder, no device. What is refused is
/// [`ErrorKind::Unsupported`], and nothing was opened then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Judges the name of a file that an image at `image` refers to as its `role`
    /// ("backing file"). `image` is `None` where it came without a path, through stdin.
    pub(crate) fn judge(
        &self,
        image: Option<&Path>,
        role: &'static str,
        name: &OsStr,
    ) -> Result<Permitted> {
        let refuse = |refusal: Refusal| {
            let name = name.to_string_lossy().into_owned();
            Error::unsupported(Refused { role, name, refusal })
        };
        let Some(image) = image else { return Err(refuse(Refusal::NoFolder)) };
        never_a_file(name).map_or(Ok(()), |refusal| Err(refuse(refusal)))?;
        let not_plain = not_plain(name);
        if let Some(refusal) = &not_plain
            && self.allow.is_empty()
        {
            return Err(refuse(*refusal));
        }
        let folder = match image.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let path = image.parent().unwrap_or(Path::new("")).join(name);
        let real = folder.join(name).canonicalize().map_err(|error| missing(role, name, error))?;
        let within = |folder: &Path| {
            folder.canonicalize().is_ok_and(|real_folder| real.starts_with(real_folder))
        };
        let device = self.allow.iter().any(|folder| within(folder));
        if let Some(refusal) = not_plain.filter(|_| !device) {
            return Err(refuse(refusal));
        }
        if !device && !within(folder) {
            return Err(refuse(Refusal::LeadsOut));
        }
        // What cannot be looked at is an error when it is opened.
        match real.metadata().map(|metadata| Sort::of(&metadata)) {
            Ok(Sort::Block) if !device => Err(refuse(Refusal::Device)),
            Ok(Sort::Folder | Sort::Stream) => Err(refuse(Refusal::NoFile)),
            Ok(Sort::Regular | Sort::Block) | Err(_) => Ok(Permitted { path, real, device }),
        }
    }

    /// Judges the name of a file that an image in an archive refers to: it is one of the archive, or
    /// none. Nothing outside can be meant, whatever the caller allows.
    pub(crate) fn judge_in_archive<'a>(
        &self,
        role: &'static str,
        name: &'a OsStr,
    ) -> Result<&'a str> {
        let refuse = |refusal: Refusal| {
            let name = name.to_string_lossy().into_owned();
            Error::unsupported(Refused { role, name, refusal })
        };
        match never_a_file(name).or_else(|| not_plain(name).map(|_| Refusal::NotInArchive)) {
            Some(refusal) => Err(refuse(refusal)),
            None => name.to_str().ok_or_else(|| refuse(Refusal::NotInArchive)),
        }
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
    #[error("is an absolute path; --allow-path DIR lets an image refer to files under DIR")]
    Absolute,
    #[error("is not beside the image; --allow-path DIR lets an image refer to files under DIR")]
    Elsewhere,
    #[error("is a link out of the image's folder; --allow-path DIR lets it lead to DIR")]
    LeadsOut,
    #[error("is a device; --allow-path DIR lets an image refer to one under DIR")]
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
    } else {
        protocol()
    }
}

/// Why a name is no plain name of a file beside the image, where it is none.
fn not_plain(name: &OsStr) -> Option<Refusal> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => None,
        (Some(Component::RootDir), _) => Some(Refusal::Absolute),
        _ => Some(Refusal::Elsewhere),
    }
}

fn missing(role: &'static str, name: &OsStr, error: io::Error) -> Error {
    let name = name.display();
    Error::new(ErrorKind::Io, format!("{role} '{name}': {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

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
            ("/etc/passwd", Refusal::Absolute),
            ("//etc/passwd", Refusal::Absolute),
            ("..", Refusal::Elsewhere),
            (".", Refusal::Elsewhere),
            ("../base.raw", Refusal::Elsewhere),
            ("./base.raw", Refusal::Elsewhere),
            ("sub/base.raw", Refusal::Elsewhere),
            ("sub/../base.raw", Refusal::Elsewhere),
            ("base.raw/", Refusal::Elsewhere),
        ] {
            let judged = Policy::default().judge(Some(image), "backing file", name.as_ref());
            let error = judged.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name:?}");
            assert!(error.to_string().contains(&refusal.to_string()), "{name:?}: {error}");
        }
    }

    #[test]
    fn what_would_allow_a_name_is_said() {
        for name in ["/etc/passwd", "../base.raw"] {
            let error = Policy::default()
                .judge(Some(Path::new("a")), "data file", name.as_ref())
                .unwrap_err();
            assert!(error.to_string().contains("--allow-path DIR"), "{error}");
        }
    }

    #[test]
    fn a_plain_name_beside_the_image_is_permitted() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.raw");
        fs::write(&base, b"").unwrap();
        let image = folder.path().join("a.qcow2");
        let permitted =
            Policy::default().judge(Some(&image), "backing file", "base.raw".as_ref()).unwrap();
        assert_eq!(permitted.path, base);
        assert_eq!(permitted.real, base.canonicalize().unwrap());
        assert!(!permitted.device);
    }

    #[test]
    fn a_name_is_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"M\xfcnchen.raw");
        fs::write(folder.path().join(name), b"").unwrap();
        let image = folder.path().join("a.qcow2");
        let judge = |name: &[u8]| {
            let name = OsStr::from_bytes(name);
            Policy::default().judge(Some(&image), "backing file", name)
        };
        let permitted = judge(b"M\xfcnchen.raw").unwrap();
        assert_eq!(permitted.path, folder.path().join(name));
        for name in
            [&b"../M\xfcnchen.raw"[..], b"/M\xfcnchen.raw", b"\xfc:M", b"\xfc\0", b"json:\xfc"]
        {
            assert_eq!(judge(name).unwrap_err().kind(), ErrorKind::Unsupported, "{name:?}");
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
            |policy: &Policy, name: &str| policy.judge(Some(&image), "backing file", name.as_ref());
        assert!(judge(&Policy::default(), "inside").is_ok());
        let error = judge(&Policy::default(), "outside").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
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
                let error = policy.judge(Some(&image), "backing file", name.as_ref()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
                assert!(error.to_string().contains("neither a file nor"), "{name}: {error}");
            }
        }
        let devices = allowing(&[Path::new("/dev")]);
        let error = devices.judge(Some(&image), "backing file", "/dev/null".as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
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
        let judge = |name: &str| policy.judge(Some(&image), "backing file", name.as_ref());
        let absolute = |name: &str| bases.join(name).display().to_string();
        for name in [&absolute("base.raw"), &absolute("sub/../base.raw"), "../bases/base.raw"] {
            assert_eq!(judge(name).unwrap().real, base.canonicalize().unwrap(), "{name}");
        }
        for name in [&absolute("link"), &absolute("../secret"), "../secret", "../bases/link"] {
            assert_eq!(judge(name).unwrap_err().kind(), ErrorKind::Unsupported, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_of_input_naming_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.qcow2");
        let error =
            Policy::default().judge(Some(&image), "backing file", "gone.raw".as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("backing file 'gone.raw'"), "{error}");
    }
}
