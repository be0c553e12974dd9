//! The images of `testdata/`, against what its manifest says of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use diskferry::convert::{Algorithm, Replace, VirtualSize};
use diskferry::{Control, Convert, ErrorKind, Job, Location, OpenOptions, Opened, Result};
use diskferry_block_stream::{Budget, Piece, Stream};
use diskferry_vmdk::StreamOptimizedStream;
use flate2::read::GzDecoder;
use tempfile::TempDir;

/// A line of the manifest.
struct Row {
    file: String,
    format: String,
    virtual_size: Option<u64>,
    sha256: String,
    crc32: String,
    snapshot: Option<String>,
    expect: Vec<String>,
    /// Size and SHA-256 of the disk before its format rounded its size up, where it did.
    original: Option<(u64, String)>,
}

impl Row {
    fn is_packed(&self) -> bool {
        self.file.ends_with(".gz")
    }

    fn expects(&self, word: &str) -> bool {
        self.expect.iter().any(|expect| expect == word)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// The rows of all manifests. Those of a folder of its own name files in it.
fn manifest() -> Vec<Row> {
    let rows: Vec<Row> = ["", "zvhd/"].into_iter().flat_map(manifest_of).collect();
    assert!(rows.len() > 250, "{} rows", rows.len());
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
                format: fields[2].into(),
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

/// The folder again, with what is kept packed unpacked: images refer to others beside them.
fn unpacked() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for part in ["hostile", "zvhd"] {
        fs::create_dir(copy.path().join(part)).unwrap();
    }
    for row in manifest() {
        let (from, to) = (folder().join(&row.file), path_in(&copy, &row));
        if row.is_packed() {
            let mut bytes = Vec::new();
            GzDecoder::new(fs::File::open(from).unwrap()).read_to_end(&mut bytes).unwrap();
            fs::write(to, bytes).unwrap();
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    copy
}

/// Where the row's image is in the unpacked folder.
fn path_in(copy: &TempDir, row: &Row) -> PathBuf {
    let path = copy.path().join(&row.file);
    if row.is_packed() { path.with_extension("") } else { path }
}

/// Opens an image and reads all of it: its size and its digests.
fn read(path: &Path, row: &Row) -> Result<(u64, String, String)> {
    let options = OpenOptions::new().snapshot(row.snapshot.clone());
    let image = options.open_image(&Location::from(path), &Control::default())?;
    assert_eq!(image.format().name(), row.format, "{}", row.file);
    let size = image.disk().size();
    let job = Job::new(2)?;
    let (_, digests) = Opened::from(image).digest(&[Algorithm::Sha256, Algorithm::Crc32], &job)?;
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
        ErrorKind::Exists => "exists",
        ErrorKind::Refused => "refused",
        kind => panic!("a kind without a name: {kind:?}"),
    }
}

#[test]
fn every_image_reads_as_the_manifest_says() {
    let copy = unpacked();
    let mut wrong = Vec::new();
    for row in manifest() {
        let path = path_in(&copy, &row);
        let what = format!("{} {}", row.file, row.snapshot.as_deref().unwrap_or_default());
        match read(&path, &row) {
            Ok((size, sha256, crc32)) => {
                if !row.expects("ok") {
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
                if !row.expects(kind) {
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
    let copy = unpacked();
    let mut tried = 0;
    for row in manifest() {
        let Some((size, sha256)) = &row.original else { continue };
        let source = path_in(&copy, &row);
        let target = copy.path().join("target.raw");
        let mut convert = Convert::new(source.as_path(), target.as_path());
        convert.size = Some(VirtualSize::Original);
        convert.digests = vec![Algorithm::Sha256];
        convert.replace = Replace::Allowed;
        let summary = convert.run(&Job::new(2).unwrap());
        let summary = summary.unwrap_or_else(|error| panic!("{}: {error}", row.file));
        assert_eq!(summary.target.virtual_size, Some(*size), "{}", row.file);
        assert_eq!(&summary.digests[0].1, sha256, "{}", row.file);
        tried += 1;
    }
    assert!(tried > 20, "{tried} images");
}

#[test]
fn a_stream_optimized_vmdk_reads_the_same_from_a_pipe() {
    let copy = unpacked();
    let rows = manifest().into_iter().filter(|row| row.file.contains("stream"));
    let mut met = (0, 0);
    for row in rows {
        let path = path_in(&copy, &row);
        match (from_a_pipe(&path), row.expects("ok")) {
            (Ok(bytes), true) => {
                met.0 += 1;
                let image = OpenOptions::default()
                    .open_image(&Location::from(&*path), &Control::default())
                    .unwrap();
                let mut disk = vec![0; image.disk().size() as usize];
                image.disk().cursor().unwrap().read(0, &mut disk).unwrap();
                assert!(bytes == disk, "{}", row.file);
            }
            (Err(error), false) => {
                met.1 += 1;
                assert_eq!(error.kind(), ErrorKind::Damaged, "{}: {error}", row.file);
            }
            (Err(error), true) => panic!("{}: {error}", row.file),
            (Ok(_), false) => panic!("{} is read", row.file),
        }
    }
    assert_eq!(met, (2, 9), "images that are good and that are damaged");
}

/// Reads the file as a streamOptimized image that arrives through a pipe.
fn from_a_pipe(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).unwrap();
    let mut stream = StreamOptimizedStream::new(file, "pipe", &Budget::default())?;
    let (mut all, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        match stream.next(&mut buf)? {
            Piece::Data(count) => all.extend_from_slice(&buf[..count]),
            Piece::Zero(count) => all.resize(all.len() + count as usize, 0),
            Piece::End => return Ok(all),
        }
    }
}
