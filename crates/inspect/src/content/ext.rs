//! ext2, ext3 and ext4.
//!
//! The superblock is 1024 bytes at 1024, little-endian. Source: "ext4 Data Structures and Algorithms"
//! in the Linux kernel's documentation; names of features as e2fsprogs prints them.

use super::{Content, ContentKind, Features, Sight};
use crate::fields::Fields;

pub(super) fn ext(sight: &Sight) -> Option<Content> {
    let block = sight.at(1024);
    if !block.has(0x38, b"\x53\xef") {
        return None;
    }
    let (compat, incompat, ro_compat) = (block.le32(0x5C)?, block.le32(0x60)?, block.le32(0x64)?);
    // e2fsprogs' largest block is 64 KiB.
    let block_size = 1024_u64 << block.le32(0x18).filter(|log| *log <= 6)?;
    let high = if incompat & BIT64 != 0 { block.le32(0x150)? } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(block.le32(4)?);
    let revision = block.le32(0x4C)?;
    Some(Content {
        label: block.text(0x78, 16),
        id: block.uuid(0x68),
        size: blocks.checked_mul(block_size),
        block_size: Some(block_size),
        // Linux refuses to set a device to blocks that are less than its sectors.
        sector_size: Some(block_size),
        version: Some(revision.to_string()),
        features: Features {
            compat: Features::names(compat.into(), COMPAT),
            incompat: Features::names(incompat.into(), INCOMPAT),
            ro_compat: Features::names(ro_compat.into(), RO_COMPAT),
        },
        last_mounted: block.text(0x88, 64),
        ..Content::of(kind(compat, incompat, ro_compat))
    })
}

/// The oldest of the three that knows these features.
fn kind(compat: u32, incompat: u32, ro_compat: u32) -> ContentKind {
    if incompat & JOURNAL_DEVICE != 0 {
        ContentKind::ExtJournal
    } else if incompat & !INCOMPAT_EXT3 != 0 || ro_compat & !RO_COMPAT_EXT3 != 0 {
        ContentKind::Ext4
    } else if compat & HAS_JOURNAL != 0 {
        ContentKind::Ext3
    } else {
        ContentKind::Ext2
    }
}

const HAS_JOURNAL: u32 = 0x4;
const JOURNAL_DEVICE: u32 = 0x8;
const BIT64: u32 = 0x80;
/// filetype, needs_recovery, meta_bg.
const INCOMPAT_EXT3: u32 = 0x2 | 0x4 | 0x10;
/// sparse_super, large_file, btree_dir.
const RO_COMPAT_EXT3: u32 = 0x1 | 0x2 | 0x4;

const COMPAT: &[(u32, &str)] = &[
    (0, "dir_prealloc"),
    (1, "imagic_inodes"),
    (2, "has_journal"),
    (3, "ext_attr"),
    (4, "resize_inode"),
    (5, "dir_index"),
    (6, "lazy_bg"),
    (8, "snapshot_bitmap"),
    (9, "sparse_super2"),
    (10, "fast_commit"),
    (11, "stable_inodes"),
    (12, "orphan_file"),
];
const INCOMPAT: &[(u32, &str)] = &[
    (0, "compression"),
    (1, "filetype"),
    (2, "needs_recovery"),
    (3, "journal_dev"),
    (4, "meta_bg"),
    (6, "extent"),
    (7, "64bit"),
    (8, "mmp"),
    (9, "flex_bg"),
    (10, "ea_inode"),
    (12, "dirdata"),
    (13, "metadata_csum_seed"),
    (14, "large_dir"),
    (15, "inline_data"),
    (16, "encrypt"),
    (17, "casefold"),
];
const RO_COMPAT: &[(u32, &str)] = &[
    (0, "sparse_super"),
    (1, "large_file"),
    (2, "btree_dir"),
    (3, "huge_file"),
    (4, "uninit_bg"),
    (5, "dir_nlink"),
    (6, "extra_isize"),
    (7, "has_snapshot"),
    (8, "quota"),
    (9, "bigalloc"),
    (10, "metadata_csum"),
    (11, "replica"),
    (12, "read-only"),
    (13, "project"),
    (14, "shared_blocks"),
    (15, "verity"),
    (16, "orphan_present"),
];
