//! Rules that hold for many targets.

use super::super::check::{self, NameRule};
use super::super::rule::{Rule, Source};

pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// The numbers in a table are of the sectors that the disk shows, and all of these show sectors of 512 bytes.
pub(super) const SECTORS: Rule = Rule::new(
    "sector-512",
    &check::Sectors512,
    Source { title: "UEFI specification 2.10, 5.3: GPTs count in a disk's logical blocks", date: "2022-08" },
)
.hint("a GPT is written anew by --gpt-sectors 512; a DOS table is not: copy its partitions to another disk");

/// What holds wherever an image goes.
const EVERYWHERE: Source = Source { title: "what the format itself says", date: "2026-11" };

/// Tables that contradict themselves are refused somewhere, or lose data; so does data that cannot be
/// unpacked.
pub(super) const SOUND: Rule = Rule::new("sound", &check::Sound, EVERYWHERE)
    .hint("convert it: what can be read arrives whole, and what cannot is an error with its place");

/// Nothing but the object is uploaded.
pub(super) const NO_PARENT: Rule = Rule::new("no-backing-file", &check::NoParent, EVERYWHERE);

/// Nothing but the object is uploaded.
pub(super) const ONE_FILE: Rule = Rule::new("one-file", &check::OneFile, EVERYWHERE);

/// Importers that look into a system, to put drivers or keys there, find none. No document of those
/// who only have this rule says so.
pub(super) const NOT_ENCRYPTED: Rule = Rule::new("not-encrypted", &check::NotEncrypted, EVERYWHERE)
    .unverified()
    .hint("decrypt it in the guest before the export, unless the import takes disks as they are");

/// A VMDK that has a name of its own for its parts is a text, and only one of them would go.
pub(super) const WHOLE_VMDK: Rule = Rule::new(
    "whole-vmdk",
    &check::FileName(NameRule {
        what: "file name",
        text: "not that of a part or a delta of a VMDK, such as -flat.vmdk, -s001.vmdk, -delta.vmdk",
        length: (0, usize::MAX),
        allows: is_whole_vmdk,
    }),
    EVERYWHERE,
)
.unverified()
.hint("convert the descriptor, the .vmdk that is a text, with its parts beside it");

fn is_whole_vmdk(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let part = lower.strip_suffix(".vmdk").and_then(|stem| stem.rsplit_once('-'));
    let Some((_, part)) = part else { return true };
    let is_numbered = |part: &str| {
        let digits = part.strip_prefix(['s', 'f']).unwrap_or_default();
        digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    !["flat", "delta", "sesparse", "rdm", "rdmp", "ctk"].contains(&part) && !is_numbered(part)
}

/// A partition that is cut does not start.
pub(super) const WHOLE: Rule = Rule::new("whole-partitions", &check::Whole, EVERYWHERE)
    .warns()
    .hint("the disk was cut: export it again, whole");

/// Guests mend it by themselves, but complain; tools refuse to change such a table.
pub(super) const BACKUP_GPT: Rule = Rule::new(
    "backup-gpt",
    &check::BackupGpt,
    Source { title: "UEFI specification 2.10, 5.3.2: GPT header", date: "2022-08" },
)
.warns()
.hint("convert it with --move-gpt; or in the guest: sgdisk --move-second-header /dev/DISK");

/// It arrives, but what made it may not expect to find it there.
pub(super) const NOTHING_BEYOND: Rule =
    Rule::new("nothing-beyond", &check::NothingBeyond, EVERYWHERE)
        .warns()
        .hint("look what it is before the disk is shrunk or its last partition grown");

/// A disk for a machine should have a partition to start from.
pub(super) const PARTITIONED: Rule = Rule::new("partitioned", &check::Partitioned, EVERYWHERE)
    .warns()
    .hint("a disk without a partition table is a data disk to most importers");

/// Firmware finds no other loader on a disk that it has not seen before.
pub(super) const EFI_LOADER: Rule = Rule::new(
    "efi-loader",
    &check::EfiLoader,
    Source { title: "UEFI specification 2.10, 3.5.1.1: removable media", date: "2022-08" },
)
.warns()
.hint("in the guest: grub-install --removable, or copy the loader to EFI/BOOT/BOOTX64.EFI");
