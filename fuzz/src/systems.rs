//! The fields by which file systems, and what wraps them, are known: a fuzzer does not guess so many at once.

/// Offsets from where one begins, and what stands there.
type Pieces = &'static [(usize, &'static [u8])];

/// Each of the kinds that are recognised, but for FAT and ext4, which stand on other disks. What is counted from the end
/// is where it belongs in 128 KiB.
pub const SYSTEMS: [Pieces; 26] = [
    // XFS, versions 5 and 4.
    &[
        (0, b"XFSB\0\0\x10\0\0\0\0\0\0\0\0\x20"),
        (32, ID),
        (100, b"\xb4\xa5"),
        (108, b"label"),
        (208, b"\0\0\0\x01\0\0\0\x0f\0\0\x11\xff"),
    ],
    &[(0, b"XFSB\0\0\x02\0\0\0\0\0\0\0\x01\0"), (100, b"\xb4\x84")],
    // Btrfs, F2FS.
    &[
        (0x1_0020, ID),
        (0x1_0040, b"_BHRfS_M"),
        (0x1_0088, b"\x02\0\0\0\0\0\0\0\0\x10\0\0"),
        (0x1_00ac, b"\0\0\0\0\0\0\0\0\x1f\0\0\0\0\0\0\0\xff\xff\x03\0\0\0\0\0"),
        (0x1_00d1, b"\0\0\x02\0\0\0\0\0"),
        (0x1_012b, b"label"),
    ],
    &[
        (1024, b"\x10\x20\xf5\xf2\x01\0\x0e\0"),
        (1040, b"\x0c\0\0\0"),
        (1060, b"\x20\0\0\0\0\0\0\0"),
        (1132, ID),
        (1148, b"l\0a\0b\0"),
        (3204, b"\xff\xff\0\0"),
    ],
    // Swap, in both byte orders, and what sleeps in one.
    &[(1024, b"\x01\0\0\0\x1f\0\0\0"), (1036, ID), (1052, b"label"), (4086, b"SWAPSPACE2")],
    &[(1024, b"\0\0\0\x01\0\0\0\x01"), (65526, b"SWAPSPACE2")],
    &[(8182, b"S1SUSPEND\0")],
    // LUKS, LVM2.
    &[(0, b"LUKS\xba\xbe\0\x01"), (168, b"d15cfe44-5d1b-4c4e-9d0a-0d15cfe44101")],
    &[(0, b"LUKS\xba\xbe\0\x02"), (24, b"label"), (168, b"d15cfe44")],
    &[
        (512, b"LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001abcdefghijklmnopqrstuvwxyz012345"),
        (576, b"\0\0\x02\0\0\0\0\0"),
    ],
    // Linux RAID: 1.1, 1.2, 1.0, and 0.90 in both byte orders.
    &[(0, MD), (16, ID), (32, b"host:0"), (72, b"\x01\0\0\0"), (92, b"\x02\0\0\0"), (128, MD_DATA)],
    &[(4096, MD), (4168, b"\xff\xff\xff\xff"), (4224, MD_DATA), (4240, b"\x08\0\0\0\0\0\0\0")],
    &[(0x1_e000, MD), (0x1_e080, MD_DATA), (0x1_e090, b"\xf0\0\0\0\0\0\0\0")],
    &[(0x1_0000, b"\xfc\x4e\x2b\xa9\0\0\0\0\x5a\0\0\0"), (0x1_001c, b"\x05\0\0\0"), (0x1_0014, ID)],
    &[(0x1_0000, b"\xa9\x2b\x4e\xfc\0\0\0\0\0\0\0\x5a"), (0x1_0028, b"\0\0\0\x03")],
    // bcache, ZFS.
    &[
        (4112, b"\x01\0\0\0\0\0\0\0\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
        (4136, ID),
        (4168, b"label"),
    ],
    &[
        (0x4000, b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x20\0\0\0\0\0\0\0\x07version\0"),
        (0x4020, b"\0\0\0\x08\0\0\0\x01\0\0\0\0\0\0\x13\x88\0\0\0\x20\0\0\0\0\0\0\0\x04name"),
        (0x403c, b"\0\0\0\x09\0\0\0\x01\0\0\0\x05rpool"),
    ],
    // BitLocker, also on a removable disk.
    &[(0, b"\xeb\x58\x90-FVE-FS-"), (510, b"\x55\xaa")],
    &[
        (3, b"MSWIN4.1"),
        (424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"),
    ],
    // NTFS, ReFS, exFAT.
    &[(3, b"NTFS    \0\x02\x08"), (40, b"\xff\0\0\0\0\0\0\0"), (72, ID), (510, b"\x55\xaa")],
    &[
        (3, b"ReFS\0\0\0\0"),
        (16, b"FSRS\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\x80\0\0\0\x03\x04"),
        (0x38, ID),
    ],
    &[
        (3, b"EXFAT   "),
        (72, b"\0\x01\0\0\0\0\0\0"),
        (100, b"\x12\x34\x56\x78\0\x01\0\0\x09\x03"),
        (510, b"\x55\xaa"),
    ],
    // APFS, HFS+.
    &[
        (32, b"NXSB\0\x10\0\0\x20\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0"),
        (72, ID),
    ],
    &[(1024, b"HX\0\x05"), (1064, b"\0\0\x10\0\0\0\0\x20"), (1128, ID)],
    // ISO 9660, SquashFS.
    &[(0x8000, b"\x01CD001"), (0x8028, b"LABEL   "), (0x8050, b"\x40\0\0\0"), (0x8080, b"\0\x08")],
    &[(0, b"hsqs"), (12, b"\0\0\x02\0\0\0\0\0\x06\0\0\0\0\0\0\0\x04\0"), (40, b"\0\0\x01\0\0\0\0\0")],
];

const ID: &[u8] = b"\xd1\x5c\xfe\x44\x5d\x1b\x4c\x4e\x9d\x0a\x0d\x15\xcf\xe4\x41\x01";
const MD: &[u8] = b"\xfc\x4e\x2b\xa9\x01\0\0\0";
const MD_DATA: &[u8] = b"\x40\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0";
