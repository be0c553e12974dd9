//! What is no disk is never made into one, and an honest raw disk is never turned away.

use super::{Folder, disk};

/// What other programs made, in files and in order, under its own name, under a raw disk's and in wrappers.
#[test]
fn what_is_no_disk_is_refused_by_its_name() {
    let folder = Folder::new();
    folder.write("part.raw", &disk(1 << 20));
    folder.sh("set -e
        python3 -m zipfile -c a.zip part.raw
        7zz a -bd -y a.7z part.raw >/dev/null
        echo part.raw | cpio --quiet -o -H newc >new.cpio
        echo part.raw | cpio --quiet -o -H odc >odc.cpio
        echo part.raw | cpio --quiet -o -H bin >bin.cpio
        ar rc a.a part.raw
        lz4 -q part.raw a.lz4; lz4 -q -l part.raw legacy.lz4
        lzip -kc part.raw >a.lz
        xz -kc --format=lzma part.raw >a.lzma
        truncate -s 4M whole.raw; img2simg whole.raw android.img
        cp /bin/ls program
        python3 -c 'import sqlite3; d = sqlite3.connect(\"a.sqlite\"); d.execute(\"create table t (a)\"); d.commit()'
        python3 -c 'import wave; w = wave.open(\"a.wav\", \"wb\"); w.setparams((1, 2, 8000, 0, \"NONE\", \"\")); w.writeframes(bytes(9000))'
        sha256sum part.raw >sums
        for format in qed vhdx parallels; do qemu-img create -q -f $format a.$format 8M; done
        printf 'VMA\\0\\0\\0\\0\\1' >a.vma; truncate -s 64K a.vma
        printf '\\0\\0\\0\\040ftypisom\\0\\0\\2\\0isomiso2avc1mp41' >a.mp4; head -c 200000 part.raw >>a.mp4
        printf '<!DOCTYPE html>\\n<html><head><title>404 Not Found</title></head></html>\\n' >page.html
        printf '<?xml version=\"1.0\"?>\\n<Error><Code>AccessDenied</Code></Error>' >answer.xml
        printf '<?xml version=\"1.0\"?>\\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\">' >a.ovf
        printf '.encoding = \"UTF-8\"\\nconfig.version = \"8\"\\nvirtualHW.version = \"19\"\\n' >a.vmx
        printf '%%PDF-1.7\\n%%\\342\\343\\317\\323\\n' >a.pdf
        head -c 1000000 part.raw >a.dmg; printf 'koly\\0\\0\\0\\4\\0\\0\\2\\0' >>a.dmg; truncate -s 1000512 a.dmg");
    for (file, what) in [
        ("a.zip", "a zip archive, and no disk; unpack it"),
        ("a.7z", "a 7-Zip archive"),
        ("new.cpio", "a cpio archive"),
        ("odc.cpio", "a cpio archive"),
        ("bin.cpio", "a cpio archive"),
        ("a.a", "an ar archive"),
        ("a.lz4", "a file that lz4 compressed"),
        ("legacy.lz4", "a file that lz4 compressed"),
        ("a.lz", "a file that lzip compressed"),
        ("a.lzma", "a file that lzma compressed"),
        ("android.img", "a sparse image of Android, and no disk; simg2img"),
        ("program", "an ELF file"),
        ("a.sqlite", "an SQLite database"),
        ("a.wav", "a recording"),
        ("sums", "a list of checksums"),
        ("a.qed", "a QED image"),
        ("a.vhdx", "a VHDX image"),
        ("a.parallels", "a Parallels image"),
        ("a.vma", "a backup of Proxmox VE (VMA), and no disk; vma extract"),
        ("a.mp4", "an MP4 or QuickTime recording"),
        ("page.html", "a page of HTML, and no disk; it may be what a server sent"),
        ("answer.xml", "what an object store answers"),
        ("a.vmx", "the description of a VMware machine"),
        ("a.pdf", "a PDF document"),
    ] {
        let bytes = folder.read(file);
        folder.sh(&format!("cp {file} member; cp {file} disk.qcow2; cp {file} disk.raw; gzip -kf disk.raw disk.qcow2
            tar -cf disk.tar member; tar -czf disk.tar.gz member"));
        for name in
            ["disk.raw", "disk.qcow2", "disk.raw.gz", "disk.qcow2.gz", "disk.tar", "disk.tar.gz"]
        {
            let ended = folder.run(&["convert", name, "out.raw"]).failed(3, &[name, what]);
            // It would not help.
            assert!(!ended.stderr.contains("-f raw"), "{}", ended.stderr);
        }
        folder.run_with(&["convert", "-", "out.raw"], &bytes).failed(3, &["stdin: ", what]);
        assert!(!folder.exists("out.raw"), "{file}");
    }
    folder
        .run_with(&["convert", "-", "out.raw"], &folder.read("a.ovf"))
        .failed(3, &["an OVF descriptor"]);
    // What only its end tells is told in order, too.
    folder.sh("cp a.dmg dmg.raw; cp a.dmg disk.qcow2; gzip -k dmg.raw; tar -cf dmg.tar a.dmg; gzip -k dmg.tar");
    for name in ["a.dmg", "dmg.raw", "disk.qcow2", "dmg.raw.gz", "dmg.tar", "dmg.tar.gz"] {
        folder.run(&["convert", name, "out.raw"]).failed(3, &[name, "a disk image of macOS (DMG)"]);
    }
    folder
        .run_with(&["convert", "-", "out.raw"], &folder.read("a.dmg"))
        .failed(3, &["a disk image of macOS (DMG)"]);
    folder.sh("cp page.html disk.qcow2; gzip -kf disk.qcow2");
    for arguments in [
        &["info", "disk.qcow2"][..],
        &["map", "disk.qcow2"],
        &["check", "disk.qcow2"],
        &["digest", "disk.qcow2"],
        &["compare", "disk.qcow2", "part.raw"],
        &["preflight", "--for", "openstack", "disk.qcow2"],
        &["preflight", "--for", "openstack", "disk.qcow2.gz"],
    ] {
        folder.run(arguments).failed(3, &["a page of HTML"]);
    }
    folder.done(&["convert", "-f", "raw", "a.zip", "out.raw"]);
    assert!(folder.read("out.raw") == folder.read("a.zip"));
}

/// A name that claims a format is believed as far as that the file is no raw disk.
#[test]
fn a_name_that_claims_a_format_is_no_raw_disks() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(1 << 20));
    folder.done(&["convert", "d.raw", "-O", "vhd", "-o", "subformat=fixed", "fixed.vhd"]);
    folder.done(&["convert", "d.raw", "good.ova"]);
    folder.sh("set -e
        for name in qcow2 vmdk vdi vhdx hdd ova tar.gz; do cp d.raw lie.$name; done
        head -c 1M fixed.vhd >cut.vhd; gzip -k cut.vhd fixed.vhd
        gzip -c d.raw >lie.qcow2.gz; gzip -c d.raw >d.raw.gz; gzip -c d.raw >lie.tgz
        : >empty.vmdk; : >empty.raw; printf 'to do\\n' >note.qcow2; printf 'to do\\n' >note.raw
        head -c 200 good.ova >cut200.ova; head -c 400 good.ova >cut400.ova; head -c 5000 good.ova >cut5000.ova
        cp d.raw x-flat.vmdk; cp d.raw x-f001.vmdk; cp d.raw no-name");
    for (name, code, text) in [
        ("lie.qcow2", 3, "named .qcow2, but without the signature of a qcow2 image"),
        ("lie.vmdk", 3, "-f raw takes it as it is"),
        ("lie.vdi", 3, "a VDI image"),
        ("lie.vhdx", 3, "a VHDX image"),
        ("lie.hdd", 3, "a Parallels image"),
        ("lie.ova", 3, "an OVA package"),
        ("lie.tar.gz", 3, "a gzip file"),
        ("lie.qcow2.gz", 3, "named .qcow2"),
        ("lie.tgz", 3, "named .tar"),
        ("cut.vhd", 3, "it may have been cut"),
        ("cut.vhd.gz", 3, "it may have been cut"),
        ("empty.vmdk", 3, "it is empty"),
        ("note.qcow2", 3, "it is text"),
        ("cut200.ova", 4, "cut after 200 bytes"),
        ("cut400.ova", 4, "a tar archive"),
        ("cut5000.ova", 4, "damaged image"),
    ] {
        folder.run(&["convert", name, "out.raw"]).failed(code, &[name, text]);
        assert!(!folder.exists("out.raw"), "{name}");
    }
    for name in ["x-flat.vmdk", "x-f001.vmdk", "no-name", "d.raw.gz", "fixed.vhd", "fixed.vhd.gz"] {
        folder.done(&["convert", name, "out.raw", "--force"]);
        assert!(folder.read("out.raw") == folder.read("d.raw"), "{name}");
    }
    folder.run_with(&["convert", "-", "out.raw", "--force"], &folder.read("lie.qcow2")).coded(0);
    folder.done(&["convert", "-f", "raw", "lie.qcow2", "out.raw", "--force"]);
    // Neither emptiness nor text nor an odd size says anything of what claims nothing.
    for name in ["empty.raw", "note.raw"] {
        folder.done(&["convert", name, "out.raw", "--force"]);
        assert!(folder.read("out.raw") == folder.read(name), "{name}");
    }
    assert!(folder.done(&["convert", "note.raw", "o.raw"]).stderr.contains("not a whole number"));
}

/// What people keep raw: tables, file systems, volumes, with whatever stands in the bytes that those leave free.
#[test]
fn an_honest_raw_disk_passes() {
    let folder = Folder::new();
    folder.sh("set -e
        export PATH=$PATH:/usr/sbin:/sbin
        mkdir files; echo hello >files/hello
        for name in ext4 btrfs f2fs ntfs exfat fat swap luks gpt mbr; do truncate -s 128M $name.img; done
        truncate -s 320M xfs.img
        mke2fs -qt ext4 ext4.img; mkfs.xfs -q xfs.img; mkfs.btrfs -q btrfs.img 2>/dev/null; mkfs.f2fs -q f2fs.img
        mkntfs -qFQ ntfs.img >/dev/null 2>&1; mkfs.exfat exfat.img >/dev/null; mkfs.fat fat.img >/dev/null
        mkswap swap.img >/dev/null
        echo secret | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks.img -
        sgdisk -n 1:2048 gpt.img >/dev/null; echo ',,83' | sfdisk -q mbr.img
        mksquashfs files squash.img -quiet -no-progress
        genisoimage -quiet -J -r -o iso.img files
        head -c 1M /dev/urandom >noise.img; truncate -s 1M zeros.img
        for name in ext4 btrfs f2fs swap iso gpt mbr; do
            cp --sparse=always $name.img $name-zip.img; cp --sparse=always $name.img $name-html.img
            printf 'PK\\003\\004' | dd of=$name-zip.img conv=notrunc status=none
            printf '<!DOCTYPE html><html>' | dd of=$name-html.img conv=notrunc status=none
        done");
    let images = folder.names().into_iter().filter(|name| name.ends_with(".img"));
    let images: Vec<String> = images.collect();
    assert!(images.len() > 25, "{images:?}");
    for name in &images {
        let json = folder.json(&["info", "--json", name]);
        assert_eq!(
            (json["format"].as_str(), json["assumed"].as_bool()),
            (Some("raw"), Some(true)),
            "{name}"
        );
        folder.sh(&format!(
            "cat {name} | {} digest - >in-order; {} digest {name} >anywhere
            test \"$(cut -d' ' -f1 in-order)\" = \"$(cut -d' ' -f1 anywhere)\"",
            env!("CARGO_BIN_EXE_diskferry"),
            env!("CARGO_BIN_EXE_diskferry")
        ));
        folder.sh(&format!("ln -sf {name} lie.vmdk"));
        folder.run(&["info", "lie.vmdk"]).failed(3, &["named .vmdk"]);
    }
    // The same bytes in front of nothing that is known are no disk's.
    folder.sh(
        "head -c 4M noise.img >none; printf 'PK\\003\\004' | dd of=none conv=notrunc status=none",
    );
    folder.run(&["info", "none"]).failed(3, &["a zip archive"]);
}

/// In an archive, what is no disk is not one of several.
#[test]
fn a_disk_is_chosen_among_what_may_be_one() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(2 << 20));
    folder.sh("set -e
        printf '\\0\\0\\0\\040ftypisom\\0\\0\\2\\0isomiso2avc1mp41' >clip.mp4; cat d.raw >>clip.mp4
        python3 -m zipfile -c notes.zip d.raw; printf '<!DOCTYPE html><html>' >index.html
        tar -cf a.tar clip.mp4 notes.zip d.raw index.html; gzip -k a.tar
        tar -cf b.tar d.raw clip.mp4; gzip -k b.tar
        tar -cf none.tar clip.mp4 notes.zip index.html; gzip -k none.tar");
    for name in ["a.tar", "a.tar.gz", "b.tar", "b.tar.gz"] {
        folder.done(&["convert", name, "out.raw", "--force"]);
        assert!(folder.read("out.raw") == folder.read("d.raw"), "{name}");
        folder.done(&["convert", "--disk", "1", name, "out.raw", "--force"]);
        folder.run(&["convert", "--disk", "2", name, "no.raw"]).coded(2);
    }
    for name in ["none.tar", "none.tar.gz"] {
        let what = "'clip.mp4' is an MP4 or QuickTime recording, and no disk";
        folder.run(&["convert", name, "no.raw"]).failed(3, &[name, what]);
    }
}

#[test]
fn the_summary_says_where_raw_was_assumed() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(1 << 20));
    folder.done(&["convert", "d.raw", "d.vhd", "-o", "subformat=fixed"]);
    folder.sh("gzip -k d.raw d.vhd");
    for (arguments, formats) in [
        (&["d.raw", "a.qcow2"][..], "raw (assumed) -> qcow2 v3"),
        (&["d.raw.gz", "b.qcow2"], "raw (assumed) -> qcow2 v3"),
        (&["-f", "raw", "d.raw", "c.qcow2"], "raw -> qcow2 v3"),
        (&["d.vhd", "d.qcow2"], "vhd fixed -> qcow2 v3"),
        (&["d.vhd.gz", "e.qcow2"], "vhd -> qcow2 v3"),
        (&["a.qcow2", "f.raw"], "qcow2 v3 -> raw"),
    ] {
        let ended = folder.done(&[&["convert"], arguments].concat());
        assert!(
            ended.stdout().contains(&format!("formats        {formats}\n")),
            "{}",
            ended.stdout()
        );
    }
    for (source, assumed) in [("d.raw", true), ("d.raw.gz", true), ("d.vhd.gz", false)] {
        let json = folder.json(&["convert", "--json", source, "g.qcow2", "--force"]);
        assert_eq!(json["source"]["assumed"].as_bool(), Some(assumed), "{source}");
    }
}

/// Whoever fills a fixed VHD up to a whole MiB leaves its footer where the disk ends.
#[test]
fn zeros_behind_the_footer_of_a_fixed_vhd_are_left_out() {
    let folder = Folder::new();
    folder.write("d.raw", &disk(1 << 20));
    folder.done(&["convert", "d.raw", "d.vhd", "-o", "subformat=fixed"]);
    folder.sh("cp d.vhd padded.vhd; truncate -s 2M padded.vhd; gzip -k padded.vhd; cp padded.vhd padded.img");
    for name in ["padded.vhd", "padded.vhd.gz", "padded.img"] {
        let ended = folder.done(&["convert", name, "out.raw", "--force"]);
        assert!(folder.read("out.raw") == folder.read("d.raw"), "{name}");
        assert!(ended.stderr.contains("zeros after the footer"), "{}", ended.stderr);
    }
    let json = folder.json(&["info", "--json", "padded.vhd"]);
    assert_eq!((json["format"].as_str(), json["subformat"].as_str()), (Some("vhd"), Some("fixed")));
    assert!(
        folder.run(&["check", "padded.vhd"]).coded(1).stdout().contains("zeros after the footer")
    );
}
