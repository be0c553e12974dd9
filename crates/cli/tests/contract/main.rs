//! What scripts rely on, tried on the real program: exit codes, JSON keys, the one line on stderr,
//! and that nothing is left behind. Images of other programs come from qemu-img, which must be here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod conversion;
mod files;
mod formats;
mod import;
mod journeys;
mod lies;
mod looking;
mod pieces;
mod scratch;
mod signals;
mod streams;
mod unpacked;
mod words;
mod wrapped;
mod xva;
mod zvhd;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use diskferry_testkit::child::{Bounded, command};
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names in it, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_diskferry"));
        command.args(arguments).current_dir(self.root()).env_remove("SOURCE_DATE_EPOCH");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(arguments, self.command(arguments).run().unwrap())
    }

    /// Runs it with these bytes on stdin, through a pipe.
    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).start().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // Who fails early reads no further.
            scope.spawn(move || _ = stdin.write_all(input));
            Ended::of(arguments, child.into_output().unwrap())
        })
    }

    /// Runs a script in it.
    #[track_caller]
    fn sh(&self, script: &str) {
        let status = command("bash").args(["-ec", script]).current_dir(self.root()).run_aloud();
        assert!(status.unwrap().success(), "{script}");
    }

    /// Runs it and wants success.
    fn done(&self, arguments: &[&str]) -> Ended {
        self.run(arguments).coded(0)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.done(arguments).json()
    }

    fn qemu_img(&self, arguments: &[&str]) -> String {
        let output = command("qemu-img")
            .args(arguments)
            .current_dir(self.root())
            .run()
            .expect("these tests need qemu-img (Debian: qemu-utils)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "qemu-img {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    arguments: Vec<String>,
    code: Option<i32>,
    bytes: Vec<u8>,
    stderr: String,
}

impl Ended {
    fn of(arguments: &[&str], output: Output) -> Self {
        Self {
            arguments: arguments.iter().map(|argument| argument.to_string()).collect(),
            code: output.status.code(),
            bytes: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn coded(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{:?}: {}", self.arguments, self.stderr);
        self
    }

    /// A failure: the code, nothing on stdout, and one line on stderr that has all of `texts`.
    #[track_caller]
    fn failed(self, code: i32, texts: &[&str]) -> Self {
        let ended = self.coded(code);
        assert_eq!(ended.bytes, b"", "{:?}", ended.arguments);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{:?}: {}", ended.arguments, ended.stderr);
        assert!(lines[0].starts_with("diskferry: "), "{}", lines[0]);
        for text in texts {
            assert!(lines[0].contains(text), "{:?}: no '{text}' in: {}", ended.arguments, lines[0]);
        }
        ended
    }

    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

/// A disk of `len` bytes: incompressible data, text, and zeros in turn, in runs of 100000 bytes.
fn disk(len: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match bytes.len() / 100_000 % 3 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(format!("{:04} ", state % 3000).as_bytes()),
            _ => bytes.extend_from_slice(&[0; 8]),
        }
    }
    bytes.truncate(len);
    bytes
}
