//! Microsoft Azure.

use super::super::check::{self, at_most, between, only};
use super::super::kind::Subformat;
use super::super::make::VHD_AZURE;
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, GIB, MIB, NO_PARENT, NOT_ENCRYPTED, NOTHING_BEYOND, PARTITIONED,
    SECTORS, SOUND, TIB, WHOLE,
};
use crate::format::Format;

const GENERIC: Source =
    Source { title: "Azure documents, Prepare a Linux image (generic)", date: "2025" };
const SDK: Source = Source { title: "Azure SDK, compute: upload size of disks", date: "2025" };
const POWERSHELL: Source = Source { title: "Azure PowerShell, Add-AzVhd", date: "2025" };

pub(super) static IMPORT: Profile = Profile {
    name: "azure",
    title: "Microsoft Azure: a managed disk or an image",
    makes: &[VHD_AZURE],
    unit: MIB,
    least: 20 * MIB,
    rules: &[
        Rule::new("format", &check::Formats(&[only(Format::VHD, &[Subformat::Fixed])]), GENERIC)
            .code(
                "InvalidVhd: The specified cookie value in VHD footer indicates that disk is not a \
             supported VHD. Disk is expected to have cookie value 'conectix'.",
            ),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), GENERIC)
            .code("Only blobs formatted as VHDs can be imported."),
        NO_PARENT,
        SOUND,
        Rule::new("whole-mib", &check::VirtualUnit(MIB), GENERIC).code(
            "The VHD for disk has an unsupported virtual size. The size must be a whole number in \
             (MBs).",
        ),
        Rule::new("file-size", &check::FileOverhead(512), POWERSHELL).code(
            "The upload size in bytes - 512 bytes for the VHD footer must be a multiple of MiB.",
        ),
        Rule::new("virtual-size", &check::VirtualSize(between(20 * MIB, 32 * TIB)), SDK),
        Rule::new("system-disk-size", &check::VirtualSize(at_most(4095 * GIB)), GENERIC)
            .warns()
            .hint("as a system disk it may have 4095 GiB at most; as a data disk it may pass"),
        PARTITIONED,
        EFI_LOADER,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &[
        "generation 1 machines start by BIOS, generation 2 by UEFI",
        "upload it as a page blob: azcopy copy --blob-type PageBlob, or az disk create --upload-type",
    ],
};
