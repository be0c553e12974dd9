//! XVA archives that nobody should make, and some that people do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Cursor, Read};
use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Error, ErrorKind, Limits, Problem, Progress, Remedy, Result,
};
use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_wrap::{
    Archive, Candidate, Choice, Digests, Forward, Judge, Likeness, Package, Peek, Picked, Wrapping,
    find_disk, list_disks,
};

/// Bytes of a block here: the first one tells.
const BLOCK: usize = 1024;

fn member(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut block = header(name, kind, data.len() as u64);
    block.extend(data);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn header(name: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    member(name, b'0', data)
}

fn sha1(data: &[u8]) -> String {
    let mut digest = Digest::new(Algorithm::Sha1);
    digest.update(data);
    digest.finish()
}

/// A block and its digest.
fn block(number: u64, data: &[u8]) -> Vec<u8> {
    block_of("Ref:4", number, data)
}

fn block_of(disk: &str, number: u64, data: &[u8]) -> Vec<u8> {
    let name = format!("{disk}/{number:08}");
    [file(&name, data), file(&format!("{name}.checksum"), sha1(data).as_bytes())].concat()
}

fn object(class: &str, id: &str, pairs: &[(&str, &str)]) -> String {
    let value = |pairs: &[(&str, &str)]| -> String {
        let members = pairs.iter().map(|(name, value)| {
            format!("<member><name>{name}</name><value>{value}</value></member>")
        });
        format!("<struct>{}</struct>", members.collect::<String>())
    };
    let snapshot = value(pairs);
    format!("<value>{}</value>", value(&[("class", class), ("id", id), ("snapshot", &snapshot)]))
}

fn descriptor(objects: &[String]) -> String {
    format!(
        "<value><struct><member><name>objects</name><value><array><data>{}</data></array></value>\
         </member></struct></value>",
        objects.concat()
    )
}

/// The descriptor of a machine with one disk, as a member.
fn machine(size: u64) -> Vec<u8> {
    let disk = object("VDI", "Ref:4", &[("virtual_size", &size.to_string())]);
    file("ova.xml", descriptor(&[disk]).as_bytes())
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn nothing(_: &Candidate<'_>) -> Result<Likeness> {
    Ok(Likeness::Unknown)
}

fn judge() -> Arc<dyn Judge> {
    Arc::new(nothing)
}

fn anywhere(bytes: &[u8], choice: Choice, budget: &Budget) -> Result<Vec<u8>> {
    let package = Package::open("m.xva", Arc::new(bytes.to_vec()), budget)?;
    let Picked { body: part, disks, .. } = package.disk(choice, &nothing)?;
    assert_eq!(package.kind(), Archive::Xva);
    let name = part.name().strip_prefix("m.xva/").unwrap();
    assert!(disks.iter().any(|disk| disk.name == name && disk.size == Some(part.len())));
    let promises = package.promises(name)?;
    let mut known = Digests::default();
    promises.digests.iter().try_for_each(|digest| digest.check(&mut known, &|| Ok(())))?;
    let mut content = vec![0xee; part.len() as usize];
    part.read_at(0, &mut content)?;
    let mut at = 0;
    while at < part.len() {
        let run = part.run(at, part.len() - at)?;
        let bytes = &content[at as usize..][..run.length as usize];
        assert!(!run.hole || bytes.iter().all(|byte| *byte == 0), "{run:?} at {at}");
        at += run.length;
    }
    Ok(content)
}

fn in_order(bytes: &[u8], choice: Choice, budget: &Budget) -> Result<Vec<u8>> {
    let peek = Peek::new(Cursor::new(bytes.to_vec()));
    let Picked { archive, body: mut inside, .. } = find_disk(peek, choice, &judge(), budget)?;
    assert_eq!(archive, Archive::Xva);
    let mut content = Vec::new();
    let mut buf = [0xee; 700];
    loop {
        let zeros = inside.content.hole()?;
        content.resize(content.len() + zeros as usize, 0);
        match inside.content.read(&mut buf).map_err(Error::from)? {
            0 if zeros == 0 => break,
            count => content.extend_from_slice(&buf[..count]),
        }
    }
    assert_eq!(inside.size, content.len() as u64);
    Ok(content)
}

/// What both ways agree on.
#[track_caller]
fn disk(bytes: &[u8], choice: Choice, budget: &Budget) -> Result<Vec<u8>> {
    assert_eq!(Wrapping::of(bytes), Some(Wrapping::Tar));
    let [anywhere, in_order] = [anywhere, in_order].map(|read| read(bytes, choice, budget));
    match (&anywhere, &in_order) {
        (Ok(one), Ok(other)) => assert!(one == other, "two disks in one file"),
        (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind(), "{one}; {other}"),
        (one, other) => panic!("{:?}; {:?}", one.as_ref().err(), other.as_ref().err()),
    }
    anywhere
}

#[track_caller]
fn refused(members: &[Vec<u8>], kind: ErrorKind, words: &str) {
    let error = disk(&archive(members), Choice::Only, &Budget::default()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "no '{words}' in: {error}");
}

fn data(seed: u8) -> Vec<u8> {
    (0..BLOCK).map(|at| (at as u8).wrapping_mul(seed) | 1).collect()
}

#[test]
fn blocks_are_the_disk_and_what_is_left_out_is_zeros() {
    let (a, b, c) = (data(3), data(5), data(7));
    let zeros = |blocks: usize| vec![0; blocks * BLOCK];
    let budget = Budget::default();
    for (size, members, expected) in [
        (0, vec![], vec![]),
        (BLOCK, vec![block(0, &a)], a.clone()),
        (100, vec![block(0, &a[..100])], a[..100].to_vec()),
        (5 * BLOCK, vec![block(0, &a), block(4, &b)], [&a[..], &zeros(3), &b].concat()),
        // The last one is short, or filled up.
        (BLOCK + 9, vec![block(0, &a), block(1, &b[..9])], [&a[..], &b[..9]].concat()),
        (BLOCK + 9, vec![block(0, &a), block(1, &b)], [&a[..], &b[..9]].concat()),
        // A sign of life has a number, and no place.
        (
            4 * BLOCK,
            vec![block(0, &a), block(2, b""), block(3, &b), block(4, b""), block(5, &c)],
            [&a[..], &zeros(1), &b, &c].concat(),
        ),
        // Folders, and files that are something else.
        (
            2 * BLOCK,
            vec![
                member("Ref:4/", b'5', b""),
                block(0, &a),
                file("Ref:4/notes.txt", b"text"),
                file("../Ref:4/00000001", b"text"),
                file("\u{7}/00000001", b"text"),
                block(1, &b),
                file("Ref:4/00000001.md5", b"text"),
            ],
            [&a[..], &b].concat(),
        ),
        // Without a digest, with one in upper case and a line feed, and with an xxh64.
        (
            3 * BLOCK,
            vec![
                file("Ref:4/00000000", &a),
                file("Ref:4/00000001", &b),
                file(
                    "Ref:4/00000001.checksum",
                    format!("{}\n", sha1(&b).to_uppercase()).as_bytes(),
                ),
                file("Ref:4/00000002", &[0; BLOCK]),
                // That of 1024 zeros by libxxhash.
                file("Ref:4/00000002.xxhash", b"27742888F085ACCD"),
            ],
            [&a[..], &b, &zeros(1)].concat(),
        ),
    ] {
        let bytes = archive(&[&[machine(size as u64)][..], &members].concat());
        let read = disk(&bytes, Choice::Only, &budget);
        assert!(read.unwrap() == expected, "{size} bytes in {} members", members.len());
    }
}

#[test]
fn what_contradicts_itself_is_damage() {
    let (a, b) = (data(3), data(5));
    let three = machine(3 * BLOCK as u64);
    for (members, words) in [
        (vec![block(0, &a), block(0, &a)], "numbers go up"),
        (vec![block(0, &a), block(2, &b), block(1, &b)], "numbers go up"),
        (vec![block(0, &a), block(2, &b), block(2, &b)], "numbers go up"),
        (vec![block(1, &a), block(2, &b)], "not the first block"),
        (vec![block(0, b""), block(1, &a)], "not the first block"),
        (vec![block(0, &a), block(3, &b)], "past the end"),
        (vec![block(0, &a), block(u64::MAX, &b)], "past the end"),
        (vec![block(0, &a), block(1, &b[..100]), block(2, &b)], "has 100 bytes"),
        (vec![block(0, &a), block(1, &[1; 2 * BLOCK])], "has 2048 bytes"),
        (vec![block(0, &a), block(1, &b)], "ends at 0x800"),
        (vec![], "not in the archive"),
        (vec![block_of("Ref:5", 0, &a)], "does not list"),
        (vec![file("Ref:4/00000000.checksum", sha1(&a).as_bytes())], "follow its block"),
        (
            vec![block(0, &a), file("Ref:4/00000000.xxhash", b"0123456789abcdef")],
            "follow its block",
        ),
        (vec![file("Ref:4/00000000", &a), file("Ref:4/00000000.checksum", b"")], "is no sha1"),
        (
            vec![file("Ref:4/00000000", &a), file("Ref:4/00000000.xxhash", &[b'0'; 1 << 16])],
            "is no xxh64",
        ),
        (
            vec![
                block(0, &a),
                file("Ref:4/00000001", &a),
                file("Ref:4/00000001.checksum", sha1(&b).as_bytes()),
                block(2, &b),
            ],
            "the block 'Ref:4/00000001' has the sha1",
        ),
        (
            vec![
                file("Ref:4/00000000", &a),
                file("Ref:4/00000000.xxhash", b"0123456789ABCDEF"),
                block(2, &b),
            ],
            "the block 'Ref:4/00000000' has the xxh64",
        ),
    ] {
        refused(&[&[three.clone()][..], &members].concat(), ErrorKind::Damaged, words);
    }
    let whole = archive(&[three, block(0, &a), block(2, &b)]);
    for end in 0..whole.len() {
        let read = in_order(&whole[..end], Choice::Only, &Budget::default());
        // The last block is there from here on, if not its digest.
        assert!(read.is_err() || end >= whole.len() - 2048, "cut at {end}");
    }
}

#[test]
fn what_a_descriptor_says_is_bounded_or_damage() {
    let a = data(3);
    let huge = "4611686018427387904";
    let sized = |size: &str| {
        let disk = object("VDI", "Ref:4", &[("virtual_size", size)]);
        file("ova.xml", descriptor(&[disk]).as_bytes())
    };
    refused(&[sized(huge), block(0, &a)], ErrorKind::Limit, "a virtual size of");
    refused(&[sized("1125899906842624"), block(0, &a)], ErrorKind::Damaged, "ends at 0x400");
    refused(&[sized("-1"), block(0, &a)], ErrorKind::Damaged, "as the size");
    let device = object("VBD", "Ref:3", &[("VDI", "Ref:9"), ("userdevice", "0")]);
    let dangling = file("ova.xml", descriptor(&[device]).as_bytes());
    refused(&[dangling, block(0, &a)], ErrorKind::Damaged, "which it does not list");
    refused(&[file("ova.xml", b"<value>")], ErrorKind::Damaged, "no XML");
    refused(&[file("ova.xml", &vec![b' '; (4 << 20) + 1])], ErrorKind::Limit, "ova.xml");
    refused(&[file("ova.xml", &vec![b'='; 1 << 20])], ErrorKind::Limit, "attributes");
    refused(
        &[file("ova.xml", b"<appliance version='0.1'/>"), file("xvda/chunk-000000000.gz", b"x")],
        ErrorKind::Unsupported,
        "version 0.1",
    );
    let empty = file("ova.xml", descriptor(&[]).as_bytes());
    refused(&[empty], ErrorKind::Unsupported, "without a disk");
    // A descriptor of something else leaves a tar archive what it is.
    let other = archive(&[file("ova.xml", b"<list/>"), file("disk.raw", &a)]);
    let package = Package::open("a.tar", Arc::new(other.clone()), &Budget::default()).unwrap();
    assert_eq!(package.kind(), Archive::Tar);
    assert_eq!(package.disk(Choice::Only, &nothing).unwrap().body.len(), BLOCK as u64);
    let peek = Peek::new(Cursor::new(other));
    assert_eq!(
        find_disk(peek, Choice::Only, &judge(), &Budget::default()).unwrap().member,
        "disk.raw"
    );
    // One that is not in front is none.
    let late = archive(&[file("disk.raw", &a), sized("1024"), block(0, &a)]);
    let package = Package::open("a.tar", Arc::new(late), &Budget::default()).unwrap();
    assert_eq!(package.kind(), Archive::Tar);
}

#[test]
fn a_disk_that_is_broken_does_not_keep_from_another() {
    let (a, b) = (data(3), data(5));
    let vdi = |id, size: usize| object("VDI", id, &[("virtual_size", &size.to_string())]);
    let objects = [vdi("one", BLOCK), vdi("Ref:4", 2 * BLOCK), vdi("none", BLOCK)];
    let bytes = archive(&[
        file("ova.xml", descriptor(&objects).as_bytes()),
        block(0, &a),
        block_of("one", 0, &b),
    ]);
    let budget = Budget::default();
    assert_eq!(disk(&bytes, Choice::Number(1), &budget).unwrap(), b);
    for number in [2, 3] {
        let error = disk(&bytes, Choice::Number(number), &budget).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
    for (choice, kind) in [(Choice::Only, "one"), (Choice::Number(4), "Ref:4 (2048 bytes)")] {
        let error = disk(&bytes, choice, &budget).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains(kind), "{error}");
    }
    let listing = list_disks(Peek::new(Cursor::new(bytes.clone())), &judge(), &budget).unwrap();
    let names: Vec<&str> = listing.disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["one", "Ref:4", "none"]);
    let mut problems = Vec::new();
    let package = Package::open("m.xva", Arc::new(bytes), &budget).unwrap();
    let mut report = |problem: Problem| problems.push(problem.text);
    package.check(&Cancel::default(), &Progress::default(), &mut report).unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn check_tells_every_block_with_another_digest() {
    let a = data(3);
    let mut bytes = archive(&[machine(4 * BLOCK as u64), block(0, &a), block(1, &a), block(3, &a)]);
    for back in [1024 + 1024 + 100, 1024 + 2 * 2560 + 1024 + 100] {
        let place = bytes.len() - back;
        bytes[place] ^= 1;
    }
    let package = Package::open("m.xva", Arc::new(bytes), &Budget::default()).unwrap();
    let mut problems = Vec::new();
    let mut report = |problem: Problem| problems.push((problem.at.is_some(), problem.text));
    package.check(&Cancel::default(), &Progress::default(), &mut report).unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].0 && problems[0].1.contains("'Ref:4/00000000'"), "{problems:?}");
    assert!(problems[1].1.contains("'Ref:4/00000003'"), "{problems:?}");
}

/// An archive of so many blocks that nobody has it in memory: headers, and zeros.
struct Many {
    head: Vec<u8>,
    blocks: u64,
    /// Which number a place has.
    number: fn(u64) -> u64,
    size: u64,
}

impl Many {
    const STEP: u64 = 512 + 1024;

    fn new(blocks: u64, number: fn(u64) -> u64, virtual_size: u64, size: u64) -> Self {
        Self { head: machine(virtual_size), blocks, number, size }
    }

    fn byte_blocks(&self, block: u64) -> Vec<u8> {
        match block.checked_sub(self.head.len() as u64 / 512) {
            None => self.head[block as usize * 512..][..512].to_vec(),
            Some(block) if block / 3 < self.blocks && block % 3 == 0 => {
                header(&format!("Ref:4/{:08}", (self.number)(block / 3)), b'0', self.size)
            }
            Some(_) => vec![0; 512],
        }
    }
}

impl Bytes for Many {
    fn name(&self) -> &str {
        "many"
    }

    fn len(&self) -> u64 {
        self.head.len() as u64 + self.blocks * Self::STEP + 1024
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        let mut at = at;
        let mut buf = buf;
        while !buf.is_empty() {
            let block = self.byte_blocks(at / 512);
            let from = &block[(at % 512) as usize..];
            let count = from.len().min(buf.len());
            buf[..count].copy_from_slice(&from[..count]);
            at += count as u64;
            buf = &mut buf[count..];
        }
        Ok(())
    }
}

#[test]
fn as_many_blocks_as_there_may_be_take_no_more_than_they_are_worth() {
    let step = 1024;
    let budget = |members, metadata| {
        Limits::default().with_metadata(metadata).with_members(members).budget()
    };
    // A hundred thousand in a row are one run, and count as no members.
    let many = Many::new(100_000, |place| place, 100_000 * step, step);
    let package = Package::open("many", Arc::new(many), &budget(5, 50_000)).unwrap();
    assert_eq!(package.disk(Choice::Only, &nothing).unwrap().body.len(), 100_000 * step);
    // Ten million that are none: past the end of the disk, or of no bytes, or far apart.
    for (number, virtual_size, size, kind) in [
        ((|place| place) as fn(u64) -> u64, 10 * step, step, ErrorKind::Damaged),
        (|_| 0, 10 * step, step, ErrorKind::Damaged),
        (|place| place * 2, 1 << 50, step, ErrorKind::Limit),
    ] {
        let many = Many::new(10_000_000, number, virtual_size, size);
        let opened = Package::open("many", Arc::new(many), &budget(10_000, 1 << 20));
        assert_eq!(opened.err().unwrap().kind(), kind);
    }
    let a = data(3);
    let signs = (1..100).map(|number| file(&format!("Ref:4/{number:08}"), b""));
    let members: Vec<Vec<u8>> =
        [machine(2 * step), block(0, &a)].into_iter().chain(signs).collect();
    let error = disk(&archive(&members), Choice::Only, &budget(50, 1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let members = Remedy::RaiseLimit { limit: "members".to_owned(), to: None };
    assert_eq!(error.remedy(), Some(&members), "{error}");
}

#[test]
fn a_block_in_a_sparse_member_is_refused_by_name() {
    // GNU's old sparse header: one stretch of 512 bytes of 1024.
    let mut block = header("Ref:4/00000000", b'S', 512);
    block[257..265].copy_from_slice(b"ustar  \0");
    block[386..398].copy_from_slice(b"00000000000\0");
    block[398..410].copy_from_slice(b"00000001000\0");
    block[483..495].copy_from_slice(b"00000002000\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend([1; 512]);
    refused(&[machine(1024), block], ErrorKind::Unsupported, "sparse member");
}
