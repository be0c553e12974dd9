//! What is made for an import target is what the target takes: by our own rules, and by OpenStack's
//! own inspector.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use diskferry::{
    BackupGpt, Convert, Difference, ErrorKind, Format, ImportTarget, Job, Location, OpenOptions,
    Preflight, Report, Verdict, Verify, VirtualSize, import_targets,
};
use diskferry_testkit::{machine, qemu};

const MIB: usize = 1 << 20;

fn real_disk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/real-disk.qcow2")
}

fn target(name: &str) -> ImportTarget {
    ImportTarget::from_name(name).unwrap()
}

fn converted(
    source: &Path,
    made: &Path,
    target: ImportTarget,
) -> diskferry::Result<diskferry::Summary> {
    let mut convert = Convert::new(source, made);
    convert.import = Some(target);
    convert.verify = Verify::ReadBack;
    convert.run(&Job::new(2).unwrap())
}

fn preflight(image: &Path, target: ImportTarget) -> Report {
    let image = OpenOptions::default().open_image(&Location::from(image)).unwrap();
    let preflight = Preflight { target, as_name: None, waived: Vec::new(), source: Vec::new() };
    preflight.run(&image, &Job::new(2).unwrap()).unwrap()
}

fn failed(report: &Report) -> Vec<&str> {
    let failed = report.rules.iter().filter(|ruling| ruling.verdict == Verdict::Fail);
    failed.map(|ruling| ruling.id).collect()
}

#[test]
fn what_is_made_for_a_target_is_ready_for_it() {
    let folder = qemu::temp_dir();
    let source = folder.path().join("machine");
    fs::write(&source, machine()).unwrap();
    let mut made_for = 0;
    for target in import_targets().iter().copied() {
        let Some((format, ..)) = target.makes() else { continue };
        let made = folder.path().join(format!("{target}.{}", format.extensions()[0]));
        let summary =
            converted(&source, &made, target).unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(summary.ready_for, Some(target.name()));
        let report = preflight(&made, target);
        assert!(report.ready, "{target}: {:?}", failed(&report));
        assert_eq!(report.convert, None, "{target}");

        let open = |path: &Path| OpenOptions::default().open_image(&Location::from(path)).unwrap();
        let different = open(&source).compare(&open(&made), &Job::new(2).unwrap()).unwrap();
        assert!(matches!(different, None | Some(Difference::Size(..))), "{target}: {different:?}");
        fs::remove_file(&made).unwrap();
        made_for += 1;
    }
    assert_eq!(made_for, 18);
}

#[test]
fn sizes_are_rounded_up_to_what_the_target_takes() {
    let folder = qemu::temp_dir();
    let source = folder.path().join("machine");
    fs::write(&source, machine()).unwrap();
    for (name, file, size) in [
        ("azure", "a.vhd", 25 * MIB as u64),
        ("vmware", "a.vmdk", 24 * MIB as u64 + 65536),
        ("aliyun", "a.qcow2", 24 * MIB as u64 + 512),
    ] {
        let made = folder.path().join(file);
        let summary = converted(&source, &made, target(name)).unwrap();
        assert_eq!(summary.target.virtual_size, size, "{name}");
    }
    let small = folder.path().join("small");
    fs::write(&small, &machine()[..MIB]).unwrap();
    let summary = converted(&small, &folder.path().join("b.vhd"), target("azure")).unwrap();
    assert_eq!(summary.target.virtual_size, 20 * MIB as u64);
}

#[test]
fn what_cannot_be_made_ready_is_refused_before_any_work() {
    let folder = qemu::temp_dir();
    let made = folder.path().join("disk.qcow2");
    // Its ext4 has the feature 64bit, and it has a GPT.
    for (name, rule) in [("aliyun", "ext4-64bit"), ("jdcloud", "partition-table")] {
        let error = converted(&real_disk(), &made, target(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains(&format!("{name} would refuse it: {rule}")), "{text}");
        assert!(text.contains("real-disk.qcow2"), "{text}");
        assert!(!made.exists());
        let report = preflight(&real_disk(), target(name));
        assert_eq!(failed(&report), [rule]);
        assert_eq!(report.convert, None);

        let mut convert = Convert::new(real_disk().as_path(), made.as_path());
        convert.import = Some(target(name));
        convert.waived = vec![rule.into()];
        convert.run(&Job::new(2).unwrap()).unwrap();
        fs::remove_file(&made).unwrap();
    }
    let mut convert = Convert::new(real_disk().as_path(), made.as_path());
    convert.import = Some(target("azure"));
    let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("its name says qcow2"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_not_ready_is_told_how_to_become_so() {
    let report = preflight(&real_disk(), target("azure"));
    assert_eq!(failed(&report), ["format"]);
    let line = report.convert.unwrap();
    assert!(line.starts_with("diskferry convert --for azure "), "{line}");
    assert!(line.ends_with("real-disk.vhd"), "{line}");
    assert_eq!(report.rules[0].fix.as_deref(), Some(line.as_str()));
}

/// The disk's GPT, as sgdisk judges it.
fn sgdisk(disk: &Path) -> String {
    let output = Command::new("sgdisk")
        .arg("-v")
        .arg(disk)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .output()
        .expect("these tests need sgdisk (Debian: gdisk)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_backup_of_a_gpt_moves_with_the_disks_end_where_that_is_asked_for() {
    let folder = qemu::temp_dir();
    let grown = folder.path().join("grown.raw");
    for (backup_gpt, warns) in [(BackupGpt::Kept, true), (BackupGpt::Moved, false)] {
        let mut convert = Convert::new(real_disk().as_path(), grown.as_path());
        convert.size = Some(VirtualSize::Bytes(80 << 20));
        convert.backup_gpt = backup_gpt;
        convert.verify = Verify::ReadBack;
        let summary = convert.run(&Job::new(2).unwrap()).unwrap();
        assert_eq!(summary.warnings.iter().any(|text| text.contains("--move-gpt")), warns);
        assert_eq!(sgdisk(&grown).contains("No problems found"), !warns, "{}", sgdisk(&grown));
        let report = preflight(&grown, target("openstack"));
        assert!(report.ready);
        let backup = report.rules.iter().find(|ruling| ruling.id == "backup-gpt").unwrap();
        assert_eq!(backup.verdict == Verdict::Warn, warns);
        fs::remove_file(&grown).unwrap();
    }
}

#[test]
fn the_backup_of_a_gpt_moves_to_where_the_format_has_the_disks_end() {
    let folder = qemu::temp_dir();
    let (raw, packed) = (folder.path().join("disk.raw"), folder.path().join("disk.raw.gz"));
    Convert::new(real_disk().as_path(), raw.as_path()).run(&Job::new(2).unwrap()).unwrap();
    let output = Command::new("gzip").arg("-c").arg(&raw).output().unwrap();
    fs::write(&packed, output.stdout).unwrap();
    let back = folder.path().join("back.raw");
    // GiB by the format; by request out of a compressed file; and at last where it has moved already.
    for (source, file, size) in [
        (&raw, "a.zvhd2", None),
        (&packed, "b.qcow2", Some(VirtualSize::Bytes(80 << 20))),
        (&folder.path().join("kept.raw"), "c.raw", None),
    ] {
        if file == "c.raw" {
            let mut convert = Convert::new(raw.as_path(), source.as_path());
            convert.size = Some(VirtualSize::Bytes(90 << 20));
            convert.run(&Job::new(2).unwrap()).unwrap();
            assert!(!sgdisk(source).contains("No problems found"));
        }
        let made = folder.path().join(file);
        let mut convert = Convert::new(source.as_path(), made.as_path());
        (convert.size, convert.backup_gpt) = (size, BackupGpt::Moved);
        convert.verify = Verify::ReadBack;
        convert.run(&Job::new(2).unwrap()).unwrap();
        Convert::new(made.as_path(), back.as_path()).run(&Job::new(2).unwrap()).unwrap();
        assert!(sgdisk(&back).contains("No problems found"), "{file}: {}", sgdisk(&back));
        fs::remove_file(&back).unwrap();
    }
    let mut convert = Convert::new(raw.as_path(), back.as_path());
    convert.to = Some(Format::ZVHD);
    let summary = convert.run(&Job::new(2).unwrap()).unwrap();
    assert!(summary.warnings.iter().any(|text| text.contains("--move-gpt")), "{summary:?}");
}

/// What OpenStack's inspector makes of each file: its format, and its objection.
const INSPECT: &str = r"
import sys
from oslo_utils.imageutils import format_inspector as f
for path in sys.argv[1:]:
    try:
        found = f.detect_file_format(path)
        found.safety_check()
        print(found)
    except Exception as objection:
        print(repr(objection))
";

#[test]
fn openstacks_inspector_takes_what_is_made_for_it() {
    let folder = qemu::temp_dir();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/venv/bin/python3");
    let mut files = Vec::new();
    let mut expected = Vec::new();
    for (format, options, name) in [
        (Format::QCOW2, &[][..], "qcow2"),
        (Format::RAW, &[], "gpt"),
        (Format::VMDK, &[("subformat", "streamOptimized")], "vmdk"),
        (Format::VMDK, &[("subformat", "monolithicSparse")], "vmdk"),
        (Format::VHD, &[], "vhd"),
        (Format::VDI, &[], "vdi"),
    ] {
        let made = folder.path().join(format!("{}-{format}", files.len()));
        let mut convert = Convert::new(real_disk().as_path(), made.as_path());
        convert.import = Some(target("openstack"));
        convert.to = Some(format);
        convert.options =
            options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        convert.run(&Job::new(2).unwrap()).unwrap();
        files.push(made);
        expected.push(name);
    }
    let output = Command::new(&python).args(["-c", INSPECT]).args(&files).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; .ci/setup installs oslo.utils there", python.display())
    });
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{:?}", output.stderr);
}

/// The folder of what is refused: nothing is ever made there, which its time tells.
struct Untouched(PathBuf, std::time::SystemTime);

impl Untouched {
    fn new(folder: &Path) -> Self {
        let folder = folder.join("untouched");
        fs::create_dir(&folder).unwrap();
        let time = folder.metadata().unwrap().modified().unwrap();
        Self(folder, time)
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(fs::read_dir(&self.0).unwrap().count(), 0);
        assert_eq!(self.0.metadata().unwrap().modified().unwrap(), self.1);
    }
}

fn sh(folder: &Path, script: &str) {
    let status = Command::new("bash").args(["-ec", script]).current_dir(folder).status();
    assert!(status.unwrap().success(), "{script}");
}

#[test]
fn what_comes_in_order_is_refused_before_any_work_too() {
    let folder = qemu::temp_dir();
    let path = |name: &str| folder.path().join(name);
    Convert::new(real_disk().as_path(), path("disk.raw").as_path())
        .run(&Job::new(2).unwrap())
        .unwrap();
    Convert::new(real_disk().as_path(), path("disk.vmdk").as_path())
        .run(&Job::new(2).unwrap())
        .unwrap();
    sh(
        folder.path(),
        "tar -cf a.tar disk.raw; gzip -k1 a.tar disk.raw disk.vmdk; xz -k0 disk.raw; bzip2 -k1 disk.raw
        printf x | cat disk.raw - | gzip > longer.gz",
    );
    let untouched = Untouched::new(folder.path());
    let made = untouched.0.join("a.qcow2");
    // Its ext4 has the feature 64bit, and it has a GPT.
    for file in ["a.tar.gz", "disk.raw.gz", "disk.vmdk.gz", "disk.raw.xz", "disk.raw.bz2"] {
        for (name, rule) in [("aliyun", "ext4-64bit"), ("jdcloud", "partition-table")] {
            let error = converted(&path(file), &made, target(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{file}: {error}");
            let text = error.to_string();
            assert!(text.contains(&format!("{name} would refuse it: {rule}")), "{text}");
            assert!(text.contains(file), "{text}");
        }
    }
    untouched.check();
    // What is right goes through, and what only the end tells is told then.
    fs::write(path("machine"), machine()).unwrap();
    sh(folder.path(), "gzip -k1 machine");
    let summary = converted(&path("machine.gz"), &path("b.qcow2"), target("aliyun")).unwrap();
    assert_eq!(summary.ready_for, Some("aliyun"));
}

/// A disk of two partitions: noise, and at 40 MiB a file system with the feature 64bit.
fn far() -> Vec<u8> {
    let mut disk = machine();
    disk.resize(64 * MIB, 0);
    let noise = diskferry_testkit::Model::of(
        7,
        512,
        &[(diskferry_testkit::Texture::Noise, 39 * MIB as u64)],
    );
    let superblock = disk[MIB..MIB + 4096].to_vec();
    disk[MIB..40 * MIB].copy_from_slice(&noise.bytes(0, 39 * MIB));
    disk[40 * MIB..][..4096].copy_from_slice(&superblock);
    disk[40 * MIB + 1024 + 96] |= 0x80;
    let entry = disk[446..462].to_vec();
    let second = &mut disk[462..478];
    second.copy_from_slice(&entry);
    second[0] = 0;
    second[8..12].copy_from_slice(&(40 * 2048_u32).to_le_bytes());
    second[12..16].copy_from_slice(&(20 * 2048_u32).to_le_bytes());
    disk
}

#[test]
fn what_stands_too_far_in_is_refused_at_the_end_and_nothing_remains() {
    let folder = qemu::temp_dir();
    fs::write(folder.path().join("far"), far()).unwrap();
    sh(folder.path(), "gzip -k1 far; mkdir t");
    let made = folder.path().join("t/a.qcow2");
    for file in ["far", "far.gz"] {
        let error = converted(&folder.path().join(file), &made, target("aliyun")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("aliyun would refuse it: ext4-64bit"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("t")).unwrap().count(), 0);
    }
}

#[test]
fn the_size_that_is_judged_is_the_one_that_will_be() {
    let folder = qemu::temp_dir();
    fs::write(folder.path().join("machine"), machine()).unwrap();
    sh(folder.path(), "gzip -k1 machine");
    let untouched = Untouched::new(folder.path());
    let limit = (16 << 40) - 512;
    for file in ["machine", "machine.gz"] {
        let source = folder.path().join(file);
        // Whole grains of a VMDK are 16 TiB.
        let made = untouched.0.join("a.vmdk");
        let mut convert = Convert::new(source.as_path(), made.as_path());
        convert.import = Some(target("aws"));
        convert.size = Some(VirtualSize::Bytes(limit));
        let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("virtual-size: the virtual size: 17592186044416"),
            "{error}"
        );
        untouched.check();
        convert.size = Some(VirtualSize::Bytes(limit - (64 << 10)));
        convert.target = folder.path().join("b.vmdk").as_path().into();
        convert.replace = diskferry::Replace::Allowed;
        let summary = convert.run(&Job::new(2).unwrap()).unwrap();
        assert_eq!(summary.target.virtual_size, (16 << 40) - (64 << 10));
        assert!(summary.warnings.iter().any(|text| text.contains("rounded up")), "{summary:?}");
    }
}

#[test]
fn a_gpt_moves_in_one_pass_as_it_does_anywhere() {
    let folder = qemu::temp_dir();
    let path = |name: &str| folder.path().join(name);
    let job = Job::new(2).unwrap();
    Convert::new(real_disk().as_path(), path("disk.raw").as_path()).run(&job).unwrap();
    // Its backup is not at its end; it ends within what is held; it has data behind its backup.
    sh(
        folder.path(),
        "cp disk.raw grown.raw; truncate -s 90M grown.raw
        cp grown.raw data.raw; printf data | dd of=data.raw bs=1 seek=80000000 conv=notrunc status=none
        cp disk.raw lost.raw; truncate -s -40000 lost.raw; truncate -s 64M lost.raw
        for f in disk grown data lost; do gzip -k1 $f.raw; tar --format=posix -Scf $f.tar $f.raw; gzip $f.tar; done",
    );
    Convert::new(path("disk.raw").as_path(), path("disk.vmdk").as_path()).run(&job).unwrap();
    sh(folder.path(), "gzip -k1 disk.vmdk");
    let moved = |source: &str, made: &str, size: u64| {
        let mut convert = Convert::new(path(source).as_path(), path(made).as_path());
        convert.size = Some(VirtualSize::Bytes(size));
        convert.backup_gpt = BackupGpt::Moved;
        convert.verify = Verify::ReadBack;
        convert.replace = diskferry::Replace::Allowed;
        convert.run(&job)
    };
    for (disk, sizes) in [
        ("disk", &[64 << 20, (64 << 20) + 512, (64 << 20) + 16384, 80 << 20, 1 << 30][..]),
        ("grown", &[90 << 20, 128 << 20]),
        ("data", &[90 << 20, 128 << 20]),
        ("lost", &[64 << 20, 80 << 20]),
    ] {
        for size in sizes.iter().copied() {
            moved(&format!("{disk}.raw"), "a.raw", size).unwrap();
            assert!(sgdisk(&path("a.raw")).contains("No problems found"), "{disk}, {size}");
            let expected = fs::read(path("a.raw")).unwrap();
            let mut wrapped = vec![format!("{disk}.raw.gz"), format!("{disk}.tar.gz")];
            wrapped.extend((disk == "disk").then(|| "disk.vmdk.gz".to_owned()));
            for file in wrapped {
                let summary = moved(&file, "b.raw", size).unwrap();
                assert!(fs::read(path("b.raw")).unwrap() == expected, "{file}, {size}");
                let told = summary.warnings.iter().any(|text| text.contains("GPT"));
                assert!(!told, "{file}, {size}: {:?}", summary.warnings);
            }
        }
    }
    let small = moved("disk.raw.gz", "c.raw", 1 << 20).unwrap_err();
    assert!(matches!(small.kind(), ErrorKind::Misuse | ErrorKind::Unsupported), "{small}");
    assert!(!path("c.raw").exists());
    // What the format makes of the size moves the end, too; and whoever does not ask is told.
    let mut convert = Convert::new(path("disk.raw.gz").as_path(), path("d.raw").as_path());
    convert.size = Some(VirtualSize::Bytes(80 << 20));
    let summary = convert.run(&job).unwrap();
    assert!(summary.warnings.iter().any(|text| text.contains("--move-gpt")), "{summary:?}");
    moved("disk.raw", "odd.raw", (64 << 20) + 512).unwrap();
    sh(folder.path(), "gzip -k1 odd.raw; tar -czf odd.tar.gz odd.raw");
    for (source, target, warns) in [
        ("odd.tar.gz", "e.vmdk", true),
        ("odd.tar.gz", "e.qcow2", false),
        ("odd.raw.gz", "f.qcow2", false),
    ] {
        let convert = Convert::new(path(source).as_path(), path(target).as_path());
        let summary = convert.run(&job).unwrap();
        let told = summary.warnings.iter().any(|text| text.contains("--move-gpt"));
        assert_eq!(told, warns, "{target}: {:?}", summary.warnings);
    }
}

#[test]
fn data_after_the_last_partition_is_found_in_compressed_files() {
    let folder = qemu::temp_dir();
    let mut disk = machine();
    fs::write(folder.path().join("clean"), &disk).unwrap();
    disk[23 * MIB + 77] = 1;
    fs::write(folder.path().join("stray"), disk).unwrap();
    sh(folder.path(), "gzip -k1 clean; gzip -k1 stray");
    for (file, verdict) in [("clean", Verdict::Pass), ("stray", Verdict::Warn)] {
        for file in [file.to_owned(), format!("{file}.gz")] {
            let report = preflight(&folder.path().join(&file), target("aliyun"));
            let rule = report.rules.iter().find(|rule| rule.id == "nothing-beyond").unwrap();
            assert_eq!(rule.verdict, verdict, "{file}: {}", rule.text);
            assert!(verdict == Verdict::Pass || rule.text.contains("0x170004d"), "{}", rule.text);
        }
    }
}
