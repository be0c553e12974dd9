//! `ova.xml`: which disks the machine has, in which order, and how large they are.
//!
//! It has the values of XML-RPC. Of the many objects only these matter here:
//!
//! ```text
//! <value><struct>
//!   <member><name>version</name>…   <member><name>objects</name><value><array><data>
//!     <value><struct>  class VM   id Ref:0  snapshot { is_a_snapshot … }
//!     <value><struct>  class VBD  id Ref:3  snapshot { VM Ref:0, VDI Ref:4, type Disk, userdevice 0, bootable … }
//!     <value><struct>  class VDI  id Ref:4  snapshot { virtual_size 10737418240 … }
//! ```

use std::collections::HashMap;

use diskferry_block_stream::{Budget, Error, Result};
use roxmltree::{Document, Node, ParsingOptions};

use crate::damage::Damage;

/// The disks that a descriptor tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Those of the machine, then what it has besides: memory that was suspended, say.
    pub vdis: Vec<Vdi>,
    /// How many of them are disks.
    pub disks: usize,
}

/// A virtual disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vdi {
    /// The folder that its blocks are in.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Whether the first file of an archive may be the descriptor of an XVA.
pub(crate) fn is_descriptor(name: &str) -> bool {
    name == "ova.xml"
}

/// Bytes that a descriptor may have. An object takes some 10 KiB, and a machine with many snapshots has
/// some hundred objects.
pub(crate) const MAX: u64 = 4 << 20;

/// Nodes of a descriptor, which take some hundred bytes of memory each.
const NODES: u32 = 500_000;

/// Attributes of a descriptor, which needs none: the parser compares each with all before it in its element.
const ATTRIBUTES: usize = 20_000;

/// Namespaces of a descriptor: the parser keeps those of an element for each element in it.
const NAMESPACES: usize = 64;

/// Reads a descriptor; `None` where the file is something else of that name.
///
/// # Errors
/// `Damaged` when it contradicts itself, `Limit` when it takes too much memory, `Unsupported` for those of
/// XenServer's first versions.
pub(crate) fn read(bytes: &[u8], budget: &Budget) -> Result<Option<Machine>> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let (attributes, namespaces) = (text.matches('=').count(), text.matches("xmlns").count());
    if attributes > ATTRIBUTES || namespaces > NAMESPACES {
        return Err(Error::limit(format!(
            "the descriptor 'ova.xml' has {attributes} attributes and {namespaces} namespaces"
        )));
    }
    // Each tag is followed by one text at most.
    let nodes = (text.matches('<').count() as u64 * 2 + 2).min(NODES.into());
    // What the parser and the list may take at most, given back when it is done.
    let memory = nodes * 200 + bytes.len() as u64 * 4;
    let _spent = budget.spend("the descriptor 'ova.xml'", memory)?;
    parse(text)
}

fn parse(text: &str) -> Result<Option<Machine>> {
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let parsed = Document::parse_with_options(text, options);
    let document = parsed.map_err(|error| damage(format!("is no XML: {error}")))?;
    let root = document.root_element();
    match root.tag_name().name() {
        "value" => {}
        "appliance" => {
            return Err(Error::unsupported(
                "an XVA of version 0.1, as XenServer exported before its version 4; import it into a \
                 later one, and export it from there",
            ));
        }
        _ => return Ok(None),
    }
    let Some(objects) = field(root, "objects") else { return Ok(None) };
    let objects = child(objects, "array").and_then(|array| child(array, "data"));
    let objects = objects.into_iter().flat_map(|data| children(data, "value"));
    machine(objects).map(Some).map_err(Error::from)
}

/// Where a disk comes among the others: those of snapshots of the machine come behind its own, and of each
/// the first is the one to start from, then the one that is connected first.
type Rank<'a> = (bool, bool, u64, &'a str);

fn machine<'a, 'i: 'a>(objects: impl Iterator<Item = Node<'a, 'i>>) -> Result<Machine, Damage> {
    let (mut snapshots, mut vbds) = (HashMap::new(), Vec::new());
    let mut vdis = Vec::new();
    for object in objects {
        let id = field(object, "id").map_or("", content);
        let Some(snapshot) = field(object, "snapshot") else { continue };
        match field(object, "class").map_or("", content) {
            "VM" => {
                snapshots.insert(id, is_set(snapshot, "is_a_snapshot"));
            }
            "VBD" => vbds.push(snapshot),
            "VDI" => {
                let size = field(snapshot, "virtual_size").map_or("", content);
                let size: u64 = size.parse().map_err(|_| {
                    damage(format!("has '{size}' as the size of the disk '{id}', which is none"))
                })?;
                vdis.push((None::<Rank<'_>>, Vdi { id: id.to_owned(), size }));
            }
            _ => {}
        }
    }
    let mut places = HashMap::new();
    for (place, (_, vdi)) in vdis.iter().enumerate() {
        if places.insert(vdi.id.clone(), place).is_some() {
            return Err(damage(format!("has two disks '{}'", vdi.id)));
        }
    }
    for vbd in vbds {
        let text = |name| field(vbd, name).map_or("", content);
        // What is not exported is NULL.
        let id = text("VDI");
        if text("type") == "CD" || matches!(id, "" | "OpaqueRef:NULL" | "NULL") {
            continue;
        }
        let Some(&place) = places.get(id) else {
            return Err(damage(format!(
                "has a device for the disk '{id}', which it does not list"
            )));
        };
        let device = text("userdevice");
        let number = device.parse().unwrap_or(u64::MAX);
        let is_snapshot = snapshots.get(text("VM")).copied().unwrap_or(false);
        let rank = (is_snapshot, !is_set(vbd, "bootable"), number, device);
        let known = &mut vdis[place].0;
        *known = Some(known.map_or(rank, |known| known.min(rank)));
    }
    // Without any device there is no telling which are disks.
    let disks = match vdis.iter().filter(|(rank, _)| rank.is_some()).count() {
        0 => vdis.len(),
        disks => disks,
    };
    vdis.sort_by_key(|(rank, _)| (rank.is_none(), *rank));
    Ok(Machine { vdis: vdis.into_iter().map(|(_, vdi)| vdi).collect(), disks })
}

fn damage(problem: String) -> Damage {
    Damage::Xva { problem }
}

/// The value of a member of the struct that a value is.
fn field<'a, 'i: 'a>(value: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    let mut members = children(child(value, "struct")?, "member");
    let member = members.find(|member| {
        child(*member, "name").and_then(|name| name.text()).map(str::trim) == Some(name)
    });
    child(member?, "value")
}

/// The text of a value, which may say of what type it is.
fn content<'a>(value: Node<'a, '_>) -> &'a str {
    let typed = value.children().find(Node::is_element);
    typed.unwrap_or(value).text().unwrap_or_default().trim()
}

fn is_set(value: Node<'_, '_>, name: &str) -> bool {
    field(value, name).is_some_and(|value| matches!(content(value), "1" | "true"))
}

fn child<'a, 'i: 'a>(node: Node<'a, 'i>, tag: &'static str) -> Option<Node<'a, 'i>> {
    children(node, tag).next()
}

fn children<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    tag: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |node| node.tag_name().name() == tag)
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    /// A struct, of names and values that are XML.
    fn object(pairs: &[(&str, &str)]) -> String {
        let members = pairs.iter().map(|(name, value)| {
            format!("<member><name>{name}</name><value>{value}</value></member>")
        });
        format!("<struct>{}</struct>", members.collect::<String>())
    }

    fn listed(class: &str, id: &str, pairs: &[(&str, &str)]) -> String {
        let snapshot = object(pairs);
        let object = object(&[("class", class), ("id", id), ("snapshot", &snapshot)]);
        format!("<value>{object}</value>")
    }

    fn vdi(id: &str, size: &str) -> String {
        listed("VDI", id, &[("virtual_size", size)])
    }

    fn vbd(vm: &str, vdi: &str, device: &str, others: &[(&str, &str)]) -> String {
        let pairs = [("VM", vm), ("VDI", vdi), ("userdevice", device)];
        listed("VBD", "Ref:v", &[&pairs[..], others].concat())
    }

    fn whole(objects: &[String]) -> String {
        let array = format!("<array><data>{}</data></array>", objects.concat());
        format!("<?xml version='1.0'?><value>{}</value>", object(&[("objects", &array)]))
    }

    fn disks(objects: &[String]) -> Result<Vec<String>> {
        let machine = read(whole(objects).as_bytes(), &Budget::default())?.unwrap();
        Ok(machine.vdis.into_iter().take(machine.disks).map(|vdi| vdi.id).collect())
    }

    #[test]
    fn the_disk_to_start_from_is_first_then_the_devices_in_their_order() {
        let objects = [
            listed("VM", "old", &[("is_a_snapshot", "<boolean>1</boolean>")]),
            listed("VM", "vm", &[("is_a_snapshot", "<boolean>0</boolean>")]),
            vdi("cd", "7"),
            vdi("memory", "7"),
            vdi("ten", "7"),
            vdi("two", "<string>7</string>"),
            vdi("named", "7"),
            vdi("before", "7"),
            vdi("system", " 7 "),
            vbd("old", "before", "0", &[("bootable", "<boolean>1</boolean>")]),
            vbd("vm", "ten", "10", &[("type", "Disk")]),
            vbd("vm", "two", "2", &[]),
            vbd("vm", "named", "xvdz", &[]),
            vbd("vm", "cd", "0", &[("type", "CD")]),
            vbd("vm", "OpaqueRef:NULL", "4", &[]),
            vbd("vm", "system", "3", &[("bootable", "<boolean>1</boolean>")]),
        ];
        assert_eq!(disks(&objects).unwrap(), ["system", "two", "ten", "named", "before"]);
        assert_eq!(disks(&[vdi("b", "7"), vdi("a", "7")]).unwrap(), ["b", "a"], "without devices");
    }

    #[test]
    fn what_contradicts_itself_is_damage() {
        for (objects, words) in [
            (vec![vbd("vm", "Ref:9", "0", &[])], "device for the disk 'Ref:9'"),
            (vec![vdi("a", "7"), vdi("a", "7")], "two disks 'a'"),
            (vec![vdi("a", "-1")], "'-1' as the size of the disk 'a'"),
            (vec![vdi("a", "18446744073709551616")], "as the size of the disk 'a'"),
        ] {
            let error = disks(&objects).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn other_files_of_that_name_are_none_and_hostile_ones_are_bounded() {
        let read = |text: &str| read(text.as_bytes(), &Budget::default());
        assert_eq!(read("<a/>").unwrap(), None);
        assert_eq!(read("<value>text</value>").unwrap(), None);
        let kind = |text: &str| read(text).unwrap_err().kind();
        assert_eq!(kind("<appliance version=\"0.1\"/>"), ErrorKind::Unsupported);
        assert_eq!(kind("no XML"), ErrorKind::Damaged);
        assert_eq!(kind(&"a=\"\" ".repeat(30_000)), ErrorKind::Limit);
        let most = MAX as usize;
        assert_eq!(kind(&"<a>".repeat(most / 3)), ErrorKind::Damaged);
        assert_eq!(kind(&format!("<a>{}", "<a/>".repeat(most / 4 - 2))), ErrorKind::Damaged);
        let deep = format!("{}{}", "<a>".repeat(60_000), "</a>".repeat(60_000));
        assert_eq!(read(&deep).unwrap(), None);
        let many: Vec<String> = (0..20_000).map(|number| vdi(&number.to_string(), "7")).collect();
        assert_eq!(disks(&many).unwrap().len(), many.len());
    }
}
