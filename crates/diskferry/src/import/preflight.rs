//! Whether an image is ready for a target: every rule, judged.

use diskferry_block_stream::{Error, Limits, Result};
use diskferry_engine::Job;

use super::facts::Facts;
use super::kind::Layer;
use super::profile::ImportTarget;
use super::readiness::Readiness;
use super::remake::Remake;
use super::verdict::{Fix, Ruling, Verdict};
use crate::source::image::DiskImage;
use crate::source::unwrap::in_order_only::InOrderOnly;

/// A look at an image before it is uploaded.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// Where it is to go.
    pub target: ImportTarget,
    /// What the object, or the image, will be called there.
    pub as_name: Option<String>,
    /// Ids of rules that the user takes upon himself.
    pub waived: Vec<String>,
    /// Bounds on what looking through the archive may take that the image is in.
    pub limits: Limits,
}

/// What a preflight found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The image's name, as it was given.
    pub file: String,
    /// The target's name.
    pub target: &'static str,
    /// Whether no rule refuses the image.
    pub ready: bool,
    /// Each rule of the target, in its order.
    pub rules: Vec<Ruling>,
    /// The conversion that makes the image ready, where it is not and there is one.
    pub convert: Option<Remake>,
    /// What the image does not show, and people should know.
    pub notes: &'static [&'static str],
}

impl Preflight {
    /// Judges every rule of the target on the image and on its disk's content.
    ///
    /// # Errors
    /// `Misuse` for a waived rule that the target lacks; `Io`, `Damaged` or `Cancelled` when the
    /// image cannot be read.
    pub fn run(&self, image: &DiskImage, job: &Job) -> Result<Report> {
        let readiness = Readiness::new(self.target, &self.waived)?;
        let mut facts = readiness.facts(image)?;
        readiness.read_through(&mut facts, image, &self.limits, job)?;
        if !facts.is_unreadable {
            readiness.look_inside(&mut facts, image, image.disk(), job)?;
            readiness.look_beyond(&mut facts, image.disk().as_ref(), job)?;
        }
        facts.as_name.clone_from(&self.as_name);
        let mut report = Report {
            file: image.name().to_owned(),
            target: self.target.name(),
            ready: true,
            rules: readiness.rulings(&facts),
            convert: None,
            notes: self.target.notes(),
        };
        report.ready = report.rules.iter().all(|ruling| ruling.ok);
        let target = readiness.target_name(image.origin().given());
        let planned = readiness.planned(&facts, &target).filter(|_| !facts.is_unreadable);
        let remake = planned.as_ref().map(|planned| {
            let to = (self.target, self.waived.as_slice());
            Remake::new(to, image.origin().given(), target, &facts, planned.virtual_size)
        });
        let mended = planned.map(|planned| readiness.rulings(&planned));
        if !report.ready
            && let Some(mended) = &mended
            && mended.iter().all(|ruling| ruling.ok)
        {
            report.convert.clone_from(&remake);
        }
        if let (Some(remake), Some(mended)) = (remake, mended) {
            add_fixes(&remake, &mut report.rules, &mended);
        }
        Ok(report)
    }
}

impl Preflight {
    /// What is known of an image that could not be opened for `error`: that the target does not take its
    /// format, or what it is wrapped in. `None` where that is not known, or the target takes it.
    ///
    /// # Errors
    /// `Misuse` for a waived rule that the target lacks.
    pub fn unopened(&self, error: &Error) -> Result<Option<Report>> {
        let readiness = Readiness::new(self.target, &self.waived)?;
        let Some(found) = InOrderOnly::of(error) else { return Ok(None) };
        let InOrderOnly { format, around, member, remedy, .. } = found;
        let facts = Facts {
            wrapping: Layer::all(&around.layers),
            member: member.clone(),
            is_unopened: true,
            ..Facts::of(*format)
        };
        let mut rules = readiness.rulings(&facts);
        for (ruling, rule) in rules.iter_mut().zip(self.target.rules()) {
            if !rule.check.settled().is_by_first_bytes() {
                (ruling.ok, ruling.verdict) = (true, Verdict::Unknown);
                "it could not be opened".clone_into(&mut ruling.text);
            }
            ruling.fix = (!ruling.ok).then(|| Fix::Unpack(remedy.clone()));
        }
        let ready = rules.iter().all(|ruling| ruling.ok);
        let file = error.place().file.clone().unwrap_or_default();
        let (target, notes) = (self.target.name(), self.target.notes());
        Ok((!ready).then_some(Report { file, target, ready, rules, convert: None, notes }))
    }
}

/// What a conversion mends, it mends better than the rule's advice.
fn add_fixes(remake: &Remake, rules: &mut [Ruling], mended: &[Ruling]) {
    for (ruling, mended) in rules.iter_mut().zip(mended) {
        // What is only known of a written file is made right, too.
        let by_converting = matches!(mended.verdict, Verdict::Pass | Verdict::Unknown);
        if by_converting && matches!(ruling.verdict, Verdict::Fail | Verdict::Warn) {
            ruling.fix = Some(Fix::Convert(remake.clone()));
        }
    }
}
