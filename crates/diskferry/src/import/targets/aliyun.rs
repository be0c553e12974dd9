//! Alibaba Cloud ECS.

use super::super::check::{self, NameRule, any, at_most, at_most_gb, between, only};
use super::super::kind::{Layer, Subformat};
use super::super::make::{QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use crate::format::Format;
use diskferry_inspect::{ContentKind, TableKind};

use super::common::{
    BACKUP_GPT, EFI_LOADER, GIB, NO_PARENT, NOT_ENCRYPTED, NOTHING_BEYOND, ONE_FILE, PARTITIONED,
    SECTORS, SOUND, WHOLE, WHOLE_VMDK,
};

const API: Source =
    Source { title: "Alibaba Cloud ECS API reference, ImportImage", date: "2025-11" };
const HELP: Source =
    Source { title: "Alibaba Cloud help, Import a custom image", date: "2025-11-07" };
const INSTRUCTIONS: Source = Source {
    title: "Alibaba Cloud documents on GitHub, Instructions for importing images",
    date: "2022",
};
const EXPORT_API: Source =
    Source { title: "Alibaba Cloud ECS API reference, ExportImage", date: "2025-11" };

const FORMAT: Rule = Rule::new(
    "format",
    &check::Formats(&[any(Format::RAW), any(Format::VHD), any(Format::QCOW2), any(Format::VMDK)]),
    HELP,
)
.code("InvalidImageFormat.Malformed");

/// Which kinds of VMDK, no document says.
const VMDK_KIND: Rule = Rule::new(
    "vmdk-kind",
    &check::Kind(only(Format::VMDK, &[Subformat::MonolithicSparse, Subformat::StreamOptimized])),
    HELP,
)
.unverified()
.code("InvalidImageFormat.Malformed");

/// Whether its own exports, which are `.raw.tar.gz`, are taken back as they are, is not said.
const UNWRAPPED: Rule = Rule::new("unwrapped", &check::Wrapping(&[&[]]), API).unverified();

const FEATURES: Rule = Rule::new(
    "qcow2-features",
    &check::Lacks(&[("data_file", "external data file"), ("extended_l2", "extended L2 entries")]),
    API,
)
.unverified();

const UPLOAD: Rule = Rule::new("multipart-upload", &check::FileSize(at_most_gb(5)), INSTRUCTIONS)
    .warns()
    .hint("OSS takes objects over 5 GB by multipart upload only: ossutil does that by itself");

const IMAGE_NAME: Rule = Rule::new(
    "image-name",
    &check::Name(NameRule {
        what: "image name",
        text: "2 to 128 characters, a letter first, then letters, digits, '.', '_', ':' and '-'; \
               not beginning with http://, https://, aliyun or acs:",
        length: (2, 128),
        allows: is_image_name,
    }),
    API,
)
.code("InvalidImageName.Malformed");

fn is_image_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with(char::is_alphabetic)
        && name.chars().all(|c| c.is_alphanumeric() || "._:-".contains(c))
        && !["http://", "https://", "aliyun", "acs:"].iter().any(|word| lower.starts_with(word))
}

pub(super) static SYSTEM: Profile = Profile {
    name: "aliyun",
    title: "Alibaba Cloud ECS, ImportImage: a system disk",
    makes: &[QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM],
    unit: 512,
    least: 0,
    rules: &[
        FORMAT,
        VMDK_KIND,
        UNWRAPPED,
        ONE_FILE,
        NO_PARENT,
        FEATURES,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most(500 * GIB)), API)
            .code("InvalidImageSize"),
        UPLOAD,
        PARTITIONED,
        Rule::new(
            "partition-table",
            &check::Table(&[TableKind::Mbr, TableKind::Gpt, TableKind::HybridMbr]),
            INSTRUCTIONS,
        )
        .warns(),
        Rule::new(
            "root-file-system",
            &check::Root(&[
                ContentKind::Ext3,
                ContentKind::Ext4,
                ContentKind::Xfs,
                ContentKind::Ntfs,
            ]),
            INSTRUCTIONS,
        )
        .warns(),
        // The check of images runs when they are imported already, and stops none; 64bit has been mke2fs's
        // default since 2018.
        Rule::new("ext4-64bit", &check::NoExtFeatures(&["64bit"]), INSTRUCTIONS).warns().hint(
            "should it not start, turn it off where the file system is smaller than 16 TiB, unmounted: \
             resize2fs -s /dev/PARTITION",
        ),
        Rule::new("ext4-project-quota", &check::NoExtFeatures(&["project", "quota"]), INSTRUCTIONS)
            .warns()
            .hint("turn one off, unmounted: tune2fs -O ^project /dev/PARTITION"),
        NOT_ENCRYPTED,
        EFI_LOADER,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
        IMAGE_NAME,
    ],
    notes: &[
        "DiskImageSize is 5 to 500 GiB (Windows: 40 to 500) and at least the virtual size",
        "the bucket is in the same region; the RAM role is AliyunECSImageImportDefaultRole",
        "no qemu-guest-agent, SELinux off, a virtio driver, a single root partition on Linux",
    ],
};

pub(super) static DATA: Profile = Profile {
    name: "aliyun-data",
    title: "Alibaba Cloud ECS, ImportImage: a data disk",
    makes: &[QCOW2, RAW, VHD_DYNAMIC, VMDK_STREAM],
    unit: 512,
    least: 0,
    rules: &[
        FORMAT,
        VMDK_KIND,
        UNWRAPPED,
        ONE_FILE,
        NO_PARENT,
        FEATURES,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most(1000 * GIB)), API)
            .code("InvalidDataDiskSize"),
        UPLOAD,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
        IMAGE_NAME,
    ],
    notes: &[
        "DiskImageSize is 5 to 1000 GiB and at least the virtual size",
        "at most 16 data disks beside the system disk",
    ],
};

pub(super) static EXPORT: Profile = Profile {
    name: "aliyun-export",
    title: "Alibaba Cloud ECS, ExportImage: what comes out",
    makes: &[],
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
                any(Format::VDI),
            ]),
            EXPORT_API,
        ),
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::GZIP, Layer::Tar]]), EXPORT_API)
            .warns(),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(between(1, 500 * GIB)), EXPORT_API),
        WHOLE,
        Rule::new(
            "prefix",
            &check::Name(NameRule {
                what: "object name prefix",
                text: "1 to 30 letters and digits",
                length: (1, 30),
                allows: |name| name.chars().all(|c| c.is_ascii_alphanumeric()),
            }),
            EXPORT_API,
        ),
    ],
    notes: &["at most 4 data disks, each of at most 500 GiB; RAW comes as .raw.tar.gz"],
};
