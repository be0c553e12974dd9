//! What takes more than a few fixed bytes to tell: a magic that is short stands on a disk by accident,
//! so that what follows it has to fit as well.

use super::table::{DOCUMENT, MEDIA, PROGRAM};

/// What a file is by its first bytes, and what to do with it. `size` is its length, where that is known.
pub(super) fn in_front(head: &[u8], size: Option<u64>) -> Option<(&'static str, &'static str)> {
    let is = |test: fn(&[u8]) -> Option<bool>| test(head) == Some(true);
    Some(match head {
        _ if is(iso_media) => ("an MP4 or QuickTime recording", MEDIA),
        _ if is(matroska) => ("a Matroska or WebM recording", MEDIA),
        _ if is(riff) => ("a recording or picture in RIFF (AVI, WAV, WebP)", MEDIA),
        _ if is(id3) || is(mpeg_audio) => ("an MP3 recording", MEDIA),
        _ if is(mpeg_stream) => ("an MPEG recording", MEDIA),
        _ if is(jpeg) => ("a JPEG picture", MEDIA),
        _ if is(icon) => ("an icon", MEDIA),
        _ if bitmap(head, size) == Some(true) => ("a BMP picture", MEDIA),
        _ if is(flash) => ("a Flash film", MEDIA),
        _ if is(lzma) => ("a file that lzma compressed", UNPACK),
        _ if is(compress) => ("a file that compress packed (.Z)", UNPACK),
        _ if is(skippable) => ("a file of skippable zstd or lz4 frames without any others", UNPACK),
        _ if is(cpio) => ("a cpio archive, as an initramfs is", INSIDE),
        _ if is(lha) => ("an LHA archive", INSIDE),
        _ if is(arj) => ("an ARJ archive", INSIDE),
        _ if is(dar) => ("a dar archive", "restore what is in it with dar"),
        _ if is(ghost) => ("a backup of Norton Ghost", "restore it to a disk with that program"),
        _ if is(raw_cd) => {
            ("a CD image of raw sectors of 2352 bytes", "write it as an ISO: bchunk, ccd2iso")
        }
        _ if is(portable_executable) => ("a program for Windows or EFI", PROGRAM),
        _ if is(device_tree) => ("a device tree, or an image for U-Boot", PROGRAM),
        _ if is(torrent) => ("a torrent", "download what it names with a program for torrents"),
        _ if is(true_type) => ("a font", DOCUMENT),
        _ => return None,
    })
}

/// What is left of wrappers that would have been recognised if they were whole.
pub(super) fn left_of_a_wrapper(head: &[u8]) -> Option<&'static str> {
    if has(head, 257, b"ustar\0") || has(head, 257, b"ustar ") {
        return Some("tar archive");
    }
    // RFC 1952: the extra flags that compressors set, and the number of a system.
    let is_gzip = has(head, 0, b"\x1f\x8b")
        && matches!(head.get(8), Some(0 | 2 | 4))
        && matches!(head.get(9), Some(0..=13 | 255));
    // A level, or the mark of a block behind one that is broken.
    let is_bzip2 = has(head, 0, b"BZh")
        && (matches!(head.get(3), Some(b'1'..=b'9')) || has(head, 4, b"1AY&SY"));
    match (is_gzip, is_bzip2) {
        (true, _) => Some("gzip file"),
        (_, true) => Some("bzip2 file"),
        _ => None,
    }
}

const UNPACK: &str = "diskferry reads gzip, xz, zstd and bzip2; unpack this one first";
const INSIDE: &str = "unpack it, and give the disk that is in it";

/// Boxes of ISO 14496-12 and of QuickTime, which begin with their length.
fn iso_media(head: &[u8]) -> Option<bool> {
    let length = be32(head, 0)?;
    let kind = head.get(4..8)?;
    Some(match kind {
        b"ftyp" => {
            let brand = head.get(8..12)?;
            (16..=4096).contains(&length)
                && brand.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        }
        b"moov" | b"wide" | b"pnot" | b"mdat" => length == 1 || length >= 8,
        _ => false,
    })
}

/// EBML, whose header names the kind of document.
fn matroska(head: &[u8]) -> Option<bool> {
    let kinds: [&[u8]; 2] = [b"\x42\x82\x88matroska", b"\x42\x82\x84webm"];
    let start = &head[..head.len().min(128)];
    let names = |kind: &[u8]| start.windows(kind.len()).any(|part| part == kind);
    Some(has(head, 0, b"\x1a\x45\xdf\xa3") && kinds.into_iter().any(names))
}

fn riff(head: &[u8]) -> Option<bool> {
    let kinds: [&[u8]; 6] = [b"WAVE", b"AVI ", b"WEBP", b"RMID", b"AIFF", b"AIFC"];
    let outer: [&[u8]; 4] = [b"RIFF", b"RIFX", b"RF64", b"FORM"];
    let kind = head.get(8..12)?;
    Some(outer.contains(&head.get(..4)?) && kinds.contains(&kind))
}

/// A tag of ID3 2.2 to 2.4; its length has seven bits in each byte.
fn id3(head: &[u8]) -> Option<bool> {
    let tag = head.first_chunk::<10>()?;
    let is_length = tag[6..].iter().all(|byte| *byte < 0x80);
    Some(tag.starts_with(b"ID3") && (2..=4).contains(&tag[3]) && tag[5] & 0x0f == 0 && is_length)
}

/// Three frames of MPEG 1 layer III, one behind the other.
fn mpeg_audio(head: &[u8]) -> Option<bool> {
    /// Kilobits a second, by the number in the header.
    const RATES: [usize; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let mut at = 0;
    for _ in 0..3 {
        let frame = head.get(at..)?.first_chunk::<4>()?;
        if frame[0] != 0xff || frame[1] & 0xfe != 0xfa {
            return Some(false);
        }
        let rate = *RATES.get((usize::from(frame[2]) >> 4).checked_sub(1)?)?;
        let sampling = *[44_100, 48_000, 32_000].get(usize::from(frame[2] >> 2 & 3))?;
        at += 144_000 * rate / sampling + usize::from(frame[2] >> 1 & 1);
    }
    Some(true)
}

/// A transport stream has a mark every 188 bytes, or 192 with times; a program stream begins with a pack.
fn mpeg_stream(head: &[u8]) -> Option<bool> {
    let marks = |first: usize, step: usize| {
        (0..8).all(|index| head.get(first + index * step) == Some(&0x47))
    };
    let pack = has(head, 0, b"\0\0\x01\xba")
        && matches!(head.get(4), Some(byte) if byte & 0xc4 == 0x44 || byte & 0xf1 == 0x21);
    // A disk that is full of that byte is none.
    let is_pattern = head.get(1) == Some(&0x47);
    Some(pack || !is_pattern && (marks(0, 188) || marks(4, 192)))
}

/// The first segment behind the start of the image, and its length.
fn jpeg(head: &[u8]) -> Option<bool> {
    let segment = matches!(head.get(3)?, 0xe0..=0xef | 0xdb | 0xfe | 0xc0 | 0xc2 | 0xc4);
    let length = usize::from(*head.get(4)?) << 8 | usize::from(*head.get(5)?);
    let next = head.get(4 + length).is_none_or(|byte| *byte == 0xff);
    Some(has(head, 0, b"\xff\xd8\xff") && segment && length >= 2 && next)
}

/// A list of pictures, of which the first stands behind the list.
fn icon(head: &[u8]) -> Option<bool> {
    let count = le16(head, 4)?;
    let (length, at) = (le32(head, 14)?, le32(head, 18)?);
    let kind = matches!(head.get(..4)?, [0, 0, 1 | 2, 0]);
    Some(kind && (1..=64).contains(&count) && at == 6 + 16 * u32::from(count) && length >= 40)
}

/// Where its pixels are, the length of its second header, and its own length, which some leave at 0.
fn bitmap(head: &[u8], size: Option<u64>) -> Option<bool> {
    let (length, reserved) = (le32(head, 2)?, le32(head, 6)?);
    let (pixels, header) = (le32(head, 10)?, le32(head, 14)?);
    let is_length = size.is_none_or(|size| u64::from(length) == size) || length == 0;
    Some(
        has(head, 0, b"BM")
            && reserved == 0
            && is_length
            && matches!(header, 12 | 40 | 52 | 56 | 64 | 108 | 124)
            && (14 + header..1 << 20).contains(&pixels),
    )
}

/// How it is compressed, a version, and the film's length.
fn flash(head: &[u8]) -> Option<bool> {
    let length = le32(head, 4)?;
    let kind = matches!(head.get(..3)?, b"FWS" | b"CWS" | b"ZWS");
    Some(kind && (1..=50).contains(head.get(3)?) && (21..1 << 30).contains(&length))
}

/// The properties of `lzma`, a size of the dictionary that it makes, and a length that is not told, or
/// could be one. Source: `lzma-file-format.txt` of XZ Utils.
fn lzma(head: &[u8]) -> Option<bool> {
    let dictionary = le32(head, 1)?;
    let length = u64::from(le32(head, 5)?) | u64::from(le32(head, 9)?) << 32;
    let is_size =
        dictionary.is_power_of_two() || (dictionary % 3 == 0 && (dictionary / 3).is_power_of_two());
    let is_length = length == u64::MAX || (1..1 << 38).contains(&length);
    // The range coder begins with a zero.
    Some(
        *head.first()? == 0x5d && is_size && dictionary >= 4096 && is_length && head.get(13)? == &0,
    )
}

/// How wide codes become, and in block mode a first code that stands for a byte.
fn compress(head: &[u8]) -> Option<bool> {
    let widths = matches!(head.get(2)?, 0x8c..=0x90);
    Some(has(head, 0, b"\x1f\x9d") && widths && head.get(4)? & 1 == 0)
}

/// A frame that zstd and lz4 skip; one with a zstd frame behind it was recognised before.
fn skippable(head: &[u8]) -> Option<bool> {
    Some(matches!(head.first()?, 0x50..=0x5f) && has(head, 1, b"\x2a\x4d\x18"))
}

/// The kinds with text in the header have digits behind the magic; the old binary one has small numbers in
/// the file's mode, of either byte order. Source: cpio(5).
fn cpio(head: &[u8]) -> Option<bool> {
    let magic = head.get(..6)?;
    if [b"070701", b"070702", b"070707"].iter().any(|mark| magic == *mark) {
        return Some(head.get(6..70)?.iter().all(u8::is_ascii_hexdigit));
    }
    let (little, big) = (le16(head, 0)? == 0o70_707, le16(head, 0)?.swap_bytes() == 0o70_707);
    let field = |at| le16(head, at).map(|value| if big { value.swap_bytes() } else { value });
    let kind = matches!(field(6)? & 0o170_000, 0o100_000 | 0o040_000 | 0o120_000 | 0o060_000);
    let name = usize::from(field(20)?);
    // The name ends with its only zero.
    let is_name = (2..=1024).contains(&name)
        && head.get(26..26 + name)?.iter().position(|byte| *byte == 0) == Some(name - 1);
    Some((little || big) && kind && is_name)
}

/// A method such as `-lh5-`, behind the header's length and checksum.
fn lha(head: &[u8]) -> Option<bool> {
    let method = head.get(2..7)?;
    let known = matches!(method, [b'-', b'l', b'h' | b'z', b'0'..=b'9' | b'd' | b's', b'-']);
    // The level of the header.
    Some(known && *head.get(20)? <= 3)
}

/// The main header: its length, that of its fixed part, its kind. Source: ARJ's `technote.txt`.
fn arj(head: &[u8]) -> Option<bool> {
    let (length, first) = (le16(head, 2)?, *head.get(4)?);
    let is_main = *head.get(10)? == 2 && *head.get(7)? <= 11;
    Some(
        has(head, 0, b"\x60\xea")
            && (30..=2600).contains(&length)
            && (30..=64).contains(&first)
            && is_main,
    )
}

/// The magic of a slice, a label of ten bytes, whether it is the last one, and what extends the header.
fn dar(head: &[u8]) -> Option<bool> {
    let (last, extension) = (head.get(14)?, head.get(15)?);
    let fits = matches!(last, b'T' | b'N' | b'E') && matches!(extension, b'N' | b'S' | b'T');
    Some(has(head, 0, b"\0\0\0\x7b") && fits)
}

/// The magic, the kind of file, and how it is compressed.
fn ghost(head: &[u8]) -> Option<bool> {
    Some(has(head, 0, b"\xfe\xef\x01") && *head.get(3)? <= 10)
}

/// Two sectors, each of which begins with the mark of a CD. Source: ECMA-130.
fn raw_cd(head: &[u8]) -> Option<bool> {
    const MARK: &[u8] = b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0";
    Some(has(head, 0, MARK) && has(head, 2352, MARK))
}

/// A header of DOS that leads to one of Windows.
fn portable_executable(head: &[u8]) -> Option<bool> {
    let at = le32(head, 0x3c)? as usize;
    let kinds: [&[u8]; 4] = [b"PE\0\0", b"NE", b"LE\0\0", b"LX\0\0"];
    Some(has(head, 0, b"MZ") && at >= 0x40 && kinds.into_iter().any(|kind| has(head, at, kind)))
}

/// Offsets within its length, and the version that all have. Source: the Devicetree Specification, 5.2.
fn device_tree(head: &[u8]) -> Option<bool> {
    let (length, tree, version) = (be32(head, 4)?, be32(head, 8)?, be32(head, 20)?);
    Some(has(head, 0, b"\xd0\x0d\xfe\xed") && tree < length && version == 17)
}

/// A dictionary in the encoding of BitTorrent, with a key that torrents have.
fn torrent(head: &[u8]) -> Option<bool> {
    let keys: [&[u8]; 6] = [
        b"d8:announce",
        b"d13:announce-list",
        b"d7:comment",
        b"d10:created by",
        b"d13:creation date",
        b"d4:infod",
    ];
    Some(keys.into_iter().any(|key| head.starts_with(key)))
}

/// A table of a few tables, and the numbers that follow from how many.
fn true_type(head: &[u8]) -> Option<bool> {
    let count = be16(head, 4)?;
    let log = count.checked_ilog2()?;
    let range = 16_u16.checked_shl(log)?;
    let fits = be16(head, 6)? == range && be16(head, 8)? == log as u16;
    Some(has(head, 0, b"\0\x01\0\0") && (4..=64).contains(&count) && fits)
}

fn has(head: &[u8], at: usize, mark: &[u8]) -> bool {
    head.get(at..).is_some_and(|rest| rest.starts_with(mark))
}

fn le16(head: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?))
}

fn be16(head: &[u8], at: usize) -> Option<u16> {
    le16(head, at).map(u16::swap_bytes)
}

fn le32(head: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?))
}

fn be32(head: &[u8], at: usize) -> Option<u32> {
    le32(head, at).map(u32::swap_bytes)
}
