//! Being interrupted.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use diskferry_testkit::child::Bounded;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Ended, Folder, disk};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until a conversion has begun to write: it has a file open in the folder that has no name, or
/// a temporary one.
fn wait_for_begun(child: &Child, folder: &Folder) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !open_files(child, folder)
        .any(|name| name.ends_with(" (deleted)") || name.ends_with("diskferry-partial"))
    {
        assert!(Instant::now() < patience, "nothing was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The files that it has open in the folder, as the kernel shows them.
fn open_files(child: &Child, folder: &Folder) -> impl Iterator<Item = String> {
    let root = folder.root().canonicalize().unwrap().display().to_string();
    let handles = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten();
    let shown = handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok());
    shown.filter_map(move |shown| Some(shown.to_str()?.strip_prefix(&root)?.to_owned()))
}

/// Interrupts a conversion and wants it gone, without a trace, within `bound`.
fn interrupt(arguments: &[&str], signals: &[Signal], bound: Duration) {
    let folder = Folder::new();
    folder.write("a.raw", &[1; 4096]);
    let mut child = folder.command(arguments).stdin(Stdio::piped()).start().unwrap();
    // Held open: a pipe through which nothing comes.
    let stdin = child.stdin.take();
    wait_for_begun(&child, &folder);
    let begun = Instant::now();
    for signal in signals {
        send(&child, *signal);
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = Ended::of(arguments, child.into_output().unwrap());
    let target = arguments.iter().find(|argument| argument.starts_with("t.")).unwrap();
    ended.failed(130, &[target, "cancelled"]);
    assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
    assert_eq!(folder.names(), ["a.raw"]);
    drop(stdin);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_working_conversion_stops_and_leaves_nothing() {
    let arguments = ["convert", "a.raw", "t.raw", "--size", "900G", "--digest", "sha256"];
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        interrupt(&arguments, &[signal], SECOND);
    }
}

#[test]
fn a_conversion_into_several_files_leaves_none_of_them() {
    for subformat in ["subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse"] {
        let arguments =
            ["convert", "a.raw", "t.vmdk", "-o", subformat, "--size", "300G", "--digest", "sha256"];
        interrupt(&arguments, &[Signal::INT], SECOND);
    }
}

#[test]
fn a_conversion_that_waits_for_its_source_stops_and_leaves_nothing() {
    let arguments = ["convert", "-f", "raw", "-", "t.raw"];
    interrupt(&arguments, &[Signal::INT], SECOND);
}

#[test]
fn a_second_signal_does_not_wait() {
    let arguments = ["convert", "-f", "raw", "-", "t.raw"];
    interrupt(&arguments, &[Signal::INT, Signal::INT], Duration::from_millis(500));
}

#[test]
fn whatever_moment_a_signal_comes_at_it_is_answered_in_the_same_way() {
    let folder = Folder::new();
    folder.write("a.raw", &[1; 4096]);
    let convert = ["convert", "a.raw", "t.raw", "--size", "900G", "--digest", "sha256"];
    // From before the arguments are looked at to the midst of the work. A process that is only being
    // loaded has no handlers yet: there the kernel ends it.
    for delay in (0..40).map(|step| Duration::from_micros(step * step * 25)) {
        let child = folder.command(&convert).start().unwrap();
        std::thread::sleep(delay);
        let handled = wait_for_handlers(&child);
        send(&child, Signal::INT);
        let sent = Instant::now();
        let ended = Ended::of(&convert, child.into_output().unwrap());
        assert!(handled, "no handlers within 20 s");
        ended.failed(130, &["cancelled"]);
        assert!(sent.elapsed() < SECOND, "{:?} after {delay:?}", sent.elapsed());
        assert_eq!(folder.names(), ["a.raw"]);
    }
}

/// Waits until the process catches SIGINT.
fn wait_for_handlers(child: &Child) -> bool {
    let patience = Instant::now() + Duration::from_secs(20);
    while Instant::now() < patience {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        if u64::from_str_radix(caught.trim(), 16).unwrap_or(0) >> (Signal::INT.as_raw() - 1) & 1
            == 1
        {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn a_command_without_a_job_is_interrupted_in_the_same_way() {
    let folder = Folder::new();
    // A pipe that nobody opens for writing: the command waits for ever.
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for command in ["info", "map", "check"] {
        let arguments = [command, "pipe"];
        let child = folder.command(&arguments).start().unwrap();
        assert!(wait_for_handlers(&child));
        send(&child, Signal::TERM);
        Ended::of(&arguments, child.into_output().unwrap()).failed(130, &["cancelled"]);
    }
}

#[test]
fn after_kill_9_there_is_the_old_file_or_none() {
    for force in [false, true] {
        let folder = Folder::new();
        folder.write("a.raw", &[1; 4096]);
        let mut arguments = vec!["convert", "a.raw", "t.raw", "--size", "900G", "--digest", "md5"];
        let mut names = vec!["a.raw"];
        if force {
            folder.write("t.raw", b"old");
            arguments.push("--force");
            names.push("t.raw");
        }
        let mut child = folder.command(&arguments).start().unwrap();
        wait_for_begun(&child, &folder);
        child.kill().unwrap();
        child.into_status().unwrap();
        // Where the file system cannot do without, a temporary name is left that says what it is.
        let mut left = folder.names();
        left.retain(|name| !(name.starts_with("t.raw.") && name.ends_with(".diskferry-partial")));
        assert_eq!(left, names);
        if force {
            assert_eq!(folder.read("t.raw"), b"old");
        }
    }
}

#[test]
fn a_folder_that_is_renamed_meanwhile_gets_the_target_and_nothing_else() {
    let folder = Folder::new();
    for (end, code, names) in [(false, 130, &[][..]), (true, 0, &["t.raw"][..])] {
        fs::create_dir(folder.path("old")).unwrap();
        let arguments = ["convert", "-f", "raw", "-", "old/t.raw"];
        let mut child = folder.command(&arguments).stdin(Stdio::piped()).start().unwrap();
        let mut stdin = child.stdin.take();
        wait_for_begun(&child, &folder);
        fs::rename(folder.path("old"), folder.path("new")).unwrap();
        stdin.as_mut().unwrap().write_all(&[7; 4096]).unwrap();
        if end {
            stdin = None;
        } else {
            send(&child, Signal::INT);
        }
        Ended::of(&arguments, child.into_output().unwrap()).coded(code);
        let left = fs::read_dir(folder.path("new")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, names);
        drop(stdin);
        fs::remove_dir_all(folder.path("new")).unwrap();
    }
}

#[test]
fn a_folder_that_vanishes_is_an_error_of_output() {
    let folder = Folder::new();
    fs::create_dir(folder.path("gone")).unwrap();
    let arguments = ["convert", "-f", "raw", "-", "gone/t.raw"];
    let mut child = folder.command(&arguments).stdin(Stdio::piped()).start().unwrap();
    wait_for_begun(&child, &folder);
    fs::remove_dir_all(folder.path("gone")).unwrap();
    drop(child.stdin.take());
    let ended = Ended::of(&arguments, child.into_output().unwrap());
    ended.failed(5, &["gone/t.raw", "giving the file its name", "No such file"]);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_target_that_is_damaged_behind_our_back_is_noticed() {
    for (source, format) in [("-", "raw"), ("-", "qcow2")] {
        let folder = Folder::new();
        let arguments = ["convert", "-f", "raw", source, "t", "-O", format, "--verify"];
        let mut child = folder.command(&arguments).stdin(Stdio::piped()).start().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&disk(8 << 20)).unwrap();
        wait_for_begun(&child, &folder);
        let handles = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let root = folder.root().canonicalize().unwrap();
        let target = handles
            .map(|handle| handle.unwrap().path())
            .find(|handle| {
                let file = handle.metadata().is_ok_and(|metadata| metadata.is_file());
                file && fs::read_link(handle).is_ok_and(|shown| shown.starts_with(&root))
            })
            .unwrap();
        let target = fs::OpenOptions::new().read(true).write(true).open(target).unwrap();
        // Its data are at some distance from its start, in all of these formats.
        let patience = Instant::now() + Duration::from_secs(20);
        let mut byte = [0];
        while byte == [0] {
            assert!(Instant::now() < patience, "nothing was written");
            let _ = target.read_at(&mut byte, AT);
        }
        target.write_all_at(&[!byte[0]], AT).unwrap();
        drop((target, stdin));
        let ended = Ended::of(&arguments, child.into_output().unwrap());
        ended.failed(5, &["t: ", "reads back differently"]);
        assert_eq!(folder.names(), [""; 0]);
    }
}

/// Where a byte is that has long been written: incompressible data.
const AT: u64 = 1_250_003;
