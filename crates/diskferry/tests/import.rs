//! What is made for an import target is what the target takes: by our own rules, and by OpenStack's
//! own inspector.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use diskferry::convert::{BackupGpt, SectorSize, Verify, VirtualSize};
use diskferry::import::{Fix, Gpt, ImportTarget, Preflight, Report, Verdict, import_targets};
use diskferry::look::{Difference, ProblemKind};
use diskferry::source::{Backing, Limits};
use diskferry::{Control, Convert, ErrorKind, Format, Job, Location, OpenOptions, Remedy, Summary};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::{machine, qemu};

const MIB: usize = 1 << 20;

fn real_disk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/real-disk.qcow2")
}

fn target(name: &str) -> ImportTarget {
    ImportTarget::from_name(name).unwrap()
}

fn converted(source: &Path, made: &Path, target: ImportTarget) -> diskferry::Result<Summary> {
    let mut convert = Convert::new(source, made);
    convert.import = Some(target);
    convert.verify = Verify::ReadBack;
    convert.run(&Job::new(2).unwrap())
}

fn preflight(image: &Path, target: ImportTarget) -> Report {
    let image =
        OpenOptions::default().open_image(&Location::from(image), &Control::default()).unwrap();
    let preflight =
        Preflight { target, as_name: None, waived: Vec::new(), limits: Limits::default() };
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

        let open = |path: &Path| {
            OpenOptions::default().open_image(&Location::from(path), &Control::default()).unwrap()
        };
        let different = open(&source).compare(&open(&made), &Job::new(2).unwrap()).unwrap();
        assert!(matches!(different, None | Some(Difference::Size(..))), "{target}: {different:?}");
        fs::remove_file(&made).unwrap();
        made_for += 1;
    }
    assert_eq!(made_for, 18);
}

#[test]
fn whatever_else_can_be_made_for_a_target_is_ready_for_it_too() {
    let folder = qemu::temp_dir();
    let source = folder.path().join("machine");
    fs::write(&source, machine()).unwrap();
    let mut made_for = 0;
    for target in import_targets().iter().copied() {
        let first = target.makes().map(|(format, options, _)| (format, options.to_vec()));
        for (name, subformat) in [
            ("raw", None),
            ("qcow2", None),
            ("vhd", Some("dynamic")),
            ("vhd", Some("fixed")),
            ("vmdk", Some("streamOptimized")),
            ("vmdk", Some("monolithicSparse")),
            ("vdi", Some("dynamic")),
            ("zvhd", None),
            ("zvhd2", None),
            ("ova", None),
        ] {
            let format = Format::from_name(name).unwrap();
            let options: Vec<_> = subformat.map(|kind| ("subformat", kind)).into_iter().collect();
            if first == Some((format, options.clone())) {
                continue;
            }
            let extension = if name == "raw" { "img" } else { name };
            let made = folder.path().join(format!("{target}.{extension}"));
            let mut convert = Convert::new(source.as_path(), made.as_path());
            (convert.import, convert.to) = (Some(target), Some(format));
            convert.options =
                options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            match convert.run(&Job::new(2).unwrap()) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Misuse => continue,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Refused, "{target} {name}: {error}");
                    continue;
                }
            }
            let report = preflight(&made, target);
            assert!(report.ready, "{target} {name} {subformat:?}: {:?}", failed(&report));
            fs::remove_file(&made).unwrap();
            made_for += 1;
        }
    }
    assert_eq!(made_for, 66);
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
        assert_eq!(summary.target.virtual_size, Some(size), "{name}");
    }
    let small = folder.path().join("small");
    fs::write(&small, &machine()[..MIB]).unwrap();
    let summary = converted(&small, &folder.path().join("b.vhd"), target("azure")).unwrap();
    assert_eq!(summary.target.virtual_size, Some(20 * MIB as u64));
}

#[test]
fn what_cannot_be_made_ready_is_refused_before_any_work() {
    let folder = qemu::temp_dir();
    let made = folder.path().join("disk.qcow2");
    let odd = folder.path().join("odd");
    fs::write(&odd, far()).unwrap();
    // Its table is of sectors of 4096 bytes, and no GPT that could be written anew.
    for name in ["aliyun", "jdcloud"] {
        let error = converted(&odd, &made, target(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let text = error.to_string();
        assert!(text.contains(&format!("{name} would refuse it: sector-512")), "{text}");
        assert!(text.contains("odd"), "{text}");
        assert!(!made.exists());
        let report = preflight(&odd, target(name));
        assert_eq!(failed(&report), ["sector-512"]);
        assert_eq!(report.convert, None);

        let mut convert = Convert::new(odd.as_path(), made.as_path());
        convert.import = Some(target(name));
        convert.waived = vec!["sector-512".into()];
        convert.run(&Job::new(2).unwrap()).unwrap();
        fs::remove_file(&made).unwrap();
    }
    fs::remove_file(&odd).unwrap();
    let mut convert = Convert::new(real_disk().as_path(), made.as_path());
    convert.import = Some(target("azure"));
    let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("its name says qcow2"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_gpt_for_large_sectors_is_refused_unless_it_is_written_anew() {
    let folder = qemu::temp_dir();
    let path = |name: &str| folder.path().join(name);
    let summary = resectored(&real_disk(), &path("coarse.raw"), SectorSize::B4096);
    let warned: Vec<_> =
        summary.warnings.iter().filter(|it| it.text.contains("partition 1")).collect();
    assert!(
        warned[0].text.contains("with units of 512 bytes cannot be read from sectors of 4096"),
        "{warned:?}"
    );
    // Plain conversions warn, from files and in order.
    sh(folder.path(), "gzip -k1 coarse.raw; mkdir t");
    for file in ["coarse.raw", "coarse.raw.gz"] {
        let plain = Convert::new(path(file).as_path(), path("t/plain.raw").as_path());
        let summary = plain.run(&Job::new(2).unwrap()).unwrap();
        let told = summary
            .warnings
            .iter()
            .any(|it| it.remedy == Some(Remedy::RewriteGpt { sectors: 512 }));
        assert!(told, "{:?}", summary.warnings);
        fs::remove_file(path("t/plain.raw")).unwrap();
    }
    for import in import_targets() {
        let Some((format, ..)) = import.makes() else { continue };
        let report = preflight(&path("coarse.raw"), *import);
        assert!(failed(&report).contains(&"sector-512"), "{import}");
        let fix = report.rules.iter().find(|rule| rule.id == "sector-512").unwrap().fix.clone();
        let Some(Fix::Convert(remake)) = fix else { panic!("{import}: {fix:?}") };
        assert_eq!(remake.gpt, Gpt::Sectors(SectorSize::B512), "{import}");
        // Google's and Huawei's files are of whole GiB, and take long.
        if matches!(format.name(), "gcp" | "zvhd2") {
            continue;
        }
        let made = path("t").join(format!("made.{}", format.extensions()[0]));
        let error = converted(&path("coarse.raw"), &made, *import).unwrap_err();
        assert!(error.to_string().contains("sector-512"), "{error}");
        let mut convert = Convert::new(path("coarse.raw").as_path(), made.as_path());
        convert.import = Some(*import);
        convert.gpt_sectors = Some(SectorSize::B512);
        convert.run(&Job::new(2).unwrap()).unwrap();
        assert!(!failed(&preflight(&made, *import)).contains(&"sector-512"), "{import}");
        fs::remove_file(&made).unwrap();
    }
    // It is the same disk again, as tools for such sectors see it; in a file, and in order.
    let fine = path("fine.raw");
    resectored(&path("coarse.raw"), &fine, SectorSize::B512);
    let said = sgdisk(&fine);
    assert!(said.contains("No problems found"), "{said}");
    let mut packed = Convert::new(path("coarse.raw.gz").as_path(), path("again.raw").as_path());
    packed.gpt_sectors = Some(SectorSize::B512);
    packed.size = Some(VirtualSize::Bytes(fs::metadata(&fine).unwrap().len()));
    packed.run(&Job::new(2).unwrap()).unwrap();
    assert!(fs::read(path("again.raw")).unwrap() == fs::read(&fine).unwrap(), "in order");
    // Without a GPT there is nothing to write anew.
    fs::write(path("machine"), machine()).unwrap();
    sh(folder.path(), "gzip -k1 machine");
    for file in ["machine", "machine.gz"] {
        let mut convert = Convert::new(path(file).as_path(), path("none.raw").as_path());
        convert.gpt_sectors = Some(SectorSize::B512);
        let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("there is none"), "{error}");
    }
}

#[test]
fn what_is_not_ready_is_told_how_to_become_so() {
    let report = preflight(&real_disk(), target("azure"));
    assert_eq!(failed(&report), ["format"]);
    let remake = report.convert.unwrap();
    assert_eq!(remake.target, target("azure"));
    assert!(remake.made.ends_with("real-disk.vhd"), "{remake:?}");
    assert_eq!(report.rules[0].fix, Some(Fix::Convert(remake)));
}

/// The disk's GPT, as sgdisk judges it.
fn sgdisk(disk: &Path) -> String {
    let output = command("sgdisk")
        .arg("-v")
        .arg(disk)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .run()
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
        assert_eq!(summary.warnings.iter().any(|text| text.remedy == Some(Remedy::MoveGpt)), warns);
        assert_eq!(sgdisk(&grown).contains("No problems found"), !warns, "{}", sgdisk(&grown));
        let report = preflight(&grown, target("openstack"));
        assert!(report.ready);
        let backup = report.rules.iter().find(|ruling| ruling.id == "backup-gpt").unwrap();
        assert_eq!(backup.verdict == Verdict::Warn, warns);
        fs::remove_file(&grown).unwrap();
    }
}

#[test]
fn a_backup_that_is_not_at_the_disks_end_is_moved_by_the_line_that_mends() {
    let folder = qemu::temp_dir();
    let path = |name: &str| folder.path().join(name);
    Convert::new(real_disk().as_path(), path("disk.raw").as_path())
        .run(&Job::new(2).unwrap())
        .unwrap();
    sh(folder.path(), "truncate -s 1G disk.raw; tar --format=oldgnu -Sczf a.tar.gz disk.raw");
    let backup = |file: &str| {
        let report = preflight(&path(file), target("gcp"));
        let ruling = report.rules.iter().find(|ruling| ruling.id == "backup-gpt").unwrap();
        (ruling.verdict, ruling.fix.clone())
    };
    for file in ["disk.raw", "a.tar.gz"] {
        let (verdict, fix) = backup(file);
        assert_eq!(verdict, Verdict::Warn, "{file}");
        let Some(Fix::Convert(remake)) = fix else { panic!("{file}: {fix:?}") };
        assert_eq!(remake.gpt, Gpt::MoveBackup, "{file}");
        let mut convert = Convert::new(path(file).as_path(), path("made.tar.gz").as_path());
        (convert.import, convert.backup_gpt) = (Some(target("gcp")), BackupGpt::Moved);
        convert.run(&Job::new(2).unwrap()).unwrap();
        assert_eq!(backup("made.tar.gz").0, Verdict::Pass, "{file}");
        fs::remove_file(path("made.tar.gz")).unwrap();
    }
}

#[test]
fn the_backup_of_a_gpt_moves_to_where_the_format_has_the_disks_end() {
    let folder = qemu::temp_dir();
    let (raw, packed) = (folder.path().join("disk.raw"), folder.path().join("disk.raw.gz"));
    Convert::new(real_disk().as_path(), raw.as_path()).run(&Job::new(2).unwrap()).unwrap();
    let output = command("gzip").arg("-c").arg(&raw).run().unwrap();
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
    assert!(
        summary.warnings.iter().any(|text| text.remedy == Some(Remedy::MoveGpt)),
        "{summary:?}"
    );
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
    // What is made for others, and Glance takes, too.
    let source = noisy_machine(folder.path());
    for target in import_targets().iter().copied() {
        let Some((format, options, _)) = target.makes() else { continue };
        let is_fixed = options.contains(&("subformat", "fixed"));
        if !["qcow2", "raw", "vmdk", "vdi", "vhd"].contains(&format.name()) || is_fixed {
            continue;
        }
        let made = folder.path().join(format!("{target}.{format}"));
        converted(&source, &made, target).unwrap();
        files.push(made);
        expected.push(format.name());
    }
    assert_eq!(files.len(), 6 + 14);
    let output = command(&python).args(["-c", INSPECT]).args(&files).run();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; .ci/setup installs oslo.utils there", python.display())
    });
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{:?}", output.stderr);
}

/// A machine's disk with some content that shrinks to a half and no further, in a file.
fn noisy_machine(folder: &Path) -> PathBuf {
    let mut disk = machine();
    let mut state = 1_u64;
    for word in disk[8 * MIB..11 * MIB].chunks_exact_mut(8) {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.copy_from_slice(&((state ^ state >> 29) & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes());
    }
    let file = folder.join("noisy");
    fs::write(&file, disk).unwrap();
    file
}

/// Packs an OVA anew, with something changed.
const REPACK: &str = r"
import hashlib, io, sys, tarfile
source, target, how = sys.argv[1:]
with tarfile.open(source) as archive:
    members = [(member.name, archive.extractfile(member).read()) for member in archive]
(ovf, text), (mf, _), (disk, data) = members
text = text.decode()
def change(before, after):
    global text
    assert before in text, before
    text = text.replace(before, after, 1)
if how == 'size': change('ovf:size=\x22', 'ovf:size=\x221')
if how == 'format': change('#streamOptimized', '#')
if how == 'devices': change('</VirtualHardwareSection>', '<StorageItem/></VirtualHardwareSection>')
if how == 'missing': change('</References>', '<File ovf:href=\x22cd.iso\x22 ovf:id=\x22cd\x22/></References>')
if how == 'folder': change('href=\x22', 'href=\x22./')
if how == 'controller': change('Parent>3', 'Parent>9')
if how == 'itself': change(disk, ovf)
if how == 'nowhere': change(disk, 'elsewhere.vmdk')
text = text.encode()
lines = ['SHA256(%s)= %s' % (name, hashlib.sha256(bytes).hexdigest()) for name, bytes in [(ovf, text), (disk, data)]]
if how == 'spaced': lines[1] = lines[1].replace('(', ' (')
if how == 'digest': lines[1] = lines[1][:-1] + ('0' if lines[1][-1] != '0' else '1')
members = [(ovf, text), (mf, '\n'.join(lines + ['']).encode()), (disk, data)]
if how == 'first': members = [members[1], members[0], members[2]]
with tarfile.open(target, 'w', format=tarfile.USTAR_FORMAT) as archive:
    for name, bytes in members:
        info = tarfile.TarInfo(name)
        info.size = len(bytes)
        archive.addfile(info, io.BytesIO(bytes))
";

fn python(program: impl AsRef<std::ffi::OsStr>, script: &str, arguments: &[&Path]) -> String {
    let output = command(program).args(["-c", script]).args(arguments).run().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_ova_that_would_be_refused_is_told_before_it_is_sent() {
    let folder = qemu::temp_dir();
    let good = folder.path().join("good.ova");
    converted(&noisy_machine(folder.path()), &good, target("vmware")).unwrap();
    let odd = folder.path().join("odd.ova");
    for (how, name, failing, code) in [
        ("same", "vmware", None, ""),
        ("same", "proxmox", None, ""),
        ("first", "vmware", Some("ovf-first"), "Did not find an .ovf file at the beginning"),
        ("missing", "vmware", Some("ovf-files"), ""),
        ("size", "vmware", Some("ovf-sizes"), ""),
        ("format", "vmware", Some("ovf-format"), "Not supported value"),
        ("devices", "vmware", Some("ovf-devices"), "Unsupported element"),
        ("spaced", "vmware", Some("ovf-manifest"), "Invalid OVF checksum algorithm"),
        ("folder", "proxmox", Some("ovf-folders"), "referenced path"),
        ("controller", "proxmox", Some("ovf-controllers"), ""),
        // What is not certain does not refuse.
        ("first", "aws", None, ""),
    ] {
        python("python3", REPACK, &[&good, &odd, Path::new(how)]);
        let report = preflight(&odd, target(name));
        let expected: Vec<&str> = failing.into_iter().collect();
        assert_eq!(failed(&report), expected, "{how} for {name}");
        let Some(failing) = failing else { continue };
        let ruling = report.rules.iter().find(|ruling| ruling.id == failing).unwrap();
        assert!(ruling.code.unwrap_or_default().contains(code), "{ruling:?}");
        // To make it anew mends it.
        assert_eq!(ruling.fix, report.convert.map(Fix::Convert), "{how}");
        assert!(ruling.fix.is_some(), "{how}");
    }
    // What contradicts the archive is a problem to everybody, what only some mind is none.
    let problems = |how: &str| {
        python("python3", REPACK, &[&good, &odd, Path::new(how)]);
        let image = OpenOptions::default()
            .open_image(&Location::from(odd.as_path()), &Control::default())
            .unwrap();
        let mut kinds = Vec::new();
        image.check(&Job::new(2).unwrap(), &mut |problem| kinds.push(problem.kind)).unwrap();
        kinds
    };
    for (how, kinds) in [
        ("same", &[][..]),
        ("size", &[ProblemKind::Corruption]),
        ("missing", &[ProblemKind::Corruption]),
        ("digest", &[ProblemKind::Corruption]),
        ("first", &[ProblemKind::Oddity]),
        ("spaced", &[ProblemKind::Oddity]),
        ("controller", &[]),
        ("folder", &[]),
    ] {
        assert_eq!(problems(how), kinds, "{how}");
    }
    python("python3", REPACK, &[&good, &odd, Path::new("size")]);
    let info = OpenOptions::default().info(&Location::from(odd.as_path())).unwrap();
    assert!(info.warnings[0].text.contains("'good.ovf' has 'good-disk1.vmdk' with 1"), "{info:?}");
    for how in ["itself", "nowhere"] {
        python("python3", REPACK, &[&good, &odd, Path::new(how)]);
        let opened =
            OpenOptions::default().open_image(&Location::from(odd.as_path()), &Control::default());
        let error = opened.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("'good.ovf'"), "{error}");
    }
    // A conversion refuses it, too.
    for (name, failing) in [
        ("vmware", &["ovf-digests", "sound"][..]),
        ("virtualbox", &["sound"]),
        ("gcp", &["format", "sound"]),
    ] {
        python("python3", REPACK, &[&good, &odd, Path::new("digest")]);
        let report = preflight(&odd, target(name));
        let failed: Vec<&str> =
            failed(&report).into_iter().filter(|id| failing.contains(id)).collect();
        assert_eq!(failed, failing, "{name}");
        assert_eq!(report.convert, None, "{name}");
    }
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
    let status = command("bash").args(["-ec", script]).current_dir(folder).run_aloud();
    assert!(status.unwrap().success(), "{script}");
}

#[test]
fn what_comes_in_order_is_refused_before_any_work_too() {
    let folder = qemu::temp_dir();
    let path = |name: &str| folder.path().join(name);
    for name in ["disk.raw", "disk.vmdk"] {
        resectored(&real_disk(), &path(name), SectorSize::B4096);
    }
    sh(
        folder.path(),
        "tar -cf a.tar disk.raw; gzip -k1 a.tar disk.raw disk.vmdk; xz -k0 disk.raw; bzip2 -k1 disk.raw
        printf x | cat disk.raw - | gzip > longer.gz",
    );
    let untouched = Untouched::new(folder.path());
    let made = untouched.0.join("a.qcow2");
    for file in ["a.tar.gz", "disk.raw.gz", "disk.vmdk.gz", "disk.raw.xz", "disk.raw.bz2"] {
        for name in ["aliyun", "jdcloud"] {
            let error = converted(&path(file), &made, target(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{file}: {error}");
            let text = error.to_string();
            assert!(text.contains(&format!("{name} would refuse it: sector-512")), "{text}");
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

/// A disk whose partition is a file system at 40 MiB, in sectors of 4096 bytes; as one of 512 it would be in noise.
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
    let entry = &mut disk[446..462];
    entry[8..12].copy_from_slice(&(40 * 256_u32).to_le_bytes());
    entry[12..16].copy_from_slice(&(20 * 256_u32).to_le_bytes());
    disk
}

/// Converts a disk, its GPT written anew.
fn resectored(source: &Path, made: &Path, sectors: SectorSize) -> Summary {
    let mut convert = Convert::new(source, made);
    convert.gpt_sectors = Some(sectors);
    convert.run(&Job::new(2).unwrap()).unwrap()
}

#[test]
fn what_stands_too_far_in_is_refused_at_the_end_and_nothing_remains() {
    let folder = qemu::temp_dir();
    fs::write(folder.path().join("far"), far()).unwrap();
    sh(folder.path(), "gzip -k1 far; mkdir t");
    let made = folder.path().join("t/a.qcow2");
    for file in ["far", "far.gz"] {
        let error = converted(&folder.path().join(file), &made, target("aliyun")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("aliyun would refuse it: sector-512"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("t")).unwrap().count(), 0);
    }
}

#[test]
fn a_grain_that_cannot_be_unpacked_is_found_before_it_is_sent() {
    let folder = qemu::temp_dir();
    let source = noisy_machine(folder.path());
    for (name, file) in [("aws", "a.vmdk"), ("openstack", "a.qcow2"), ("vmware", "a.ova")] {
        let made = folder.path().join(file);
        converted(&source, &made, target(name)).unwrap();
        assert_eq!(failed(&preflight(&made, target(name))), [""; 0], "{name}");
        // It takes a reading of the file, which can be watched and stopped.
        let open = || {
            OpenOptions::default()
                .open_image(&Location::from(made.as_path()), &Control::default())
                .unwrap()
        };
        let preflight_of = Preflight {
            target: target(name),
            as_name: None,
            waived: vec![],
            limits: Limits::default(),
        };
        let job = Job::new(2).unwrap();
        preflight_of.run(&open(), &job).unwrap();
        assert!(
            job.control.progress.total() > 0
                && job.control.progress.passed() == job.control.progress.total()
        );
        job.control.cancel.cancel();
        let error = preflight_of.run(&open(), &job).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        // In the middle of what shrinks least.
        let mut bytes = fs::read(&made).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&made, bytes).unwrap();
        let report = preflight(&made, target(name));
        let failed: Vec<&str> =
            failed(&report).into_iter().filter(|id| *id != "ovf-digests").collect();
        assert_eq!(failed, ["sound"], "{name}");
        assert_eq!(report.convert, None, "no conversion mends it");
    }
}

#[test]
fn a_descriptor_without_its_disk_is_refused_and_so_is_its_disk_without_it() {
    let folder = qemu::temp_dir();
    let source = noisy_machine(folder.path());
    let descriptor = folder.path().join("a.vmdk");
    let mut convert = Convert::new(source.as_path(), descriptor.as_path());
    convert.options = vec![("subformat".into(), "monolithicFlat".into())];
    convert.run(&Job::new(2).unwrap()).unwrap();
    let flat = folder.path().join("a-flat.vmdk");
    assert_eq!(failed(&preflight(&flat, target("huawei"))), ["whole-vmdk"]);
    assert_eq!(failed(&preflight(&descriptor, target("tencent"))), ["one-file"]);
    fs::remove_file(&flat).unwrap();
    let open = OpenOptions::new().backing(Backing::Lenient);
    let image =
        open.open_image(&Location::from(descriptor.as_path()), &Control::default()).unwrap();
    let target = target("tencent");
    let preflight =
        Preflight { target, as_name: None, waived: Vec::new(), limits: Limits::default() };
    let report = preflight.run(&image, &Job::new(2).unwrap()).unwrap();
    assert_eq!(failed(&report), ["one-file", "sound"]);
    assert_eq!(report.convert, None);
}

#[test]
fn an_image_of_a_format_that_is_not_read_is_no_raw_disk() {
    let folder = qemu::temp_dir();
    for (format, name) in [("vhdx", "VHDX"), ("qed", "QED"), ("parallels", "Parallels")] {
        let path = folder.path().join(format!("disk.{format}"));
        qemu::img(&["create", "-f", format, path.to_str().unwrap(), "10M"]);
        let packed = path.with_extension("gz");
        let output = command("gzip").arg("-c").arg(&path).run().unwrap();
        fs::write(&packed, output.stdout).unwrap();
        for path in [&path, &packed] {
            let error = OpenOptions::default()
                .open(&Location::from(path.as_path()), &Control::default())
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(&format!("a {name} image")), "{error}");
            let raw = OpenOptions::new().format(Format::RAW);
            assert!(raw.open(&Location::from(path.as_path()), &Control::default()).is_ok());
        }
    }
}

#[test]
fn googles_archive_is_looked_through() {
    let folder = qemu::temp_dir();
    let source = noisy_machine(folder.path());
    let run = |script: &str| {
        let status = command("bash").args(["-ec", script]).current_dir(folder.path()).run_aloud();
        assert!(status.unwrap().success(), "{script}");
    };
    run(&format!("cp {} disk.raw; truncate -s 1G disk.raw; echo read > README", source.display()));
    run("cp --sparse=always disk.raw disk.img");
    for (arguments, failing) in [
        ("--format=oldgnu -Sczf a.tar.gz disk.raw", &[][..]),
        ("--format=gnu -Sczf a.tar.gz disk.raw", &[]),
        ("--format=posix -Sczf a.tar.gz disk.raw", &["tar-format"]),
        ("--format=oldgnu -Sczf a.tar.gz disk.raw README", &["only-member"]),
        ("--format=oldgnu -Sczf a.tar.gz README disk.raw", &["only-member"]),
        ("--format=oldgnu -Sczf a.tar.gz disk.img", &["member-name"]),
        ("--format=oldgnu -Sczf a.tar.gz ./disk.raw", &["member-name"]),
        ("--format=oldgnu -PSczf a.tar.gz disk.raw --transform=s,^,/,", &["member-name"]),
        ("--format=oldgnu -PSczf a.tar.gz disk.raw --transform=s,^,.//,", &["member-name"]),
        ("--format=oldgnu -Scf a.tar.gz disk.raw", &["wrapping"]),
        ("--format=oldgnu -Szcf a.tar.gz noisy --transform=s/noisy/disk.raw/", &["whole-gib"]),
    ] {
        run(&format!("tar {arguments}"));
        let report = preflight(&folder.path().join("a.tar.gz"), target("gcp"));
        assert_eq!(failed(&report), failing, "{arguments}");
    }
    // Cut, and with another checksum at its end.
    run("tar --format=oldgnu -Sczf a.tar.gz disk.raw");
    let whole = fs::read(folder.path().join("a.tar.gz")).unwrap();
    let mut other = whole.clone();
    let crc = other.len() - 8;
    other[crc] ^= 1;
    for bytes in [&whole[..whole.len() - 100], &other] {
        let file = folder.path().join("b.tar.gz");
        fs::write(&file, bytes).unwrap();
        let report = preflight(&file, target("gcp"));
        assert_eq!(failed(&report), ["sound"]);
        assert_eq!(report.convert, None);
    }
}

/// What the inspector takes each file for: several things or one, and whether it minds.
const FORMATS: &str = r"
import sys
from oslo_utils.imageutils import format_inspector as f
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        wrapper = f.InspectWrapper(file)
        while wrapper.read(65536):
            pass
        wrapper.close()
    names = sorted(str(found) for found in wrapper.formats)
    many = len(names) > 1 and names != ['gpt', 'iso']
    refused = False
    for found in wrapper.formats:
        try:
            found.safety_check()
        except Exception:
            refused |= str(found) == 'vmdk'
    print(many, refused)
";

#[test]
fn openstacks_inspector_and_the_rules_agree_about_odd_files() {
    let folder = qemu::temp_dir();
    let source = noisy_machine(folder.path());
    let vmdk = [("subformat".to_owned(), "streamOptimized".to_owned())];
    let made = |name: &str, format: Format, options: &[(String, String)]| {
        let file = folder.path().join(name);
        let mut convert = Convert::new(source.as_path(), file.as_path());
        (convert.to, convert.options) = (Some(format), options.to_vec());
        convert.replace = diskferry::convert::Replace::Allowed;
        convert.run(&Job::new(2).unwrap()).unwrap();
        fs::read(file).unwrap()
    };
    let qcow2 = made("a", Format::QCOW2, &[]);
    let vdi = made("a", Format::VDI, &[]);
    let vmdk = made("a", Format::VMDK, &vmdk);
    let raw = fs::read(&source).unwrap();
    let with = |bytes: &[u8], at: usize, new: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let find = |text: &str| {
        let found = vmdk.windows(text.len()).position(|part| part == text.as_bytes());
        found.unwrap_or_else(|| panic!("{text}"))
    };
    let footer = vmdk.len() - 1024;
    assert_eq!(&vmdk[footer..footer + 4], b"KDMV");
    let mbr = [0x55, 0xaa];
    let files = [
        (qcow2.clone(), false, false),
        (with(&qcow2, 510, &mbr), true, false),
        (vdi.clone(), false, false),
        (with(&vdi, 510, &mbr), true, false),
        (vmdk.clone(), false, false),
        (with(&vmdk, 0x8001, b"CD001"), true, false),
        (with(&vmdk, find("# The Disk"), b"x The Disk"), false, true),
        (with(&vmdk, find("# The Disk"), b"x= The Dis"), false, false),
        (with(&vmdk, find("RW ") + 3, b"/"), false, true),
        (with(&vmdk, find("SPARSE \"") + 8, b"/"), false, true),
        (with(&vmdk, footer + 36, &[9]), false, true),
        (raw.clone(), false, false),
        (with(&raw, 0x8001, b"CD001"), false, false),
    ];
    let mut paths = Vec::new();
    for (number, (bytes, ..)) in files.iter().enumerate() {
        let path = folder.path().join(format!("odd-{number}"));
        fs::write(&path, bytes).unwrap();
        paths.push(path);
    }
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/venv/bin/python3");
    let arguments: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let said = python(&venv, FORMATS, &arguments);
    for (((_, many, refused), path), said) in files.iter().zip(&paths).zip(said.lines()) {
        let judged = format!("{} {}", python_bool(*many), python_bool(*refused));
        assert_eq!(said, judged, "{}: the inspector", path.display());
        let opened =
            OpenOptions::default().open_image(&Location::from(path.as_path()), &Control::default());
        // What we do not read at all needs no rule.
        if opened.is_err() {
            continue;
        }
        let report = preflight(path, target("openstack"));
        let fails = |id: &str| failed(&report).contains(&id);
        assert_eq!(fails("one-format"), *many, "{}", path.display());
        assert_eq!(fails("vmdk-descriptor"), *refused, "{}", path.display());
    }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
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
        convert.replace = diskferry::convert::Replace::Allowed;
        let summary = convert.run(&Job::new(2).unwrap()).unwrap();
        assert_eq!(summary.target.virtual_size, Some((16 << 40) - (64 << 10)));
        assert!(
            summary.warnings.iter().any(|text| text.text.contains("rounded up")),
            "{summary:?}"
        );
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
        convert.replace = diskferry::convert::Replace::Allowed;
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
                let told = summary.warnings.iter().any(|text| text.text.contains("GPT"));
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
    assert!(
        summary.warnings.iter().any(|text| text.remedy == Some(Remedy::MoveGpt)),
        "{summary:?}"
    );
    moved("disk.raw", "odd.raw", (64 << 20) + 512).unwrap();
    sh(folder.path(), "gzip -k1 odd.raw; tar -czf odd.tar.gz odd.raw");
    for (source, target, warns) in [
        ("odd.tar.gz", "e.vmdk", true),
        ("odd.tar.gz", "e.qcow2", false),
        ("odd.raw.gz", "f.qcow2", false),
    ] {
        let convert = Convert::new(path(source).as_path(), path(target).as_path());
        let summary = convert.run(&job).unwrap();
        let told = summary.warnings.iter().any(|text| text.remedy == Some(Remedy::MoveGpt));
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
