//! Signatures that no raw disk has by accident, and what to do with the file instead.
//!
//! Sources: the magic files of `file`, libyal's and the Library of Congress' descriptions of formats, the
//! formats' own documentation. What takes more than a few fixed bytes to tell is in `weak.rs`, what is
//! text in `text.rs`. File systems are none of these: SquashFS, cramfs or a firmware volume are disks.

/// What files of a kind need.
struct Kind {
    /// What to do with one.
    instead: &'static str,
    /// What it is, and the bytes at an offset that tell it.
    signatures: &'static [Signature],
}

type Signature = (&'static str, usize, &'static [u8]);

/// What a file is by its first bytes, and what to do with it.
pub(super) fn in_front(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let bears =
        |(_, at, mark): &&Signature| head.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    KINDS
        .iter()
        .find_map(|kind| kind.signatures.iter().find(bears).map(|(what, ..)| (*what, kind.instead)))
}

/// What a file is by its last bytes.
pub(super) fn at_end(tail: &[u8]) -> Option<(&'static str, &'static str)> {
    AT_END.iter().find_map(|(what, from_end, mark, instead)| {
        let at = tail.len().checked_sub(*from_end)?;
        tail[at..].starts_with(mark).then_some((*what, *instead))
    })
}

const KINDS: &[Kind] = &[
    Kind {
        instead: "convert it first: qemu-img reads it",
        signatures: &[
            ("a VHDX image", 0, b"vhdxfile"),
            ("a QED image", 0, b"QED\0"),
            ("a Parallels image", 0, b"WithoutFreeSpace"),
            ("a Parallels image", 0, b"WithouFreSpacExt"),
            ("a Bochs image", 0, b"Bochs Virtual HD Image"),
            ("a COW image of User Mode Linux", 0, b"OOOM\0\0\0\x02"),
        ],
    },
    Kind {
        instead: "on a Mac, hdiutil convert -format UDTO writes it as a raw disk; qemu-img reads many",
        signatures: &[
            ("an encrypted disk image of macOS", 0, b"encrcdsa"),
            ("a sparse disk image of macOS", 0, b"sprs\0\0\0\x03"),
        ],
    },
    Kind {
        instead: "vma extract, which Proxmox VE has, takes its disks out",
        signatures: &[("a backup of Proxmox VE (VMA)", 0, b"VMA\0\0\0\0\x01")],
    },
    Kind {
        instead: "restore the disk with proxmox-backup-client",
        signatures: &[
            ("an index of Proxmox Backup Server", 0, &[47, 127, 65, 237, 145, 253, 15, 205]),
            ("an index of Proxmox Backup Server", 0, &[28, 145, 78, 165, 25, 186, 179, 205]),
            ("a blob of Proxmox Backup Server", 0, &[66, 171, 56, 7, 190, 131, 112, 161]),
            ("a blob of Proxmox Backup Server", 0, &[49, 185, 88, 66, 111, 182, 163, 127]),
            ("a blob of Proxmox Backup Server", 0, &[123, 103, 133, 190, 34, 45, 76, 240]),
            ("a blob of Proxmox Backup Server", 0, &[230, 89, 27, 191, 11, 191, 216, 11]),
        ],
    },
    Kind {
        instead: "simg2img writes it as a raw disk",
        signatures: &[("a sparse image of Android", 0, b"\x3a\xff\x26\xed\x01\0")],
    },
    Kind {
        instead: "it holds a kernel and what starts it; a disk of that system is another file",
        signatures: &[
            ("a boot image of Android", 0, b"ANDROID!"),
            ("a vendor boot image of Android", 0, b"VNDRBOOT"),
            ("an update of Android", 0, b"CrAU\0\0\0\0"),
            ("an image for U-Boot", 0, b"\x27\x05\x19\x56"),
            ("a kernel for ARM64", 56, b"ARM\x64"),
            ("firmware for a microcontroller (UF2)", 0, b"UF2\n\x57\x51\x5d\x9e"),
        ],
    },
    Kind {
        instead: "restore it with the program that made it to a disk, or to a raw file: ewfexport, affconvert",
        signatures: &[
            ("an EnCase image", 0, b"EVF\x09\x0d\x0a\xff\0"),
            ("an EnCase image of files", 0, b"LVF\x09\x0d\x0a\xff\0"),
            ("an EnCase image", 0, b"EVF2\x0d\x0a\x81\0"),
            ("an EnCase image of files", 0, b"LEF2\x0d\x0a\x81\0"),
            ("an AFF image", 0, b"AFF10\x0d\x0a\0"),
        ],
    },
    Kind {
        instead: "restore it to a disk with the program that made it, and convert that disk",
        signatures: &[
            ("an image of partclone", 0, b"partclone-image"),
            ("an image of partimage", 0, b"PaRtImAgE-VoLuMe"),
            ("an image of ntfsclone", 0, b"\0ntfsclone-image"),
            ("an archive of FSArchiver", 0, b"FsA0"),
            ("a backup of Acronis", 0, b"\xb4\x6e\x68\x44"),
            ("a backup of Acronis", 0, b"\xce\x24\xb9\xa2\x20\0\0\0"),
            ("a backup on Microsoft's tape format", 0, b"TAPE\0\0"),
            ("a repository segment of Borg", 0, b"BORG_SEG"),
        ],
    },
    Kind {
        instead: "it holds the files of a system: apply it to a disk (wimapply, dism), and convert that",
        signatures: &[("a WIM archive", 0, b"MSWIM\0\0\0"), ("a WIM archive", 0, b"WLPWM\0\0\0")],
    },
    Kind {
        instead: "the machine's disk is another file beside it",
        signatures: &[
            ("a saved state of VirtualBox", 0, b"\x7fVirtualBox SavedState V"),
            ("a saved state of VMware", 0, b"\xd0\xbe\xd2\xbe"),
            ("a saved state of VMware", 0, b"\xd1\xba\xd1\xba"),
            ("a saved state of VMware", 0, b"\xd2\xbe\xd2\xbe"),
            ("a saved state of VMware", 0, b"\xd3\xbe\xd3\xbe"),
            ("the settings of a VMware machine's BIOS", 0, b"MRVN"),
            ("a saved state of libvirt", 0, b"LibvirtQemudSave"),
            ("a saved state of libvirt", 0, b"LibvirtQemudPart"),
            ("a saved state of QEMU", 0, b"QEVM\0\0\0\x03"),
            ("a saved state of Xen", 0, b"Xen saved domain"),
            ("a saved state of Xen", 0, b"LinuxGuestRecord"),
            ("a dump of memory", 0, b"PAGEDU64"),
            ("a dump of memory", 0, b"PAGEDUMP"),
            ("a dump of memory", 0, b"KDUMP   "),
            ("a dump of memory", 0, b"makedumpfile\0"),
        ],
    },
    Kind {
        instead: "give the disk's image itself, as an ISO or a raw file",
        signatures: &[
            ("the description of a CD (MDS)", 0, b"MEDIA DESCRIPTOR"),
            ("the description of a CD (B5T)", 0, b"BWT5 STREAM SIGN"),
            ("a compressed CD image (CHD)", 0, b"MComprHD"),
            ("a compressed CD image (ISZ)", 0, b"IsZ!"),
            ("a compressed CD image (DAA)", 0, b"DAA\0\0\0\0\0"),
            ("a compressed CD image (CSO)", 0, b"CISO\0\0\0\0"),
            ("a compressed CD image (CSO)", 0, b"CISO\x18\0\0\0"),
            ("a compressed CD image (ECM)", 0, b"ECM\0"),
        ],
    },
    Kind {
        instead: "unpack it, and give the disk that is in it",
        signatures: &[
            ("a zip archive", 0, b"PK\x03\x04"),
            ("an empty zip archive", 0, b"PK\x05\x06"),
            ("a part of a zip archive", 0, b"PK\x07\x08"),
            ("a 7-Zip archive", 0, b"7z\xbc\xaf\x27\x1c"),
            ("a RAR archive", 0, b"Rar!\x1a\x07"),
            ("an archive of old RAR", 0, b"RE~\x5e"),
            ("a cabinet", 0, b"MSCF\0\0\0\0"),
            ("a cabinet of InstallShield", 0, b"ISc("),
            ("a Debian package", 0, b"!<arch>\ndebian-binary"),
            ("an ar archive", 0, b"!<arch>\n"),
            ("an ar archive", 0, b"!<thin>\n"),
            ("an RPM package", 0, b"\xed\xab\xee\xdb"),
            ("an xar archive", 0, b"xar!\0\x1c"),
            ("an ACE archive", 7, b"**ACE**"),
            ("a zoo archive", 20, b"\xdc\xa7\xc4\xfd"),
            ("an ALZ archive", 0, b"ALZ\x01"),
            ("an EGG archive", 0, b"EGGA"),
            ("a StuffIt archive", 0, b"StuffIt"),
            ("a StuffIt archive", 10, b"rLau"),
            ("a ZPAQ archive", 0, b"7kSt\xa0\x31\x83\xd3"),
            ("a ZPAQ archive", 0, b"zPQ\x01\x01"),
            ("a ZPAQ archive", 0, b"zPQ\x02\x01"),
            ("a git pack", 0, b"PACK\0\0\0\x02"),
        ],
    },
    Kind {
        instead: "diskferry reads gzip, xz, zstd and bzip2; unpack this one first",
        signatures: &[
            ("a file that lz4 compressed", 0, b"\x04\x22\x4d\x18"),
            ("a file that lz4 compressed", 0, b"\x02\x21\x4c\x18"),
            ("a file that lzip compressed", 0, b"LZIP\x01"),
            ("a file that lzip compressed", 0, b"LZIP\0"),
            ("a file that lzop compressed", 0, b"\x89LZO\0\x0d\x0a\x1a\x0a"),
            ("a file that lrzip compressed", 0, b"LRZI\0"),
            ("a file that rzip compressed", 0, b"RZIP\x02"),
            ("a file that bzip3 compressed", 0, b"BZ3v1"),
            ("a file that snappy compressed", 0, b"\xff\x06\0\0sNaPpY"),
            ("a file that Apple's lzfse compressed", 0, b"bvx2"),
            ("a file that Apple's lzfse compressed", 0, b"bvxn"),
            ("a file that an early zstd compressed", 0, b"\x25\xb5\x2f\xfd"),
            ("a file that an early zstd compressed", 0, b"\x26\xb5\x2f\xfd"),
            ("a file that an early zstd compressed", 0, b"\x27\xb5\x2f\xfd"),
            ("a dictionary of zstd", 0, b"\x37\xa4\x30\xec"),
            ("a zisofs file", 0, b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07"),
            ("a file that mozlz4 compressed", 0, b"mozLz40\0"),
        ],
    },
    Kind {
        instead: "decrypt it first",
        signatures: &[
            ("a file that openssl encrypted", 0, b"Salted__"),
            ("a file that age encrypted", 0, b"age-encryption.org/v1"),
        ],
    },
    Kind {
        instead: DOCUMENT,
        signatures: &[
            ("a PDF document", 0, b"%PDF-"),
            ("a PostScript document", 0, b"%!PS"),
            ("a PostScript document", 0, b"\xc5\xd0\xd3\xc6"),
            ("an Office document", 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
            ("an RTF document", 0, b"{\\rtf"),
            ("a DjVu document", 0, b"AT&TFORM"),
            ("a help file (CHM)", 0, b"ITSF\x03\0\0\0"),
            ("an SQLite database", 0, b"SQLite format 3\0"),
            ("an Access database", 0, b"\0\x01\0\0Standard Jet DB"),
            ("an Access database", 0, b"\0\x01\0\0Standard ACE DB"),
            ("an Outlook mailbox", 0, b"!BDN"),
            ("a Windows event log", 0, b"ElfFile\0"),
            ("a hive of the Windows registry", 0, b"regf"),
            ("a Windows shortcut", 0, b"L\0\0\0\x01\x14\x02\0"),
            ("a font", 0, b"wOFF"),
            ("a font", 0, b"wOF2"),
            ("a font", 0, b"OTTO\0"),
            ("HDF5 data", 0, b"\x89HDF\x0d\x0a\x1a\x0a"),
            ("a Parquet table", 0, b"PAR1"),
            ("a NumPy array", 0, b"\x93NUMPY"),
            ("a model (GGUF)", 0, b"GGUF"),
            ("a network capture", 0, b"\xd4\xc3\xb2\xa1\x02\0\x04\0"),
            ("a network capture", 0, b"\xa1\xb2\xc3\xd4\0\x02\0\x04"),
            ("a network capture", 8, b"\x4d\x3c\x2b\x1a"),
        ],
    },
    Kind {
        instead: MEDIA,
        signatures: &[
            ("an Ogg recording", 0, b"OggS\0"),
            ("a FLAC recording", 0, b"fLaC"),
            ("a MIDI file", 0, b"MThd\0\0\0\x06"),
            ("an AU recording", 0, b".snd\0\0\0"),
            ("a CAF recording", 0, b"caff\0\x01"),
            ("an AMR recording", 0, b"#!AMR"),
            ("a WMV or WMA recording", 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
            ("a RealMedia recording", 0, b".RMF\0\0\0"),
            ("a Flash video", 0, b"FLV\x01"),
            ("a PNG picture", 0, b"\x89PNG\x0d\x0a\x1a\x0a"),
            ("a GIF picture", 0, b"GIF87a"),
            ("a GIF picture", 0, b"GIF89a"),
            ("a TIFF picture", 0, b"II*\0"),
            ("a TIFF picture", 0, b"MM\0*"),
            ("a TIFF picture", 0, b"II+\0\x08\0\0\0"),
            ("a Photoshop picture", 0, b"8BPS\0\x01"),
            ("a GIMP picture", 0, b"gimp xcf "),
            ("a JPEG XL picture", 0, b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"),
            ("a JPEG 2000 picture", 0, b"\0\0\0\x0cjP  \x0d\x0a\x87\x0a"),
            ("a DICOM picture", 128, b"DICM"),
        ],
    },
    Kind {
        instead: PROGRAM,
        signatures: &[
            ("an ELF file: a program, or a dump of memory", 0, b"\x7fELF\x01\x01\x01"),
            ("an ELF file: a program, or a dump of memory", 0, b"\x7fELF\x02\x01\x01"),
            ("an ELF file: a program, or a dump of memory", 0, b"\x7fELF\x01\x02\x01"),
            ("an ELF file: a program, or a dump of memory", 0, b"\x7fELF\x02\x02\x01"),
            ("a program for macOS", 0, b"\xce\xfa\xed\xfe"),
            ("a program for macOS", 0, b"\xcf\xfa\xed\xfe"),
            ("a program for macOS", 0, b"\xfe\xed\xfa\xce"),
            ("a program for macOS", 0, b"\xfe\xed\xfa\xcf"),
            ("a program for macOS, or a Java class", 0, b"\xca\xfe\xba\xbe\0"),
            ("a WebAssembly module", 0, b"\0asm\x01\0\0\0"),
            ("a program for Android", 0, b"dex\n03"),
            ("LLVM bitcode", 0, b"BC\xc0\xde"),
        ],
    },
];

pub(super) const DOCUMENT: &str = "look for the disk's own file";
pub(super) const MEDIA: &str = "look for the disk's own file; a download may have saved another";
pub(super) const PROGRAM: &str =
    "look for the disk's own file; an installer has it inside, if at all";

/// Signatures at so many bytes before the end.
const AT_END: &[(&str, usize, &[u8], &str)] = &[
    // Version 4, and the length of the trailer itself: <https://newosxbook.com/DMG.html>.
    (
        "a disk image of macOS (DMG)",
        512,
        b"koly\0\0\0\x04\0\0\x02\0",
        "on a Mac, hdiutil convert -format UDTO writes it as a raw disk; qemu-img and dmg2img read many",
    ),
    (
        "an encrypted disk image of macOS",
        8,
        b"cdsaencr",
        "on a Mac, hdiutil convert -format UDTO writes it as a raw disk",
    ),
    // An offset of 64 bits behind it, whose first bytes are zeros for whatever fits on a disc.
    ("a CD image of Nero", 12, b"NER5\0\0\0", "write it as an ISO: nrg2iso"),
    (
        "a backup of Macrium Reflect",
        12,
        b"MACRIUM_FILE",
        "restore it to a disk with that program, and convert that disk",
    ),
];
