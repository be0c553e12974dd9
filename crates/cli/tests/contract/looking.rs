//! The commands that only look.

use serde_json::Value;

use crate::{Folder, disk};

#[test]
fn info_has_every_key() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    for (image, format, assumed, grain) in
        [("a.raw", "raw", true, 1), ("a.qcow2", "qcow2", false, 65536)]
    {
        let info = folder.json(&["info", "--json", image]);
        let keys: Vec<&String> = info.as_object().unwrap().keys().collect();
        for key in [
            "file",
            "format",
            "assumed",
            "subformat",
            "virtual_size",
            "file_size",
            "allocated_size",
            "grain",
            "creator",
            "ids",
            "compression",
            "snapshot",
            "chain",
            "snapshots",
            "disks_complete",
            "warnings",
            "details",
        ] {
            assert!(keys.iter().any(|found| *found == key), "{image} {key}");
        }
        assert_eq!(info["format"], format);
        assert_eq!(info["assumed"], assumed);
        assert_eq!(info["virtual_size"], 1 << 20);
        assert_eq!(info["grain"], grain);
        assert_eq!(info["file_size"], folder.path(image).metadata().unwrap().len());
        assert!(info["allocated_size"].is_u64());
        assert!(info["details"].is_object());
    }
}

#[test]
fn a_raw_image_cannot_tell_that_it_was_cut_and_info_says_so() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    for arguments in [&["info", "a.raw"][..], &["info", "-f", "raw", "a.raw"]] {
        let ended = folder.done(arguments);
        assert!(ended.stdout().contains("cut short cannot be told"), "{}", ended.stdout());
        assert_eq!(ended.stdout().contains("(assumed)"), arguments.len() == 2);
    }
    let summary = folder.json(&["convert", "a.raw", "b.raw", "--json"]);
    assert_eq!(summary["warnings"].as_array().unwrap().len(), 0);
    folder.write("odd.raw", &disk(1000));
    let ended = folder.done(&["convert", "odd.raw", "c.raw"]);
    assert!(ended.stderr.contains("warning: odd.raw: "), "{}", ended.stderr);
}

#[test]
fn what_an_image_says_cannot_command_the_terminal() {
    let folder = Folder::new();
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "a.qcow2", "1M"]);
    folder.qemu_img(&["snapshot", "-c", "\u{1b}[2Jred", "a.qcow2"]);
    folder.qemu_img(&[
        "rebase",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "x\u{1b}]0;title\u{7}\ny",
        "a.qcow2",
    ]);
    let ended = folder.done(&["info", "a.qcow2"]);
    assert!(!ended.stdout().contains(['\u{1b}', '\u{7}']), "{}", ended.stdout());
    folder.run(&["convert", "a.qcow2", "b.raw"]).failed(5, &["\\n"]);
}

#[test]
fn the_map_tiles_the_disk() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2", "--size", "10M", "-c"]);
    let map = folder.json(&["map", "--json", "a.qcow2"]);
    let mut at = 0;
    for entry in map.as_array().unwrap() {
        assert_eq!(entry["start"], at);
        at += entry["length"].as_u64().unwrap();
        assert!(["data", "zero", "absent"].contains(&entry["kind"].as_str().unwrap()));
        assert!(entry["compressed"].is_boolean());
        assert_eq!(entry["file"].is_null(), entry["offset"].is_null());
    }
    assert_eq!(at, 10 << 20);
    assert!(map.as_array().unwrap().iter().any(|entry| entry["compressed"] == true));
    let lines = folder.done(&["map", "a.qcow2"]).stdout().lines().count();
    assert_eq!(lines, map.as_array().unwrap().len() + 1);
    folder.write("empty.raw", b"");
    assert_eq!(folder.json(&["map", "--json", "empty.raw"]), Value::Array(Vec::new()));
}

#[test]
fn the_map_of_a_raw_file_gives_places() {
    let folder = Folder::new();
    folder.write("a.raw", &[1; 8192]);
    let map = folder.json(&["map", "--json", "a.raw"]);
    assert_eq!(
        map,
        serde_json::json!([{
            "start": 0, "length": 8192, "kind": "data", "compressed": false,
            "file": "a.raw", "offset": 0,
        }])
    );
}

#[test]
fn compare_says_where_and_exits_with_1() {
    let folder = Folder::new();
    let mut bytes = disk(1 << 20);
    folder.write("a.raw", &bytes);
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    folder.done(&["compare", "a.raw", "a.qcow2"]);
    bytes[777_777] ^= 1;
    folder.write("b.raw", &bytes);
    let ended = folder.run(&["compare", "a.qcow2", "b.raw"]).coded(1);
    assert!(ended.stdout().contains("777777 (0xbde31)"), "{}", ended.stdout());
    let json = folder.run(&["compare", "--json", "a.qcow2", "b.raw"]).coded(1).json();
    assert_eq!((&json["identical"], &json["offset"]), (&false.into(), &777_777.into()));
    folder.run(&["compare", "-f", "raw", "-F", "raw", "a.qcow2", "a.raw"]).coded(1);
    folder.run(&["compare", "a.raw", "gone.raw"]).failed(5, &["gone.raw"]);
}

#[test]
fn sizes_may_differ_by_zeros_unless_that_is_strict() {
    let folder = Folder::new();
    let mut bytes = disk(1 << 20);
    folder.write("a.raw", &bytes);
    bytes.resize(2 << 20, 0);
    folder.write("longer.raw", &bytes);
    bytes[(3 << 19) + 5] = 1;
    folder.write("more.raw", &bytes);
    for (a, b) in [("a.raw", "longer.raw"), ("longer.raw", "a.raw")] {
        folder.done(&["compare", a, b]);
        let json = folder.run(&["compare", "--strict", "--json", a, b]).coded(1).json();
        assert_eq!(json["difference"], "size");
    }
    let ended = folder.run(&["compare", "a.raw", "more.raw"]).coded(1);
    assert!(ended.stdout().contains(&((3 << 19) + 5).to_string()), "{}", ended.stdout());
}

#[test]
fn check_lists_problems_and_exits_with_1() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    let ended = folder.done(&["check", "a.qcow2"]);
    assert_eq!(ended.stdout(), "a.qcow2: no problems\n");
    assert_eq!(folder.json(&["check", "--json", "a.qcow2"])["problems"], Value::Array(Vec::new()));

    // Count a use of the first free cluster, which nothing uses.
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "leak.qcow2", "1M"]);
    let mut bytes = folder.read("leak.qcow2");
    let table = u64::from_be_bytes(bytes[48..56].try_into().unwrap()) as usize;
    let block = u64::from_be_bytes(bytes[table..table + 8].try_into().unwrap()) as usize;
    let free = bytes.len().div_ceil(65536);
    bytes[block + free * 2 + 1] = 1;
    bytes.resize((free + 1) * 65536, 0);
    folder.write("leak.qcow2", &bytes);
    let ended = folder.run(&["check", "leak.qcow2"]).coded(1);
    assert!(ended.stdout().ends_with("leak.qcow2: 1 leak\n"), "{}", ended.stdout());
    let problems = folder.run(&["check", "--json", "leak.qcow2"]).coded(1).json();
    let problem = &problems["problems"][0];
    assert_eq!(problem["kind"], "leak");
    assert!(problem["text"].is_string() && problem.get("at").is_some());
}

#[test]
fn check_lists_ten_thousand_problems_and_counts_the_rest() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2", "-o", "cluster_size=2M"]);
    let mut bytes = folder.read("a.qcow2");
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let table = (word(word(40) as usize) & 0x00ff_ffff_ffff_fe00) as usize;
    // Each entry leads past the end.
    bytes[table..table + (2 << 20)].fill(0x01);
    folder.write("a.qcow2", &bytes);
    let said = folder.run(&["check", "a.qcow2"]).coded(1).stdout().to_owned();
    assert!((10_000..10_010).contains(&said.lines().count()), "{}", said.lines().count());
    assert!(said.contains("more are not listed"));
    let found = folder.run(&["check", "--json", "a.qcow2"]).coded(1).json();
    assert_eq!(found["problems"].as_array().unwrap().len(), 10_000);
    assert!(found["omitted"].as_u64().unwrap() > 200_000);
}

#[test]
fn limits_are_set_by_name() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    let ended = folder.run(&["info", "--limit", "size=512K", "a.qcow2"]).coded(6);
    assert!(ended.stderr.contains("--limit size="), "{}", ended.stderr);
    folder.run(&["convert", "--limit", "metadata=1", "a.qcow2", "b.raw"]).coded(6);
    assert!(!folder.path("b.raw").exists());
    folder.done(&["info", "--limit", "size=1M,metadata=1M,depth=1", "a.qcow2"]);
    for wrong in ["width=1", "depth=many", "size"] {
        folder.run(&["info", "--limit", wrong, "a.qcow2"]).coded(2);
    }
    // More than any file system has room for is refused before anything is written.
    let text = "# Disk DescriptorFile\nversion=1\nCID=1\nRW 9007199254740992 ZERO\n";
    folder.write("huge.vmdk", text.as_bytes());
    folder.run(&["convert", "huge.vmdk", "huge.raw"]).coded(6);
    folder.write("many.vmdk", text.replace("9007199254740992", "1").as_bytes());
    folder.done(&["info", "many.vmdk"]);
    folder.run(&["info", "--limit", "extents=0", "many.vmdk"]).coded(6);
}

#[test]
fn formats_are_listed_with_their_options() {
    let folder = Folder::new();
    let ended = folder.done(&["formats"]);
    for text in ["raw", "qcow2", ".img", "preallocation", "cluster_size", "compression_type"] {
        assert!(ended.stdout().contains(text), "{text}");
    }
    let all = folder.json(&["formats", "--json"]);
    let names: Vec<_> = all.as_array().unwrap().iter().map(|format| &format["name"]).collect();
    let expected = ["qcow2", "vhd", "vmdk", "vdi", "zvhd", "zvhd2", "ova", "gcp", "raw"];
    assert_eq!(names, expected);
    assert!(all[0]["options"][0]["key"].is_string());
}

#[test]
fn help_completions_and_the_manual_are_there() {
    let folder = Folder::new();
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["convert", "--help"]] {
        let ended = folder.done(arguments);
        assert!(!ended.stdout().is_empty() && ended.stderr.is_empty());
    }
    assert!(folder.done(&["convert", "--help"]).stdout().contains("cluster_size"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(folder.done(&["completions", shell]).stdout().contains("diskferry"), "{shell}");
    }
    let manual = folder.done(&["man"]);
    for text in
        [".TH DISKFERRY 1", "\"DISKFERRY CONVERT\"", "allow\\-shrink", "cluster_size", "130"]
    {
        assert!(manual.stdout().contains(text), "{text}");
    }
}
