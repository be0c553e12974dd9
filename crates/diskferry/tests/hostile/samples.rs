//! The images that are damaged: those of `testdata/`, unpacked, and some in wrappers.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use diskferry::{Convert, Job};
use diskferry_testkit::child::{Bounded, command};
use flate2::read::GzDecoder;
use tempfile::TempDir;

pub struct Samples {
    pub paths: Vec<PathBuf>,
    _folder: TempDir,
}

/// All of them, the largest first, so that no thread is left with one at the end.
pub fn all() -> Samples {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for part in ["", "hostile", "zvhd"] {
        unpack(&testdata().join(part), &folder.path().join(part), &mut paths);
    }
    let raw_only = |path: &PathBuf| path.extension().is_some_and(|it| it == "data");
    paths.retain(|path| !raw_only(path));
    wrap(folder.path(), &mut paths);
    paths.sort();
    paths.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    assert!(paths.len() > 200, "{} images", paths.len());
    Samples { paths, _folder: folder }
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// Copies a folder's files, those that are kept packed unpacked: images refer to others beside them.
fn unpack(from: &Path, to: &Path, paths: &mut Vec<PathBuf>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let image = ["qcow2", "vhd", "vdi", "vmdk", "zvhd", "zvhd2", "raw", "data", "gz"];
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if !path.is_file() || !image.contains(&extension) {
            continue;
        }
        let to = to.join(name.strip_suffix(".gz").unwrap_or(name));
        let mut bytes = fs::read(&path).unwrap();
        if extension == "gz" {
            bytes.clear();
            GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        }
        fs::write(&to, bytes).unwrap();
        paths.push(to);
    }
}

/// A small image in everything that images come in.
fn wrap(folder: &Path, paths: &mut Vec<PathBuf>) {
    let small = "no-extensions.qcow2";
    for (program, arguments, name) in [
        ("gzip", &["-kn", "-S", ".gz"][..], "no-extensions.qcow2.gz"),
        ("xz", &["-k"], "no-extensions.qcow2.xz"),
        ("bzip2", &["-k"], "no-extensions.qcow2.bz2"),
        ("zstd", &["-qk"], "no-extensions.qcow2.zst"),
        ("tar", &["-cf", "wrapped.tar"], "wrapped.tar"),
        ("tar", &["-czf", "wrapped.tar.gz"], "wrapped.tar.gz"),
    ] {
        let run = command(program).args(arguments).arg(small).current_dir(folder).run_aloud();
        assert!(run.unwrap().success(), "{program}");
        paths.push(folder.join(name));
    }
    let target = folder.join("wrapped.ova");
    let job = Job::new(1).unwrap();
    Convert::new(folder.join("odd.raw").as_path(), target.as_path()).run(&job).unwrap();
    paths.push(target);
}
