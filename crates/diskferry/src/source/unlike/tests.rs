//! Tables of what is no disk, and of disks that look odd.

use diskferry_testkit::Random;

use super::*;

const DISK: usize = 128 << 10;

/// Bytes of which the first are these.
fn disk(front: &[u8]) -> Vec<u8> {
    put(vec![0; DISK], 0, front)
}

fn put(mut bytes: Vec<u8>, at: usize, part: &[u8]) -> Vec<u8> {
    bytes[at..][..part.len()].copy_from_slice(part);
    bytes
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..DISK).map(|_| random.below(256) as u8).collect()
}

/// What is said of a file of this name and these bytes; nothing where it is taken for a raw disk.
fn judge(name: &str, bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(64 << 10)];
    let tail = &bytes[bytes.len().saturating_sub(4096)..];
    let suspect = Suspect { name, head, tail: Some(tail), size: Some(bytes.len() as u64) };
    let judged = suspect.judge(|| OnDisk::look(Arc::new(bytes.to_vec())));
    judged.err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn what_is_short_takes_more_to_tell() {
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb";
    let wav = b"RIFF\x24\0\0\0WAVEfmt ";
    let mkv = b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska";
    let bmp = b"BM\0\0\x02\0\0\0\0\0\x36\0\0\0\x28\0\0\0";
    let icon = b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0";
    let cpio_text = [&b"070701"[..], &[b'0'; 104]].concat();
    let cpio_old =
        [&b"\xc7\x71\0\x08\x01\0\xa4\x81"[..], &[0; 12], b"\x02\0\0\0\x05\0a\0"].concat();
    let lzma = b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x34";
    let arj = b"\x60\xea\x29\0\x1e\x0b\x01\x0b\x10\0\x02";
    let lha = b"\x19\0-lh5-\x10\0\0\0\x10\0\0\0\0\0\0\0\x20\x01";
    let dar = b"\0\0\0\x7b0123456789TS";
    let mut exe = put(disk(b"MZ"), 0x3c, b"\x80\0\0\0");
    exe = put(exe, 0x80, b"PE\0\0");
    let mut cd = disk(b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0");
    cd.copy_within(0..12, 2352);
    let mut ts = disk(b"");
    (0..16).for_each(|index| ts[index * 188] = 0x47);
    // 128 kbit/s at 44.1 kHz: frames of 417 bytes.
    let mut mp3 = disk(b"");
    (0..4).for_each(|index| mp3[index * 417..][..4].copy_from_slice(b"\xff\xfb\x90\0"));
    for (what, bytes, wrong) in [
        ("an MP4", disk(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2"), 2),
        ("an MP4", disk(b"\0\0\0\x08wide\0\0\0\x10mdat"), 5),
        ("a Matroska", disk(mkv), 12),
        ("in RIFF", disk(wav), 8),
        ("an MP3", disk(b"ID3\x04\0\0\0\0\x20\0"), 3),
        ("an MP3", mp3, 418),
        ("an MPEG", ts, 188),
        ("an MPEG", disk(b"\0\0\x01\xba\x44\0\x04"), 4),
        ("a JPEG", disk(jpeg), 3),
        ("an icon", disk(icon), 18),
        ("a BMP", disk(bmp), 14),
        ("a Flash film", disk(b"CWS\x0a\0\x10\0\0x\x9c"), 3),
        ("lzma", disk(lzma), 13),
        ("compress", disk(b"\x1f\x9d\x90\x61\x84"), 2),
        ("skippable", disk(b"\x51\x2a\x4d\x18\x04\0\0\0"), 3),
        ("cpio", disk(&cpio_text), 20),
        ("cpio", disk(&cpio_old), 7),
        ("LHA", disk(lha), 6),
        ("ARJ", disk(arj), 10),
        ("dar", disk(dar), 14),
        ("Ghost", disk(b"\xfe\xef\x01\x02"), 3),
        ("a CD image of raw sectors", cd, 2352),
        ("a program for Windows", exe, 0x3c),
        (
            "a device tree",
            disk(b"\xd0\x0d\xfe\xed\0\0\x10\0\0\0\0\x38\0\0\x0f\0\0\0\0\x28\0\0\0\x11"),
            23,
        ),
        ("a torrent", disk(b"d8:announce30:udp://tracker"), 10),
        ("a font", disk(b"\0\x01\0\0\0\x0c\0\x80\0\x03\0\x40"), 9),
    ] {
        for name in ["disk.raw", "disk", "stdin"] {
            let said = judge(name, &bytes);
            assert!(said.contains(what) && said.contains("and no disk"), "{what}: '{said}'");
        }
        // One byte of what follows the magic tells a disk from it.
        let mut bytes = bytes;
        bytes[wrong] = !bytes[wrong];
        assert_eq!(judge("disk.raw", &bytes), "", "{what}");
    }
}

#[test]
fn documents_are_told_whatever_stands_before_them() {
    for (what, text) in [
        ("a page of HTML", "\u{feff}\n <!-- hello -->\n<!DOCTYPE html>\n<html>"),
        ("a page of HTML", "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD>"),
        ("a page of HTML", "<h1>Forbidden</h1>"),
        ("when it refuses", "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>"),
        ("when it refuses", "<Error><Code>AccessDenied</Code></Error>"),
        ("an OVF descriptor", "<?xml version='1.0'?><!-- x --><ovf:Envelope xmlns:ovf='x'>"),
        ("a VirtualBox machine", "<?xml version=\"1.0\"?>\n<VirtualBox xmlns=\"x\">"),
        ("a Parallels disk", "<?xml version='1.0'?>\n<Parallels_disk_image Version=\"1.0\">"),
        ("a libvirt machine", "<domain type='kvm'>\n  <name>vm</name>\n"),
        ("an XML document", "<?xml version=\"1.0\"?>\n<unheard-of/>"),
        ("an XML document", "<unheard-of>text</unheard-of>\n"),
        ("a JSON document", "{\n  \"error\": {\"code\": 404}}\n"),
        ("a JSON document", "[{\"a\":1}]"),
        ("a script", "#!/bin/sh\nexit 1\n"),
        ("a script", "#!ipxe\nchain x\n"),
        ("cloud-init", "#cloud-config\nusers: []\n"),
        ("Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
        ("a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ("a server's answer", "HTTP/1.1 302 Found\r\nLocation: x\r\n"),
        ("a VMware machine", ".encoding = \"UTF-8\"\nconfig.version = \"8\"\n"),
        ("a VMDK descriptor without its first line", "version=1\nCID=1\ncreateType=\"vmfs\"\n"),
        ("the description of a CD", "REM x\nFILE \"a.bin\" BINARY\n  TRACK 01 MODE1/2352\n"),
        ("the description of a CD", "[CloneCD]\r\nVersion=3\r\n"),
        ("a list of checksums", "d41d8cd98f00b204e9800998ecf8427e  disk.raw\n"),
        ("a list of checksums", "SHA1(disk.vmdk)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n"),
    ] {
        let wide = |order: fn(u16) -> [u8; 2], mark: &[u8]| {
            let text = text.trim_start_matches('\u{feff}');
            [mark, &text.encode_utf16().flat_map(order).collect::<Vec<u8>>()].concat()
        };
        for bytes in [
            text.as_bytes().to_vec(),
            // A download of a known length that failed.
            disk(text.as_bytes()),
            wide(u16::to_le_bytes, b"\xff\xfe"),
            wide(u16::to_be_bytes, b"\xfe\xff"),
        ]
        .into_iter()
        // XML is known without a mark, too.
        .chain(text.starts_with('<').then(|| wide(u16::to_le_bytes, b"")))
        .chain(text.starts_with('<').then(|| wide(u16::to_be_bytes, b"")))
        {
            for name in ["disk.qcow2", "disk.raw", "stdin"] {
                let said = judge(name, &bytes);
                assert!(said.contains(what), "{text} as {name}: '{said}'");
            }
        }
    }
}

#[test]
fn what_may_be_a_disk_passes() {
    let mut disks: Vec<(String, Vec<u8>)> = vec![("nothing".into(), Vec::new())];
    for byte in 0..=255 {
        disks.push((format!("full of {byte:#04x}"), vec![byte; DISK]));
    }
    for (what, front) in [
        ("text", &b"the first block of somebody's file\n"[..]),
        ("text in braces", b"{ the first block }\n"),
        ("text that mentions HTML", b"see <html> for more\n"),
        ("a log", b"[2026-01-01 12:00:00] started\n"),
        ("a relation of numbers", b"1,2,3\n4,5,6\n"),
        ("PK alone", b"PK is a magic of two letters"),
        ("BM alone", b"BM is another"),
        ("MZ alone", b"MZ"),
        ("gzip's alone", b"\x1f\x8b\0\0\0\0\0\0\x77"),
        (
            "an InnoDB page",
            b"\x5a\x3c\x11\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x34\x45\xbf\0\x08",
        ),
        ("a PostgreSQL page", b"\0\0\0\0\xc8\x6b\x5c\x01\0\0\x04\0\x18\0\xf0\x1f\0\x20\x04\x20"),
        ("an Oracle block", b"\0\xa2\0\0\x01\0\xc0\xff\0\0\0\0\0\0\0\0"),
        ("an ASM disk", b"\x01\x82\x01\x01\0\0\0\0\0\0\0\x80"),
        ("firmware", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x8d\x2b\xf1\xff\x96\x76\x8b\x4c"),
        ("a cramfs", b"\x45\x3d\xcd\x28"),
        ("an EROFS", b""),
        ("a romfs", b"-rom1fs-"),
    ] {
        disks.push((what.to_owned(), disk(front)));
    }
    // Nothing that is short is enough by itself: every pair of first bytes, in front of noise.
    for (index, bytes) in [noise(1), noise(2), noise(3)].into_iter().enumerate() {
        for pair in 0..=u16::MAX {
            let head = put(bytes[..4096].to_vec(), 0, &pair.to_be_bytes());
            assert_eq!(judge("", &head), "", "noise {index} behind {pair:#06x}");
        }
        disks.push((format!("noise {index}"), bytes));
    }
    for (what, bytes) in disks {
        for name in
            ["disk.raw", "disk.img", "a.b/disk", "disk.iso", "x-flat.vmdk", "disk.qcow2.img"]
        {
            assert_eq!(judge(name, &bytes), "", "{what} as {name}");
        }
    }
}

#[test]
fn what_is_recognised_on_a_disk_outweighs_what_stands_in_front() {
    let zip = || disk(b"PK\x03\x04");
    let html = || disk(b"<html><body>");
    let boot = |bytes| put(bytes, 510, b"\x55\xaa");
    let table =
        |bytes| put(boot(bytes), 446, &[0x80, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]);
    let swap = |bytes| put(bytes, 4086, b"SWAPSPACE2");
    let lvm = |bytes| put(put(bytes, 512, b"LABELONE"), 536, b"LVM2 001");
    let iso = |bytes| put(bytes, 32768, b"\x01CD001\x01");
    let udf = |bytes| put(bytes, 32768, b"\0BEA01\x01");
    let koly = |bytes: Vec<u8>| put(bytes, DISK - 512, b"koly\0\0\0\x04\0\0\x02\0");
    let nero = |bytes: Vec<u8>| put(bytes, DISK - 12, b"NER5\0\0\0\0\0\x01\0\0");
    for (what, bytes, name, said) in [
        ("nothing", zip(), "disk.raw", "a zip archive"),
        ("a boot sector", boot(zip()), "disk.raw", ""),
        ("a boot sector", boot(html()), "disk.raw", ""),
        ("a partition table", table(zip()), "disk.raw", ""),
        ("swap", swap(html()), "disk.raw", ""),
        ("LVM", lvm(html()), "disk.raw", ""),
        ("ISO 9660", iso(zip()), "disk.raw", ""),
        ("UDF", udf(zip()), "disk.raw", ""),
        (
            "a broken gzip",
            put(disk(b"\x1f\x8b\x0c"), 9, &[3]),
            "disk.raw",
            "damaged image: a gzip file",
        ),
        ("a table, too", table(put(disk(b"\x1f\x8b\x0c"), 9, &[3])), "disk.raw", ""),
        // What a trailer says it is, is not what stands before it.
        ("a DMG", koly(disk(b"")), "disk.raw", "a disk image of macOS"),
        ("a DMG", koly(table(zip())), "disk.raw", "a disk image of macOS"),
        ("a CD of Nero's", nero(iso(disk(b""))), "disk.raw", "a CD image of Nero"),
        // Nothing outweighs a name.
        ("a partition table", table(zip()), "disk.qcow2", "with a partition table (MBR)"),
        ("a boot sector", boot(disk(b"\xeb\x63\x90")), "disk.vdi", ", as a raw disk does"),
        ("swap", swap(disk(b"")), "disk.vhd", "it begins with swap"),
        ("UDF", udf(disk(b"")), "disk.ova", "it begins with UDF"),
    ] {
        let found = judge(name, &bytes);
        let is_said = if said.is_empty() { found.is_empty() } else { found.contains(said) };
        assert!(is_said, "{what} as {name}: '{found}'");
    }
}

#[test]
fn a_name_that_claims_a_format_is_held_to_it() {
    for (name, bytes, said) in [
        (
            "disk.qcow2",
            vec![],
            "unsupported: named .qcow2, but without the signature of a qcow2 image; it is empty",
        ),
        (
            "disk.vmdk",
            b"hello\n".to_vec(),
            "it is text and is no whole number of sectors; look into it",
        ),
        ("disk.VDI", vec![0; 1024], "it begins with zeros"),
        ("disk.vhdx", noise(1), "it begins with "),
        ("disk.dmg", disk(b""), "of a disk image of macOS"),
        ("disk.vhd", disk(b""), "nor the footer of a fixed one at its end: it may have been cut"),
        ("disk.ova", vec![b'x'; 200], "damaged image: an OVA package that is cut after 200 bytes"),
        ("disk.ova", noise(2), "unsupported: named .ova"),
        ("disk.tar", vec![], "it is empty"),
        ("disk.gz", b"\x1f\x8b".to_vec(), "damaged image: a gzip file that is cut after 2 bytes"),
        (
            "disk.gz",
            b"\x1f\x8b\0\0\0\0\0\0\x77".to_vec(),
            "damaged image: a gzip file whose header",
        ),
        ("disk.raw.gz", disk(b""), "unsupported: named .gz"),
        ("disk.tgz", noise(3), "unsupported: named .tgz"),
        ("disk.zip", noise(3), "of a zip archive"),
    ] {
        let found = judge(name, &bytes);
        assert!(found.contains(said), "{name}: '{found}'");
    }
}
