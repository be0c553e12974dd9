//! OpenStack Glance, and the inspector that it and Nova judge images with.

use super::super::check::{self, any, only};
use super::super::kind::{Layer, Subformat};
use super::super::make::{QCOW2, RAW, VDI, VHD_DYNAMIC, VMDK_SPARSE, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, NO_PARENT, NOTHING_BEYOND, ONE_FILE, PARTITIONED, SECTORS, SOUND,
    WHOLE, WHOLE_VMDK,
};
use crate::format::Format;

const FORMATS: Source = Source { title: "OpenStack Glance, image formats", date: "2026" };
const INSPECTOR: Source = Source { title: "oslo.utils, imageutils.format_inspector", date: "2026" };

const SAFETY: &str = "Image failed safety checks";

pub(super) static GLANCE: Profile = Profile {
    name: "openstack",
    title: "OpenStack Glance, with its format inspector",
    makes: &[QCOW2, RAW, VMDK_STREAM, VMDK_SPARSE, VHD_DYNAMIC, VDI],
    unit: 512,
    least: 0,
    rules: &[
        // The inspector takes a fixed VHD for raw, as its signature is at its end.
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::RAW),
                any(Format::QCOW2),
                only(Format::VMDK, &[Subformat::StreamOptimized, Subformat::MonolithicSparse]),
                only(Format::VHD, &[Subformat::Dynamic]),
                any(Format::VDI),
            ]),
            INSPECTOR,
        )
        .measured()
        .code("Image disk_format does not match stream data"),
        Rule::new("unwrapped", &check::Wrapping(&[&[], &[Layer::Ova]]), FORMATS),
        Rule::new(
            "qcow2-features",
            &check::Lacks(&[
                ("data_file", "external data file"),
                ("extended_l2", "extended L2 entries"),
                ("unknown_features", "unknown features"),
                ("backing_file", "backing file"),
            ]),
            INSPECTOR,
        )
        .measured()
        .code(SAFETY),
        // A CD that is a disk, too, is the exception.
        Rule::new("one-format", &check::OneFormat, INSPECTOR)
            .measured()
            .code("Multiple formats detected")
            .hint("zero the signature that does not belong there"),
        Rule::new("vmdk-descriptor", &check::GlanceVmdk, INSPECTOR).measured().code(SAFETY),
        ONE_FILE,
        NO_PARENT,
        Rule::new("stream-end", &check::StreamEnd, INSPECTOR).measured().code(SAFETY),
        SOUND,
        Rule::new("partition-table", &check::OpenStackTable, INSPECTOR).measured().code(SAFETY).hint(
            "make the protective MBR a plain one: sgdisk --zap would lose the table, so write it \
             with: sgdisk /dev/DISK, experts' menu, n",
        ),
        PARTITIONED,
        EFI_LOADER,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
    ],
    notes: &["openstack image create --disk-format names the format; it must match"],
};
