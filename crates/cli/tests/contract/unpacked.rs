//! OVF packages whose files lie in a folder, given by the descriptor.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::{Folder, disk};

/// A package of two disks of qemu-img's: the descriptor `vm.ovf`, `a.vmdk` and `b.vmdk`.
struct Package {
    folder: Folder,
    disks: [Vec<u8>; 2],
}

impl Package {
    fn new() -> Self {
        let folder = Folder::new();
        let mut disks = [disk(3 << 20), disk(2 << 20)];
        disks[1][..512].fill(7);
        for (name, disk) in [("a", &disks[0]), ("b", &disks[1])] {
            let (raw, vmdk) = (format!("{name}.raw"), format!("{name}.vmdk"));
            folder.write(&raw, disk);
            let options = ["-O", "vmdk", "-o", "subformat=streamOptimized"];
            folder.qemu_img(&[&["convert"], &options[..], &[&raw, &vmdk]].concat());
        }
        let package = Self { folder, disks };
        package.describe("vm.ovf", "ovf:href='a.vmdk'", "ovf:href='b.vmdk'");
        package
    }

    fn describe(&self, name: &str, first: &str, second: &str) {
        self.folder.write(name, descriptor(first, second).as_bytes());
    }

    /// Writes the manifest of these files.
    fn list(&self, files: &str) {
        let line = "echo \"SHA256($i)= $(sha256sum < $i | cut -c -64)\"";
        self.folder.sh(&format!("for i in {files}; do {line}; done > vm.mf"));
    }

    /// Makes sure that the descriptor of that name leads to both disks.
    #[track_caller]
    fn holds(&self, name: &str) {
        for (number, disk) in ["1", "2"].iter().zip(&self.disks) {
            let arguments = ["convert", "--disk", number, name, "t.raw", "--verify", "--force"];
            self.folder.done(&arguments);
            assert!(self.folder.read("t.raw") == *disk, "{name}: {number}");
        }
        self.folder.sh("rm t.raw");
    }

    #[track_caller]
    fn refuses(&self, name: &str, number: &str, code: i32, texts: &[&str]) {
        let arguments = ["convert", "--disk", number, name, "t.raw"];
        self.folder.run(&arguments).failed(code, texts);
        assert!(!self.folder.exists("t.raw"), "{name}");
    }
}

fn descriptor(first: &str, second: &str) -> String {
    format!(
        "<?xml version='1.0'?>
        <!-- two disks -->
        <ovf:Envelope xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1'>
        <ovf:References><ovf:File ovf:id='1' {first}/><ovf:File ovf:id='2' {second}/></ovf:References>
        <ovf:DiskSection>
        <ovf:Disk ovf:diskId='x' ovf:fileRef='1' ovf:capacity='3' ovf:capacityAllocationUnits='byte * 2^20'/>
        <ovf:Disk ovf:diskId='y' ovf:fileRef='2' ovf:capacity='2' ovf:capacityAllocationUnits='byte * 2^20'/>
        </ovf:DiskSection></ovf:Envelope>"
    )
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes).collect()
}

#[test]
fn every_command_reads_the_disks_beside_a_descriptor() {
    let package = Package::new();
    let folder = &package.folder;
    package.holds("vm.ovf");
    folder.run(&["convert", "vm.ovf", "t.raw"]).failed(2, &["1 a.vmdk", "2 b.vmdk", "--disk"]);
    let info = folder.json(&["info", "--json", "--disk", "2", "vm.ovf"]);
    assert_eq!(info["file"], "b.vmdk");
    assert_eq!(info["wrapping"], json!(["ovf"]));
    assert_eq!(info["virtual_size"], 2 << 20);
    assert_eq!(info["file_size"], folder.read("b.vmdk").len());
    assert_eq!(info["disks"][0]["name"], "a.vmdk");
    assert_eq!((&info["disks_complete"], &info["warnings"]), (&json!(true), &json!([])));
    folder.done(&["compare", "--strict", "--disk", "1", "vm.ovf", "a.raw"]);
    folder.done(&["map", "--disk", "1", "vm.ovf"]);
    // The folder that it is in is where they are.
    folder.sh("mkdir sub; mv vm.ovf *.vmdk sub");
    package.holds("sub/vm.ovf");
}

#[test]
fn what_an_ova_was_unpacked_to_is_read_as_the_ova() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(3 << 20));
    folder.done(&["convert", "-q", "d.raw", "vm.ova"]);
    folder.sh("tar -xf vm.ova");
    for file in ["vm.ova", "vm.ovf"] {
        folder.done(&["check", file]);
        folder.done(&["compare", "--strict", file, "d.raw"]);
    }
    folder.sh("printf x | dd of=vm-disk1.vmdk bs=1 seek=2000 conv=notrunc status=none");
    let checked = folder.run(&["check", "vm.ovf"]);
    assert!(checked.code != Some(0), "{checked:?}");
    folder.run(&["convert", "vm.ovf", "t.raw"]).failed(4, &["vm-disk1.vmdk"]);
    assert!(!folder.exists("t.raw"));
}

#[test]
fn a_descriptor_may_be_in_utf_16() {
    let package = Package::new();
    let text = descriptor("ovf:href='a.vmdk'", "ovf:href='b.vmdk'");
    for (name, bytes) in [
        ("little.ovf", utf16(&text, u16::to_le_bytes)),
        ("big.ovf", utf16(&text, u16::to_be_bytes)),
        ("unmarked.ovf", utf16(&text, u16::to_le_bytes)[2..].to_vec()),
        ("marked.ovf", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
    ] {
        package.folder.write(name, &bytes);
        package.holds(name);
        let ova = name.replace(".ovf", ".ova");
        package.folder.sh(&format!("tar -cf {ova} {name} a.vmdk b.vmdk; gzip -k {ova}"));
        package.holds(&ova);
        package.holds(&format!("{ova}.gz"));
    }
}

#[test]
fn compressed_files_and_chunks_are_put_together() {
    let package = Package::new();
    package
        .folder
        .sh("gzip -k a.vmdk; split -d -a 9 -b 300000 a.vmdk c.vmdk.; cp b.vmdk 'b c.vmdk'");
    for (name, first, second) in [
        ("gz.ovf", "ovf:href='a.vmdk.gz' ovf:compression='gzip'", "ovf:href='b.vmdk'"),
        ("chunks.ovf", "ovf:href='c.vmdk' ovf:chunkSize='300000'", "ovf:href='b%20c.vmdk'"),
    ] {
        package.describe(name, first, second);
        package.holds(name);
    }
    // One more or less is told by the size.
    let size = package.folder.read("a.vmdk").len();
    let first = format!("ovf:href='c.vmdk' ovf:chunkSize='300000' ovf:size='{size}'");
    package.describe("sized.ovf", &first, "ovf:href='b.vmdk'");
    package.holds("sized.ovf");
    package.folder.sh("cp b.vmdk $(ls c.vmdk.* | tail -1)");
    package.refuses("sized.ovf", "1", 5, &["'c.vmdk.…'", "not whole"]);
}

#[test]
fn digests_of_the_manifest_are_compared() {
    let package = Package::new();
    let folder = &package.folder;
    package.list("vm.ovf a.vmdk b.vmdk");
    package.holds("vm.ovf");
    let check = ["check", "--disk", "2", "vm.ovf"];
    let sound = folder.run(&check);
    assert!(!sound.stdout().contains("corruption"), "{}", sound.stdout());
    folder.sh("sed -i '/a.vmdk/s/= .*/= 00/' vm.mf");
    package.refuses("vm.ovf", "1", 4, &["a.vmdk", "sha256", "manifest"]);
    folder.done(&["convert", "-q", "--disk", "2", "vm.ovf", "t.raw"]);
    let broken = folder.run(&check);
    assert!(broken.stdout().contains("'a.vmdk' has the sha256"), "{}", broken.stdout());
    // What is compressed is compared as it lies there.
    folder.sh("rm t.raw; gzip -k a.vmdk");
    package.describe("vm.ovf", "ovf:href='a.vmdk.gz'", "ovf:href='b.vmdk'");
    package.list("vm.ovf a.vmdk.gz b.vmdk");
    package.holds("vm.ovf");
    folder.sh("sed -i '/a.vmdk/s/= .*/= 00/' vm.mf");
    package.refuses("vm.ovf", "1", 4, &["a.vmdk.gz", "sha256", "manifest"]);
}

#[test]
fn a_descriptor_leads_to_files_beside_it_only() {
    let package = Package::new();
    let folder = &package.folder;
    folder.sh("mkdir sub; echo secret > secret; mkfifo sub/pipe; cp b.vmdk sub");
    symlink("../a.vmdk", folder.path("sub/link.vmdk")).unwrap();
    let absolute = folder.path("a.vmdk").display().to_string();
    for (href, code, text) in [
        ("../a.vmdk", 3, "not beside the image"),
        ("%2e%2e/a.vmdk", 3, "not beside the image"),
        (absolute.as_str(), 3, "absolute path"),
        ("link.vmdk", 3, "a link out of the image's folder"),
        ("pipe", 3, "neither a file nor"),
        ("gone.vmdk", 5, "which is not beside it"),
        ("http://host/a.vmdk", 3, "named by a protocol"),
        ("", 3, "empty name"),
        ("vm.ovf", 4, "which is none"),
    ] {
        package.describe("sub/vm.ovf", &format!("ovf:href='{href}'"), "ovf:href='b.vmdk'");
        package.refuses("sub/vm.ovf", "1", code, &["vm.ovf", text]);
        // The other disk is none the worse for it.
        if code != 4 {
            folder.done(&["convert", "-q", "--disk", "2", "sub/vm.ovf", "t.raw"]);
            folder.sh("rm t.raw");
        }
    }
    for (name, href) in [("vm.xml", "vm.xml"), ("vm.xml", "same")] {
        folder.sh("ln -sf vm.xml sub/same");
        package.describe("sub/vm.xml", &format!("ovf:href='{href}'"), "ovf:href='b.vmdk'");
        package.refuses(&format!("sub/{name}"), "1", 4, &["vm.xml", "itself"]);
    }
    package.describe("sub/vm.ovf", "ovf:href='../a.vmdk'", "ovf:href='b.vmdk'");
    let arguments = ["convert", "-q", "--disk", "1", "sub/vm.ovf", "t.raw"];
    let root = folder.root().display().to_string();
    folder.done(&[&arguments[..], &["--allow-path", &root]].concat());
    assert!(folder.read("t.raw") == package.disks[0]);
    // A manifest from elsewhere is none to skip.
    folder.sh("rm t.raw; ln -s ../secret sub/vm.mf");
    package.refuses("sub/vm.ovf", "2", 3, &["vm.mf", "a link out"]);
}

#[test]
fn a_descriptor_without_a_folder_is_refused() {
    let package = Package::new();
    let folder = &package.folder;
    let text = folder.read("vm.ovf");
    folder.sh("gzip -k vm.ovf");
    let wide = utf16(&String::from_utf8_lossy(&text), u16::to_le_bytes);
    for text in [&text[..], &wide, &wide[2..]] {
        folder.run_with(&["convert", "-", "t.raw"], text).failed(3, &["OVF descriptor"]);
    }
    folder.run(&["convert", "vm.ovf.gz", "t.raw"]).failed(3, &["OVF descriptor"]);
    assert!(!folder.exists("t.raw"));
    // Whoever says that it is a disk has it as one.
    folder.done(&["convert", "-q", "-f", "raw", "vm.ovf", "t.raw"]);
    assert_eq!(folder.read("t.raw"), text);
}

#[test]
fn no_file_of_a_package_is_overwritten() {
    let package = Package::new();
    let folder = &package.folder;
    package.list("vm.ovf a.vmdk b.vmdk");
    folder.sh("gzip -k a.vmdk; split -d -a 9 -b 300000 a.vmdk c.vmdk.; ln b.vmdk hard");
    package.describe("gz.ovf", "ovf:href='a.vmdk.gz'", "ovf:href='b.vmdk'");
    package.describe("chunks.ovf", "ovf:href='c.vmdk' ovf:chunkSize='3'", "ovf:href='b.vmdk'");
    for (descriptor, targets) in [
        ("vm.ovf", vec!["vm.ovf", "vm.mf", "a.vmdk", "b.vmdk", "hard"]),
        ("gz.ovf", vec!["gz.ovf", "a.vmdk.gz", "b.vmdk"]),
        ("chunks.ovf", vec!["c.vmdk.000000000", "c.vmdk.000000001", "b.vmdk"]),
    ] {
        for target in targets {
            let before = folder.read(target);
            let arguments =
                ["convert", "--disk", "1", descriptor, target, "--to", "raw", "--force"];
            folder.run(&arguments).failed(2, &["the same file"]);
            assert!(folder.read(target) == before, "{target}");
        }
    }
}

#[test]
fn what_a_disk_of_a_package_names_is_in_the_folder_too() {
    let package = Package::new();
    let folder = &package.folder;
    folder.qemu_img(&[
        "convert",
        "-O",
        "vmdk",
        "-o",
        "subformat=monolithicFlat",
        "a.raw",
        "f.vmdk",
    ]);
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-b", "b.vmdk", "-F", "vmdk", "top.qcow2"]);
    package.describe("vm.ovf", "ovf:href='f.vmdk'", "ovf:href='top.qcow2'");
    package.holds("vm.ovf");
}

#[test]
fn preflight_wants_the_disk_without_its_package_and_says_how() {
    let package = Package::new();
    let report = package.folder.run(&["preflight", "--for", "openstack", "--disk", "1", "vm.ovf"]);
    let said = report.coded(1);
    let line = "diskferry convert --for openstack --disk 1 vm.ovf vm.qcow2";
    assert!(said.stdout().contains("it is wrapped: ovf"), "{}", said.stdout());
    assert!(said.stdout().contains(line), "{}", said.stdout());
}

#[test]
fn a_descriptor_of_very_many_files_is_bounded() {
    let package = Package::new();
    let folder = &package.folder;
    let files: String = (0..60_000).map(|n| format!("<File href='{n}'/>")).collect();
    let text = descriptor("ovf:href='a.vmdk'", "ovf:href='b.vmdk'");
    let listing =
        |files: &str| text.replace("<ovf:References>", &format!("<ovf:References>{files}"));
    folder.write("many.ovf", listing(&files).as_bytes());
    package.refuses("many.ovf", "1", 6, &["many.ovf"]);
    // So many that are there, too.
    let files: String = (0..30).map(|n| format!("<File href='{n}'/>")).collect();
    folder.write("some.ovf", listing(&files).as_bytes());
    folder.sh("for n in {0..29}; do echo > $n; done");
    package.holds("some.ovf");
    let arguments = ["convert", "--disk", "1", "some.ovf", "t.raw", "--limit", "members=20"];
    folder.run(&arguments).failed(6, &["some.ovf", "members"]);
    // The chunks of one that is no disk.
    folder.sh("for n in {0..29}; do echo > x.$(printf %09d $n); done");
    folder.write("chunks.ovf", listing("<File href='x' chunkSize='1'/>").as_bytes());
    let arguments = ["convert", "--disk", "1", "chunks.ovf", "t.raw", "--limit", "members=20"];
    folder.run(&arguments).failed(6, &["chunks.ovf", "members"]);
}
