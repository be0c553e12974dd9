//! Every image of `testdata/`, damaged in every way that is cheap to think of: cut off everywhere, and with ten
//! thousand fields and bytes replaced.
//!
//! Whatever was done to it, an image reads as before; or is refused as damaged, unsupported or past a limit, with a
//! place; or has other content where nothing in the format could tell, which `silence.rs` lists, place by
//! place. Nothing panics, takes more than [`Overlay`]'s operations or [`MEMORY`], or hangs.
//!
//! What makes it cheap: a reader of an image is a function of the bytes that it reads. So each image is read
//! once with a trace, and after a change only those parts of the disk are read again whose trace has the bytes
//! that were changed. One change in a hundred is compared in full, as if that were not so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod damage;
mod sample;
mod samples;
mod silence;

use std::alloc::System;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use cap::Cap;

use damage::Damage;
use sample::{Sample, Tally};

/// Memory for everything, both threads and what is expected included; past it, allocating aborts.
const MEMORY: usize = 512 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

#[test]
fn whatever_is_damaged_is_refused_or_reads_the_same() {
    let samples = samples::all();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let dog = Watchdog::new();
                while let Some(path) = samples.paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    dog.see(&format!("{}, undamaged", path.display()));
                    let sample = Sample::new(path);
                    let mut mine = Tally::default();
                    for (number, damage) in Damage::all(&sample).into_iter().enumerate() {
                        dog.see(&format!("{}: {damage}", path.display()));
                        if let Err(complaint) = sample.judge(number, &damage, &mut mine) {
                            let mut wrong = wrong.lock().unwrap();
                            wrong.push(format!("{}: {damage}: {complaint}", sample.name));
                        }
                    }
                    if std::env::var_os("HOSTILE_TIMES").is_some() {
                        eprintln!("{:?} {} {mine:?}", began.elapsed(), sample.name);
                    }
                    tally.lock().unwrap().add(&mine);
                }
            });
        }
    });
    let (wrong, tally) = (wrong.into_inner().unwrap(), tally.into_inner().unwrap());
    eprintln!("{tally:?}");
    let shown = wrong.iter().take(usize::MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} are wrong:\n{shown}", wrong.len());
    tally.assert_plenty();
}

/// Aborts when a case takes longer than ten seconds: a hang cannot be turned into a panic.
struct Watchdog(mpsc::Sender<String>);

impl Watchdog {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<String>();
        std::thread::spawn(move || {
            let (mut last, mut since) = (String::new(), Instant::now());
            loop {
                match receiver.recv_timeout(Duration::from_millis(500)) {
                    Ok(case) => (last, since) = (case, Instant::now()),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) if since.elapsed() < CASE => {}
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        use std::io::Write;
                        let _ = writeln!(std::io::stderr(), "\nhang: {last}");
                        std::process::abort();
                    }
                }
            }
        });
        Self(sender)
    }

    fn see(&self, case: &str) {
        let _ = self.0.send(case.to_owned());
    }
}

const CASE: Duration = Duration::from_secs(10);
