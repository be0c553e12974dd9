//! XFS, Btrfs, F2FS and swap.

use super::{Content, ContentKind, Features, Sight};
use crate::fields::Fields;

/// XFS: big-endian, at 0. Source: "XFS Algorithms & Data Structures", xfs_format.h.
pub(super) fn xfs(sight: &Sight) -> Option<Content> {
    let block = sight.at(0);
    if !block.has(0, b"XFSB") {
        return None;
    }
    let block_size = u64::from(block.be32(4)?);
    if !block_size.is_power_of_two() || !(512..=65536).contains(&block_size) {
        return None;
    }
    let version = block.be16(100)? & 0xF;
    let features = if version >= 5 {
        Features {
            compat: Features::names(block.be32(208)?.into(), &[]),
            ro_compat: Features::names(block.be32(212)?.into(), XFS_RO_COMPAT),
            incompat: Features::names(block.be32(216)?.into(), XFS_INCOMPAT),
        }
    } else {
        Features::default()
    };
    Some(Content {
        label: block.text(108, 12),
        id: block.uuid(32),
        size: block.be64(8)?.checked_mul(block_size),
        block_size: Some(block_size),
        sector_size: Some(u64::from(block.be16(102)?)),
        version: Some(version.to_string()),
        features,
        ..Content::of(ContentKind::Xfs)
    })
}

const XFS_RO_COMPAT: &[(u32, &str)] =
    &[(0, "finobt"), (1, "rmapbt"), (2, "reflink"), (3, "inobtcount")];
const XFS_INCOMPAT: &[(u32, &str)] = &[
    (0, "ftype"),
    (1, "sparse"),
    (2, "meta_uuid"),
    (3, "bigtime"),
    (4, "needsrepair"),
    (5, "nrext64"),
    (6, "exchange"),
    (7, "parent"),
    (8, "metadir"),
];

/// Btrfs: little-endian, at 64 KiB. Source: "On-disk Format" of the Btrfs documentation.
pub(super) fn btrfs(sight: &Sight) -> Option<Content> {
    let block = sight.at(0x1_0000);
    if !block.has(0x40, b"_BHRfS_M") {
        return None;
    }
    let devices = block.le64(0x88)?;
    Some(Content {
        label: block.text(0x12B, 256),
        id: block.uuid(0x20),
        // Of this device; the whole may span several.
        size: block.le64(0xD1),
        block_size: Some(block.le32(0x90)?.into()),
        features: Features {
            compat: Features::names(block.le64(0xAC)?, &[]),
            ro_compat: Features::names(block.le64(0xB4)?, BTRFS_RO_COMPAT),
            incompat: Features::names(block.le64(0xBC)?, BTRFS_INCOMPAT),
        },
        member_of: (devices > 1).then(|| format!("a Btrfs of {devices} devices")),
        ..Content::of(ContentKind::Btrfs)
    })
}

const BTRFS_RO_COMPAT: &[(u32, &str)] =
    &[(0, "free_space_tree"), (1, "free_space_tree_valid"), (2, "verity"), (3, "block_group_tree")];
const BTRFS_INCOMPAT: &[(u32, &str)] = &[
    (0, "mixed_backref"),
    (1, "default_subvol"),
    (2, "mixed_groups"),
    (3, "compress_lzo"),
    (4, "compress_zstd"),
    (5, "big_metadata"),
    (6, "extended_iref"),
    (7, "raid56"),
    (8, "skinny_metadata"),
    (9, "no_holes"),
    (10, "metadata_uuid"),
    (11, "raid1c34"),
    (12, "zoned"),
    (13, "extent_tree_v2"),
    (14, "raid_stripe_tree"),
    (16, "simple_quota"),
];

/// F2FS: little-endian, at 1024. Source: f2fs_fs.h of the Linux kernel.
pub(super) fn f2fs(sight: &Sight) -> Option<Content> {
    let block = sight.at(1024);
    if block.le32(0)? != 0xF2F5_2010 {
        return None;
    }
    let block_size = 1_u64 << block.le32(16).filter(|log| (9..=16).contains(log))?;
    Some(Content {
        label: block.text16(124, 1024),
        id: block.uuid(108),
        size: block.le64(36)?.checked_mul(block_size),
        block_size: Some(block_size),
        version: Some(format!("{}.{}", block.le16(4)?, block.le16(6)?)),
        features: Features {
            incompat: Features::names(block.le32(2180)?.into(), F2FS_FEATURES),
            ..Features::default()
        },
        ..Content::of(ContentKind::F2fs)
    })
}

const F2FS_FEATURES: &[(u32, &str)] = &[
    (0, "encrypt"),
    (1, "blkzoned"),
    (2, "atomic_write"),
    (3, "extra_attr"),
    (4, "project_quota"),
    (5, "inode_checksum"),
    (6, "flexible_inline_xattr"),
    (7, "quota"),
    (8, "inode_crtime"),
    (9, "lost_found"),
    (10, "verity"),
    (11, "sb_checksum"),
    (12, "casefold"),
    (13, "compression"),
    (14, "ro"),
];

/// Swap: the signature ends the first page, of whichever size; the header is at 1024, in the byte
/// order of its machine. Source: swap.h of the Linux kernel, mkswap.
pub(super) fn swap(sight: &Sight) -> Option<Content> {
    for page in [4096, 8192, 16384, 65536_u64] {
        let magic = sight.at(page - 10);
        if magic.has(0, b"S1SUSPEND") || magic.has(0, b"S2SUSPEND") || magic.has(0, b"ULSUSPEND") {
            return Some(Content::of(ContentKind::Hibernation));
        }
        if magic.has(0, b"SWAPSPACE2") {
            let header = sight.at(1024);
            let last = match (header.le32(0)?, header.be32(0)?) {
                (1, _) => Some(header.le32(4)?),
                (_, 1) => Some(header.be32(4)?),
                _ => None,
            };
            return Some(Content {
                label: header.text(28, 16),
                id: header.uuid(12),
                size: last.map(|last| (u64::from(last) + 1) * page),
                block_size: Some(page),
                ..Content::of(ContentKind::Swap)
            });
        }
    }
    None
}
