//! Amazon EC2.

use super::super::rule::{Check, Rule, Source, any, at_most, only};
use super::super::{OVA, Profile, RAW, VHD_DYNAMIC, VHD_FIXED, VMDK_STREAM};
use super::{BACKUP_GPT, NO_PARENT, NOTHING_BEYOND, ONE_FILE, SOUND, TIB, WHOLE};

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
            Check::Format(&[
                only("vmdk", &["streamOptimized"]),
                only("vhd", &["fixed", "dynamic"]),
                any("raw"),
            ]),
            PREREQUISITES,
        )
        .code("ClientError: File uses unsupported compression algorithm 0"),
        Rule::new("wrapping", Check::Wrapping(&[&[], &["ova"]]), PREREQUISITES)
            .code("Unsupported OVA format"),
        ONE_FILE,
        NO_PARENT,
        Rule::new("footers", Check::Footers, TROUBLES).code("ClientError: Footers not identical"),
        Rule::new("stream-end", Check::StreamEnd, TROUBLES),
        SOUND.code("ClientError: Uncompressed data has invalid length"),
        // "Less than 16 TiB".
        Rule::new("virtual-size", Check::VirtualSize(at_most(16 * TIB - 512)), PREREQUISITES),
        Rule::new("manifest", Check::VirtualSize(at_most(8 * TIB)), PREREQUISITES)
            .warns()
            .hint("disks over 8 TiB need a manifest file"),
        // import-snapshot takes any disk.
        Rule::new("partitioned", Check::Partitioned, TROUBLES)
            .warns()
            .code("ClientError: No valid partitions. Not a valid volume."),
        Rule::new("efi-loader", Check::EfiLoader, LIMITS)
            .warns()
            .hint("import-image wants EFI/BOOT/BOOTX64.EFI where a machine starts by UEFI"),
        Rule::new("not-encrypted", Check::NotEncrypted, LIMITS)
            .warns()
            .hint("import-image cannot look into it; import-snapshot takes it as it is"),
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &[
        "the volume's size is in whole GiB, rounded up by the import",
        "the bucket is in the same region, and there is a service role vmimport",
    ],
};
