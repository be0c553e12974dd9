//! ISO 9660 and SquashFS.

use std::borrow::Cow;

use super::{Content, ContentKind, Features, Sight};
use crate::fields::Fields;

/// ISO 9660: the primary volume descriptor is sector 16, of 2048 bytes. Source: ECMA-119, 8.4.
pub(super) fn iso9660(sight: &Sight) -> Option<Content> {
    let descriptor = sight.at(16 * 2048);
    if !descriptor.has(0, b"\x01CD001") {
        return None;
    }
    let block_size = u64::from(descriptor.le16(128)?);
    Some(Content {
        label: descriptor.text(40, 32),
        size: u64::from(descriptor.le32(80)?).checked_mul(block_size),
        block_size: Some(block_size),
        ..Content::of(ContentKind::Iso9660)
    })
}

/// SquashFS 4: little-endian, at 0. Source: squashfs_fs.h of the Linux kernel.
pub(super) fn squashfs(sight: &Sight) -> Option<Content> {
    let block = sight.at(0);
    if !block.has(0, b"hsqs") {
        return None;
    }
    let compression = match block.le16(20)? {
        1 => "gzip",
        2 => "lzma",
        3 => "lzo",
        4 => "xz",
        5 => "lz4",
        6 => "zstd",
        _ => "unknown compression",
    };
    Some(Content {
        size: block.le64(40),
        block_size: Some(block.le32(12)?.into()),
        version: Some(format!("{}.{}", block.le16(28)?, block.le16(30)?)),
        features: Features { incompat: vec![Cow::Borrowed(compression)], ..Features::default() },
        ..Content::of(ContentKind::SquashFs)
    })
}
