//! Archives and compressed files, put together as an input chooses.
//!
//! They agree with themselves where the input does not say otherwise: a fuzzer that changes bytes meets a checksum
//! everywhere, and what is compressed it cannot change at all.

use std::io::Write;

use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_testkit::fuzz::Choices;

#[path = "xva.rs"]
mod xva;

/// A file in a few wrappers, with one of `disks` in the innermost.
pub fn package(choices: &mut Choices<'_>, disks: &[Vec<u8>]) -> Vec<u8> {
    let mut file = disks[usize::from(choices.byte()) % disks.len()].clone();
    // One more than are read, by default.
    for _ in 0..choices.byte() % 6 {
        let kind = choices.byte();
        file = match kind % 8 {
            0..4 if kind >= 0xe0 => xva::xva(&file, choices),
            0..4 => archive(&file, choices),
            4 => compress(
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()),
                &file,
            ),
            5 => compress(liblzma::write::XzEncoder::new(Vec::new(), 0), &file),
            6 => compress(
                bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast()),
                &file,
            ),
            _ => zstd::bulk::compress(&file, 1).expect("memory takes everything"),
        };
        change(&mut file, choices);
        if file.len() > MOST {
            break;
        }
    }
    file
}

/// Bytes of a file that is wrapped once more: members hold it several times.
const MOST: usize = 256 << 10;

/// A compressor into memory.
trait Compressor: Write {
    fn end(self) -> std::io::Result<Vec<u8>>;
}

impl Compressor for flate2::write::GzEncoder<Vec<u8>> {
    fn end(self) -> std::io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Compressor for liblzma::write::XzEncoder<Vec<u8>> {
    fn end(self) -> std::io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Compressor for bzip2::write::BzEncoder<Vec<u8>> {
    fn end(self) -> std::io::Result<Vec<u8>> {
        self.finish()
    }
}

fn compress(mut compressor: impl Compressor, file: &[u8]) -> Vec<u8> {
    compressor.write_all(file).and_then(|()| compressor.end()).expect("memory takes everything")
}

/// Most often does nothing; else replaces a byte, ends the file, or goes on after its end.
fn change(file: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    if kind < 0xc0 {
        return;
    }
    let place = usize::from(choices.short());
    let at = if kind & 1 == 0 { place } else { file.len().saturating_sub(place) };
    match kind {
        0xc0..0xd8 => {
            let value = choices.byte();
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        0xd8..0xe8 => file.truncate(at),
        0xe8..0xf0 => file.extend_from_within(..),
        0xf0..0xf8 => file.resize(file.len() + place, 0),
        _ => file.resize(file.len() + place % 1024, b'x'),
    }
}

/// An archive; `inner` is what most members hold.
fn archive(inner: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let (mut tar, mut digests) = (Vec::new(), String::new());
    for _ in 0..=choices.byte() % 6 {
        member(&mut tar, &mut digests, inner, choices);
        if tar.len() > MOST {
            break;
        }
    }
    // Two blocks end an archive; one, or none, are found too.
    let blocks = choices.pick(&[2, 2, 2, 18, 1, 0]);
    tar.resize(tar.len() + blocks * 512, 0);
    tar
}

/// Adds a member, and its line to a manifest that may come later.
fn member(tar: &mut Vec<u8>, digests: &mut String, inner: &[u8], choices: &mut Choices<'_>) {
    let name = choices.pick(&NAMES);
    let content = match choices.byte() % 8 {
        0..3 => inner.to_vec(),
        3 => descriptor(choices).into_bytes(),
        4 => digests.clone().into_bytes(),
        5 => format!("SHA256({name})= 0\nMD5 ({name})= 1\n{digests}").into_bytes(),
        6 => Vec::new(),
        _ => b"some text".to_vec(),
    };
    let algorithm = choices.pick(&[Algorithm::Sha256, Algorithm::Sha1, Algorithm::Sha512]);
    let mut digest = Digest::new(algorithm);
    digest.update(&content);
    let (kind, digest) = (algorithm.name(), digest.finish());
    // People write them as they like.
    digests.push_str(&match digests.len() % 3 {
        0 => format!("{kind}({name})= {digest}\n"),
        1 => format!("{} ( {name} )={digest}\n", kind.replace("sha", "SHA-")),
        _ => format!("{digest}  {name}\n"),
    });
    let mut header = Header { name, kind: b'0', size: content.len() as u64, ..Header::default() };
    header.magic = choices.pick(&[*b"ustar  \0", *b"ustar\x0000", [0; 8]]);
    match choices.byte() {
        0..0x80 => {}
        0x80..0x90 => header.kind = choices.pick(b"012357MVZ\0"),
        0x90..0xa0 => Header { name: "x", kind: b'L', ..header }.put(tar, b"d/a long name\0"),
        0xa0..0xb0 => records(choices).put(tar, &header, choices),
        0xb0..0xf0 => return sparse(tar, header, &content, choices),
        // A size that is not true.
        kind => {
            header.size = if kind < 0xf8 { choices.short().into() } else { choices.number() };
            return header.put_sized(tar, &content);
        }
    }
    header.put(tar, &content);
}

const NAMES: [&str; 12] = [
    "disk.raw",
    "vm.ovf",
    "disk.vmdk",
    "vm.mf",
    "./disk.vmdk",
    "a b.vmdk",
    "d/disk.vmdk",
    "d/vm.ovf",
    "disk.vmdk.000000000",
    "meta.json",
    "d/",
    "._disk.raw",
];

/// A member's header, and how it is written.
#[derive(Clone, Copy, Default)]
struct Header<'a> {
    name: &'a str,
    kind: u8,
    size: u64,
    magic: [u8; 8],
    /// GNU's sparse members: real size, and the map.
    map: Option<(u64, &'a [(u64, u64)])>,
}

impl Header<'_> {
    /// Adds a member of this content.
    fn put(self, tar: &mut Vec<u8>, content: &[u8]) {
        Self { size: content.len() as u64, ..self }.put_sized(tar, content);
    }

    /// The same, where the size may be another.
    fn put_sized(self, tar: &mut Vec<u8>, content: &[u8]) {
        let mut block = [0; 512];
        block[..self.name.len()].copy_from_slice(self.name.as_bytes());
        number(&mut block[124..136], self.size);
        block[156] = self.kind;
        block[257..265].copy_from_slice(&self.magic);
        let mut more: &[(u64, u64)] = &[];
        if let Some((real, map)) = self.map {
            let (here, rest) = map.split_at(map.len().min(4));
            entries(&mut block[386..482], here);
            block[482] = u8::from(!rest.is_empty());
            number(&mut block[483..495], real);
            more = rest;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&block);
        let mut blocks = more.chunks(21).peekable();
        while let Some(map) = blocks.next() {
            let mut block = [0; 512];
            entries(&mut block[..504], map);
            block[504] = u8::from(blocks.peek().is_some());
            tar.extend_from_slice(&block);
        }
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

/// Octal text, or binary where there is no room for that.
fn number(field: &mut [u8], value: u64) {
    if value < 1 << 33 {
        field.copy_from_slice(format!("{value:011o}\0").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
}

fn entries(block: &mut [u8], map: &[(u64, u64)]) {
    for (place, (offset, length)) in block.chunks_exact_mut(24).zip(map) {
        number(&mut place[..12], *offset);
        number(&mut place[12..], *length);
    }
}

/// Adds a sparse member, in one of the five ways that there are.
fn sparse(tar: &mut Vec<u8>, mut header: Header<'_>, content: &[u8], choices: &mut Choices<'_>) {
    let (mut map, mut at, mut data) = (Vec::new(), 0, Vec::new());
    for _ in 0..choices.byte() % 32 {
        at += u64::from(choices.byte()) << 9;
        let length = usize::from(choices.byte() % 4) << 9;
        map.push((at, length as u64));
        at += length as u64;
        data.extend(content.iter().cycle().take(length));
    }
    let real = match choices.byte() {
        more @ 0..0xf0 => at + u64::from(more),
        _ => choices.number(),
    };
    // An entry that is not true.
    if let (true, Some(entry)) = (choices.byte() > 0xe8, map.last_mut()) {
        *entry = (choices.number(), choices.short().into());
    }
    let size = |key: &str| Records(record(&format!("GNU.sparse.{key}={real}")));
    let text = |separator: &str| {
        let numbers =
            map.iter().flat_map(|(offset, length)| [offset.to_string(), length.to_string()]);
        numbers.collect::<Vec<_>>().join(separator)
    };
    match choices.byte() % 4 {
        0 => {
            header.kind = b'S';
            return Header { map: Some((real, &map)), ..header }.put(tar, &data);
        }
        1 => {
            let mut records = size("size");
            for (offset, length) in &map {
                records.0.push_str(&record(&format!("GNU.sparse.offset={offset}")));
                records.0.push_str(&record(&format!("GNU.sparse.numbytes={length}")));
            }
            records.put(tar, &header, choices);
        }
        2 => {
            let mut records = size("size");
            records.0.push_str(&record(&format!("GNU.sparse.map={}", text(","))));
            records.put(tar, &header, choices);
        }
        _ => {
            let mut records = size("realsize");
            for pair in ["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=disk.raw"] {
                records.0.push_str(&record(pair));
            }
            records.put(tar, &header, choices);
            let mut front = format!("{}\n{}\n", map.len(), text("\n")).into_bytes();
            front.resize(front.len().next_multiple_of(512), 0);
            data.splice(..0, front);
        }
    }
    header.put(tar, &data);
}

/// What a pax header holds.
struct Records(String);

impl Records {
    fn put(&self, tar: &mut Vec<u8>, header: &Header<'_>, choices: &mut Choices<'_>) {
        let kind = if choices.byte() < 0xf0 { b'x' } else { b'g' };
        let header = Header { name: "x", kind, magic: header.magic, ..Header::default() };
        header.put(tar, self.0.as_bytes());
    }
}

fn records(choices: &mut Choices<'_>) -> Records {
    let mut text = String::new();
    for _ in 0..choices.byte() % 6 {
        let key = choices.pick(&[
            "path",
            "size",
            "comment",
            "GNU.sparse.major",
            "GNU.sparse.minor",
            "GNU.sparse.size",
            "GNU.sparse.realsize",
            "GNU.sparse.name",
            "GNU.sparse.map",
            "GNU.sparse.offset",
            "GNU.sparse.numbytes",
            "GNU.sparse.numblocks",
        ]);
        let value = match choices.byte() % 4 {
            0 => choices.byte().to_string(),
            1 => choices.number().to_string(),
            2 => "0,1,2,3".to_owned(),
            _ => choices.pick(&NAMES).to_owned(),
        };
        text.push_str(&record(&format!("{key}={value}")));
    }
    Records(text)
}

/// A record begins with its own length.
fn record(pair: &str) -> String {
    let mut length = pair.len() + 3;
    while length != format!("{length} {pair}\n").len() {
        length = format!("{length} {pair}\n").len();
    }
    format!("{length} {pair}\n")
}

/// The descriptor of an OVF package.
fn descriptor(choices: &mut Choices<'_>) -> String {
    let mut text = "<?xml version=\"1.0\"?><o:Envelope xmlns:o=\"urn:o\">".to_owned();
    for _ in 0..choices.byte() % 12 {
        let part = match choices.byte() % 10 {
            0..3 => {
                let (id, name) = (choices.pick(&IDS), choices.pick(&NAMES));
                let more = choices.pick(&[
                    "",
                    "o:size=\"4096\"",
                    "o:chunkSize=\"1000\"",
                    "o:compression=\"gzip\"",
                    "o:size=\"-1\"",
                ]);
                format!("<o:File o:id=\"{id}\" o:href=\"{name}\" {more}/>")
            }
            3..6 => {
                let (disk, file) = (choices.pick(&IDS), choices.pick(&IDS));
                let format = choices.pick(&["http://a/vmdk.html#streamOptimized", "raw", ""]);
                format!("<o:Disk o:diskId=\"{disk}\" o:fileRef=\"{file}\" o:format=\"{format}\"/>")
            }
            6 => format!("<o:Disk o:diskId=\"{}\" o:capacity=\"1\"/>", choices.pick(&IDS)),
            7 => {
                let (id, parent) = (choices.pick(&IDS), choices.pick(&IDS));
                format!(
                    "<Item><InstanceID>{id}</InstanceID><ResourceType>6</ResourceType></Item>\
                     <Item><ResourceType>17</ResourceType><Parent>{parent}</Parent>\
                     <HostResource>o:/disk/{id}</HostResource></Item>"
                )
            }
            8 => choices
                .pick(&["<StorageItem/>", "<!-- -->", "<a>", "</a>", "&amp;", "&b;"])
                .to_owned(),
            _ => "<o:File o:id=\"1\" o:href=\"a%20b.vmdk\"/>".to_owned(),
        };
        text.push_str(&part);
    }
    text + "</o:Envelope>"
}

const IDS: [&str; 3] = ["1", "2", "file"];
