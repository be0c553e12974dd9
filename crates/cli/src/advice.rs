//! What the library advises as data, in the words of this command.

use diskferry::import::{Fix, Gpt, Remake};

/// What to do about a broken rule. `source` are the words by which the image was opened.
pub fn fix(fix: &Fix, source: &[String]) -> String {
    match fix {
        Fix::Convert(remake) => command_line(remake, source),
        Fix::Advice(text) => (*text).to_owned(),
        Fix::Unpack(text) => text.clone(),
    }
}

/// The command line that makes an image ready. `source` are the words by which the image was opened.
pub fn command_line(remake: &Remake, source: &[String]) -> String {
    let mut words = vec!["diskferry".to_owned(), "convert".into(), "--for".into()];
    words.push(remake.target.name().into());
    if !remake.waived.is_empty() {
        words.extend(["--waive".into(), remake.waived.join(",")]);
    }
    words.extend(source.iter().map(|word| quoted(word)));
    match remake.gpt {
        Gpt::MoveBackup => words.push("--move-gpt".into()),
        Gpt::Sectors(size) => words.push(format!("--gpt-sectors={}", size.bytes())),
        Gpt::Keep => {}
    }
    words.extend(remake.size.map(|size| format!("--size={size}")));
    words.extend([quoted(remake.image.as_deref().unwrap_or("-")), quoted(&remake.made)]);
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, expected) in [
            ("a/disk.qcow2", "a/disk.qcow2"),
            ("last monday", "'last monday'"),
            ("it's here.raw", r"'it'\''s here.raw'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
