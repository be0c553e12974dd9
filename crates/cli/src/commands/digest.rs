//! `diskferry digest`.

use std::io::Write;

use diskferry::Location;
use diskferry::convert::Algorithm;
use diskferry::engine::Stage;
use diskferry::source::Backing;
use serde_json::{Map, Value, json};

use super::{Outcome, print_json, stdout, unique};
use crate::args;
use crate::human::plain;
use crate::outcome::Answer;
use crate::progress::Display;

/// Computes digests, and prints them as `sha256sum` does: each line when it is known.
pub fn digest(arguments: args::Digest) -> Outcome {
    let job = arguments.work.job(&arguments.images[0])?;
    let algorithms = unique(&arguments.algorithm);
    let mut all = Vec::new();
    for image in &arguments.images {
        let open = arguments.from.open_options(Backing::Required);
        job.control.enter(Stage::Opening);
        let display = Display::start(arguments.work.progress, &job.control);
        let input = open.open(&Location::from_argument(image), &job.control)?;
        let name = input.name().to_owned();
        arguments.from.warn(&input.warnings());
        let digested = input.digest(&algorithms, &job);
        drop(display);
        let (size, digests) = digested?;
        if arguments.json {
            all.push(as_json(&name, size, &digests));
            continue;
        }
        let mut out = stdout();
        for (algorithm, digest) in &digests {
            writeln!(out, "{}", line(*algorithm, digest, &name, digests.len() > 1))?;
        }
        out.flush()?;
    }
    if arguments.json {
        let mut out = stdout();
        print_json(&mut out, &Value::Array(all))?;
        out.flush()?;
    }
    Ok(Answer::Yes)
}

fn as_json(name: &str, size: u64, digests: &[(Algorithm, String)]) -> Value {
    let digests: Map<String, Value> = digests
        .iter()
        .map(|(algorithm, digest)| (algorithm.name().to_owned(), json!(digest)))
        .collect();
    json!({ "file": name, "virtual_size": size, "digests": digests })
}

/// A line as coreutils write it; with the algorithm's name where there are several.
fn line(algorithm: Algorithm, digest: &str, name: &str, several: bool) -> String {
    let name = plain(name);
    if several {
        format!("{} ({name}) = {digest}", algorithm.name().to_uppercase())
    } else {
        format!("{digest}  {name}")
    }
}
