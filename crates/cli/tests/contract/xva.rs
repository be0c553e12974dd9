//! What XenServer and XCP-ng export, as commands see it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use diskferry_testkit::child::{Bounded, command};

use crate::{Folder, disk};

impl Folder {
    /// Writes an XVA by a script that knows nothing of this program.
    fn xva(&self, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/xva.py");
        let mut python = command("python3");
        let status = python.arg(script).args(arguments).current_dir(self.root()).run_aloud();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
}

const MIB: usize = 1 << 20;

/// A disk with holes in it, which ends within a block.
fn holey(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for (at, byte) in [(1 << 16, 1), (3 * MIB, 2), (3 * MIB + 5, 3), (4 * MIB, 4), (size - 1, 5)] {
        bytes[at] = byte ^ seed;
    }
    bytes
}

#[test]
fn an_xva_is_its_disk_from_a_file_and_from_a_pipe_and_packed() {
    let folder = Folder::new();
    for (kind, size) in
        [("checksum", 8 * MIB), ("xxhash", 8 * MIB + 512), ("alive", 7 * MIB), ("none", 9 * MIB)]
    {
        let disk = holey(size, 0);
        folder.write("d.raw", &disk);
        folder.xva(&[kind, "m.xva", "0=d.raw"]);
        folder.sh("gzip -kf m.xva; zstd -qkf m.xva; xz -kf0 m.xva");
        for (file, wrapping) in [
            ("m.xva", vec!["xva"]),
            ("m.xva.gz", vec!["gzip", "xva"]),
            ("m.xva.zst", vec!["zstd", "xva"]),
            ("m.xva.xz", vec!["xz", "xva"]),
        ] {
            let info = folder.json(&["info", "--json", file]);
            assert_eq!(info["wrapping"], serde_json::json!(wrapping), "{file}");
            assert_eq!(info["virtual_size"], size, "{file}");
            assert_eq!((&info["format"], &info["assumed"]), (&"raw".into(), &false.into()));
            assert_eq!(info["file"], format!("{file}/Ref:90"));
            folder.run(&["check", file]).coded(i32::from(kind == "none"));
            folder.done(&["compare", "--strict", file, "d.raw"]);
            let ended = folder.done(&["convert", "--verify", file, "t.qcow2"]);
            assert_eq!(ended.stderr.contains("no digest beside it"), kind == "none", "{file}");
            folder.done(&["compare", "--strict", "t.qcow2", "d.raw"]);
            let packed = folder.read(file);
            let ended = folder.run_with(&["convert", "-", "t.raw"], &packed).coded(0);
            assert_eq!(ended.stderr.contains("no digest beside it"), kind == "none", "{file}");
            assert!(folder.read("t.raw") == disk, "{kind} {file}");
            folder.sh("rm t.qcow2 t.raw");
        }
    }
}

#[test]
fn of_several_disks_one_is_chosen_in_the_order_of_the_machine() {
    let folder = Folder::new();
    let sizes = [5 * MIB, 6 * MIB, 7 * MIB, 8 * MIB];
    for (seed, size) in sizes.iter().enumerate() {
        folder.write(&format!("{seed}.raw"), &holey(*size, seed as u8));
    }
    folder.xva(&["xxhash", "m.xva", "0=3.raw@old", "10=2.raw", "0=0.raw", "2=1.raw"]);
    folder.sh("gzip -k m.xva");
    let listed = "1 Ref:88 (5242880 bytes), 2 Ref:87 (6291456 bytes), 3 Ref:89 (7340032 bytes), \
                  4 Ref:90 (8388608 bytes)";
    for file in ["m.xva", "m.xva.gz"] {
        folder.run(&["convert", file, "t.raw"]).failed(2, &[file, "--disk", listed]);
        for (number, size) in ["1", "2", "3", "4"].into_iter().zip(sizes) {
            folder.done(&["convert", "-q", "--disk", number, file, "t.raw"]);
            assert!(
                folder.read("t.raw")
                    == folder.read(&format!("{}.raw", number.parse::<u8>().unwrap() - 1))
            );
            let info = folder.json(&["info", "--json", "--disk", number, file]);
            assert_eq!(info["virtual_size"], size, "{file} {number}");
            assert_eq!(info["disks"].as_array().unwrap().len(), 4, "{file}");
            assert_eq!(info["disks"][1]["size"], 6 * MIB, "{file}");
            folder.sh("rm t.raw");
        }
        folder.run(&["convert", "--disk", "5", file, "t.raw"]).failed(2, &["no such disk"]);
    }
    let info = folder.json(&["info", "--json", "m.xva"]);
    assert_eq!(info["disks"].as_array().unwrap().len(), 4);
}

#[test]
fn a_block_with_another_digest_or_missing_is_found_and_makes_no_target() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(6 * MIB));
    for kind in ["checksum", "xxhash"] {
        folder.xva(&[kind, "m.xva", "0=d.raw"]);
        let mut bytes = folder.read("m.xva");
        let place = bytes.len() - MIB - MIB / 2;
        bytes[place] ^= 1;
        folder.write("m.xva", &bytes);
        folder.sh("gzip -kf m.xva");
        for file in ["m.xva", "m.xva.gz"] {
            let words = ["Ref:90/0000000", "as the file beside it has it"];
            folder.run(&["convert", file, "t.qcow2"]).failed(4, &words);
            folder.run(&["check", file]).coded(1);
        }
        folder.run_with(&["convert", "-", "t.raw"], &bytes).failed(4, &["as the file beside it"]);
        // A disk that is not converted is not compared.
        assert!(!folder.path("t.qcow2").exists() && !folder.path("t.raw").exists());
        folder.run(&["preflight", "--for", "openstack", "m.xva"]).coded(1);
    }
    folder.xva(&["xxhash", "m.xva", "0=d.raw"]);
    let bytes = folder.read("m.xva");
    // Without its last block.
    let cut =
        [&bytes[..bytes.len() - bytes.len() % 10240 - MIB - 20 * 512], &[0; 1024][..]].concat();
    let cut = &cut[..cut.len() / 512 * 512];
    folder.write("cut.xva", cut);
    folder.run(&["convert", "cut.xva", "t.raw"]).coded(4);
    folder.run_with(&["convert", "-", "t.raw"], cut).coded(4);
    assert!(!folder.path("t.raw").exists());
}

#[test]
fn what_a_guest_made_its_disk_look_like_does_not_matter() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(2 * MIB));
    folder.done(&["convert", "-q", "d.raw", "d.qcow2"]);
    folder.sh("truncate -s %4M d.qcow2");
    folder.xva(&["xxhash", "m.xva", "0=d.qcow2"]);
    folder.done(&["convert", "-q", "m.xva", "t.raw"]);
    assert!(folder.read("t.raw") == folder.read("d.qcow2"));
    folder.sh("rm t.raw");
    folder.run_with(&["convert", "-q", "-", "t.raw"], &folder.read("m.xva")).coded(0);
    assert!(folder.read("t.raw") == folder.read("d.qcow2"));
}

/// A tar header.
fn header(name: &str, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[test]
fn a_hundred_gib_of_blocks_are_listed_in_seconds_and_in_little_memory() {
    let folder = Folder::new();
    let blocks: u64 = 100 << 10;
    let xml = format!(
        "<value><struct><member><name>objects</name><value><array><data><value><struct>\
         <member><name>class</name><value>VDI</value></member>\
         <member><name>id</name><value>Ref:4</value></member>\
         <member><name>snapshot</name><value><struct><member><name>virtual_size</name>\
         <value>{}</value></member></struct></value></member>\
         </struct></value></data></array></value></member></struct></value>",
        blocks << 20
    );
    let file = File::create(folder.path("m.xva")).unwrap();
    file.write_all_at(&header("ova.xml", xml.len() as u64), 0).unwrap();
    file.write_all_at(xml.as_bytes(), 512).unwrap();
    let mut at = 512 + xml.len().next_multiple_of(512) as u64;
    for number in 0..blocks {
        let name = format!("Ref:4/{number:08}");
        file.write_all_at(&header(&name, 1 << 20), at).unwrap();
        at += 512 + (1 << 20);
        let mut digest = header(&format!("{name}.xxhash"), 16).to_vec();
        digest.extend(b"7F3FEF8C8A64B3D4");
        file.write_all_at(&digest, at).unwrap();
        at += 1024;
    }
    file.set_len(at + 1024).unwrap();
    let begun = Instant::now();
    let info = folder.json(&["info", "--json", "--limit", "metadata=100K", "m.xva"]);
    assert_eq!(info["virtual_size"], blocks << 20);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
