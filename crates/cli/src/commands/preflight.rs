//! `diskferry preflight`.

use std::io::{self, Write};

use diskferry::Location;
use diskferry::import::{Certainty, Preflight, Report, Ruling, Source, Verdict};
use diskferry::source::Backing;
use serde::Serialize;

use super::{Outcome, Pairs, print_json, print_table, stdout};
use crate::advice;
use crate::args;
use crate::human::plain;
use crate::outcome::Answer;
use crate::progress::Display;

/// Says whether an image is ready for an import, rule by rule.
pub fn preflight(arguments: args::Preflight) -> Outcome {
    let job = arguments.work.job(&arguments.image)?;
    let open = arguments.from.open_options(Backing::Lenient);
    let display = Display::start(arguments.work.progress, &job.control);
    let opened = open.open_image(&Location::from_argument(&arguments.image), &job.control);
    let preflight = Preflight {
        target: arguments.target,
        as_name: arguments.as_name,
        waived: arguments.waive,
        limits: open.limits.clone(),
    };
    let report = match opened {
        Ok(image) => {
            arguments.from.warn(image.warnings());
            preflight.run(&image, &job)
        }
        // Where it is known to be what the target does not take, that is an answer.
        Err(error) => preflight.unopened(&error).and_then(|report| report.ok_or(error)),
    };
    drop(display);
    let report = report?;
    let words = arguments.from.words();
    let mut out = stdout();
    if arguments.json {
        print_json(&mut out, &Json::of(&report, &words))?;
    } else {
        describe(&report, &words, &mut out)?;
    }
    out.flush()?;
    Ok(if report.ready { Answer::Yes } else { Answer::No })
}

fn describe(report: &Report, words: &[String], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}: {}", plain(&report.file), report.target)?;
    let rows: Vec<Vec<String>> = report
        .rules
        .iter()
        .map(|ruling| vec![ruling.verdict.as_str().into(), ruling.id.into(), ruling.text.clone()])
        .collect();
    print_table(out, &rows, &[])?;
    for ruling in &report.rules {
        if !matches!(ruling.verdict, Verdict::Fail | Verdict::Warn) {
            continue;
        }
        writeln!(out, "\n{} {}", ruling.verdict.as_str(), ruling.id)?;
        let mut lines = Pairs::new();
        lines.add("found", ruling.text.as_str());
        lines.add("rule", ruling.rule.as_str());
        lines.add("source", format!("{} ({})", ruling.source.title, ruling.source.date));
        if let Some(code) = ruling.code {
            lines.add("prevents", code);
        }
        if let Some(fix) = &ruling.fix {
            lines.add("fix", advice::fix(fix, words));
        }
        lines.print(out)?;
    }
    match (report.ready, &report.convert) {
        (true, _) => writeln!(out, "\nready for {}", report.target),
        (false, Some(remake)) => {
            let line = advice::command_line(remake, words);
            writeln!(out, "\nnot ready for {}; this makes it so:\n{}", report.target, plain(&line))
        }
        (false, None) => {
            writeln!(out, "\nnot ready for {}, and no conversion makes it so", report.target)
        }
    }
}

/// A report as scripts read it: its keys are a contract.
#[derive(Serialize)]
struct Json<'a> {
    file: &'a str,
    target: &'a str,
    ready: bool,
    rules: Vec<RuleJson<'a>>,
    convert: Option<String>,
    notes: &'a [&'a str],
}

#[derive(Serialize)]
struct RuleJson<'a> {
    id: &'a str,
    ok: bool,
    verdict: Verdict,
    text: &'a str,
    code: Option<&'a str>,
    fix: Option<String>,
    rule: &'a str,
    certainty: Certainty,
    source: Source,
}

impl<'a> Json<'a> {
    /// `words` are those by which the image was opened.
    fn of(report: &'a Report, words: &[String]) -> Self {
        let rule = |ruling: &'a Ruling| RuleJson {
            id: ruling.id,
            ok: ruling.ok,
            verdict: ruling.verdict,
            text: &ruling.text,
            code: ruling.code,
            fix: ruling.fix.as_ref().map(|fix| advice::fix(fix, words)),
            rule: &ruling.rule,
            certainty: ruling.certainty,
            source: ruling.source,
        };
        Self {
            file: &report.file,
            target: report.target,
            ready: report.ready,
            rules: report.rules.iter().map(rule).collect(),
            convert: report.convert.as_ref().map(|it| advice::command_line(it, words)),
            notes: report.notes,
        }
    }
}
