//! Other processes, which no test waits for without a bound.
//!
//! A process inherits which signals are ignored: under `nohup`, or in the background of a script, a child that waits for
//! SIGINT would wait for ever. So children are started with every signal as it is by default.
#![expect(clippy::disallowed_methods, reason = "what stands in for these methods stands here")]

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take: more than any needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A command that runs `program` with signals as they are by default, and nothing on stdin. `env` becomes the program,
/// with its process id.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program).stdin(Stdio::null());
    command
}

/// Runs a command as [`Command`] does, but no longer than [`PATIENCE`].
pub trait Bounded {
    /// Starts it.
    ///
    /// # Errors
    /// As for [`Command::spawn`].
    fn start(&mut self) -> io::Result<Running>;

    /// Runs it to its end, and takes what it prints.
    ///
    /// # Errors
    /// As for [`Command::output`].
    ///
    /// # Panics
    /// When it takes too long.
    fn run(&mut self) -> io::Result<Output>;

    /// Runs it to its end; what it prints goes where the test's own words go.
    ///
    /// # Errors
    /// As for [`Command::status`].
    ///
    /// # Panics
    /// When it takes too long.
    fn run_aloud(&mut self) -> io::Result<ExitStatus>;
}

impl Bounded for Command {
    fn start(&mut self) -> io::Result<Running> {
        Running::start(self, PATIENCE)
    }

    fn run(&mut self) -> io::Result<Output> {
        self.stdout(Stdio::piped()).stderr(Stdio::piped()).start()?.into_output()
    }

    fn run_aloud(&mut self) -> io::Result<ExitStatus> {
        self.start()?.into_status()
    }
}

/// A process that ends when it is no longer wanted, when its time is over, or before.
pub struct Running {
    /// None once it has ended.
    child: Option<Child>,
    what: String,
    dog: Option<Dog>,
}

impl Running {
    fn start(command: &mut Command, patience: Duration) -> io::Result<Self> {
        let child = command.spawn()?;
        let what = format!("{command:?}");
        let dog = Some(Dog::watch(Pid::from_child(&child), patience));
        Ok(Self { child: Some(child), what, dog })
    }

    /// Waits for its end, and takes what it has printed.
    ///
    /// # Errors
    /// As for [`Child::wait_with_output`].
    ///
    /// # Panics
    /// When it takes too long.
    pub fn into_output(mut self) -> io::Result<Output> {
        let output = self.take().wait_with_output();
        self.was_in_time();
        output
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As for [`Child::wait`].
    ///
    /// # Panics
    /// When it takes too long.
    pub fn into_status(mut self) -> io::Result<ExitStatus> {
        let status = self.take().wait();
        self.was_in_time();
        status
    }

    fn take(&mut self) -> Child {
        self.child.take().expect("it is waited for once")
    }

    fn was_in_time(&mut self) {
        let killed = self.dog.take().is_some_and(Dog::call_off);
        assert!(!killed, "it took too long: {}", self.what);
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.child.as_ref().expect("it was not waited for")
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }
}

/// A test that fails leaves nothing behind that spins.
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_all(Pid::from_child(&child));
            let _ = child.wait();
        }
    }
}

/// Kills a process, with all that it has started, when its time is over: then whoever waits for it, reads what it
/// prints or feeds it goes on.
struct Dog {
    done: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Dog {
    fn watch(process: Pid, patience: Duration) -> Self {
        let (done, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let late = told.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if late {
                // The test harness may capture what else is said, and never show it.
                let _ = writeln!(io::stderr(), "\nhang: a child was killed after {patience:?}");
                kill_all(process);
            }
            late
        });
        Self { done, thread }
    }

    /// Answers whether it had to kill.
    fn call_off(self) -> bool {
        drop(self.done);
        self.thread.join().expect("the dog does not panic")
    }
}

/// Kills a process that was not waited for, and all that it has started.
fn kill_all(process: Pid) {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let lists = tasks
        .into_iter()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<Pid> = lists
        .flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>())
        .filter_map(|id| Pid::from_raw(id.ok()?))
        .collect();
    // Before it can start more, or see them end.
    let _ = kill_process(process, Signal::KILL);
    children.into_iter().for_each(kill_all);
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_child_has_the_default_dispositions_whatever_its_parent_ignores() {
        let ignored = |inner: &str| {
            let script =
                format!("trap '' INT TERM HUP; exec {inner} grep SigIgn /proc/self/status");
            let output = command("sh").args(["-c", &script]).run().unwrap();
            let line = String::from_utf8(output.stdout).unwrap();
            let mask = line.trim().strip_prefix("SigIgn:").unwrap().trim();
            let mask = u64::from_str_radix(mask, 16).unwrap();
            [Signal::INT, Signal::TERM, Signal::HUP].map(|it| mask >> (it.as_raw() - 1) & 1 == 1)
        };
        assert_eq!(ignored(""), [true; 3]);
        let env = command("");
        let wrapper = env.get_args().next().unwrap().to_str().unwrap();
        assert_eq!(ignored(&format!("env {wrapper}")), [false; 3]);
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let mut command = command("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
        let begun = Instant::now();
        let mut running = Running::start(&mut command, Duration::from_millis(300)).unwrap();
        let mut said = String::new();
        // The pipe is open as long as anybody has it.
        running.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let late = catch_unwind(AssertUnwindSafe(move || running.into_status()));
        assert!(late.unwrap_err().downcast_ref::<String>().unwrap().contains("took too long"));
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(!said.is_empty());
    }

    #[test]
    fn what_is_not_waited_for_is_killed() {
        let running = command("sleep").arg("1000").start().unwrap();
        let process = Pid::from_child(&running);
        drop(running);
        assert!(rustix::process::test_kill_process(process).is_err());
    }
}
