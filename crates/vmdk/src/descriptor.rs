//! The descriptor: the text that says what a disk is made of.
//!
//! ```text
//! # Disk DescriptorFile
//! version=1
//! encoding="UTF-8"
//! CID=2f3a0c11
//! parentCID=ffffffff
//! createType="twoGbMaxExtentSparse"
//!
//! # Extent description
//! RW 4192256 SPARSE "disk-s001.vmdk"
//! RW 2048 FLAT "disk-f002.vmdk" 0
//!
//! # The Disk Data Base
//! #DDB
//!
//! ddb.adapterType = "lsilogic"
//! ```
//!
//! Programs write it with other line ends, blank and unknown lines, other letter case and other
//! encodings; all of that is read. Sources: VMware, "Virtual Disk Format 5.0"; libvmdk, "VMware
//! Virtual Disk Format (VMDK)".

use diskferry_block_stream::{Budget, Held, Result, SECTOR};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::damage::Damage;
use crate::names;

/// A descriptor, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Every `key=value` in order, keys in lower case, values without their quotes.
    values: Vec<(String, String)>,
    extents: Vec<ExtentLine>,
    cid: Option<u32>,
    parent_cid: Option<u32>,
    /// The encoding that it names and nobody here knows.
    unknown_encoding: Option<String>,
    /// The encoding that it was read as, where that is none of Unicode's.
    page: Option<&'static Encoding>,
}

/// A line that describes an extent: a run of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentLine {
    /// What a virtual machine may do with it.
    pub access: Access,
    /// Sectors of the disk that it holds.
    pub sectors: u64,
    /// How it holds them.
    pub kind: ExtentKind,
    /// The file that it is in, untrusted; empty where it needs none.
    pub name: String,
    /// Where it begins in the file, in sectors.
    pub offset: u64,
}

/// What a virtual machine may do with an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Only read.
    ReadOnly,
    /// Neither.
    None,
}

/// How an extent holds its sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// As they are.
    Flat,
    /// As they are, on a VMFS volume.
    Vmfs,
    /// In grains, the kind of VMware's hosted products.
    Sparse,
    /// In grains, the kind of ESX Server (COWD).
    VmfsSparse,
    /// In grains, the space-efficient kind of ESXi.
    SeSparse,
    /// Not at all: they are zeros.
    Zero,
    /// In a way that this crate does not know.
    Other(String),
}

impl ExtentKind {
    fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "FLAT" => Self::Flat,
            "VMFS" => Self::Vmfs,
            "SPARSE" => Self::Sparse,
            "VMFSSPARSE" => Self::VmfsSparse,
            "SESPARSE" => Self::SeSparse,
            "ZERO" => Self::Zero,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// The word in the descriptor.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Flat => "FLAT",
            Self::Vmfs => "VMFS",
            Self::Sparse => "SPARSE",
            Self::VmfsSparse => "VMFSSPARSE",
            Self::SeSparse => "SESPARSE",
            Self::Zero => "ZERO",
            Self::Other(word) => word,
        }
    }
}

/// A child or a parent of none has this content id.
pub(crate) const NO_PARENT: u32 = u32::MAX;

/// What a line of text may cost in memory: an extent, with its name, or a value, with its key.
const LINE_COST: u64 = 512;

impl Descriptor {
    /// Whether a file that starts with these bytes is a descriptor.
    pub(crate) fn probe(head: &[u8]) -> bool {
        // Far enough in for a signature after some blank lines.
        let text = decode(&head[..head.len().min(PROBED)]).text;
        let mut lines = lines(&text).map(str::trim).filter(|line| !line.is_empty());
        let is_signature = |line: &str| {
            line.strip_prefix('#').is_some_and(|rest| rest.trim().eq_ignore_ascii_case(SIGNATURE))
        };
        match lines.next() {
            Some(line) if is_signature(line) => true,
            // QEMU takes a version line after comments for enough.
            Some(line) if line.starts_with('#') => {
                let mut rest =
                    lines.skip_while(|line| line.starts_with('#') && !is_signature(line));
                rest.next().is_some_and(|line| {
                    let version = line.to_ascii_lowercase().replace(' ', "");
                    is_signature(line)
                        || ["version=1", "version=2", "version=3"].contains(&&*version)
                })
            }
            _ => false,
        }
    }

    /// Reads a descriptor, embedded or a file of its own; what follows a NUL byte is padding.
    ///
    /// # Errors
    /// `Damaged` for a line that begins as an extent and is none, or for a content id that is no
    /// number; `Limit` when it has more lines than the bounds allow.
    pub fn parse(bytes: &[u8], budget: &Budget) -> Result<Held<Self>> {
        let breaks = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
        let spent = budget.spend("the descriptor", bytes.len() as u64 + breaks * LINE_COST)?;
        let Text { text, unknown_encoding, page } = decode(bytes);
        let mut descriptor = Self { unknown_encoding, page, ..Self::default() };
        for (line, number) in lines(&text).zip(1..) {
            descriptor.take(line.trim(), number)?;
        }
        Ok(spent.on(descriptor))
    }

    fn take(&mut self, line: &str, number: usize) -> Result<(), Damage> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(extent) = extent_line(line, number)? {
            self.extents.push(extent);
            return Ok(());
        }
        // Whatever else there may be is for others.
        let Some((key, value)) = line.split_once('=') else { return Ok(()) };
        let (key, value) = (key.trim().to_ascii_lowercase(), unquoted(value.trim()));
        let id = |key| {
            let number_of = |text| u32::from_str_radix(text, 16).ok();
            number_of(value).ok_or_else(|| Damage::Number { line: number, key, text: shown(value) })
        };
        match key.as_str() {
            "cid" if self.cid.is_none() => self.cid = Some(id("CID")?),
            "parentcid" if self.parent_cid.is_none() => {
                self.parent_cid = Some(id("parentCID")?);
            }
            _ => {}
        }
        self.values.push((key, value.to_owned()));
        Ok(())
    }

    /// The first value of a key, of which the letter case does not matter.
    pub fn value(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    }

    /// What kind of image it says it is.
    pub fn create_type(&self) -> Option<&str> {
        self.value("createType")
    }

    /// The content id, which changes when the content does.
    pub fn cid(&self) -> Option<u32> {
        self.cid
    }

    /// The content id that the parent must have; none where there is no parent.
    pub fn parent_cid(&self) -> Option<u32> {
        self.parent_cid.filter(|cid| *cid != NO_PARENT)
    }

    /// What the image calls its parent: the path, where that ends in a name.
    pub fn parent_path(&self) -> Option<&str> {
        self.value("parentFileNameHint").filter(|path| names::last_component(path).is_some())
    }

    /// The encoding of its names, where that is none of Unicode's.
    pub(crate) fn page(&self) -> Option<&'static Encoding> {
        self.page
    }

    /// The extents, in the disk's order.
    pub fn extents(&self) -> &[ExtentLine] {
        &self.extents
    }

    /// The encoding that it says it is in, where that is unknown here.
    pub(crate) fn unknown_encoding(&self) -> Option<&str> {
        self.unknown_encoding.as_deref()
    }

    /// Whether it says anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.extents.is_empty()
    }
}

/// The first line, after its "#".
const SIGNATURE: &str = "Disk DescriptorFile";

/// Bytes looked at for it.
const PROBED: usize = 2048;

/// The lines, perhaps with the first half of their CRLF; some program ends them by CR alone.
fn lines(text: &str) -> std::str::Split<'_, char> {
    text.split(if text.contains('\n') { '\n' } else { '\r' })
}

/// Reads `ACCESS sectors KIND "name" offset …`; `None` where the line does not begin like one.
fn extent_line(line: &str, number: usize) -> Result<Option<ExtentLine>, Damage> {
    let bad = || Damage::ExtentLine { line: number, text: shown(line) };
    let (word, rest) = next_word(line);
    let access = match word.to_ascii_uppercase().as_str() {
        "RW" => Access::ReadWrite,
        "RDONLY" => Access::ReadOnly,
        "NOACCESS" => Access::None,
        _ => return Ok(None),
    };
    let (sectors, rest) = next_word(rest);
    let sectors = sectors.parse().map_err(|_| bad())?;
    let (kind, rest) = next_word(rest);
    if kind.is_empty() {
        return Err(bad());
    }
    let kind = ExtentKind::parse(kind);
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or_else(bad)?,
        None => next_word(rest),
    };
    if name.is_empty() && !matches!(kind, ExtentKind::Zero | ExtentKind::Other(_)) {
        return Err(bad());
    }
    // What may follow names a partition and a device.
    let (offset, _) = next_word(rest.trim_start());
    let offset = match offset {
        "" => 0,
        digits => digits.parse().map_err(|_| bad())?,
    };
    if offset > u64::MAX / SECTOR && matches!(kind, ExtentKind::Flat | ExtentKind::Vmfs) {
        return Err(Damage::ExtentOffset { line: number, name: shown(name), offset });
    }
    Ok(Some(ExtentLine { access, sectors, kind, name: name.to_owned(), offset }))
}

/// The first word, and what follows it and its spaces.
fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn unquoted(value: &str) -> &str {
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map_or(quoted, |(inner, _)| inner),
        None => value,
    }
}

/// A text for a message: not longer than a line.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What a descriptor's bytes say.
struct Text {
    /// Up to its padding.
    text: String,
    /// The name of its encoding, where that is unknown.
    unknown_encoding: Option<String>,
    /// What it was read as, where that is none of Unicode's.
    page: Option<&'static Encoding>,
}

impl Text {
    fn unicode(text: &str) -> Self {
        Self { text: before_nul(text).to_owned(), unknown_encoding: None, page: None }
    }
}

fn decode(bytes: &[u8]) -> Text {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Text::unicode(&encoding.decode_without_bom_handling(&bytes[mark..]).0);
    }
    // Without a mark, the zero bytes of the first characters tell.
    let wide = match bytes {
        [b'#' | b'\r' | b'\n', 0, ..] => Some(UTF_16LE),
        [0, b'#' | b'\r' | b'\n', ..] => Some(UTF_16BE),
        _ => None,
    };
    if let Some(encoding) = wide {
        return Text::unicode(&encoding.decode_without_bom_handling(bytes).0);
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    let label = stated_encoding(bytes);
    let known = label.as_deref().map_or(Some(UTF_8), |label| Encoding::for_label(label.as_bytes()));
    let (text, encoding, malformed) = known.unwrap_or(UTF_8).decode(bytes);
    // Old programs wrote the bytes of their system's code page, whatever the descriptor says; in
    // the one of western Europe no byte is malformed.
    let (text, encoding) = match malformed {
        true => (WINDOWS_1252.decode(bytes).0, WINDOWS_1252),
        false => (text, encoding),
    };
    Text {
        text: text.into_owned(),
        unknown_encoding: label.filter(|_| known.is_none()),
        page: Some(encoding).filter(|encoding| *encoding != UTF_8),
    }
}

fn before_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or(text)
}

/// The value of the line `encoding=`, which is ASCII in every encoding that has it.
fn stated_encoding(bytes: &[u8]) -> Option<String> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r')).find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (key, value) = line.split_once('=')?;
        let value = unquoted(value.trim());
        key.trim().eq_ignore_ascii_case("encoding").then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::Limits;

    use super::*;

    fn parse(text: &str) -> Result<Held<Descriptor>> {
        Descriptor::parse(text.as_bytes(), &Budget::default())
    }

    fn flat(sectors: u64, name: &str, offset: u64) -> ExtentLine {
        let (access, kind) = (Access::ReadWrite, ExtentKind::Flat);
        ExtentLine { access, sectors, kind, name: name.into(), offset }
    }

    const PLAIN: &str = "# Disk DescriptorFile\nversion=1\nCID=1b2c\nparentCID=ffffffff\n\
        createType=\"monolithicFlat\"\n\n# Extent description\nRW 63 FLAT \"a b-flat.vmdk\" 7\n\n\
        #DDB\nddb.adapterType = \"ide\"\n";

    #[test]
    fn a_descriptor_says_what_it_says() {
        let descriptor = parse(PLAIN).unwrap();
        assert_eq!(descriptor.cid(), Some(0x1b2c));
        assert_eq!(descriptor.parent_cid(), None);
        assert_eq!(descriptor.create_type(), Some("monolithicFlat"));
        assert_eq!(descriptor.extents(), [flat(63, "a b-flat.vmdk", 7)]);
        assert_eq!(descriptor.value("DDB.ADAPTERTYPE"), Some("ide"));
    }

    #[test]
    fn other_line_ends_marks_and_padding_make_no_difference() {
        let expected = parse(PLAIN).unwrap();
        let wide = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(order).collect()
        };
        let marked = format!("\u{feff}{PLAIN}");
        for (what, bytes) in [
            ("CRLF", PLAIN.replace('\n', "\r\n").into_bytes()),
            ("CR", PLAIN.replace('\n', "\r").into_bytes()),
            ("tabs", PLAIN.replace(" = ", "\t=\t").into_bytes()),
            ("blank lines first", format!("\r\n \t\r\n\r\n{PLAIN}").into_bytes()),
            ("padded", format!("{PLAIN}\0\0\0RW rubbish").into_bytes()),
            ("mark", marked.clone().into_bytes()),
            ("UTF-16, mark", wide(&marked, u16::to_le_bytes)),
            ("UTF-16 of the other order, mark", wide(&marked, u16::to_be_bytes)),
            ("UTF-16", wide(PLAIN, u16::to_le_bytes)),
            ("UTF-16 of the other order", wide(PLAIN, u16::to_be_bytes)),
        ] {
            assert!(Descriptor::probe(&bytes), "{what}");
            let found = Descriptor::parse(&bytes, &Budget::default()).unwrap();
            assert_eq!(*found, *expected, "{what}");
        }
    }

    #[test]
    fn letter_case_does_not_matter() {
        let found =
            parse("createtype=\"VMFS\"\ncid=AbCd\nrw 1 vmfs \"x\"\nParentCid=FFFFFFFF").unwrap();
        assert_eq!((found.create_type(), found.cid()), (Some("VMFS"), Some(0xabcd)));
        assert_eq!(found.parent_cid(), None);
        assert_eq!(found.extents()[0].kind, ExtentKind::Vmfs);
    }

    #[test]
    fn extent_lines_of_all_kinds_are_read() {
        for (line, access, sectors, kind, name, offset) in [
            ("RW 1 SPARSE \"a.vmdk\"", Access::ReadWrite, 1, ExtentKind::Sparse, "a.vmdk", 0),
            ("RDONLY  2  FLAT  \"é.vmdk\"  3 ", Access::ReadOnly, 2, ExtentKind::Flat, "é.vmdk", 3),
            ("NOACCESS 9 ZERO", Access::None, 9, ExtentKind::Zero, "", 0),
            ("RW 5 ZERO \"\" 0", Access::ReadWrite, 5, ExtentKind::Zero, "", 0),
            (
                "RW 5 VMFSSPARSE bare.vmdk",
                Access::ReadWrite,
                5,
                ExtentKind::VmfsSparse,
                "bare.vmdk",
                0,
            ),
            ("RW 6 SESPARSE \"s\"", Access::ReadWrite, 6, ExtentKind::SeSparse, "s", 0),
            (
                "RW 7 FLAT \"\\\\.\\PhysicalDrive0\" 63 partitionUUID \"\\\\?\\X\"",
                Access::ReadWrite,
                7,
                ExtentKind::Flat,
                "\\\\.\\PhysicalDrive0",
                63,
            ),
            ("RW 8 VVOL \"v\"", Access::ReadWrite, 8, ExtentKind::Other("VVOL".into()), "v", 0),
        ] {
            let name = name.to_owned();
            let expected = ExtentLine { access, sectors, kind, name, offset };
            assert_eq!(parse(line).unwrap().extents(), [expected], "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_extent_is_damage_with_its_number() {
        for line in [
            "RW",
            "RW x FLAT \"a\" 0",
            "RW -1 FLAT \"a\" 0",
            "RW 1",
            "RW 1 FLAT",
            "RW 1 FLAT \"\" 0",
            "RW 1 FLAT \"a",
            "RW 1 FLAT \"a\" x",
            "RW 99999999999999999999 FLAT \"a\" 0",
        ] {
            let error = parse(&format!("version=1\n\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains(line), "{line}: {error}");
        }
        let far = "RW 4 FLAT \"r.raw\" 18446744073709551615";
        let error = parse(&format!("version=1\n{far}\n")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("0xffffffffffffffff"), "{error}");
        assert!(parse(&far.replace("FLAT", "SPARSE")).is_ok());
        let error = parse("CID=12g4").unwrap_err().to_string();
        assert!(error.contains("CID") && error.contains("12g4"), "{error}");
    }

    #[test]
    fn what_nobody_knows_is_passed_over() {
        let text = "changeTrackPath=\"x-ctk.vmdk\"\nsome words\n=\nddb.new.thing = \"1\"\nRWX 1\n\
                    toolsVersion\nx=\"unclosed";
        let found = parse(text).unwrap();
        assert_eq!(found.extents(), []);
        assert_eq!(found.value("changeTrackPath"), Some("x-ctk.vmdk"));
        assert_eq!(found.value("x"), Some("unclosed"));
    }

    #[test]
    fn names_are_read_in_the_encoding_that_is_stated() {
        let (gbk, ansi) = (b"\xb4\xc5\xc5\xcc.vmdk", b"M\xfcnchen.vmdk");
        for (label, name, text, known) in [
            ("GBK", &gbk[..], "磁盘.vmdk", true),
            ("windows-1252", ansi, "München.vmdk", true),
            ("Shift_JIS", b"\x83\x66\x83\x42\x83\x58\x83\x4e", "ディスク", true),
            ("Big5", b"\xba\xcf\xba\xd0", "磁碟", true),
            ("UTF-8", "磁盘.vmdk".as_bytes(), "磁盘.vmdk", true),
            ("UTF-8", ansi, "München.vmdk", true),
            ("klingon", ansi, "München.vmdk", false),
            ("klingon", b"x", "x", false),
        ] {
            let head = format!("encoding=\"{label}\"\nRW 1 VMFS \"");
            let bytes = [head.as_bytes(), name, b"\"\n"].concat();
            let found = Descriptor::parse(&bytes, &Budget::default()).unwrap();
            assert_eq!(found.extents()[0].name, text, "{label}");
            assert_eq!(found.unknown_encoding().is_none(), known, "{label}");
        }
    }

    #[test]
    fn a_parent_has_the_name_that_its_path_ends_in() {
        for (hint, named) in [
            ("base.vmdk", true),
            ("/vmfs/volumes/a b/base.vmdk", true),
            ("C:\\machines\\base.vmdk", true),
            ("../base.vmdk", true),
            ("dir/", false),
            ("dir/..", false),
            ("", false),
        ] {
            let text = format!("parentCID=fffffffe\nparentFileNameHint=\"{hint}\"");
            let found = parse(&text).unwrap();
            let path = Some(hint).filter(|_| named);
            assert_eq!((found.parent_cid(), found.parent_path()), (Some(0xffff_fffe), path));
        }
    }

    #[test]
    fn thousands_of_extents_are_read_within_the_limits() {
        let line = |n: u64| format!("RW 4192256 SPARSE \"disk-s{n:05}.vmdk\"\n");
        let text: String = (1..=32_000).map(line).collect();
        let found = parse(&text).unwrap();
        assert_eq!(found.extents().len(), 32_000);
        assert_eq!(found.extents()[31_999].name, "disk-s32000.vmdk");
        let budget = Limits::default().with_metadata(1 << 20).budget();
        assert!(Descriptor::parse(text.as_bytes(), &budget).is_err());
    }

    #[test]
    fn only_a_descriptor_probes_as_one() {
        for (head, is) in [
            ("# Disk DescriptorFile\nversion=1\n", true),
            ("#disk descriptorfile\r\n", true),
            ("\r\n\n  # Disk DescriptorFile", true),
            ("# a comment\n# Disk DescriptorFile\n", true),
            ("# a comment\n\nversion=1\n", true),
            ("# a comment\nversion=4\n", false),
            ("# a comment\nCID=1\n", false),
            ("version=1\n", false),
            ("#!/bin/sh\n", false),
            ("", false),
            ("#", false),
        ] {
            assert_eq!(Descriptor::probe(head.as_bytes()), is, "{head:?}");
        }
    }
}
