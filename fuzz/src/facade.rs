//! What is done with an input for the whole of it: a file is probed, unwrapped, opened, judged and converted.

use std::fs;
use std::io::{PipeReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use diskferry::block_stream::Piece;
use diskferry::convert::{BackupGpt, Identity, SectorSize, Shrink, Uuid, Verify, VirtualSize};
use diskferry::format::Compress;
use diskferry::import::{Preflight, import_targets};
use diskferry::source::{Backing, Body, Choice, Limits};
use diskferry::{
    Control, Convert, DiskImage, Error, ErrorKind, Format, Job, Location, OpenOptions, Opened,
    Result, formats,
};
use diskferry_testkit::fuzz::Choices;
use packages::package;

#[allow(dead_code, reason = "of it, the disks")]
#[path = "inspect.rs"]
mod inspect;
#[path = "packages.rs"]
mod packages;

/// The input says how a file is opened, and is one, or says of what it is put together. In memory and through a pipe
/// it is the same disk, or refused.
pub fn open(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut wanted = Wanted::choose(&mut choices);
    let target = choices.byte();
    let file = file(choices);
    wanted.most = 2 << 30;
    match wanted.options().open_bytes(Arc::new(file.clone()), None, &Control::default()) {
        Err(error) => {
            honest(&error);
            // What is no file of ours comes through no pipe.
            if let Ok(disk) = through_a_pipe(&file, &wanted) {
                let only_there =
                    matches!(error.kind(), ErrorKind::Limit) || is_vmdk(&file, &wanted);
                let length = disk.length;
                assert!(only_there, "{length} bytes through a pipe, and in a file: {error}");
            }
        }
        Ok(image) => {
            let content = look(&image);
            if let Ok(disk) = through_a_pipe(&file, &wanted) {
                assert_eq!(disk.length, image.disk().size(), "the pipe's size is not the file's");
                if let Some(content) = content {
                    assert!(disk.first == content, "the pipe's bytes are not the file's");
                }
            }
            if target >= 0x80 {
                preflight(&image, target);
            }
        }
    }
}

/// The input says how a file is converted, and is one, or says of what it is put together. The target has its disk, or there
/// is none.
pub fn convert(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut wanted = Wanted::choose(&mut choices);
    wanted.lenient = false;
    let (format, options) = choices.pick(&WAYS);
    let (level, more) = (choices.byte(), choices.byte());
    let file = file(choices);
    let folder = tempfile::tempdir().expect("a folder");
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::write(&source, &file).expect("room for a small file");
    let mut convert = Convert::new(source.as_path(), target.as_path());
    convert.open = wanted.options();
    convert.to = Some(format);
    convert.options = owned(options);
    convert.compress = (level >= 0xc0).then_some(Compress::at(None));
    convert.verify = if level & 1 == 0 { Verify::Trust } else { Verify::ReadBack };
    convert.identity = Identity::default().uuid(Uuid::from_u128(1)).time(1_700_000_000);
    // What is asked for besides: another size, a GPT that moves with it, readiness for an import.
    convert.size = match more & 7 {
        bytes @ 1..5 => Some(VirtualSize::Bytes(u64::from(bytes) * 1_000_000)),
        5 => Some(VirtualSize::Original),
        _ => None,
    };
    convert.gpt_sectors = match more & 7 {
        6 => Some(SectorSize::B512),
        7 => Some(SectorSize::B4096),
        _ => None,
    };
    convert.shrink = if more & 8 > 0 { Shrink::DropZeros } else { Shrink::Refuse };
    convert.backup_gpt = if more & 16 > 0 { BackupGpt::Moved } else { BackupGpt::Kept };
    let targets = import_targets();
    let import =
        usize::from(more >> 5).checked_sub(4).map(|_| targets[usize::from(level) % targets.len()]);
    // Google's files are of whole GiB.
    convert.import =
        import.filter(|target| target.makes().is_none_or(|(makes, ..)| makes != Format::GCP));
    if convert.import.is_some() {
        (convert.to, convert.options) = (None, Vec::new());
    }
    let converted = convert.run(&JOB);
    assert!(fs::read(&source).expect("the source") == file, "the source is another");
    let names = || -> Vec<_> {
        let entries = fs::read_dir(folder.path()).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    let leaves = |error: &Error, expected: usize| {
        honest(error);
        assert_eq!(names().len(), expected, "left behind after {error}: {:?}", names());
    };
    let open = |path: &Path, options: OpenOptions| {
        let path = Location::from(path.to_owned());
        options.open_image(&path, &Control::default()).expect("what was converted can be opened")
    };
    match converted {
        Err(error) => {
            leaves(&error, 1);
            if wanted.piped
                && let Some(pipe) = pipe(&file)
            {
                convert.source = Location::from(pipe.path());
                match convert.run(&JOB) {
                    Err(error) => leaves(&error, 1),
                    Ok(_) => assert!(
                        matches!(error.kind(), ErrorKind::Limit) || is_vmdk(&file, &wanted),
                        "a pipe is converted, and a file: {error}"
                    ),
                }
            }
        }
        Ok(summary) => {
            let before = open(&source, wanted.options());
            let made = Format::from_name(summary.target.format);
            let after = open(&target, OpenOptions::new().format(made));
            let (old, new) = (before.disk().size(), after.disk().size());
            assert_eq!(summary.target.virtual_size, Some(new), "the size in the summary");
            assert!(new >= old || convert.size.is_some(), "{new} bytes of {old}");
            // What is added, and what is dropped, is zeros; a table that moves is changed.
            if convert.backup_gpt == BackupGpt::Kept && convert.gpt_sectors.is_none() {
                let least = old.min(new);
                assert!(first(&after, least) == first(&before, least), "{format}: other bytes");
            }
            if wanted.piped
                && let Some(pipe) = pipe(&file)
            {
                let (again, there) = (folder.path().join("again"), names().len());
                (convert.source, convert.target) =
                    (Location::from(pipe.path()), Location::from(again.clone()));
                match convert.run(&JOB) {
                    Err(error) => leaves(&error, there),
                    Ok(_) => {
                        let piped = open(&again, OpenOptions::new().format(made));
                        assert_eq!(piped.disk().size(), new, "the size through a pipe");
                        // Some import targets want whole GiB.
                        let some = new.min(UNPACKED);
                        assert!(first(&piped, some) == first(&after, some), "{format}: a pipe's");
                    }
                }
            }
        }
    }
}

/// Starting threads would take longer than all the rest.
static JOB: LazyLock<Job> = LazyLock::new(|| Job::new(2).expect("a thread pool"));

type Options = &'static [(&'static str, &'static str)];

/// Targets that a small disk makes a small file of.
const WAYS: [(Format, Options); 20] = [
    (Format::RAW, &[]),
    (Format::QCOW2, &[]),
    (Format::QCOW2, &[("compat", "0.10")]),
    (Format::QCOW2, &[("cluster_size", "512"), ("compression_type", "zstd")]),
    (Format::QCOW2, &[("extended_l2", "on")]),
    (Format::QCOW2, &[("preallocation", "metadata")]),
    (Format::VHD, &[]),
    (Format::VHD, &[("subformat", "fixed")]),
    (Format::VHD, &[("block_size", "512K")]),
    (Format::VDI, &[]),
    (Format::VDI, &[("subformat", "static")]),
    (Format::VMDK, &[]),
    (Format::VMDK, &[("subformat", "monolithicSparse")]),
    (Format::VMDK, &[("subformat", "monolithicFlat")]),
    (Format::VMDK, &[("subformat", "twoGbMaxExtentSparse")]),
    (Format::VMDK, &[("subformat", "twoGbMaxExtentFlat")]),
    (Format::ZVHD, &[]),
    (Format::ZVHD2, &[]),
    (Format::ZVHD2, &[("compression_type", "zlib")]),
    (Format::OVA, &[]),
];

/// How a file is opened.
struct Wanted {
    format: Option<Format>,
    disk: Choice,
    lenient: bool,
    /// Whether it is converted out of a pipe, too.
    piped: bool,
    /// Whether what cannot be read in order may be unpacked to a file.
    scratch: bool,
    /// The largest disk.
    most: u64,
}

impl Wanted {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let how = choices.byte();
        let format = usize::from(choices.byte());
        let disk = match how & 7 {
            5 => Choice::First,
            number @ (6 | 7) => Choice::Number(u32::from(number) - 5),
            _ => Choice::Only,
        };
        Self {
            // Most files tell it themselves.
            format: format.checked_sub(0xe0).map(|index| formats()[index % formats().len()]),
            disk,
            lenient: how & 8 > 0,
            piped: how & 16 > 0,
            scratch: how & 32 > 0,
            most: 4 << 20,
        }
    }

    fn options(&self) -> OpenOptions {
        let limits = Limits::default().with_metadata(8 << 20).with_window(16 << 20);
        let limits = limits.with_virtual_size(self.most).with_unpacked(UNPACKED).with_members(200);
        OpenOptions::new()
            .format(self.format)
            .disk(self.disk)
            .backing(if self.lenient { Backing::Lenient } else { Backing::Required })
            .limits(limits)
            .scratch(self.scratch.then(std::env::temp_dir))
    }
}

/// Bytes that are unpacked: more is not worth the time.
const UNPACKED: u64 = 8 << 20;

/// What follows the first decisions: a file, or those of what it is put together.
fn file(mut choices: Choices<'_>) -> Vec<u8> {
    if choices.byte() & 1 == 0 {
        return choices.rest().to_vec();
    }
    package(&mut choices, &DISKS)
}

/// Small images of every format.
static DISKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let text: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
    let disk = [text, vec![0; 28 << 10], vec![7; 5000], vec![0; 512]].concat();
    fs::write(&source, &disk).expect("room for a small file");
    // What has several files is none of a wrapper's.
    let ways = WAYS
        .iter()
        .filter(|(_, options)| !options.iter().any(|(_, value)| value.ends_with("Flat")));
    let mut images: Vec<Vec<u8>> = ways
        .filter(|(_, options)| *options != [("subformat", "twoGbMaxExtentSparse")])
        .map(|(format, options)| {
            let mut convert = Convert::new(source.as_path(), target.as_path());
            convert.to = Some(*format);
            convert.options = owned(options);
            convert.identity = Identity::default().uuid(Uuid::from_u128(1)).time(1_700_000_000);
            convert.run(&JOB).expect("a good disk");
            let image = fs::read(&target).expect("what was written");
            fs::remove_file(&target).expect("what was written");
            image
        })
        .collect();
    images.extend([Vec::new(), b"text".to_vec()]);
    // One of them has a table that moves with the disk's end.
    images.extend(inspect::DISKS.iter().take(3).cloned());
    images
});

fn owned(options: Options) -> Vec<(String, String)> {
    options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Bytes of a disk that are compared.
const FIRST: u64 = 1 << 20;

/// Looks at an image in every way that there is; its first bytes, where they can be read.
fn look(image: &DiskImage) -> Option<Vec<u8>> {
    std::hint::black_box(format!("{:?}", image.info()));
    let (mut at, mut entries) = (0, 0);
    let mapped = image.map(&JOB.control.cancel, |entry| {
        assert_eq!(entry.start, at, "extents tile the disk");
        assert!(entry.length > 0, "an extent of nothing at {at:#x}");
        (at, entries) = (at + entry.length, entries + 1);
        if entries < 500 { Ok(()) } else { Err(Error::limit("enough").in_file("all")) }
    });
    match mapped {
        Ok(()) => assert_eq!(at, image.disk().size(), "extents tile the disk"),
        Err(error) => honest(&error),
    }
    if let Err(error) = image.check(&JOB, &mut |problem| assert!(!problem.text.is_empty())) {
        honest(&error);
    }
    let mut bytes = vec![0xa5; image.disk().size().min(FIRST) as usize];
    match image.disk().cursor().and_then(|mut cursor| cursor.read(0, &mut bytes)) {
        Ok(()) => Some(bytes),
        Err(error) => {
            honest(&error);
            None
        }
    }
}

fn first(image: &DiskImage, length: u64) -> Vec<u8> {
    let mut bytes = vec![0xa5; length as usize];
    let read = image.disk().cursor().and_then(|mut cursor| cursor.read(0, &mut bytes));
    read.expect("what was converted can be read");
    bytes
}

/// Judges the image by the rules of some import target.
fn preflight(image: &DiskImage, target: u8) {
    // All of it is read.
    if image.disk().size() > UNPACKED {
        return;
    }
    let targets = import_targets();
    let target = targets[usize::from(target) % targets.len()];
    let preflight =
        Preflight { target, as_name: None, waived: Vec::new(), limits: Limits::default() };
    match preflight.run(image, &JOB) {
        Ok(report) => assert_eq!(report.rules.len(), target.rules().len()),
        Err(error) => honest(&error),
    }
}

/// A disk out of a pipe.
struct Piped {
    length: u64,
    first: Vec<u8>,
}

fn through_a_pipe(file: &[u8], wanted: &Wanted) -> Result<Piped> {
    let too_long = || Error::limit("a file that does not fit into a pipe").in_file("pipe");
    let pipe = pipe(file).ok_or_else(too_long)?;
    let piped = drain(&wanted.options(), pipe.path());
    if let Err(error) = &piped {
        honest(error);
    }
    piped
}

/// A pipe with all of a file in it, where that is as much as one holds without anybody reading.
fn pipe(file: &[u8]) -> Option<Pipe> {
    if file.len() > 60_000 {
        return None;
    }
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(file).expect("room in a pipe");
    Some(Pipe(reader))
}

struct Pipe(PipeReader);

impl Pipe {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn drain(options: &OpenOptions, path: PathBuf) -> Result<Piped> {
    let mut stream = match options.open(&Location::from(path), &Control::default())? {
        Opened { body: Body::Forward(disk), .. } => disk.into_stream(),
        opened => {
            let image = opened.into_image()?;
            assert!(options.scratch.is_some(), "a pipe can be read anywhere");
            let first =
                look(&image).ok_or_else(|| Error::limit("a damaged disk").in_file("pipe"))?;
            return Ok(Piped { length: image.disk().size(), first });
        }
    };
    std::hint::black_box(stream.name());
    let (mut buf, mut piped, mut data) =
        (vec![0xa5; 70_000], Piped { length: 0, first: Vec::new() }, 0);
    loop {
        let room = (FIRST as usize).saturating_sub(piped.first.len());
        let length = match stream.next(&mut buf)? {
            Piece::End => break,
            Piece::Zero(length) => {
                piped.first.resize(piped.first.len() + room.min(length as usize), 0);
                length
            }
            Piece::Data(length) => {
                piped.first.extend_from_slice(&buf[..length.min(room)]);
                data += length as u64;
                length as u64
            }
        };
        assert!(length > 0, "a piece of nothing");
        piped.length += length;
        if data > 8 * UNPACKED {
            return Err(Error::limit("more data than is worth the time").in_file("pipe"));
        }
    }
    Ok(piped)
}

/// A table of a VMDK may be wrong where the grains' own markers, which a pipe has, are right.
fn is_vmdk(file: &[u8], wanted: &Wanted) -> bool {
    wanted.format == Some(Format::VMDK) || file.windows(4).any(|word| word == b"KDMV")
}

/// The error is one that a file may come to, in one line, and has a place.
fn honest(error: &Error) {
    let text = error.to_string();
    let fair = match error.kind() {
        ErrorKind::Damaged | ErrorKind::Limit | ErrorKind::Refused | ErrorKind::Unsupported => {
            error.place().file.is_some()
        }
        ErrorKind::Misuse => true,
        // A name leads to no file.
        ErrorKind::Io => [
            "No such file",
            "File name too long",
            "beside it has the id",
            "a folder, not",
            "not in the archive",
        ]
        .iter()
        .any(|why| text.contains(why)),
        _ => false,
    };
    assert!(fair, "{:?} at {:?}: {text}", error.kind(), error.place());
    assert!(text.len() < 20_000, "{} bytes of error: {text:.200}", text.len());
}
