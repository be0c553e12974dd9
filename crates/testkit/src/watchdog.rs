//! Ends a test that hangs, with a word about where.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

/// Runs `work`; when that takes longer than `limit`, says `what` hangs and aborts the process.
///
/// A hang cannot be turned into a panic: the threads that wait for each other never end.
pub fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let (done, ended) = mpsc::channel::<()>();
    let message = format!("\nhang: {what}: not done after {limit:?}\n");
    let dog = std::thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // The test harness captures print macros, and an abort loses what it has captured.
            let _ = std::io::stderr().write_all(message.as_bytes());
            std::process::abort();
        }
    });
    let result = work();
    drop(done);
    dog.join().expect("the watchdog does not panic");
    result
}
