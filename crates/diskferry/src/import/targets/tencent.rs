//! Tencent Cloud CVM.

use diskferry_inspect::TableKind;

use super::super::check::{self, NameRule, any, at_most_gb};
use super::super::make::{QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, NO_PARENT, NOT_ENCRYPTED, NOTHING_BEYOND, ONE_FILE, SECTORS, SOUND,
    WHOLE, WHOLE_VMDK,
};
use crate::format::Format;

const GUIDE: Source =
    Source { title: "Tencent Cloud documents on GitHub, Importing images", date: "2023" };
const API: Source = Source { title: "Tencent Cloud CVM API, ImportImage", date: "2024" };

pub(super) static IMPORT: Profile = Profile {
    name: "tencent",
    title: "Tencent Cloud CVM, ImportImage",
    makes: &[QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::RAW),
                any(Format::VHD),
                any(Format::QCOW2),
                any(Format::VMDK),
            ]),
            GUIDE,
        )
        .code("InvalidFormatSize"),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), GUIDE).code("InvalidFormatSize"),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(500)), GUIDE)
            .code("InvalidFormatSize"),
        // What the document says refuses; but the map counts zeros that are stored, and so can only
        // tell that it is not too much.
        Rule::new("data-size", &check::Stored(at_most_gb(50)), GUIDE)
            .warns()
            .code("InvalidFormatSize")
            .hint("what is in use is what a qcow2 takes: delete files and trim in the guest"),
        Rule::new("partitioned", &check::Partitioned, API).code("PartitionNotPresent"),
        // The console's guide of 2022 says so; newer machine types start by UEFI.
        Rule::new("partition-table", &check::Table(&[TableKind::Mbr]), GUIDE).unverified(),
        Rule::new("no-logical-volumes", &check::NoVolumes, GUIDE)
            .warns()
            .code("RootPartitionNotFound"),
        EFI_LOADER,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
        Rule::new(
            "image-name",
            &check::Name(NameRule {
                what: "image name",
                text: "at most 60 characters",
                length: (1, 60),
                allows: |_| true,
            }),
            API,
        ),
    ],
    notes: &[
        "virtio drivers (VirtioNotInstall) and cloud-init (CloudInitNotInstalled) are looked for",
        "a signed ImageUrl can be used once",
    ],
};
