//! Archives that other programs made, and archives that nobody should make.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Error, ErrorKind, Limits, NotInOrder, Progress, Result,
};
use diskferry_codec::digest::{Algorithm, Digest};
use diskferry_testkit::child::{Bounded, command};
use diskferry_wrap::{
    Candidate, Choice, Digests, Forward, Judge, Likeness, Objection, Package, Part, Peek, Point,
    Promise, Promises, Survey, TarKind, Wrapping, find_disk, survey,
};

/// A header of GNU's kind: its fields as they are on disk.
struct Member<'a> {
    name: &'a str,
    kind: u8,
    size: u64,
    data: Vec<u8>,
    /// Other bytes, at an offset of the header.
    patch: Vec<(usize, Vec<u8>)>,
}

impl<'a> Member<'a> {
    fn new(name: &'a str, kind: u8, data: &[u8]) -> Self {
        Self { name, kind, size: data.len() as u64, data: data.to_vec(), patch: Vec::new() }
    }

    fn at(mut self, offset: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.patch.push((offset, bytes.as_ref().to_vec()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..self.name.len()].copy_from_slice(self.name.as_bytes());
        block[124..136].copy_from_slice(format!("{:011o}\0", self.size).as_bytes());
        block[156] = self.kind;
        block[257..265].copy_from_slice(b"ustar  \0");
        for (offset, bytes) in &self.patch {
            block[*offset..][..bytes.len()].copy_from_slice(bytes);
        }
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block.extend(&self.data);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }
}

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Member::bytes).collect();
    bytes.extend([0; 1024]);
    bytes
}

/// A pax record.
fn record(pair: &str) -> String {
    let mut length = pair.len() + 3;
    while length != format!("{length} {pair}\n").len() {
        length = format!("{length} {pair}\n").len();
    }
    format!("{length} {pair}\n")
}

fn nothing(_: &Candidate<'_>) -> Result<Likeness> {
    Ok(Likeness::Unknown)
}

/// The disk of an archive in a file.
fn disk(bytes: &[u8], choice: Choice, budget: &Budget) -> Result<(String, Vec<u8>)> {
    let package = Package::open("a.tar", Arc::new(bytes.to_vec()), budget)?;
    let part = package.disk(choice, &nothing)?.body;
    budget.limits().check_virtual_size(part.len())?;
    let mut content = vec![0xee; part.len() as usize];
    part.read_at(0, &mut content)?;
    // What it says is a hole is zeros, and its runs tile it.
    let mut at = 0;
    while at < part.len() {
        let run = part.run(at, part.len() - at)?;
        let bytes = &content[at as usize..][..run.length as usize];
        assert!(!run.hole || bytes.iter().all(|byte| *byte == 0), "{run:?} at {at}");
        at += run.length;
    }
    Ok((part.name().to_owned(), content))
}

/// The disk of an archive that comes in order; holes are taken at their word, or read.
fn in_order(
    bytes: &[u8],
    choice: Choice,
    budget: &Budget,
    holes: bool,
) -> Result<(String, Vec<u8>)> {
    let peek = Peek::new(Cursor::new(bytes.to_vec()));
    let judge: Arc<dyn Judge> = Arc::new(nothing);
    let picked = find_disk(peek, choice, &judge, budget)?;
    let mut inside = picked.body;
    budget.limits().check_virtual_size(inside.size)?;
    let mut content = Vec::new();
    let mut buf = [0xee; 1000];
    loop {
        let zeros = if holes { inside.content.hole()? } else { 0 };
        content.resize(content.len() + zeros as usize, 0);
        match inside.content.read(&mut buf)? {
            0 if zeros == 0 => break,
            count => content.extend(&buf[..count]),
        }
    }
    assert_eq!(content.len() as u64, inside.size);
    Ok((format!("a.tar/{}", picked.member), content))
}

/// All ways to read the disk, which must agree.
fn read(bytes: &[u8], choice: Choice, budget: &Budget) -> Result<(String, Vec<u8>), ErrorKind> {
    let kind = |error: Error| {
        assert!(!error.to_string().contains('\n'), "{error}");
        error.kind()
    };
    let whole = disk(bytes, choice, budget).map_err(kind);
    for holes in [false, true] {
        let passed = in_order(bytes, choice, budget, holes).map_err(kind);
        // What is said of a member is looked at before its bytes are missed.
        let early = passed == Err(ErrorKind::Limit) && whole == Err(ErrorKind::Damaged);
        let kinds = (passed.as_ref().err(), whole.as_ref().err());
        assert!(early || passed == whole, "in order, holes {holes}: {kinds:?}");
    }
    whole
}

fn budget() -> Budget {
    Limits::default().with_virtual_size(1 << 30).budget()
}

fn only(bytes: &[u8]) -> Result<(String, Vec<u8>), ErrorKind> {
    read(bytes, Choice::Only, &budget())
}

/// Runs a program in a folder.
fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let status = command(program).args(arguments).current_dir(folder).run_aloud();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

/// A file with holes in front, between and at its end, and the archives that GNU tar makes of it.
fn sparse_archives() -> (Vec<u8>, Vec<(&'static str, Vec<u8>)>) {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("disk.raw")).unwrap();
    let len = 3 << 20;
    file.set_len(len).unwrap();
    for (at, fill) in [(8192u64, 1u8), (1 << 20, 2), ((1 << 20) + 4096, 3), ((2 << 20) + 12288, 4)]
    {
        file.write_all_at(&[fill; 4096], at).unwrap();
    }
    let ways = [
        "--format=gnu -S",
        "--format=oldgnu -S",
        "--format=posix -S",
        "--format=posix -S --sparse-version=0.1",
        "--format=posix -S --sparse-version=0.0",
        "--format=ustar",
        "--format=v7",
        "--format=posix",
    ];
    let archives = ways.map(|way| {
        let mut arguments: Vec<&str> = way.split(' ').collect();
        arguments.extend(["-cf", "a.tar", "disk.raw"]);
        run(folder.path(), "tar", &arguments);
        (way, fs::read(folder.path().join("a.tar")).unwrap())
    });
    (fs::read(folder.path().join("disk.raw")).unwrap(), archives.into())
}

#[test]
fn what_gnu_tar_makes_of_a_sparse_file_is_read_in_every_version() {
    let (content, archives) = sparse_archives();
    for (way, bytes) in archives {
        assert_eq!(Wrapping::of(&bytes), Some(Wrapping::Tar), "{way}");
        let (name, read) = only(&bytes).unwrap();
        assert_eq!(name, "a.tar/disk.raw", "{way}");
        assert!(read == content, "{way}: other bytes");
        // As many holes as there are make a small archive.
        assert!(!way.contains("-S") || bytes.len() < 60_000, "{way}: {}", bytes.len());
    }
}

#[test]
fn an_archive_cut_anywhere_is_damaged_or_still_whole() {
    let (content, archives) = sparse_archives();
    for (way, bytes) in archives.into_iter().filter(|(way, _)| way.contains("-S")) {
        // Where the end mark begins, which may be missing.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512);
        for cut in (0..bytes.len()).step_by(509).chain(end - 2..end + 3) {
            match only(&bytes[..cut]) {
                Ok((_, read)) => assert!(cut >= end && read == content, "{way} cut at {cut}"),
                Err(kind) => assert!(kind == ErrorKind::Damaged && cut < end, "{way} cut at {cut}"),
            }
        }
    }
}

/// What is said of a file before it is read.
fn said(bytes: &[u8]) -> Vec<(Point, Option<u64>)> {
    let package = Package::open("a.tar", Arc::new(bytes.to_vec()), &budget()).unwrap();
    let mut said = Vec::new();
    package.object_to_files(&mut |it| said.push((it.point, it.at)));
    said
}

/// VirtualBox writes no end mark. As nothing else tells then that an archive was cut there, it is said,
/// unless a descriptor does.
#[test]
fn an_archive_may_end_behind_any_member_and_nowhere_else() {
    let long = format!("{}/b", "d".repeat(150));
    let mut member = Member::new("a", b'0', &[1; 700]).bytes();
    let one = member.len();
    member.extend(Member::new("d/", b'5', b"").bytes());
    let folder = member.len();
    member.extend(Member::new("x", b'x', record(&format!("path={long}")).as_bytes()).bytes());
    member.extend(Member::new("b", b'0', &[2; 512]).bytes());
    let named = member.len();
    member.extend(Member::new("././@LongLink", b'L', format!("{long}\0").as_bytes()).bytes());
    member.extend(Member::new("c", b'0', b"c").bytes());
    let gnu = member.len();
    member.extend(Member::new("././@LongLink", b'K', format!("{long}\0").as_bytes()).bytes());
    member.extend(Member::new("link", b'2', b"").bytes());
    let ends = [one, folder, named, gnu, member.len()];
    for cut in (512..=member.len()).step_by(512) {
        for extra in [0, 1, 300, 511] {
            let mut bytes = member[..cut].to_vec();
            bytes.extend(member.get(cut..cut + extra).unwrap_or(&vec![0; extra]));
            let is_whole = ends.contains(&cut) && (extra == 0 || cut == member.len());
            match read(&bytes, Choice::First, &budget()) {
                Ok((name, content)) => {
                    assert!(is_whole, "cut at {cut} and {extra}");
                    assert_eq!((name.as_str(), content), ("a.tar/a", vec![1; 700]));
                    assert_eq!(said(&bytes), [(Point::End, Some(cut as u64))]);
                }
                Err(kind) => {
                    assert!(!is_whole && kind == ErrorKind::Damaged, "cut at {cut} and {extra}");
                }
            }
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            if is_whole && extra > 0 {
                // One block of zeros is a mark.
                assert_eq!(said(&bytes), []);
            }
        }
    }
    // In the zeros behind the data, too: who cuts there has cut elsewhere.
    for cut in [512 + 699, 512 + 700, 512 + 1023] {
        assert_eq!(only(&member[..cut]), Err(ErrorKind::Damaged), "{cut}");
    }
    // Of a package its descriptor tells what is missing.
    let whole = made(&["vm.ovf", "a b.vmdk", "c.iso"], OVF, "");
    let whole = &whole[..whole.len() - 1024];
    assert_eq!(read(whole, Choice::Only, &budget()).unwrap().1, b"disk");
    assert_eq!(said(whole), []);
    let short = &whole[..whole.len() - 1024];
    assert_eq!(read(short, Choice::Only, &budget()).unwrap().1, b"disk");
    assert_eq!(said(short), [(Point::Missing, None)]);
    assert_eq!(only(&short[..short.len() - 1024]), Err(ErrorKind::Damaged));
}

#[test]
fn flipped_bits_hurt_nobody() {
    let (_, archives) = sparse_archives();
    for (_, bytes) in archives.into_iter().filter(|(way, _)| way.contains("-S")) {
        for index in (0..bytes.len().min(4096)).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            _ = only(&flipped);
        }
    }
}

#[test]
fn long_names_and_other_members_do_no_harm() {
    let long = "d/".repeat(150) + "disk.raw";
    let pax = record(&format!("path={long}")) + &record("mtime=-1.5") + &record("comment=a=b");
    for named in [
        Member::new("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        Member::new("x", b'x', pax.as_bytes()),
    ] {
        let members = [
            Member::new("pax_global_header", b'g', record("comment=x").as_bytes()),
            Member::new("d/", b'5', b""),
            Member { size: 100, ..Member::new("link", b'2', b"") }.at(157, "/etc/passwd"),
            Member::new("null", b'3', b""),
            Member::new("meta.json", b'0', b"{}"),
            Member::new("strange", b'Z', b"data of an unknown kind"),
            named,
            Member::new("short", b'0', b"the disk"),
        ];
        assert_eq!(
            only(&archive(&members)).unwrap(),
            (format!("a.tar/{long}"), b"the disk".to_vec())
        );
    }
}

#[test]
fn large_members_are_disks_and_the_only_one_is() {
    let large = vec![1; 1 << 20];
    let small = Member::new("small", b'0', b"text");
    let members = [small, Member::new("a", b'0', &large), Member::new("b", b'0', &large)];
    let two = archive(&members);
    assert_eq!(only(&two), Err(ErrorKind::Misuse));
    for (choice, name) in
        [(Choice::Number(1), "a.tar/a"), (Choice::Number(2), "a.tar/b"), (Choice::First, "a.tar/a")]
    {
        assert_eq!(read(&two, choice, &budget()).unwrap().0, name);
    }
    assert_eq!(read(&two, Choice::Number(3), &budget()), Err(ErrorKind::Misuse));
    assert_eq!(only(&archive(&members[..2])).unwrap().0, "a.tar/a");
    assert_eq!(only(&archive(&members[..1])).unwrap().1, b"text");
    assert_eq!(only(&archive(&[])), Err(ErrorKind::Unsupported));
    // Several short ones are disks where there are no others.
    let text = |name: &'static str| Member::new(name, b'0', name.as_bytes());
    let three = archive(&[text("a"), text("b"), text("c")]);
    assert_eq!(only(&three), Err(ErrorKind::Misuse));
    for (choice, name) in [(Choice::First, "a"), (Choice::Number(1), "a"), (Choice::Number(3), "c")]
    {
        let (found, bytes) = read(&three, choice, &budget()).unwrap();
        assert_eq!((found, bytes), (format!("a.tar/{name}"), name.as_bytes().to_vec()));
    }
    for number in [0, 4] {
        assert_eq!(read(&three, Choice::Number(number), &budget()), Err(ErrorKind::Misuse));
    }
    let long = Member::new("long", b'0', &large);
    let mixed = archive(&[text("a"), long, text("b")]);
    assert_eq!(read(&mixed, Choice::Number(1), &budget()).unwrap().0, "a.tar/long");
    assert_eq!(read(&mixed, Choice::Number(2), &budget()), Err(ErrorKind::Misuse));
}

/// An old sparse header with these entries, each offset and length, and a real size.
fn sparse(entries: &[(u64, u64)], real: u64, data: &[u8]) -> Vec<u8> {
    let mut member = Member::new("disk", b'S', data).at(483, format!("{real:011o}\0"));
    for (index, (offset, length)) in entries.iter().enumerate() {
        member = member.at(386 + 24 * index, format!("{offset:011o}\0{length:011o}\0"));
    }
    archive(&[member])
}

#[test]
fn what_contradicts_itself_is_damage() {
    let ok = sparse(&[(512, 512), (2048, 3)], 4096, &[7; 515]);
    assert_eq!(only(&ok).unwrap().1.iter().filter(|byte| **byte == 7).count(), 515);
    let pax = |text: &str| {
        archive(&[Member::new("x", b'x', text.as_bytes()), Member::new("d", b'0', b"abc")])
    };
    let version = |map: &str, real: u64| {
        let text = record("GNU.sparse.major=1")
            + &record("GNU.sparse.minor=0")
            + &record(&format!("GNU.sparse.realsize={real}"));
        let mut data = map.as_bytes().to_vec();
        data.resize(512, 0);
        data.extend([7; 5]);
        archive(&[Member::new("x", b'x', text.as_bytes()), Member::new("d", b'0', &data)])
    };
    assert_eq!(only(&version("1\n3\n5\n", 10)).unwrap().1, b"\0\0\0\x07\x07\x07\x07\x07\0\0");
    let mut wrong_sum = archive(&[Member::new("d", b'0', b"abc")]);
    wrong_sum[0] ^= 1;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a checksum", wrong_sum),
        (
            "a size past the end",
            archive(&[Member { size: 9999, ..Member::new("d", b'0', b"abc") }]),
        ),
        (
            "a size of 2^63",
            archive(&[
                Member::new("d", b'0', b"").at(124, [0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])
            ]),
        ),
        (
            "a size of 2^64 - 1",
            archive(&[Member::new("d", b'0', b"")
                .at(124, [0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255])]),
        ),
        ("a negative size", archive(&[Member::new("d", b'0', b"").at(124, [255; 12])])),
        ("no number", archive(&[Member::new("d", b'0', b"").at(124, "12345678901z")])),
        ("an overlap", sparse(&[(512, 512), (512, 512)], 4096, &[7; 1024])),
        ("going back", sparse(&[(1024, 512), (0, 512)], 4096, &[7; 1024])),
        ("past the real size", sparse(&[(4000, 512)], 4096, &[7; 512])),
        ("more data than there are", sparse(&[(0, 1024)], 4096, &[7; 512])),
        ("less data than there are", sparse(&[(0, 512)], 4096, &[7; 1024])),
        ("a stretch within a block", sparse(&[(0, 5), (512, 5)], 4096, &[7; 10])),
        ("an endless stretch", sparse(&[(512, 0o77777777777)], 0o77777777777, &[7; 512])),
        ("a map of version 1.0 without an end", version("999999999\n", 10)),
        ("a map of version 1.0 that is none", version("x\n", 10)),
        ("a map of version 1.0 past the end", version("1\n6\n5\n", 10)),
        ("a number of 30 digits", version(&"1".repeat(30), 10)),
        ("a record without a length", pax("x=y\n")),
        ("a record of no length", pax("0 x=y\n")),
        ("a record that is too long", pax("99 x=y\n")),
        ("a record without a value", pax("6 abc\n")),
        ("a size that is no number", pax(&record("size=-1"))),
        (
            "a map with half a pair",
            pax(&(record("GNU.sparse.size=9") + &record("GNU.sparse.map=1,2,3"))),
        ),
        ("a map without a size", pax(&record("GNU.sparse.map=0,3"))),
        ("a length without an offset", pax(&record("GNU.sparse.numbytes=3"))),
        (
            "an extended header of nothing",
            archive(&[Member::new("x", b'x', record("path=a").as_bytes())]),
        ),
    ];
    for (what, bytes) in cases {
        assert_eq!(only(&bytes), Err(ErrorKind::Damaged), "{what}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    for (bytes, text) in [
        (archive(&[Member::new("d", b'M', b"abc")]), "volumes"),
        (
            archive(&[
                Member::new(
                    "x",
                    b'x',
                    (record("GNU.sparse.major=2") + &record("GNU.sparse.minor=0")).as_bytes(),
                ),
                Member::new("d", b'0', b"abc"),
            ]),
            "version",
        ),
    ] {
        assert_eq!(only(&bytes), Err(ErrorKind::Unsupported));
        let error = disk(&bytes, Choice::Only, &budget()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn bounds_hold() {
    let many = archive(&(0..50).map(|_| Member::new("d/", b'5', b"")).collect::<Vec<_>>());
    let endless = archive(
        &(0..50).map(|_| Member::new("x", b'x', record("path=a").as_bytes())).collect::<Vec<_>>(),
    );
    for bytes in [many, endless] {
        let few = Limits::default().with_members(40).budget();
        assert_eq!(read(&bytes, Choice::Only, &few), Err(ErrorKind::Limit));
    }
    let huge = archive(&[Member { size: 1 << 32, ..Member::new("x", b'x', b"") }]);
    assert_eq!(only(&huge), Err(ErrorKind::Limit));
    let name = archive(&[Member { size: 1 << 32, ..Member::new("x", b'L', b"") }]);
    assert_eq!(only(&name), Err(ErrorKind::Limit));
    // A hole costs nothing to state.
    assert_eq!(only(&sparse(&[(0, 512)], 1 << 31, &[7; 512])), Err(ErrorKind::Limit));
    // A map takes memory.
    let lines: String = (0..20_000).map(|line| format!("{}\n0\n", line * 2)).collect();
    let map = format!("20000\n{lines}");
    let text = record("GNU.sparse.major=1")
        + &record("GNU.sparse.minor=0")
        + &record("GNU.sparse.realsize=100000");
    let mut data = map.into_bytes();
    data.resize(data.len().next_multiple_of(512), 0);
    let bytes = archive(&[Member::new("x", b'x', text.as_bytes()), Member::new("d", b'0', &data)]);
    assert_eq!(only(&bytes).unwrap().1.len(), 100_000);
    let little = Limits::default().with_metadata(10_000).budget();
    for refused in
        [disk(&bytes, Choice::Only, &little), in_order(&bytes, Choice::Only, &little, true)]
    {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }
}

/// A manifest of chunks, of which only the first has this digest.
const CHUNKS: &[u8] = b"SHA1(two.vmdk.000000000)= 7fc9d61de4c3ee118fd254ffe9ff63cf3f804193\n\
    SHA1(two.vmdk.000000001)= 7fc9d61de4c3ee118fd254ffe9ff63cf3f804193\n";

/// An OVF package with two disks, the second one first in the descriptor, cut into chunks.
fn package(order: &[&str]) -> Vec<u8> {
    let descriptor = br#"<Envelope xmlns:ovf="o"><References>
        <File ovf:id="1" ovf:href="one.vmdk"/><File ovf:id="2" ovf:href="two.vmdk" ovf:chunkSize="600" ovf:size="1000"/>
        </References><DiskSection><Disk ovf:fileRef="2"/><Disk ovf:fileRef="1"/></DiskSection></Envelope>"#;
    let members: Vec<Member<'_>> = order
        .iter()
        .map(|name| match *name {
            "vm.ovf" => Member::new("vm.ovf", b'0', descriptor),
            "one.vmdk" => Member::new("./one.vmdk", b'0', b"one"),
            "two.vmdk.000000000" => Member::new("two.vmdk.000000000", b'0', &[2; 600]),
            "vm.mf" => Member::new("vm.mf", b'0', CHUNKS),
            name => Member::new(name, b'0', &[3; 400]),
        })
        .collect();
    archive(&members)
}

#[test]
fn a_descriptor_tells_the_disks_and_their_chunks() {
    let bytes =
        package(&["vm.ovf", "one.vmdk", "two.vmdk.000000000", "two.vmdk.000000001", "x.iso"]);
    assert_eq!(disk(&bytes, Choice::Only, &budget()).unwrap_err().kind(), ErrorKind::Misuse);
    let (name, content) = disk(&bytes, Choice::Number(1), &budget()).unwrap();
    assert_eq!((name.as_str(), content), ("a.tar/two.vmdk", [vec![2; 600], vec![3; 400]].concat()));
    assert_eq!(read(&bytes, Choice::Number(2), &budget()).unwrap().1, b"one");
    let error = in_order(&bytes, Choice::First, &budget(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // Where one is missing, or not whole, the other can still be had.
    let one_lacks = package(&["vm.ovf", "two.vmdk.000000000", "two.vmdk.000000001"]);
    let two_lacks = package(&["vm.ovf", "one.vmdk", "two.vmdk.000000000"]);
    for (bytes, lacks, has) in [(&one_lacks, 2, 1), (&two_lacks, 1, 2)] {
        let error = disk(bytes, Choice::Number(lacks), &budget()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        let there = disk(bytes, Choice::Number(has), &budget()).unwrap().1;
        assert_eq!(there.len(), [1000, 3][has as usize - 1]);
        assert_eq!(disk(bytes, Choice::Only, &budget()).unwrap_err().kind(), ErrorKind::Misuse);
    }
    assert_eq!(in_order(&two_lacks, Choice::Number(2), &budget(), true).unwrap().1, b"one");
    let error = in_order(&one_lacks, Choice::Number(2), &budget(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}

/// A package of one disk and a CD, to which nobody objects.
const OVF: &str = r#"<Envelope xmlns:ovf="o" xmlns:rasd="r"><References>
    <File ovf:id="1" ovf:href="a%20b.vmdk" ovf:size="4"/><File ovf:id="2" ovf:href="c.iso" ovf:size="2"/>
    </References><DiskSection><Disk ovf:diskId="d" ovf:fileRef="1"
    ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
    <VirtualSystem><Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
    <Item><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:Parent>3</rasd:Parent>
    <rasd:ResourceType>17</rasd:ResourceType></Item></VirtualSystem></Envelope>"#;

/// Its manifest, but for the descriptor's digest.
const MANIFEST: &str = "SHA1(vm.ovf)= {ovf}\nSHA1(a b.vmdk)= a07bdcbcbb025d14688be45f90b3b7128d4f9170\n\
    SHA256(c.iso)= 21e721c35a5823fdb452fa2f9f0a612c74fb952e06927489c6b27a43b817bed4\n";

/// Of its CD.
const CD_SHA512: &str = "f6ea8ad7d83486aa37e5770dac2e19671ba15e06b6761bbe3713ccb2aa6b73c1\
    b398f4f583d9ce6c55763269288fd4d8356be65d636df76530fd99ae6722c9bc";

fn objections(bytes: Vec<u8>) -> Result<Vec<Objection>> {
    let package = Package::open("a.ova", Arc::new(bytes), &budget())?;
    package.disk(Choice::First, &nothing)?;
    let mut found = Vec::new();
    let (mut known, cancel, progress) = Default::default();
    package.object(&mut known, &cancel, &progress, &mut |it| found.push(it))?;
    Ok(found)
}

/// A package with these members.
fn made(order: &[&str], ovf: &str, manifest: &str) -> Vec<u8> {
    let mut digest = Digest::new(Algorithm::Sha1);
    digest.update(ovf.as_bytes());
    let manifest = manifest.replace("{ovf}", &digest.finish());
    let members: Vec<Member<'_>> = order
        .iter()
        .map(|name| {
            let data: &[u8] = match *name {
                "c.iso" => b"cd",
                name if name.ends_with(".ovf") => ovf.as_bytes(),
                name if name.ends_with(".mf") => manifest.as_bytes(),
                _ => b"disk",
            };
            Member::new(name, b'0', data)
        })
        .collect();
    archive(&members)
}

#[test]
fn each_thing_that_importers_mind_is_found_alone() {
    let ovf = |from: &str, to: &str| {
        assert!(OVF.contains(from), "{from}");
        OVF.replacen(from, to, 1)
    };
    let manifest = |from: &str, to: &str| MANIFEST.replacen(from, to, 1);
    let usual = ["vm.ovf", "vm.mf", "a b.vmdk", "c.iso"];
    let good = made(&usual, OVF, MANIFEST);
    assert_eq!(objections(good).unwrap(), []);
    let cases = [
        (Point::First, made(&["vm.mf", "vm.ovf", "a b.vmdk", "c.iso"], OVF, MANIFEST)),
        (Point::Order, made(&["vm.ovf", "vm.mf", "c.iso", "a b.vmdk"], OVF, MANIFEST)),
        (
            Point::Missing,
            made(
                &usual,
                &ovf(
                    "<File ovf:id=\"2\"",
                    "<File ovf:id=\"3\" ovf:href=\"d.iso\"/><File ovf:id=\"2\"",
                ),
                MANIFEST,
            ),
        ),
        (Point::Size, made(&usual, &ovf("size=\"4\"", "size=\"5\""), MANIFEST)),
        (Point::Format, made(&usual, &ovf("#streamOptimized", "#"), MANIFEST)),
        (Point::Format, made(&usual, &ovf("#streamOptimized", "#other"), MANIFEST)),
        (Point::Format, made(&usual, &ovf("ovf:format=", "ovf:other="), MANIFEST)),
        (Point::Folder, made(&usual, &ovf("href=\"c.iso\"", "href=\"./c.iso\""), MANIFEST)),
        (Point::Controller, made(&usual, &ovf("Parent>3", "Parent>4"), MANIFEST)),
        (
            Point::Controller,
            made(
                &usual,
                &ovf("</References>", "</References><Disk ovf:diskId=\"e\"/>")
                    .replacen("/disk/d", "/disk/e", 1),
                MANIFEST,
            ),
        ),
        (
            Point::Resource,
            made(
                &usual,
                &ovf(
                    "<VirtualSystem>",
                    "<VirtualSystem><Item><rasd:HostResource>ovf:/file/9</rasd:HostResource></Item>",
                ),
                MANIFEST,
            ),
        ),
        (Point::Draft, made(&usual, &ovf("#streamOptimized", "#sparse"), MANIFEST)),
        (
            Point::Second,
            made(&["vm.ovf", "vm.mf", "a b.vmdk", "c.iso", "other.ovf"], OVF, MANIFEST),
        ),
        (Point::Second, made(&["vm.ovf", "vm.mf", "a b.vmdk", "c.iso", "other.mf"], OVF, MANIFEST)),
        (Point::Unlisted, made(&usual, OVF, &manifest("SHA1(vm.ovf)= {ovf}\n", ""))),
        (Point::Kind, made(&usual, OVF, &format!("{MANIFEST}SHA512(c.iso)= {CD_SHA512}\n"))),
        (Point::Controller, made(&usual, &ovf("Type>6", "Type>7"), MANIFEST)),
        (
            Point::Devices,
            made(&usual, &ovf("</VirtualSystem>", "<StorageItem/></VirtualSystem>"), MANIFEST),
        ),
        (Point::Manifest, made(&usual, OVF, &manifest("SHA1(a", "SHA1 (a"))),
        (Point::Manifest, made(&usual, OVF, &manifest("SHA256", "SHA2-256"))),
        (Point::Digest, made(&usual, OVF, &manifest("a07b", "b07b"))),
        (Point::Digest, made(&usual, OVF, &format!("{MANIFEST}SHA1(d.iso)= 00\n"))),
    ];
    for (point, bytes) in cases {
        let found = objections(bytes).unwrap();
        let points: Vec<Point> = found.iter().map(|objection| objection.point).collect();
        assert_eq!(points, [point], "{found:?}");
    }
}

#[test]
fn a_disk_of_another_size_than_its_descriptor_gives_it_is_found() {
    let ovf = OVF.replacen("ovf:diskId=\"d\"", "ovf:diskId=\"d\" ovf:capacity=\"100000\"", 1);
    let bytes = made(&["vm.ovf", "a b.vmdk", "c.iso"], &ovf, MANIFEST);
    let package = Package::open("a.ova", Arc::new(bytes), &budget()).unwrap();
    // Up to a grain it is the same.
    for (size, differs) in [(100_000, false), (131_072, false), (131_073, true), (65_536, true)] {
        let mut found = Vec::new();
        package.object_to_capacity("a b.vmdk", size, &mut |it| found.push(it.point));
        assert_eq!(found == [Point::Capacity], differs, "{size}: {found:?}");
    }
    package.object_to_capacity("c.iso", 7, &mut |it| panic!("{it:?}"));
}

#[test]
fn a_descriptor_that_is_its_own_disk_is_damage_with_its_place() {
    for href in ["vm.ovf", "./vm.ovf", "vm.mf"] {
        let text = format!(
            "<Envelope><File id='1' href='{href}'/><Disk diskId='d' fileRef='1'/></Envelope>"
        );
        let members =
            [Member::new("vm.ovf", b'0', text.as_bytes()), Member::new("vm.mf", b'0', b"x")];
        let bytes = archive(&members);
        assert_eq!(read(&bytes, Choice::Only, &budget()), Err(ErrorKind::Damaged), "{href}");
        let error = disk(&bytes, Choice::Only, &budget()).unwrap_err();
        assert_eq!(error.place().offset, Some(512));
        assert!(error.to_string().contains("'vm.ovf' has 'vm."), "{error}");
    }
    let text = "<Envelope><File id='1' href='a.vmdk'/><Disk fileRef='1'/></Envelope>";
    let bytes = archive(&[Member::new("machine.ovf", b'0', text.as_bytes())]);
    for error in [
        disk(&bytes, Choice::Only, &budget()).unwrap_err(),
        in_order(&bytes, Choice::Only, &budget(), true).unwrap_err(),
    ] {
        assert!(error.to_string().contains("'machine.ovf' names the disk 'a.vmdk'"), "{error}");
    }
}

/// What the manifest promises of the files of the disk: whether all of it is kept, and what is not compared.
fn promised(bytes: Vec<u8>, disk: &str) -> (Vec<Result<(), ErrorKind>>, Option<String>) {
    let package = Package::open("a.ova", Arc::new(bytes), &budget()).unwrap();
    let Promises { digests, note } = package.promises(disk).unwrap();
    let mut known = Digests::default();
    let mut check = |digest: &Promise| digest.check(&mut known, &|| Ok(()));
    let checked = digests.iter().map(|digest| check(digest).map_err(|error| error.kind()));
    (checked.collect(), note)
}

#[test]
fn a_manifest_promises_what_it_has_of_the_disk_and_no_more() {
    let usual = ["vm.ovf", "vm.mf", "a b.vmdk", "c.iso"];
    let lacks = |what: &str| Some(format!("'{what}' is not in the manifest 'vm.mf'"));
    for disk in ["a b.vmdk", "a%20b.vmdk"] {
        assert_eq!(promised(made(&usual, OVF, MANIFEST), disk), (vec![Ok(()), Ok(())], None));
    }
    let damaged = Err(ErrorKind::Damaged);
    // However often it is listed.
    let bad = MANIFEST.replacen("a07b", "b07b", 1).repeat(3);
    assert_eq!(promised(made(&usual, OVF, &bad), "a b.vmdk"), (vec![Ok(()), damaged], None));
    let short = MANIFEST.replacen("a b.vmdk", "b.vmdk", 1);
    assert_eq!(promised(made(&usual, OVF, &short), "a b.vmdk"), (vec![Ok(())], lacks("a b.vmdk")));
    let odd = MANIFEST.replacen("SHA1(a", "SHA3(a", 1);
    let note =
        Some("'a b.vmdk' has a digest of an unknown kind in the manifest 'vm.mf'".to_owned());
    assert_eq!(promised(made(&usual, OVF, &odd), "a b.vmdk"), (vec![Ok(())], note));
    assert_eq!(promised(made(&["vm.ovf", "a b.vmdk"], OVF, ""), "a b.vmdk"), (vec![], None));
    // Who is asked to stop stops.
    let bytes = Arc::new(made(&usual, OVF, MANIFEST));
    let promises = Package::open("a.ova", bytes, &budget()).unwrap().promises("a b.vmdk").unwrap();
    let (first, mut known) = (&promises.digests[0], Digests::default());
    let stop = || Err(Error::cancelled());
    assert_eq!(first.check(&mut known, &stop).unwrap_err().kind(), ErrorKind::Cancelled);
    // What is known is not read again.
    first.check(&mut known, &|| Ok(())).unwrap();
    first.check(&mut known, &stop).unwrap();
    // Each chunk of a disk is a file of its own.
    let chunks = package(&["vm.ovf", "vm.mf", "two.vmdk.000000000", "two.vmdk.000000001"]);
    assert_eq!(promised(chunks, "two.vmdk"), (vec![Ok(()), damaged], lacks("vm.ovf")));
}

/// A descriptor and a manifest of the greatest lengths are compared in no time.
#[test]
fn a_file_that_is_listed_without_end_is_digested_once() {
    let ovf = format!("{OVF}{}", " ".repeat((1 << 20) - OVF.len()));
    let line = MANIFEST.lines().next().unwrap().to_owned() + "\n";
    let manifest = line.repeat(70_000) + MANIFEST;
    let bytes = made(&["vm.ovf", "vm.mf", "a b.vmdk", "c.iso"], &ovf, &manifest);
    assert_eq!(read(&bytes, Choice::Only, &budget()).unwrap().1, b"disk");
    assert_eq!(promised(bytes, "a b.vmdk"), (vec![Ok(()), Ok(())], None));
}

/// A hole may be of any length, and cost nothing to make.
#[test]
fn what_has_holes_is_not_digested() {
    let real = 1_u64 << 50;
    let binary = [&[0x80, 0, 0, 0][..], &real.to_be_bytes()].concat();
    let big = Member::new("c.iso", b'S', &[7; 512])
        .at(386, format!("{:011o}\0{:011o}\0", 0, 512))
        .at(483, &binary);
    let (ovf, disk) = (Member::new("vm.ovf", b'0', OVF.as_bytes()), b"disk");
    let manifest = format!("SHA256(c.iso)= {}\n", "0".repeat(64));
    let manifest = Member::new("vm.mf", b'0', manifest.as_bytes());
    let bytes = archive(&[ovf, manifest, Member::new("a b.vmdk", b'0', disk), big]);
    let found = objections(bytes).unwrap();
    let of_holes = |it: &&Objection| it.text.contains("'c.iso' has holes");
    assert_eq!(found.iter().find(of_holes).map(|it| it.point), Some(Point::Manifest), "{found:?}");
    assert!(found.iter().all(|it| it.point != Point::Digest), "{found:?}");
}

/// In order, a disk is on its way when the descriptor comes.
#[test]
fn a_descriptor_after_the_disk_agrees_or_is_refused() {
    let large = vec![1; 1 << 20];
    let of = |descriptor: &str| {
        let (a, b) = (Member::new("a.img", b'0', &large), Member::new("b.img", b'0', b"disk b"));
        let late = Member::new("vm.ovf", b'0', descriptor.as_bytes());
        archive(&[a, b, late, Member::new("c.img", b'0', &large)])
    };
    let names = |href: &str| {
        format!("<Envelope><File id='1' href='{href}'/><Disk fileRef='1'/></Envelope>")
    };
    for choice in [Choice::Only, Choice::First] {
        // What it does not name is no disk, however large.
        let (name, content) = read(&of(&names("a.img")), choice, &budget()).unwrap();
        assert!(name == "a.tar/a.img" && content == large);
        let other = of(&names("b.img"));
        assert_eq!(disk(&other, choice, &budget()).unwrap().1, b"disk b");
        let error = in_order(&other, choice, &budget(), true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("unpack the archive first"), "{error}");
        assert_eq!(read(&of("<Envelope>"), choice, &budget()), Err(ErrorKind::Damaged));
    }
}

fn surveyed(bytes: &[u8]) -> Result<Option<Survey>> {
    let bytes: Arc<dyn Bytes> = Arc::new(bytes.to_vec());
    survey(&bytes, &budget(), &Cancel::default(), &Progress::default())
}

#[test]
fn a_survey_tells_the_kind_of_tar_and_every_member() {
    for (way, bytes) in sparse_archives().1 {
        let expected = match way {
            way if way.contains("gnu") => TarKind::Gnu,
            way if way.contains("ustar") => TarKind::Ustar,
            way if way.contains("v7") => TarKind::V7,
            // GNU tar writes extended headers only where it has to.
            way if way.contains("-S") => TarKind::Pax,
            _ => TarKind::Ustar,
        };
        let survey = surveyed(&bytes).unwrap().unwrap();
        assert_eq!(survey.members, ["disk.raw"], "{way}");
        assert!(survey.kinds == [expected] || survey.kinds == [TarKind::Pax], "{way}: {survey:?}");
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(surveyed(&bytes[..end]).unwrap_err().kind(), ErrorKind::Damaged, "{way}");
    }
    let two = archive(&[Member::new("d/", b'5', b""), Member::new("d/a", b'0', b"x")]);
    assert_eq!(surveyed(&two).unwrap().unwrap().members, ["d/", "d/a"]);
    assert_eq!(surveyed(&[1; 5000]).unwrap(), None);
    let stopped = Cancel::default();
    stopped.cancel();
    let bytes: Arc<dyn Bytes> = Arc::new(two);
    let error = survey(&bytes, &budget(), &stopped, &Progress::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// What is a disk by its bytes, and needs others.
struct Chain;

impl Judge for Chain {
    fn likeness(&self, member: &Candidate<'_>) -> Result<Likeness> {
        Ok(match member.head.first() {
            Some(b'D') => Likeness::Disk("disk"),
            _ => Likeness::Unknown,
        })
    }

    fn needs_others(&self, member: &Candidate<'_>) -> bool {
        member.name.ends_with(".extent")
    }

    /// What comes after the first byte.
    fn needs(&self, disk: &Part) -> Vec<String> {
        let mut text = vec![0; disk.len() as usize];
        disk.read_at(0, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text[1..].split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

#[test]
fn a_disk_that_others_need_is_not_the_one_that_is_meant() {
    let of = |members: &[(&'static str, &str)]| {
        let members = members.iter().map(|(name, text)| Member::new(name, b'0', text.as_bytes()));
        archive(&members.collect::<Vec<_>>())
    };
    let (base, middle, top) = (("d/base", "D"), ("d/middle", "Dbase"), ("d/top", "Dmiddle"));
    for (members, choice, picked) in [
        (&[base, middle, top][..], Choice::Only, Ok("d/top")),
        (&[top, base, middle], Choice::Only, Ok("d/top")),
        (&[base, middle, top], Choice::First, Ok("d/top")),
        (&[base, middle, top], Choice::Number(1), Ok("d/base")),
        // In another folder, it is another file.
        (&[base, middle, top, ("base", "D")], Choice::Only, Err(ErrorKind::Misuse)),
        (&[base, top], Choice::Only, Err(ErrorKind::Misuse)),
        (&[("a", "Db"), ("b", "Da")], Choice::Only, Err(ErrorKind::Misuse)),
        (&[("a", "Da")], Choice::Only, Ok("a")),
    ] {
        let package = Package::open("a.tar", Arc::new(of(members)), &budget()).unwrap();
        let found = package.disk(choice, &Chain).map(|it| it.member).map_err(|error| error.kind());
        assert_eq!(found.as_deref(), picked.as_ref().map(|it| *it), "{members:?}, {choice:?}");
    }
    // In order, what is needed may be anywhere, unless that disk was asked for.
    let judge: Arc<dyn Judge> = Arc::new(Chain);
    for members in [&[("a.extent", "D")][..], &[("a.extent", "x")], &[("a.extent", "D"), base]] {
        for (choice, is_refused) in
            [(Choice::Only, true), (Choice::First, false), (Choice::Number(1), false)]
        {
            let peek = Peek::new(Cursor::new(of(members)));
            let found = find_disk(peek, choice, &judge, &budget());
            assert_eq!(found.is_err(), is_refused, "{members:?}, {choice:?}");
            if let Err(error) = found {
                assert!(NotInOrder::is_cause_of(&error), "{error}");
            }
        }
    }
}

/// Both ways see the first bytes of a member alike.
#[test]
fn a_judge_sees_holes_as_zeros() {
    let entries = [(0, 512), (1024, 512), (66_000, 512), (70_000, 512)];
    for (entries, real) in [(&entries[..], 80_000), (&entries[1..], 80_000), (&entries[..2], 1600)]
    {
        let bytes = sparse(entries, real, &vec![7; 512 * entries.len()]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let look = {
            let seen = Arc::clone(&seen);
            move |member: &Candidate<'_>| {
                seen.lock().unwrap().push(member.head.to_vec());
                Ok(Likeness::Unknown)
            }
        };
        let package = Package::open("a.tar", Arc::new(bytes.clone()), &budget()).unwrap();
        package.disk(Choice::Only, &look).unwrap();
        let judge: Arc<dyn Judge> = Arc::new(look);
        find_disk(Peek::new(Cursor::new(bytes)), Choice::Only, &judge, &budget()).unwrap();
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 2 && seen[0] == seen[1], "{entries:?}");
        assert_eq!(seen[0].len(), (real as usize).min(Candidate::HEAD));
    }
}
