//! Images that come in order and cannot be read so: unpacked to a scratch file, and read from there.

use std::process::Stdio;

use diskferry_testkit::child::Bounded;

use crate::{Folder, disk};

impl Folder {
    /// Makes images of every format that points back and forth, all of the same disk, by qemu-img.
    fn images(&self, disk: &[u8]) {
        self.write("disk.raw", disk);
        for (format, file, options) in [
            ("qcow2", "d.qcow2", "compat=1.1"),
            ("vdi", "d.vdi", "static=off"),
            ("vpc", "d.vhd", "force_size=on"),
            ("vmdk", "d.vmdk", "subformat=monolithicSparse"),
        ] {
            self.qemu_img(&["convert", "-O", format, "-o", options, "disk.raw", file]);
        }
    }
}

const IMAGES: [&str; 4] = ["d.qcow2", "d.vdi", "d.vhd", "d.vmdk"];

#[test]
fn every_image_is_read_in_every_wrapper_and_from_a_pipe() {
    let folder = Folder::new();
    let disk = disk(3 << 20);
    folder.images(&disk);
    folder.sh("mkdir scratch");
    for image in IMAGES {
        folder.sh(&format!(
            "i={image}; gzip -k $i; bzip2 -k $i; xz -k0 $i; zstd -qk $i; tar -cf $i.tar $i; tar -czf $i.tgz $i"
        ));
        let unpacked = folder.read(image).len() as u64;
        for (suffix, is_packed) in [
            ("", false),
            (".tar", false),
            (".gz", true),
            (".bz2", true),
            (".xz", true),
            (".zst", true),
            (".tgz", true),
        ] {
            let file = format!("{image}{suffix}");
            let arguments =
                ["convert", &file, "t.raw", "--verify", "--json", "--scratch", "scratch"];
            let from_file = folder.json(&arguments);
            assert!(folder.read("t.raw") == disk, "{file}");
            let packed = folder.read(&file);
            let arguments = [&["convert", "-", "t.raw", "--force"], &arguments[3..]].concat();
            let from_pipe = folder.run_with(&arguments, &packed).coded(0).json();
            assert!(folder.read("t.raw") == disk, "{file}");
            for (summary, through_scratch) in [(&from_file, is_packed), (&from_pipe, true)] {
                let bytes = summary["source"]["scratch"].as_u64();
                assert_eq!(bytes.is_some(), through_scratch, "{file}");
                assert!(bytes.is_none_or(|bytes| bytes >= unpacked), "{file}");
                assert_eq!(summary["source"]["file_size"], packed.len(), "{file}");
                assert_eq!(summary["source"]["virtual_size"], 3 << 20, "{file}");
            }
            for command in ["check", "map", "digest"] {
                folder.done(&[command, &file]);
            }
            folder.done(&["compare", "--strict", &file, "disk.raw"]);
            folder.sh("rm t.raw");
        }
        let told = folder.done(&["convert", &format!("{image}.gz"), "t.raw"]);
        assert!(told.stdout().contains("to a scratch file"), "{}", told.stdout());
        // Its places in the scratch file are nobody's.
        let map = folder.json(&["map", "--json", &format!("{image}.gz")]);
        assert!(map.as_array().unwrap().iter().all(|entry| entry["file"].is_null()), "{map}");
        folder.sh("rm t.raw");
    }
    folder.sh("rmdir scratch");
}

#[test]
fn what_is_beside_a_disk_in_a_compressed_archive_is_found_there() {
    let folder = Folder::new();
    let disk = disk(3 << 20);
    folder.images(&disk);
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-b", "d.qcow2", "-F", "qcow2", "top.qcow2"]);
    for kind in ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        let file = format!("{kind}.vmdk");
        let option = format!("subformat={kind}");
        folder.qemu_img(&["convert", "-O", "vmdk", "-o", &option, "disk.raw", &file]);
    }
    folder.sh(
        "mkdir box; cp d.qcow2 box/box.img; echo '{}' > box/metadata.json; echo x > box/Vagrantfile
        mkdir -p image/blobs/sha256 disk; cp d.qcow2 disk/disk.img; tar -czf image/blobs/sha256/ab12 disk
        echo '{}' > image/index.json; echo '{}' > image/blobs/sha256/cd34; echo '{}' > image/oci-layout",
    );
    for (name, members) in [
        ("chain", "top.qcow2 d.qcow2"),
        ("niahc", "d.qcow2 top.qcow2"),
        ("flat", "monolithicFlat-flat.vmdk monolithicFlat.vmdk"),
        ("talf", "monolithicFlat.vmdk monolithicFlat-flat.vmdk"),
        ("split-sparse", "twoGbMaxExtentSparse*"),
        ("split-flat", "twoGbMaxExtentFlat*"),
        ("vagrant", "-C box metadata.json Vagrantfile box.img"),
        ("container", "-C image blobs index.json oci-layout"),
    ] {
        folder.sh(&format!("tar -cf {name}.tar {members}; tar -czf {name}.tgz {members}"));
        for file in [format!("{name}.tar"), format!("{name}.tgz")] {
            folder.done(&["convert", "-q", &file, "t.raw"]);
            assert!(folder.read("t.raw") == disk, "{file}");
            folder
                .run_with(&["convert", "-q", "--force", "-", "t.raw"], &folder.read(&file))
                .coded(0);
            assert!(folder.read("t.raw") == disk, "{file}");
            folder.sh("rm t.raw");
        }
    }
    // Only what is in the archive is beside the disk in it.
    folder.sh("cp d.qcow2 elsewhere; tar -czf lone.tgz top.qcow2; rm lone -f");
    folder.run(&["convert", "lone.tgz", "t.raw"]).failed(5, &["d.qcow2", "not in the archive"]);
    folder.sh("mkdir sub; qemu-img create -q -f qcow2 -u -b ../d.qcow2 -F qcow2 sub/up.qcow2 3M; tar -czf up.tgz sub d.qcow2");
    folder.run(&["convert", "up.tgz", "t.raw", "--disk", "1"]).failed(3, &["not beside the image"]);
    // Two that do not name one another are still two.
    folder.sh("tar -czf two.tgz d.qcow2 d.vdi");
    folder.run(&["convert", "two.tgz", "t.raw"]).failed(2, &["--disk", "1 d.qcow2", "2 d.vdi"]);
    folder.done(&["convert", "-q", "two.tgz", "t.raw", "--disk", "2"]);
    assert!(folder.read("t.raw") == disk);
}

#[test]
fn a_scratch_file_is_bounded() {
    let folder = Folder::new();
    folder.images(&disk(3 << 20));
    folder.sh("gzip -k d.qcow2; tar -czf bomb.tgz d.qcow2; truncate -s 3G zeros; tar -czf zeros.tgz d.qcow2 zeros; rm zeros");
    for file in ["d.qcow2.gz", "bomb.tgz", "zeros.tgz"] {
        let bounded = ["convert", file, "t.raw", "--limit", "unpacked=1M"];
        folder.run(&bounded).failed(6, &[file, "--limit unpacked="]);
        folder.run_with(&["digest", "-", "--limit", "unpacked=1M"], &folder.read(file)).coded(6);
    }
    folder.run(&["convert", "d.qcow2.gz", "t.raw", "--scratch", "nowhere"]).failed(5, &["nowhere"]);
    folder.run(&["convert", "d.qcow2.gz", "t.raw", "--scratch", "d.vdi"]).failed(5, &["d.vdi"]);
    // A disk that can be read in order needs none.
    folder.sh("gzip -k disk.raw");
    folder.done(&["convert", "-q", "disk.raw.gz", "t.raw", "--scratch", "nowhere"]);
    // Nor does info, which says so.
    let info = folder.json(&["info", "--json", "d.qcow2.gz"]);
    assert_eq!(
        (&info["format"], &info["virtual_size"]),
        (&"qcow2".into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&info["wrapping"], &info["scratch"]),
        (&serde_json::json!(["gzip"]), &serde_json::Value::Null)
    );
    assert!(info["warnings"][0].as_str().unwrap().contains("unpacked"), "{info}");
    folder.run_with(&["info", "-"], &folder.read("d.qcow2")).failed(3, &["pipe"]);
}

/// A file system of its own, which is full soon.
struct Tmpfs<'a>(&'a Folder);

impl<'a> Tmpfs<'a> {
    fn new(folder: &'a Folder, size: &str) -> Self {
        folder.sh(&format!("mkdir small; mount -t tmpfs -o size={size} none small"));
        Self(folder)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        self.0.sh("umount small; rmdir small");
    }
}

#[test]
fn a_tenth_of_the_scratch_file_system_stays_free() {
    if !rustix::process::geteuid().is_root() {
        // Only root mounts; CI is.
        assert!(std::env::var_os("CI").is_none(), "CI must be root, to mount a small file system");
        return;
    }
    let folder = Folder::new();
    // Of the 3 MiB that the image has, a third are zeros.
    folder.images(&disk(3 << 20));
    folder.sh("gzip -k d.qcow2");
    for (size, code, text) in [("16m", 0, ""), ("2200k", 6, "--scratch DIR"), ("1m", 6, "a tenth")]
    {
        let _small = Tmpfs::new(&folder, size);
        let arguments = ["convert", "-q", "d.qcow2.gz", "t.raw", "--scratch", "small"];
        match code {
            0 => _ = folder.done(&arguments),
            code => _ = folder.run(&arguments).failed(code, &["small", text]),
        }
        folder.sh("test -z \"$(ls -A small)\"; rm -f t.raw");
    }
    let _small = Tmpfs::new(&folder, "1m");
    folder.sh("head -c 2M /dev/urandom > small/rest || true");
    let arguments = ["convert", "-q", "d.qcow2.gz", "t.raw", "--scratch", "small"];
    folder.run(&arguments).failed(5, &["small", "space"]);
}

#[test]
fn nothing_is_left_of_it_however_the_process_ends() {
    let folder = Folder::new();
    folder.images(&disk(3 << 20));
    folder.sh("mkdir scratch; gzip -c d.qcow2 | head -c 1000000 > part");
    for signal in ["INT", "TERM", "KILL"] {
        // It waits for the rest, which never comes, in the middle of its scratch file.
        let arguments = ["digest", "-", "--scratch", "scratch"];
        let mut child = folder.command(&arguments).stdin(Stdio::piped()).start().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, &folder.read("part")).unwrap();
        let has_scratch = || {
            let own = format!("/proc/{}/fd", child.id());
            let open = std::fs::read_dir(own)
                .unwrap()
                .filter_map(|it| std::fs::read_link(it.unwrap().path()).ok());
            open.into_iter()
                .any(|to| to.starts_with(folder.path("scratch").canonicalize().unwrap()))
        };
        let begun = std::time::Instant::now();
        while !has_scratch() {
            assert!(begun.elapsed().as_secs() < 60, "no scratch file");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(std::fs::read_dir(folder.path("scratch")).unwrap().count(), 0);
        folder.sh(&format!("kill -{signal} {}", child.id()));
        let begun = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed().as_secs() < 60, "{signal} does not end it");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        drop(stdin);
        assert_eq!(std::fs::read_dir(folder.path("scratch")).unwrap().count(), 0, "{signal}");
    }
}
