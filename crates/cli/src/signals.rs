//! Ctrl-C and its like: stop soon, leave nothing behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use diskferry::engine::Stage;
use diskferry::{Control, Error, ErrorKind, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::outcome::{complain, exit_code};
use crate::progress;

/// How long a job may take to stop by itself. A user gets the prompt back within a second.
const PATIENCE: Duration = Duration::from_millis(700);

/// What a signal stops.
#[derive(Clone)]
struct Job {
    control: Control,
    /// The file that is named then.
    subject: String,
}

/// The job that is being done, once there is one.
static JOB: Mutex<Option<Job>> = Mutex::new(None);

/// Takes the signals over, before anything else is done. Until there is a job, a signal ends the
/// process: nothing is begun then that would have to be removed.
///
/// # Errors
/// `Io` when signals cannot be handled.
pub fn take_over() -> Result<()> {
    let ignored = ignored_signals();
    // Who started us under nohup, or in the background of a script, meant it.
    let wanted =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted)?;
    // Past a limit on file sizes a write shall be an error like another, not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first = true;
        for _ in signals.forever() {
            // Held until the job is told, so that none can begin without knowing.
            let job = current();
            let Some(job) = job.as_ref().filter(|_| first) else { end_now(job.as_ref()) };
            first = false;
            job.control.cancel.cancel();
            let job = job.clone();
            thread::spawn(move || {
                thread::sleep(PATIENCE);
                end_now(Some(&job));
            });
        }
    })?;
    Ok(())
}

/// Turns the first signal from now on into a request to stop, and ends the process where that takes
/// too long, or at the second signal. What is said then names the `subject`.
pub fn handle(control: &Control, subject: &str) {
    let (control, subject) = (control.clone(), subject.to_owned());
    *current() = Some(Job { control, subject });
}

fn current() -> MutexGuard<'static, Option<Job>> {
    JOB.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process without the job's help, unless the job has just succeeded.
fn end_now(job: Option<&Job>) -> ! {
    let mut error = Error::cancelled();
    if let Some(Job { control, subject }) = job {
        while !control.undo() {
            if control.pace().stage == Stage::Done {
                // All that is left is to say so.
                loop {
                    thread::park();
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        error = error.in_file(subject);
    }
    progress::clear();
    complain(&error);
    std::process::exit(exit_code(ErrorKind::Cancelled).into());
}

/// The signals that this process was started to ignore, signal n in bit n - 1.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
