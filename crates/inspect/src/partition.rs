//! A partition: where it lies, what its table calls it, what is in it.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::{Uuid, uuid};

use crate::Content;

/// A partition. Extended partitions of an MBR are listed too, as [`Role::Extended`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// As Linux numbers them: the entry's place from 1; logical ones from 5.
    pub number: u32,
    /// Offset of its first byte.
    pub start: u64,
    /// Its length in bytes; 0 where the table has its end before its start.
    pub length: u64,
    /// What its table says it is.
    #[serde(rename = "type")]
    pub kind: PartitionType,
    /// What that is for.
    pub role: Role,
    /// Its name (GPT).
    pub name: Option<String>,
    /// Its own id (GPT).
    pub id: Option<Uuid>,
    /// The attribute bits of a GPT entry; the boot flag of an MBR entry.
    pub attributes: u64,
    /// Marked for a BIOS to start: the boot flag of an MBR, "legacy BIOS bootable" of a GPT.
    pub active: bool,
    /// What is in it, where that is known.
    pub content: Option<Content>,
}

impl Partition {
    /// The first byte after it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// The partition as a table without names and ids has it.
    pub(crate) fn new(number: u32, start: u64, length: u64, kind: PartitionType) -> Self {
        Self {
            number,
            start,
            length,
            kind,
            role: kind.role(),
            name: None,
            id: None,
            attributes: 0,
            active: false,
            content: None,
        }
    }
}

/// The type that a table gives a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// The type byte of an MBR entry.
    Mbr(u8),
    /// The type of a GPT entry.
    Gpt(Uuid),
}

impl PartitionType {
    /// What people call it, where it is one of the common ones.
    pub fn name(self) -> Option<&'static str> {
        self.known().map(|(name, _)| name)
    }

    /// What it is for.
    pub fn role(self) -> Role {
        self.known().map_or(Role::Other, |(_, role)| role)
    }

    fn known(self) -> Option<(&'static str, Role)> {
        match self {
            Self::Mbr(code) => MBR_TYPES.iter().find(|row| row.0 == code).map(|row| (row.1, row.2)),
            Self::Gpt(id) => GPT_TYPES.iter().find(|row| row.0 == id).map(|row| (row.1, row.2)),
        }
    }

    /// The type itself, as tools print it: `0x83`, or the GUID.
    fn code(self) -> String {
        match self {
            Self::Mbr(code) => format!("{code:#04x}"),
            Self::Gpt(id) => id.to_string(),
        }
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.code()),
        }
    }
}

/// `{"code": "0x83", "name": "Linux"}`
impl Serialize for PartitionType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            code: String,
            name: Option<&'static str>,
        }
        Wire { code: self.code(), name: self.name() }.serialize(serializer)
    }
}

/// What a partition's type says it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The EFI system partition.
    EfiSystem,
    /// GRUB's core image on a GPT disk.
    BiosBoot,
    /// The container of logical partitions.
    Extended,
    /// The MBR entry that keeps other tools off a GPT disk.
    Protective,
    /// Linux: any file system.
    Linux,
    /// Linux: the root file system of some architecture.
    LinuxRoot,
    /// Linux: the boot loader's extended partition.
    LinuxBoot,
    /// Linux: what is mounted below the root (`/usr`, `/home`, `/var`), or proves it (verity).
    LinuxBeside,
    /// Linux: swap.
    Swap,
    /// Linux: LVM.
    Lvm,
    /// Linux: a member of a RAID.
    Raid,
    /// Windows: file systems of Windows and DOS, also what others put there.
    BasicData,
    /// Windows: reserved, no file system.
    MicrosoftReserved,
    /// Windows: recovery tools.
    WindowsRecovery,
    /// BSD, macOS, Solaris, VMware and others.
    Other,
}

/// The common type bytes. Source: the list kept by A. Brouwer ("partition types"), util-linux' fdisk.
const MBR_TYPES: &[(u8, &str, Role)] = &[
    (0x01, "FAT12", Role::BasicData),
    (0x04, "FAT16 below 32 MiB", Role::BasicData),
    (0x05, "extended", Role::Extended),
    (0x06, "FAT16", Role::BasicData),
    (0x07, "NTFS or exFAT", Role::BasicData),
    (0x0b, "FAT32", Role::BasicData),
    (0x0c, "FAT32, LBA", Role::BasicData),
    (0x0e, "FAT16, LBA", Role::BasicData),
    (0x0f, "extended, LBA", Role::Extended),
    (0x11, "hidden FAT12", Role::BasicData),
    (0x14, "hidden FAT16 below 32 MiB", Role::BasicData),
    (0x16, "hidden FAT16", Role::BasicData),
    (0x17, "hidden NTFS", Role::BasicData),
    (0x1b, "hidden FAT32", Role::BasicData),
    (0x1c, "hidden FAT32, LBA", Role::BasicData),
    (0x1e, "hidden FAT16, LBA", Role::BasicData),
    (0x27, "Windows recovery", Role::WindowsRecovery),
    (0x39, "Plan 9", Role::Other),
    (0x41, "PowerPC PReP boot", Role::Other),
    (0x42, "Windows dynamic disk", Role::Other),
    (0x63, "Unix System V", Role::Other),
    (0x82, "Linux swap", Role::Swap),
    (0x83, "Linux", Role::Linux),
    (0x84, "hibernation", Role::Other),
    (0x85, "Linux extended", Role::Extended),
    (0x8e, "Linux LVM", Role::Lvm),
    (0xa5, "FreeBSD", Role::Other),
    (0xa6, "OpenBSD", Role::Other),
    (0xa8, "macOS UFS", Role::Other),
    (0xa9, "NetBSD", Role::Other),
    (0xab, "macOS boot", Role::Other),
    (0xaf, "macOS HFS+", Role::Other),
    (0xbf, "Solaris", Role::Other),
    (0xea, "Linux extended boot", Role::LinuxBoot),
    (0xeb, "BeOS", Role::Other),
    (0xee, "GPT protective", Role::Protective),
    (0xef, "EFI system", Role::EfiSystem),
    (0xfb, "VMware VMFS", Role::Other),
    (0xfc, "VMware VMKCORE", Role::Other),
    (0xfd, "Linux RAID", Role::Raid),
];

/// The common GUIDs. Sources: UEFI 2.10, 5.3.3; the Discoverable Partitions Specification
/// (uapi-group.org); Microsoft's PARTITION_INFORMATION_GPT; util-linux' fdisk.
const GPT_TYPES: &[(Uuid, &str, Role)] = &[
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), "EFI system", Role::EfiSystem),
    (uuid!("21686148-6449-6e6f-744e-656564454649"), "BIOS boot", Role::BiosBoot),
    (uuid!("024dee41-33e7-11d3-9d69-0008c781f39f"), "MBR partition scheme", Role::Other),
    (uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae"), "Microsoft reserved", Role::MicrosoftReserved),
    (uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), "Microsoft basic data", Role::BasicData),
    (uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac"), "Windows recovery", Role::WindowsRecovery),
    (uuid!("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"), "Windows LDM metadata", Role::Other),
    (uuid!("af9b60a0-1431-4f62-bc68-3311714a69ad"), "Windows LDM data", Role::Other),
    (uuid!("e75caf8f-f680-4cee-afa3-b001e56efc2d"), "Windows storage spaces", Role::Other),
    (uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"), "Linux file system", Role::Linux),
    (uuid!("44479540-f297-41b2-9af7-d131d5f0458a"), "Linux root, x86", Role::LinuxRoot),
    (uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), "Linux root, x86-64", Role::LinuxRoot),
    (uuid!("69dad710-2ce4-4e3c-b16c-21a1d49abed3"), "Linux root, ARM", Role::LinuxRoot),
    (uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"), "Linux root, ARM-64", Role::LinuxRoot),
    (uuid!("60d5a7fe-8e7d-435c-b714-3dd8162144e1"), "Linux root, RISC-V 32", Role::LinuxRoot),
    (uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"), "Linux root, RISC-V 64", Role::LinuxRoot),
    (uuid!("77055800-792c-4f94-b39a-98c91b762bb6"), "Linux root, LoongArch", Role::LinuxRoot),
    (uuid!("993d8d3d-f80e-4225-855a-9daf8ed7ea97"), "Linux root, Itanium", Role::LinuxRoot),
    (uuid!("c31c45e6-3f39-412e-80fb-4809c4980599"), "Linux root, PowerPC 64 LE", Role::LinuxRoot),
    (uuid!("5eead9a9-fe09-4a1e-a1d7-520d00531306"), "Linux root, s390x", Role::LinuxRoot),
    (uuid!("8484680c-9521-48c6-9c11-b0720656f69e"), "Linux /usr, x86-64", Role::LinuxBeside),
    (uuid!("b0e01050-ee5f-4390-949a-9101b17104e9"), "Linux /usr, ARM-64", Role::LinuxBeside),
    (uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"), "Linux root verity, x86-64", Role::LinuxBeside),
    (uuid!("df3300ce-d69f-4c92-978c-9bfb0f38d820"), "Linux root verity, ARM-64", Role::LinuxBeside),
    (uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), "Linux extended boot", Role::LinuxBoot),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), "Linux swap", Role::Swap),
    (uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), "Linux /home", Role::LinuxBeside),
    (uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"), "Linux /srv", Role::LinuxBeside),
    (uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"), "Linux /var", Role::LinuxBeside),
    (uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1"), "Linux /var/tmp", Role::LinuxBeside),
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), "Linux LVM", Role::Lvm),
    (uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"), "Linux RAID", Role::Raid),
    (uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc"), "Linux LUKS", Role::Linux),
    (uuid!("8da63339-0007-60c0-c436-083ac8230908"), "Linux reserved", Role::Other),
    (uuid!("9e1a2d38-c612-4316-aa26-8b49521e5a8b"), "PowerPC PReP boot", Role::Other),
    (uuid!("83bd6b9d-7f41-11dc-be0b-001560b84f0f"), "FreeBSD boot", Role::Other),
    (uuid!("516e7cb4-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD data", Role::Other),
    (uuid!("516e7cb5-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD swap", Role::Other),
    (uuid!("516e7cb6-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD UFS", Role::Other),
    (uuid!("516e7cba-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD ZFS", Role::Other),
    (uuid!("824cc7a0-36a8-11e3-890a-952519ad3f61"), "OpenBSD data", Role::Other),
    (uuid!("49f48d5a-b10e-11dc-b99b-0019d1879648"), "NetBSD FFS", Role::Other),
    (uuid!("48465300-0000-11aa-aa11-00306543ecac"), "macOS HFS+", Role::Other),
    (uuid!("7c3457ef-0000-11aa-aa11-00306543ecac"), "macOS APFS", Role::Other),
    (uuid!("426f6f74-0000-11aa-aa11-00306543ecac"), "macOS boot", Role::Other),
    (uuid!("6a898cc3-1dd2-11b2-99a6-080020736631"), "Solaris /usr, ZFS", Role::Other),
    (uuid!("6a945a3b-1dd2-11b2-99a6-080020736631"), "Solaris reserved", Role::Other),
    (uuid!("aa31e02a-400f-11db-9590-000c2911d1b8"), "VMware VMFS", Role::Other),
    (uuid!("9d275380-40ad-11db-bf97-000c2911d1b8"), "VMware VMKCORE", Role::Other),
    (uuid!("9198effc-31c0-11db-8f78-000c2911d1b8"), "VMware reserved", Role::Other),
    (uuid!("fe3a2a5d-4f32-41a7-b725-accc3285a309"), "ChromeOS kernel", Role::Other),
    (uuid!("3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec"), "ChromeOS root", Role::LinuxRoot),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_stands_in_a_table_twice() {
        for (index, row) in MBR_TYPES.iter().enumerate() {
            assert!(MBR_TYPES[..index].iter().all(|other| other.0 != row.0), "{:#x}", row.0);
        }
        for (index, row) in GPT_TYPES.iter().enumerate() {
            assert!(GPT_TYPES[..index].iter().all(|other| other.0 != row.0), "{}", row.0);
        }
    }

    #[test]
    fn types_are_shown_by_name_or_by_code() {
        for (kind, shown) in [
            (PartitionType::Mbr(0x83), "Linux"),
            (PartitionType::Mbr(0x02), "type 0x02"),
            (PartitionType::Gpt(GPT_TYPES[0].0), "EFI system"),
            (PartitionType::Gpt(Uuid::nil()), "type 00000000-0000-0000-0000-000000000000"),
        ] {
            assert_eq!(kind.to_string(), shown);
        }
    }
}
