//! An image's first bytes as OpenStack's inspector judges them, in Glance, Nova and Ironic.
//!
//! Source of the rules: oslo.utils 10.2.0, `imageutils/format_inspector.py` (2026); a test asks that
//! program itself. What it says of a disk's MBR is in `diskferry-inspect`, what it says of a qcow2's
//! features in `info`'s details.

use diskferry_block_stream::{Bytes, Result};

/// What the inspector finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// The formats that it takes the file for.
    pub formats: Vec<&'static str>,
    /// Why a VMDK fails its safety check.
    pub objection: Option<&'static str>,
}

/// Bytes that it needs to tell a CD.
const HEAD: usize = 34 << 10;

const SECTOR: usize = 512;

impl Glance {
    /// # Errors
    /// `Io` where the file cannot be read.
    pub fn look(bytes: &dyn Bytes) -> Result<Self> {
        let head = part(bytes, 0, HEAD as u64)?;
        let formats = formats(&head);
        let objection = match formats.contains(&"vmdk") {
            true => vmdk(bytes, &head)?,
            false => None,
        };
        Ok(Self { formats, objection })
    }

    /// Whether it is more than one thing. A CD that is a disk, too, is the exception.
    pub fn is_ambiguous(&self) -> bool {
        self.formats.len() > 1 && self.formats != ["iso", "gpt"]
    }
}

/// At most `len` bytes at `at`, as far as there are any.
fn part(bytes: &dyn Bytes, at: u64, len: u64) -> Result<Vec<u8>> {
    let len = len.min(bytes.len().saturating_sub(at));
    let mut part = vec![0; len as usize];
    bytes.read_at(at, &mut part).map_err(|error| error.in_file(bytes.name()))?;
    Ok(part)
}

fn formats(head: &[u8]) -> Vec<&'static str> {
    let has = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(mark));
    let is_fat = has(0x10, &[2]) && has(0x15, &[0xf8]);
    let cds = [b"CD001", b"NSR02", b"NSR03"];
    let marks = [
        ("qcow2", has(0, b"QFI\xfb") && head.len() >= SECTOR),
        ("vhd", has(0, b"conectix")),
        ("vhdx", has(0, b"vhdxfile")),
        ("vmdk", has(0, b"KDMV")),
        ("vdi", has(0x40, &0xbeda_107f_u32.to_le_bytes()) && head.len() >= SECTOR),
        ("qed", has(0, b"QED\0") && head.len() >= SECTOR),
        ("iso", head.len() >= HEAD && cds.iter().any(|mark| has(0x8001, *mark))),
        ("gpt", has(510, &[0x55, 0xaa]) && !is_fat),
        ("luks", has(0, b"LUKS\xba\xbe")),
    ];
    marks.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
}

/// The fields of a sparse header that it looks at: version, the descriptor's place and length in
/// sectors, the grain directory's place.
fn fields(header: &[u8]) -> Option<[u64; 4]> {
    let le32 = |at: usize| Some(u64::from(u32::from_le_bytes(*header.get(at..)?.first_chunk()?)));
    let le64 = |at: usize| Some(u64::from_le_bytes(*header.get(at..)?.first_chunk()?));
    Some([le32(4)?, le64(28)?, le64(36)?, le64(56)?])
}

/// The descriptor is where qemu has it, and not longer.
const DESCRIPTOR: u64 = 512;
const DESCRIPTOR_MOST: u64 = (1 << 20) - 1;

fn vmdk(bytes: &dyn Bytes, head: &[u8]) -> Result<Option<&'static str>> {
    let Some([version, at, length, directory]) = fields(head) else {
        return Ok(Some("the header is cut"));
    };
    if !(1..=3).contains(&version) {
        return Ok(Some("the header's version is none of 1 to 3"));
    }
    if at.checked_mul(512) != Some(DESCRIPTOR) {
        return Ok(Some("the descriptor is not in the second sector"));
    }
    let length = length.saturating_mul(512).min(DESCRIPTOR_MOST);
    let text = part(bytes, DESCRIPTOR, length)?;
    let footer = match directory {
        u64::MAX => footer(bytes, [version, at, length])?,
        _ => None,
    };
    Ok(descriptor(&text).or(footer))
}

fn descriptor(text: &[u8]) -> Option<&'static str> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() || !text.is_ascii() {
        return Some("the descriptor is no ASCII text");
    }
    let text = String::from_utf8_lossy(text).to_lowercase();
    let mut extents = 0;
    for line in text.split('\n').map(str::trim) {
        let is_value = line.split_once('=').is_some_and(|(key, _)| !key.contains(' '));
        let first = line.split(' ').next().unwrap_or_default();
        if line.is_empty() || line.starts_with('#') || line.starts_with("ddb") || is_value {
            continue;
        }
        if !["rw", "rdonly", "noaccess"].contains(&first) {
            return Some("the descriptor has a line that is none of its kinds");
        }
        if line.contains('/') {
            return Some("the descriptor has a folder in the name of an extent");
        }
        extents += 1;
    }
    (extents == 0).then_some("the descriptor has no extent")
}

/// The footer in front of the end-of-stream marker, which is judged elsewhere.
fn footer(bytes: &dyn Bytes, header: [u64; 3]) -> Result<Option<&'static str>> {
    let at = bytes.len().saturating_sub(3 * SECTOR as u64);
    let tail = part(bytes, at, 2 * SECTOR as u64)?;
    let (marker, footer) = tail.split_at_checked(SECTOR).unwrap_or_default();
    let is_marker = marker.get(8..16) == Some(&[0, 0, 0, 0, 3, 0, 0, 0])
        && marker[16..].iter().all(|byte| *byte == 0);
    if !is_marker || !footer.starts_with(b"KDMV") {
        return Ok(Some("no footer stands before the end of the file"));
    }
    let Some([version, at, length, directory]) = fields(footer) else {
        return Ok(Some("the footer is cut"));
    };
    let own = [version, at, length.saturating_mul(512).min(DESCRIPTOR_MOST)];
    Ok(match directory {
        u64::MAX => Some("the footer points to another one"),
        _ => (own != header).then_some("the footer is not like the header"),
    })
}
