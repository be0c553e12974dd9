//! `diskferry map`.

use std::io::{self, Write};

use diskferry::look::MapEntry;
use diskferry::source::Backing;
use diskferry::{Control, Location};

use super::{Outcome, stdout};
use crate::args;
use crate::human::plain;
use crate::outcome::{Answer, Failure};

/// Lists extents as they are found: a map may be longer than memory.
pub fn map(arguments: args::Look) -> Outcome {
    let open = arguments.from.open_options(Backing::Required);
    let control = Control::default();
    let image = open.open_image(&Location::from_argument(arguments.image), &control)?;
    arguments.from.warn(image.warnings());
    let mut out = stdout();
    // The library's callback speaks of its own errors only; those of stdout are kept here.
    let mut unwritten: Option<Failure> = None;
    let mut first = true;
    if !arguments.json {
        writeln!(out, "{:>18}  {:>18}  {:6}  STORED AT", "START", "LENGTH", "KIND")?;
    }
    let mapped = image.map(&control.cancel, |entry| {
        let written = if arguments.json {
            write_json(&mut out, &entry, first)
        } else {
            write_line(&mut out, &entry).map_err(Failure::from)
        };
        first = false;
        if let Err(failure) = written {
            unwritten = Some(failure);
            control.cancel.cancel();
        }
        Ok(())
    });
    if let Some(failure) = unwritten {
        return Err(failure);
    }
    if arguments.json {
        writeln!(out, "{}", if first { "[]" } else { "\n]" })?;
    }
    out.flush()?;
    mapped?;
    Ok(Answer::Yes)
}

fn write_json(out: &mut impl Write, entry: &MapEntry, first: bool) -> Result<(), Failure> {
    out.write_all(if first { b"[\n  " } else { b",\n  " })?;
    serde_json::to_writer(out, entry)?;
    Ok(())
}

fn write_line(out: &mut impl Write, entry: &MapEntry) -> io::Result<()> {
    let place = match (&entry.file, entry.offset) {
        (Some(file), Some(offset)) => format!("{offset:#x} in {}", plain(file)),
        _ if entry.compressed => "(compressed)".to_owned(),
        _ => String::new(),
    };
    let MapEntry { start, length, kind, .. } = entry;
    let line = format!("{start:>#18x}  {length:>#18x}  {:6}  {place}", kind.as_str());
    writeln!(out, "{}", line.trim_end())
}
