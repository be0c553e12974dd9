//! Being interrupted.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Ended, Folder};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until a conversion has begun to write.
fn wait_for_partial(folder: &Folder) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !folder.names().iter().any(|name| name.ends_with("diskferry-partial")) {
        assert!(Instant::now() < patience, "nothing was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Interrupts a conversion and wants it gone, without a trace, within `bound`.
fn interrupt(arguments: &[&str], signals: &[Signal], bound: Duration) {
    let folder = Folder::new();
    folder.write("a.raw", &[1; 4096]);
    let mut child = folder.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // Held open: a pipe through which nothing comes.
    let stdin = child.stdin.take();
    wait_for_partial(&folder);
    let begun = Instant::now();
    for signal in signals {
        send(&child, *signal);
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = Ended::of(arguments, child.wait_with_output().unwrap());
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
