//! qemu-img and qemu-io as a second opinion.
//!
//! A test that needs them fails without them: what was not looked at has not passed.

use std::io::Read;
use std::path::Path;

use crate::child::{Bounded, command};
use diskferry_codec::digest::{Algorithm, Digest};
use serde_json::Value;
use tempfile::TempDir;

/// A folder that goes away with its test.
///
/// # Panics
/// When there is no room for one.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("diskferry-test-").tempdir().expect("a temporary folder")
}

/// Runs qemu-img and returns what it prints.
///
/// # Panics
/// When it is missing, or fails.
pub fn img<S: AsRef<str>>(args: &[S]) -> String {
    let outcome = try_img(args);
    outcome.unwrap_or_else(|said| panic!("qemu-img {}: {said}", join(args)))
}

/// Runs qemu-img and returns what it prints; when it fails, its complaint.
///
/// # Errors
/// What it printed to stderr.
///
/// # Panics
/// When it is missing.
pub fn try_img<S: AsRef<str>>(args: &[S]) -> Result<String, String> {
    run("qemu-img", args).map_err(|failed| failed.said)
}

/// Runs qemu-io's commands on an image and returns what it prints.
///
/// # Panics
/// When it is missing, or when it or a command fails.
pub fn io(path: &Path, format: &str, commands: &[&str]) -> String {
    let mut args = vec!["-f".to_owned(), format.to_owned()];
    for command in commands {
        args.extend(["-c".to_owned(), (*command).to_owned()]);
    }
    args.push(text(path).to_owned());
    let said = run("qemu-io", &args)
        .unwrap_or_else(|failed| panic!("qemu-io {}: {}", join(&args), failed.said));
    // It exits with 0 when a pattern is not what `read -P` expects.
    assert!(!said.contains("verification failed"), "qemu-io {}: {said}", join(&args));
    said
}

/// The virtual disk's bytes, as qemu-img reads them.
///
/// # Panics
/// When qemu-img is missing, or cannot read the image.
pub fn to_raw(path: &Path, format: &str) -> Vec<u8> {
    let (_dir, raw) = converted(path, format);
    std::fs::read(&raw).unwrap_or_else(|error| panic!("{}: {error}", raw.display()))
}

/// The SHA-256 of the virtual disk, as qemu-img reads it, in hexadecimal.
///
/// # Panics
/// As [`to_raw`].
pub fn sha256(path: &Path, format: &str) -> String {
    let (_dir, raw) = converted(path, format);
    let mut file =
        std::fs::File::open(&raw).unwrap_or_else(|error| panic!("{}: {error}", raw.display()));
    let mut digest = Digest::new(Algorithm::Sha256);
    let mut buf = vec![0; 1 << 20];
    loop {
        match file.read(&mut buf).expect("a file that was just written") {
            0 => return digest.finish(),
            count => digest.update(&buf[..count]),
        }
    }
}

fn converted(path: &Path, format: &str) -> (TempDir, std::path::PathBuf) {
    let dir = temp_dir();
    let raw = dir.path().join("disk.raw");
    img(&["convert", "-f", format, "-O", "raw", text(path), text(&raw)]);
    (dir, raw)
}

/// What `qemu-img check` finds.
#[derive(Clone, Debug)]
pub struct Check {
    /// No error, no leak.
    pub clean: bool,
    /// All it says.
    pub json: Value,
}

/// Checks an image.
///
/// # Panics
/// When qemu-img is missing, or cannot check the image at all.
pub fn check(path: &Path, format: &str) -> Check {
    try_check(path, format).unwrap_or_else(|said| panic!("qemu-img check {}: {said}", text(path)))
}

/// Checks an image that may not even open.
///
/// # Errors
/// Its complaint, when it cannot check the image at all.
///
/// # Panics
/// When qemu-img is missing.
pub fn try_check(path: &Path, format: &str) -> Result<Check, String> {
    let args = ["check", "-f", format, "--output=json", text(path)];
    // 2 and 3 mean that there are errors, or leaks.
    let (clean, said) = match run("qemu-img", &args) {
        Ok(said) => (true, said),
        Err(Failed { code: Some(2 | 3), printed, .. }) => (false, printed),
        Err(failed) => return Err(failed.said),
    };
    Ok(Check { clean, json: parse(&args, &said) })
}

/// One line of `qemu-img map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLine {
    /// First byte of the disk.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Which layer it is in, 0 for the image itself.
    pub depth: u64,
    /// Some layer has it.
    pub present: bool,
    /// It reads as zeros.
    pub zero: bool,
    /// It is stored.
    pub data: bool,
    /// It is stored compressed.
    pub compressed: bool,
    /// Where it is stored as it is.
    pub offset: Option<u64>,
}

/// The map of an image, with its chain.
///
/// # Panics
/// When qemu-img is missing, or cannot read the image.
pub fn map(path: &Path, format: &str) -> Vec<MapLine> {
    let args = ["map", "-f", format, "--output=json", text(path)];
    let json = parse(&args, &img(&args));
    let lines = json.as_array().unwrap_or_else(|| panic!("qemu-img {}: no list", join(&args)));
    lines
        .iter()
        .map(|line| {
            let number = |key: &str| line[key].as_u64();
            let flag = |key: &str| line[key].as_bool().unwrap_or_default();
            MapLine {
                start: number("start").unwrap_or_default(),
                length: number("length").unwrap_or_default(),
                depth: number("depth").unwrap_or_default(),
                present: flag("present"),
                zero: flag("zero"),
                data: flag("data"),
                compressed: flag("compressed"),
                offset: number("offset"),
            }
        })
        .collect()
}

/// What qemu-img tells of an image.
///
/// # Panics
/// When qemu-img is missing, or cannot read the image.
pub fn info(path: &Path, format: &str) -> Value {
    let args = ["info", "-f", format, "--output=json", text(path)];
    parse(&args, &img(&args))
}

/// Whether two images have the same content; sizes may differ by zeros.
///
/// # Panics
/// When qemu-img is missing, or cannot read one of them.
pub fn compare(a: &Path, a_format: &str, b: &Path, b_format: &str) -> bool {
    let args = ["compare", "-f", a_format, "-F", b_format, text(a), text(b)];
    match run("qemu-img", &args) {
        Ok(_) => true,
        Err(Failed { code: Some(1), .. }) => false,
        Err(failed) => panic!("qemu-img {}: {}", join(&args), failed.said),
    }
}

struct Failed {
    code: Option<i32>,
    printed: String,
    said: String,
}

fn run<S: AsRef<str>>(program: &str, args: &[S]) -> Result<String, Failed> {
    let output =
        command(program).args(args.iter().map(AsRef::as_ref)).run().unwrap_or_else(|error| {
            panic!("{program}: {error}; these tests need it (Debian: qemu-utils)")
        });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}: {stderr}{printed}", output.status);
    Err(Failed { code: output.status.code(), printed, said })
}

fn parse<S: AsRef<str>>(args: &[S], said: &str) -> Value {
    serde_json::from_str(said)
        .unwrap_or_else(|error| panic!("qemu-img {}: {error}: {said}", join(args)))
}

fn join<S: AsRef<str>>(args: &[S]) -> String {
    args.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
