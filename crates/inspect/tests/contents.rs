//! File systems and what wraps them: made by their own tools, or by hand, with blkid as the judge.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{MIB, Sparse, Table, empty, findings, inspect_file, text, tool};
use diskferry_inspect::{Content, ContentKind, Finding, Inspection};

/// What blkid finds in a file, by its keys.
fn blkid(path: &Path) -> BTreeMap<String, String> {
    let said = tool("blkid", &["-p", "-o", "udev", text(path)]);
    let lines = said.lines().filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.replace("ID_FS_", ""), value.to_owned())).collect()
}

/// blkid's word for a kind.
fn type_of(kind: ContentKind) -> &'static str {
    match kind {
        ContentKind::Fat12 | ContentKind::Fat16 | ContentKind::Fat32 => "vfat",
        ContentKind::Luks1 | ContentKind::Luks2 => "crypto_LUKS",
        ContentKind::Lvm2 => "LVM2_member",
        ContentKind::LinuxRaid => "linux_raid_member",
        ContentKind::Zfs => "zfs_member",
        ContentKind::Vmfs => "VMFS",
        ContentKind::BitLocker => "BitLocker",
        ContentKind::Refs => "ReFS",
        ContentKind::Hibernation => "swsuspend",
        ContentKind::ExtJournal => "jbd",
        kind => kind.key(),
    }
}

/// What we find, which has to be what blkid finds.
fn agreed(path: &Path) -> Content {
    let found = inspect_file(path).content.unwrap();
    let theirs = blkid(path);
    let said = |key: &str| theirs.get(key).map(String::as_str);
    assert_eq!(said("TYPE"), Some(type_of(found.kind)), "{theirs:?}");
    // ISO 9660 has a time for an id, NTFS and exFAT keep their label among the files.
    if found.kind != ContentKind::Iso9660 {
        assert_eq!(said("UUID"), found.id.as_deref(), "{theirs:?}");
    }
    if !matches!(found.kind, ContentKind::Ntfs | ContentKind::ExFat) {
        assert_eq!(said("LABEL"), found.label.as_deref(), "{theirs:?}");
    }
    found
}

/// The tool that makes a file system in `$1`, and what that is.
const MADE: &[(&str, u64, ContentKind)] = &[
    ("mke2fs -q -F -t ext2 -L lab $1", 8, ContentKind::Ext2),
    ("mke2fs -q -F -t ext3 -L 0123456789abcdef $1", 8, ContentKind::Ext3),
    ("mke2fs -q -F -t ext4 -L lab $1", 8, ContentKind::Ext4),
    ("mke2fs -q -F -t ext4 -b 4096 -O ^64bit,project,quota $1", 64, ContentKind::Ext4),
    (
        "mke2fs -q -F -t ext4 -O ^has_journal,bigalloc,inline_data,casefold $1",
        64,
        ContentKind::Ext4,
    ),
    ("mke2fs -q -F -O journal_dev -b 4096 $1", 64, ContentKind::ExtJournal),
    ("mkfs.xfs -q -L lab $1", 300, ContentKind::Xfs),
    ("mkfs.xfs -q -m crc=0 $1", 300, ContentKind::Xfs),
    ("mkfs.xfs -q -m reflink=1,bigtime=1 -b size=1024 $1", 300, ContentKind::Xfs),
    ("mkfs.btrfs -q -L lab $1", 128, ContentKind::Btrfs),
    ("mkfs.f2fs -q -l lab -O extra_attr,inode_checksum $1", 64, ContentKind::F2fs),
    ("mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63 -L lab $1", 16, ContentKind::Ntfs),
    ("mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63 -c 2048 $1", 16, ContentKind::Ntfs),
    ("mkfs.exfat -L lab $1", 16, ContentKind::ExFat),
    ("mkfs.fat -F 12 -n LAB $1", 2, ContentKind::Fat12),
    ("mkfs.fat -F 16 -n LAB -s 4 $1", 16, ContentKind::Fat16),
    ("mkfs.fat -F 32 -n LAB $1", 64, ContentKind::Fat32),
    ("mkfs.fat -F 32 -s 8 $1", 64, ContentKind::Fat32),
    ("mkfs.fat -F 32 -S 4096 $1", 512, ContentKind::Fat32),
    ("mkswap -q -L lab $1", 1, ContentKind::Swap),
    ("rm $1; mksquashfs /etc/passwd $1 -quiet -no-progress", 1, ContentKind::SquashFs),
    ("genisoimage -quiet -V LAB -o $1 /etc/passwd", 1, ContentKind::Iso9660),
    (
        "echo pw | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $1 -",
        16,
        ContentKind::Luks1,
    ),
    (
        "echo pw | cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
         --label lab $1 -",
        32,
        ContentKind::Luks2,
    ),
];

#[test]
fn what_the_tools_make_is_what_blkid_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for (command, mib, kind) in MADE {
        empty(&path, mib * MIB);
        tool("sh", &["-c", &format!("set -- {}; {command} >/dev/null 2>&1", text(&path))]);
        let found = agreed(&path);
        assert_eq!(found.kind, *kind, "{command}");
        let size = std::fs::metadata(&path).unwrap().len();
        if let Some(own) = found.size {
            assert!(
                own <= size && own > (size / 8 * 7).saturating_sub(MIB),
                "{command}: {own} of {size}"
            );
        }
        let notes = inspect_file(&path).notes;
        assert!(notes.is_empty(), "{command}: {notes:?}");
        cut(&path, &found, command);
    }
}

/// A file system that lost its last part has a note, where it knows its size.
fn cut(path: &Path, found: &Content, command: &str) {
    let Some(own) = found.size else { return };
    let room = own - 512;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(room).unwrap();
    let finding = Finding::ContentCut { content: found.kind, size: own, room };
    assert_eq!(findings(&inspect_file(path)), [finding], "{command}");
}

#[test]
fn the_features_of_an_ext4_are_those_that_dumpe2fs_lists() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for options in [
        "-t ext2",
        "-t ext3",
        "-t ext4",
        "-t ext4 -O ^64bit,^metadata_csum,uninit_bg,quota,project,encrypt,ea_inode,mmp,meta_bg,^resize_inode",
        "-t ext4 -O bigalloc,large_dir,inline_data,casefold,verity,stable_inodes,sparse_super2,^has_journal",
        "-t ext4 -O metadata_csum_seed,huge_file,dir_nlink,extra_isize",
    ] {
        empty(&path, 64 * MIB);
        tool("sh", &["-c", &format!("mke2fs -q -F {options} {}", text(&path))]);
        let found = inspect_file(&path).content.unwrap();
        let said = tool("sh", &["-c", &format!("dumpe2fs -h {} 2>/dev/null", text(&path))]);
        let line = said.lines().find_map(|line| line.strip_prefix("Filesystem features:")).unwrap();
        let theirs: BTreeSet<_> = line.split_whitespace().collect();
        let features = &found.features;
        let all = [&features.compat, &features.incompat, &features.ro_compat];
        let ours: BTreeSet<_> = all.into_iter().flatten().map(AsRef::as_ref).collect();
        assert_eq!(ours, theirs, "{options}");
        assert_eq!(features.has("64bit"), theirs.contains("64bit"));
        let number = |key: &str| -> u64 {
            let line = said.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().parse().unwrap()
        };
        assert_eq!(found.block_size, Some(number("Block size:")));
        assert_eq!(found.size, Some(number("Block count:") * number("Block size:")));
    }
}

#[test]
fn the_features_of_an_xfs_are_those_that_it_was_made_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for (options, version, names) in [
        ("-m crc=0", "4", &[][..]),
        (
            "-m reflink=1,rmapbt=1,bigtime=1,finobt=1,inobtcount=1 -i sparse=1",
            "5",
            &["finobt", "rmapbt", "reflink", "inobtcount", "ftype", "sparse", "bigtime"],
        ),
        ("-m reflink=0,bigtime=0,finobt=0,inobtcount=0 -i sparse=0", "5", &["ftype"]),
    ] {
        empty(&path, 300 * MIB);
        tool("sh", &["-c", &format!("mkfs.xfs -q {options} {}", text(&path))]);
        let found = inspect_file(&path).content.unwrap();
        assert_eq!(found.version.as_deref(), Some(version));
        let all = [&found.features.ro_compat, &found.features.incompat];
        let ours: Vec<_> = all.into_iter().flatten().collect();
        assert_eq!(ours, names.iter().collect::<Vec<_>>(), "{options}");
    }
}

/// A disk of 4 MiB with these bytes, as blkid and we see it.
fn crafted(dir: &Path, pieces: &[(u64, &[u8])]) -> Content {
    let mut disk = Sparse::new(4 * MIB);
    for (at, bytes) in pieces {
        disk.put(*at, bytes);
    }
    let path = dir.join("disk");
    disk.write(&path);
    agreed(&path)
}

/// Fields by their offset, in one piece.
fn fields(len: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (at, field) in fields {
        bytes[*at..at + field.len()].copy_from_slice(field);
    }
    bytes
}

const ID: [u8; 16] = *b"\xd1\x5c\xfe\x44\x5d\x1b\x4c\x4e\x9d\x0a\x0d\x15\xcf\xe4\x41\x01";
const ID_TEXT: &str = "d15cfe44-5d1b-4c4e-9d0a-0d15cfe44101";

#[test]
fn an_lvm2_physical_volume_is_known_by_its_label() {
    let dir = tempfile::tempdir().unwrap();
    for sector in 0..4_u64 {
        let mut label = fields(
            512,
            &[
                (0, b"LABELONE"),
                (8, &sector.to_le_bytes()),
                (20, &32_u32.to_le_bytes()),
                (24, b"LVM2 001"),
                (32, b"abcdefghijklmnopqrstuvwxyz012345"),
                (64, &(4 * MIB).to_le_bytes()),
            ],
        );
        // A CRC of its own, over what follows it.
        let crc = lvm_crc(&label[20..]);
        label[16..20].copy_from_slice(&crc.to_le_bytes());
        let found = crafted(dir.path(), &[(sector * 512, &label)]);
        assert_eq!(found.kind, ContentKind::Lvm2);
        assert_eq!(found.id.as_deref(), Some("abcdef-ghij-klmn-opqr-stuv-wxyz-012345"));
        assert_eq!(found.size, Some(4 * MIB));
    }
}

/// CRC-32 from another start, without the last inversion.
fn lvm_crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xF597_A6CF, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn a_member_of_a_linux_raid_is_known_by_its_superblock() {
    let dir = tempfile::tempdir().unwrap();
    for (version, at) in [("1.0", 4 * MIB - 8192), ("1.1", 0), ("1.2", 4096)] {
        let mut block = fields(
            256,
            &[
                (0, &0xA92B_4EFC_u32.to_le_bytes()),
                (4, &1_u32.to_le_bytes()),
                (16, &ID),
                (32, b"host:0"),
                (72, &1_u32.to_le_bytes()),
                (92, &2_u32.to_le_bytes()),
                (128, &64_u64.to_le_bytes()),
                (136, &4096_u64.to_le_bytes()),
                (144, &(at / 512).to_le_bytes()),
            ],
        );
        let sum: u64 = block
            .chunks(4)
            .map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap())))
            .sum();
        let sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        block[216..220].copy_from_slice(&(sum as u32).to_le_bytes());
        let found = crafted(dir.path(), &[(at, &block)]);
        assert_eq!(found.kind, ContentKind::LinuxRaid);
        assert_eq!(found.version.as_deref(), Some(version));
        assert_eq!(found.id.as_deref(), Some(ID_TEXT));
        assert_eq!(found.size, Some((64 + 4096) * 512));
        assert_eq!(found.member_of.as_deref(), Some("a RAID1 of 2 devices"));
    }
    for big in [false, true] {
        let number = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let block = fields(
            4096,
            &[
                (0, &number(0xA92B_4EFC)),
                (8, &number(90)),
                (20, &ID[..4]),
                (52, &ID[4..]),
                (28, &number(5)),
                (40, &number(3)),
            ],
        );
        let mut disk = Sparse::new(4 * MIB);
        disk.put(4 * MIB - 65536, &block);
        let found = disk.inspected().content.unwrap();
        assert_eq!((found.kind, found.version.as_deref()), (ContentKind::LinuxRaid, Some("0.90")));
        assert_eq!(found.member_of.as_deref(), Some("a RAID5 of 3 devices"));
        let path = dir.path().join("disk");
        disk.write(&path);
        assert_eq!(blkid(&path)["TYPE"], "linux_raid_member");
    }
}

#[test]
fn other_wrappers_are_known_by_their_headers() {
    let magic = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
    let bcache = fields(
        256,
        &[(8, &8_u64.to_le_bytes()), (16, &1_u64.to_le_bytes()), (24, magic), (40, &ID)],
    );
    let mut disk = Sparse::new(4 * MIB);
    disk.put(4096, &bcache);
    let found = disk.inspected().content.unwrap();
    assert_eq!((found.kind, found.id.as_deref()), (ContentKind::Bcache, Some(ID_TEXT)));

    let vmfs =
        [(1 << 20, &b"\x0d\xd0\x01\xc0\x05\0\0\0"[..]), (2 << 20, b"\x5e\xf1\xab\x2f\x05\0\0\0")];
    for pieces in [&vmfs[..], &vmfs[..1], &vmfs[1..]] {
        let mut disk = Sparse::new(4 * MIB);
        for (at, bytes) in pieces {
            disk.put(*at, bytes);
        }
        let found = disk.inspected().content.unwrap();
        assert_eq!((found.kind, found.version.as_deref()), (ContentKind::Vmfs, Some("5")));
    }

    let boot = fields(512, &[(0, b"\xeb\x58\x90-FVE-FS-"), (510, b"\x55\xaa")]);
    let mut disk = Sparse::new(4 * MIB);
    disk.put(0, &boot);
    assert_eq!(disk.inspected().content.unwrap().kind, ContentKind::BitLocker);
}

/// A list of names and values in XDR, as a vdev's label begins.
fn zfs_label() -> Vec<u8> {
    let mut list = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01".to_vec();
    let mut pair = |name: &[u8], kind: u32, value: &[u8]| {
        let mut body = (name.len() as u32).to_be_bytes().to_vec();
        body.extend(name);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(kind.to_be_bytes());
        body.extend(1_u32.to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
        list.extend((body.len() as u32 + 8).to_be_bytes());
        list.extend(0_u32.to_be_bytes());
        list.extend(body);
    };
    pair(b"version", 8, &5000_u64.to_be_bytes());
    pair(b"name", 9, b"\0\0\0\x05rpool");
    pair(b"pool_guid", 8, &7_u64.to_be_bytes());
    list
}

#[test]
fn a_zfs_is_known_by_the_list_in_its_label() {
    let mut disk = Sparse::new(4 * MIB);
    disk.put(0x4000, &zfs_label());
    let found = disk.inspected().content.unwrap();
    assert_eq!(found.kind, ContentKind::Zfs);
    assert_eq!((found.label.as_deref(), found.version.as_deref()), (Some("rpool"), Some("5000")));
}

#[test]
fn file_systems_without_a_tool_here_are_known_by_their_superblocks() {
    let dir = tempfile::tempdir().unwrap();
    let refs = fields(
        512,
        &[
            (3, b"ReFS"),
            (16, b"FSRS"),
            (0x18, &(4 * MIB / 512).to_le_bytes()),
            (0x20, &512_u32.to_le_bytes()),
            (0x24, &128_u32.to_le_bytes()),
            (0x28, &[3, 4]),
            (0x38, &0x0123_4567_89AB_CDEF_u64.to_le_bytes()),
        ],
    );
    let mut disk = Sparse::new(4 * MIB);
    disk.put(0, &refs);
    let path = dir.path().join("disk");
    disk.write(&path);
    let found = disk.inspected().content.unwrap();
    assert_eq!((found.kind, found.size), (ContentKind::Refs, Some(4 * MIB)));
    assert_eq!((found.version.as_deref(), found.block_size), (Some("3.4"), Some(65536)));
    assert_eq!(blkid(&path)["TYPE"], "ReFS");

    let hfs = fields(
        512,
        &[(0, b"H+\0\x04"), (40, &4096_u32.to_be_bytes()), (44, &1024_u32.to_be_bytes())],
    );
    let mut disk = Sparse::new(4 * MIB);
    disk.put(1024, &hfs);
    disk.write(&path);
    assert_eq!(blkid(&path)["TYPE"], "hfsplus");
    let found = disk.inspected().content.unwrap();
    assert_eq!((found.kind, found.size), (ContentKind::HfsPlus, Some(4 * MIB)));

    let apfs = fields(
        4096,
        &[
            (32, b"NXSB"),
            (36, &4096_u32.to_le_bytes()),
            (40, &1024_u64.to_le_bytes()),
            (64, &2_u64.to_le_bytes()),
            (72, &ID),
        ],
    );
    let mut disk = Sparse::new(4 * MIB);
    disk.put(0, &apfs);
    let found = disk.inspected().content.unwrap();
    assert_eq!((found.kind, found.size), (ContentKind::Apfs, Some(4 * MIB)));
    assert_eq!(found.id.as_deref(), Some(ID_TEXT));
    assert!(found.features.has("version2"));

    let found = crafted(dir.path(), &[(4096 - 10, b"S1SUSPEND\0")]);
    assert_eq!(found.kind, ContentKind::Hibernation);
}

#[test]
fn bits_without_a_name_are_shown_by_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    empty(&path, 8 * MIB);
    tool("mke2fs", &["-q", "-F", "-t", "ext4", text(&path)]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1024 + 0x60 + 3] |= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    let found = inspect_file(&path).content.unwrap();
    assert!(found.features.has("UNKNOWN_0x40000000"), "{:?}", found.features);
}

/// A disk with these contents in partitions of 8 MiB each.
fn with_contents(kinds: &[(&'static str, &'static str, &[u8])]) -> Inspection {
    let sectors = 8 * MIB / 512;
    let parts: Vec<_> = (0..)
        .zip(kinds)
        .map(|(n, (kind, name, _))| (*kind, 2048 + n * sectors, 2047 + (n + 1) * sectors, 0, *name))
        .collect();
    let mut disk = Table::new(64 * MIB, &parts).disk();
    for (n, (_, _, bytes)) in (0..).zip(kinds) {
        disk.put((2048 + n * sectors) * 512, bytes);
    }
    disk.inspected()
}

/// The front of an ext4 of `mib` MiB with this label and place.
fn ext4(mib: u32, label: &str, mounted: &str) -> Vec<u8> {
    fields(
        2048,
        &[
            (1024 + 4, &(mib * 256).to_le_bytes()),
            (1024 + 0x18, &2_u32.to_le_bytes()),
            (1024 + 0x38, b"\x53\xef"),
            (1024 + 0x5C, &4_u32.to_le_bytes()),
            (1024 + 0x60, &0x40_u32.to_le_bytes()),
            (1024 + 0x78, label.as_bytes()),
            (1024 + 0x88, mounted.as_bytes()),
        ],
    )
}

fn ntfs() -> Vec<u8> {
    fields(
        512,
        &[
            (0, b"\xeb\x52\x90NTFS    "),
            (11, &512_u16.to_le_bytes()),
            (13, &[8]),
            (0x28, &1000_u64.to_le_bytes()),
            (510, b"\x55\xaa"),
        ],
    )
}

#[test]
fn the_root_is_guessed_from_names_and_contents() {
    use common::{BASIC, ESP, LINUX, RESERVED};
    let home = "933ac7e1-2eb4-4f13-b844-0e14e2aef915";
    let root_type = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
    let recovery = "de94bba4-06d1-4d40-a16a-bfd50179d6ac";
    let lvm = "e6d6d379-f507-44c2-a23c-238f2a3df928";
    let (plain, boot) = (ext4(8, "", ""), ext4(8, "boot", ""));
    let (named, mounted) = (ext4(8, "cloudimg-rootfs", ""), ext4(8, "", "/"));
    let luks = b"LUKS\xba\xbe\0\x01".to_vec();
    let ntfs = ntfs();
    type Parts<'a> = &'a [(&'static str, &'static str, &'a [u8])];
    type Guess = Option<(u32, &'static str, bool)>;
    let cases: [(Parts<'_>, Guess); 11] = [
        (&[(LINUX, "", &plain)], Some((1, "ext4", false))),
        (&[(ESP, "", &[]), (LINUX, "", &boot), (LINUX, "", &plain)], Some((3, "ext4", false))),
        (&[(LINUX, "", &plain), (LINUX, "", &named)], Some((2, "ext4", false))),
        (&[(LINUX, "root", &plain), (LINUX, "", &mounted)], Some((2, "ext4", false))),
        (&[(LINUX, "", &plain), (root_type, "", &plain)], Some((2, "ext4", false))),
        (&[(LINUX, "", &boot), (lvm, "", &luks)], Some((2, "luks1", true))),
        (&[(home, "home", &plain), (LINUX, "", &plain)], Some((2, "ext4", false))),
        (
            &[(recovery, "", &ntfs), (ESP, "", &[]), (RESERVED, "", &[]), (BASIC, "", &ntfs)],
            Some((4, "ntfs", false)),
        ),
        (&[(LINUX, "", &[])], None),
        (&[(ESP, "", &plain)], None),
        (&[], None),
    ];
    for (index, (parts, wanted)) in cases.into_iter().enumerate() {
        let found = with_contents(parts).root;
        let found = found.map(|root| (root.partition.unwrap(), root.kind.key(), root.hidden));
        assert_eq!(found, wanted, "{index}");
    }
}

#[test]
fn a_file_system_larger_than_its_partition_is_noted() {
    let found = with_contents(&[(common::LINUX, "", &ext4(9, "", ""))]);
    let cut = Finding::ContentCut { content: ContentKind::Ext4, size: 9 * MIB, room: 8 * MIB };
    assert_eq!(findings(&found), [cut]);
    assert_eq!(found.notes[0].partition, Some(1));
    assert_eq!(
        found.notes[0].to_string(),
        "partition 1: its ext4 is 9437184 bytes, of which 8388608 have room: something was cut"
    );
}

#[test]
fn two_signatures_are_noted_and_the_wrapper_counts() {
    let mut both = ext4(8, "", "");
    both[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
    let found = with_contents(&[(common::LINUX, "", &both)]);
    assert_eq!(
        findings(&found),
        [Finding::SeveralSignatures { content: ContentKind::Luks1, other: ContentKind::Ext4 }]
    );
}
