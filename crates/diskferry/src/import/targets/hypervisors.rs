//! VMware, VirtualBox, Proxmox VE and Hyper-V.

use diskferry_wrap::Point;

use super::super::check::{self, NameRule, any, at_most, only};
use super::super::kind::{Layer, Subformat};
use super::super::make::{OVA, QCOW2, RAW, VDI, VHD_DYNAMIC, VHD_FIXED, VMDK_SPARSE, VMDK_STREAM};
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, GIB, NO_PARENT, NOTHING_BEYOND, ONE_FILE, PARTITIONED, SECTORS, SOUND,
    TIB, WHOLE, WHOLE_VMDK,
};
use super::ovf::{
    OVF_CAPACITY, OVF_DIGESTS, OVF_DRAFT, OVF_FILES, OVF_FIRST, OVF_FORMAT, OVF_KINDS, OVF_LISTED,
    OVF_MANIFEST, OVF_ORDER, OVF_RESOURCES, OVF_SINGLE, OVF_SIZES,
};
use crate::format::Format;

const OVF_TOOL: Source =
    Source { title: "VMware OVF Tool, and open-vmdk's vmdk-convert", date: "2024" };
const VSPHERE: Source = Source { title: "VMware vSphere, messages of imports", date: "2024" };
const MEASURED: Source = Source {
    title: "VirtualBox 7.2, 7-Zip, open-vmdk, libyal, tried with images of qemu-img 10",
    date: "2026-11",
};
const PVE: Source = Source { title: "Proxmox VE, pve-storage", date: "2026-07" };
const LEARN: Source = Source { title: "Microsoft Learn, Hyper-V storage limits", date: "2024" };

pub(super) static VMWARE: Profile = Profile {
    name: "vmware",
    title: "VMware vSphere and ESXi: an OVA",
    makes: &[OVA, VMDK_STREAM],
    unit: 64 << 10,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[only(Format::VMDK, &[Subformat::StreamOptimized])]),
            OVF_TOOL,
        )
        .code("Unsupported or invalid disk type"),
        // An OVF beside it, or `ovftool`, can stand for the archive.
        Rule::new("wrapping", &check::Wrapping(&[&[Layer::Ova]]), VSPHERE)
            .warns()
            .hint("a VMDK alone needs an OVF that describes it, or the datastore's import"),
        OVF_FIRST
            .read_in(VSPHERE)
            .code("Did not find an .ovf file at the beginning of the OVA package"),
        OVF_FILES,
        OVF_SIZES.read_in(VSPHERE),
        OVF_FORMAT.read_in(VSPHERE).code("Not supported value for attribute format"),
        Rule::new("ovf-devices", &check::Object(Point::Devices), VSPHERE)
            .code("Unsupported element")
            .hint("in VirtualBox, export it as OVF 1.0"),
        OVF_MANIFEST.read_in(VSPHERE).code("Invalid OVF checksum algorithm: SHA256"),
        OVF_DIGESTS,
        OVF_LISTED,
        OVF_KINDS,
        OVF_SINGLE,
        OVF_CAPACITY,
        OVF_RESOURCES,
        OVF_DRAFT,
        OVF_ORDER,
        ONE_FILE,
        NO_PARENT,
        Rule::new("stream-version", &check::StreamVersion(3), VSPHERE)
            .code("Not a supported disk format (sparse VMDK version too old)"),
        Rule::new("stream-end", &check::StreamEnd, OVF_TOOL),
        Rule::new("whole-grains", &check::WholeGrains(None), MEASURED).measured().warns(),
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most(62 * TIB)), VSPHERE).unverified(),
        PARTITIONED,
        EFI_LOADER,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
    ],
    notes: &[
        "the machine in the OVA is a plain one: look at its adapters before you start it",
        "vSphere before 6.5 takes no SHA256 in the manifest: -o manifest=sha1",
    ],
};

pub(super) static VIRTUALBOX: Profile = Profile {
    name: "virtualbox",
    title: "VirtualBox",
    makes: &[VDI, VMDK_SPARSE, VMDK_STREAM, VHD_DYNAMIC, VHD_FIXED, OVA],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[
                any(Format::VDI),
                any(Format::VMDK),
                any(Format::VHD),
                any(Format::QCOW2),
            ]),
            MEASURED,
        )
        .measured(),
        // That it opens qcow2 is hearsay.
        Rule::new("not-qcow2", &check::NotFormat(Format::QCOW2), MEASURED).unverified(),
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::Ova]]), MEASURED).measured(),
        OVF_FIRST.unverified(),
        OVF_FILES.unverified(),
        OVF_SIZES.unverified(),
        OVF_FORMAT.unverified(),
        OVF_DIGESTS.unverified(),
        OVF_KINDS,
        OVF_SINGLE,
        OVF_CAPACITY,
        OVF_RESOURCES,
        NO_PARENT,
        Rule::new("whole-grains", &check::WholeGrains(Some(Subformat::StreamOptimized)), MEASURED)
            .measured(),
        // Only of the other kind was it seen that it is refused.
        Rule::new(
            "whole-sparse-grains",
            &check::WholeGrains(Some(Subformat::MonolithicSparse)),
            MEASURED,
        )
        .measured()
        .warns(),
        Rule::new(
            "zeroed-grains",
            &check::Lacks(&[("zeroed_grains", "entries for zeroed grains")]),
            MEASURED,
        )
        .measured(),
        SOUND,
        PARTITIONED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &[],
};

pub(super) static PROXMOX: Profile = Profile {
    name: "proxmox",
    title: "Proxmox VE: import of disks and appliances",
    makes: &[QCOW2, RAW, VMDK_STREAM, VMDK_SPARSE, OVA],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[any(Format::QCOW2), any(Format::RAW), any(Format::VMDK)]),
            PVE,
        ),
        Rule::new("wrapping", &check::Wrapping(&[&[], &[Layer::Ova]]), PVE),
        Rule::new("ovf-folders", &check::Object(Point::Folder), PVE)
            .code("referenced path is invalid")
            .hint("put the files beside the descriptor, and pack it again"),
        Rule::new("ovf-controllers", &check::Object(Point::Controller), PVE)
            .hint("give the disk a Parent in the descriptor, which is a controller"),
        OVF_FILES.unverified(),
        OVF_SINGLE,
        OVF_RESOURCES,
        ONE_FILE.code("multiple children or extents are not allowed!"),
        NO_PARENT.code("backing file not allowed for untrusted image"),
        Rule::new("no-data-file", &check::Lacks(&[("data_file", "external data file")]), PVE)
            .code("'data-file' references are not allowed!"),
        SOUND,
        PARTITIONED,
        EFI_LOADER,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
        WHOLE_VMDK,
        Rule::new(
            "file-name",
            &check::FileName(NameRule {
                what: "file name",
                text: "letters, digits, '.', '_', '+', '=' and '-', with the extension .qcow2, \
                       .raw, .vmdk or .ova",
                length: (1, 255),
                allows: |name| {
                    name.chars().all(|c| c.is_ascii_alphanumeric() || "._+=-".contains(c))
                        && [".qcow2", ".raw", ".vmdk", ".ova"]
                            .iter()
                            .any(|extension| name.ends_with(extension))
                },
            }),
            PVE,
        )
        .warns(),
    ],
    notes: &[],
};

pub(super) static HYPERV: Profile = Profile {
    name: "hyperv",
    title: "Microsoft Hyper-V",
    makes: &[VHD_DYNAMIC, VHD_FIXED],
    unit: 512,
    least: 0,
    rules: &[
        Rule::new(
            "format",
            &check::Formats(&[only(Format::VHD, &[Subformat::Fixed, Subformat::Dynamic])]),
            LEARN,
        ),
        Rule::new("unwrapped", &check::Wrapping(&[&[]]), LEARN),
        ONE_FILE,
        NO_PARENT,
        Rule::new("footers", &check::Footers, LEARN).warns(),
        SOUND,
        Rule::new("virtual-size", &check::VirtualSize(at_most(2040 * GIB)), LEARN).unverified(),
        PARTITIONED,
        Rule::new("bios", &check::Bios, LEARN)
            .unverified()
            .hint("generation 2 machines, which start by UEFI, need VHDX: Convert-VHD makes one"),
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &["on NTFS the file must be neither sparse nor compressed (error 0xC03A001A): \
         fsutil sparse setflag FILE 0"],
};
