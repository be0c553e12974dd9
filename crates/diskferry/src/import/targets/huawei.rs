//! Huawei Cloud IMS, and the clouds that run it.

use super::super::check::{self, Accepts, Bounds, NameRule, any, at_most_gb, at_most_tb, only};
use super::super::kind::Subformat;
use super::super::make::{
    Make, QCOW2, RAW, VDI, VHD_DYNAMIC, VMDK_SPARSE, VMDK_STREAM, ZVHD, ZVHD2,
};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, NO_PARENT, NOTHING_BEYOND, ONE_FILE, PARTITIONED, SECTORS, SOUND,
    WHOLE, WHOLE_VMDK,
};
use crate::format::Format;

const GUIDE: Source =
    Source { title: "Image Management Service user guide (Open Telekom Cloud)", date: "2026-04" };
const FAQ: Source =
    Source { title: "Huawei Cloud documents on GitHub, Image Management Service", date: "2022-12" };
const API: Source = Source { title: "Huawei Cloud IMS API reference", date: "2026" };
const ERRORS: Source =
    Source { title: "Huawei Cloud IMS API reference, error codes", date: "2026" };

/// Those of the ten that diskferry knows. Of VMDK, one file without a descriptor beside it.
const FORMATS: &[Accepts] = &[
    any(Format::RAW),
    any(Format::QCOW2),
    only(Format::VHD, &[Subformat::Fixed, Subformat::Dynamic]),
    only(Format::VMDK, &[Subformat::MonolithicSparse, Subformat::StreamOptimized]),
    any(Format::VDI),
    any(Format::ZVHD),
    any(Format::ZVHD2),
];

const FORMAT: Rule = Rule::new("format", &check::Formats(FORMATS), GUIDE).code("IMG.0072");
const UNWRAPPED: Rule = Rule::new("unwrapped", &check::Wrapping(&[&[]]), GUIDE).code("IMG.0072");
const FILE_SIZE: Rule =
    Rule::new("file-size", &check::FileSize(at_most_gb(128)), ERRORS).code("IMG.0059");
/// The guide wants it so; no error of the import is known for it, and who types the passphrase can start it.
const NOT_ENCRYPTED: Rule = Rule::new("not-encrypted", &check::NotEncrypted, GUIDE)
    .warns()
    .hint("decrypt the disk in the guest before the export");

const OBJECT_NAME: Rule = Rule::new(
    "object-name",
    &check::FileName(NameRule {
        what: "object name",
        text: "without spaces",
        length: (1, usize::MAX),
        allows: |name| !name.contains(char::is_whitespace),
    }),
    ERRORS,
)
.code("IMG.0175")
.hint("rename the file, or give the object another name");

const NAME_LENGTH: Rule = Rule::new(
    "object-name-length",
    &check::FileName(NameRule {
        what: "object name",
        text: "at most 128 characters",
        length: (1, 128),
        allows: |_| true,
    }),
    ERRORS,
)
.code("IMG.0074")
.hint("rename the file, or give the object another name");

const PART_OF_VMDK: Rule = WHOLE_VMDK.read_in(GUIDE).code("IMG.0072");

const NO_VOLUMES: Rule = Rule::new("no-logical-volumes", &check::NoVolumes, GUIDE)
    .warns()
    .hint("passwords and keys cannot be injected into a root on a logical volume");

const IMAGES: &[Make] = &[QCOW2, ZVHD2, ZVHD, RAW, VHD_DYNAMIC, VMDK_STREAM, VMDK_SPARSE, VDI];

const NOTES: &[&str] = &[
    "the disk's size is given in whole GB, at least the virtual size; of an OVA, its VMDK is uploaded",
    "the bucket is of the class Standard, in the same region",
];

pub(super) static SYSTEM: Profile = Profile {
    name: "huawei",
    title: "Huawei Cloud IMS: a system disk",
    makes: IMAGES,
    unit: 512,
    least: 0,
    rules: &[
        FORMAT,
        UNWRAPPED,
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(1024)), API).code("IMG.0111"),
        FILE_SIZE,
        PARTITIONED,
        EFI_LOADER,
        NOT_ENCRYPTED,
        NO_VOLUMES,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        PART_OF_VMDK,
        OBJECT_NAME,
        NAME_LENGTH,
    ],
    notes: NOTES,
};

pub(super) static DATA: Profile = Profile {
    name: "huawei-data",
    title: "Huawei Cloud IMS: a data disk",
    makes: IMAGES,
    unit: 512,
    least: 0,
    rules: &[
        FORMAT,
        UNWRAPPED,
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(2048)), API).code("IMG.0111"),
        FILE_SIZE,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        PART_OF_VMDK,
        OBJECT_NAME,
        NAME_LENGTH,
    ],
    notes: NOTES,
};

pub(super) static FAST: Profile = Profile {
    name: "huawei-fast",
    title: "Huawei Cloud IMS: fast creation, up to 1 TB",
    makes: &[ZVHD2, RAW],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new("format", &check::Formats(&[any(Format::ZVHD2), any(Format::RAW)]), ERRORS)
            .code("IMG.0158"),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), ERRORS).code("IMG.0158"),
        Rule::new(
            "bitmap",
            &check::RawCompanion("a bitmap beside it, of the same base name, by Huawei's CreateMF"),
            ERRORS,
        )
        .warns()
        .code("IMG.0158")
        .hint("take ZVHD2, which needs none; or: java -jar CreateMF.jar disk.raw disk.mf"),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(1024)), API).code("IMG.0111"),
        Rule::new("file-size", &check::FileSize(at_most_tb(1)), API).code("IMG.0059"),
        PARTITIONED,
        EFI_LOADER,
        NOT_ENCRYPTED,
        NO_VOLUMES,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        OBJECT_NAME,
        NAME_LENGTH,
    ],
    notes: &[
        "no drivers are injected: the machine needs its virtio drivers before the export",
        "ZVHD2 is loaded lazily, raw is not",
    ],
};

pub(super) static EXPORT: Profile = Profile {
    name: "huawei-export",
    title: "Huawei Cloud IMS, image export: what comes out",
    makes: &[],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::QCOW2),
                any(Format::VHD),
                any(Format::ZVHD),
                any(Format::VMDK),
                any(Format::ZVHD2),
            ]),
            API,
        ),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), API),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        // Only the fast export, which gives ZVHD2, goes beyond.
        Rule::new("file-size", &check::FileSize(at_most_gb(128)), FAQ).warns(),
        Rule::new(
            "virtual-size",
            &check::VirtualSize(Bounds { least: 1, ..at_most_gb(2048) }),
            FAQ,
        ),
        WHOLE,
    ],
    notes: &["a system disk has at most 1024 GB, a data disk 2048 GB"],
};
