//! Ctrl-C and its like: stop soon, leave nothing behind.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use diskferry::{Cancel, Error, ErrorKind, Result, Stage, Watch};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::outcome::{complain, exit_code};
use crate::progress;

/// How long a job may take to stop by itself. A user gets the prompt back within a second.
const PATIENCE: Duration = Duration::from_millis(700);

/// Turns the first signal into a request to stop, and ends the process where that takes too long,
/// or at the second signal. What is said then names the `subject`.
///
/// # Errors
/// `Io` when signals cannot be handled.
pub fn handle(cancel: &Cancel, watch: &Watch, subject: &str) -> Result<()> {
    let ignored = ignored_signals();
    // Who started us under nohup, or in the background of a script, meant it.
    let wanted =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted)?;
    // Past a limit on file sizes a write shall be an error like another, not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let (cancel, watch, subject) = (cancel.clone(), watch.clone(), subject.to_owned());
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first = true;
        for _ in signals.forever() {
            if !first {
                end_now(&watch, &subject);
            }
            first = false;
            cancel.cancel();
            let (watch, subject) = (watch.clone(), subject.clone());
            thread::spawn(move || {
                thread::sleep(PATIENCE);
                end_now(&watch, &subject);
            });
        }
    })?;
    Ok(())
}

/// Ends the process without the job's help, unless the job has just succeeded.
fn end_now(watch: &Watch, subject: &str) {
    while !watch.clean_up() {
        if watch.pace().stage == Stage::Done {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    progress::clear();
    complain(&Error::cancelled().in_file(subject));
    std::process::exit(exit_code(ErrorKind::Cancelled).into());
}

/// The signals that this process was started to ignore, signal n in bit n - 1.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
