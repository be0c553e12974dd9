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
