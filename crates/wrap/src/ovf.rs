//! The descriptor of an OVF package: which files are its disks.
//!
//! Source: DSP0243 1.1.1 (DMTF), 7.1 for the files and 9.1 for the disks. Namespaces differ from version to version
//! and are not looked at; of the many elements only these matter here:
//!
//! ```text
//! <File ovf:id="file1" ovf:href="vm-disk1.vmdk" ovf:size="…" ovf:chunkSize="…" ovf:compression="gzip"/>
//! <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" …/>
//! ```

use diskferry_block_stream::{Error, Limits, Result};
use roxmltree::{Document, Node, ParsingOptions};

use crate::damage::Damage;

/// A file that is a disk of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskFile {
    /// The member's name, if it is one.
    pub href: String,
    /// Its length in bytes, as the descriptor has it.
    pub size: Option<u64>,
    /// Whether it is cut into members of their own: `disk.vmdk.000000000` and so on.
    pub in_chunks: bool,
}

impl DiskFile {
    /// Whether the member of that name, but for its end, is the file. A reference is a URI, which some
    /// writers take at its word and others do not.
    pub fn is(&self, name: &str, end: &str) -> bool {
        name.strip_suffix(end)
            .is_some_and(|name| name == self.href || name.as_bytes() == unescaped(&self.href))
    }
}

/// Text without its escapes, such as %20.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Bytes that a descriptor may have. Those of the largest appliances have some hundred thousand.
pub(crate) const MAX: u64 = 1 << 20;

/// Attributes of a descriptor: the parser compares each with all before it in its element.
const ATTRIBUTES: usize = 20_000;

/// Namespaces of a descriptor: the parser keeps those of an element for each element in it.
const NAMESPACES: usize = 4096;

/// Nodes of a descriptor, which take some hundred bytes of memory each.
const NODES: u32 = 50_000;

/// The files of the disks, in the order of the disks, each once.
///
/// # Errors
/// `Damaged` when it is no descriptor, `Limit` when it takes too much memory.
pub(crate) fn disks(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<DiskFile>> {
    // What the parser may take at most, given back when it is done.
    let memory = u64::from(NODES) * 200 + bytes.len() as u64 * 4;
    limits.spend("an OVF descriptor", memory)?;
    // Names of files are ASCII; what else is in another encoding does not matter here.
    let text = String::from_utf8_lossy(bytes);
    let (attributes, namespaces) = (text.matches('=').count(), text.matches("xmlns").count());
    let disks = match attributes > ATTRIBUTES || namespaces > NAMESPACES {
        true => Err(Error::limit(format!(
            "the OVF descriptor '{name}' has {attributes} attributes and {namespaces} namespaces"
        ))),
        false => parse(name, &text).map_err(Error::from),
    };
    limits.refund(memory);
    disks
}

fn parse(name: &str, text: &str) -> Result<Vec<DiskFile>, Damage> {
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| Damage::Xml { name: name.to_owned(), detail: error.to_string() })?;
    if document.root_element().tag_name().name() != "Envelope" {
        let problem = "has no Envelope".to_owned();
        return Err(Damage::Ovf { name: name.to_owned(), problem });
    }
    let elements = |tag: &'static str| {
        document.root_element().descendants().filter(move |node| node.tag_name().name() == tag)
    };
    // Files are named as the descriptor's folder has them.
    let folder = &name[..name.rfind('/').map_or(0, |slash| slash + 1)];
    let mut disks: Vec<DiskFile> = Vec::new();
    for disk in elements("Disk") {
        // A disk without a file is an empty one.
        let Some(id) = attribute(&disk, "fileRef") else { continue };
        let Some(file) = elements("File").find(|file| attribute(file, "id") == Some(id)) else {
            let problem = format!("has a disk in the file '{id}', which it does not list");
            return Err(Damage::Ovf { name: name.to_owned(), problem });
        };
        let href = attribute(&file, "href").unwrap_or_default();
        let href = format!("{folder}{}", href.trim_start_matches("./"));
        if disks.iter().any(|known| known.href == href) {
            continue;
        }
        disks.push(DiskFile {
            href,
            size: attribute(&file, "size").and_then(|size| size.parse().ok()),
            in_chunks: attribute(&file, "chunkSize").is_some(),
        });
        if disks.len() > DISKS {
            let problem = format!("has more than {DISKS} disks");
            return Err(Damage::Ovf { name: name.to_owned(), problem });
        }
    }
    Ok(disks)
}

/// Disks of a package: far more than a machine can have. It bounds the search for their files.
const DISKS: usize = 256;

/// An attribute, whatever its namespace.
fn attribute<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<DiskFile>> {
        disks("a.ovf", text.as_bytes(), &Limits::default())
    }

    #[test]
    fn disks_come_in_their_own_order_with_their_files() {
        let text = r#"<?xml version="1.0"?>
            <ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
              <ovf:References>
                <ovf:File ovf:href="./b.vmdk" ovf:id="2" ovf:size="7" ovf:chunkSize="4"/>
                <ovf:File ovf:href="a.vmdk" ovf:id="1"/>
                <ovf:File ovf:href="c.iso" ovf:id="3"/>
              </ovf:References>
              <ovf:DiskSection>
                <ovf:Disk ovf:diskId="x" ovf:fileRef="1"/>
                <ovf:Disk ovf:diskId="empty" ovf:capacity="1"/>
                <ovf:Disk ovf:diskId="y" ovf:fileRef="2"/>
                <ovf:Disk ovf:diskId="z" ovf:fileRef="1"/>
              </ovf:DiskSection>
            </ovf:Envelope>"#;
        let file = |href: &str, size, in_chunks| DiskFile { href: href.into(), size, in_chunks };
        assert_eq!(
            parsed(text).unwrap(),
            [file("a.vmdk", None, false), file("b.vmdk", Some(7), true)]
        );
    }

    #[test]
    fn a_reference_is_a_name_or_a_uri() {
        let file = |href: &str| DiskFile { href: href.into(), size: None, in_chunks: false };
        for (href, name, end, is) in [
            ("a.vmdk", "a.vmdk", "", true),
            ("a%20b.vmdk", "a b.vmdk", "", true),
            ("a%20b.vmdk", "a%20b.vmdk", "", true),
            ("a%2", "a%2", "", true),
            ("100%", "100%", "", true),
            ("a.vmdk", "a.vmdk.000000001", ".000000001", true),
            ("a.vmdk", "a.vmdk", ".000000001", false),
            ("a.vmdk", "b.vmdk", "", false),
        ] {
            assert_eq!(file(href).is(name, end), is, "{href} {name}");
        }
    }

    #[test]
    fn files_are_beside_the_descriptor() {
        let text = br#"<Envelope><File id="1" href="a"/><Disk fileRef="1"/></Envelope>"#;
        let disks = disks("folder/vm.ovf", text, &Limits::default()).unwrap();
        assert_eq!(disks[0].href, "folder/a");
    }

    #[test]
    fn what_is_no_descriptor_is_damage() {
        let many = format!("<Envelope>{}</Envelope>", "<a/>".repeat(NODES as usize));
        let deep = format!("{}{}", "<Envelope>".repeat(20_000), "</Envelope>".repeat(20_000));
        let laughs =
            r#"<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><Envelope>&d;</Envelope>"#;
        let file =
            r#"<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Envelope>&b;</Envelope>"#;
        for text in [
            "",
            "text",
            "<Envelope>",
            "<Other/>",
            laughs,
            file,
            many.as_str(),
            r#"<Envelope><Disk fileRef="1"/></Envelope>"#,
        ] {
            assert_eq!(parsed(text).unwrap_err().kind(), ErrorKind::Damaged, "{text:.80}");
        }
        // Deep is no harm.
        assert_eq!(parsed(&deep).unwrap(), []);
    }

    #[test]
    fn memory_and_time_are_bounded() {
        let attributes: String = (0..25_000).map(|n| format!(" a{n}=\"\"")).collect();
        let namespaces: String = (0..5000).map(|n| format!(" xmlns:a{n}=\"a\"")).collect();
        for text in [attributes, namespaces] {
            let error = parsed(&format!("<Envelope{text}/>")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
        }
        let limits = Limits::default().with_metadata(1000);
        let error = disks("a.ovf", b"<Envelope/>", &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
