//! NTFS, ReFS, exFAT and BitLocker: all begin with a boot sector, and are little-endian.

use super::{Content, ContentKind, Sight};
use crate::fields::Fields;

/// NTFS. Source: "NTFS Boot Sector" of Microsoft's documentation; linux-ntfs' layout.h.
pub(super) fn ntfs(sight: &Sight) -> Option<Content> {
    let sector = sight.at(0);
    if !sector.has(3, b"NTFS    ") || !sector.has(510, b"\x55\xaa") {
        return None;
    }
    let bytes = u64::from(sector.le16(11)?);
    if !bytes.is_power_of_two() || !(256..=4096).contains(&bytes) {
        return None;
    }
    // Above 0x80 it is a negative power of two.
    let cluster = match sector.byte(13)? {
        per @ 1..=0x80 => u64::from(per),
        per => 1_u64.checked_shl(256 - u32::from(per))?,
    };
    Some(Content {
        id: Some(format!("{:016X}", sector.le64(0x48)?)),
        // Without the backup of this sector, which stands behind it.
        size: sector.le64(0x28)?.checked_mul(bytes),
        block_size: cluster.checked_mul(bytes),
        sector_size: Some(bytes),
        ..Content::of(ContentKind::Ntfs)
    })
}

/// ReFS. Source: libyal's "Resilient File System" documentation.
pub(super) fn refs(sight: &Sight) -> Option<Content> {
    let sector = sight.at(0);
    if !sector.has(3, b"ReFS\0\0\0\0") || !sector.has(16, b"FSRS") {
        return None;
    }
    let bytes = u64::from(sector.le32(0x20)?);
    Some(Content {
        id: Some(format!("{:016X}", sector.le64(0x38)?)),
        size: sector.le64(0x18)?.checked_mul(bytes),
        block_size: bytes.checked_mul(sector.le32(0x24)?.into()),
        version: Some(format!("{}.{}", sector.byte(0x28)?, sector.byte(0x29)?)),
        ..Content::of(ContentKind::Refs)
    })
}

/// exFAT. Source: Microsoft's "exFAT file system specification", 3.1.
pub(super) fn exfat(sight: &Sight) -> Option<Content> {
    let sector = sight.at(0);
    if !sector.has(3, b"EXFAT   ") || !sector.has(510, b"\x55\xaa") {
        return None;
    }
    let bytes = 1_u64 << sector.byte(108).filter(|shift| (9..=12).contains(shift))?;
    let cluster = bytes << sector.byte(109).filter(|shift| *shift <= 16)?;
    let serial = sector.le32(100)?;
    Some(Content {
        id: Some(format!("{:04X}-{:04X}", serial >> 16, serial & 0xFFFF)),
        size: sector.le64(72)?.checked_mul(bytes),
        block_size: Some(cluster),
        sector_size: Some(bytes),
        version: Some(format!("{}.{:02}", sector.byte(105)?, sector.byte(104)?)),
        ..Content::of(ContentKind::ExFat)
    })
}

/// BitLocker. Source: libyal's "BitLocker Drive Encryption" documentation.
pub(super) fn bitlocker(sight: &Sight) -> Option<Content> {
    let sector = sight.at(0);
    // On a removable disk a FAT with a reader for older systems stands before it.
    let is_to_go = sector.has(3, b"MSWIN4.1") && sector.has(424, TO_GO);
    (sector.has(3, b"-FVE-FS-") || is_to_go).then(|| Content::of(ContentKind::BitLocker))
}

/// 4967d63b-2e29-4ad8-8399-f6a339e3d001
const TO_GO: &[u8] = b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01";
