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
use super::rule::{Check, Rule, Source};

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

/// What holds wherever an image goes.
const EVERYWHERE: Source = Source { title: "what the format itself says", date: "2026-11" };

/// Tables that contradict themselves are refused somewhere, or lose data.
const SOUND: Rule = Rule::new("sound", Check::Sound, EVERYWHERE)
    .hint("convert it: what can be read arrives whole, and what cannot is an error with its place");

/// Nothing but the object is uploaded.
const NO_PARENT: Rule = Rule::new("no-backing-file", Check::NoParent, EVERYWHERE);

/// Nothing but the object is uploaded.
const ONE_FILE: Rule = Rule::new("one-file", Check::OneFile, EVERYWHERE);

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
