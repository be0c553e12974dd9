//! Every format into every format: the content that the manifest knows, and the same bytes whatever
//! the source was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use diskferry::convert::{Algorithm, Identity, Uuid, Verify, VirtualSize};
use diskferry::format::Compress;
use diskferry::look::Difference;
use diskferry::{Control, Convert, DiskImage, Format, Job, Location, OpenOptions, Opened};
use diskferry_testkit::qemu;

/// A kind of image.
struct Kind {
    /// Also the folder that its files are in.
    name: &'static str,
    file: &'static str,
    options: &'static [(&'static str, &'static str)],
    compress: bool,
    /// What qemu-img calls the format, where it reads this kind.
    qemu: Option<&'static str>,
    /// What the image calls itself.
    subformat: &'static str,
    files: &'static [&'static str],
    /// What the size is rounded up to; the image knows the one that it had before.
    rounding: u64,
}

impl Kind {
    const fn new(name: &'static str, file: &'static str, subformat: &'static str) -> Self {
        Self {
            name,
            file,
            options: &[],
            compress: false,
            qemu: None,
            subformat,
            files: &[],
            rounding: 1,
        }
    }
}

const GIB: u64 = 1 << 30;

const SUBFORMAT: &str = "subformat";

const KINDS: &[Kind] = &[
    Kind { qemu: Some("raw"), ..Kind::new("raw", "disk.raw", "raw") },
    Kind { qemu: Some("qcow2"), ..Kind::new("qcow2", "disk.qcow2", "v3") },
    Kind { compress: true, qemu: Some("qcow2"), ..Kind::new("qcow2-zlib", "disk.qcow2", "v3") },
    Kind {
        compress: true,
        options: &[("compression_type", "zstd")],
        qemu: Some("qcow2"),
        ..Kind::new("qcow2-zstd", "disk.qcow2", "v3")
    },
    Kind {
        options: &[("compat", "0.10")],
        qemu: Some("qcow2"),
        ..Kind::new("qcow2-v2", "disk.qcow2", "v2")
    },
    Kind { qemu: Some("vpc"), ..Kind::new("vhd-dynamic", "disk.vhd", "dynamic") },
    Kind {
        options: &[(SUBFORMAT, "fixed")],
        qemu: Some("vpc"),
        ..Kind::new("vhd-fixed", "disk.vhd", "fixed")
    },
    Kind { qemu: Some("vdi"), ..Kind::new("vdi-dynamic", "disk.vdi", "dynamic") },
    Kind {
        options: &[(SUBFORMAT, "static")],
        qemu: Some("vdi"),
        ..Kind::new("vdi-static", "disk.vdi", "static")
    },
    Kind { qemu: Some("vmdk"), ..Kind::new("vmdk-stream", "disk.vmdk", "streamOptimized") },
    Kind {
        options: &[(SUBFORMAT, "monolithicSparse")],
        qemu: Some("vmdk"),
        ..Kind::new("vmdk-sparse", "disk.vmdk", "monolithicSparse")
    },
    Kind {
        options: &[(SUBFORMAT, "monolithicFlat")],
        qemu: Some("vmdk"),
        files: &["disk-flat.vmdk"],
        ..Kind::new("vmdk-flat", "disk.vmdk", "monolithicFlat")
    },
    Kind {
        options: &[(SUBFORMAT, "twoGbMaxExtentSparse")],
        qemu: Some("vmdk"),
        files: &["disk-s001.vmdk"],
        ..Kind::new("vmdk-split-sparse", "disk.vmdk", "twoGbMaxExtentSparse")
    },
    Kind {
        options: &[(SUBFORMAT, "twoGbMaxExtentFlat")],
        qemu: Some("vmdk"),
        files: &["disk-f001.vmdk"],
        ..Kind::new("vmdk-split-flat", "disk.vmdk", "twoGbMaxExtentFlat")
    },
    Kind { rounding: GIB, ..Kind::new("zvhd", "disk.zvhd", "zvhd") },
    Kind { rounding: GIB, ..Kind::new("zvhd2-zstd", "disk.zvhd2", "zvhd2") },
    Kind {
        options: &[("compression_type", "zlib")],
        rounding: GIB,
        ..Kind::new("zvhd2-zlib", "disk.zvhd2", "zvhd2")
    },
];

/// The real disk, and what others say of its content.
struct Real {
    path: PathBuf,
    size: u64,
    sha256: String,
}

fn real() -> Real {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let row = manifest.lines().find(|line| line.starts_with("real-disk.qcow2\t")).unwrap();
    let fields: Vec<&str> = row.split('\t').collect();
    Real {
        path: folder.join("real-disk.qcow2"),
        size: fields[3].parse().unwrap(),
        sha256: fields[4].to_owned(),
    }
}

fn job() -> Job {
    Job::new(2).unwrap()
}

/// Converts into a kind, and makes sure that the source had the real disk's content.
fn convert(
    source: &Path,
    from: Option<&Kind>,
    kind: &Kind,
    folder: &Path,
    real: &Real,
    verify: Verify,
) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let target = folder.join(kind.file);
    let mut convert = Convert::new(source, target.as_path());
    convert.options = kind.options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    convert.compress = kind.compress.then(Compress::default);
    convert.identity = Identity::default().uuid(Uuid::from_u128(42)).time(1_700_000_000);
    convert.digests = vec![Algorithm::Sha256];
    convert.verify = verify;
    convert.size = from.filter(|from| from.rounding > 1).map(|_| VirtualSize::Original);
    let what = format!("{} -> {}", source.display(), target.display());
    let summary = convert.run(&job()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(summary.digests[0].1, real.sha256, "{what}");
    let size = real.size.next_multiple_of(kind.rounding);
    assert_eq!(summary.target.virtual_size, Some(size), "{what}");
    assert_eq!(summary.target.subformat.as_deref(), Some(kind.subformat), "{what}");
    target
}

fn open(path: &Path) -> DiskImage {
    OpenOptions::default().open_image(&Location::from(path), &Control::default()).unwrap()
}

/// The file's own bytes, in short.
fn fingerprint(path: &Path) -> (u64, String) {
    let options = OpenOptions::new().format(Format::RAW);
    let image = options.open_image(&Location::from(path), &Control::default()).unwrap();
    let (size, digests) = Opened::from(image).digest(&[Algorithm::Sha1], &job()).unwrap();
    (size, digests[0].1.clone())
}

fn files(folder: &Path) -> Vec<(String, (u64, String))> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fingerprint(&entry.path())))
        .collect();
    files.sort();
    files
}

#[test]
fn every_format_converts_into_every_format() {
    let real = real();
    let scratch = qemu::temp_dir();
    let original = open(&real.path);
    let mut made = Vec::new();
    for kind in KINDS {
        let name = kind.name;
        let folder = scratch.path().join(name);
        let path = convert(&real.path, None, kind, &folder, &real, Verify::ReadBack);
        let image = open(&path);
        let size = real.size.next_multiple_of(kind.rounding);
        let rounded = (size > real.size).then_some(Difference::Size(size, real.size));
        assert_eq!(image.compare(&original, &job()).unwrap(), rounded, "{name}");
        image.check(&job(), &mut |problem| panic!("{name}: {}", problem.text)).unwrap();
        assert_eq!(image.layers()[0].is_assumed(), kind.name == "raw", "{name}");
        if let Some(format) = kind.qemu {
            assert_eq!(qemu::sha256(&path, format), real.sha256, "{name}, as qemu-img reads it");
            let size = qemu::info(&path, format)["virtual-size"].as_u64();
            assert_eq!(size, Some(real.size), "{name}, as qemu-img reads it");
        }
        let files = files(&folder);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let mut expected = [kind.files, &[kind.file]].concat();
        expected.sort_unstable();
        assert_eq!(names, expected, "{name}");
        made.push((kind, path, files));
    }
    for (from, source, _) in &made {
        for (kind, _, expected) in &made {
            let folder = scratch.path().join("again");
            convert(source, Some(from), kind, &folder, &real, Verify::Trust);
            assert!(files(&folder) == *expected, "{} -> {}: other bytes", from.name, kind.name);
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}
