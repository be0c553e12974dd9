//! Each rule of each target, kept and broken alone.

use std::sync::Arc;

use diskferry_block_stream::{Cancel, Detail, Disk, Problem, ProblemKind};
use diskferry_inspect::{
    self as inspect, Architecture, Content, ContentKind, Features, Finding, Inspection, Note,
    Objection, Partition, PartitionType, Role, Root, System, TableKind,
};
use diskferry_raw::Raw;
use diskferry_wrap::{Objection as PackageObjection, Survey, TarKind};

use super::facts::Facts;
use super::profile::ImportTarget;
use super::readiness::Readiness;
use super::rule::{Bounds, Certainty, Check, Rule, Severity};
use super::targets::import_targets;
use super::verdict::Verdict;

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
        sector_size: None,
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
    facts.image_size = facts.file_size;
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

/// What breaks a rule about names, and no other of the target.
fn bad_name(rule: &Rule) -> String {
    match rule.id() {
        "whole-vmdk" => "disk-flat.vmdk".into(),
        "object-name" => "my disk.qcow2".into(),
        "object-name-length" => "d".repeat(129),
        _ => " a name.with spaces, which is\tvery long.RAW.raw".repeat(10),
    }
}

/// Breaks one rule.
fn spoil(rule: &Rule, facts: &mut Facts) {
    let check = &rule.check;
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
        Check::OnlyMember => {
            let members = vec!["disk.raw".to_owned(), "README".to_owned()];
            facts.survey = Some(Survey { members, kinds: vec![TarKind::Gnu] });
        }
        Check::Tar(_) => {
            let members = vec!["disk.raw".to_owned()];
            facts.survey = Some(Survey { members, kinds: vec![TarKind::Ustar] });
        }
        Check::Object(point) => {
            facts.wrapping = vec!["ova".into()];
            let objection = PackageObjection { point: *point, at: None, text: "so it is".into() };
            facts.objections = Some(vec![objection]);
        }
        Check::Not(format) => (facts.format, facts.subformat) = (format, None),
        Check::OneFormat => {
            facts.glance.get_or_insert_default().formats = vec!["qcow2", "gpt"];
        }
        Check::GlanceVmdk => {
            facts.glance.get_or_insert_default().objection = Some("an odd line");
        }
        Check::Sectors512 => disk.sector_size = Some(4096),
        Check::OneFile => facts.files = 3,
        Check::NoParent => facts.has_parent = true,
        Check::Lacks(features) => facts.details.push((features[0].0, Detail::Flag(true))),
        Check::VirtualSize(bounds) => facts.virtual_size = (bounds.most + 1).next_multiple_of(GIB),
        Check::VirtualUnit(unit) => facts.virtual_size += unit / 2,
        Check::FileSize(bounds) => facts.file_size = Some(bounds.most + 1),
        Check::FileOverhead(_) => facts.image_size = facts.image_size.map(|size| size + 512),
        Check::Stored(bounds) => facts.stored = Some(bounds.most + 1),
        Check::WholeGrains(kind) => {
            let kind = kind.unwrap_or("streamOptimized");
            (facts.format, facts.subformat) = ("vmdk", Some(kind.into()));
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
        Check::NoWindowsOnGpt => {
            disk.table = TableKind::Gpt;
            disk.root = disk.root.map(|root| Root { system: System::Windows, ..root });
        }
        Check::BackupGpt => {
            disk.notes.push(note(Finding::BackupNotAtEnd { at: 0, want: 512 }));
        }
        Check::NothingBeyond => facts.stray = Some(Some(GIB)),
        Check::Whole => disk.notes.push(note(Finding::PastEnd { end: 2, disk: 1 })),
        Check::Name(_) => facts.as_name = Some(bad_name(rule)),
        Check::FileName(_) => (facts.as_name, facts.name) = (None, Some(bad_name(rule))),
    }
}

#[test]
fn each_rule_that_is_broken_alone_is_the_one_that_is_reported() {
    for target in import_targets() {
        let readiness = Readiness::new(*target, &[]).unwrap();
        let of = |facts: &Facts, verdict| -> Vec<&str> {
            let rulings = readiness.rulings(facts);
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
            spoil(rule, &mut facts);
            if facts.kind() == "vhd fixed" && !matches!(rule.check, Check::FileOverhead(_)) {
                facts.file_size = Some(facts.virtual_size + 512);
                facts.image_size = facts.file_size;
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
    let rule = target.rules().iter().find(|rule| rule.id() == "sector-512").unwrap();
    spoil(rule, &mut facts);
    let judged = |waived: &[String]| Readiness::new(target, waived).unwrap().judge(&facts);
    let error = judged(&[]).unwrap_err().to_string();
    assert!(error.contains("jdcloud would refuse it: sector-512: "), "{error}");
    let warnings = judged(&["sector-512".into()]).unwrap();
    assert!(warnings.iter().any(|text| text.contains("sector-512")), "{warnings:?}");
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

/// Between 10^9 and 2^30 bytes a GB, where a document does not say which it means.
#[test]
fn what_may_be_meant_either_way_warns_and_never_refuses() {
    let mut doubtful = 0;
    for target in import_targets() {
        for rule in target.rules() {
            let (Check::VirtualSize(bounds) | Check::FileSize(bounds) | Check::Stored(bounds)) =
                &rule.check
            else {
                continue;
            };
            let Bounds { most, sure, .. } = *bounds;
            if sure == most {
                continue;
            }
            doubtful += 1;
            for (value, verdict) in
                [(sure, Verdict::Pass), (sure + 1, Verdict::Warn), (most, Verdict::Warn)]
            {
                let mut facts = good(*target);
                match rule.check {
                    Check::VirtualSize(_) => facts.virtual_size = value,
                    Check::FileSize(_) => facts.file_size = Some(value),
                    _ => facts.stored = Some(value),
                }
                let rulings = Readiness::new(*target, &[]).unwrap().rulings(&facts);
                let ruling = rulings.iter().find(|ruling| ruling.id == rule.id()).unwrap();
                assert_eq!(ruling.verdict, verdict, "{target}: {}: {value}", rule.id());
                assert!(rulings.iter().all(|ruling| ruling.ok), "{target}: {rulings:?}");
            }
        }
    }
    assert_eq!(doubtful, 18);
}

/// Why a target has nothing to say of encrypted disks.
const TAKES_ENCRYPTED: &[(&str, &str)] = &[
    ("openstack", "looks at the format only; the machine asks for the passphrase on its console"),
    ("vmware", "the machine asks for the passphrase on its console"),
    ("virtualbox", "the machine asks for the passphrase on its console"),
    ("proxmox", "the machine asks for the passphrase on its console"),
    ("hyperv", "the machine asks for the passphrase on its console"),
    ("aliyun-export", "it is out already"),
    ("huawei-export", "it is out already"),
    ("jdcloud-export", "it is out already"),
];

#[test]
fn each_target_judges_encrypted_disks_or_has_a_reason_not_to() {
    for target in import_targets() {
        let judges = target.rules().iter().any(|rule| matches!(rule.check, Check::NotEncrypted));
        let reason = TAKES_ENCRYPTED.iter().find(|(name, _)| *name == target.name());
        assert_ne!(judges, reason.is_some(), "{target}: {reason:?}");
    }
    assert_eq!(import_targets().len(), 21);
}

#[test]
fn what_is_in_an_archive_is_told_up_to_a_bound() {
    let target = ImportTarget::from_name("gcp").unwrap();
    let mut facts = good(target);
    let members = (0..9).map(|number| format!("m{number}")).collect();
    facts.survey = Some(Survey { members, kinds: vec![TarKind::Pax, TarKind::Gnu] });
    let rulings = Readiness::new(target, &[]).unwrap().rulings(&facts);
    let failed = rulings.iter().filter(|ruling| ruling.verdict == Verdict::Fail);
    let texts: Vec<&str> = failed.map(|ruling| ruling.text.as_str()).collect();
    let expected =
        ["the archive has 'm0', 'm1', 'm2' and 6 more", "the archive is of the kind posix and gnu"];
    assert_eq!(texts, expected);
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
        ("oci", "web-flat.vmdk", false),
        ("oci", "web-S001.VMDK", false),
        ("oci", "web-f012.vmdk", false),
        ("oci", "web-delta.vmdk", false),
        ("oci", "web-s01.vmdk", true),
        ("oci", "web-flat.qcow2", true),
        ("oci", "flat.vmdk", true),
        ("huawei", "web-flat.vmdk", false),
    ] {
        let target = ImportTarget::from_name(target).unwrap();
        let mut facts = good(target);
        facts.as_name = Some(name.into());
        let rulings = Readiness::new(target, &[]).unwrap().rulings(&facts);
        let of_names = rulings.iter().filter(|ruling| ruling.text.contains(&format!("'{name}'")));
        // An image's name is not a file's.
        let of_names = of_names.filter(|ruling| fine || ruling.verdict != Verdict::Pass);
        let verdicts: Vec<bool> = of_names.map(|ruling| ruling.verdict == Verdict::Pass).collect();
        let all_pass = verdicts.iter().all(|pass| *pass);
        assert!(!verdicts.is_empty() && all_pass == fine, "{target}: {name}: {verdicts:?}");
    }
}
