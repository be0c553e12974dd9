//! What a conversion for a target makes, and whether the target will take it.

use diskferry_block_stream::{Error, Foretold, Note, NoteKind, Result, SECTOR, Writing};
use diskferry_inspect::SectorSize;

use super::check::Need;
use super::facts::{Facts, is_of_backup};
use super::glance::Glance;
use super::kind::Kind;
use super::make::Make;
use super::profile::ImportTarget;
use super::verdict::{Fix, Ruling, Verdict, judge};
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

    /// How it is written.
    ///
    /// # Errors
    /// `Misuse` for an option or a value that the format lacks.
    pub fn writing(&self) -> Result<Box<dyn Writing>> {
        self.format().writing(&self.options, self.compress)
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

    /// Whether one of its rules does.
    pub(super) fn needs(&self, need: Need) -> bool {
        self.target.rules().iter().any(|rule| rule.check.needs() == need)
    }

    /// Every rule, judged.
    pub(super) fn rulings(&self, facts: &Facts) -> Vec<Ruling> {
        judge(self.target.rules(), &self.waived, facts)
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

    /// What would be made of an image, under that name, by the target's first choice; `None` where
    /// nothing is. The backup of a GPT moves along.
    pub fn planned(&self, source: &Facts, name: &str) -> Option<Facts> {
        let choice = self.choose(None, None, &[], None).ok()?;
        let name = name.rsplit('/').next();
        let size = self.size(source.virtual_size);
        let writing = choice.writing().ok()?;
        // What is no whole number of sectors is no disk of any target.
        let unit = writing.unit().max(SECTOR);
        let size = size.checked_next_multiple_of(unit).unwrap_or(size);
        let mut planned = self.plan(&choice, writing.foretell(), source, size, name);
        let (moves, resectors) = (source.moves_gpt(size), source.resectors_gpt(size));
        if let Some(disk) = planned.content.as_mut() {
            if moves || resectors {
                disk.notes.retain(|note| !is_of_backup(&note.finding));
            }
            if resectors {
                disk.sector_size = Some(SectorSize::B512.bytes());
            }
        }
        Some(planned)
    }

    /// What is known of the target before any work, by what its format foretells, at that name, and the
    /// virtual size in bytes that it will have.
    pub fn plan(
        &self,
        choice: &Choice,
        foretold: Foretold,
        source: &Facts,
        size: u64,
        name: Option<&str>,
    ) -> Facts {
        Facts {
            files: if foretold.is_split { 2 } else { 1 },
            kind: Some(Kind::of(foretold.subformat)),
            wrapping: choice.make.wrapping.to_vec(),
            virtual_size: size,
            // They are sound, and what is not is an error of the conversion.
            problems: Some(Vec::new()),
            objections: Some(Vec::new()),
            survey: choice.make.survey(),
            glance: Some(Glance::default()),
            stored: source.stored,
            name: name.map(str::to_owned),
            as_name: source.as_name.clone(),
            details: foretold.details,
            stray: source.stray,
            content: source.content.clone(),
            ..Facts::of(choice.make.holds)
        }
    }

    /// Judges what is made, planned or written; returns the warnings.
    ///
    /// # Errors
    /// `Refused` with every rule that refuses it.
    pub fn judge(&self, facts: &Facts) -> Result<Vec<Note>> {
        self.verdict(&self.rulings(facts))
    }

    /// The same by the beginning of a disk, where that settles it; a size of 0 is not known yet.
    ///
    /// # Errors
    /// As for [`judge`](Self::judge).
    pub fn judge_ahead(&self, facts: &Facts) -> Result<Vec<Note>> {
        let rulings = self.rulings(facts).into_iter().zip(self.target.rules());
        let settled = rulings.filter(|(_, rule)| rule.check.settled().is_by_beginning(facts));
        self.verdict(&settled.map(|(ruling, _)| ruling).collect::<Vec<_>>())
    }

    /// The warnings.
    fn verdict(&self, rulings: &[Ruling]) -> Result<Vec<Note>> {
        let of = |verdict| rulings.iter().filter(move |ruling| ruling.verdict == verdict);
        let refusals: Vec<String> = of(Verdict::Fail).map(refusal).collect();
        if !refusals.is_empty() {
            return Err(Error::refused(format!(
                "{} would refuse it: {}",
                self.target,
                refusals.join("; ")
            )));
        }
        let note = |ruling: &Ruling| {
            let text = format!("{}: {}", ruling.id, ruling.text);
            Note::of(NoteKind::ImportRule, self.target.name(), text)
        };
        Ok(of(Verdict::Warn).chain(of(Verdict::Waived)).map(note).collect())
    }
}

/// Whether no option of the user speaks against a make's own.
fn agrees(make: &Make, options: &[(String, String)]) -> bool {
    make.options.iter().all(|(key, value)| {
        options.iter().filter(|(own, _)| own == key).all(|(_, own)| own == value)
    })
}

fn refusal(ruling: &Ruling) -> String {
    let code = ruling.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let advice = match &ruling.fix {
        Some(Fix::Advice(advice)) => format!(" ({advice})"),
        Some(Fix::Convert(_) | Fix::Unpack(_)) | None => String::new(),
    };
    format!("{}: {}{code}{advice}", ruling.id, ruling.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_not_called_as_the_source_and_as_the_target_takes_it() {
        for (target, image, expected) in [
            ("azure", "a/disk.qcow2", "a/disk.vhd"),
            ("azure", "disk.vhd", "disk-azure.vhd"),
            ("aliyun", "disk", "disk.qcow2"),
            ("aliyun", "x.raw.tar.gz", "x.qcow2"),
            ("aliyun", "it's here.raw", "it's here.qcow2"),
            ("huawei", "my disks/my disk.raw", "my disks/my-disk.qcow2"),
            ("huawei", "a.qcow2", "a-huawei.qcow2"),
        ] {
            let target = ImportTarget::from_name(target).unwrap();
            assert_eq!(Readiness::new(target, &[]).unwrap().target_name(image), expected);
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
            (None, None, &[][..], (Format::VMDK, "streamOptimized")),
            (None, Some(Format::RAW), &[], (Format::RAW, "raw")),
            (Some(Format::VHD), Some(Format::RAW), &[], (Format::VHD, "dynamic")),
            (Some(Format::VHD), None, &fixed, (Format::VHD, "fixed")),
        ] {
            let choice = aws.choose(to, named, options, None).unwrap();
            let subformat = choice.writing().unwrap().foretell().subformat;
            assert_eq!((choice.make.holds, subformat), kind);
        }
        assert!(aws.choose(None, Some(Format::VDI), &[], None).is_err());
    }
}
