//! Images that a program of QEMU holds open, of which some are read and some are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use diskferry::place::Locks;
use diskferry::source::{Backing, Choice};
use diskferry::{
    Control, Convert, DiskImage, ErrorKind, Job, Location, Note, OpenOptions, Remedy, Result,
};
use diskferry_testkit::child::{Bounded, Running, command};
use diskferry_testkit::qemu;

/// qemu-io with an image open, waiting for commands; it ends when this goes.
struct Holder {
    _child: Running,
}

impl Holder {
    fn of(path: &Path, arguments: &[&str]) -> Self {
        let mut child = command("qemu-io")
            .args(arguments)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .start()
            .expect("these tests need qemu-io (Debian: qemu-utils)");
        // It asks for commands when it has the image, with its locks. Should it never, it is ended.
        let mut prompt = [0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut prompt).unwrap();
        assert_eq!(&prompt, b"qemu-io>", "{arguments:?} {}", path.display());
        Self { _child: child }
    }
}

/// A folder with `top.qcow2` over `base.qcow2`, and `data.qcow2`, whose clusters are in `clusters`.
fn folder() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let folder = qemu::temp_dir();
    let root = folder.path().to_owned();
    let at = move |name: &str| root.join(name);
    let text = |name: &str| at(name).display().to_string();
    qemu::img(&["create", "-q", "-f", "qcow2", &text("base.qcow2"), "1M"]);
    qemu::io(&at("base.qcow2"), "qcow2", &["write -P 7 0 64k"]);
    qemu::img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "qcow2",
        "-b",
        "base.qcow2",
        &text("top.qcow2"),
    ]);
    let data = format!("data_file={}", text("clusters"));
    qemu::img(&["create", "-q", "-f", "qcow2", "-o", &data, &text("data.qcow2"), "1M"]);
    (folder, at)
}

fn open(path: &Path, locks: Locks) -> Result<DiskImage> {
    let policy = diskferry::place::Policy::allowing([path.parent().unwrap().to_owned()]);
    OpenOptions::new()
        .locks(locks)
        .policy(policy)
        .open_image(&Location::from(path), &Control::default())
}

#[test]
fn what_somebody_writes_to_is_not_read_unless_asked_for() {
    let (_folder, at) = folder();
    for (held, image) in [
        ("top.qcow2", "top.qcow2"),
        ("base.qcow2", "top.qcow2"),
        ("clusters", "data.qcow2"),
        ("data.qcow2", "data.qcow2"),
    ] {
        let format = if held == "clusters" { "raw" } else { "qcow2" };
        let holder = Holder::of(&at(held), &["-f", format]);
        let error = open(&at(image), Locks::Respect).err().expect(held);
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert_eq!(error.remedy(), Some(&Remedy::IgnoreLocks));
        assert!(error.is_worth_retrying());
        for text in [held, "open for writing"] {
            assert!(error.to_string().contains(text), "{held}: no '{text}' in: {error}");
        }
        assert!(!error.to_string().contains('\n'), "{error}");
        let opened = open(&at(image), Locks::Ignore).unwrap();
        let warned = |note: &&Note| {
            let text = note.to_string();
            text.contains(held) && text.contains("may be torn")
        };
        assert_eq!(opened.warnings().iter().filter(warned).count(), 1, "{:?}", opened.warnings());
        drop(holder);
        assert!(open(&at(image), Locks::Respect).unwrap().warnings().is_empty(), "{held}");
    }
}

#[test]
fn what_others_read_is_read_too() {
    let (_folder, at) = folder();
    let _readers = [Holder::of(&at("top.qcow2"), &["-r"]), Holder::of(&at("top.qcow2"), &["-r"])];
    assert!(open(&at("top.qcow2"), Locks::Respect).unwrap().warnings().is_empty());
    // The overlay's writer only reads the base.
    drop(_readers);
    let _writer = Holder::of(&at("top.qcow2"), &[]);
    assert!(open(&at("base.qcow2"), Locks::Respect).unwrap().warnings().is_empty());
}

#[test]
fn nothing_of_ours_keeps_a_machine_from_its_image() {
    let (_folder, at) = folder();
    let opened = open(&at("top.qcow2"), Locks::Respect).unwrap();
    let _writer = Holder::of(&at("top.qcow2"), &[]);
    drop(opened);
    assert!(open(&at("top.qcow2"), Locks::Respect).is_err());
}

/// Also where the caller has the file open already, and where it is packed.
#[test]
fn however_it_comes_it_is_asked_for() {
    let (_folder, at) = folder();
    let packed = at("disk.raw.gz");
    fs::write(at("disk.raw"), vec![7; 1 << 20]).unwrap();
    let gzip = command("gzip").arg(at("disk.raw")).run_aloud().unwrap();
    assert!(gzip.success());
    let _writers = [Holder::of(&at("base.qcow2"), &[]), Holder::of(&packed, &["-f", "raw"])];
    let file = File::open(at("base.qcow2")).unwrap();
    let error = OpenOptions::default().open_file("it", file, &Control::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let mut convert = Convert::new(packed.as_path(), at("out.raw").as_path());
    let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(!at("out.raw").exists());
    convert.open.locks = Locks::Ignore;
    let summary = convert.run(&Job::new(2).unwrap()).unwrap();
    assert!(summary.warnings.iter().any(|text| text.text.contains("may be torn")), "{summary:?}");
    // To look at an image whose base is in use is no harm: it is said.
    let lenient = OpenOptions::new().backing(Backing::Lenient);
    let top = lenient
        .open_image(&Location::from(at("top.qcow2").as_path()), &Control::default())
        .unwrap();
    assert!(top.warnings().iter().any(|text| text.text.contains("open for writing")));
}

#[test]
fn of_a_package_the_disk_that_is_meant_is_asked_for_and_of_pieces_each() {
    let (_folder, at) = folder();
    let descriptor = "<Envelope><File id='1' href='base.qcow2'/><File id='2' href='clusters'/>
        <File id='3' href='p' chunkSize='1'/>
        <Disk fileRef='1'/><Disk fileRef='2'/><Disk fileRef='3'/></Envelope>";
    fs::write(at("vm.ovf"), descriptor).unwrap();
    for name in ["p.001", "p.002", "p.000000000", "p.000000001"] {
        fs::write(at(name), [7; 512]).unwrap();
    }
    let one = |number, locks| OpenOptions::new().disk(Choice::Number(number)).locks(locks);
    for (held, image, number, free) in [
        ("base.qcow2", "vm.ovf", 1, Some(2)),
        ("p.000000001", "vm.ovf", 3, Some(1)),
        ("p.002", "p.001", 1, None),
    ] {
        let format = if held == "base.qcow2" { "qcow2" } else { "raw" };
        let _holder = Holder::of(&at(held), &["-f", format]);
        let image = Location::from(at(image).as_path());
        let error =
            one(number, Locks::Respect).open_image(&image, &Control::default()).err().expect(held);
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains(held), "{error}");
        let opened = one(number, Locks::Ignore).open_image(&image, &Control::default()).unwrap();
        assert!(opened.warnings().iter().any(|text| text.text.contains("may be torn")), "{held}");
        if let Some(free) = free {
            one(free, Locks::Respect).open_image(&image, &Control::default()).unwrap();
        }
    }
}
