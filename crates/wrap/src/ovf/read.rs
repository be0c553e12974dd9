//! Reads a descriptor, in bounded memory and time.

use diskferry_block_stream::{Budget, Error, Result};
use roxmltree::{Document, Node, ParsingOptions};

use super::descriptor::{Descriptor, Listed};
use super::machine::Machine;
use super::nodes::{attribute, elements};
use super::text::text_of;
use crate::choose::names::{is_descriptor, is_manifest};
use crate::damage::Damage;
use crate::objection::{OBJECTIONS, Objection, Point};

/// Bytes that a descriptor may have. Those of the largest appliances have some hundred thousand.
pub(crate) const MAX: u64 = 1 << 20;

/// Attributes of a descriptor: the parser compares each with all before it in its element.
const ATTRIBUTES: usize = 20_000;

/// Namespaces of a descriptor: the parser keeps those of an element for each element in it.
const NAMESPACES: usize = 4096;

/// Nodes of a descriptor, which take some hundred bytes of memory each.
const NODES: u32 = 50_000;

/// Reads a descriptor, whose member is called `name`.
///
/// # Errors
/// `Damaged` when it is no descriptor, `Limit` when it takes too much memory.
pub(crate) fn read(name: &str, bytes: &[u8], budget: &Budget) -> Result<Descriptor> {
    let text = text_of(bytes);
    let (attributes, namespaces) = (text.matches('=').count(), text.matches("xmlns").count());
    // What the parser and the names may take at most, given back when it is done.
    let names = (attributes.min(ATTRIBUTES) as u64).saturating_mul(name.len() as u64);
    let memory = names.saturating_add(u64::from(NODES) * 200 + bytes.len() as u64 * 6);
    let _spent = budget.spend("an OVF descriptor", memory)?;
    match attributes > ATTRIBUTES || namespaces > NAMESPACES {
        true => Err(Error::limit(format!(
            "the OVF descriptor '{name}' has {attributes} attributes and {namespaces} namespaces"
        ))),
        false => parse(name, &text).map_err(Error::from),
    }
}

fn parse(name: &str, text: &str) -> Result<Descriptor, Damage> {
    let damage = |problem: String| Damage::Ovf { name: name.to_owned(), problem };
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| Damage::Xml { name: name.to_owned(), detail: error.to_string() })?;
    let envelope = document.root_element();
    if envelope.tag_name().name() != "Envelope" {
        return Err(damage("has no Envelope".to_owned()));
    }
    let files: Vec<Node<'_, '_>> = elements(envelope, "File").collect();
    let mut descriptor = Descriptor {
        name: name.to_owned(),
        files: files.iter().map(|file| listed(file, name)).collect(),
        ..Descriptor::default()
    };
    let machine = Machine::of(envelope);
    descriptor.objections.extend(machine.dangling(envelope));
    for disk in elements(envelope, "Disk") {
        // A disk without a file is an empty one.
        let Some(id) = attribute(&disk, "fileRef") else { continue };
        let Some(index) = files.iter().position(|file| attribute(file, "id") == Some(id)) else {
            return Err(damage(format!("has a disk in the file '{id}', which it does not list")));
        };
        let file = &descriptor.files[index];
        if is_descriptor(&file.href) || is_manifest(&file.href) {
            return Err(damage(format!("has '{}' as a disk, which is none", file.href)));
        }
        if descriptor.disks.iter().any(|known| known.href == file.href) {
            continue;
        }
        let objections = [odd_format(&disk), machine.lacks(attribute(&disk, "diskId"))];
        descriptor.objections.extend(objections.into_iter().flatten());
        descriptor.disks.push(Listed { capacity: capacity(&disk), ..file.clone() });
        if descriptor.disks.len() > DISKS {
            return Err(damage(format!("has more than {DISKS} disks")));
        }
    }
    let hrefs = files.iter().filter_map(|file| attribute(file, "href"));
    let folders = hrefs.filter(|href| href.contains('/')).take(OBJECTIONS).map(|href| {
        Objection::new(Point::Folder, None, format!("the file '{href}' is not a plain name"))
    });
    descriptor.objections.extend(folders);
    descriptor.objections.extend(machine.objection);
    Ok(descriptor)
}

/// Files are named as the folder of the descriptor called `descriptor` has them.
fn listed(file: &Node<'_, '_>, descriptor: &str) -> Listed {
    let folder = &descriptor[..descriptor.rfind('/').map_or(0, |slash| slash + 1)];
    let href = attribute(file, "href").unwrap_or_default();
    Listed {
        href: format!("{folder}{}", href.trim_start_matches("./")),
        size: attribute(file, "size").and_then(|size| size.parse().ok()),
        capacity: None,
        in_chunks: attribute(file, "chunkSize").is_some(),
    }
}

/// The address of VMware's format, and what it has behind the sharp sign: the first is the one of
/// today, the others are of the drafts, which are still taken.
fn odd_format(disk: &Node<'_, '_>) -> Option<Objection> {
    let format = attribute(disk, "format").unwrap_or_default();
    let kind = format.split_once('#').filter(|(address, _)| address.ends_with("vmdk.html"));
    let (point, what) = match kind {
        Some((_, "streamOptimized")) => return None,
        Some((_, "compressed" | "sparse")) => (Point::Draft, "as drafts of OVF had it"),
        _ => (Point::Format, "not one of VMware's"),
    };
    let id = attribute(disk, "diskId").unwrap_or_default();
    let text = format!("the disk '{id}' has the format '{format}', {what}");
    Some(Objection::new(point, None, text))
}

/// The size that the descriptor gives a disk, in bytes, where that is a number: a property may stand
/// for it.
fn capacity(disk: &Node<'_, '_>) -> Option<u64> {
    let count: u64 = attribute(disk, "capacity")?.trim().parse().ok()?;
    count.checked_mul(unit(attribute(disk, "capacityAllocationUnits").unwrap_or("byte"))?)
}

/// Bytes of a unit, such as `byte * 2^30`; the names are those of drafts.
fn unit(text: &str) -> Option<u64> {
    let text: String = text.to_ascii_lowercase().split_whitespace().collect();
    match text.as_str() {
        "byte" | "bytes" => Some(1),
        "kilobytes" => Some(1 << 10),
        "megabytes" => Some(1 << 20),
        "gigabytes" => Some(1 << 30),
        text => {
            let (base, power) = text.strip_prefix("byte*")?.split_once('^')?;
            base.parse::<u64>().ok()?.checked_pow(power.parse().ok()?)
        }
    }
}

/// Disks of a package: far more than a machine can have. It bounds the search for their files.
const DISKS: usize = 256;

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{ErrorKind, Limits};

    use super::super::text::is_descriptor_text;
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Listed>> {
        Ok(read("a.ovf", text.as_bytes(), &Budget::default())?.disks)
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
        let file = |href: &str, size, in_chunks| Listed {
            href: href.into(),
            size,
            capacity: None,
            in_chunks,
        };
        assert_eq!(
            parsed(text).unwrap(),
            [file("a.vmdk", None, false), file("b.vmdk", Some(7), true)]
        );
    }

    #[test]
    fn a_capacity_is_counted_in_its_unit() {
        let capacity = |attributes: &str| {
            let text = format!(
                r#"<Envelope><File id="1" href="a"/><Disk fileRef="1" {attributes}/></Envelope>"#
            );
            parsed(&text).unwrap()[0].capacity
        };
        for (attributes, bytes) in [
            ("capacity='7'", Some(7)),
            ("capacity='7' capacityAllocationUnits='byte * 2^30'", Some(7 << 30)),
            ("capacity='7' capacityAllocationUnits='byte*10^9'", Some(7_000_000_000)),
            ("capacity='7' capacityAllocationUnits='MegaBytes'", Some(7 << 20)),
            ("capacity='7' capacityAllocationUnits='byte * 2^64'", None),
            ("capacity='7' capacityAllocationUnits='floppies'", None),
            ("capacity='${size}'", None),
            ("", None),
        ] {
            assert_eq!(capacity(attributes), bytes, "{attributes}");
        }
    }

    #[test]
    fn files_are_beside_the_descriptor() {
        let text = br#"<Envelope><File id="1" href="a"/><Disk fileRef="1"/></Envelope>"#;
        let descriptor = read("folder/vm.ovf", text, &Budget::default()).unwrap();
        assert_eq!(descriptor.disks[0].href, "folder/a");
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
            r#"<Envelope><File id="1" href="./a.ovf"/><Disk fileRef="1"/></Envelope>"#,
            r#"<Envelope><File id="1" href="a.mf"/><Disk fileRef="1"/></Envelope>"#,
        ] {
            assert_eq!(parsed(text).unwrap_err().kind(), ErrorKind::Damaged, "{text:.80}");
        }
        // Deep is no harm.
        assert_eq!(parsed(&deep).unwrap(), []);
    }

    #[test]
    fn text_is_utf_8_or_what_its_mark_says() {
        let text =
            "<?xml version='1.0'?><Envelope><File id='1' href='ü'/><Disk fileRef='1'/></Envelope>";
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes).collect()
        };
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            let descriptor = read("a.ovf", &bytes, &Budget::default()).unwrap();
            assert_eq!(descriptor.disks[0].href, "ü");
            assert!(is_descriptor_text(&bytes));
        }
        // Where nothing marks it, its first sign tells.
        for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
            let descriptor = read("a.ovf", &bytes[2..], &Budget::default()).unwrap();
            assert_eq!(descriptor.disks[0].href, "ü");
            assert!(is_descriptor_text(&bytes[2..]));
        }
        // A letter that is cut in half is none.
        let odd = [&utf16(u16::to_le_bytes)[..], b"<"].concat();
        assert_eq!(read("a.ovf", &odd, &Budget::default()).unwrap_err().kind(), ErrorKind::Damaged);
    }

    #[test]
    fn memory_and_time_are_bounded() {
        let attributes: String = (0..25_000).map(|n| format!(" a{n}=\"\"")).collect();
        let namespaces: String = (0..5000).map(|n| format!(" xmlns:a{n}=\"a\"")).collect();
        for text in [attributes, namespaces] {
            let error = parsed(&format!("<Envelope{text}/>")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
        }
        let budget = Limits::default().with_metadata(1000).budget();
        let error = read("a.ovf", b"<Envelope/>", &budget).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
