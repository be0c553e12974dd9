//! Tencent Cloud CVM.

use diskferry_inspect::TableKind;

use super::super::make::{QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Check, NameRule, Rule, Source, any, at_most_gb};
use super::common::{
    BACKUP_GPT, EFI_LOADER, NO_PARENT, NOT_ENCRYPTED, NOTHING_BEYOND, ONE_FILE, SECTORS, SOUND,
    WHOLE, WHOLE_VMDK,
};

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
            Check::Format(&[any("raw"), any("vhd"), any("qcow2"), any("vmdk")]),
            GUIDE,
        )
        .code("InvalidFormatSize"),
        Rule::new("unwrapped", Check::Wrapping(&[&[]]), GUIDE).code("InvalidFormatSize"),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", Check::VirtualSize(at_most_gb(500)), GUIDE)
            .code("InvalidFormatSize"),
        // What the document says refuses; but the map counts zeros that are stored, and so can only
        // tell that it is not too much.
        Rule::new("data-size", Check::Stored(at_most_gb(50)), GUIDE)
            .warns()
            .code("InvalidFormatSize")
            .hint("what is in use is what a qcow2 takes: delete files and trim in the guest"),
        Rule::new("partitioned", Check::Partitioned, API).code("PartitionNotPresent"),
        // The console's guide of 2022 says so; newer machine types start by UEFI.
        Rule::new("partition-table", Check::Table(&[TableKind::Mbr]), GUIDE).unverified(),
        Rule::new("no-logical-volumes", Check::NoVolumes, GUIDE)
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
            Check::Name(NameRule {
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
