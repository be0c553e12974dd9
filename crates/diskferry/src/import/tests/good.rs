//! An image that a target takes.

use std::sync::Arc;

use diskferry_block_stream::{Cancel, Detail, Disk};
use diskferry_inspect::{
    self as inspect, Architecture, Content, ContentKind, Features, Inspection, Partition,
    PartitionType, Role, Root, System, TableKind,
};
use diskferry_raw::Raw;

use crate::format::Format;
use crate::import::facts::Facts;
use crate::import::kind::Subformat;
use crate::import::profile::ImportTarget;
use crate::import::readiness::Readiness;

pub(super) const GIB: u64 = 1 << 30;

/// What is found on a disk of zeros.
fn nothing() -> Inspection {
    let disk: Arc<dyn Disk> = Arc::new(Raw::open(Arc::new(vec![0; 1 << 20])));
    inspect::inspect(disk.as_ref(), &Cancel::default()).unwrap()
}

pub(super) fn content(kind: ContentKind) -> Content {
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
pub(super) fn good(target: ImportTarget) -> Facts {
    let readiness = Readiness::new(target, &[]).unwrap();
    let source = Facts {
        virtual_size: 10 * GIB,
        files: 1,
        stored: Some(GIB),
        content: Some(machine()),
        ..Facts::of(Format::RAW)
    };
    let mut facts = readiness.planned(&source, "disk").unwrap_or(source);
    facts.problems = Some(Vec::new());
    facts.file_size =
        Some(if facts.is(Format::VHD, Subformat::Fixed) { 10 * GIB + 512 } else { GIB });
    facts.image_size = facts.file_size;
    facts.ends_in_zeros = Some(true);
    if target.name() == "jdcloud-export" {
        facts.format = Format::QCOW2;
    }
    if target.name() == "huawei-export" {
        facts.format = Format::ZVHD;
    }
    let extension = facts.format.name();
    facts.name = Some(format!("disk.{extension}"));
    if facts.format == Format::RAW && target.name() == "gcp" {
        facts.member = Some("disk.raw".into());
    }
    if target.name().ends_with("-export") {
        facts.as_name = Some("prefix".into());
    }
    if facts.format == Format::VMDK {
        facts.details.push(("version", Detail::Number(3)));
        facts.details.push(("grain_size", Detail::Number(65536)));
    }
    facts
}
