//! What a conversion for a target makes, and whether the target will take it.

use diskferry_block_stream::{Error, Result};
use diskferry_inspect::{Finding, Inspection, Note};

use super::facts::Facts;
use super::preflight::{self, Ruling, Verdict};
use super::{ImportTarget, Make};
use crate::file::STDIN;
use crate::format::{Compress, Format};

/// A target, and the rules that the user lets an image break.
pub(crate) struct Readiness {
    target: ImportTarget,
    waived: Vec<String>,
}

/// What is to be made for a target.
pub(crate) struct Choice {
    make: &'static Make,
    /// Options of its format: the target's, then the user's.
    pub options: Vec<(String, String)>,
    pub compress: Option<Compress>,
}

impl Choice {
    pub fn format(&self) -> Format {
        self.make.format
    }

    /// The subformat that it will read back as.
    fn subformat(&self) -> &str {
        let told = self.options.iter().rev().find(|(key, _)| key == "subformat");
        told.map_or(self.make.kind.1, |(_, value)| value)
    }
}

impl Readiness {
    /// # Errors
    /// `Misuse` for a waived rule that the target lacks.
    pub fn new(target: ImportTarget, waived: &[String]) -> Result<Self> {
        let has = |id: &String| target.rules().iter().any(|rule| rule.id() == id);
        if let Some(id) = waived.iter().find(|id| !has(id)) {
            let ids: Vec<&str> = target.rules().iter().map(|rule| rule.id()).collect();
            return Err(Error::misuse(format!(
                "{target} has no rule '{id}'; it has: {}",
                ids.join(", ")
            )));
        }
        Ok(Self { target, waived: waived.to_vec() })
    }

    pub fn target(&self) -> ImportTarget {
        self.target
    }

    pub fn waives(&self, id: &str) -> bool {
        self.waived.iter().any(|waived| waived == id)
    }

    /// What to make: in the format that was asked for or that the target's name means, where the
    /// import target takes it.
    ///
    /// # Errors
    /// `Misuse` where it does not, or takes nothing.
    pub fn choose(
        &self,
        to: Option<Format>,
        named: Option<Format>,
        options: &[(String, String)],
        compress: Option<Compress>,
    ) -> Result<Choice> {
        let makes = self.target.0.makes;
        let Some(first) = makes.first() else {
            return Err(Error::misuse(format!(
                "{} says what an export should be; nothing can be made for it",
                self.target
            )));
        };
        let wanted = to.or(named);
        let make = match wanted {
            None => first,
            Some(format) => makes
                .iter()
                .filter(|make| make.format == format)
                .find(|make| agrees(make, options))
                .or_else(|| makes.iter().find(|make| make.format == format))
                .ok_or_else(|| self.not_taken(format, to.is_some()))?,
        };
        let own = make.options.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Ok(Choice {
            make,
            options: own.chain(options.iter().cloned()).collect(),
            compress: compress.or(make.compressed.then(Compress::default)),
        })
    }

    fn not_taken(&self, format: Format, asked: bool) -> Error {
        let mut names: Vec<&str> = Vec::new();
        for make in self.target.0.makes {
            if !names.contains(&make.format.name()) {
                names.push(make.format.name());
            }
        }
        let says = if asked { "-O says" } else { "its name says" };
        let takes = names.join(", ");
        Error::misuse(format!("{says} {format}, but what is made for {} is: {takes}", self.target))
    }

    /// The virtual size of what is made of a disk of `own` bytes.
    pub fn size(&self, own: u64) -> u64 {
        let size = own.max(self.target.0.least);
        size.checked_next_multiple_of(self.target.0.unit).unwrap_or(size)
    }

    /// Whether any disk will do, whatever its size.
    pub fn takes_any_size(&self) -> bool {
        self.target.0.unit <= SECTOR && self.target.0.least == 0
    }

    /// What would be made of an image by the target's first choice; `None` where nothing is.
    pub fn planned(&self, source: &Facts) -> Option<Facts> {
        let choice = self.choose(None, None, &[], None).ok()?;
        Some(self.plan(&choice, source, self.size(source.virtual_size), None))
    }

    /// What is known of the target before any work, at that virtual size in bytes and that name.
    pub fn plan(&self, choice: &Choice, source: &Facts, size: u64, name: Option<&str>) -> Facts {
        let mut content = source.content.clone();
        if let Some(content) = &mut content
            && size > source.virtual_size
        {
            grown(content, size);
        }
        Facts {
            format: choice.make.kind.0,
            subformat: Some(choice.subformat().to_owned()),
            wrapping: choice.make.wrapping.iter().map(|&name| name.to_owned()).collect(),
            virtual_size: size,
            files: if is_split(choice.subformat()) { 2 } else { 1 },
            // They are sound, and what is not is an error of the conversion.
            problems: Some(Vec::new()),
            stored: source.stored,
            name: name.map(str::to_owned),
            as_name: source.as_name.clone(),
            content,
            ..Facts::default()
        }
    }

    /// Judges what is made, planned or written; returns the warnings.
    ///
    /// # Errors
    /// `Unsupported` with every rule that refuses it.
    pub fn judge(&self, facts: &Facts) -> Result<Vec<String>> {
        let rulings = preflight::judge(self, facts);
        let of = |verdict| rulings.iter().filter(move |ruling| ruling.verdict == verdict);
        let refusals: Vec<String> = of(Verdict::Fail).map(refusal).collect();
        if !refusals.is_empty() {
            return Err(Error::unsupported(format!(
                "{} would refuse it: {}",
                self.target,
                refusals.join("; ")
            )));
        }
        let broken = of(Verdict::Warn).chain(of(Verdict::Waived));
        Ok(broken
            .map(|ruling| format!("{}: {}: {}", self.target, ruling.id, ruling.text))
            .collect())
    }

    /// The command line that makes an image ready.
    pub fn command_line(&self, image: &str) -> String {
        let Some(make) = self.target.0.makes.first() else { return String::new() };
        let (source, stem) =
            if image == STDIN { ("-", "disk".into()) } else { (image, stem(image)) };
        let extension = make.format.extensions().first().copied().unwrap_or_default();
        let mut target = format!("{stem}.{extension}");
        if target == source {
            target = format!("{stem}-{}.{extension}", self.target);
        }
        let mut words = vec!["diskferry".to_owned(), "convert".into(), "--for".into()];
        words.push(self.target.name().into());
        if !self.waived.is_empty() {
            words.extend(["--waive".into(), self.waived.join(",")]);
        }
        words.extend([quoted(source), quoted(&target)]);
        words.join(" ")
    }
}

/// The units of disks, in bytes.
const SECTOR: u64 = 512;

/// Whether no option of the user speaks against a make's own.
fn agrees(make: &Make, options: &[(String, String)]) -> bool {
    make.options.iter().all(|(key, value)| {
        options.iter().filter(|(own, _)| own == key).all(|(_, own)| own == value)
    })
}

/// Whether a VMDK of that kind is more than one file.
fn is_split(subformat: &str) -> bool {
    matches!(subformat, "monolithicFlat" | "twoGbMaxExtentSparse" | "twoGbMaxExtentFlat")
}

/// What changes on a disk when zeros are added at its end.
fn grown(disk: &mut Inspection, to: u64) {
    let last = disk
        .used_gpt()
        .filter(|gpt| gpt.backup_at_end)
        .map(|gpt| (gpt.backup.at, to.saturating_sub(u64::from(gpt.sector_size))));
    disk.size = to;
    if let Some((at, want)) = last {
        let finding = Finding::BackupNotAtEnd { at, want };
        disk.notes.push(Note { partition: None, finding });
    }
}

fn refusal(ruling: &Ruling) -> String {
    let code = ruling.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{}: {}{code}", ruling.id, ruling.text)
}

/// A path without its extension, or extensions where it is an archive's.
fn stem(path: &str) -> String {
    let folder = path.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, mut name) = path.split_at(folder);
    for extension in [".gz", ".xz", ".zst", ".bz2", ".tgz", ".tar"] {
        name = name.strip_suffix(extension).filter(|rest| !rest.is_empty()).unwrap_or(name);
    }
    let end = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
    format!("{folder}{}", &name[..end])
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
    fn a_command_line_names_a_target_that_is_not_the_source() {
        let line = |target: &str, image: &str| {
            let target = ImportTarget::from_name(target).unwrap();
            Readiness::new(target, &[]).unwrap().command_line(image)
        };
        for (target, image, expected) in [
            ("azure", "a/disk.qcow2", "diskferry convert --for azure a/disk.qcow2 a/disk.vhd"),
            ("azure", "disk.vhd", "diskferry convert --for azure disk.vhd disk-azure.vhd"),
            ("aliyun", "disk", "diskferry convert --for aliyun disk disk.qcow2"),
            ("aliyun", "x.raw.tar.gz", "diskferry convert --for aliyun x.raw.tar.gz x.qcow2"),
            (
                "aliyun",
                "it's here.raw",
                r"diskferry convert --for aliyun 'it'\''s here.raw' 'it'\''s here.qcow2'",
            ),
        ] {
            assert_eq!(line(target, image), expected);
        }
    }

    #[test]
    fn an_unknown_rule_cannot_be_waived() {
        let target = ImportTarget::from_name("azure").unwrap();
        assert!(Readiness::new(target, &["whole-mib".into()]).is_ok());
        assert!(Readiness::new(target, &["whole-mile".into()]).is_err());
    }

    #[test]
    fn the_name_and_the_options_choose_among_what_the_target_takes() {
        let aws = Readiness::new(ImportTarget::from_name("aws").unwrap(), &[]).unwrap();
        let fixed = [("subformat".to_owned(), "fixed".to_owned())];
        for (to, named, options, kind) in [
            (None, None, &[][..], ("vmdk", "streamOptimized")),
            (None, Some(Format::RAW), &[], ("raw", "raw")),
            (Some(Format::VHD), Some(Format::RAW), &[], ("vhd", "dynamic")),
            (Some(Format::VHD), None, &fixed, ("vhd", "fixed")),
        ] {
            let choice = aws.choose(to, named, options, None).unwrap();
            assert_eq!((choice.make.kind.0, choice.subformat()), kind);
        }
        assert!(aws.choose(None, Some(Format::VDI), &[], None).is_err());
    }
}
