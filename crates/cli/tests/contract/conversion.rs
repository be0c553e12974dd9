//! `convert` from file to file.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use diskferry_testkit::child::Bounded;
use serde_json::Value;

use crate::{Folder, disk};

#[test]
fn raw_and_qcow2_convert_into_each_other() {
    let folder = Folder::new();
    let disk = disk(3_000_832);
    folder.write("a.img", &disk);
    folder.done(&["convert", "a.img", "b.qcow2", "--verify"]);
    folder.done(&["convert", "b.qcow2", "c.raw", "--verify"]);
    assert_eq!(folder.read("c.raw"), disk);
    folder.qemu_img(&["compare", "-f", "raw", "-F", "qcow2", "a.img", "b.qcow2"]);
    folder.qemu_img(&["check", "-q", "b.qcow2"]);
}

#[test]
fn what_qemu_img_makes_is_read() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(3_000_832));
    folder.qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-c", "a.raw", "a.qcow2"]);
    folder.done(&["convert", "a.qcow2", "b.raw"]);
    assert_eq!(folder.read("a.raw"), folder.read("b.raw"));
}

#[test]
fn the_source_is_known_by_its_content_and_the_target_by_its_name() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "misleading.raw", "-O", "qcow2"]);
    folder.done(&["convert", "misleading.raw", "b.IMG"]);
    assert_eq!(folder.read("b.IMG"), disk);
    let qcow2 = folder.read("misleading.raw");
    folder.done(&["convert", "-f", "raw", "misleading.raw", "copy.dd"]);
    assert_eq!(folder.read("copy.dd"), qcow2);
}

#[test]
fn an_existing_target_is_left_alone_unless_forced() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(100_000));
    folder.write("b.raw", b"precious");
    symlink("b.raw", folder.path("link.raw")).unwrap();
    for target in ["b.raw", "link.raw"] {
        folder.run(&["convert", "a.raw", target]).failed(2, &[target, "exists", "--force"]);
        folder.run(&["convert", "gone.raw", target]).failed(2, &[target, "exists"]);
    }
    assert_eq!(folder.read("b.raw"), b"precious");
    folder.done(&["convert", "a.raw", "link.raw", "--force"]);
    assert_eq!(folder.read("b.raw"), disk(100_000));
    assert!(folder.path("link.raw").is_symlink());
}

#[test]
fn a_source_is_never_its_own_target() {
    let folder = Folder::new();
    let disk = disk(100_000);
    folder.write("a.raw", &disk);
    fs::hard_link(folder.path("a.raw"), folder.path("hard.raw")).unwrap();
    symlink("a.raw", folder.path("soft.raw")).unwrap();
    let absolute = folder.path("a.raw").display().to_string();
    for target in ["a.raw", "./a.raw", &absolute, "hard.raw", "soft.raw"] {
        for force in [&[][..], &["--force"]] {
            let arguments = [&["convert", "a.raw", target], force].concat();
            folder.run(&arguments).failed(2, &[target, "same file"]);
        }
    }
    assert_eq!(folder.read("a.raw"), disk);
}

#[test]
fn what_fails_says_why_in_one_line_and_leaves_nothing() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    let whole = folder.read("a.qcow2");
    folder.write("cut.qcow2", &whole[..whole.len() * 2 / 3]);
    folder.qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "--object",
        "secret,id=s,data=x",
        "-o",
        "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
        "locked.qcow2",
        "1M",
    ]);
    let before = folder.names();
    for (arguments, code, texts) in [
        (&["gone.raw", "t.raw"][..], 5, &["gone.raw", "No such file"][..]),
        (&["a.raw", "no/such/t.raw"], 5, &["no/such/t.raw", "no/such"]),
        (&["a.raw", "."], 2, &["folder"]),
        (&["a.raw", "new/"], 2, &["folder"]),
        (&[".", "t.raw"], 5, &["folder"]),
        (&["a.raw", "t.tar"], 2, &["t.tar", "-O", "qcow2"]),
        (&["a.raw", "t"], 2, &["-O"]),
        (&["a.raw", "t.raw", "-o", "cluster_size=64K"], 2, &["cluster_size", "preallocation"]),
        (&["a.raw", "t.raw", "-o", "preallocation=maybe"], 2, &["maybe", "falloc"]),
        (&["a.raw", "t.qcow2", "-o", "subformat=x"], 2, &["subformat", "cluster_size", "compat"]),
        (&["a.raw", "t.qcow2", "-o", "cluster_size=3"], 2, &["cluster_size"]),
        (&["a.raw", "t.raw", "-c"], 2, &["compress"]),
        (&["a.raw", "t.raw", "--size", "1K"], 2, &["--allow-shrink"]),
        (&["a.raw", "t.raw", "--size", "1K", "--allow-shrink"], 2, &["would drop data", "0x400"]),
        (&["a.raw", "t.raw", "--snapshot", "one"], 2, &["a.raw", "no snapshots"]),
        (&["a.qcow2", "t.raw", "--snapshot", "one"], 2, &["a.qcow2", "one"]),
        (&["cut.qcow2", "t.raw"], 4, &["cut.qcow2", "damaged image"]),
        (&["a.raw", "t.raw", "-f", "qcow2"], 4, &["a.raw"]),
        (&["locked.qcow2", "t.raw"], 3, &["locked.qcow2", "unsupported"]),
    ] {
        folder.run(&[&["convert"], arguments].concat()).failed(code, texts);
        assert_eq!(folder.names(), before, "{arguments:?}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    folder.write("a.raw", b"");
    for arguments in [
        &[][..],
        &["transmogrify"],
        &["convert", "a.raw"],
        &["convert", "a.raw", "b.raw", "--no-such-option"],
        &["convert", "a.raw", "b.raw", "-O", "floppy"],
        &["convert", "a.raw", "b.raw", "--size", "many"],
        &["convert", "a.raw", "b.raw", "--digest", "md4"],
        &["convert", "a.raw", "b.raw", "-o", "nonsense"],
        &["convert", "a.raw", "b.raw", "--uuid", "nonsense"],
    ] {
        let ended = folder.run(arguments).coded(2);
        assert!(!ended.stderr.is_empty());
        assert_eq!(folder.names(), ["a.raw"]);
    }
}

#[test]
fn a_disk_grows_and_shrinks_by_zeros() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    let mut padded = disk.clone();
    padded.resize(3 << 20, 0);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "grown.raw", "--size", "3M", "--verify"]);
    assert_eq!(folder.read("grown.raw"), padded);
    folder.done(&["convert", "a.raw", "grown.qcow2", "--size", "3M", "--verify"]);
    folder.done(&[
        "convert",
        "grown.qcow2",
        "shrunk.raw",
        "--size",
        "1M",
        "--allow-shrink",
        "--verify",
    ]);
    assert_eq!(folder.read("shrunk.raw"), disk);
}

#[test]
fn zeros_become_holes_unless_the_map_is_trusted_or_space_is_wanted() {
    let folder = Folder::new();
    folder.write("a.raw", &vec![0; 4 << 20]);
    let stored = |name: &str| folder.path(name).metadata().unwrap().blocks() * 512;
    for (options, least, most) in [
        (&[][..], 0, 0),
        (&["--no-zero-scan"], 4 << 20, 5 << 20),
        (&["-o", "preallocation=full"], 4 << 20, 5 << 20),
        (&["-o", "preallocation=falloc"], 4 << 20, 5 << 20),
        (&["-o", "preallocation=off"], 0, 0),
    ] {
        folder.done(&[&["convert", "a.raw", "b.raw", "--force"], options].concat());
        let size = stored("b.raw");
        assert!((least..=most).contains(&size), "{options:?}: {size}");
        assert_eq!(folder.read("b.raw"), folder.read("a.raw"));
    }
}

#[test]
fn compression_makes_it_smaller_and_takes_a_level() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(4 << 20));
    let size = |options: &[&str]| {
        let arguments = [&["convert", "a.raw", "b.qcow2", "--force", "--verify"], options].concat();
        folder.done(&arguments);
        folder.qemu_img(&["check", "-q", "b.qcow2"]);
        folder.path("b.qcow2").metadata().unwrap().len()
    };
    let plain = size(&[]);
    for options in [&["-c"][..], &["-c=1"], &["-c", "-o", "compression_type=zstd"]] {
        assert!(size(options) < plain, "{options:?}");
    }
    assert!(size(&["-c=9"]) <= size(&["-c=1"]));
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(5 << 20));
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let mut first: Option<Vec<u8>> = None;
    for threads in ["1", "2", "7"] {
        for memory in ["1M", "256M"] {
            let arguments = [
                "convert", "a.raw", "b.qcow2", "-c", "--force", "-j", threads, "--memory", memory,
                "--uuid", uuid,
            ];
            let output =
                folder.command(&arguments).env("SOURCE_DATE_EPOCH", "1700000000").run().unwrap();
            assert!(output.status.success());
            let bytes = folder.read("b.qcow2");
            assert!(first.get_or_insert_with(|| bytes.clone()) == &bytes, "-j {threads}");
        }
    }
    let arguments = ["convert", "a.raw", "c.raw"];
    let output = folder.command(&arguments).env("SOURCE_DATE_EPOCH", "yesterday").run().unwrap();
    crate::Ended::of(&arguments, output).failed(2, &["SOURCE_DATE_EPOCH", "yesterday"]);
}

#[test]
fn the_summary_is_for_people_or_for_scripts_or_nobody() {
    let folder = Folder::new();
    let mut bytes = vec![0; 2 << 20];
    bytes[..1 << 20].fill(b'x');
    folder.write("a.raw", &bytes);
    let ended = folder.done(&["convert", "a.raw", "a.qcow2", "--digest", "crc32,sha256"]);
    assert_eq!(ended.stderr, "");
    for text in [
        "a.raw -> a.qcow2",
        "raw (assumed) -> qcow2",
        "2 MiB (2097152 bytes)",
        "copied",
        "zeros skipped",
        "1 MiB",
        "target size",
        "time",
        "sha256",
        "crc32",
    ] {
        assert!(ended.stdout().contains(text), "{text}: {}", ended.stdout());
    }
    let ended = folder.done(&["convert", "a.raw", "q.qcow2", "-q"]);
    assert_eq!((ended.stdout(), ended.stderr.as_str()), ("", ""));
    // What may do harm is said all the same.
    folder.write("odd.raw", &[1; 1024]);
    let ended = folder.done(&["convert", "odd.raw", "odd.vmdk", "-q"]);
    assert_eq!(ended.stdout(), "");
    assert!(ended.stderr.starts_with("diskferry: warning: odd.vmdk: "), "{}", ended.stderr);
    let summary = folder.json(&[
        "convert",
        "a.raw",
        "j.qcow2",
        "--json",
        "--digest",
        "sha256,crc32",
        "--verify",
    ]);
    assert_eq!(summary["copied"], 1 << 20);
    assert_eq!(summary["zeros"], 1 << 20);
    assert!(summary["seconds"].is_f64());
    assert_eq!(summary["verified"], true);
    assert_eq!(summary["digests"]["crc32"].as_str().unwrap().len(), 8);
    assert_eq!(summary["digests"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(summary["source"]["format"], "raw");
    assert_eq!(summary["target"]["format"], "qcow2");
    assert_eq!(summary["target"]["virtual_size"], 2 << 20);
    let length = folder.path("j.qcow2").metadata().unwrap().len();
    assert_eq!(summary["target"]["file_size"], length);
}

#[test]
fn digests_are_those_of_the_disk() {
    let folder = Folder::new();
    folder.write("a.raw", b"123456789");
    let expected = [
        ("crc32", "cbf43926"),
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ];
    let summary = folder.json(&[
        "convert",
        "a.raw",
        "b.raw",
        "--json",
        "--digest",
        "sha256,sha1,crc32,md5,sha256",
    ]);
    for (algorithm, digest) in expected {
        assert_eq!(summary["digests"][algorithm], digest);
        let ended = folder.done(&["digest", "-a", algorithm, "a.raw", "b.raw"]);
        assert_eq!(ended.stdout(), format!("{digest}  a.raw\n{digest}  b.raw\n"));
    }
    let all = folder.json(&["digest", "--algorithm", "crc32,md5", "--json", "a.raw"]);
    assert_eq!(all[0]["file"], "a.raw");
    assert_eq!(all[0]["virtual_size"], 9);
    assert_eq!(all[0]["digests"]["crc32"], "cbf43926");
    let several = folder.done(&["digest", "-a", "crc32,md5", "a.raw"]);
    assert!(several.stdout().starts_with("CRC32 (a.raw) = cbf43926\nMD5 (a.raw) = 25f9"));
}

#[test]
fn disks_of_no_bytes_and_of_odd_sizes_go_through() {
    let folder = Folder::new();
    for len in [0, 1, 511, 513, 65_537] {
        folder.write("a.raw", &disk(len));
        for target in ["b.raw", "b.qcow2"] {
            folder.done(&["convert", "a.raw", target, "--force", "--verify"]);
        }
        assert_eq!(folder.read("b.raw"), disk(len));
    }
}

#[test]
fn a_huge_sparse_disk_is_quick() {
    let folder = Folder::new();
    folder.write("a.raw", b"");
    let file = fs::File::options().write(true).open(folder.path("a.raw")).unwrap();
    file.set_len(1 << 40).unwrap();
    let summary = folder.json(&["convert", "a.raw", "a.qcow2", "--json", "--digest", "crc32"]);
    assert_eq!(summary["zeros"], 1_u64 << 40);
    assert!(summary["seconds"].as_f64().unwrap() < 5.0);
}

#[test]
fn progress_is_a_line_of_json_where_that_is_asked_for() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    let last = |arguments: &[&str]| {
        let ended = folder.run(&[arguments, &["--progress", "json"]].concat());
        let last: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(last["passed"], last["total"], "{arguments:?}");
        assert!(last["seconds"].is_f64());
        last["total"].as_u64().unwrap()
    };
    assert_eq!(last(&["convert", "a.raw", "a.qcow2", "-q", "--verify"]), 2 << 20);
    assert_eq!(last(&["digest", "a.raw", "a.qcow2"]), 2 << 20);
    assert_eq!(last(&["compare", "a.raw", "a.qcow2"]), 1 << 20);
    assert!(last(&["check", "a.qcow2"]) > 0);
    assert!(last(&["preflight", "--for", "proxmox", "a.qcow2"]) > 0);
}
