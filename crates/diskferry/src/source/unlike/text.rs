//! Documents: text that is for people or programs, and no disk under any name.

use std::borrow::Cow;

/// What a document is by its first bytes, and what to do with it. Other text may be a disk's: somebody's
/// first block.
pub(super) fn document(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = decode(&head[..head.len().min(LOOKED)])?;
    let text = text.trim_start();
    let lower = text.to_ascii_lowercase();
    let begins = |marks: &[&str]| marks.iter().any(|mark| lower.starts_with(mark));
    if lower.starts_with('<') {
        let is_whole = || is_text(head) && lower.trim_end().ends_with('>');
        return markup(&lower).or_else(|| is_whole().then_some((XML, ANSWER)));
    }
    let line = text.lines().next().unwrap_or_default();
    if line.strip_prefix("#!").is_some_and(|rest| rest.trim_start().starts_with(['/', 'i'])) {
        return Some(("a script", "run it, if you trust it: it may make or fetch the disk"));
    }
    if let Some((what, instead, _)) = BEGINNINGS.iter().find(|(_, _, marks)| begins(marks)) {
        return Some((what, instead));
    }
    // What follows has no beginning of its own, so all that is seen has to be text.
    if !is_text(head) {
        return None;
    }
    if is_json(text) {
        return Some(("a JSON document", ANSWER));
    }
    if let Some((what, instead, _)) = LINES.iter().find(|(_, _, marks)| has_line(&lower, marks)) {
        return Some((what, instead));
    }
    is_checksums(text)
        .then_some(("a list of checksums", "the disk is another file, which it names"))
}

/// Whether all of it is text, but for zeros behind it.
pub(super) fn is_text(head: &[u8]) -> bool {
    let end = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // UTF-16 may end with half of a character that is zero.
    let is_wide = head.starts_with(b"\xff\xfe") || head.starts_with(b"<\0");
    let end = if is_wide { (end + end % 2).min(head.len()) } else { end };
    end > 0
        && decode(&head[..end]).is_some_and(|text| {
            text.chars()
                .all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}'))
        })
}

/// Bytes of which a document's kind is told.
const LOOKED: usize = 8 << 10;

/// The text up to the first zero; `None` where there is none. A character that the end cuts is left out.
fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let wide = |from: usize, order: fn([u8; 2]) -> u16| {
        let units = bytes[from..].as_chunks::<2>().0.iter().copied().map(order);
        let text = char::decode_utf16(units.take_while(|unit| *unit != 0));
        text.collect::<Result<String, _>>().ok().map(Cow::Owned)
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(2, u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(2, u16::from_be_bytes),
        // XML has no need of a mark.
        [b'<', 0, 1..=0xff, 0, ..] => wide(0, u16::from_le_bytes),
        [0, b'<', 0, 1..=0xff, ..] => wide(0, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            match std::str::from_utf8(&bytes[..end]) {
                Ok(text) => Some(Cow::Borrowed(text)),
                Err(error) if error.error_len().is_none() => {
                    std::str::from_utf8(&bytes[..error.valid_up_to()]).ok().map(Cow::Borrowed)
                }
                // Other encodings have ASCII in front, as far as that tells anything.
                Err(_) => Some(String::from_utf8_lossy(&bytes[..end]).into_owned().into()),
            }
        }
    }
    .filter(|text| !text.is_empty())
}

/// HTML and XML, by the beginning or by the element that all else is in.
fn markup(lower: &str) -> Option<(&'static str, &'static str)> {
    // Comments and declarations stand before it.
    let mut rest = lower;
    let mut is_xml = false;
    for _ in 0..MOST_BEFORE {
        let end = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<!doctype html") => return Some((HTML, ANSWER)),
            _ if rest.starts_with("<?xml") || rest.starts_with("<!doctype") => {
                is_xml = true;
                ">"
            }
            _ => break,
        };
        let Some(at) = rest.find(end) else {
            // It is cut here, or goes on for long.
            return is_xml.then_some((XML, ANSWER));
        };
        rest = rest[at + end.len()..].trim_start();
    }
    let name = rest.strip_prefix('<')?;
    let length =
        name.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '.')));
    let (name, after) = name.split_at(length.unwrap_or(name.len()));
    let name = name.rsplit(':').next().unwrap_or(name);
    let known = ELEMENTS.iter().find(|(_, _, names)| names.contains(&name));
    let is_element = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && after.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
    match known {
        Some((what, instead, _)) if is_element => Some((what, instead)),
        _ if is_xml => Some((XML, ANSWER)),
        _ => None,
    }
}

const HTML: &str = "a page of HTML";
const XML: &str = "an XML document";
const ANSWER: &str =
    "it may be what a server sent in place of the disk: look into it, and download again";
const BESIDE: &str = "it describes a machine: give the disk's file, which it names";

/// Comments and declarations that are passed over.
const MOST_BEFORE: usize = 16;

/// What is said, what to do, and the names of outermost elements that tell it.
const ELEMENTS: &[(&str, &str, &[&str])] = &[
    (
        HTML,
        ANSWER,
        &["html", "head", "body", "title", "script", "meta", "div", "center", "h1", "p", "pre"],
    ),
    ("what an object store answers when it refuses", ANSWER, &["error", "errorresponse"]),
    ("the list of a bucket", ANSWER, &["listbucketresult", "enumerationresults"]),
    (
        "an OVF descriptor",
        "give it by its own path, with its disks beside it, or give a disk",
        &["envelope"],
    ),
    ("the description of a VirtualBox machine", BESIDE, &["virtualbox"]),
    ("the description of a Parallels disk", "give the disk's .hds file", &["parallels_disk_image"]),
    ("the description of a Parallels machine", BESIDE, &["parallelsvirtualmachine"]),
    ("the description of a libvirt machine", BESIDE, &["domain", "domainsnapshot"]),
    ("the description of a libvirt volume", BESIDE, &["volume"]),
    ("the description of a machine", BESIDE, &["vm", "configuration", "foundry"]),
    ("a metalink", "download what it names", &["metalink"]),
    ("a picture (SVG)", super::table::MEDIA, &["svg"]),
    ("a property list", super::table::DOCUMENT, &["plist"]),
    ("a feed", ANSWER, &["rss", "feed"]),
];

/// What is said, what to do, and the beginnings that tell it, in lower case.
const BEGINNINGS: &[(&str, &str, &[&str])] = &[
    (
        "a pointer of Git LFS",
        "git lfs pull puts the file itself in its place",
        &["version https://git-lfs.github.com/spec/"],
    ),
    ("a server's answer", ANSWER, &["http/1.0 ", "http/1.1 ", "http/2 "]),
    (
        "configuration for cloud-init",
        super::table::DOCUMENT,
        &["#cloud-config", "content-type: multipart/"],
    ),
    ("a key, a certificate or an encrypted message", super::table::DOCUMENT, &["-----begin "]),
    ("a git bundle", super::table::DOCUMENT, &["# v2 git bundle", "# v3 git bundle"]),
    (
        "the description of a CD",
        "give the .bin or .img beside it, as an ISO",
        &["[clonecd]", "cd_rom", "cd_da"],
    ),
    ("a batch file", super::table::DOCUMENT, &["@echo off"]),
    ("a patch", super::table::DOCUMENT, &["diff --git "]),
];

/// What is said, what to do, and beginnings of lines that tell it, in lower case.
const LINES: &[(&str, &str, &[&str])] = &[
    (
        "the description of a VMware machine",
        "it describes a machine: give the .vmdk, which it names",
        &[
            ".encoding =",
            "config.version =",
            "virtualhw.version =",
            "snapshot.mru.uid =",
            "snapshot.lastuid =",
        ],
    ),
    (
        "a VMDK descriptor without its first line",
        "its first line is '# Disk DescriptorFile'",
        &["createtype=", "createtype ="],
    ),
    ("the description of a Proxmox VE machine", BESIDE, &["scsihw:", "bootdisk:"]),
    ("a Vagrantfile", "give the box's own file", &["vagrant.configure("]),
    ("the description of a CD", "give the .bin or .img beside it, as an ISO", &["track 01 "]),
    ("a Kubernetes manifest", super::table::DOCUMENT, &["apiversion:"]),
];

fn has_line(lower: &str, marks: &[&str]) -> bool {
    lower.lines().any(|line| marks.iter().any(|mark| line.trim_start().starts_with(mark)))
}

/// An object, or a list of objects or texts: its first two signs.
fn is_json(text: &str) -> bool {
    let mut signs = text.chars().filter(|c| !c.is_whitespace());
    matches!(
        (signs.next(), signs.next()),
        (Some('{'), Some('"' | '}')) | (Some('['), Some('{' | '"' | ']'))
    ) && text.trim_end().len() > 1
}

/// Lines as `sha256sum` has them: digits and a name; or as OVF manifests do: `SHA256(name)= digits`.
fn is_checksums(text: &str) -> bool {
    let is_digest = |word: &str| {
        matches!(word.len(), 32 | 40 | 56 | 64 | 96 | 128)
            && word.bytes().all(|c| c.is_ascii_hexdigit())
    };
    let Some(line) = text.lines().find(|line| !line.trim().is_empty()) else { return false };
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    is_digest(first) || is_digest(words.next_back().unwrap_or_default()) && line.contains('(')
}
