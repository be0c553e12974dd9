//! Shows on stderr how far a job is.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diskferry::Control;
use diskferry::engine::{Pace, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::args;
use crate::human;

/// Shows progress from [`start`](Self::start) until it is dropped.
pub struct Display {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Display {
    /// Starts to show the progress of a job, the way it is asked for.
    pub fn start(when: args::Progress, control: &Control) -> Self {
        let terminal = io::stderr().is_terminal();
        let face: Box<dyn Face> = match when {
            args::Progress::Never => return Self { running: None },
            args::Progress::Auto if !terminal => return Self { running: None },
            args::Progress::Auto => Box::new(Bar::new()),
            args::Progress::Always if terminal => Box::new(Bar::new()),
            args::Progress::Always => Box::new(Lines(human_line)),
            args::Progress::Json => Box::new(Lines(json_line)),
        };
        let (stop, stopped) = mpsc::channel();
        let control = control.clone();
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            show(face, &control, &stopped);
        });
        // Progress is not worth failing for.
        Self { running: thread.ok().map(|thread| (stop, thread)) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Removes the bar from the terminal, for somebody who has something else to say there.
pub fn clear() {
    if let Some(bar) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// Does what writes to the terminal, with the bar out of its way.
pub fn aside(write: impl FnOnce()) {
    match &*SHOWN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// The bar that is on the terminal now.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How far a job is at one moment.
struct Moment {
    pace: Pace,
    passed: u64,
    /// 0 while that is unknown.
    total: u64,
    elapsed: Duration,
}

impl Moment {
    /// What has passed in this stage, and what is to pass.
    fn of_stage(&self) -> (u64, u64) {
        let Pace { passed_before, total_before, .. } = self.pace;
        (self.passed.saturating_sub(passed_before), self.total.saturating_sub(total_before))
    }
}

/// A way to show progress.
trait Face: Send {
    /// How often it wants to be updated.
    fn interval(&self) -> Duration;
    fn update(&mut self, moment: &Moment);
    fn end(&mut self, _moment: &Moment) {}
}

fn show(mut face: Box<dyn Face>, control: &Control, stopped: &mpsc::Receiver<()>) {
    let started = Instant::now();
    let look = || Moment {
        pace: control.pace(),
        passed: control.progress.passed(),
        total: control.progress.total(),
        elapsed: started.elapsed(),
    };
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(face.interval()) {
        face.update(&look());
    }
    face.end(&look());
}

/// A bar, or a spinner while the total is unknown.
struct Bar {
    bar: ProgressBar,
    stage: Option<Stage>,
    total: u64,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self { bar, stage: None, total: 0 }
    }

    fn begin(&mut self, stage: Stage, total: u64) {
        let template = if total > 0 {
            "{prefix} {percent:>3}% [{wide_bar}] {binary_bytes} of {binary_total_bytes}, \
             {binary_bytes_per_sec}, {eta} left"
        } else {
            "{prefix} {spinner} {binary_bytes}, {binary_bytes_per_sec}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        self.bar.set_style(style.progress_chars("=> "));
        self.bar.set_prefix(match stage {
            // Only conversions have stages.
            Stage::Opening => "reading",
            other => other.as_str(),
        });
        if self.stage != Some(stage) {
            self.bar.reset();
        }
        match total {
            0 => self.bar.unset_length(),
            total => self.bar.set_length(total),
        }
        (self.stage, self.total) = (Some(stage), total);
    }
}

impl Face for Bar {
    fn interval(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn update(&mut self, moment: &Moment) {
        let (passed, total) = moment.of_stage();
        if passed == 0 && total == 0 {
            return;
        }
        if self.stage != Some(moment.pace.stage) || self.total != total {
            self.begin(moment.pace.stage, total);
        }
        self.bar.set_position(passed);
        self.bar.tick();
    }

    fn end(&mut self, _moment: &Moment) {
        clear();
    }
}

/// A line each second, and one at the end.
struct Lines(fn(&Moment) -> String);

impl Face for Lines {
    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn update(&mut self, moment: &Moment) {
        // Nobody reads it, then.
        let _ = writeln!(io::stderr(), "{}", (self.0)(moment));
    }

    fn end(&mut self, moment: &Moment) {
        self.update(moment);
    }
}

fn human_line(moment: &Moment) -> String {
    let (passed, total) = moment.of_stage();
    let stage = moment.pace.stage.as_str();
    match total {
        0 => format!("{stage}: {}", human::size(passed)),
        _ => {
            let percent = (passed as f64 / total as f64 * 100.0) as u64;
            format!("{stage}: {percent}%, {} of {}", human::size(passed), human::size(total))
        }
    }
}

/// Over all stages: the numbers never go back.
fn json_line(moment: &Moment) -> String {
    let seconds = (moment.elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    json!({
        "passed": moment.passed,
        "total": moment.total,
        "seconds": seconds,
        "stage": moment.pace.stage.as_str(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(passed: u64, total: u64) -> Moment {
        let pace = Pace { stage: Stage::Verifying, total_before: 1000, passed_before: 1000 };
        Moment { pace, passed, total, elapsed: Duration::from_millis(1500) }
    }

    #[test]
    fn a_line_for_people_is_about_the_stage() {
        assert_eq!(human_line(&moment(1500, 2000)), "verifying: 50%, 500 B of 1000 B");
        assert_eq!(human_line(&moment(1500, 1000)), "verifying: 500 B");
    }

    #[test]
    fn a_line_for_scripts_is_about_everything() {
        let line: serde_json::Value =
            serde_json::from_str(&json_line(&moment(1500, 2000))).unwrap();
        assert_eq!(
            line,
            json!({"passed": 1500, "total": 2000, "seconds": 1.5, "stage": "verifying"})
        );
    }
}
