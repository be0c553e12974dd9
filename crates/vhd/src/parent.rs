//! What a differencing disk calls its parent, in the words of several platforms.

use std::ffi::OsString;

use diskferry_block_stream::{Bytes, ParentRef, Problem, Result};

use crate::wire::{LOCATOR, RawHeader, RawLocator, field};

/// A name of the parent as it is in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locator {
    pub platform: Platform,
    pub text: String,
    /// Where its bytes are in the file.
    pub at: u64,
    pub length: u64,
}

/// Whose name it is, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Platform {
    /// UTF-16, relative to the image, for Windows.
    W2ru,
    /// UTF-16, absolute, for Windows.
    W2ku,
    /// A file URL, for Mac OS X and XenServer.
    MacX,
    /// Relative and absolute paths for Windows, of Virtual PC before 2004.
    Wi2r,
    Wi2k,
    /// A Mac OS alias, or something newer: not read.
    Other([u8; 4]),
}

impl Platform {
    fn of(code: [u8; 4]) -> Self {
        match &code {
            b"W2ru" => Self::W2ru,
            b"W2ku" => Self::W2ku,
            b"MacX" => Self::MacX,
            b"Wi2r" => Self::Wi2r,
            b"Wi2k" => Self::Wi2k,
            _ => Self::Other(code),
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::W2ru | Self::W2ku => utf16(bytes, u16::from_le_bytes),
            Self::MacX => url(bytes),
            Self::Wi2r | Self::Wi2k | Self::Other(_) => up_to_nul(&String::from_utf8_lossy(bytes)),
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::W2ru => f.write_str("W2ru"),
            Self::W2ku => f.write_str("W2ku"),
            Self::MacX => f.write_str("MacX"),
            Self::Wi2r => f.write_str("Wi2r"),
            Self::Wi2k => f.write_str("Wi2k"),
            Self::Other(code) => write!(f, "{}", code.escape_ascii()),
        }
    }
}

/// Longer names are no names: 32767 characters of UTF-16 are Windows' own bound.
const LONGEST: u32 = 64 << 10;

/// Reads the parent's names and places, of the header at `at`.
///
/// A name that cannot be read is odd, no damage: the parent has other names, and an id.
pub(crate) fn read(
    bytes: &dyn Bytes,
    at: u64,
    header: &RawHeader,
    oddities: &mut Vec<Problem>,
) -> Result<(ParentRef, Vec<Locator>)> {
    let mut locators = Vec::new();
    for (index, raw) in header.locators.iter().enumerate() {
        if raw.platform == [0; 4] {
            continue;
        }
        let field = at + field::LOCATORS + (index * LOCATOR) as u64;
        match locator(bytes, raw)? {
            Some(locator) => locators.push(locator),
            None => {
                let text = format!(
                    "the parent's name for {} of {:#x} bytes at {:#x} is too long or not in the \
                     file",
                    Platform::of(raw.platform),
                    raw.length,
                    raw.offset
                );
                oddities.push(Problem::oddity(field, text));
            }
        }
    }
    locators.sort_by_key(|locator| locator.platform);
    let name = utf16(&header.parent_name, u16::from_be_bytes);
    let id = (header.parent_uuid != [0; 16]).then(|| uuid_text(&header.parent_uuid));
    // XenServer's way to name a raw parent is a VHD's id of zeros.
    let format = id.is_some().then(|| "vhd".to_owned());
    let names = names(&locators, &name).into_iter().map(OsString::from).collect();
    Ok((ParentRef { names, format, id }, locators))
}

fn locator(bytes: &dyn Bytes, raw: &RawLocator) -> Result<Option<Locator>> {
    let end = raw.offset.checked_add(u64::from(raw.length));
    if raw.length > LONGEST || end.is_none_or(|end| end > bytes.len()) {
        return Ok(None);
    }
    let mut name = vec![0; raw.length as usize];
    bytes.read_at(raw.offset, &mut name)?;
    let platform = Platform::of(raw.platform);
    let text = match platform {
        Platform::Other(_) => String::new(),
        platform => platform.decode(&name),
    };
    Ok(Some(Locator { platform, text, at: raw.offset, length: u64::from(raw.length) }))
}

/// The parent's file names, without the folders it once was in: images move together.
///
/// `header` is the name in the header. It stands behind the relative locator, which programs that
/// move an image keep up to date, and before all others.
fn names(locators: &[Locator], header: &str) -> Vec<String> {
    let relative = locators.iter().take_while(|locator| locator.platform == Platform::W2ru).count();
    let (first, rest) = locators.split_at(relative);
    let texts = |locators: &'_ [Locator]| -> Vec<String> {
        locators.iter().map(|locator| locator.text.clone()).collect()
    };
    let mut names = Vec::new();
    for text in [texts(first), vec![header.to_owned()], texts(rest)].concat() {
        let name = text.rsplit(['\\', '/']).next().unwrap_or_default();
        let known = names.iter().any(|known| known == name);
        if !known && !["", ".", ".."].contains(&name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Text in UTF-16, up to its end or the first zero. A byte order mark has the last word on the
/// order: XenServer once wrote one.
fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> String {
    let (order, text): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xff, 0xfe, text @ ..] => (u16::from_le_bytes, text),
        [0xfe, 0xff, text @ ..] => (u16::from_be_bytes, text),
        text => (order, text),
    };
    let units = text.chunks_exact(2).map(|unit| order([unit[0], unit[1]]));
    let text = char::decode_utf16(units.take_while(|unit| *unit != 0));
    text.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The path of a file URL, its `%` codes resolved.
fn url(bytes: &[u8]) -> String {
    let path = bytes.strip_prefix(b"file://").unwrap_or(bytes);
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        plain.push(code.map_or(*byte, |(high, low)| (high << 4 | low) as u8));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    up_to_nul(&String::from_utf8_lossy(&plain))
}

fn up_to_nul(text: &str) -> String {
    text.split('\0').next().unwrap_or_default().to_owned()
}

/// A unique id as everybody writes it: VHD stores them big-endian.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex = |range: std::ops::Range<usize>| -> String {
        uuid[range].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(platform: &[u8; 4], text: &str) -> Locator {
        Locator { platform: Platform::of(*platform), text: text.to_owned(), at: 0, length: 0 }
    }

    #[test]
    fn names_are_file_names_the_likeliest_first_and_once() {
        let mut locators = vec![
            locator(b"W2ku", r"C:\disks\absolute.vhd"),
            locator(b"MacX", "/Users/me/mac.vhd"),
            locator(b"W2ru", r".\relative.vhd"),
            locator(b"Wi2r", r"..\relative.vhd"),
            locator(b"Mac ", ""),
        ];
        locators.sort_by_key(|locator| locator.platform);
        assert_eq!(
            names(&locators, r"D:\old\header.vhd"),
            ["relative.vhd", "header.vhd", "absolute.vhd", "mac.vhd"]
        );
        assert_eq!(names(&locators, "absolute.vhd")[1..], ["absolute.vhd", "mac.vhd"]);
        assert_eq!(names(&[locator(b"W2ru", r"..\")], ".."), [] as [&str; 0]);
    }

    #[test]
    fn texts_end_at_a_zero_and_heed_a_byte_order_mark() {
        assert_eq!(utf16(b"a\0b\0\0\0c\0", u16::from_le_bytes), "ab");
        assert_eq!(utf16(b"\0a\0b", u16::from_be_bytes), "ab");
        assert_eq!(utf16(b"\xff\xfea\0b\0", u16::from_be_bytes), "ab");
        assert_eq!(utf16(b"\xfe\xff\0a\0b", u16::from_le_bytes), "ab");
        assert_eq!(utf16(b"\xd8\x00\0a\x7f", u16::from_be_bytes), "\u{fffd}a");
        assert_eq!(utf16(b"\x7e\xaa", u16::from_be_bytes), "纪");
    }

    #[test]
    fn urls_lose_their_codes() {
        for (from, to) in [
            ("file://./parent.vhd", "./parent.vhd"),
            ("file:///a%20b/%E7%BA%AA.vhd\0", "/a b/纪.vhd"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
        ] {
            assert_eq!(url(from.as_bytes()), to);
        }
    }

    #[test]
    fn ids_are_written_big_endian() {
        let uuid = std::array::from_fn(|index| index as u8);
        assert_eq!(uuid_text(&uuid), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
