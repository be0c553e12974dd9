//! Files that are cut into numbered pieces.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::{Folder, disk};

impl Folder {
    /// Makes `disk.raw`, and cuts a file into pieces, as coreutils do.
    #[track_caller]
    fn split(&self, file: &str, bytes: u32, digits: u32, first: u32, prefix: &str) {
        self.sh(&format!(
            "split -a {digits} --numeric-suffixes={first} -b {bytes} {file} {prefix}"
        ));
    }

    #[track_caller]
    fn becomes(&self, file: &str, disk: &[u8]) {
        self.done(&["convert", "-q", "--verify", "--force", file, "t.raw"]);
        assert!(self.read("t.raw") == disk, "{file}");
        self.sh("rm t.raw");
    }
}

#[test]
fn the_pieces_of_a_split_file_are_read_as_one() {
    let folder = Folder::new();
    let disk = disk(3 << 20);
    folder.write("d.raw", &disk);
    folder.qemu_img(&["convert", "-O", "qcow2", "d.raw", "d.qcow2"]);
    folder.done(&["convert", "-q", "d.raw", "d.vhd", "-o", "subformat=fixed"]);
    folder.sh("gzip -k d.raw; gzip -k d.qcow2; tar -cf d.tar d.raw");
    for (file, bytes, digits, first) in [
        ("d.raw", 1 << 20, 3, 1),
        ("d.raw", 1_000_000, 3, 0),
        ("d.raw", 3000, 4, 1),
        ("d.qcow2", 100_000, 3, 1),
        ("d.vhd", 1 << 20, 3, 1),
        ("d.raw.gz", 10_000, 3, 1),
        ("d.qcow2.gz", 10_000, 4, 0),
        ("d.tar", 1 << 20, 3, 1),
    ] {
        folder.split(file, bytes, digits, first, "p.");
        let width = digits as usize;
        let name = format!("p.{first:0width$}");
        folder.becomes(&name, &disk);
        folder.done(&["check", &name]);
        let info = folder.json(&["info", "--json", &name]);
        let size: usize = folder
            .names()
            .iter()
            .filter(|it| it.starts_with("p."))
            .map(|it| folder.read(it).len())
            .sum();
        assert_eq!(info["file_size"], size, "{file}");
        assert!(info["warnings"][0].as_str().unwrap().contains("read as one file"), "{info}");
        let last = format!("p.{:0width$}", first + 1);
        folder
            .run(&["convert", &name, &last, "--to", "raw", "--force"])
            .failed(2, &["the same file"]);
        folder.sh("rm p.*");
    }
}

/// With the numbers that GNU split has by itself: where there are many pieces, they grow.
#[test]
fn the_pieces_of_split_are_read_as_one_however_many() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    folder.write("d.raw", &disk);
    for (options, first, last) in [
        ("-d -b 100000", "p.00", "p.10"),
        ("-d -b 1000", "p.00", "p.990058"),
        ("-b 100000", "p.aa", "p.ak"),
        ("-b 1500", "p.aa", "p.zabx"),
        ("-a 3 -b 100000", "p.aaa", "p.aak"),
        ("-a 2 --numeric-suffixes=1 -b 11000", "p.01", "p.96"),
        ("-a 3 --numeric-suffixes=1 -b 1000", "p.001", "p.1049"),
    ] {
        // What split does not do, 7-Zip does: go on with 1000.
        if last == "p.1049" {
            folder.sh("split -a 4 --numeric-suffixes=1 -b 1000 d.raw p.");
            folder.sh("for n in $(seq -w 1 999); do mv p.0$n p.$n; done");
        } else {
            folder.sh(&format!("split {options} d.raw p."));
        }
        assert!(folder.exists(last), "{options}");
        folder.becomes(first, &disk);
        let refused = folder.run(&["convert", last, "t.raw"]);
        refused.failed(3, &["a piece of a split file", &format!("give '{first}'")]);
        folder.sh("rm p.*");
    }
}

#[test]
fn a_run_in_a_map_is_in_one_piece() {
    let folder = Folder::new();
    folder.write("d.raw", &[7; 300]);
    folder.split("d.raw", 100, 3, 1, "p.");
    let map = folder.json(&["map", "--json", "p.001"]);
    let of = |entry: &Value| (entry["file"].clone(), entry["offset"].clone());
    let places: Vec<_> = map.as_array().unwrap().iter().map(of).collect();
    assert_eq!(places, ["p.001", "p.002", "p.003"].map(|name| (json!(name), json!(0))), "{map}");
}

#[test]
fn pieces_that_do_not_make_a_whole_are_refused() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(3 << 20));
    for (change, given, texts) in [
        ("true", "p.002", &["p.002", "give 'p.001'"][..]),
        ("true", "p.003", &["give 'p.001'"]),
        ("cp p.001 p.000", "p.001", &["give 'p.000'"]),
        ("rm p.002", "p.001", &["'p.002' is missing", "'p.003' is there"]),
        ("rm p.001", "p.002", &["a piece of a split file", "first one is not there"]),
        ("rm p.001 p.002 p.003", "p.004", &["a piece of a split file"]),
        ("for n in 1 2 3 4; do mv p.00$n p.0$n; done; rm p.01", "p.03", &["a piece of a split"]),
        ("mv p.003 p.017; mv p.004 p.009", "p.001", &["'p.003' is missing"]),
        ("truncate -s -1 p.002", "p.001", &["of one size", "'p.002' 999999"]),
        ("truncate -s +1 p.002", "p.001", &["of one size", "'p.002' 1000001"]),
        ("truncate -s 1000001 p.004", "p.001", &["of one size", "'p.004' 1000001"]),
        (
            "mkdir out; mv p.002 out; ln -s /etc/passwd p.002",
            "p.001",
            &["p.002", "out of the folder"],
        ),
        ("rm p.002; mkfifo p.002", "p.001", &["p.002", "no file"]),
        ("rm p.002; mkdir p.002", "p.001", &["p.002", "no file"]),
        (
            "printf 'QFI\\xfb\\0\\0\\0\\3' | dd of=p.002 conv=notrunc status=none",
            "p.001",
            &["an image of its own"],
        ),
    ] {
        folder.split("d.raw", 1_000_000, 3, 1, "p.");
        folder.sh(change);
        folder.run(&["convert", given, "t.raw"]).failed(3, texts);
        assert!(!folder.exists("t.raw"), "{change}");
        folder.sh("rm -r p.*");
    }
    folder.split("d.raw", 100_000, 3, 1, "p.");
    let arguments = ["convert", "p.001", "t.raw", "--limit", "files=7"];
    folder.run(&arguments).failed(6, &["p.001", "7 pieces", "files"]);
}

#[test]
fn a_number_at_the_end_of_a_name_is_not_always_that_of_a_piece() {
    let folder = Folder::new();
    let disk = disk(3 << 20);
    folder.write("p.001", &disk);
    let alone = folder.done(&["convert", "p.001", "t.raw"]);
    assert!(alone.stderr.contains("no further one"), "{}", alone.stderr);
    folder.sh("rm t.raw; mv p.001 p.2026; cp p.2026 p.2025; cp p.2026 p.1; cp p.2026 p.2");
    for name in ["p.2026", "p.1", "p.2"] {
        folder.becomes(name, &disk);
    }
    // The layers of a chain are images, each of its own.
    folder.qemu_img(&["convert", "-O", "qcow2", "p.1", "c.001"]);
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-b", "c.001", "-F", "qcow2", "c.002"]);
    for name in ["c.001", "c.002"] {
        folder.becomes(name, &disk);
    }
    folder.sh("mv c.001 c.000; mv c.002 c.001; qemu-img rebase -u -b c.000 -F qcow2 c.001");
    for name in ["c.000", "c.001"] {
        folder.becomes(name, &disk);
    }
    // So are disks with a partition table each; others of other versions may be missing.
    folder.write("v.01", &disk);
    folder.sh("echo 2048,1024 | sfdisk -q v.01; cp v.01 v.02; cp v.01 w.01; cp v.01 w.07");
    let partitioned = folder.read("v.01");
    for name in ["v.01", "w.01"] {
        folder.becomes(name, &partitioned);
    }
    folder.sh("mv p.1 u.04");
    folder.becomes("u.04", &disk);
    folder.sh("mv u.04 p.1");
    // A link in the folder is as good as what it leads to.
    folder.split("p.1", 1_000_000, 3, 1, "q.");
    folder.sh("mv q.002 second");
    symlink("second", folder.path("q.002")).unwrap();
    folder.becomes("q.001", &disk);
}
