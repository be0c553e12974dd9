//! Each rule of each target, kept and broken alone.

mod good;
mod spoil;

use std::any::Any;

use diskferry_inspect::TableKind;
use diskferry_wrap::{Survey, TarKind};

use self::good::good;
use self::spoil::spoil;
use super::check::{self, Bounds};
use super::facts::Facts;
use super::kind::Subformat;
use super::profile::ImportTarget;
use super::readiness::Readiness;
use super::rule::{Certainty, Rule, Severity};
use super::targets::import_targets;
use super::verdict::Verdict;
use crate::format::Format;

fn is<T: 'static>(rule: &Rule) -> bool {
    (rule.check as &dyn Any).is::<T>()
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
            if facts.is(Format::VHD, Subformat::Fixed) && !is::<check::FileOverhead>(rule) {
                facts.file_size = Some(facts.virtual_size + 512);
                facts.image_size = facts.file_size;
            }
            let table: Option<&check::Table> = (rule.check as &dyn Any).downcast_ref();
            if table.is_some_and(|check::Table(accepted)| accepted.contains(&TableKind::Gpt)) {
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
    assert!(warnings.iter().any(|text| text.text.contains("sector-512")), "{warnings:?}");
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
            let Some((Bounds { most, sure, .. }, set)) = bounds(rule) else { continue };
            if sure == most {
                continue;
            }
            doubtful += 1;
            for (value, verdict) in
                [(sure, Verdict::Pass), (sure + 1, Verdict::Warn), (most, Verdict::Warn)]
            {
                let mut facts = good(*target);
                set(&mut facts, value);
                let rulings = Readiness::new(*target, &[]).unwrap().rulings(&facts);
                let ruling = rulings.iter().find(|ruling| ruling.id == rule.id()).unwrap();
                assert_eq!(ruling.verdict, verdict, "{target}: {}: {value}", rule.id());
                assert!(rulings.iter().all(|ruling| ruling.ok), "{target}: {rulings:?}");
            }
        }
    }
    assert_eq!(doubtful, 18);
}

/// What sets a size.
type Set = fn(&mut Facts, u64);

/// The bounds of a rule about a size, and what sets that size.
fn bounds(rule: &Rule) -> Option<(Bounds, Set)> {
    let check: &dyn Any = rule.check;
    if let Some(check::VirtualSize(bounds)) = check.downcast_ref() {
        return Some((*bounds, |facts, size| facts.virtual_size = size));
    }
    if let Some(check::FileSize(bounds)) = check.downcast_ref() {
        return Some((*bounds, |facts, size| facts.file_size = Some(size)));
    }
    let check::Stored(bounds) = check.downcast_ref()?;
    Some((*bounds, |facts, size| facts.stored = Some(size)))
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
        let judges = target.rules().iter().any(is::<check::NotEncrypted>);
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
