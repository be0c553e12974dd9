//! `diskferry compare`.

use std::io::Write;

use diskferry::Location;
use diskferry::look::Difference;
use diskferry::source::Backing;
use serde_json::json;

use super::{Outcome, choice, print_json, stdout, warn};
use crate::args;
use crate::human::plain;
use crate::outcome::Answer;
use crate::progress::Display;

/// Compares two disks and says where they differ first.
pub fn compare(arguments: args::Compare) -> Outcome {
    let job = arguments.work.job(&arguments.a)?;
    let open = arguments.from.open_options(Backing::Required);
    let display = Display::start(arguments.work.progress, &job.control);
    let a = open.open_image(&Location::from_argument(&arguments.a), &job.control)?;
    arguments.from.warn(a.warnings());
    let open = arguments
        .from
        .open_options(Backing::Required)
        .format(arguments.from_b)
        .disk(choice(arguments.disk_b))
        .snapshot(arguments.snapshot_b.clone())
        .parent(arguments.backing_b.clone());
    let b = open.open_image(&Location::from_argument(&arguments.b), &job.control)?;
    if arguments.from.force_share || arguments.backing_b.is_some() {
        warn(b.warnings());
    }
    let sizes = (a.disk().size(), b.disk().size());
    let difference = if arguments.strict && sizes.0 != sizes.1 {
        Some(Difference::Size(sizes.0, sizes.1))
    } else {
        a.compare(&b, &job)?
    };
    drop(display);
    let same = match difference {
        None => true,
        Some(Difference::Size(..)) => !arguments.strict,
        Some(Difference::Content(_)) => false,
    };
    let mut out = stdout();
    if arguments.json {
        let (reason, offset) = match difference {
            Some(Difference::Content(at)) => (Some("content"), Some(at)),
            Some(Difference::Size(a, b)) => (Some("size"), Some(a.min(b))),
            None => (None, None),
        };
        let value = json!({
            "identical": same,
            "difference": reason,
            "offset": offset,
            "sizes": [sizes.0, sizes.1],
        });
        print_json(&mut out, &value)?;
    } else {
        writeln!(out, "{}", sentence(difference, [a.name(), b.name()]))?;
    }
    out.flush()?;
    Ok(if same { Answer::Yes } else { Answer::No })
}

fn sentence(difference: Option<Difference>, names: [&str; 2]) -> String {
    let [a, b] = names.map(plain);
    match difference {
        None => format!("{a} and {b} have the same content"),
        Some(Difference::Content(at)) => {
            format!("{a} and {b} differ, first at offset {at} ({at:#x})")
        }
        Some(Difference::Size(size_a, size_b)) => {
            format!("{a} has {size_a} bytes, {b} has {size_b}; what both have is the same")
        }
    }
}
