//! Stdin, stdout, named pipes and devices.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use diskferry_testkit::child::{Bounded, PATIENCE, command};
use diskferry_testkit::within;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Ended, Folder, disk};

#[test]
fn a_raw_disk_comes_through_a_pipe() {
    let folder = Folder::new();
    let disk = disk(3_000_320);
    for target in ["a.raw", "a.qcow2"] {
        let ended = folder
            .run_with(&["convert", "-", target, "--verify", "--json", "--digest", "crc32"], &disk);
        let summary = ended.coded(0).json();
        assert_eq!(summary["verified"], true);
        assert_eq!(summary["source"]["file"], "stdin");
        assert_eq!(summary["source"]["virtual_size"], 3_000_320);
        assert_eq!(summary["digests"].as_object().unwrap().len(), 1);
    }
    assert_eq!(folder.read("a.raw"), disk);
    folder.done(&["compare", "--strict", "a.raw", "a.qcow2"]);
}

#[test]
fn a_disk_goes_to_stdout_and_the_summary_does_not() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    folder.write("a.raw", &disk);
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    for source in ["a.raw", "a.qcow2"] {
        for target in ["-", "/dev/stdout"] {
            let ended = folder.done(&["convert", source, target, "-O", "raw"]);
            assert_eq!(ended.bytes, disk);
            assert!(ended.stderr.contains("copied"), "{}", ended.stderr);
        }
    }
    let ended = folder.done(&["convert", "a.raw", "-", "-O", "raw", "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(summary["target"]["file"], "stdout");
    folder.run(&["convert", "a.raw", "-"]).failed(2, &["-O"]);
    folder.run(&["convert", "a.raw", "-", "-O", "raw", "--verify"]).failed(2, &["--verify"]);
}

#[test]
fn through_two_pipes_nothing_changes() {
    let folder = Folder::new();
    let disk = disk(2 << 20);
    let ended = folder.run_with(&["convert", "-", "-", "-O", "raw", "-q"], &disk).coded(0);
    assert_eq!(ended.bytes, disk);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_qcow2_comes_through_a_pipe_and_stdin_may_be_a_file() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1 << 20));
    folder.done(&["convert", "a.raw", "a.qcow2"]);
    let image = folder.read("a.qcow2");
    let summary = folder.run_with(&["convert", "-", "p.raw", "--json"], &image).coded(0).json();
    assert_eq!(summary["source"]["scratch"], image.len());
    assert_eq!(folder.read("p.raw"), disk(1 << 20));
    folder.run_with(&["convert", "-f", "qcow2", "-", "t.raw"], b"").failed(4, &["stdin"]);
    folder.run_with(&["info", "-"], b"x").failed(3, &["stdin"]);
    folder.run_with(&["convert", "-f", "raw", "-", "copy.raw"], &image).coded(0);
    assert_eq!(folder.read("copy.raw"), image);

    let arguments = ["convert", "-", "t.raw"];
    let stdin = File::open(folder.path("a.qcow2")).unwrap();
    Ended::of(&arguments, folder.command(&arguments).stdin(stdin).run().unwrap()).coded(0);
    assert_eq!(folder.read("t.raw"), disk(1 << 20));

    // Somebody has read from it: the disk is what is left.
    let arguments = ["convert", "-", "rest.raw"];
    let mut stdin = File::open(folder.path("a.raw")).unwrap();
    stdin.seek(SeekFrom::Start(512)).unwrap();
    Ended::of(&arguments, folder.command(&arguments).stdin(stdin).run().unwrap()).coded(0);
    assert_eq!(folder.read("rest.raw"), disk(1 << 20)[512..]);
}

#[test]
fn a_stream_can_be_given_a_size() {
    let folder = Folder::new();
    let disk = disk(300_000);
    let ended = folder.run_with(&["convert", "-", "a.raw", "--size", "1M", "--verify"], &disk);
    assert!(ended.coded(0).stderr.contains("ended after 300000 bytes"));
    let mut padded = disk.clone();
    padded.resize(1 << 20, 0);
    assert_eq!(folder.read("a.raw"), padded);
    folder
        .run_with(
            &["convert", "-", "b.raw", "--size", "1M", "--allow-shrink", "--verify"],
            &[padded, vec![0; 5 << 20]].concat(),
        )
        .coded(0);
    assert_eq!(folder.read("b.raw").len(), 1 << 20);
    for arguments in [
        &["convert", "-", "c.raw", "--size", "100K"][..],
        &["convert", "-", "c.raw", "--size", "50K", "--allow-shrink"],
    ] {
        folder.run_with(arguments, &disk).failed(2, &["stdin"]);
        assert_eq!(folder.names(), ["a.raw", "b.raw"]);
    }
}

#[test]
fn named_pipes_are_sources_and_targets() {
    let folder = Folder::new();
    let disk = disk(1 << 20);
    for name in ["in", "out"] {
        mknodat(CWD, folder.path(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let convert = || {
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(folder.path("in"), &disk).unwrap());
            let read = scope.spawn(|| fs::read(folder.path("out")).unwrap());
            let ended = folder.run(&["convert", "in", "out", "-O", "raw"]);
            assert_eq!(read.join().unwrap(), disk);
            ended
        })
    };
    // Who opens a pipe waits for the other end.
    let ended = within(PATIENCE, "a conversion between pipes", convert);
    assert!(ended.coded(0).stdout().contains("in -> out"));
    assert_eq!(folder.names(), ["in", "out"]);
}

#[test]
fn nobody_listening_is_an_error_for_data_and_none_for_talk() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(4 << 20));
    let cut = |arguments: &[&str]| {
        let mut child = folder.command(arguments).start().unwrap();
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        Ended::of(arguments, child.into_output().unwrap())
    };
    cut(&["convert", "a.raw", "-", "-O", "raw"]).failed(5, &["stdout", "Broken pipe"]);
    let mut many = vec!["digest", "-a", "crc32"];
    many.extend(std::iter::repeat_n("a.raw", 50));
    let ended = cut(&many).coded(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let folder = Folder::new();
    folder.write("a.raw", &vec![1; 4 << 20]);
    folder
        .run(&["convert", "a.raw", "/dev/full", "-O", "raw"])
        .failed(5, &["/dev/full", "No space left"]);
    // A limit on the size of files is what a test can have of a full disk.
    let limited = "ulimit -f 100; exec \"$0\" \"$@\"";
    let arguments = ["convert", "a.raw", "b.raw"];
    let output = command("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_diskferry")])
        .args(arguments)
        .current_dir(folder.root())
        .run()
        .unwrap();
    Ended::of(&arguments, output).failed(5, &["b.raw", "File too large"]);
    assert_eq!(folder.names(), ["a.raw"]);
}

#[test]
fn a_standard_stream_that_is_closed_is_no_empty_disk_and_no_target() {
    let folder = Folder::new();
    folder.write("a.raw", &disk(1000));
    let program = env!("CARGO_BIN_EXE_diskferry");
    for (line, name) in [
        ("convert -O raw - b.raw <&-", "stdin"),
        ("digest - <&-", "stdin"),
        ("convert -O raw a.raw - >&-", "stdout"),
    ] {
        let line = format!("'{program}' {line}");
        let output = command("sh").args(["-c", &line]).current_dir(folder.root()).run().unwrap();
        Ended::of(&[&line], output).failed(5, &[name, "it is closed"]);
    }
    assert_eq!(folder.names(), ["a.raw"]);
}
