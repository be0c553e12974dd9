//! What wraps file systems: LUKS, LVM2, Linux RAID, bcache, ZFS, VMFS.

use super::{Content, ContentKind, Sight};
use crate::fields::Fields;

/// LUKS: big-endian, at 0. Source: "LUKS1 On-Disk Format" 1.2.3, "LUKS2 On-Disk Format" 1.1.
pub(super) fn luks(sight: &Sight) -> Option<Content> {
    let header = sight.at(0);
    if !header.has(0, b"LUKS\xba\xbe") {
        return None;
    }
    let (kind, label) = match header.be16(6)? {
        1 => (ContentKind::Luks1, None),
        2 => (ContentKind::Luks2, header.text(24, 48)),
        _ => return None,
    };
    Some(Content { label, id: header.text(168, 40), ..Content::of(kind) })
}

/// LVM2: a label in one of the first four sectors. Source: LVM2's lib/label/label.h and
/// lib/format_text/layout.h.
pub(super) fn lvm2(sight: &Sight) -> Option<Content> {
    let label = (0..4)
        .map(|sector| sight.at(512 * sector))
        .find(|sector| sector.has(0, b"LABELONE") && sector.has(24, b"LVM2 001"))?;
    let header = label.le32(20)? as usize;
    let id = label.text(header, 32).filter(|id| id.is_ascii() && id.len() == 32);
    Some(Content {
        // As LVM's tools print it.
        id: id.map(|id| {
            let groups = [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32];
            groups.map(|group| id[group].to_owned()).join("-")
        }),
        size: label.le64(header.checked_add(32)?).filter(|size| *size > 0),
        ..Content::of(ContentKind::Lvm2)
    })
}

/// Linux RAID, superblock 1.x: at the start (1.1), 4 KiB after it (1.2), or 8 KiB before the end (1.0).
/// Source: md_p.h of the Linux kernel.
pub(super) fn linux_raid(sight: &Sight) -> Option<Content> {
    let at_end = (sight.length.checked_sub(8192)?) & !0xFFF;
    let places = [(0, "1.1"), (4096, "1.2"), (at_end, "1.0")];
    let (at, version) = places.into_iter().find(|(at, _)| {
        let block = sight.at(*at);
        // It says where it is, so that an old copy elsewhere is not taken for one.
        block.le32(0) == Some(MD_MAGIC)
            && block.le32(4) == Some(1)
            && block.le64(144) == Some(at / 512)
    })?;
    let block = sight.at(at);
    let data = block.le64(128)?.checked_add(block.le64(136)?);
    Some(Content {
        label: block.text(32, 32),
        id: block.uuid(16),
        size: data.and_then(|sectors| sectors.checked_mul(512)),
        version: Some(version.to_owned()),
        member_of: Some(level(block.le32(72)?.cast_signed(), block.le32(92)?)),
        ..Content::of(ContentKind::LinuxRaid)
    })
}

/// Linux RAID, superblock 0.90: in the last whole 64 KiB but one, in its machine's byte order.
pub(super) fn linux_raid_0_90(sight: &Sight) -> Option<Content> {
    let block = sight.at((sight.length & !0xFFFF).checked_sub(0x1_0000)?);
    let read = |at| match block.le32(0) {
        Some(MD_MAGIC) => block.le32(at),
        _ => block.be32(at),
    };
    if read(0)? != MD_MAGIC || read(4)? != 0 {
        return None;
    }
    let id = [20, 52, 56, 60].map(|at| read(at).unwrap_or_default());
    Some(Content {
        id: Some(id.map(|part| format!("{part:08x}")).join(":")),
        version: Some("0.90".to_owned()),
        member_of: Some(level(read(28)?.cast_signed(), read(40)?)),
        ..Content::of(ContentKind::LinuxRaid)
    })
}

fn level(level: i32, devices: u32) -> String {
    match level {
        -1 => "a linear array".to_owned(),
        level => format!("a RAID{level} of {devices} devices"),
    }
}

const MD_MAGIC: u32 = 0xA92B_4EFC;

/// bcache: little-endian, at 4096. Source: bcache.h of the Linux kernel's user interface.
pub(super) fn bcache(sight: &Sight) -> Option<Content> {
    let block = sight.at(4096);
    if !block.has(24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81") {
        return None;
    }
    Some(Content {
        label: block.text(72, 32),
        id: block.uuid(40),
        version: Some(block.le64(16)?.to_string()),
        ..Content::of(ContentKind::Bcache)
    })
}

/// ZFS: the first label's list of names and values is at 16 KiB, in XDR, and begins with its version.
/// Source: "ZFS On-Disk Specification" (Sun, 2006), chapter 1.3.
pub(super) fn zfs(sight: &Sight) -> Option<Content> {
    let list = sight.at(0x4000);
    // Encoding XDR, either byte order; then version 0 and flags 1 of the list.
    let head = list.part(0, 12)?;
    if head[0] != 1 || head[1] > 1 || !list.has(4, b"\0\0\0\0\0\0\0\x01") {
        return None;
    }
    // Sizes of the pair, the length of its name, the name.
    if !list.has(20, b"\0\0\0\x07version\0") {
        return None;
    }
    // Type 8 is a 64-bit number, of which there is one.
    let version = (list.be32(32)? == 8).then(|| list.be64(40)).flatten();
    Some(Content {
        label: zfs_pool(list),
        version: version.map(|version| version.to_string()),
        ..Content::of(ContentKind::Zfs)
    })
}

/// The pool's name: a pair named "name" with one string.
fn zfs_pool(list: &[u8]) -> Option<String> {
    let list = &list[..list.len().min(1024)];
    let pair = list.windows(8).position(|window| window == b"\0\0\0\x04name")?;
    let after = list.get(pair + 8..)?;
    // Type 9 is a string; one of it; its length; the string.
    if after.be32(0)? != 9 || after.be32(4)? != 1 {
        return None;
    }
    after.text(12, after.be32(8)?.min(256) as usize)
}

/// VMFS: a volume's header at 1 MiB, the file system's at 2 MiB. Source: the layout as vmfs-tools and
/// blkid read it.
pub(super) fn vmfs(sight: &Sight) -> Option<Content> {
    let volume = sight.at(1 << 20);
    let system = sight.at(2 << 20);
    let (is_volume, is_system) =
        (volume.has(0, b"\x0d\xd0\x01\xc0"), system.has(0, b"\x5e\xf1\xab\x2f"));
    if !is_volume && !is_system {
        return None;
    }
    let version = if is_system { system.le32(4) } else { volume.le32(4) };
    Some(Content {
        version: version.map(|version| version.to_string()),
        ..Content::of(ContentKind::Vmfs)
    })
}
