//! Which partition the operating system lives in: a guess.

use std::fmt;

use serde::Serialize;

use crate::content::ContentKind;
use crate::{Content, Partition, Role};

/// The best guess at the operating system's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// The partition's number; `None` for a disk without partitions.
    pub partition: Option<u32>,
    /// Whose it is.
    pub system: System,
    /// The file system; or what wraps it (LVM, LUKS, a RAID), which hides its kind.
    pub kind: ContentKind,
    /// Whether it is wrapped, so that nothing can be said about the file system itself.
    pub hidden: bool,
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, kind, .. } = self;
        write!(f, "{system} {} {kind}", if self.hidden { "behind" } else { "on" })?;
        match self.partition {
            Some(number) => write!(f, ", partition {number}"),
            None => f.write_str(", without partitions"),
        }
    }
}

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Linux, by its file systems and partition types.
    Linux,
    /// Windows, by NTFS or ReFS where it would be.
    Windows,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
        })
    }
}

impl Root {
    /// Guesses from what the partitions are called and hold, or from what the whole disk holds.
    pub(crate) fn guess(partitions: &[Partition], whole: Option<&Content>) -> Option<Self> {
        if partitions.is_empty() {
            let (kind, system) = whole.and_then(|whole| Some((whole.kind, system(whole.kind)?)))?;
            return Some(Self { partition: None, system, kind, hidden: kind.is_wrapper() });
        }
        let best = partitions.iter().filter_map(|part| Some((score(part)?, part)));
        // Of those that look alike, the largest; of those of one size, the first.
        let (_, part) = best.min_by_key(|(score, part)| {
            (std::cmp::Reverse(*score), std::cmp::Reverse(part.length), part.number)
        })?;
        let kind = part.content.as_ref()?.kind;
        let partition = Some(part.number);
        Some(Self { partition, system: system(kind)?, kind, hidden: kind.is_wrapper() })
    }
}

/// The system that keeps its root in this; `None` where none would.
fn system(kind: ContentKind) -> Option<System> {
    match kind {
        ContentKind::Ext2
        | ContentKind::Ext3
        | ContentKind::Ext4
        | ContentKind::Xfs
        | ContentKind::Btrfs
        | ContentKind::F2fs
        | ContentKind::SquashFs
        | ContentKind::Lvm2
        | ContentKind::Luks1
        | ContentKind::Luks2
        | ContentKind::LinuxRaid
        | ContentKind::Zfs
        | ContentKind::Bcache => Some(System::Linux),
        ContentKind::Ntfs | ContentKind::Refs | ContentKind::BitLocker => Some(System::Windows),
        _ => None,
    }
}

/// How much speaks for a partition being the root; `None` where it cannot be.
fn score(part: &Partition) -> Option<u32> {
    let content = part.content.as_ref()?;
    system(content.kind)?;
    if matches!(part.role, Role::EfiSystem | Role::LinuxBoot | Role::WindowsRecovery) {
        return None;
    }
    let names = [&content.label, &part.name, &content.last_mounted];
    let is_called = |wanted: &[&str]| {
        names
            .iter()
            .filter_map(|name| name.as_deref())
            .any(|name| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)))
    };
    Some(if part.role == Role::LinuxBeside {
        0
    } else if part.role == Role::LinuxRoot || content.last_mounted.as_deref() == Some("/") {
        4
    } else if is_called(ROOTS) {
        3
    } else if is_called(NOT_ROOTS) {
        0
    } else if content.kind == ContentKind::SquashFs {
        1
    } else {
        2
    })
}

/// What images call their root file system: the label, or the partition.
const ROOTS: &[&str] = &["/", "root", "rootfs", "cloudimg-rootfs", "rootfs-a", "windows"];
/// What is beside it: the place where it was mounted, the label, or the partition.
const NOT_ROOTS: &[&str] = &[
    "/boot",
    "boot",
    "/home",
    "home",
    "/var",
    "var",
    "/data",
    "data",
    "/usr",
    "swap",
    "recovery",
    "system reserved",
];
