//! `diskferry check`.

use std::io::{self, Write};

use diskferry::Location;
use diskferry::look::{Problem, ProblemKind};
use diskferry::source::Backing;
use serde_json::json;

use super::{Outcome, stdout};
use crate::args;
use crate::human::plain;
use crate::outcome::{Answer, Failure};
use crate::progress::{self, Display};

/// Problems that are listed. A table of rubbish has one for each of its entries, and nobody reads them; those
/// that are not listed are counted.
const LISTED: u64 = 10_000;

/// Lists problems as they are found: a bad image may have more than memory.
pub fn check(arguments: args::Check) -> Outcome {
    let args::Check { look: args::Look { image, from, json }, work } = arguments;
    let job = work.job(&image)?;
    let open = from.open_options(Backing::Ignored);
    let display = Display::start(work.progress, &job.control);
    let image = open.open_image(&Location::from_argument(image), &job.control)?;
    from.warn(image.warnings());
    let mut out = stdout();
    let mut found = Found::default();
    let mut unwritten: Option<Failure> = None;
    if json {
        let (file, format) = (json!(image.name()), json!(image.format().name()));
        write!(out, "{{\n  \"file\": {file},\n  \"format\": {format},\n  \"problems\": [")?;
    }
    let checked = image.check(&job, &mut |problem| {
        let first = found.total() == 0;
        found.count(problem.kind);
        if unwritten.is_none() && found.total() <= LISTED {
            progress::clear();
            let written = match json {
                true => write_json(&mut out, &problem, first),
                false => write_line(&mut out, &problem),
            };
            unwritten = written.err().map(Failure::from);
        }
    });
    drop(display);
    if let Some(failure) = unwritten {
        return Err(failure);
    }
    if json {
        let end = if found.total() == 0 { "" } else { "\n  " };
        writeln!(out, "{end}],\n  \"omitted\": {}\n}}", found.omitted())?;
    } else if checked.is_ok() {
        if found.omitted() > 0 {
            writeln!(out, "{:10}  {:>14}  {} more are not listed", "", "", found.omitted())?;
        }
        writeln!(out, "{}: {}", plain(image.name()), found.sentence())?;
    }
    out.flush()?;
    checked?;
    Ok(if found.total() == 0 { Answer::Yes } else { Answer::No })
}

fn write_json(out: &mut impl Write, problem: &Problem, first: bool) -> io::Result<()> {
    let comma = if first { "" } else { "," };
    let Problem { kind, at, text } = problem;
    let entry = json!({ "kind": kind.as_str(), "at": at, "text": text });
    write!(out, "{comma}\n    {entry}")
}

fn write_line(out: &mut impl Write, problem: &Problem) -> io::Result<()> {
    let place = problem.at.map_or_else(String::new, |at| format!("{at:#x}"));
    writeln!(out, "{:10}  {place:>14}  {}", problem.kind.as_str(), plain(&problem.text))
}

/// How many problems of each kind there are.
#[derive(Default)]
struct Found {
    corruptions: u64,
    leaks: u64,
    oddities: u64,
}

impl Found {
    fn count(&mut self, kind: ProblemKind) {
        match kind {
            ProblemKind::Corruption => self.corruptions += 1,
            ProblemKind::Leak => self.leaks += 1,
            ProblemKind::Oddity => self.oddities += 1,
        }
    }

    fn total(&self) -> u64 {
        self.corruptions + self.leaks + self.oddities
    }

    fn omitted(&self) -> u64 {
        self.total().saturating_sub(LISTED)
    }

    fn sentence(&self) -> String {
        if self.total() == 0 {
            return "no problems".to_owned();
        }
        let kinds = [
            (self.corruptions, "corruption", "corruptions"),
            (self.leaks, "leak", "leaks"),
            (self.oddities, "oddity", "oddities"),
        ];
        let counted: Vec<String> = kinds
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        counted.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_by_kind() {
        for (corruptions, leaks, oddities, text) in [
            (0, 0, 0, "no problems"),
            (1, 0, 0, "1 corruption"),
            (2, 1, 3, "2 corruptions, 1 leak, 3 oddities"),
            (0, 2, 1, "2 leaks, 1 oddity"),
        ] {
            assert_eq!(Found { corruptions, leaks, oddities }.sentence(), text);
        }
    }
}
