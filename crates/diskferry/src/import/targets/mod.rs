//! The table of targets.
//!
//! A rule that is [unverified](super::rule::Rule::unverified) warns and never refuses. Rules that
//! are only about an import's parameters (sizes that the user states there, regions, roles) are
//! notes, as no image breaks them.

mod aliyun;
mod aws;
mod azure;
mod gcp;
mod huawei;
mod hypervisors;
mod jdcloud;
mod openstack;
mod others;
mod tencent;

use super::ImportTarget;
use diskferry_wrap::Point;

use super::rule::{Check, NameRule, Rule, Source};

/// In the order in which people read them.
pub(super) static ALL: [ImportTarget; 21] = [
    ImportTarget(&aliyun::SYSTEM),
    ImportTarget(&aliyun::DATA),
    ImportTarget(&huawei::SYSTEM),
    ImportTarget(&huawei::DATA),
    ImportTarget(&huawei::FAST),
    ImportTarget(&jdcloud::IMPORT),
    ImportTarget(&tencent::IMPORT),
    ImportTarget(&aws::IMPORT),
    ImportTarget(&azure::IMPORT),
    ImportTarget(&gcp::IMPORT),
    ImportTarget(&openstack::GLANCE),
    ImportTarget(&hypervisors::VMWARE),
    ImportTarget(&hypervisors::VIRTUALBOX),
    ImportTarget(&hypervisors::PROXMOX),
    ImportTarget(&hypervisors::HYPERV),
    ImportTarget(&others::OCI),
    ImportTarget(&others::DIGITALOCEAN),
    ImportTarget(&others::IBM),
    ImportTarget(&aliyun::EXPORT),
    ImportTarget(&huawei::EXPORT),
    ImportTarget(&jdcloud::EXPORT),
];

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The numbers in a table are of the sectors that the disk shows, and all of these show sectors of 512 bytes.
const SECTORS: Rule = Rule::new(
    "sector-512",
    Check::Sectors512,
    Source { title: "UEFI specification 2.10, 5.3: GPTs count in a disk's logical blocks", date: "2022-08" },
)
.hint("a GPT is written anew by --gpt-sectors 512; a DOS table is not: copy its partitions to another disk");

/// What the package format itself says.
const OVF: Source =
    Source { title: "DSP0243 1.1.1 (DMTF), Open Virtualization Format", date: "2013" };

/// Only those who look for it there take another place for damage.
const OVF_FIRST: Rule = Rule::new("ovf-first", Check::Object(Point::First), OVF)
    .hint("pack it again, the descriptor first: tar --format=ustar -cf machine.ova machine.ovf …");

/// What is read front to back wants it.
const OVF_ORDER: Rule = Rule::new("ovf-order", Check::Object(Point::Order), OVF)
    .unverified()
    .hint("pack it again, the files in the descriptor's order");

const OVF_FILES: Rule = Rule::new("ovf-files", Check::Object(Point::Missing), OVF)
    .hint("pack it again with the file, or take it out of the descriptor");

const OVF_SIZES: Rule = Rule::new("ovf-sizes", Check::Object(Point::Size), OVF)
    .hint("put the files' real sizes into the descriptor");

const OVF_FORMAT: Rule = Rule::new("ovf-format", Check::Object(Point::Format), OVF).hint(
    "the format is http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
);

const OVF_MANIFEST: Rule = Rule::new("ovf-manifest", Check::Object(Point::Manifest), OVF)
    .hint("write the manifest anew, or leave it out");

const OVF_DIGESTS: Rule = Rule::new("ovf-digests", Check::Object(Point::Digest), OVF)
    .hint("export it again: a file was changed or damaged since");

const OVF_LISTED: Rule = Rule::new("ovf-listed", Check::Object(Point::Unlisted), OVF)
    .unverified()
    .hint("write the manifest anew, or leave it out");

const OVF_KINDS: Rule = Rule::new("ovf-kinds", Check::Object(Point::Kind), OVF)
    .unverified()
    .hint("write the manifest anew, with SHA256");

const OVF_SINGLE: Rule = Rule::new("ovf-single", Check::Object(Point::Second), OVF)
    .unverified()
    .hint("pack it again with one descriptor and one manifest");

/// What makes the disk by the one and fills it by the other stops, or cuts it.
const OVF_CAPACITY: Rule = Rule::new("ovf-capacity", Check::Object(Point::Capacity), OVF)
    .unverified()
    .hint("put the disk's real size into the descriptor");

const OVF_RESOURCES: Rule = Rule::new("ovf-resources", Check::Object(Point::Resource), OVF)
    .unverified()
    .hint("take the device out of the descriptor, or list what it leads to");

const OVF_DRAFT: Rule = Rule::new("ovf-draft", Check::Object(Point::Draft), OVF).unverified().hint(
    "the format is http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
);

/// What holds wherever an image goes.
const EVERYWHERE: Source = Source { title: "what the format itself says", date: "2026-11" };

/// Tables that contradict themselves are refused somewhere, or lose data; so does data that cannot be
/// unpacked.
const SOUND: Rule = Rule::new("sound", Check::Sound, EVERYWHERE)
    .hint("convert it: what can be read arrives whole, and what cannot is an error with its place");

/// Nothing but the object is uploaded.
const NO_PARENT: Rule = Rule::new("no-backing-file", Check::NoParent, EVERYWHERE);

/// Nothing but the object is uploaded.
const ONE_FILE: Rule = Rule::new("one-file", Check::OneFile, EVERYWHERE);

/// Importers that look into a system, to put drivers or keys there, find none. No document of those
/// who only have this rule says so.
const NOT_ENCRYPTED: Rule = Rule::new("not-encrypted", Check::NotEncrypted, EVERYWHERE)
    .unverified()
    .hint("decrypt it in the guest before the export, unless the import takes disks as they are");

/// A VMDK that has a name of its own for its parts is a text, and only one of them would go.
const WHOLE_VMDK: Rule = Rule::new(
    "whole-vmdk",
    Check::FileName(NameRule {
        what: "file name",
        text: "not that of a part or a delta of a VMDK, such as -flat.vmdk, -s001.vmdk, -delta.vmdk",
        length: (0, usize::MAX),
        allows: is_whole_vmdk,
    }),
    EVERYWHERE,
)
.unverified()
.hint("convert the descriptor, the .vmdk that is a text, with its parts beside it");

fn is_whole_vmdk(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let part = lower.strip_suffix(".vmdk").and_then(|stem| stem.rsplit_once('-'));
    let Some((_, part)) = part else { return true };
    let is_numbered = |part: &str| {
        let digits = part.strip_prefix(['s', 'f']).unwrap_or_default();
        digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    !["flat", "delta", "sesparse", "rdm", "rdmp", "ctk"].contains(&part) && !is_numbered(part)
}

/// A partition that is cut does not start.
const WHOLE: Rule = Rule::new("whole-partitions", Check::Whole, EVERYWHERE)
    .warns()
    .hint("the disk was cut: export it again, whole");

/// Guests mend it by themselves, but complain; tools refuse to change such a table.
const BACKUP_GPT: Rule = Rule::new(
    "backup-gpt",
    Check::BackupGpt,
    Source { title: "UEFI specification 2.10, 5.3.2: GPT header", date: "2022-08" },
)
.warns()
.hint("convert it with --move-gpt; or in the guest: sgdisk --move-second-header /dev/DISK");

/// It arrives, but what made it may not expect to find it there.
const NOTHING_BEYOND: Rule = Rule::new("nothing-beyond", Check::NothingBeyond, EVERYWHERE)
    .warns()
    .hint("look what it is before the disk is shrunk or its last partition grown");

/// A disk for a machine should have a partition to start from.
const PARTITIONED: Rule = Rule::new("partitioned", Check::Partitioned, EVERYWHERE)
    .warns()
    .hint("a disk without a partition table is a data disk to most importers");

/// Firmware finds no other loader on a disk that it has not seen before.
const EFI_LOADER: Rule = Rule::new(
    "efi-loader",
    Check::EfiLoader,
    Source { title: "UEFI specification 2.10, 3.5.1.1: removable media", date: "2022-08" },
)
.warns()
.hint("in the guest: grub-install --removable, or copy the loader to EFI/BOOT/BOOTX64.EFI");
