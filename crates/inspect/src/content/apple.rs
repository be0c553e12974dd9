//! HFS+ and APFS.

use super::{Content, ContentKind, Features, Sight};
use crate::fields::Fields;

/// APFS: little-endian, at 0. Source: Apple's "Apple File System Reference", Container.
pub(super) fn apfs(sight: &Sight) -> Option<Content> {
    let block = sight.at(0);
    if !block.has(32, b"NXSB") {
        return None;
    }
    let block_size = u64::from(block.le32(36)?);
    Some(Content {
        id: block.uuid(72),
        size: block.le64(40)?.checked_mul(block_size),
        block_size: Some(block_size),
        features: Features {
            compat: Features::names(block.le64(48)?, &[(0, "defrag"), (1, "low_capacity_fusion")]),
            ro_compat: Features::names(block.le64(56)?, &[]),
            incompat: Features::names(
                block.le64(64)?,
                &[(0, "version1"), (1, "version2"), (8, "fusion")],
            ),
        },
        ..Content::of(ContentKind::Apfs)
    })
}

/// HFS+ and HFSX: big-endian, at 1024. Source: Apple's Technical Note 1150.
pub(super) fn hfs_plus(sight: &Sight) -> Option<Content> {
    let block = sight.at(1024);
    let version = block.be16(2)?;
    if !(block.has(0, b"H+") && version == 4 || block.has(0, b"HX") && version == 5) {
        return None;
    }
    let block_size = u64::from(block.be32(40)?);
    Some(Content {
        id: block.be64(104).filter(|id| *id != 0).map(|id| format!("{id:016x}")),
        size: u64::from(block.be32(44)?).checked_mul(block_size),
        block_size: Some(block_size),
        version: Some(version.to_string()),
        ..Content::of(ContentKind::HfsPlus)
    })
}
