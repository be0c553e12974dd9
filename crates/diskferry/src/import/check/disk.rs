//! What stands on the disk.

use std::any::Any;

use diskferry_inspect::{Content, ContentKind, Finding as Note, Inspection, System, TableKind};

use super::finding::{Finding, beside_the_point, none_of, not_looked_at, said};
use super::row::{Check, Need, Settled};
use crate::format::Format;
use crate::import::facts::{Facts, is_of_backup};

/// A check that only what was found on the disk answers.
pub(in crate::import) trait OnDisk: Any + Sync {
    /// As for [`Check`].
    fn settled(&self) -> Settled;

    /// Judges a disk by what was found on it.
    fn judge(&self, disk: &Inspection) -> Finding;

    /// As for [`Check`].
    fn words(&self) -> String;
}

impl<T: OnDisk> Check for T {
    fn needs(&self) -> Need {
        Need::Content
    }

    fn settled(&self) -> Settled {
        OnDisk::settled(self)
    }

    fn judge(&self, facts: &Facts) -> Finding {
        facts.content.as_ref().map_or_else(not_inspected, |disk| OnDisk::judge(self, disk))
    }

    fn words(&self) -> String {
        OnDisk::words(self)
    }
}

fn not_inspected() -> Finding {
    not_looked_at("the disk's content was not looked at")
}

/// One of these partition tables, if any.
pub(in crate::import) struct Table(pub &'static [TableKind]);

impl OnDisk for Table {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        said(
            disk.table == TableKind::None || self.0.contains(&disk.table),
            || format!("partition table: {}", disk.table),
            || format!("the partition table is {}, not {}", disk.table, words(self.0, " or ")),
        )
    }

    fn words(&self) -> String {
        format!("the partition table, if any, is {}", words(self.0, " or "))
    }
}

/// Any partition table at all.
pub(in crate::import) struct Partitioned;

impl OnDisk for Partitioned {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        said(
            disk.table != TableKind::None,
            || format!("partition table: {}", disk.table),
            || "there is no partition table".into(),
        )
    }

    fn words(&self) -> String {
        "there is a partition table".into()
    }
}

/// On a raw disk, a master boot record as OpenStack's inspector wants it, which looks into no other
/// format.
pub(in crate::import) struct OpenStackTable;

impl Check for OpenStackTable {
    fn needs(&self) -> Need {
        Need::Content
    }

    fn settled(&self) -> Settled {
        Settled::FirstSector
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let Some(disk) = &facts.content else { return not_inspected() };
        if facts.format != Format::RAW {
            return beside_the_point("the inspector looks only at the format");
        }
        let objections = disk.openstack.objections.iter().map(ToString::to_string);
        none_of(&objections.collect::<Vec<_>>(), "nothing to object to in the partition table")
    }

    fn words(&self) -> String {
        "OpenStack's inspector has nothing to object to in a raw disk's partition table".into()
    }
}

/// A partition table that counts in sectors of 512 bytes.
pub(in crate::import) struct Sectors512;

impl OnDisk for Sectors512 {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        match disk.sector_size {
            Some(size @ 513..) => Finding::Broken(format!(
                "the partition table ({}) counts in sectors of {size} bytes",
                disk.table
            )),
            _ => Finding::Holds("no partition table that counts in other sectors".into()),
        }
    }

    fn words(&self) -> String {
        "a partition table counts in sectors of 512 bytes, which is what the machine is shown"
            .into()
    }
}

/// The backup of the GPT at the disk's end, and sound.
pub(in crate::import) struct BackupGpt;

impl OnDisk for BackupGpt {
    fn settled(&self) -> Settled {
        Settled::Disk
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        none_of(&notes(disk, is_of_backup), "no GPT without its backup")
    }

    fn words(&self) -> String {
        "the backup of a GPT is at the disk's end".into()
    }
}

/// Partitions and file systems that end within the disk.
pub(in crate::import) struct Whole;

impl OnDisk for Whole {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        let is_cut = |note: &Note| matches!(note, Note::PastEnd { .. } | Note::ContentCut { .. });
        none_of(&notes(disk, is_cut), "partitions and file systems end within the disk")
    }

    fn words(&self) -> String {
        "partitions and file systems end within the disk".into()
    }
}

/// Nothing after the last partition.
pub(in crate::import) struct NothingBeyond;

impl Check for NothingBeyond {
    fn needs(&self) -> Need {
        Need::End
    }

    fn settled(&self) -> Settled {
        Settled::Disk
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match facts.stray {
            None => not_looked_at("the disk's end was not looked at"),
            Some(None) => Finding::Holds("nothing after the last partition".into()),
            Some(Some(at)) => {
                Finding::Broken(format!("there is data at {at:#x}, after the last partition"))
            }
        }
    }

    fn words(&self) -> String {
        "there is no data after the last partition".into()
    }
}

/// A disk that can start by BIOS.
pub(in crate::import) struct Bios;

impl OnDisk for Bios {
    fn settled(&self) -> Settled {
        Settled::FirstSector
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        said(
            disk.boot.bios.boot_code,
            || "there is boot code for a BIOS".into(),
            || "there is no boot code for a BIOS in the first sector".into(),
        )
    }

    fn words(&self) -> String {
        "the disk can start by BIOS".into()
    }
}

/// A loader where firmware looks for it, on disks that start by UEFI only.
pub(in crate::import) struct EfiLoader;

impl OnDisk for EfiLoader {
    fn settled(&self) -> Settled {
        Settled::Disk
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        let machines = disk.boot.uefi.architectures.iter().map(|machine| machine.key());
        let machines: Vec<&str> = machines.collect();
        said(
            disk.boot.bios.boot_code || !machines.is_empty(),
            || match machines.as_slice() {
                [] => "it starts by BIOS".into(),
                some => format!("loaders where UEFI looks: {}", some.join(", ")),
            },
            || {
                "there is no boot code for a BIOS, and no EFI/BOOT/BOOT*.EFI on an EFI system \
                 partition"
                    .into()
            },
        )
    }

    fn words(&self) -> String {
        "a disk that starts by UEFI alone has EFI/BOOT/BOOT*.EFI".into()
    }
}

/// No Windows on a GPT.
pub(in crate::import) struct NoWindowsOnGpt;

impl OnDisk for NoWindowsOnGpt {
    fn settled(&self) -> Settled {
        Settled::Disk
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        said(
            !matches!(disk.table, TableKind::Gpt | TableKind::HybridMbr)
                || disk.root.is_none_or(|root| root.system != System::Windows),
            || "no Windows on a GPT".into(),
            || "Windows starts from a GPT".into(),
        )
    }

    fn words(&self) -> String {
        "Windows does not start from a GPT".into()
    }
}

/// A root file system of these, where there is one to be seen.
pub(in crate::import) struct Root(pub &'static [ContentKind]);

impl OnDisk for Root {
    fn settled(&self) -> Settled {
        Settled::Disk
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        match disk.root {
            None => beside_the_point("no root file system to be seen"),
            Some(root) if root.hidden => {
                beside_the_point(&format!("the root is in an {}", root.kind))
            }
            Some(root) => said(
                self.0.contains(&root.kind),
                || format!("the root file system is {}", root.kind),
                || {
                    let wanted = words(self.0, ", ");
                    format!("the root file system is {}, not among: {wanted}", root.kind)
                },
            ),
        }
    }

    fn words(&self) -> String {
        format!("the root file system is one of: {}", words(self.0, ", "))
    }
}

/// No file system of the ext family with all of these features.
pub(in crate::import) struct NoExtFeatures(pub &'static [&'static str]);

impl OnDisk for NoExtFeatures {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        let is_ext =
            |kind| matches!(kind, ContentKind::Ext2 | ContentKind::Ext3 | ContentKind::Ext4);
        let found = places(disk, |content| {
            is_ext(content.kind) && self.0.iter().all(|feature| content.features.has(feature))
        });
        let features = self.0.join(" and ");
        let found: Vec<String> =
            found.iter().map(|place| format!("{place} has {features}")).collect();
        none_of(&found, "no such feature")
    }

    fn words(&self) -> String {
        format!("no ext2, ext3 or ext4 has {}", self.0.join(" together with "))
    }
}

/// No encrypted partition.
pub(in crate::import) struct NotEncrypted;

impl OnDisk for NotEncrypted {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        none_of(&places(disk, |content| content.kind.is_encrypted()), "nothing is encrypted")
    }

    fn words(&self) -> String {
        "nothing is encrypted".into()
    }
}

/// No logical volumes.
pub(in crate::import) struct NoVolumes;

impl OnDisk for NoVolumes {
    fn settled(&self) -> Settled {
        Settled::Table
    }

    fn judge(&self, disk: &Inspection) -> Finding {
        let is_volume =
            |it: &Content| matches!(it.kind, ContentKind::Lvm2 | ContentKind::LinuxRaid);
        none_of(&places(disk, is_volume), "no logical volumes")
    }

    fn words(&self) -> String {
        "there are no logical volumes".into()
    }
}

fn words(kinds: &[impl ToString], between: &str) -> String {
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// What of the disk's content is so: `partition 2: ext4`.
fn places(disk: &Inspection, is: impl Fn(&Content) -> bool) -> Vec<String> {
    let whole = disk.content.iter().map(|content| (None, content));
    let parts = disk.partitions.iter();
    let parts = parts.filter_map(|part| Some((Some(part.number), part.content.as_ref()?)));
    whole
        .chain(parts)
        .filter(|(_, content)| is(content))
        .map(|(number, content)| match number {
            Some(number) => format!("partition {number}: {content}"),
            None => format!("the disk: {content}"),
        })
        .collect()
}

fn notes(disk: &Inspection, is: impl Fn(&Note) -> bool) -> Vec<String> {
    disk.notes.iter().filter(|note| is(&note.finding)).map(ToString::to_string).collect()
}
