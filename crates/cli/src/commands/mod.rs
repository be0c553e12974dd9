//! The sub-commands.

mod check;
mod compare;
mod convert;
mod digest;
mod formats;
mod info;
mod manual;
mod map;
mod preflight;
mod targets;

pub use check::check;
pub use compare::compare;
pub use convert::convert;
pub use digest::digest;
pub use formats::formats;
pub use info::info;
pub use manual::{completions, man};
pub use map::map;
pub use preflight::preflight;
pub use targets::targets;

use std::env;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use diskferry::convert::Algorithm;
use diskferry::place::{Locks, Policy};
use diskferry::source::{Backing, Choice, Limits};
use diskferry::{Job, Note, OpenOptions};
use serde::Serialize;

use crate::advice;
use crate::args::{Source, Work};
use crate::outcome::{Answer, Failure, tell};
use crate::{progress, signals};

type Outcome = Result<Answer, Failure>;

/// Stdout, to be flushed by whoever is done with it.
fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// JSON as people can read it, and a line's end.
fn print_json(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Tells what is odd, with the progress out of the way.
fn warn(warnings: &[Note]) {
    for warning in warnings {
        progress::aside(|| tell(&format!("warning: {}", advice::noted(warning))));
    }
}

/// The disk of that number, or the only one.
fn choice(disk: Option<u32>) -> Choice {
    disk.map_or(Choice::Only, Choice::Number)
}

impl Source {
    /// Tells what an image was opened with, where that was asked for against what the image or a machine says.
    fn warn(&self, warnings: &[Note]) {
        if self.force_share || self.backing.is_some() {
            warn(warnings);
        }
    }

    fn open_options(&self, backing: Backing) -> OpenOptions {
        let mut limits = Limits::default();
        for (name, value) in &self.limit {
            limits.set(name, value).expect("the parser has tried it");
        }
        OpenOptions::new()
            .format(self.from)
            .disk(choice(self.disk))
            .snapshot(self.snapshot.clone())
            .limits(limits)
            .policy(Policy::allowing(self.allow_path.clone()))
            .backing(backing)
            .access(self.io.into())
            .parent(self.backing.clone())
            .scratch(self.scratch.clone().unwrap_or_else(env::temp_dir))
            .locks(if self.force_share { Locks::Ignore } else { Locks::Respect })
    }

    /// The words of a command line that open an image in the same way.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        if let Some(format) = self.from {
            option("-f", format.to_string());
        }
        if let Some(disk) = self.disk {
            option("--disk", disk.to_string());
        }
        if let Some(snapshot) = &self.snapshot {
            option("--snapshot", snapshot.clone());
        }
        for (name, value) in &self.limit {
            option("--limit", format!("{name}={value}"));
        }
        for folder in &self.allow_path {
            option("--allow-path", folder.display().to_string());
        }
        if let Some(parent) = &self.backing {
            option("--backing", parent.display().to_string());
        }
        if let Some(folder) = &self.scratch {
            option("--scratch", folder.display().to_string());
        }
        if self.force_share {
            words.push("-U".to_owned());
        }
        words
    }
}

/// Each algorithm once, in the order in which they were asked for first.
fn unique(algorithms: &[Algorithm]) -> Vec<Algorithm> {
    let mut unique = Vec::new();
    for algorithm in algorithms {
        if !unique.contains(algorithm) {
            unique.push(*algorithm);
        }
    }
    unique
}

impl Work {
    /// A job of that size, which signals stop; `subject` is the file that messages name then.
    fn job(&self, subject: &Path) -> Result<Job, Failure> {
        let mut job = Job::new(self.threads.unwrap_or(0).into())?;
        job.memory = self.memory;
        signals::handle(&job.control, &subject.display().to_string());
        Ok(job)
    }
}

/// Lines of a name and a value, the values below each other.
struct Pairs {
    lines: Vec<(String, String)>,
}

impl Pairs {
    fn new() -> Self {
        Self { lines: Vec::new() }
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.lines.push((name.replace('_', " "), value.into()));
    }

    /// A further line of the last value.
    fn more(&mut self, value: impl Into<String>) {
        self.lines.push((String::new(), value.into()));
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.lines {
            writeln!(out, "  {name:width$}  {}", crate::human::plain(value))?;
        }
        Ok(())
    }
}

/// Columns are padded to this many characters at most; what is longer sticks out.
const WIDEST: usize = 100;

/// Rows of cells, each column as wide as its widest cell; numbers to the right.
fn print_table(out: &mut impl Write, rows: &[Vec<String>], right: &[bool]) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| crate::human::plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(WIDEST)
        })
        .collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .zip(right.iter().chain(std::iter::repeat(&false)))
            .map(
                |((cell, width), right)| {
                    if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
                },
            )
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_columns_are_aligned() {
        let mut pairs = Pairs::new();
        pairs.add("virtual_size", "1");
        pairs.add("ids", "a\n");
        pairs.more("b");
        let mut out = Vec::new();
        pairs.print(&mut out).unwrap();
        let rows = [vec!["ID".into(), "SIZE".into()], vec!["10".into(), "5".into()]];
        print_table(&mut out, &rows, &[false, true]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "  virtual size  1\n  ids           a\\n\n                b\n  ID  SIZE\n  10     5\n"
        );
    }
}
