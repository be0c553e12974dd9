//! How each rule is broken, and no other of its target.

use std::any::Any;

use diskferry_block_stream::{Detail, Problem, ProblemKind};
use diskferry_inspect::{ContentKind, Finding, Note, Objection, Root, System, TableKind};
use diskferry_wrap::{Objection as PackageObjection, Survey, TarKind};

use super::good::{GIB, content};
use crate::format::Format;
use crate::import::check;
use crate::import::facts::Facts;
use crate::import::kind::{Kind, Layer, Subformat};
use crate::import::rule::Rule;

/// What breaks a rule about names.
fn bad_name(rule: &Rule) -> String {
    match rule.id() {
        "whole-vmdk" => "disk-flat.vmdk".into(),
        "object-name" => "my disk.qcow2".into(),
        "object-name-length" => "d".repeat(129),
        _ => " a name.with spaces, which is\tvery long.RAW.raw".repeat(10),
    }
}

/// Breaks one rule.
pub(super) fn spoil(rule: &Rule, facts: &mut Facts) {
    let check: &dyn Any = rule.check;
    let was_spoiled = spoil_image(check, facts)
        || spoil_file(check, facts)
        || spoil_size(check, facts)
        || spoil_disk(check, facts)
        || spoil_name(rule, check, facts);
    assert!(was_spoiled, "nobody knows how to break {}", rule.id());
}

fn spoil_image(check: &dyn Any, facts: &mut Facts) -> bool {
    if check.is::<check::Formats>() {
        // A name for what is around a disk, and so none that any target takes.
        (facts.format, facts.kind) = (Format::GCP, Some(Kind::of("")));
    } else if let Some(check::Kind(accepts)) = check.downcast_ref() {
        (facts.format, facts.kind) = (accepts.format, Some(Kind::of("fullDevice")));
    } else if let Some(check::NotFormat(format)) = check.downcast_ref() {
        (facts.format, facts.kind) = (*format, Some(Kind::of("")));
    } else if check.is::<check::RawCompanion>() {
        (facts.format, facts.kind) = (Format::RAW, Some(Kind::of("raw")));
    } else if check.is::<check::OneFile>() {
        facts.files = 3;
    } else if check.is::<check::NoParent>() {
        facts.has_parent = true;
    } else if let Some(check::Lacks(features)) = check.downcast_ref() {
        facts.details.push((features[0].0, Detail::Flag(true)));
    } else if check.is::<check::Wrapping>() {
        facts.wrapping = Layer::all(&["xz"]);
    } else if check.is::<check::Member>() {
        facts.member = Some("disk/disk.raw".into());
    } else if check.is::<check::OnlyMember>() {
        let members = vec!["disk.raw".to_owned(), "README".to_owned()];
        facts.survey = Some(Survey { members, kinds: vec![TarKind::Gnu] });
    } else if check.is::<check::Tar>() {
        let members = vec!["disk.raw".to_owned()];
        facts.survey = Some(Survey { members, kinds: vec![TarKind::Ustar] });
    } else if let Some(check::Object(point)) = check.downcast_ref() {
        facts.wrapping = vec![Layer::Ova];
        let objection = PackageObjection { point: *point, at: None, text: "so it is".into() };
        facts.objections = Some(vec![objection]);
    } else {
        return false;
    }
    true
}

fn spoil_file(check: &dyn Any, facts: &mut Facts) -> bool {
    if check.is::<check::OneFormat>() {
        facts.glance.get_or_insert_default().formats = vec!["qcow2", "gpt"];
    } else if check.is::<check::GlanceVmdk>() {
        facts.glance.get_or_insert_default().objection = Some("an odd line");
    } else if let Some(check::WholeGrains(kind)) = check.downcast_ref() {
        let kind = kind.unwrap_or(Subformat::StreamOptimized);
        (facts.format, facts.kind) = (Format::VMDK, Some(Kind::of(kind.name())));
        facts.details.push(("grain_size", Detail::Number(65536)));
        facts.virtual_size += 512;
    } else if check.is::<check::StreamVersion>() {
        facts.details.retain(|(key, _)| *key != "version");
        facts.details.push(("version", Detail::Number(1)));
    } else if check.is::<check::StreamEnd>() {
        (facts.format, facts.kind) = (Format::VMDK, Some(Kind::of("streamOptimized")));
        facts.ends_in_zeros = Some(false);
    } else if check.is::<check::Footers>() {
        facts.details.push(("footers", Detail::Text("different".into())));
    } else if check.is::<check::Sound>() {
        let text = "two clusters in one place".into();
        facts.problems =
            Some(vec![Problem { kind: ProblemKind::Corruption, at: Some(4096), text }]);
    } else {
        return false;
    }
    true
}

fn spoil_size(check: &dyn Any, facts: &mut Facts) -> bool {
    if let Some(check::VirtualSize(bounds)) = check.downcast_ref() {
        facts.virtual_size = (bounds.most + 1).next_multiple_of(GIB);
    } else if let Some(check::VirtualUnit(unit)) = check.downcast_ref() {
        facts.virtual_size += unit / 2;
    } else if let Some(check::FileSize(bounds)) = check.downcast_ref() {
        facts.file_size = Some(bounds.most + 1);
    } else if check.is::<check::FileOverhead>() {
        facts.image_size = facts.image_size.map(|size| size + 512);
    } else if let Some(check::Stored(bounds)) = check.downcast_ref() {
        facts.stored = Some(bounds.most + 1);
    } else {
        return false;
    }
    true
}

fn spoil_disk(check: &dyn Any, facts: &mut Facts) -> bool {
    let disk = facts.content.as_mut().expect("it was looked at");
    let note = |finding| Note { partition: None, finding };
    let mut fill = |kind| disk.partitions[0].content = Some(content(kind));
    if let Some(check::Table(accepted)) = check.downcast_ref() {
        disk.table = match accepted.contains(&TableKind::Gpt) {
            // Nothing but an MBR and a GPT is known.
            true => return true,
            false => TableKind::Gpt,
        };
    } else if check.is::<check::Partitioned>() {
        disk.table = TableKind::None;
    } else if check.is::<check::OpenStackTable>() {
        (facts.format, facts.kind) = (Format::RAW, Some(Kind::of("raw")));
        disk.openstack.objections.push(Objection::NoPartitions);
    } else if check.is::<check::Sectors512>() {
        disk.sector_size = Some(4096);
    } else if check.is::<check::Bios>() {
        disk.boot.bios.boot_code = false;
    } else if check.is::<check::EfiLoader>() {
        disk.boot.bios.boot_code = false;
        disk.boot.uefi.architectures.clear();
    } else if check.is::<check::Root>() {
        disk.root = disk.root.map(|root| Root { kind: ContentKind::Btrfs, ..root });
    } else if let Some(check::NoExtFeatures(features)) = check.downcast_ref() {
        let mut ext = content(ContentKind::Ext4);
        ext.features.incompat = features.iter().map(|&name| name.into()).collect();
        disk.partitions[0].content = Some(ext);
    } else if check.is::<check::NotEncrypted>() {
        fill(ContentKind::Luks2);
    } else if check.is::<check::NoVolumes>() {
        fill(ContentKind::Lvm2);
    } else if check.is::<check::NoWindowsOnGpt>() {
        disk.table = TableKind::Gpt;
        disk.root = disk.root.map(|root| Root { system: System::Windows, ..root });
    } else if check.is::<check::BackupGpt>() {
        disk.notes.push(note(Finding::BackupNotAtEnd { at: 0, want: 512 }));
    } else if check.is::<check::Whole>() {
        disk.notes.push(note(Finding::PastEnd { end: 2, disk: 1 }));
    } else if check.is::<check::NothingBeyond>() {
        facts.stray = Some(Some(GIB));
    } else {
        return false;
    }
    true
}

fn spoil_name(rule: &Rule, check: &dyn Any, facts: &mut Facts) -> bool {
    if check.is::<check::Name>() {
        facts.as_name = Some(bad_name(rule));
    } else if check.is::<check::FileName>() {
        (facts.as_name, facts.name) = (None, Some(bad_name(rule)));
    } else {
        return false;
    }
    true
}
