//! `check` beside `qemu-img check`, on every image of `testdata/` of a format that QEMU checks: good ones,
//! those of strangers, and damaged ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use diskferry::look::ProblemKind;
use diskferry::source::Backing;
use diskferry::{Control, DiskImage, ErrorKind, Job, Location, OpenOptions, Opened, Result};
use diskferry_testkit::qemu;
use flate2::read::GzDecoder;
use tempfile::TempDir;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Clean,
    /// Storage that nothing uses.
    Leaks,
    Corrupt,
    /// It is no image, or one that is not checked.
    Refused,
}

use Finding::{Clean, Corrupt, Leaks, Refused};

/// Images of which we say something else than QEMU, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("header-length-odd.qcow2", "the specification wants a multiple of 8"),
    ("parent-none.vdi", "a differencing disk without a parent would be read as another disk"),
    ("redundant-directory.vmdk", "the first directory is damaged; QEMU looks at the other only"),
    ("type-0.vdi", "no such type"),
    ("type-9.vdi", "no such type"),
    ("v2-zero-cluster.qcow2", "version 2 has no zero clusters: nothing can be read there"),
    ("zero-block.vdi", "a block that was given up is a leak, for nothing is lost by it"),
    ("zeroed-grain.vmdk", "a grain that was given up; QEMU does not look for leaks in VMDK"),
];

/// Whether the two go together. What QEMU does not open at all tells nothing: it opens backing files for a
/// check, and knows less of VMDK.
fn agree(name: &str, hostile: bool, theirs: Finding, ours: Finding) -> bool {
    match (theirs, ours) {
        (Refused, _) | (Clean, Clean) | (Corrupt, Corrupt | Refused) | (Leaks, Leaks) => true,
        // It looks only for grains past the end.
        (Clean, _) if hostile && name.ends_with(".vmdk") => true,
        _ => OTHERWISE.iter().any(|(known, _)| *known == name),
    }
}

#[test]
fn check_agrees_with_qemu() {
    let (_folder, images) = images();
    let (mut wrong, mut met) = (Vec::new(), [0; 4]);
    for path in images {
        let format = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        // QEMU opens files that name themselves until it has no memory left.
        let endless = ["-loop-", "-self."].iter().any(|part| path.to_string_lossy().contains(part));
        if endless || !["qcow2", "vdi", "vmdk"].contains(&format) {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let (theirs, said) = qemus(&path, format);
        let (ours, problems) = ours(&path);
        met[theirs as usize] += 1;
        let hostile = path.parent().is_some_and(|folder| folder.ends_with("hostile"));
        if !agree(name, hostile, theirs, ours) {
            wrong.push(format!("{name}: QEMU {theirs:?} ({said}), we {ours:?} {problems:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(met.iter().all(|count| *count > 0), "{met:?}");
}

#[test]
fn check_tells_what_opening_warned_of() {
    let (_folder, images) = images();
    let mut met = Vec::new();
    for path in images {
        let Ok(image) = open(&path) else { continue };
        let mut told = Vec::new();
        let checked = image.check(&Job::new(1).unwrap(), &mut |problem| told.push(problem.text));
        if checked.is_err() {
            continue;
        }
        for warning in image.warnings() {
            let text = &warning.text;
            assert_eq!(warning.file.as_deref(), Some(image.name()));
            let name = path.file_name().unwrap().to_str().unwrap();
            let times = told.iter().filter(|told| *told == text).count();
            assert_eq!(times, 1, "{name}: {text}: {told:?}");
            met.push(image.format().name());
        }
    }
    for format in ["qcow2", "vhd", "vmdk", "raw"] {
        assert!(met.contains(&format), "{format}: {met:?}");
    }
}

#[test]
fn a_check_tells_how_far_it_is_and_ends_when_it_is_asked_to() {
    let (folder, _) = images();
    for name in [
        "real-disk.qcow2",
        "snapshots.qcow2",
        "dynamic.vdi",
        "dynamic.vhd",
        "differencing.vhd",
        "sparse.vmdk",
        "stream.vmdk",
        "split-flat.vmdk",
    ] {
        let image = open(&folder.path().join(name)).unwrap();
        let job = Job::new(1).unwrap();
        image.check(&job, &mut |_| {}).unwrap();
        let (passed, total) = (job.control.progress.passed(), job.control.progress.total());
        assert_eq!(passed, total, "{name}");
        assert!(total > 0 || name == "differencing.vhd", "{name}");
        job.control.cancel.cancel();
        let error = image.check(&job, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}");
    }
}

/// A change to eight bytes of a qcow2 image.
#[derive(Clone, Copy)]
enum Change {
    /// These bits are flipped.
    Flip(u64),
    Set(u64),
}

use Change::{Flip, Set};

/// How the disk of a changed image reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Same,
    Damaged,
}

use Reading::{Damaged, Same};

#[test]
fn one_field_changed_is_what_qemu_takes_it_for() {
    const COPIED: u64 = 1 << 63;
    let bit = |bit: u32| Flip(1 << bit);
    type Place = fn(&Tables<'_>) -> u64;
    type Case = (&'static str, Place, Change, Finding, Reading);
    // An L1 entry, an L2 entry that is used, and one that is not.
    let l1: Place = |it| it.l1;
    let l2: Place = |it| it.l2;
    let unused: Place = |it| it.l2 + 8 * 15;
    let table: Place = |it| it.word(48);
    let bitmap: Place = |it| it.bitmap;
    let plain: &[Case] = &[
        ("nothing", l1, Flip(0), Clean, Same),
        ("bit 56 of L1", l1, bit(56), Corrupt, Damaged),
        ("bit 62 of L1", l1, bit(62), Corrupt, Damaged),
        ("bit 0 of L1", l1, bit(0), Corrupt, Damaged),
        ("COPIED, and no table", l1, Set(COPIED), Corrupt, Damaged),
        ("bit 57 of L2", l2, bit(57), Corrupt, Damaged),
        ("bit 4 of L2", l2, bit(4), Corrupt, Damaged),
        ("bit 61 of nothing", unused, bit(61), Corrupt, Damaged),
        ("COPIED, and nothing", unused, Set(COPIED), Clean, Same),
        ("bit 0 of the refcount table", table, bit(0), Corrupt, Same),
        ("bit 8 of the refcount table", table, bit(8), Corrupt, Same),
        ("a place for no snapshots", |_| 64, Set(513), Corrupt, Same),
    ];
    let bitmaps: &[Case] = &[
        ("bit 1 of a bitmap table", |it| it.word(it.bitmap), bit(1), Corrupt, Same),
        ("bit 56 of a bitmap table", |it| it.word(it.bitmap), bit(56), Corrupt, Same),
        ("all bits are set", |it| it.word(it.bitmap), Set(1), Clean, Same),
        ("a bitmap's flags", |it| it.bitmap + 8, bit(3), Corrupt, Same),
        ("a bitmap's type", |it| it.bitmap + 16, bit(57), Corrupt, Same),
        ("a bitmap's granularity", |it| it.bitmap + 16, bit(53), Corrupt, Same),
        ("a bitmap's table", bitmap, bit(9), Corrupt, Same),
        ("a bitmap of more clusters", |it| it.bitmap + 8, bit(33), Corrupt, Same),
        ("the bitmaps' reserved field", |it| it.extension + 8, bit(0), Corrupt, Same),
    ];
    let snapshots: &[Case] = &[
        ("bit 56 of a snapshot's L1", |it| it.word(it.word(64)), bit(56), Corrupt, Same),
        ("a snapshot's extra data", |it| it.word(64) + 32, Set(0), Corrupt, Same),
    ];
    let compressed: &[Case] = &[
        ("COPIED, compressed", l2, bit(63), Corrupt, Same),
        ("compressed", l1, Flip(0), Clean, Same),
    ];
    let extended: &[Case] = &[
        ("bit 57 of an extended L2 entry", l2, bit(57), Corrupt, Damaged),
        ("two things at once", |it| it.l2 + 8, bit(32), Corrupt, Damaged),
    ];
    let packed_extended: &[Case] =
        &[("parts of a compressed cluster", |it| it.l2 + 8, bit(32), Corrupt, Damaged)];
    let data_file: &[Case] = &[
        ("a lost flag in an external data file", |it| it.l2 + 8, bit(63), Corrupt, Same),
        ("an unaligned cluster in one", |it| it.l2 + 8, bit(9), Corrupt, Damaged),
    ];
    // Its name, how it is made, what qemu-img does to it then, and what is changed.
    type Steps<'a> = &'a [&'a [&'a str]];
    let images: &[(&str, &str, Steps<'_>, &[Case])] = &[
        ("plain", "", &[], plain),
        ("bitmaps", "", &[&["bitmap", "--add", "-g", "512", "IMAGE", "b0"]], bitmaps),
        ("snapshots", "", &[&["snapshot", "-c", "one", "IMAGE"]], snapshots),
        ("compressed", "-c", &[], compressed),
        ("extended", "extended_l2=on", &[], extended),
        ("packed extended", "-c,extended_l2=on", &[], packed_extended),
        ("data file", "data_file=image.data", &[], data_file),
    ];
    let folder = qemu::temp_dir();
    let mut wrong = Vec::new();
    for (name, options, steps, cases) in images {
        let path = make(folder.path(), options, steps);
        let good = fs::read(&path).unwrap();
        let disk = digest(&path).unwrap();
        for (what, place, change, finding, reading) in *cases {
            let tables = Tables::of(&good);
            let at = place(&tables);
            let value = match change {
                Flip(bits) => tables.word(at) ^ bits,
                Set(value) => *value,
            };
            let mut bytes = good.clone();
            bytes[at as usize..][..8].copy_from_slice(&value.to_be_bytes());
            fs::write(&path, bytes).unwrap();
            let (theirs, said) = qemus(&path, "qcow2");
            let (ours, problems) = ours(&path);
            let read = match digest(&path) {
                Ok(found) if found == disk => Same,
                Ok(_) => panic!("{name}, {what}: it reads as another disk"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{name}, {what}: {error}");
                    Damaged
                }
            };
            if (ours, read) != (*finding, *reading) || !agree(name, false, theirs, ours) {
                wrong.push(format!(
                    "{name}, {what}: {read:?}, QEMU {theirs:?} ({said}), we {ours:?} {problems:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A small image by qemu-img, with data at its start.
fn make(folder: &Path, options: &str, steps: &[&[&str]]) -> PathBuf {
    let (raw, path) = (folder.join("disk.raw"), folder.join("image.qcow2"));
    fs::write(&raw, [[7; 192 << 10].as_slice(), &[0; 832 << 10]].concat()).unwrap();
    let _ = fs::remove_file(&path);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut args: Vec<String> = ["convert", "-f", "raw", "-O", "qcow2"].map(str::to_owned).into();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            None => args.push(option.to_owned()),
            Some(("data_file", name)) => {
                // qemu-img finds it beside itself, and everybody else beside the image.
                let data = folder.join(name);
                fs::write(&data, b"").unwrap();
                args.extend(["-o".to_owned(), format!("data_file={}", text(&data))]);
            }
            Some(_) => args.extend(["-o".to_owned(), option.to_owned()]),
        }
    }
    args.extend([text(&raw), text(&path)]);
    qemu::img(&args);
    for step in steps {
        let own = text(&path);
        let step: Vec<&str> =
            step.iter().map(|word| if *word == "IMAGE" { own.as_str() } else { word }).collect();
        qemu::img(&step);
    }
    path
}

/// Where tables are in a qcow2 image.
struct Tables<'a> {
    bytes: &'a [u8],
    l1: u64,
    l2: u64,
    /// The first entry of the bitmap directory; 0 where there is none.
    bitmap: u64,
    /// The header extension that tells the directory.
    extension: u64,
}

impl<'a> Tables<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut tables = Self { bytes, l1: 0, l2: 0, bitmap: 0, extension: 0 };
        tables.l1 = tables.word(40);
        tables.l2 = tables.word(tables.l1) & 0x00ff_ffff_ffff_fe00;
        let kind = 0x2385_2875_u32.to_be_bytes();
        let header = &bytes[..4096];
        if let Some(at) = header.windows(4).position(|word| word == kind) {
            tables.extension = at as u64;
            tables.bitmap = tables.word(tables.extension + 24);
        }
        tables
    }

    fn word(&self, at: u64) -> u64 {
        u64::from_be_bytes(self.bytes[at as usize..][..8].try_into().unwrap())
    }
}

fn digest(path: &Path) -> Result<String> {
    // The data file has an absolute name: whoever makes images says where it is.
    let allow = vec![path.parent().unwrap().to_owned()];
    let policy = diskferry::place::Policy::allowing(allow);
    let options = OpenOptions::new().policy(policy);
    let image = options.open_image(&Location::from(path), &Control::default())?;
    let algorithms = [diskferry::convert::Algorithm::Sha256];
    let (_, digests) = Opened::from(image).digest(&algorithms, &Job::new(1)?)?;
    Ok(digests[0].1.clone())
}

/// The images of `testdata/`, in a folder of their own.
fn images() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    for part in ["", "hostile"] {
        unpack(&testdata.join(part), &folder.path().join(part));
    }
    let mut images: Vec<_> = ["", "hostile"]
        .iter()
        .flat_map(|part| fs::read_dir(folder.path().join(part)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    images.sort();
    (folder, images)
}

/// Copies a folder's files, those that are kept packed unpacked.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !path.is_file() {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if let Some(name) = name.strip_suffix(".gz") {
            let mut unpacked = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
            bytes = unpacked;
            fs::write(to.join(name), bytes).unwrap();
        } else {
            fs::write(to.join(name), bytes).unwrap();
        }
    }
}

fn qemus(path: &Path, format: &str) -> (Finding, String) {
    match qemu::try_check(path, format) {
        Ok(check) => {
            let count = |key: &str| check.json[key].as_u64().unwrap_or_default();
            let found = match (count("corruptions") + count("check-errors"), count("leaks")) {
                (0, 0) => Clean,
                (0, _) => Leaks,
                _ => Corrupt,
            };
            (found, check.json.to_string())
        }
        Err(said) => (Refused, said),
    }
}

fn open(path: &Path) -> Result<DiskImage> {
    let allow = vec![path.parent().unwrap().to_owned()];
    let policy = diskferry::place::Policy::allowing(allow);
    let options = OpenOptions::new().backing(Backing::Ignored).policy(policy);
    options.open_image(&Location::from(path), &Control::default())
}

fn ours(path: &Path) -> (Finding, Vec<String>) {
    let image = match open(path) {
        Ok(image) => image,
        Err(error) => return (Refused, vec![error.to_string()]),
    };
    let (mut found, mut texts) = (Clean, Vec::new());
    let checked = image.check(&Job::new(1).unwrap(), &mut |problem| {
        texts.push(format!("{}: {}", problem.kind.as_str(), problem.text));
        texts.truncate(3);
        found = match (found, problem.kind) {
            (_, ProblemKind::Corruption) => Corrupt,
            (Clean, ProblemKind::Leak) => Leaks,
            (found, _) => found,
        };
    });
    match checked {
        Ok(()) => (found, texts),
        Err(error) => (Refused, vec![error.to_string()]),
    }
}
