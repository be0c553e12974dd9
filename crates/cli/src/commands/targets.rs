//! `diskferry targets`.

use std::io::{self, Write};

use diskferry::import::{Certainty, ImportTarget, Severity, import_targets};
use serde_json::{Value, json};

use super::{Outcome, Pairs, print_json, print_table, stdout};
use crate::args;
use crate::outcome::Answer;

/// Lists the import targets, or the rules of one.
pub fn targets(arguments: args::Targets) -> Outcome {
    let mut out = stdout();
    match (arguments.target, arguments.json) {
        (Some(target), true) => print_json(&mut out, &as_json(target))?,
        (Some(target), false) => describe(target, &mut out)?,
        (None, true) => {
            let all = import_targets().iter().map(|target| as_json(*target)).collect();
            print_json(&mut out, &Value::Array(all))?;
        }
        (None, false) => list(&mut out)?,
    }
    out.flush()?;
    Ok(Answer::Yes)
}

fn list(out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> = import_targets()
        .iter()
        .map(|target| vec![target.name().into(), made(*target), target.title().into()])
        .collect();
    print_table(out, &rows, &[])
}

/// What a conversion for the target makes.
fn made(target: ImportTarget) -> String {
    let Some((format, options, compressed)) = target.makes() else { return "-".into() };
    let mut text = format.name().to_owned();
    for (_, value) in options {
        text.push_str(&format!(" {value}"));
    }
    if compressed {
        text.push_str(" -c");
    }
    text
}

fn describe(target: ImportTarget, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{target}: {}", target.title())?;
    let mut lines = Pairs::new();
    lines.add("makes", made(target));
    for (index, note) in target.notes().iter().enumerate() {
        if index == 0 { lines.add("notes", *note) } else { lines.more(*note) }
    }
    lines.print(out)?;
    for rule in target.rules() {
        let strength = match rule.severity() {
            Severity::Refuses => "refuses",
            Severity::Warns => "warns",
        };
        writeln!(out, "\n{} ({strength})", rule.id())?;
        let mut lines = Pairs::new();
        lines.add("rule", rule.text());
        let source = rule.source();
        lines.add(
            "source",
            format!("{} ({}), {}", source.title, source.date, certainty(rule.certainty())),
        );
        if let Some(code) = rule.error_code() {
            lines.add("prevents", code);
        }
        if let Some(advice) = rule.advice() {
            lines.add("advice", advice);
        }
        lines.print(out)?;
    }
    Ok(())
}

fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Measured => "measured",
        Certainty::Read => "read there",
        Certainty::Unverified => "unverified",
    }
}

fn as_json(target: ImportTarget) -> Value {
    let rules: Vec<Value> = target
        .rules()
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "text": rule.text(),
                "severity": rule.severity(),
                "certainty": rule.certainty(),
                "code": rule.error_code(),
                "advice": rule.advice(),
                "source": rule.source(),
            })
        })
        .collect();
    let makes = target.makes().map(|(format, options, compressed)| {
        let options: Value = options.iter().map(|(key, value)| (*key, *value)).collect();
        json!({ "format": format.name(), "options": options, "compressed": compressed })
    });
    json!({
        "name": target.name(),
        "title": target.title(),
        "makes": makes,
        "rules": rules,
        "notes": target.notes(),
    })
}
