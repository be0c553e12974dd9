//! What helps, in the words of the command line: the only place that says which option does it.

use diskferry::import::{Fix, Gpt, Remake};
use diskferry::look::Info;
use diskferry::{Error, Note, Remedy};

/// A failure in one line, with what helps.
pub fn line(error: &Error) -> String {
    advised(error.to_string(), error.remedy())
}

/// A note in one line, with what helps.
pub fn noted(note: &Note) -> String {
    advised(note.to_string(), note.remedy.as_ref())
}

/// Puts what helps into the texts of notes, for what is printed as JSON.
pub fn word(notes: &mut [Note]) {
    for note in notes {
        note.text = advised(std::mem::take(&mut note.text), note.remedy.take().as_ref());
    }
}

/// The same for all notes of an image.
pub fn word_info(info: &mut Info) {
    word(&mut info.warnings);
    info.chain.iter_mut().for_each(|link| word(link.error.as_mut_slice()));
}

/// A text, and what helps.
pub fn advised(text: String, remedy: Option<&Remedy>) -> String {
    match remedy.and_then(advice) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// The option that does it; `None` where none does.
fn advice(remedy: &Remedy) -> Option<String> {
    let words = match remedy {
        Remedy::AllowFile { .. } => "--allow-path DIR lets an image refer to files under DIR",
        Remedy::AllowDevice { .. } => "--allow-path DIR lets an image refer to one under DIR",
        Remedy::AllowLink { .. } => "--allow-path DIR lets it lead to DIR",
        Remedy::AllowShrink => "--allow-shrink drops the rest, where it is zeros",
        Remedy::ChooseDisk => "choose one with --disk",
        Remedy::ChooseScratch => "--scratch DIR unpacks elsewhere",
        Remedy::GiveFile => "give a file, or redirect it with '<'",
        Remedy::GiveSize => "give it with --size",
        Remedy::IgnoreLocks => "-U (--force-share) reads it all the same",
        Remedy::MoveGpt => "--move-gpt moves it",
        Remedy::NameFormat => "give it with -O",
        Remedy::OverwriteDevice => "--force overwrites it",
        Remedy::RaiseLimit { limit, to: None } => {
            return Some(format!("--limit {limit}=… sets another bound"));
        }
        Remedy::RaiseLimit { limit, to: Some(bound) } => {
            return Some(format!("--limit {limit}={} reads it", short(*bound)));
        }
        Remedy::ReplaceTarget => "--force replaces it",
        Remedy::RewriteGpt { sectors } => {
            return Some(format!("--gpt-sectors {sectors} writes the table anew"));
        }
        Remedy::StateFormat { format } => return Some(format!("say so with -f {format}")),
        Remedy::TakeAsRaw => "if it is a raw disk under a wrong name, -f raw takes it as it is",
        Remedy::TakeLessMemory => "fewer threads, or a smaller --memory, take less",
        Remedy::Unpack { file, layers, format } => {
            let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
            return Some(format!(
                "unpack it first: {}",
                unpacking(file.as_deref(), &layers, format)
            ));
        }
        Remedy::WriteToFile => "--verify needs a file",
        _ => return None,
    };
    Some(words.to_owned())
}

/// The commands that get a disk out of its wrappers, in that file, or in a pipe.
fn unpacking(file: Option<&str>, layers: &[&str], format: &str) -> String {
    // No name of a member goes into a line that people copy.
    let file = file.map(quoted);
    // What a package has beside its descriptor is a file by itself.
    let layers = layers.strip_prefix(&["ovf"]).unwrap_or(layers);
    match (layers, file) {
        // Its blocks are no file yet.
        (layers, _) if layers.contains(&"xva") => "convert it to raw without '-f'".to_owned(),
        (["tar" | "ova"], None) => "tar -xf -".to_owned(),
        // A tar that reads a pipe does not look whether it is compressed.
        ([packed, "tar" | "ova"], None) => format!("{packed} -dc | tar -xf -"),
        (["tar" | "ova"] | [_, "tar" | "ova"], Some(file)) => format!("tar -xf {file}"),
        ([packed], None) => format!("{packed} -dc > disk.{format}"),
        ([packed], Some(file)) => format!("{packed} -dc {file} > disk.{format}"),
        _ => "layer by layer".to_owned(),
    }
}

/// A size as options take it, in the largest unit of which it is a whole number.
fn short(bytes: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    let whole = units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// What to do about a broken rule. `source` are the words by which the image was opened.
pub fn fix(fix: &Fix, source: &[String]) -> String {
    match fix {
        Fix::Convert(remake) => command_line(remake, source),
        Fix::Advice(text) => (*text).to_owned(),
        Fix::Unpack(remedy) => advice(remedy).unwrap_or_default(),
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

    #[test]
    fn a_disk_is_taken_out_of_its_wrappers_by_the_commands_for_them() {
        for (file, layers, words) in [
            (Some("a b.tgz"), &["gzip", "tar"][..], "tar -xf 'a b.tgz'"),
            (Some("a.ova"), &["ova"], "tar -xf a.ova"),
            (Some("a.qcow2.gz"), &["gzip"], "gzip -dc a.qcow2.gz > disk.qcow2"),
            (Some("a.vmdk.gz"), &["ovf", "gzip"], "gzip -dc a.vmdk.gz > disk.qcow2"),
            (Some("a.xva"), &["xva"], "convert it to raw without '-f'"),
            (Some("a"), &["gzip", "tar", "xz"], "layer by layer"),
            (None, &["tar"], "tar -xf -"),
            (None, &["zstd", "tar"], "zstd -dc | tar -xf -"),
            (None, &["xz"], "xz -dc > disk.qcow2"),
        ] {
            assert_eq!(unpacking(file, layers, "qcow2"), words, "{layers:?}");
        }
    }

    #[test]
    fn what_helps_is_said_behind_what_is_wrong() {
        let raise = |to| Remedy::RaiseLimit { limit: "window".to_owned(), to };
        for (remedy, text) in [
            (None, "a: too much"),
            (Some(Remedy::Waive { rules: vec!["bios".to_owned()] }), "a: too much"),
            (Some(Remedy::GiveSize), "a: too much; give it with --size"),
            (Some(raise(None)), "a: too much; --limit window=… sets another bound"),
            (Some(raise(Some(257 << 20))), "a: too much; --limit window=257M reads it"),
            (Some(raise(Some(2 << 30))), "a: too much; --limit window=2G reads it"),
            (Some(raise(Some(3 << 29))), "a: too much; --limit window=1536M reads it"),
        ] {
            assert_eq!(line(&Error::misuse("too much").in_file("a").mended_by(remedy)), text);
        }
    }
}
