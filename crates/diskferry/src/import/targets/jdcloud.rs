//! JD Cloud.

use diskferry_inspect::{ContentKind, TableKind};

use super::super::check::{self, Bounds, NameRule, any, at_most_gb, only};
use super::super::kind::Subformat;
use super::super::make::{QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    NO_PARENT, NOT_ENCRYPTED, ONE_FILE, PARTITIONED, SECTORS, SOUND, WHOLE, WHOLE_VMDK,
};
use crate::format::Format;

const IMPORT_PAGE: Source = Source { title: "JD Cloud, Import private image", date: "2024" };
const EXPORT_PAGE: Source = Source { title: "JD Cloud, Export private image", date: "2024" };

pub(super) static IMPORT: Profile = Profile {
    name: "jdcloud",
    title: "JD Cloud, importImage: a system disk",
    makes: &[QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[any(Format::RAW), any(Format::VHD), any(Format::QCOW2), any(Format::VMDK)]),
            IMPORT_PAGE,
        ),
        // The page names no kinds of a format.
        Rule::new(
            "vmdk-kind",
            &check::Kind(only(Format::VMDK, &[Subformat::MonolithicSparse, Subformat::StreamOptimized])),
            IMPORT_PAGE,
        )
        .unverified(),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), IMPORT_PAGE),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(500)), IMPORT_PAGE),
        Rule::new("file-size", &check::FileSize(at_most_gb(500)), IMPORT_PAGE),
        PARTITIONED,
        // The page wants it so, for machines start by BIOS; which some do from a GPT, too.
        Rule::new("partition-table", &check::Table(&[TableKind::Mbr]), IMPORT_PAGE)
            .warns()
            .hint("JD Cloud starts from an MBR only: change the table in the guest, or on a copy: sgdisk --gpttombr"),
        Rule::new("bios", &check::Bios, IMPORT_PAGE)
            .warns()
            .hint("JD Cloud starts machines by BIOS only: install a BIOS boot loader in the guest"),
        Rule::new("root-file-system", &check::Root(&[ContentKind::Ext3, ContentKind::Ext4, ContentKind::Xfs, ContentKind::Ntfs]), IMPORT_PAGE)
            .warns(),
        NOT_ENCRYPTED,
        SECTORS,
        WHOLE,
        WHOLE_VMDK,
    ],
    notes: &[
        "systemDiskSizeGB is 40 to 500 and at least the virtual size; x86_64 only",
        "no qemu-guest-agent and no cloud-init; the link is valid for a day at least",
    ],
};

pub(super) static EXPORT: Profile = Profile {
    name: "jdcloud-export",
    title: "JD Cloud, exportImage: what comes out",
    makes: &[],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new("format", &check::Formats(&[any(Format::QCOW2)]), EXPORT_PAGE),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), EXPORT_PAGE),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new(
            "virtual-size",
            &check::VirtualSize(Bounds { least: 1, ..at_most_gb(500) }),
            EXPORT_PAGE,
        )
        .unverified(),
        WHOLE,
        Rule::new(
            "object-name",
            &check::FileName(NameRule {
                what: "object name",
                text: "PREFIX_exportImage_ID, the prefix of at most 32 letters and digits, or the \
                       prefix alone",
                length: (1, 256),
                allows: is_export_name,
            }),
            EXPORT_PAGE,
        )
        .warns(),
    ],
    notes: &["system disks only, in the region cn-east-2; objects have no extension"],
};

fn is_export_name(name: &str) -> bool {
    let (prefix, id) = match name.split_once("_exportImage_") {
        Some((prefix, id)) => (prefix, Some(id)),
        None => (name, None),
    };
    (1..=32).contains(&prefix.len())
        && prefix.chars().all(|c| c.is_ascii_alphanumeric())
        && id.is_none_or(|id| !id.is_empty())
}
