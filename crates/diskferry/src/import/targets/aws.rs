//! Amazon EC2.

use super::super::check::{self, any, at_most, only};
use super::super::kind::{Layer, Subformat};
use super::super::make::{OVA, RAW, VHD_DYNAMIC, VHD_FIXED, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, NO_PARENT, NOTHING_BEYOND, ONE_FILE, SECTORS, SOUND, TIB, WHOLE, WHOLE_VMDK,
};
use super::ovf::{
    OVF_CAPACITY, OVF_DIGESTS, OVF_FILES, OVF_FIRST, OVF_FORMAT, OVF_SINGLE, OVF_SIZES,
};
use crate::format::Format;

const PREREQUISITES: Source =
    Source { title: "AWS VM Import/Export user guide, requirements", date: "2025" };
const LIMITS: Source =
    Source { title: "AWS VM Import/Export user guide, limitations", date: "2025" };
const TROUBLES: Source =
    Source { title: "AWS VM Import/Export user guide, troubleshooting", date: "2025" };

pub(super) static IMPORT: Profile = Profile {
    name: "aws",
    title: "Amazon EC2, import-image and import-snapshot",
    makes: &[VMDK_STREAM, RAW, VHD_DYNAMIC, VHD_FIXED, OVA],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[any(Format::VMDK), any(Format::VHD), any(Format::RAW)]),
            PREREQUISITES,
        )
        .code("ClientError: Disk validation failed"),
        Rule::new(
            "vmdk-kind",
            &check::Kind(only(Format::VMDK, &[Subformat::StreamOptimized])),
            PREREQUISITES,
        )
        .code("ClientError: File uses unsupported compression algorithm 0"),
        Rule::new(
            "vhd-kind",
            &check::Kind(only(Format::VHD, &[Subformat::Fixed, Subformat::Dynamic])),
            PREREQUISITES,
        )
        .code("ClientError: Footers not identical"),
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::Ova]]), PREREQUISITES)
            .code("Unsupported OVA format"),
        // Its documents name the package, and no more.
        OVF_FIRST.unverified().code("Unsupported OVA format"),
        OVF_FILES.unverified().code("Unsupported OVA format"),
        OVF_SIZES.unverified().code("Unsupported OVA format"),
        OVF_FORMAT.unverified().code("Unsupported OVA format"),
        OVF_DIGESTS.unverified().code("Unsupported OVA format"),
        OVF_SINGLE,
        OVF_CAPACITY,
        ONE_FILE,
        NO_PARENT,
        Rule::new("footers", &check::Footers, TROUBLES).code("ClientError: Footers not identical"),
        Rule::new("stream-end", &check::StreamEnd, TROUBLES)
            .code("Provided image file was corrupted"),
        SOUND.code("ClientError: Uncompressed data has invalid length"),
        // "Less than 16 TiB".
        Rule::new("virtual-size", &check::VirtualSize(at_most(16 * TIB - 512)), PREREQUISITES),
        Rule::new("manifest", &check::VirtualSize(at_most(8 * TIB)), PREREQUISITES)
            .warns()
            .hint("disks over 8 TiB need a manifest file"),
        // import-snapshot takes any disk.
        Rule::new("partitioned", &check::Partitioned, TROUBLES)
            .warns()
            .code("ClientError: No valid partitions. Not a valid volume."),
        Rule::new("efi-loader", &check::EfiLoader, LIMITS)
            .warns()
            .hint("import-image wants EFI/BOOT/BOOTX64.EFI where a machine starts by UEFI"),
        Rule::new("windows-gpt", &check::NoWindowsOnGpt, LIMITS).warns().hint(
            "import-image takes Windows on a GPT only as a VHDX of at most 2 TiB with at most 3 \
             primary partitions, and converts the table; import-snapshot takes it as it is",
        ),
        Rule::new("not-encrypted", &check::NotEncrypted, LIMITS)
            .warns()
            .hint("import-image cannot look into it; import-snapshot takes it as it is"),
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
    ],
    notes: &[
        "a machine has at most 21 volumes; no dual boot, no raw device mappings",
        "the volume's size is in whole GiB, rounded up by the import",
        "the bucket is in the same region, and there is a service role vmimport",
    ],
};
