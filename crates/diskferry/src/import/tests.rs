//! Each rule of each target, kept and broken alone.

use std::sync::Arc;

use diskferry_block_stream::{Cancel, Detail, Disk, Problem, ProblemKind};
use diskferry_inspect::{
    self as inspect, Architecture, Content, ContentKind, Features, Finding, Inspection, Note,
    Objection, Partition, PartitionType, Role, Root, System, TableKind,
};
use diskferry_raw::Raw;

use super::facts::Facts;
use super::preflight::{self, Verdict};
use super::ready::Readiness;
use super::rule::{Certainty, Check, Severity};
use super::{ImportTarget, import_targets};

const GIB: u64 = 1 << 30;

/// What is found on a disk of zeros.
fn nothing() -> Inspection {
    let disk: Arc<dyn Disk> = Arc::new(Raw::open(Arc::new(vec![0; 1 << 20])));
    inspect::inspect(disk.as_ref(), &Cancel::default()).unwrap()
}

fn content(kind: ContentKind) -> Content {
    Content {
        kind,
        label: None,
        id: None,
        size: None,
        block_size: None,
        version: None,
        features: Features::default(),
        last_mounted: None,
        member_of: None,
    }
}

/// A machine's disk that starts by BIOS and by UEFI, as every target takes it.
fn machine() -> Inspection {
    let mut disk = nothing();
    disk.table = TableKind::Mbr;
    disk.boot.bios.boot_code = true;
    disk.boot.uefi.architectures.push(Architecture::X64);
    disk.root = Some(Root {
        partition: Some(1),
        system: System::Linux,
        kind: ContentKind::Ext4,
        hidden: false,
    });
    disk.partitions = vec![Partition {
        number: 1,
        start: 1 << 20,
        length: GIB,
        kind: PartitionType::Mbr(0x83),
        role: Role::Linux,
        name: None,
        id: None,
        attributes: 0,
        active: true,
        content: Some(content(ContentKind::Ext4)),
    }];
    disk
}

/// An image that the target takes, in every respect.
fn good(target: ImportTarget) -> Facts {
    let readiness = Readiness::new(target, &[]).unwrap();
    let source = Facts {
        format: "raw",
        virtual_size: 10 * GIB,
        files: 1,
        stored: Some(GIB),
        content: Some(machine()),
        ..Facts::default()
    };
    let mut facts = readiness.planned(&source, "disk").unwrap_or(source);
    facts.problems = Some(Vec::new());
    facts.file_size = Some(if facts.kind() == "vhd fixed" { 10 * GIB + 512 } else { GIB });
    facts.ends_in_zeros = Some(true);
    if target.name() == "jdcloud-export" {
        facts.format = "qcow2";
    }
    if target.name() == "huawei-export" {
        facts.format = "zvhd";
    }
    let extension = facts.format;
    facts.name = Some(format!("disk.{extension}"));
    if extension == "raw" && target.name() == "gcp" {
        facts.member = Some("disk.raw".into());
    }
    if target.name().ends_with("-export") {
        facts.as_name = Some("prefix".into());
    }
    if facts.format == "vmdk" {
        facts.details.push(("version", Detail::Number(3)));
        facts.details.push(("grain_size", Detail::Number(65536)));
    }
    facts
}

/// Breaks one rule.
fn spoil(check: &Check, facts: &mut Facts) {
    let disk = facts.content.as_mut().expect("it was looked at");
    let note = |finding| Note { partition: None, finding };
    let mut fill = |kind| disk.partitions[0].content = Some(content(kind));
    match check {
        Check::Format(_) => (facts.format, facts.subformat) = ("qed", None),
        Check::Kind(accepts) => {
            (facts.format, facts.subformat) = (accepts.format, Some("fullDevice".into()));
        }
        Check::Wrapping(_) => facts.wrapping = vec!["xz".into()],
        Check::Member(_) => facts.member = Some("disk/disk.raw".into()),
        Check::OneFile => facts.files = 3,
        Check::NoParent => facts.has_parent = true,
        Check::Lacks(features) => facts.details.push((features[0].0, Detail::Flag(true))),
        Check::VirtualSize(bounds) => facts.virtual_size = (bounds.most + 1).next_multiple_of(GIB),
        Check::VirtualUnit(unit) => facts.virtual_size += unit / 2,
        Check::FileSize(bounds) => facts.file_size = Some(bounds.most + 1),
        Check::FileOverhead(_) => facts.file_size = facts.file_size.map(|size| size + 512),
        Check::Stored(most) => facts.stored = Some(most + 1),
        Check::WholeGrains => {
            (facts.format, facts.subformat) = ("vmdk", Some("streamOptimized".into()));
            facts.details.push(("grain_size", Detail::Number(65536)));
            facts.virtual_size += 512;
        }
        Check::StreamVersion(_) => {
            facts.details.retain(|(key, _)| *key != "version");
            facts.details.push(("version", Detail::Number(1)));
        }
        Check::StreamEnd => {
            (facts.format, facts.subformat) = ("vmdk", Some("streamOptimized".into()));
            facts.ends_in_zeros = Some(false);
        }
        Check::Footers => facts.details.push(("footers", Detail::Text("different".into()))),
        Check::Sound => {
            facts.problems = Some(vec![Problem {
                kind: ProblemKind::Corruption,
                at: Some(4096),
                text: "two clusters in one place".into(),
            }])
        }
        Check::RawCompanion(_) => (facts.format, facts.subformat) = ("raw", Some("raw".into())),
        Check::Table(accepted) => {
            disk.table = if accepted.contains(&TableKind::Gpt) {
                // Nothing but an MBR and a GPT is known.
                return;
            } else {
                TableKind::Gpt
            };
        }
        Check::Partitioned => disk.table = TableKind::None,
        Check::OpenStackTable => {
            (facts.format, facts.subformat) = ("raw", Some("raw".into()));
            disk.openstack.objections.push(Objection::NoPartitions);
        }
        Check::Bios => disk.boot.bios.boot_code = false,
        Check::EfiLoader => {
            disk.boot.bios.boot_code = false;
            disk.boot.uefi.architectures.clear();
        }
        Check::Root(_) => {
            disk.root = disk.root.map(|root| Root { kind: ContentKind::Btrfs, ..root });
        }
        Check::NoExtFeatures(features) => {
            let mut ext = content(ContentKind::Ext4);
            ext.features.incompat = features.iter().map(|&name| name.into()).collect();
            disk.partitions[0].content = Some(ext);
        }
        Check::NotEncrypted => fill(ContentKind::Luks2),
        Check::NoVolumes => fill(ContentKind::Lvm2),
        Check::BackupGpt => {
            disk.notes.push(note(Finding::BackupNotAtEnd { at: 0, want: 512 }));
        }
        Check::NothingBeyond => facts.stray = Some(Some(GIB)),
        Check::Whole => disk.notes.push(note(Finding::PastEnd { end: 2, disk: 1 })),
        Check::Name(_) | Check::FileName(_) => {
            facts.as_name = Some(" a name.with spaces, which is\tvery long.RAW.raw".repeat(10));
        }
    }
}

#[test]
fn each_rule_that_is_broken_alone_is_the_one_that_is_reported() {
    for target in import_targets() {
        let readiness = Readiness::new(*target, &[]).unwrap();
        let of = |facts: &Facts, verdict| -> Vec<&str> {
            let rulings = preflight::judge(&readiness, facts);
            rulings
                .iter()
                .filter(|ruling| ruling.verdict == verdict)
                .map(|ruling| ruling.id)
                .collect()
        };
        let facts = good(*target);
        assert_eq!(of(&facts, Verdict::Fail), [""; 0], "{target}: {facts:?}");
        assert_eq!(of(&facts, Verdict::Warn), [""; 0], "{target}");
        for rule in target.rules() {
            let mut facts = good(*target);
            spoil(&rule.check, &mut facts);
            if facts.kind() == "vhd fixed" && !matches!(rule.check, Check::FileOverhead(_)) {
                facts.file_size = Some(facts.virtual_size + 512);
            }
            let is_table_of_both =
                matches!(rule.check, Check::Table(accepted) if accepted.contains(&TableKind::Gpt));
            if is_table_of_both {
                continue;
            }
            let (failed, warned) = (of(&facts, Verdict::Fail), of(&facts, Verdict::Warn));
            match rule.severity() {
                Severity::Refuses => assert_eq!(failed, [rule.id()], "{target}"),
                Severity::Warns => {
                    assert_eq!(failed, [""; 0], "{target}: {}", rule.id());
                    assert!(warned.contains(&rule.id()), "{target}: {}", rule.id());
                }
            }
        }
    }
}

#[test]
fn a_waived_rule_lets_the_image_pass() {
    let target = ImportTarget::from_name("jdcloud").unwrap();
    let mut facts = good(target);
    spoil(&Check::Table(&[TableKind::Mbr]), &mut facts);
    let judged = |waived: &[String]| Readiness::new(target, waived).unwrap().judge(&facts);
    let error = judged(&[]).unwrap_err().to_string();
    assert!(error.contains("jdcloud would refuse it: partition-table: "), "{error}");
    let warnings = judged(&["partition-table".into()]).unwrap();
    assert!(warnings.iter().any(|text| text.contains("partition-table")), "{warnings:?}");
}

#[test]
fn what_is_unverified_never_refuses() {
    for target in import_targets() {
        for rule in target.rules() {
            let harmless =
                rule.certainty() != Certainty::Unverified || rule.severity() == Severity::Warns;
            assert!(harmless, "{target}: {}", rule.id());
        }
    }
}

#[test]
fn names_of_targets_and_of_their_rules_are_unique() {
    let unique = |mut names: Vec<&str>| {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == count
    };
    assert!(unique(import_targets().iter().map(|target| target.name()).collect()));
    for target in import_targets() {
        assert!(unique(target.rules().iter().map(|rule| rule.id()).collect()), "{target}");
    }
}

#[test]
fn names_are_judged_as_their_target_does() {
    for (target, name, fine) in [
        ("aliyun", "web-1.0", true),
        ("aliyun", "图像", true),
        ("aliyun", "x", false),
        ("aliyun", "1web", false),
        ("aliyun", "aliyun-web", false),
        ("aliyun", "http://web", false),
        ("huawei", "folder/web.zvhd2", true),
        ("huawei", "my web.zvhd2", false),
        ("ibm", "web.qcow2", true),
        ("ibm", "web.QCOW2", false),
        ("digitalocean", "web.img", true),
        ("digitalocean", "web.raw", false),
        ("aliyun-export", "web1", true),
        ("aliyun-export", "web-1", false),
        ("jdcloud-export", "web_exportImage_img-1", true),
        ("jdcloud-export", "web-_exportImage_img-1", false),
        ("tencent", "0123456789012345678901234567890123456789012345678901234567890", false),
    ] {
        let target = ImportTarget::from_name(target).unwrap();
        let mut facts = good(target);
        facts.as_name = Some(name.into());
        let rulings = preflight::judge(&Readiness::new(target, &[]).unwrap(), &facts);
        let of_names = rulings.iter().filter(|ruling| ruling.text.contains(&format!("'{name}'")));
        let verdicts: Vec<bool> = of_names.map(|ruling| ruling.verdict == Verdict::Pass).collect();
        assert_eq!(verdicts, [fine], "{target}: {name}");
    }
}
