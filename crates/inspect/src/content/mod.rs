//! What is in a partition, by the signatures and superblocks that stand in it.

mod apple;
mod ext;
mod linux;
mod members;
mod microsoft;
mod optical;
mod sight;

use std::borrow::Cow;
use std::fmt;

use diskferry_block_stream::Result;
use serde::{Serialize, Serializer};

use crate::reader::Reader;
pub(crate) use sight::Sight;

/// What is in a partition, or on a disk without partitions: a file system, or what wraps one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// The name that people gave it.
    pub label: Option<String>,
    /// Its UUID or serial number, as blkid prints it.
    pub id: Option<String>,
    /// Bytes that it takes, where it says so.
    pub size: Option<u64>,
    /// Bytes of a block or cluster, where it says so.
    pub block_size: Option<u64>,
    /// The smallest sectors that it can be read from, in bytes, where that is known: larger ones it does not
    /// take.
    pub sector_size: Option<u64>,
    /// The version of its layout, where it says one.
    pub version: Option<String>,
    /// What it needs of whoever reads it, where it says so.
    pub features: Features,
    /// Where it was mounted last (ext2, ext3, ext4).
    pub last_mounted: Option<String>,
    /// For a member of something larger: of what.
    pub member_of: Option<String>,
}

/// What a file system needs, in the words of its own tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Nobody needs to know these.
    pub compat: Vec<Cow<'static, str>>,
    /// Who does not know these must not touch it.
    pub incompat: Vec<Cow<'static, str>>,
    /// Who does not know these must not write it.
    pub ro_compat: Vec<Cow<'static, str>>,
}

impl Features {
    /// Whether this is one of them.
    pub fn has(&self, name: &str) -> bool {
        [&self.compat, &self.incompat, &self.ro_compat].into_iter().flatten().any(|has| has == name)
    }

    /// The names of the bits that are set; those without a name as `UNKNOWN_0x…`.
    fn names(bits: u64, known: &[(u32, &'static str)]) -> Vec<Cow<'static, str>> {
        let set = (0..64).filter(|bit| bits >> bit & 1 == 1);
        set.map(|bit| match known.iter().find(|(number, _)| *number == bit) {
            Some((_, name)) => Cow::Borrowed(*name),
            None => Cow::Owned(format!("UNKNOWN_{:#x}", 1_u64 << bit)),
        })
        .collect()
    }
}

/// The kinds of content that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it")]
pub enum ContentKind {
    Ext2,
    Ext3,
    Ext4,
    /// A journal of ext3 or ext4 on a device of its own.
    ExtJournal,
    Xfs,
    Btrfs,
    F2fs,
    Ntfs,
    Refs,
    Fat12,
    Fat16,
    Fat32,
    ExFat,
    HfsPlus,
    Apfs,
    Iso9660,
    SquashFs,
    Swap,
    /// Memory that was put to sleep in a swap partition.
    Hibernation,
    Lvm2,
    Luks1,
    Luks2,
    LinuxRaid,
    Zfs,
    Bcache,
    Vmfs,
    BitLocker,
}

impl ContentKind {
    /// The stable name, which JSON has: `ext4`, `fat32`, `lvm2`.
    pub fn key(self) -> &'static str {
        self.names().0
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ext2 => ("ext2", "ext2"),
            Self::Ext3 => ("ext3", "ext3"),
            Self::Ext4 => ("ext4", "ext4"),
            Self::ExtJournal => ("ext_journal", "journal of an ext4"),
            Self::Xfs => ("xfs", "XFS"),
            Self::Btrfs => ("btrfs", "Btrfs"),
            Self::F2fs => ("f2fs", "F2FS"),
            Self::Ntfs => ("ntfs", "NTFS"),
            Self::Refs => ("refs", "ReFS"),
            Self::Fat12 => ("fat12", "FAT12"),
            Self::Fat16 => ("fat16", "FAT16"),
            Self::Fat32 => ("fat32", "FAT32"),
            Self::ExFat => ("exfat", "exFAT"),
            Self::HfsPlus => ("hfsplus", "HFS+"),
            Self::Apfs => ("apfs", "APFS"),
            Self::Iso9660 => ("iso9660", "ISO 9660"),
            Self::SquashFs => ("squashfs", "SquashFS"),
            Self::Swap => ("swap", "swap"),
            Self::Hibernation => ("hibernation", "hibernated memory"),
            Self::Lvm2 => ("lvm2", "LVM2 physical volume"),
            Self::Luks1 => ("luks1", "LUKS1 volume"),
            Self::Luks2 => ("luks2", "LUKS2 volume"),
            Self::LinuxRaid => ("linux_raid", "Linux RAID member"),
            Self::Zfs => ("zfs", "ZFS member"),
            Self::Bcache => ("bcache", "bcache device"),
            Self::Vmfs => ("vmfs", "VMFS"),
            Self::BitLocker => ("bitlocker", "BitLocker volume"),
        }
    }

    /// Whether it wraps file systems that cannot be seen from outside.
    pub fn is_wrapper(self) -> bool {
        matches!(
            self,
            Self::Lvm2
                | Self::Luks1
                | Self::Luks2
                | Self::LinuxRaid
                | Self::Zfs
                | Self::Bcache
                | Self::BitLocker
        )
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Luks1 | Self::Luks2 | Self::BitLocker)
    }

    /// Whether it is a FAT of any width.
    pub fn is_fat(self) -> bool {
        matches!(self, Self::Fat12 | Self::Fat16 | Self::Fat32)
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().1)
    }
}

impl Serialize for ContentKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(label) = &self.label {
            write!(f, " '{label}'")?;
        }
        Ok(())
    }
}

impl Content {
    /// Content of which only the kind is known so far.
    pub(crate) fn of(kind: ContentKind) -> Self {
        Self {
            kind,
            label: None,
            id: None,
            size: None,
            block_size: None,
            sector_size: None,
            version: None,
            features: Features::default(),
            last_mounted: None,
            member_of: None,
        }
    }
}

/// Everything that partitions, each of a start and a length in bytes, have a signature of, the likeliest
/// first.
pub(crate) fn look(reader: &mut Reader<'_>, places: &[(u64, u64)]) -> Result<Vec<Vec<Content>>> {
    let sights = Sight::load(reader, places)?;
    let signatures = |sight| PROBES.iter().filter_map(|probe| probe(sight)).collect();
    Ok(sights.iter().map(signatures).collect())
}

/// What wraps a file system comes first: the file system's own signature may show through a RAID of
/// mirrors. The weakest signature, FAT's, is the last.
const PROBES: &[fn(&Sight) -> Option<Content>] = &[
    members::luks,
    members::lvm2,
    members::linux_raid,
    members::linux_raid_0_90,
    members::bcache,
    members::zfs,
    members::vmfs,
    microsoft::bitlocker,
    ext::ext,
    linux::xfs,
    linux::btrfs,
    linux::f2fs,
    linux::swap,
    microsoft::ntfs,
    microsoft::refs,
    microsoft::exfat,
    apple::apfs,
    apple::hfs_plus,
    optical::iso9660,
    optical::squashfs,
    crate::fat::content,
];
