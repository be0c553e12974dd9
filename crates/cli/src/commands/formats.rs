//! `diskferry formats`.

use std::io::{self, Write};

use diskferry::Format;
use serde_json::{Value, json};

use super::{Outcome, Pairs, print_json, stdout};
use crate::args;
use crate::outcome::Answer;

/// Lists the formats with their options.
pub fn formats(arguments: args::Formats) -> Outcome {
    let mut out = stdout();
    if arguments.json {
        let all = diskferry::formats().iter().map(|format| as_json(*format)).collect();
        print_json(&mut out, &Value::Array(all))?;
    } else {
        for (index, format) in diskferry::formats().iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            describe(*format, &mut out)?;
        }
    }
    out.flush()?;
    Ok(Answer::Yes)
}

fn describe(format: Format, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{format}")?;
    let mut lines = Pairs::new();
    if !format.aliases().is_empty() {
        lines.add("also called", format.aliases().join(", "));
    }
    let extensions: Vec<String> =
        format.extensions().iter().map(|extension| format!(".{extension}")).collect();
    lines.add("extensions", extensions.join(" "));
    lines.add("reads", format.reads());
    lines.add("writes", format.writes());
    for option in format.options() {
        lines.add("option", format!("{}={}", option.key, option.values));
        lines.more(format!("  {}", option.about));
    }
    lines.print(out)
}

fn as_json(format: Format) -> Value {
    let options: Vec<Value> = format
        .options()
        .iter()
        .map(|option| json!({ "key": option.key, "values": option.values, "about": option.about }))
        .collect();
    json!({
        "name": format.name(),
        "aliases": format.aliases(),
        "extensions": format.extensions(),
        "reads": format.reads(),
        "writes": format.writes(),
        "options": options,
    })
}
