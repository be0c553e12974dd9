//! How the command ends: its exit code, and the one line that says why.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use diskferry::{Error, ErrorKind};

use crate::advice;
use crate::human::plain;

/// What a command that worked has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; or yes.
    Yes,
    /// The disks differ, or problems were found.
    No,
}

/// Why a command did not work.
pub enum Failure {
    /// For the user to read.
    Error(Error),
    /// Nobody reads what it has to say.
    NobodyListens,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Writing to stdout is all the I/O that commands do themselves.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyListens,
            _ => Self::Error(Error::from(error).doing("writing").in_file("stdout")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// The exit code, by the contract; says why on stderr if it is a failure.
pub fn conclude(outcome: Result<Answer, Failure>) -> ExitCode {
    match outcome {
        Ok(Answer::Yes) | Err(Failure::NobodyListens) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(Failure::Error(error)) => {
            complain(&error);
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

/// Exit codes are a contract with scripts.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Exists | ErrorKind::Misuse => 2,
        ErrorKind::Refused | ErrorKind::Unsupported => 3,
        ErrorKind::Damaged => 4,
        ErrorKind::Limit => 6,
        ErrorKind::Cancelled => 130,
        // And what may be added.
        _ => 5,
    }
}

/// Has a panic say one line as other failures do. It unwinds, so that nothing is left behind, and the
/// process ends with Rust's exit code for it, 101, which no other failure has.
pub fn prepare_for_bugs() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map_or_else(String::new, |place| format!(" ({place})"));
        complain(&Error::misuse(format!(
            "a bug in diskferry, please report it: {}{place}",
            text.unwrap_or("a panic")
        )));
    }));
}

/// Says on stderr, in one line and once, why the command fails. Whoever says it first may be the
/// thread that handles signals.
pub fn complain(error: &Error) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tell(&advice::line(error));
    }
}

/// Says something on stderr. Should that fail, there is nobody to be told.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "diskferry: {}", plain(text));
}
