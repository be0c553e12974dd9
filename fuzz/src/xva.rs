//! XVA archives, put together as an input chooses: as xapi does, unless the input says otherwise.

use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_testkit::fuzz::Choices;

use super::Header;

/// An archive whose first disk is `inner`.
pub fn xva(inner: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    let size = match choices.byte() {
        0..0xe0 => inner.len() as u64,
        0xe0..0xf0 => inner.len() as u64 + u64::from(choices.byte()),
        _ => choices.number(),
    };
    put(&mut tar, "ova.xml", descriptor(size, choices).as_bytes());
    let length = choices.pick(&[512, 1000, 4096, 64, 1 << 20]);
    let mut number = 0u64;
    let count = inner.len().div_ceil(length);
    for (index, block) in inner.chunks(length).enumerate().take(BLOCKS) {
        let is_end = index == 0 || index + 1 == count;
        let twist = choices.byte();
        match twist {
            // Signs of life, and blocks that come twice, out of order, or not at all.
            0xe0..0xe8 => {
                add(&mut tar, number, b"", choices);
                number += 1;
            }
            0xe8..0xec => add(&mut tar, number, block, choices),
            0xec..0xf0 => add(&mut tar, choices.number(), block, choices),
            0xf0..0xf4 => {
                number += 1;
                continue;
            }
            0xf4..0xf8 => put(&mut tar, choices.pick(&OTHERS), b"some text"),
            _ => {}
        }
        if is_end || block.iter().any(|byte| *byte != 0) {
            add(&mut tar, number, block, choices);
        }
        number += 1;
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Blocks of an archive: the input has no more to say.
const BLOCKS: usize = 64;

const OTHERS: [&str; 6] = [
    "Ref:5/00000000",
    "Ref:4/00000001.xxhash",
    "Ref:4/99999999999999999999",
    "../Ref:4/00000000",
    "ova.xml",
    "/",
];

/// Adds a block, and mostly its digest.
fn add(tar: &mut Vec<u8>, number: u64, block: &[u8], choices: &mut Choices<'_>) {
    let name = format!("Ref:4/{number:08}");
    put(tar, &name, block);
    let mut digest = Digest::new(Algorithm::Sha1);
    digest.update(block);
    let digest = digest.finish();
    match choices.byte() {
        0..0xe0 => put(tar, &format!("{name}.checksum"), digest.as_bytes()),
        0xe0..0xf0 => put(tar, &format!("{name}.xxhash"), &digest.as_bytes()[..16]),
        _ => {}
    }
}

fn put(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    Header { name, kind: b'0', magic: *b"ustar\x0000", ..Header::default() }.put(tar, content);
}

fn descriptor(size: u64, choices: &mut Choices<'_>) -> String {
    let mut objects = object("VDI", "Ref:4", &member("virtual_size", &size.to_string()));
    for _ in 0..choices.byte() % 4 {
        let disk = choices.pick(&["Ref:4", "Ref:4", "Ref:5", "OpaqueRef:NULL", ""]);
        objects += &match choices.byte() % 4 {
            0 => object("VM", "Ref:0", &member("is_a_snapshot", "<boolean>1</boolean>")),
            1 => object("VDI", disk, &member("virtual_size", "4096")),
            _ => {
                let device = choices.byte().to_string();
                object("VBD", "Ref:1", &(member("VDI", disk) + &member("userdevice", &device)))
            }
        };
    }
    let array = format!("<array><data>{objects}</data></array>");
    format!("<value><struct>{}</struct></value>", member("objects", &array))
}

fn object(class: &str, id: &str, snapshot: &str) -> String {
    let snapshot = member("snapshot", &format!("<struct>{snapshot}</struct>"));
    let members = member("class", class) + &member("id", id) + &snapshot;
    format!("<value><struct>{members}</struct></value>")
}

fn member(name: &str, value: &str) -> String {
    format!("<member><name>{name}</name><value>{value}</value></member>")
}
