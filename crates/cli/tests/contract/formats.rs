//! VHD, VDI and VMDK, as sources and as targets.

use std::fs;
use std::os::unix::fs::symlink;

use diskferry_testkit::child::{Bounded, command};
use serde_json::Value;

use crate::{Ended, Folder, disk};

const UUID: &str = "01234567-89ab-4def-8123-456789abcdef";

/// Whole grains, whole sectors.
const SIZE: usize = 2_949_120;

#[test]
fn the_target_is_known_by_its_name_or_by_any_name_of_its_format() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    for (target, options, format, qemu) in [
        ("a.vhd", &[][..], "vhd", "vpc"),
        ("a.vpc", &[], "vhd", "vpc"),
        ("b", &["-O", "vpc"], "vhd", "vpc"),
        ("c", &["-O", "vhd", "-o", "subformat=fixed"], "vhd", "vpc"),
        ("a.VDI", &[], "vdi", "vdi"),
        ("d", &["-O", "vdi", "-o", "subformat=static"], "vdi", "vdi"),
        ("a.vmdk", &[], "vmdk", "vmdk"),
        ("e", &["-O", "vmdk", "-o", "subformat=monolithicsparse"], "vmdk", "vmdk"),
        ("f.vmdk", &["-o", "subformat=monolithicFlat"], "vmdk", "vmdk"),
    ] {
        let arguments = [&["convert", "a.raw", target, "--verify", "--json"], options].concat();
        let ended = folder.done(&arguments);
        assert_eq!(ended.stderr, "", "{target}");
        let summary = ended.json();
        assert_eq!(summary["target"]["format"], format, "{target}");
        assert_eq!(summary["target"]["virtual_size"], SIZE, "{target}");
        folder.qemu_img(&["compare", "-f", "raw", "-F", qemu, "a.raw", target]);
        folder.done(&["compare", "--strict", "a.raw", target]);
        folder.done(&["check", target]);
        folder.done(&["info", target]);
    }
}

#[test]
fn a_fixed_vhd_is_found_by_its_end() {
    let folder = Folder::new();
    let disk = disk(SIZE);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "fixed.img", "-O", "vhd", "-o", "subformat=fixed"]);
    let mut bytes = folder.read("fixed.img");
    assert_eq!(bytes.len(), SIZE + 512);
    // Virtual PC's footers had 511 bytes once.
    for name in ["fixed.img", "old.img"] {
        folder.write(name, &bytes);
        let info = folder.json(&["info", "--json", name]);
        assert_eq!(info["format"], "vhd");
        assert_eq!((&info["subformat"], &info["assumed"]), (&"fixed".into(), &false.into()));
        folder.done(&["convert", name, "b.raw", "--force"]);
        assert_eq!(folder.read("b.raw"), disk);
        bytes.pop();
    }
    // What is at the front of a file wins.
    let mut image = folder.read("fixed.img");
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    let qcow2 = folder.read("a.qcow2");
    image.splice(..SIZE, qcow2);
    folder.write("both.img", &image);
    assert_eq!(folder.json(&["info", "--json", "both.img"])["format"], "qcow2");
}

#[test]
fn a_fixed_vhd_from_a_pipe_is_known_by_its_end() {
    let folder = Folder::new();
    let disk = disk(SIZE);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "a.vhd", "-o", "subformat=fixed"]);
    let image = folder.read("a.vhd");
    for more in [&[][..], &["--size", "8M"], &["-f", "vhd"]] {
        let arguments =
            [&["convert", "-", "t.raw", "--json", "--verify", "--force"], more].concat();
        let summary = folder.run_with(&arguments, &image).coded(0).json();
        assert_eq!(summary["source"]["format"], "vhd");
        assert_eq!(summary["source"]["virtual_size"], SIZE);
        assert!(folder.read("t.raw").starts_with(&disk));
    }
    assert_eq!(folder.read("t.raw"), disk);
    folder.run_with(&["convert", "-f", "raw", "-", "t.raw", "--force"], &image).coded(0);
    assert_eq!(folder.read("t.raw"), image);
    let before = folder.names();
    let cut = &image[..image.len() - 1000];
    folder.run_with(&["convert", "-f", "vhd", "-", "u.raw"], cut).failed(4, &["stdin", "footer"]);
    let broken = &image[..image.len() - 20];
    folder.run_with(&["convert", "-", "u.raw"], broken).failed(4, &["stdin", "footer"]);
    folder.done(&["convert", "a.raw", "a.vhd", "--force"]);
    let dynamic = folder.read("a.vhd");
    assert_eq!(folder.names(), before);
    // One that is not fixed is told by its beginning, and takes a scratch file.
    let told =
        folder.run_with(&["convert", "-f", "vhd", "-", "u.raw", "--json"], &dynamic).coded(0);
    assert_eq!(told.json()["source"]["scratch"], dynamic.len());
    assert!(folder.read("u.raw") == disk);
}

#[test]
fn the_same_ids_and_times_give_the_same_bytes_and_none_give_others() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    for (target, options) in [
        ("t.vhd", ""),
        ("t.vhd", "subformat=fixed"),
        ("t.vdi", ""),
        ("t.vdi", "subformat=static"),
        ("t.vmdk", ""),
        ("t.vmdk", "subformat=monolithicSparse"),
        ("t.vmdk", "subformat=twoGbMaxExtentSparse"),
    ] {
        let options = if options.is_empty() { vec![] } else { vec!["-o", options] };
        let convert = |more: &[&str]| {
            let arguments = [&["convert", "a.raw", target, "--force"], &options[..], more].concat();
            let mut command = folder.command(&arguments);
            let output = command.env("SOURCE_DATE_EPOCH", "1700000000").run().unwrap();
            Ended::of(&arguments, output).coded(0);
            folder.read(target)
        };
        let first = convert(&["--uuid", UUID, "-j", "1"]);
        assert!(convert(&["--uuid", UUID, "-j", "7"]) == first, "{target} {options:?}");
        if target != "t.vmdk" {
            assert!(convert(&[]) != convert(&[]), "{target} {options:?}: no id of its own");
        }
        let info = folder.json(&["info", "--json", target]);
        assert!(!info["ids"].as_object().unwrap().is_empty(), "{target}");
    }
}

#[test]
fn options_and_sizes_that_a_format_lacks_are_refused_before_anything_is_made() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(100_000));
    fs::File::create(folder.path("huge.raw")).unwrap().set_len(2041 << 30).unwrap();
    let before = folder.names();
    for (arguments, code, texts) in [
        (&["a.raw", "t.vhd", "-c"][..], 2, &["compressed"][..]),
        (&["a.raw", "t.vdi", "-c=3"], 2, &["compressed"]),
        (&["a.raw", "t.vmdk", "-c=99"], 2, &["99"]),
        (&["a.raw", "t.vmdk", "-c", "-o", "subformat=monolithicFlat"], 2, &["streamOptimized"]),
        (&["a.raw", "t.vhd", "-o", "subformat=static"], 2, &["dynamic", "fixed"]),
        (&["a.raw", "t.vdi", "-o", "adapter_type=ide"], 2, &["vdi", "adapter_type", "subformat"]),
        (&["a.raw", "t.vmdk", "-o", "subformat=vmfs"], 2, &["monolithicSparse"]),
        (&["a.raw", "t.vmdk", "--snapshot", "one"], 2, &["a.raw", "no snapshots"]),
        (&["huge.raw", "t.vhd"], 3, &["t.vhd", "2040 GiB"]),
    ] {
        folder.run(&[&["convert"], arguments].concat()).failed(code, texts);
        assert_eq!(folder.names(), before, "{arguments:?}");
    }
    for format in ["vhd", "vdi", "vmdk"] {
        let target = format!("t.{format}");
        folder.done(&["convert", "a.raw", &target]);
        folder
            .run(&["convert", &target, "u.raw", "--snapshot", "one"])
            .failed(2, &[&target, "no snapshots"]);
    }
}

#[test]
fn a_size_that_is_rounded_up_is_said_to_be() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(100_000));
    for (target, options, size, unit) in [
        ("t.qcow2", "compat=1.1", 100_352, "sectors of 512"),
        ("t.vhd", "subformat=dynamic", 100_352, "sectors of 512"),
        ("t.vhd", "subformat=fixed", 100_352, "sectors of 512"),
        ("t.vdi", "subformat=dynamic", 100_352, "sectors of 512"),
        ("t.vmdk", "subformat=monolithicFlat", 100_352, "sectors of 512"),
        ("t.vmdk", "subformat=streamOptimized", 131_072, "grains of 65536"),
        ("t.vmdk", "subformat=twoGbMaxExtentSparse", 131_072, "grains of 65536"),
    ] {
        let arguments =
            ["convert", "a.raw", target, "-o", options, "--force", "--json", "--verify"];
        let ended = folder.done(&arguments);
        let text = format!("rounded up from 100000 to {size} bytes");
        assert!(ended.stderr.contains(&text), "{options}: {}", ended.stderr);
        assert!(ended.stderr.contains(unit), "{options}: {}", ended.stderr);
        assert_eq!(ended.json()["target"]["virtual_size"], size, "{options}");
        assert_eq!(folder.json(&["info", "--json", target])["virtual_size"], size, "{options}");
        folder.done(&["compare", "a.raw", target]);
    }
    let ended = folder.done(&["convert", "a.raw", "-", "-O", "vmdk", "--json"]);
    assert!(ended.stderr.contains("from 100000 to 131072 bytes"), "{}", ended.stderr);
}

#[test]
fn a_vmdk_goes_through_pipes_both_ways() {
    let folder = Folder::new();
    let disk = disk(SIZE);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "a.vmdk"]);
    for format in [&[][..], &["-f", "vmdk"]] {
        let arguments =
            [&["convert", "-", "b.raw", "--force", "--verify", "--json"], format].concat();
        let summary = folder.run_with(&arguments, &folder.read("a.vmdk")).coded(0).json();
        assert_eq!(folder.read("b.raw"), disk);
        assert_eq!(summary["source"]["format"], "vmdk");
        assert_eq!(summary["source"]["virtual_size"], SIZE);
        assert_eq!(summary["source"]["file_size"], folder.read("a.vmdk").len());
    }
    // Its header tells its size, so that formats which must know it can be written.
    folder.run_with(&["convert", "-", "b.vhd"], &folder.read("a.vmdk")).coded(0);
    folder.done(&["compare", "--strict", "a.raw", "b.vhd"]);
    let ended = folder.run_with(&["digest", "-"], &folder.read("a.vmdk")).coded(0);
    let digest = folder.done(&["digest", "a.raw"]);
    assert_eq!(ended.stdout().split(' ').next(), digest.stdout().split(' ').next());
    folder
        .run_with(&["convert", "-", "c.raw", "--size", "1M"], &folder.read("a.vmdk"))
        .failed(2, &["--allow-shrink"]);

    let ended = folder.run_with(&["convert", "-", "-", "-O", "vmdk", "--size", "8M"], &disk);
    folder.write("piped.vmdk", &ended.coded(0).bytes);
    folder.done(&["compare", "a.raw", "piped.vmdk"]);
    folder.done(&["check", "piped.vmdk"]);
    folder.qemu_img(&["compare", "-f", "raw", "-F", "vmdk", "a.raw", "piped.vmdk"]);

    folder.done(&["convert", "a.raw", "s.vmdk", "-o", "subformat=monolithicSparse"]);
    let before = folder.names();
    let image = folder.read("s.vmdk");
    folder.run_with(&["convert", "-", "t.raw"], &image).coded(0);
    assert!(folder.read("t.raw") == folder.read("a.raw"));
    folder.sh("rm t.raw");
    let mut cut = folder.read("a.vmdk");
    cut.truncate(cut.len() / 2);
    folder.run_with(&["convert", "-", "t.raw"], &cut).failed(4, &["stdin", "damaged image"]);
    folder.run(&["convert", "a.raw", "-", "-O", "vhd"]).failed(3, &["stdout", "pipe"]);
    assert_eq!(folder.names(), before);
}

const FLAT: [&str; 2] = ["-o", "subformat=monolithicFlat"];

#[test]
fn a_disk_in_several_files_comes_whole_or_not_at_all() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    folder.write("t-flat.vmdk", b"precious");
    let convert = |more: &[&str]| folder.run(&[&["convert"], more, &FLAT].concat());
    convert(&["a.raw", "t.vmdk"]).failed(2, &["t-flat.vmdk", "exists", "--force"]);
    assert_eq!(folder.names(), ["a.raw", "t-flat.vmdk"]);
    assert_eq!(folder.read("t-flat.vmdk"), b"precious");
    for _ in 0..2 {
        convert(&["a.raw", "t.vmdk", "--force", "--verify"]).coded(0);
        assert_eq!(folder.names(), ["a.raw", "t-flat.vmdk", "t.vmdk"]);
        assert_eq!(folder.read("t-flat.vmdk"), disk(SIZE));
    }
    folder.qemu_img(&["compare", "-f", "raw", "-F", "vmdk", "a.raw", "t.vmdk"]);
    // No part of the source becomes a part of the target.
    for arguments in [
        &["t.vmdk", "t.vmdk", "--force"][..],
        &["-f", "raw", "t-flat.vmdk", "t.vmdk", "--force"],
        &["t.vmdk", "t-flat.vmdk", "--force"],
    ] {
        convert(arguments).failed(2, &["same file"]);
    }
    // A source that breaks in the middle.
    folder.done(&["convert", "a.raw", "cut.qcow2"]);
    let image = folder.read("cut.qcow2");
    folder.write("cut.qcow2", &image[..image.len() * 2 / 3]);
    let before = folder.names();
    convert(&["cut.qcow2", "u.vmdk"]).failed(4, &["cut.qcow2"]);
    assert_eq!(folder.names(), before);
    let piped = |more: &[&str]| {
        folder.run_with(&[&["convert", "-", "u.vmdk"], more, &FLAT].concat(), &disk(SIZE))
    };
    piped(&[]).failed(3, &["u.vmdk", "size is not known"]);
    piped(&["--size", "8M"]).failed(3, &["u.vmdk", "several files", "stdin"]);
    convert(&["a.raw", "-", "-O", "vmdk"]).failed(3, &["stdout", "several files"]);
    convert(&["a.raw", "/dev/null", "-O", "vmdk"]).failed(3, &["/dev/null", "several files"]);
    symlink("elsewhere.vmdk", folder.path("link.vmdk")).unwrap();
    convert(&["a.raw", "link.vmdk", "--force"]).failed(2, &["link.vmdk", "a link"]);
    symlink("elsewhere.vmdk", folder.path("v-flat.vmdk")).unwrap();
    convert(&["a.raw", "v.vmdk", "--force"]).failed(2, &["v-flat.vmdk", "a link"]);
}

#[test]
fn the_files_of_a_disk_are_shown_and_counted() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    let ended = folder.done(&[&["convert", "a.raw", "t.vmdk"], &FLAT[..]].concat());
    assert!(ended.stdout().contains("in 2 files"), "{}", ended.stdout());
    let info = folder.json(&["info", "--json", "t.vmdk"]);
    assert_eq!(info["data_files"][0]["file"], "t-flat.vmdk");
    assert_eq!(info["data_files"][0]["file_size"], SIZE);
    assert!(folder.done(&["info", "t.vmdk"]).stdout().contains("data files"));
    let map = folder.json(&["map", "--json", "t.vmdk"]);
    assert_eq!(map[0]["file"], "t-flat.vmdk");
    fs::remove_file(folder.path("t-flat.vmdk")).unwrap();
    folder.run(&["convert", "t.vmdk", "u.raw"]).failed(5, &["t.vmdk", "extent 't-flat.vmdk'"]);
    let info = folder.json(&["info", "--json", "t.vmdk"]);
    assert_eq!(info["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(info["virtual_size"], SIZE);
}

/// A descriptor of a disk of 1 MiB in the file of that name.
fn descriptor(extent: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
         createType=\"monolithicFlat\"\n\nRW 2048 FLAT \"{extent}\" 0\n\n\
         ddb.virtualHWVersion = \"4\"\n"
    )
}

#[test]
fn extents_lie_beside_their_descriptor() {
    let folder = Folder::new();
    let outside = Folder::new();
    outside.write("secret", &disk(1 << 20));
    fs::create_dir(folder.path("sub")).unwrap();
    fs::write(folder.path("sub/x"), disk(1 << 20)).unwrap();
    folder.write("x", &disk(1 << 20));
    symlink(outside.path("secret"), folder.path("link")).unwrap();
    let secret = outside.path("secret").display().to_string();
    for name in ["/etc/passwd", "../x", "sub/x", "link", &secret, "/dev/zero"] {
        folder.write("a.vmdk", descriptor(name).as_bytes());
        folder
            .run(&["convert", "a.vmdk", "t.raw"])
            .failed(3, &["a.vmdk", "extent", name, "--allow-path DIR"]);
        let info = folder.json(&["info", "--json", "a.vmdk"]);
        assert!(info["warnings"][0].as_str().unwrap().contains(name));
        assert!(!folder.exists("t.raw"));
    }
    folder.write("a.vmdk", descriptor(&secret).as_bytes());
    let root = outside.root().display().to_string();
    folder.done(&["convert", "a.vmdk", "t.raw", "--allow-path", &root]);
    assert_eq!(folder.read("t.raw"), disk(1 << 20));
    folder.write("a.vmdk", descriptor("x").as_bytes());
    folder.run(&["convert", "a.vmdk", "x", "-O", "raw", "--force"]).failed(2, &["'x'"]);
    folder.done(&["convert", "a.vmdk", "u.raw"]);
    assert_eq!(folder.read("u.raw"), disk(1 << 20));
}

#[test]
fn a_delta_link_reads_through_its_parent_unless_that_was_changed() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(SIZE));
    folder.qemu_img(&["convert", "-f", "raw", "-O", "vmdk", "a.raw", "base.vmdk"]);
    folder.qemu_img(&["create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", "top.vmdk"]);
    let write = |image: &str| {
        let arguments = ["-f", "vmdk", "-c", "write -q -P 7 64k 100k", image];
        let status = command("qemu-io").args(arguments).current_dir(folder.root()).run_aloud();
        assert!(status.expect("these tests need qemu-io (Debian: qemu-utils)").success());
    };
    write("top.vmdk");
    folder.done(&["convert", "top.vmdk", "t.raw", "--verify"]);
    folder.qemu_img(&["compare", "-f", "vmdk", "-F", "raw", "top.vmdk", "t.raw"]);
    let info = folder.json(&["info", "--json", "top.vmdk"]);
    assert_eq!(info["chain"][1]["file"], "base.vmdk");
    write("base.vmdk");
    folder.run(&["convert", "top.vmdk", "u.raw"]).failed(4, &["top.vmdk", "base.vmdk", "changed"]);
    assert!(!folder.exists("u.raw"));
}

#[test]
fn hundreds_of_files_are_open_at_once() {
    let folder = Folder::new();
    fs::File::create(folder.path("a.raw")).unwrap().set_len(300 << 30).unwrap();
    let limited = "ulimit -Sn 64; exec \"$0\" \"$@\"";
    for arguments in [
        &["convert", "a.raw", "b.vmdk", "-o", "subformat=twoGbMaxExtentFlat", "--verify"][..],
        &["compare", "--strict", "a.raw", "b.vmdk"],
    ] {
        let output = command("sh")
            .args(["-c", limited, env!("CARGO_BIN_EXE_diskferry")])
            .args(arguments)
            .current_dir(folder.root())
            .run()
            .unwrap();
        Ended::of(arguments, output).coded(0);
    }
    assert!(folder.names().len() > 150);
    let info: Value = folder.json(&["info", "--json", "b.vmdk"]);
    assert_eq!(info["virtual_size"], 300_u64 << 30);
    assert!(folder.done(&["info", "b.vmdk"]).stdout().contains("more"));
}
