//! `preflight`, `targets`, and `convert --for`.

use serde_json::{Value, json};

use super::{Folder, disk};

#[test]
fn preflight_says_what_is_wrong_and_the_line_that_mends_it() {
    let folder = Folder::new();
    folder.write("my disk.raw", &disk(3 << 20));
    let ended = folder.run(&["preflight", "--for", "azure", "my disk.raw"]).coded(1);
    let line = "diskferry convert --for azure 'my disk.raw' 'my disk.vhd'";
    for text in ["FAIL", "InvalidVhd", "Azure documents", line] {
        assert!(ended.stdout().contains(text), "no '{text}' in {}", ended.stdout());
    }

    let json =
        folder.run(&["preflight", "--json", "--for", "azure", "my disk.raw"]).coded(1).json();
    assert_eq!(json["target"], "azure");
    assert_eq!(json["ready"], false);
    assert_eq!(json["convert"], line);
    let rules = json["rules"].as_array().unwrap();
    for rule in rules {
        for key in ["id", "ok", "text", "code", "fix", "verdict", "rule", "certainty", "source"] {
            assert!(rule.get(key).is_some(), "{key} of {rule}");
        }
    }
    let broken: Vec<&Value> = rules.iter().filter(|rule| rule["ok"] == false).collect();
    assert_eq!(broken[0]["id"], "format");
    assert_eq!(broken[0]["fix"], line);

    folder.done(&["convert", "-q", "--for", "azure", "my disk.raw", "my disk.vhd"]);
    let json = folder.json(&["preflight", "--json", "--for", "azure", "my disk.vhd"]);
    assert_eq!((&json["ready"], &json["convert"]), (&json!(true), &json!(null)));
    assert_eq!(folder.read("my disk.vhd").len(), (20 << 20) + 512);
}

#[test]
fn the_line_that_mends_opens_the_same_disk() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(2 << 20));
    folder.qemu_img(&["convert", "-O", "qcow2", "a.raw", "a.qcow2"]);
    folder.qemu_img(&["snapshot", "-c", "last monday", "a.qcow2"]);
    let words =
        ["preflight", "--json", "--for", "azure", "-f", "qcow2", "--snapshot", "last monday"];
    let json = folder.run(&[&words[..], &["a.qcow2"]].concat()).coded(1).json();
    let line = "diskferry convert --for azure -f qcow2 --snapshot 'last monday' a.qcow2 a.vhd";
    assert_eq!(json["convert"], line);

    folder.done(&["convert", "-q", "a.raw", "my server.raw"]);
    let json =
        folder.run(&["preflight", "--json", "--for", "ibm", "my server.raw"]).coded(1).json();
    let line = json["convert"].as_str().unwrap();
    assert_eq!(line, "diskferry convert --for ibm 'my server.raw' 'my server.qcow2'");
    let json =
        folder.run(&["preflight", "--json", "--for", "huawei", "my server.raw"]).coded(1).json();
    assert_eq!(json["convert"], "diskferry convert --for huawei 'my server.raw' my-server.qcow2");
}

#[test]
fn a_name_is_judged_where_it_is_given() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["preflight", "--for", "aliyun", "a.raw"]);
    folder.done(&["preflight", "--for", "aliyun", "--as-name", "web-1", "a.raw"]);
    let named = ["preflight", "--json", "--for", "aliyun", "--as-name", "1 web", "a.raw"];
    let json = folder.run(&named).coded(1).json();
    let rules = json["rules"].as_array().unwrap();
    let broken: Vec<&Value> = rules.iter().filter(|rule| rule["ok"] == false).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0]["id"], "image-name");
    assert_eq!(broken[0]["code"], "InvalidImageName.Malformed");
    folder.done(&[&named[..], &["--waive", "image-name"]].concat());
}

#[test]
fn targets_are_listed_with_their_rules() {
    let folder = Folder::new();
    let all = folder.json(&["targets", "--json"]);
    let names: Vec<&str> =
        all.as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
    for name in [
        "aliyun",
        "aliyun-data",
        "huawei",
        "huawei-data",
        "huawei-fast",
        "jdcloud",
        "tencent",
        "aws",
        "azure",
        "gcp",
        "openstack",
        "vmware",
        "virtualbox",
        "proxmox",
        "hyperv",
        "oci",
        "digitalocean",
        "ibm",
    ] {
        assert!(names.contains(&name), "{name}");
        let text = folder.done(&["targets", name]);
        assert!(text.stdout().contains("source"), "{}", text.stdout());
        assert!(folder.done(&["targets"]).stdout().contains(name));
    }
    let one = folder.json(&["targets", "--json", "azure"]);
    assert_eq!(one["makes"]["format"], "vhd");
    assert_eq!(one["makes"]["options"], json!({"subformat": "fixed", "large": "on"}));
    for key in ["id", "text", "severity", "certainty", "code", "advice", "source"] {
        assert!(one["rules"][0].get(key).is_some(), "{key}");
    }
}

#[test]
fn a_conversion_for_a_target_refuses_what_that_would_refuse() {
    let folder = Folder::new();
    // 501 GiB.
    folder.write("a.raw", &[]);
    let file = std::fs::File::options().write(true).open(folder.path("a.raw")).unwrap();
    file.set_len(501 << 30).unwrap();
    let ended = folder.run(&["convert", "--for", "aliyun", "a.raw", "a.qcow2"]);
    ended.failed(
        3,
        &["a.raw: ", "aliyun would refuse it: virtual-size", "500 GiB", "[InvalidImageSize]"],
    );
    folder.run(&["convert", "--for", "aliyun", "a.raw", "a.vdi"]).failed(2, &["its name says vdi"]);
    folder
        .run(&["convert", "--for", "aliyun", "-O", "vdi", "a.raw", "a"])
        .failed(2, &["-O says vdi"]);
    folder.run(&["convert", "--for", "aliyun-export", "a.raw", "a.raw2"]).failed(2, &["export"]);
    folder
        .run(&["convert", "--for", "azure", "--waive", "x", "a.raw", "b.vhd"])
        .failed(2, &["no rule 'x'"]);
    folder.run(&["preflight", "--for", "moon", "a.raw"]).coded(2);
    folder.run(&["convert", "--waive", "x", "a.raw", "b.vhd"]).coded(2);
    assert_eq!(folder.names(), ["a.raw"]);
}

#[test]
fn what_a_pipe_begins_with_is_judged_before_anything_is_written() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("t")).unwrap();
    let created = || folder.path("t").metadata().unwrap().modified().unwrap();
    let disk = diskferry_testkit::machine();
    folder.run_with(&["convert", "-q", "--for", "aliyun", "-", "t/a.qcow2"], &disk).coded(0);
    // The partition at 1 MiB, where it is in sectors of 4096 bytes.
    let mut coarse = disk.clone();
    for (at, sectors) in [(454, 256_u32), (458, 1024)] {
        coarse[at..at + 4].copy_from_slice(&sectors.to_le_bytes());
    }
    // Whoever sends it may have much more to send.
    let endless = [coarse.clone(), vec![7; 40 << 20]].concat();
    let before = created();
    for bytes in [&coarse, &endless] {
        folder
            .run_with(&["convert", "--for", "aliyun", "-", "t/b.qcow2"], bytes)
            .failed(3, &["stdin: ", "aliyun would refuse it: sector-512", "4096"]);
    }
    assert_eq!(created(), before);
    // What is written to a pipe is not looked at again, so it is said how far that went.
    let noise: Vec<u8> = (0..20 << 20).map(|at: u32| (at % 251) as u8).collect();
    let long = [&disk[..], &noise].concat();
    let to_pipe = ["convert", "--for", "openstack", "-O", "raw", "-", "-"];
    let ended = folder.run_with(&to_pipe, &long).coded(0);
    assert!(ended.bytes == long && ended.stderr.contains("judged for openstack by its first"));
    let ended = folder.run_with(&to_pipe, &disk).coded(0);
    assert!(!ended.stderr.contains("judged"), "{}", ended.stderr);
}

#[test]
fn a_gpt_moves_in_a_pipe_where_the_size_is_given() {
    let folder = Folder::new();
    let real = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/real-disk.qcow2");
    folder.done(&["convert", "-q", real, "a.raw"]);
    folder.done(&["convert", "-q", "--size", "80M", "--move-gpt", "a.raw", "moved.raw"]);
    let disk = folder.read("a.raw");
    let sized = ["convert", "--size", "80M", "-", "t.raw"];
    let ended = folder.run_with(&sized, &disk).coded(0);
    assert!(ended.stderr.contains("--move-gpt moves it"), "{}", ended.stderr);
    let ended = folder.run_with(&[&sized[..], &["--move-gpt", "--force"]].concat(), &disk).coded(0);
    assert!(!ended.stderr.contains("--move-gpt"), "{}", ended.stderr);
    assert!(folder.read("t.raw") == folder.read("moved.raw"));
    let before = folder.names();
    folder
        .run_with(&["convert", "--move-gpt", "-", "u.qcow2"], &disk)
        .failed(2, &["stdin", "give it with --size"]);
    let mut damaged = disk;
    damaged[512 + 20] ^= 1;
    folder
        .run_with(&["convert", "--move-gpt", "--size", "80M", "-", "u.raw"], &damaged)
        .failed(3, &["stdin", "its GPT cannot be moved"]);
    assert_eq!(folder.names(), before);
}

/// Of 1 MiB and 64 KiB, what is looked at in each overlaps; and each look back in a compressed disk unpacks it anew.
#[test]
fn many_small_partitions_in_a_compressed_disk_are_judged_as_in_a_plain_one() {
    let folder = Folder::new();
    folder.sh("PATH=$PATH:/usr/sbin:/sbin
        truncate -s 200M a.raw
        words=; for n in {1..40}; do words+=\" -n $n:$((n * 8192)):+1088K\"; done
        sgdisk -a 1 $words a.raw >sgdisk.log
        gzip -k a.raw");
    let texts = |file: &str| {
        let json = folder.run(&["preflight", "--json", "--for", "aws", file]).json();
        let rules = json["rules"].as_array().unwrap();
        let of_the_disk = ["partitioned", "efi-loader", "backup-gpt", "whole-partitions"];
        of_the_disk.map(|id| rules.iter().find(|rule| rule["id"] == id).unwrap()["text"].clone())
    };
    assert_eq!(texts("a.raw.gz"), texts("a.raw"));
}
