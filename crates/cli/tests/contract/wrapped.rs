//! Disks in archives and compressed files, as commands see them.

use std::fs;

use crate::{Folder, disk};

#[test]
fn every_command_reads_a_wrapped_disk_from_a_file_and_convert_from_a_pipe() {
    let folder = Folder::new();
    let disk = disk(3 << 20);
    folder.write("disk.raw", &disk);
    folder.done(&["convert", "-q", "disk.raw", "d.vmdk"]);
    folder.sh("tar -cf a.tar disk.raw; gzip -k a.tar; bzip2 -k disk.raw; xz -k0 d.vmdk; tar -cf v.tar d.vmdk");
    for (file, name, format, wrapping) in [
        ("a.tar", "a.tar/disk.raw", "raw", vec!["tar"]),
        ("a.tar.gz", "a.tar.gz/disk.raw", "raw", vec!["gzip", "tar"]),
        ("disk.raw.bz2", "disk.raw.bz2", "raw", vec!["bzip2"]),
        ("d.vmdk.xz", "d.vmdk.xz", "vmdk", vec!["xz"]),
        ("v.tar", "v.tar/d.vmdk", "vmdk", vec!["tar"]),
    ] {
        let info = folder.json(&["info", "--json", file]);
        assert_eq!((info["file"].as_str(), info["format"].as_str()), (Some(name), Some(format)));
        assert_eq!(info["wrapping"], serde_json::json!(wrapping), "{file}");
        // What comes behind the disk in a compressed archive was not looked at.
        let disks = if file == "a.tar.gz" { vec!["disk.raw"] } else { vec![] };
        let names = info["disks"].as_array().unwrap().iter().map(|disk| &disk["name"]);
        assert!(names.eq(&disks), "{file}: {}", info["disks"]);
        assert_eq!(info["disks_complete"], disks.is_empty(), "{file}");
        assert_eq!(info["file_size"], fs::metadata(folder.path(file)).unwrap().len(), "{file}");
        let known = file != "disk.raw.bz2";
        let size = if known { serde_json::json!(3 << 20) } else { serde_json::Value::Null };
        assert_eq!(info["virtual_size"], size, "{file}");
        let said = folder.done(&["info", file]);
        assert_eq!(said.stdout().contains("unknown until it is unpacked"), !known, "{file}");
        assert!(folder.done(&["info", file]).stdout().contains("wrapped in"), "{file}");
        folder.done(&["compare", "--strict", file, "disk.raw"]);
        folder.done(&["check", file]);
        folder.done(&["map", "--json", file]);
        let digest = |file| folder.json(&["digest", "--json", file])[0]["digests"].clone();
        assert_eq!(digest(file), digest("disk.raw"), "{file}");
        folder.done(&["convert", "-q", "--verify", file, "t.qcow2"]);
        folder.done(&["compare", "--strict", "t.qcow2", "disk.raw"]);
        let packed = folder.read(file);
        let ended = folder.run_with(&["convert", "-", "t.raw", "--verify", "--json"], &packed);
        let summary = ended.coded(0).json();
        assert_eq!(summary["source"]["file"], name.replacen(file, "stdin", 1), "{file}");
        assert!(folder.read("t.raw") == disk, "{file}");
        folder.sh("rm t.qcow2 t.raw");
    }
    folder.run_with(&["info", "-"], &folder.read("a.tar.gz")).failed(3, &["stdin", "pipe"]);
}

#[test]
fn what_unpacks_to_too_much_is_refused_by_name() {
    let folder = Folder::new();
    folder.sh(
        "truncate -s 20M zeros; for by in gzip bzip2 xz; do $by -k zeros; done; zstd -qk zeros
        tar -c zeros | gzip > gzip
        yes | head -c 2M | gzip > text.gz; tar -cf two.tar zeros.gz text.gz",
    );
    for file in ["zeros.gz", "zeros.bz2", "zeros.xz", "zeros.zst", "gzip"] {
        folder.done(&["convert", "-q", file, "t.qcow2"]);
        for (limit, fits, too_little) in [("ratio", "2000000", "500"), ("unpacked", "21M", "19M")] {
            folder.done(&["convert", "-q", "--limit", &format!("{limit}={fits}"), file, "t.raw"]);
            folder.sh("rm t.raw");
            let bound = format!("{limit}={too_little}");
            let ended = folder.run(&["convert", "-q", "--limit", &bound, file, "t.raw"]);
            ended.failed(6, &[file, &format!("--limit {limit}=")]);
            assert!(!folder.path("t.raw").exists(), "{file}");
        }
        folder.sh("rm t.qcow2");
    }
    for (bound, file) in [("members=1", "two.tar"), ("nesting=1", "gzip")] {
        let (name, _) = bound.split_once('=').unwrap();
        let ended = folder.run(&["info", "--disk", "1", "--limit", bound, file]);
        ended.failed(6, &[file, &format!("--limit {name}=")]);
    }
    // What is known at the end only.
    folder.sh("truncate -s 1M a.raw");
    folder.done(&[
        "convert",
        "-q",
        "-O",
        "vhd",
        "-o",
        "subformat=fixed,force_size=on",
        "a.raw",
        "fixed.vhd",
    ]);
    folder.sh("gzip -k a.raw fixed.vhd");
    for file in ["a.raw", "fixed.vhd", "a.raw.gz", "fixed.vhd.gz"] {
        let bytes = folder.read(file);
        let (exact, less) = ("size=1048576", "size=1048575");
        for command in [
            ["convert", "--limit", exact, "-", "t.raw"],
            ["convert", "--limit", exact, file, "t.raw"],
        ] {
            folder.run_with(&command, &bytes).coded(0);
            assert_eq!(folder.read("t.raw").len(), 1 << 20, "{command:?}");
            folder.sh("rm t.raw");
        }
        for command in [
            ["convert", "--limit", less, "-", "t.raw"],
            ["convert", "--limit", less, file, "t.raw"],
        ] {
            folder.run_with(&command, &bytes).failed(6, &["--limit size="]);
            assert!(!folder.path("t.raw").exists(), "{command:?}");
        }
        folder.run(&["digest", "--limit", less, file]).failed(6, &[file, "--limit size="]);
    }
    // Text that shrinks as far as text does.
    folder.done(&["info", "--limit", "ratio=1000", "text.gz"]);
}

#[test]
fn one_of_several_disks_is_chosen_by_number() {
    let folder = Folder::new();
    for (name, len) in [("a.img", 2 << 20), ("b.img", 1 << 20)] {
        folder.write(name, &disk(len));
    }
    folder.sh("tar -cf two.tar a.img b.img; gzip -k two.tar");
    let said = folder.done(&["info", "two.tar.gz"]);
    assert!(said.stdout().contains("1: a.img") && said.stdout().contains("--all-disks"));
    assert!(!folder.done(&["info", "two.tar"]).stdout().contains("--all-disks"));
    let said = folder.done(&["info", "--all-disks", "two.tar.gz"]);
    assert!(said.stdout().contains("2: b.img") && !said.stdout().contains("--all-disks"));
    for (arguments, count, all) in [
        (vec!["two.tar"], 2, true),
        (vec!["two.tar.gz"], 1, false),
        (vec!["two.tar.gz", "--disk", "2"], 2, false),
        (vec!["two.tar.gz", "--all-disks"], 2, true),
        (vec!["two.tar", "--all-disks"], 2, true),
        (vec!["a.img", "--all-disks"], 0, true),
    ] {
        let info = folder.json(&[vec!["info", "--json"], arguments.clone()].concat());
        let found = info["disks"].as_array().map(Vec::len);
        assert_eq!((found, &info["disks_complete"]), (Some(count), &all.into()), "{arguments:?}");
    }
    for file in ["two.tar", "two.tar.gz"] {
        for arguments in [&["convert", file, "t.raw"][..], &["digest", file]] {
            folder.run(arguments).failed(2, &[file, "--disk", "1 a.img (2097152 bytes), 2 b.img"]);
        }
        assert!(!folder.exists("t.raw"));
        folder.done(&["convert", "-q", file, "t.raw", "--disk", "2"]);
        assert!(folder.read("t.raw") == folder.read("b.img"));
        folder.done(&["compare", "--strict", "--disk", "1", file, "a.img"]);
        folder.done(&["compare", "--strict", "b.img", file, "--disk-b", "2"]);
        for command in ["info", "map", "check", "digest"] {
            folder.done(&[command, file, "--disk", "2"]);
            folder.run(&[command, file, "--disk", "3"]).failed(2, &["no such disk", "2 b.img"]);
            folder.run(&[command, file, "--disk", "0"]).coded(2);
        }
        folder.sh("rm t.raw");
    }
    let info = folder.json(&["info", "--json", "two.tar"]);
    assert_eq!(
        info["disks"][1],
        serde_json::json!({"name": "b.img", "size": 1 << 20, "format": null})
    );
    folder.run(&["digest", "--disk", "2", "a.img"]).failed(2, &["a.img", "no archive"]);
}

#[test]
fn a_compressed_disk_that_is_cut_is_damage() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.sh(
        "gzip -k a.raw; head -c 1000 a.raw.gz > cut.gz; head -c 700000 /dev/zero | gzip | head -c 300 > zero.gz",
    );
    folder.run(&["convert", "cut.gz", "t.raw"]).failed(4, &["cut.gz"]);
    folder.run(&["convert", "zero.gz", "t.raw"]).failed(4, &["zero.gz", "end early"]);
    assert!(!folder.exists("t.raw"));
}

#[test]
fn packages_are_written_by_name_and_read_back() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    let uuid = "00000000-0000-4000-8000-000000000001";
    for (target, format) in [("g.tar.gz", "gcp"), ("g.tgz", "gcp"), ("v.ova", "ova")] {
        let arguments = ["convert", "a.raw", target, "--verify", "--json", "--uuid", uuid];
        let summary = folder.json(&arguments);
        assert_eq!(summary["target"]["format"], format);
        assert_eq!(summary["target"]["file"], target);
        assert_eq!(summary["verified"], true);
        folder.done(&["compare", "a.raw", target]);
        folder.done(&["check", "-f", format, target]);
        folder.run(&["info", "-f", format, "a.raw"]).failed(4, &["a.raw", format]);
    }
    folder.run(&["convert", "a.raw", "-", "-O", "ova"]).failed(3, &["stdout", "pipe"]);
    folder.run_with(&["convert", "-", "-", "-O", "gcp"], b"abc").failed(3, &["size"]);
    let sized = ["convert", "-q", "-", "-", "-O", "gcp", "--size", "1G"];
    let piped = folder.run_with(&sized, &disk(1 << 20)).coded(0);
    folder.write("p.tar.gz", &piped.bytes);
    folder.done(&["compare", "--strict", "p.tar.gz", "g.tgz"]);
    folder.run(&["convert", "a.raw", "x.ova", "-o", "adapter_type=x"]).failed(2, &["lsilogic"]);
    folder.run(&["convert", "a.raw", "x.tgz", "-o", "x=y"]).failed(2, &["it has: none"]);
    folder.run(&["convert", "a.raw", "x.tgz", "-c=99"]).failed(2, &["level"]);
}

#[test]
fn an_ova_that_contradicts_itself_is_told_by_code_and_by_line() {
    let folder = Folder::new();
    folder.write("disk.raw", &disk(3 << 20));
    folder.done(&["convert", "-q", "--for", "vmware", "disk.raw", "good.ova"]);
    folder.done(&["preflight", "--for", "vmware", "good.ova"]);
    folder.done(&["check", "good.ova"]);
    // The disk's size in the descriptor, of the same number of digits.
    folder.sh("tar -xf good.ova; sed -i -E 's/ovf:size=\"[0-9]/ovf:size=\"9/' good.ovf; rm good.mf
        tar --format=ustar -cf odd.ova good.ovf good-disk1.vmdk
        sed -i 's/good-disk1.vmdk/good.ovf/' good.ovf; tar --format=ustar -cf own.ova good.ovf
        qemu-img create -q -f vhdx a.vhdx 8M
        tar -xf good.ova good.ovf; sed -i -E 's/ovf:capacity=\"[0-9]+/ovf:capacity=\"7/' good.ovf
        tar --format=ustar -cf size.ova good.ovf good-disk1.vmdk");
    // What nobody is known to refuse is a warning.
    let ended = folder.done(&["preflight", "--for", "vmware", "size.ova"]);
    let text = "'good.ovf' has the disk in 'good-disk1.vmdk' with 7 bytes; it has 3145728";
    for text in ["warn  ovf-capacity", text] {
        assert!(ended.stdout().contains(text), "no '{text}' in {}", ended.stdout());
    }
    assert!(folder.run(&["check", "size.ova"]).coded(1).stdout().contains(text));
    let ended = folder.run(&["preflight", "--for", "vmware", "odd.ova"]).coded(1);
    for text in ["FAIL  ovf-sizes", "diskferry convert --for vmware odd.ova odd-vmware.ova"] {
        assert!(ended.stdout().contains(text), "no '{text}' in {}", ended.stdout());
    }
    let ended = folder.run(&["check", "odd.ova"]).coded(1);
    assert!(ended.stdout().contains("'good-disk1.vmdk' with 9"), "{}", ended.stdout());
    let texts = ["own.ova: reading the OVF descriptor", "has 'good.ovf' as a disk, which is none"];
    folder.run(&["convert", "own.ova", "a.raw"]).failed(4, &texts);
    folder.run(&["preflight", "--for", "aws", "a.vhdx"]).failed(3, &["a.vhdx", "a VHDX image"]);
}

/// What is no disk is not taken for one, though it bears no signature that is read.
#[test]
fn what_is_left_of_a_wrapper_is_no_disk() {
    let folder = Folder::new();
    folder.write("disk.raw", &disk(1 << 20));
    folder.sh("tar -cf good.tar disk.raw; gzip -k disk.raw; bzip2 -k disk.raw
        python3 -m zipfile -c a.zip disk.raw; : > empty");
    for (name, at) in [("good.tar", 0), ("good.tar", 300), ("disk.raw.gz", 2), ("disk.raw.bz2", 4)]
    {
        let mut bytes = folder.read(name);
        bytes[at] ^= 4;
        folder.write("bad", &bytes);
        folder.run(&["convert", "bad", "a.qcow2"]).failed(4, &["bad:", "whose header is damaged"]);
        folder
            .run_with(&["convert", "-", "a.qcow2"], &bytes)
            .failed(4, &["stdin:", "whose header is damaged"]);
    }
    folder.run(&["convert", "a.zip", "a.qcow2"]).failed(3, &["a zip archive", "unpack it"]);
    folder.done(&["convert", "-f", "raw", "a.zip", "a.qcow2", "--verify"]);
    for (target, name) in [("huawei", "b.qcow2"), ("azure", "b.vhd")] {
        folder.run(&["convert", "--for", target, "empty", name]).failed(3, &["empty", "0 bytes"]);
    }
    folder.run_with(&["convert", "--for", "huawei", "-", "b.qcow2"], b"").failed(3, &["0 bytes"]);
}

/// In order, a disk's number is not known before the descriptor.
#[test]
fn a_number_is_never_another_disks() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "good.ova"]);
    folder.sh("tar -xf good.ova; cp good-disk1.vmdk other.vmdk");
    for members in [
        "other.vmdk good-disk1.vmdk good.ovf",
        "other.vmdk good.ovf good-disk1.vmdk",
        "good-disk1.vmdk good.ovf",
    ] {
        folder.sh(&format!("tar --format=ustar -cf odd.ova {members}; gzip -cf odd.ova > odd.gz"));
        folder
            .run(&["convert", "--disk", "1", "odd.gz", "b.raw"])
            .failed(3, &["odd.gz", "'good.ovf'", "comes after them; unpack"]);
        assert!(!folder.path("b.raw").exists(), "{members}");
        folder.done(&["convert", "--disk", "1", "odd.ova", "c.raw", "--force"]);
    }
}

/// A file says so when it is opened; what comes in order when it has ended, or an archive told its size.
#[test]
fn an_odd_length_is_warned_of_however_the_disk_comes() {
    let folder = Folder::new();
    for (len, odd) in [(100_352, 0), (100_000, 1)] {
        let disk = disk(len);
        folder.write("a.raw", &disk);
        folder.sh("gzip -kf a.raw; tar -czf a.tar.gz a.raw; tar -cf a.tar a.raw");
        let said = |json: &serde_json::Value| {
            let warnings = json["warnings"].as_array().unwrap();
            let text = "100000 bytes is not a whole number";
            warnings.iter().filter(|warning| warning.as_str().unwrap().contains(text)).count()
        };
        for source in ["a.raw", "a.tar", "a.raw.gz", "a.tar.gz", "-"] {
            for options in [&[][..], &["-f", "raw"]] {
                // Taken as it is, a compressed file is another disk.
                if !options.is_empty() && !["a.raw", "-"].contains(&source) {
                    continue;
                }
                let convert = ["convert", "--force", "--json", source, "t.qcow2"];
                let summary = folder.run_with(&[&convert, options].concat(), &disk).coded(0).json();
                assert_eq!(said(&summary), odd, "{source} {options:?}: {}", summary["warnings"]);
            }
            if source != "-" {
                folder.run(&["check", source]).coded(odd as i32);
            }
        }
        // Of a compressed file without an archive only its end tells the length.
        for (source, odd) in [("a.raw", odd), ("a.tar.gz", odd), ("a.raw.gz", 0)] {
            assert_eq!(said(&folder.json(&["info", "--json", source])), odd, "{source}");
        }
    }
}

/// The sizes of what `zstd --long` and `xz --lzma2=dict=` remember are bounded, of all layers together.
#[test]
fn a_wide_window_is_read_with_the_limit_that_the_message_names() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    folder.write("a.raw", &disk);
    // From a pipe, zstd does not know how little there is to remember.
    folder.sh("zstd -q -1 --long=31 < a.raw > long.zst; zstd -q -1 --long=28 < a.raw > usual.zst
         xz -0 -k a.raw
         xz -c --lzma2=preset=0,dict=512MiB a.raw > dict.xz
         xz -c --lzma2=preset=0,dict=192MiB a.raw > half.xz
         zstd -q -1 --long=28 < half.xz > both.zst
         tar -c a.raw | zstd -q -1 --long=31 > a.tar.zst
         head -c 512K a.raw | xz -0 > later.xz
         tail -c 512K a.raw | xz --lzma2=preset=0,dict=1GiB >> later.xz
         qemu-img convert -O qcow2 a.raw a.qcow2
         zstd -q -1 --long=28 < a.qcow2 > usual.qcow2.zst; zstd -q -1 --long=31 < a.qcow2 > a.qcow2.zst
         tar -c a.qcow2 | zstd -q -1 --long=28 > usual.q.tar.zst");
    for (file, wanted) in [
        ("usual.zst", None),
        ("a.raw.xz", None),
        ("half.xz", None),
        ("usual.qcow2.zst", None),
        ("usual.q.tar.zst", None),
        ("a.qcow2.zst", Some("window=2G")),
        ("long.zst", Some("window=2G")),
        ("a.tar.zst", Some("window=2G")),
        ("dict.xz", Some("window=512M")),
        ("later.xz", Some("window=1G")),
        ("both.zst", Some("window=448M")),
    ] {
        let bytes = folder.read(file);
        for source in [file, "-"] {
            let convert = ["convert", "-q", "--force", source, "t.raw"];
            let name = if source == "-" { "stdin" } else { file };
            let limit = match wanted {
                None => "window=256M",
                Some(wanted) => {
                    let advice = format!("--limit {wanted} reads it");
                    let ended = folder.run_with(&convert, &bytes);
                    ended.failed(6, &[name, "a window of", &advice]);
                    assert!(!folder.exists("t.raw"), "{source}");
                    wanted
                }
            };
            folder.run_with(&[&convert[..], &["--limit", limit]].concat(), &bytes).coded(0);
            assert!(folder.read("t.raw") == disk, "{source}");
            fs::remove_file(folder.path("t.raw")).unwrap();
        }
        let limit = ["--limit", wanted.unwrap_or("window=256M")];
        // Each look back takes a window of its own.
        for command in [&["digest"][..], &["check"], &["compare", "--strict", "a.raw"]] {
            folder.done(&[command, &[file], &limit].concat());
        }
        folder.run(&[&["preflight", "--for", "gcp", file], &limit[..]].concat()).coded(1);
    }
    let ended = folder.run(&["info", "--limit", "window=5G", "a.raw"]).coded(2);
    assert!(ended.stderr.contains("4G at most"), "{}", ended.stderr);
}
