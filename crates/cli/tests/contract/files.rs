//! Files that an image refers to.

use std::fs;
use std::os::unix::fs::symlink;

use diskferry_testkit::child::{Bounded, command};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Folder, disk};

/// A folder with `base.raw`, and `mid.qcow2` and `top.qcow2` over it.
fn chain() -> Folder {
    let folder = Folder::new();
    folder.write("base.raw", &disk(1 << 20));
    for (image, backing, format) in
        [("mid.qcow2", "base.raw", "raw"), ("top.qcow2", "mid.qcow2", "qcow2")]
    {
        folder.qemu_img(&["create", "-q", "-f", "qcow2", "-b", backing, "-F", format, image]);
    }
    folder
}

/// An image whose backing file has this name.
fn naming(folder: &Folder, image: &str, backing: &str, format: Option<&str>) {
    folder.qemu_img(&["create", "-q", "-f", "qcow2", image, "1M"]);
    let stated = format.unwrap_or("raw");
    folder.qemu_img(&["rebase", "-u", "-f", "qcow2", "-b", backing, "-F", stated, image]);
    if format.is_none() {
        // qemu-img makes no such images any more. An unknown header extension is ignored.
        let mut bytes = folder.read(image);
        let at = bytes.windows(4).position(|word| word == BACKING_FORMAT).unwrap();
        bytes[at..at + 4].copy_from_slice(b"none");
        folder.write(image, &bytes);
    }
}

/// The header extension that states the backing file's format.
const BACKING_FORMAT: [u8; 4] = 0xe279_2aca_u32.to_be_bytes();

#[test]
fn a_chain_is_read_through_and_shown() {
    let folder = chain();
    folder.done(&["convert", "top.qcow2", "flat.raw", "--verify"]);
    assert_eq!(folder.read("flat.raw"), disk(1 << 20));
    let info = folder.json(&["info", "--json", "top.qcow2"]);
    let files: Vec<_> =
        info["chain"].as_array().unwrap().iter().map(|link| &link["file"]).collect();
    assert_eq!(files, ["top.qcow2", "mid.qcow2", "base.raw"]);
    assert_eq!(info["chain"][2]["format"], "raw");
    let ended = folder.done(&["info", "top.qcow2"]);
    assert!(ended.stdout().contains("mid.qcow2 (qcow2, 1 MiB)"), "{}", ended.stdout());
    let outside = Folder::new();
    let top = folder.path("top.qcow2").display().to_string();
    outside.done(&["convert", &top, "flat.raw"]);
}

#[test]
fn no_file_of_the_chain_becomes_the_target() {
    let folder = chain();
    for target in ["base.raw", "mid.qcow2"] {
        folder
            .run(&["convert", "top.qcow2", target, "--force"])
            .failed(2, &[target, "which the source needs"]);
    }
    folder.qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        "data_file=data.bin",
        "ext.qcow2",
        "1M",
    ]);
    folder
        .run(&["convert", "ext.qcow2", "data.bin", "-O", "raw", "--force"])
        .failed(2, &["data.bin", "which the source needs"]);
}

#[test]
fn only_plain_names_beside_the_image_are_opened() {
    let folder = Folder::new();
    let outside = Folder::new();
    outside.write("secret", &disk(1 << 20));
    fs::create_dir(folder.path("sub")).unwrap();
    fs::write(folder.path("sub/base.raw"), disk(1 << 20)).unwrap();
    symlink(outside.path("secret"), folder.path("link.raw")).unwrap();
    let secret = outside.path("secret").display().to_string();
    for (name, hint) in [
        (secret.as_str(), true),
        ("sub/base.raw", true),
        ("./sub/base.raw", true),
        ("link.raw", true),
        (
            "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}}",
            true,
        ),
        ("json:{\"driver\":\"raw\",\"offset\":512,\"file\":{\"filename\":\"base.raw\"}}", false),
        ("nbd://localhost/disk", false),
        ("file:/etc/passwd", true),
    ] {
        let _ = fs::remove_file(folder.path("a.qcow2"));
        naming(&folder, "a.qcow2", name, Some("raw"));
        let ended = folder.run(&["convert", "a.qcow2", "t.raw"]).failed(3, &["a.qcow2"]);
        assert_eq!(ended.stderr.contains("--allow-path DIR"), hint, "{}", ended.stderr);
        assert!(!folder.exists("t.raw"));
        let info = folder.json(&["info", "--json", "a.qcow2"]);
        assert!(info["chain"][1]["error"].is_string(), "{name}");
        assert_eq!(info["warnings"].as_array().unwrap().len(), 1, "{name}");
    }
}

#[test]
fn a_folder_can_be_allowed() {
    let folder = Folder::new();
    fs::create_dir(folder.path("bases")).unwrap();
    fs::create_dir(folder.path("other")).unwrap();
    fs::write(folder.path("bases/base.raw"), disk(1 << 20)).unwrap();
    let absolute = folder.path("bases/base.raw").display().to_string();
    for name in ["bases/base.raw", &absolute] {
        let _ = fs::remove_file(folder.path("a.qcow2"));
        naming(&folder, "a.qcow2", name, Some("raw"));
        let with = |allowed| {
            folder.run(&["convert", "a.qcow2", "t.raw", "--force", "--allow-path", allowed])
        };
        with("other").failed(3, &["--allow-path"]);
        with("bases").coded(0);
        assert_eq!(folder.read("t.raw"), disk(1 << 20));
        folder.done(&["digest", "a.qcow2", "--allow-path", "other", "--allow-path", "bases"]);
    }
}

#[test]
fn pipes_and_devices_are_no_backing_files() {
    let folder = Folder::new();
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    naming(&folder, "a.qcow2", "pipe", Some("raw"));
    folder.run(&["convert", "a.qcow2", "t.raw"]).failed(3, &["a.qcow2", "pipe"]);
    naming(&folder, "b.qcow2", "/dev/zero", Some("raw"));
    folder.run(&["convert", "b.qcow2", "t.raw"]).failed(3, &["/dev/zero"]);
    folder.run(&["convert", "b.qcow2", "t.raw", "--allow-path", "/dev"]).failed(3, &["/dev/zero"]);
}

#[test]
fn a_link_to_a_pipe_and_a_character_device_are_no_sources() {
    let folder = Folder::new();
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for (link, to) in [("to-pipe", "pipe"), ("to-zero", "/dev/zero")] {
        symlink(to, folder.path(link)).unwrap();
    }
    // Opening the pipe would wait for ever.
    for source in ["to-pipe", "to-zero", "/dev/zero"] {
        for command in [&["convert", source, "t.raw"][..], &["info", source], &["digest", source]] {
            folder.run(command).failed(3, &[source, "pipe"]);
        }
    }
    // These lead to pipes, too, by their own names.
    for source in ["/dev/stdin", "/proc/self/fd/0"] {
        folder.run_with(&["convert", source, "t.raw", "--force"], &disk(1 << 20)).coded(0);
        assert_eq!(folder.read("t.raw"), disk(1 << 20));
    }
}

#[test]
fn what_a_killed_run_left_is_told_of() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    let left = "t.raw.0a1b2c3d.diskferry-partial";
    folder.write(left, b"");
    folder.write("u.raw.0a1b2c3d.diskferry-partial", b"");
    for arguments in [&["convert", "a.raw", "t.raw"][..], &["convert", "a.raw", "t.raw", "--force"]]
    {
        let ended = folder.done(arguments);
        let note = format!("diskferry: warning: {left}: what a killed run left of this target");
        assert!(ended.stderr.starts_with(&note), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    assert!(folder.exists(left));
}

#[test]
fn what_is_missing_is_an_error_of_input_that_names_both() {
    let folder = Folder::new();
    naming(&folder, "a.qcow2", "gone.raw", Some("raw"));
    for command in
        [&["convert", "a.qcow2", "t.raw"][..], &["digest", "a.qcow2"], &["map", "a.qcow2"]]
    {
        folder.run(command).failed(5, &["a.qcow2", "backing file", "gone.raw"]);
    }
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-o", "data_file=data.bin", "e.qcow2", "1M"]);
    fs::remove_file(folder.path("data.bin")).unwrap();
    folder.run(&["convert", "e.qcow2", "t.raw"]).failed(5, &["e.qcow2", "data file", "data.bin"]);
    let info = folder.json(&["info", "--json", "e.qcow2"]);
    assert!(info["warnings"][0].as_str().unwrap().contains("data.bin"));
}

#[test]
fn a_chain_that_comes_back_or_never_ends_is_refused() {
    let folder = Folder::new();
    naming(&folder, "a.qcow2", "b.qcow2", Some("qcow2"));
    naming(&folder, "b.qcow2", "a.qcow2", Some("qcow2"));
    naming(&folder, "self.qcow2", "self.qcow2", Some("qcow2"));
    folder.run(&["convert", "a.qcow2", "t.raw"]).failed(4, &["b.qcow2", "comes back to 'a.qcow2'"]);
    folder.run(&["convert", "self.qcow2", "t.raw"]).failed(4, &["comes back"]);
    let mut image = Vec::new();
    for layer in 0..70 {
        let name = format!("layer{layer}.qcow2");
        if layer == 0 {
            naming(&folder, &name, "layer00000.qcow2", Some("qcow2"));
            image = folder.read(&name);
            continue;
        }
        let below = format!("layer{:05}.qcow2", layer - 1);
        let at = image.windows(16).position(|bytes| bytes == b"layer00000.qcow2").unwrap();
        let mut bytes = image.clone();
        bytes[at..at + 16].copy_from_slice(below.as_bytes());
        folder.write(&format!("layer{layer:05}.qcow2"), &bytes);
    }
    folder
        .run(&["convert", "layer00069.qcow2", "t.raw"])
        .failed(6, &["layer00069.qcow2", "64 layers"]);
}

#[test]
fn a_stated_format_is_obeyed_and_an_unknown_one_is_refused() {
    let folder = Folder::new();
    // A guest has written a qcow2 header, which names a backing file, into its raw disk.
    folder.write("secret.raw", b"secret");
    naming(&folder, "guest.raw", "secret.raw", Some("raw"));
    let guest = folder.read("guest.raw");
    naming(&folder, "a.qcow2", "guest.raw", Some("raw"));
    folder.done(&["convert", "a.qcow2", "t.raw"]);
    assert!(folder.read("t.raw").starts_with(&guest));
    naming(&folder, "b.qcow2", "guest.raw", Some("parallels"));
    folder.run(&["convert", "b.qcow2", "u.raw"]).failed(3, &["b.qcow2", "parallels"]);
}

#[test]
fn a_format_that_is_not_stated_is_found_by_content_with_a_warning() {
    let folder = Folder::new();
    folder.write("base.raw", &disk(1 << 20));
    naming(&folder, "a.qcow2", "base.raw", None);
    let ended = folder.done(&["convert", "a.qcow2", "t.raw"]);
    assert_eq!(folder.read("t.raw"), disk(1 << 20));
    assert!(ended.stderr.starts_with("diskferry: warning: a.qcow2: "), "{}", ended.stderr);
    let summary = folder.json(&["convert", "a.qcow2", "u.raw", "--json"]);
    assert_eq!(summary["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn snapshots_are_sources() {
    let folder = Folder::new();
    folder.write("old.raw", &disk(1 << 20));
    folder.qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "old.raw", "a.qcow2"]);
    folder.qemu_img(&["snapshot", "-c", "before", "a.qcow2"]);
    let status = command("qemu-io")
        .args(["-f", "qcow2", "-c", "write -q -P 7 0 64k", "a.qcow2"])
        .current_dir(folder.root())
        .run_aloud()
        .expect("these tests need qemu-io (Debian: qemu-utils)");
    assert!(status.success());
    folder.done(&["convert", "a.qcow2", "new.raw", "--verify"]);
    folder.done(&["convert", "a.qcow2", "before.raw", "--verify", "--snapshot", "before"]);
    assert_eq!(folder.read("before.raw"), disk(1 << 20));
    assert!(folder.read("new.raw").starts_with(&[7; 65536]));
    folder.done(&["compare", "--snapshot", "1", "a.qcow2", "old.raw"]);
    folder.run(&["compare", "a.qcow2", "old.raw"]).coded(1);
    let info = folder.json(&["info", "--json", "a.qcow2"]);
    assert_eq!(info["snapshots"][0]["name"], "before");
    assert_eq!(info["snapshots"][0]["id"], "1");
    assert!(folder.done(&["info", "a.qcow2"]).stdout().contains("before"));
}

#[test]
fn a_parent_can_be_given_to_every_command() {
    let (folder, elsewhere) = (Folder::new(), chain());
    naming(&folder, "a.qcow2", "D:\\vm\\mid.qcow2", Some("qcow2"));
    let parent = elsewhere.path("mid.qcow2").display().to_string();
    folder.write("plain.raw", &disk(1 << 20));
    let with = ["--backing", &parent];
    for command in [
        &["convert", "a.qcow2", "t.raw"][..],
        &["digest", "a.qcow2"],
        &["map", "a.qcow2"],
        &["info", "a.qcow2"],
        &["check", "a.qcow2"],
        &["compare", "a.qcow2", "plain.raw"],
        &["compare", "plain.raw", "a.qcow2", "--backing-b", &parent],
    ] {
        let arguments = match command.last() {
            Some(last) if *last == parent => command.to_vec(),
            _ => [command, &with].concat(),
        };
        folder.done(&arguments);
    }
    assert_eq!(folder.read("t.raw"), disk(1 << 20));
    // An image over another is not what an import takes; which, it says.
    folder.run(&["preflight", "--for", "proxmox", "a.qcow2", "--backing", &parent]).coded(1);
    let info = folder.json(&["info", "--json", "a.qcow2", "--backing", &parent]);
    let files: Vec<_> =
        info["chain"].as_array().unwrap().iter().map(|link| link["file"].clone()).collect();
    assert_eq!(
        files,
        ["a.qcow2".to_owned(), parent.clone(), elsewhere.path("base.raw").display().to_string()]
    );
    for command in [
        &["convert", "plain.raw", "t.qcow2"][..],
        &["digest", "plain.raw"],
        &["map", "plain.raw"],
        &["info", "plain.raw"],
        &["check", "plain.raw"],
        &["compare", "plain.raw", "plain.raw"],
        &["preflight", "--for", "proxmox", "plain.raw"],
    ] {
        folder.run(&[command, &with].concat()).failed(2, &["plain.raw", "no parent"]);
    }
    let ended = folder.run_with(&["digest", "-", "--backing", &parent], &disk(1 << 20));
    ended.failed(2, &["stdin", "parent"]);
    folder.run(&["digest", "a.qcow2", "--backing", "gone"]).failed(5, &["gone"]);
    folder.run(&["info", "a.qcow2", "--backing", "gone"]).failed(5, &["gone"]);
}

#[test]
fn what_a_machine_has_open_for_writing_is_refused_by_every_command() {
    let folder = chain();
    let mut holder = command("qemu-io")
        .args(["-f", "qcow2", "top.qcow2"])
        .current_dir(folder.root())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .start()
        .expect("these tests need qemu-io (Debian: qemu-utils)");
    // It asks for commands when it has its locks; should it never, it is ended.
    let mut prompt = [0; 8];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut prompt).unwrap();
    let commands = [
        &["convert", "top.qcow2", "t.raw", "--force"][..],
        &["digest", "top.qcow2"],
        &["map", "top.qcow2"],
        &["info", "top.qcow2"],
        &["check", "top.qcow2"],
        &["compare", "top.qcow2", "base.raw"],
        &["compare", "base.raw", "top.qcow2"],
    ];
    let preflight = ["preflight", "--for", "proxmox", "top.qcow2"];
    folder.run(&preflight).failed(5, &["top.qcow2", "open for writing"]);
    folder.run(&[&preflight[..], &["-U"]].concat()).coded(1);
    for command in commands {
        let ended = folder.run(command);
        let read = folder.run(&[command, &["-U"]].concat());
        // What others only read is read.
        let base = folder.run(&["info", "base.raw"]);
        ended.failed(5, &["top.qcow2", "open for writing", "-U"]);
        assert_eq!((read.code, base.code), (Some(0), Some(0)), "{read:?}");
        let told = if command[0] == "info" { read.stdout() } else { &read.stderr };
        assert!(told.contains("may be torn"), "{read:?}");
    }
    assert_eq!(folder.read("t.raw"), disk(1 << 20));
    drop(holder);
    for command in commands {
        folder.done(command);
    }
}
