//! Options are the command's: no other crate names one in what it says.

use std::fs;
use std::path::Path;

/// Programs of others whose options may be named where a text tells what to do with them.
const OTHERS: &[&str] = &[
    "az disk create ",
    "azcopy ",
    "diff ",
    "grub-install ",
    "openstack image create ",
    "sgdisk ",
    "tar ",
];

#[test]
fn no_other_crate_names_an_option() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut files, mut named) = (0, Vec::new());
    for crate_ in fs::read_dir(crates).unwrap() {
        let crate_ = crate_.unwrap().path();
        // The one has the words, the other runs programs for tests.
        if !crate_.ends_with("cli") && !crate_.ends_with("testkit") {
            visit(&crate_.join("src"), &mut |file, text| {
                files += 1;
                for (line, literal) in literals(text) {
                    if has_option(&literal) && !PENDING.iter().any(|part| file.contains(part)) {
                        named.push(format!("{file}:{line}: \"{literal}\""));
                    }
                }
            });
        }
    }
    assert!(files > 100, "{files} files");
    assert!(
        named.is_empty(),
        "in crates/cli/src/advice.rs this would be said:\n{}",
        named.join("\n")
    );
}

/// Advice of rules that is text yet.
const PENDING: &[&str] = &["/import/targets/common.rs", "/import/check/name.rs"];

fn visit(folder: &Path, look: &mut dyn FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
        }
    }
}

/// Whether there is `--` and a letter, that is no option of another's program.
fn has_option(literal: &str) -> bool {
    literal.match_indices("--").any(|(at, _)| {
        let (before, after) = (&literal[..at], &literal[at + 2..]);
        let is_option = after.starts_with(|letter: char| letter.is_ascii_lowercase());
        is_option && !OTHERS.iter().any(|other| before.contains(other))
    })
}

/// The string literals of a source text that is Rust, each with its line; comments have none.
fn literals(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_hashes(rest) {
            let open = hashes + 2;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[open..].find(&close).map_or(rest.len(), |end| open + end);
            found.push((line, rest[open..end].to_owned()));
            (end + close.len()).min(rest.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.map_or(rest.len(), |end| end + 1);
            found.push((line, rest[1..end].to_owned()));
            (end + 1).min(rest.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else {
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The hashes of a raw string that begins here.
fn raw_hashes(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

#[test]
fn an_option_is_found_in_strings_only_and_not_where_it_is_anothers() {
    let text = "// \"--no\"\nlet a = '\"'; f(\"it exists; --force replaces it\"); /* --no */\n\
                g(r#\"say \"--size\" \"#); h(\"\\\"--x\\\"\"); i(\"tar --format=ustar\"); j(\"a -- b\")";
    let found: Vec<_> = literals(text).into_iter().filter(|(_, text)| has_option(text)).collect();
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 3], "{found:?}");
}
