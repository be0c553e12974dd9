//! ZVHD and ZVHD2, as sources and as targets.

use diskferry_testkit::child::Bounded;

use crate::{Ended, Folder, disk};

/// A whole number of sectors, far from a whole GiB.
const SIZE: usize = 5_949_952;

const GIB: usize = 1 << 30;

const FORMATS: [&str; 2] = ["zvhd", "zvhd2"];

/// A vector, unpacked.
fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/zvhd");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

#[test]
fn the_size_is_rounded_up_and_the_original_one_comes_back() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    for format in FORMATS {
        let target = format!("a.{format}");
        let ended = folder.done(&["convert", "a.raw", &target, "--verify", "--json"]);
        let said = format!("rounded up from {SIZE} to {GIB} bytes, as {format} holds whole GiB");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        let summary = ended.json();
        assert_eq!(summary["target"]["format"], format);
        assert_eq!(summary["target"]["virtual_size"], GIB);
        let info = folder.json(&["info", "--json", &target]);
        assert_eq!((&info["format"], &info["virtual_size"]), (&format.into(), &GIB.into()));
        assert_eq!(info["details"]["original_size"], SIZE);
        assert!(folder.done(&["info", &target]).stdout().contains("original size"));
        folder.done(&["check", &target]);
        folder.done(&["compare", "a.raw", &target]);
        folder.run(&["compare", "--strict", "a.raw", &target]).coded(1);

        folder.done(&["convert", &target, "b.raw", "--force"]);
        assert_eq!(folder.read("b.raw").len(), GIB);
        folder.done(&["convert", "--size", "original", &target, "b.raw", "--force", "--verify"]);
        assert!(folder.read("b.raw") == disk(SIZE));
        folder.done(&["convert", "--size", "original", &target, "b.zvhd2", "--force"]);
        assert_eq!(folder.json(&["info", "--json", "b.zvhd2"])["details"]["original_size"], SIZE);
        let map = folder.json(&["map", "--json", &target]);
        assert_eq!((&map[0]["kind"], &map[0]["compressed"]), (&"data".into(), &true.into()));
        assert_eq!(map[1]["kind"], "zero");
    }
}

#[test]
fn an_original_size_needs_a_format_that_has_one_and_zeros_after_it() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    folder
        .run(&["convert", "--size", "original", "a.raw", "b.raw"])
        .failed(2, &["a.raw", "original size", "zvhd"]);
    folder
        .run_with(&["convert", "--size", "original", "-", "b.raw"], &disk(512))
        .failed(2, &["stdin", "original size"]);
    folder.run(&["convert", "--size", "orignal", "a.raw", "b.raw"]).coded(2);
    // A unit beyond the original size: the first page says that there is less than there is.
    let mut image = vector("zvhd-mixed8-indep.zvhd");
    let last = image.len() - 4096;
    for page in [0, last] {
        image[page + 0x28..page + 0x30].copy_from_slice(&(4_u64 << 20).to_le_bytes());
        image[page + 0x40..page + 0x44].fill(0);
        let sum: u32 = image[page..page + 512].iter().map(|byte| u32::from(*byte)).sum();
        image[page + 0x40..page + 0x44].copy_from_slice(&(!sum).to_le_bytes());
    }
    folder.write("more.zvhd", &image);
    let before = folder.names();
    folder
        .run(&["convert", "--size", "original", "more.zvhd", "b.raw"])
        .failed(2, &["more.zvhd", "shrinking to 4194304 bytes would drop data", "0x400001"]);
    folder
        .run_with(&["convert", "--size", "original", "-", "b.raw"], &image)
        .failed(2, &["stdin", "would drop data", "0x400001"]);
    assert_eq!(folder.names(), before);
    folder.done(&["convert", "more.zvhd", "b.raw"]);
}

#[test]
fn both_go_through_pipes_both_ways() {
    let folder = Folder::new();
    let disk = disk(SIZE);
    folder.write("a.raw", &disk);
    let set = "SOURCE_DATE_EPOCH";
    for format in FORMATS {
        let target = format!("a.{format}");
        let uuid = ["--uuid", "01234567-89ab-4def-8123-456789abcdef"];
        let convert = |arguments: &[&str]| {
            let arguments = [arguments, &uuid, &["-O", format]].concat();
            let output = folder.command(&arguments).env(set, "1700000000").run().unwrap();
            Ended::of(&arguments, output).coded(0)
        };
        convert(&["convert", "a.raw", &target, "-j", "7"]);
        let piped = convert(&["convert", "a.raw", "-", "-j", "1"]);
        assert!(piped.bytes == folder.read(&target), "{format}: a pipe gets other bytes");

        for options in [&[][..], &["-f", format]] {
            let arguments =
                [&["convert", "--size", "original", "-", "b.raw", "--force", "--json"], options]
                    .concat();
            let ended = folder.run_with(&arguments, &piped.bytes).coded(0);
            assert!(folder.read("b.raw") == disk, "{format}");
            assert_eq!(ended.json()["source"]["format"], format);
        }
        let before = folder.names();
        folder
            .run_with(&["convert", "-", "t.raw"], &piped.bytes[..piped.bytes.len() / 2])
            .failed(4, &["stdin", "damaged image", "0x"]);
        // The first page needs the size.
        let arguments = ["convert", "-", &format!("t.{format}")];
        folder.run_with(&arguments, &disk).failed(3, &[arguments[2], "state its size"]);
        assert_eq!(folder.names(), before);
        let arguments = ["convert", "-", "u.img", "--size", "6M", "-O", format, "--force"];
        folder.run_with(&arguments, &disk).coded(0);
        folder.done(&["compare", "a.raw", "u.img"]);
    }
}

#[test]
fn levels_and_options_are_those_of_the_format() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    let before = folder.names();
    for (arguments, texts) in [
        (&["t.zvhd", "-c=0"][..], &["zlib has no level 0"][..]),
        (&["t.zvhd", "-c=10"], &["zlib has no level 10", "1 to 9"]),
        (&["t.zvhd2", "-c=23"], &["zstd has no level 23", "1 to 22"]),
        (&["t.zvhd2", "-c=10", "-o", "compression_type=zlib"], &["zlib has no level 10"]),
        (&["t.zvhd2", "-o", "compression_type=lz4"], &["zstd, zlib"]),
        (&["t.zvhd", "-o", "compression_type=zlib"], &["zvhd has no option", "none"]),
        (&["t.zvhd2", "-o", "subformat=x"], &["compression_type"]),
        (&["t.zvhd", "--snapshot", "x"], &["snapshot"]),
    ] {
        folder.run(&[&["convert", "a.raw"], arguments].concat()).failed(2, texts);
        assert_eq!(folder.names(), before, "{arguments:?}");
    }
    let size = |arguments: &[&str]| {
        folder.done(&[&["convert", "a.raw", "--force"], arguments].concat());
        folder.read(arguments[0]).len()
    };
    assert!(size(&["t.zvhd", "-c=9"]) < size(&["t.zvhd", "-c=1"]));
    assert!(size(&["t.zvhd2", "-c=19"]) < size(&["t.zvhd2", "-c=1"]));
    folder.done(&["convert", "a.raw", "t.zvhd2", "--force", "-o", "compression_type=zlib"]);
    assert_eq!(folder.json(&["info", "--json", "t.zvhd2"])["compression"], "zlib");
}

#[test]
fn a_damaged_image_is_told_by_check_and_convert() {
    let folder = Folder::new();
    let mut image = vector("zvhd-xref6-l6.zvhd");
    image[4096 + 200..4096 + 300].fill(0xee);
    folder.write("bad.zvhd", &image);
    let report = folder.run(&["check", "--json", "bad.zvhd"]).coded(1).json();
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);
    assert_eq!(report["problems"][0]["at"], 4096);
    folder.run(&["convert", "bad.zvhd", "t.raw"]).failed(4, &["bad.zvhd", "block 0", "0x1000"]);
    assert!(!folder.exists("t.raw"));
}
