//! Oracle OCI, DigitalOcean and IBM Cloud.

use diskferry_inspect::{ContentKind, TableKind};

use super::super::check::{self, NameRule, any, at_most_gb, only};
use super::super::kind::{Layer, Subformat};
use super::super::make::{QCOW2, RAW, VDI, VHD_DYNAMIC, VMDK_SPARSE, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, NO_PARENT, NOT_ENCRYPTED, NOTHING_BEYOND, ONE_FILE, PARTITIONED,
    SECTORS, SOUND, WHOLE, WHOLE_VMDK,
};
use crate::format::Format;

const ORACLE: Source = Source { title: "Oracle OCI, Importing custom images", date: "2025" };
const ORACLE_PCA: Source =
    Source { title: "Oracle Private Cloud Appliance, bring your own image", date: "2025" };
const OCEAN: Source = Source { title: "DigitalOcean documents, Custom images", date: "2025" };
const OCEAN_ERRORS: Source =
    Source { title: "DigitalOcean, messages seen in packer and doctl", date: "2020" };
const VPC: Source =
    Source { title: "IBM Cloud VPC documents, Importing custom images", date: "2026-08" };

pub(super) static OCI: Profile = Profile {
    name: "oci",
    title: "Oracle Cloud Infrastructure",
    makes: &[VMDK_STREAM, QCOW2, VMDK_SPARSE],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::QCOW2),
                only(Format::VMDK, &[Subformat::MonolithicSparse, Subformat::StreamOptimized]),
            ]),
            ORACLE_PCA,
        )
        .code("Only monolithic images are supported"),
        // An `.oci` archive is a tar.
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::Tar]]), ORACLE),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(400)), ORACLE_PCA),
        PARTITIONED,
        Rule::new("partition-table", &check::Table(&[TableKind::Mbr]), ORACLE_PCA)
            .warns()
            .hint("older documents want an MBR; UEFI images with a GPT are taken today"),
        EFI_LOADER,
        Rule::new("not-encrypted", &check::NotEncrypted, ORACLE_PCA)
            .warns()
            .hint("decrypt the disk in the guest before the export"),
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
    ],
    notes: &[],
};

pub(super) static DIGITALOCEAN: Profile = Profile {
    name: "digitalocean",
    title: "DigitalOcean: a custom image",
    makes: &[QCOW2, RAW, VMDK_STREAM, VMDK_SPARSE, VDI],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::RAW),
                any(Format::QCOW2),
                any(Format::VDI),
                any(Format::VMDK),
            ]),
            OCEAN,
        ),
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::GZIP], &[Layer::BZIP2]]), OCEAN)
            .code(
                "We don't support the compression format of your image. Please try again with a \
             supported format (gzip, bzip2) or an uncompressed image file.",
            ),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(100)), OCEAN),
        PARTITIONED,
        Rule::new("root-file-system", &check::Root(&[ContentKind::Ext3, ContentKind::Ext4]), OCEAN)
            .warns(),
        EFI_LOADER,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
        Rule::new(
            "file-name",
            &check::FileName(NameRule {
                what: "file name",
                text: "a raw image is called .img, not .raw",
                length: (1, 255),
                allows: |name| !name.to_ascii_lowercase().ends_with(".raw"),
            }),
            OCEAN_ERRORS,
        )
        .code("We don't support the compression format of your image.")
        .hint("rename it to .img"),
    ],
    notes: &["cloud-init 0.7.7 or later, and an SSH server, in the guest; Unix only"],
};

pub(super) static IBM: Profile = Profile {
    name: "ibm",
    title: "IBM Cloud VPC",
    makes: &[QCOW2, VHD_DYNAMIC],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::QCOW2),
                only(Format::VHD, &[Subformat::Fixed, Subformat::Dynamic]),
            ]),
            VPC,
        ),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), VPC),
        ONE_FILE,
        NO_PARENT,
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most_gb(250)), VPC),
        PARTITIONED,
        EFI_LOADER,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        Rule::new(
            "file-name",
            &check::FileName(NameRule {
                what: "file name",
                text: "the extension is .qcow2 or .vhd, in small letters",
                length: (1, 255),
                allows: |name| name.ends_with(".qcow2") || name.ends_with(".vhd"),
            }),
            VPC,
        )
        .hint("rename it"),
    ],
    notes: &["images of less than 10 GB become 10 GB"],
};
