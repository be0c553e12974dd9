//! The images of `testdata/`, against what its manifest says of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use diskferry::{
    Algorithm, Convert, ErrorKind, Input, Job, Location, OpenOptions, Replace, Result, VirtualSize,
};
use flate2::read::GzDecoder;

/// A line of the manifest.
struct Row {
    file: String,
    virtual_size: Option<u64>,
    sha256: String,
    crc32: String,
    snapshot: Option<String>,
    expect: Vec<String>,
    /// Size and SHA-256 of the disk before its format rounded its size up, where it did.
    original: Option<(u64, String)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// The rows of all manifests. Those of a folder of its own name files in it.
fn manifest() -> Vec<Row> {
    let rows: Vec<Row> = ["", "zvhd/"].into_iter().flat_map(manifest_of).collect();
    assert!(rows.len() > 110, "{} rows", rows.len());
    rows
}

fn manifest_of(part: &str) -> Vec<Row> {
    let text = fs::read_to_string(folder().join(part).join("MANIFEST.tsv")).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let original = fields.get(9).zip(fields.get(10));
            Row {
                file: format!("{part}{}", fields[0]),
                virtual_size: fields[3].parse().ok(),
                sha256: fields[4].into(),
                crc32: fields[5].into(),
                snapshot: Some(fields[6].to_owned()).filter(|name| name != "-"),
                expect: fields[7].split('/').map(str::to_owned).collect(),
                original: original.map(|(size, sha256)| (size.parse().unwrap(), (*sha256).into())),
            }
        })
        .collect()
}

/// Where the row's image is, unpacked if it is kept packed. Images that refer to others stay where
/// these are.
fn image(row: &Row, scratch: &Path) -> PathBuf {
    let path = folder().join(&row.file);
    if path.extension().is_none_or(|extension| extension != "gz") {
        return path;
    }
    let unpacked = scratch.join(path.file_stem().unwrap());
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    fs::write(&unpacked, bytes).unwrap();
    unpacked
}

/// Opens an image and reads all of it: its size and its digests.
fn read(path: &Path, snapshot: Option<&String>) -> Result<(u64, String, String)> {
    let options = OpenOptions { snapshot: snapshot.cloned(), ..Default::default() };
    let Input::Image(image) = options.open(&Location::from(path))? else { panic!("no pipe") };
    let size = image.disk().size();
    let job = Job::new(2)?;
    let (_, digests) = Input::Image(image).digest(&[Algorithm::Sha256, Algorithm::Crc32], &job)?;
    Ok((size, digests[0].1.clone(), digests[1].1.clone()))
}

fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Damaged => "damaged",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Limit => "limit",
        ErrorKind::Io => "io",
        ErrorKind::Misuse => "misuse",
        ErrorKind::Cancelled => "cancelled",
    }
}

#[test]
fn every_image_reads_as_the_manifest_says() {
    let scratch = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for row in manifest() {
        let path = image(&row, scratch.path());
        let what = format!("{} {}", row.file, row.snapshot.as_deref().unwrap_or_default());
        match read(&path, row.snapshot.as_ref()) {
            Ok((size, sha256, crc32)) => {
                if !row.expect.iter().any(|expect| expect == "ok") {
                    wrong.push(format!("{what}: read, not {}", row.expect.join("/")));
                } else if Some(size) != row.virtual_size
                    || sha256 != row.sha256
                    || crc32 != row.crc32
                {
                    wrong.push(format!("{what}: {size} bytes with other content"));
                }
            }
            Err(error) => {
                let kind = name_of(error.kind());
                // A name that the policy forbids is unsupported, and the message says why.
                let said = error.to_string();
                let refused = error.kind() == ErrorKind::Unsupported
                    && ["--allow-path", "never followed", "NUL"]
                        .iter()
                        .any(|why| said.contains(why));
                let right = |expect: &String| expect == kind || (expect == "refused" && refused);
                if !row.expect.iter().any(right) {
                    wrong.push(format!("{what}: {kind}, not {}: {error}", row.expect.join("/")));
                }
                assert!(!error.to_string().contains('\n'), "{what}: {error}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn images_give_back_their_original_size() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for row in manifest() {
        let Some((size, sha256)) = &row.original else { continue };
        let source = image(&row, scratch.path());
        let target = scratch.path().join("target.raw");
        let mut convert = Convert::new(source.as_path(), target.as_path());
        convert.size = Some(VirtualSize::Original);
        convert.digests = vec![Algorithm::Sha256];
        convert.replace = Replace::Allowed;
        let summary = convert.run(&Job::new(2).unwrap());
        let summary = summary.unwrap_or_else(|error| panic!("{}: {error}", row.file));
        assert_eq!(summary.target.virtual_size, *size, "{}", row.file);
        assert_eq!(&summary.digests[0].1, sha256, "{}", row.file);
        tried += 1;
    }
    assert!(tried > 20, "{tried} images");
}
