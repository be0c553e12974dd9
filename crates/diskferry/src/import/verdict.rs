//! What became of each rule.

use diskferry_block_stream::Remedy;
use serde::Serialize;

use super::check::Finding;
use super::facts::Facts;
use super::remake::Remake;
use super::rule::{Certainty, Rule, Severity, Source};

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The rule's name, unique among its target's.
    pub id: &'static str,
    /// Whether it lets the image through, with a warning or without.
    pub ok: bool,
    /// More exactly.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// The target's own error code or message that this prevents.
    pub code: Option<&'static str>,
    /// What to do about it.
    pub fix: Option<Fix>,
    /// What the rule asks for.
    pub rule: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// Where it is written.
    pub source: Source,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The image keeps to it.
    Pass,
    /// The image breaks it, which may do harm.
    Warn,
    /// The image breaks it, and is refused.
    Fail,
    /// The user lets the image break it.
    Waived,
    /// It could not be judged.
    Unknown,
}

/// What there is to do about a rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// A conversion mends it.
    Convert(Remake),
    /// What a person can do, by the rule.
    Advice(&'static str),
    /// The image can be had outside of what it is wrapped in.
    Unpack(Remedy),
}

impl Verdict {
    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Waived => "waived",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges every rule; what is broken is to be mended by the rule's own advice. Those that are waived are
/// given by their ids.
pub(super) fn judge(rules: &'static [Rule], waived: &[String], facts: &Facts) -> Vec<Ruling> {
    rules.iter().map(|rule| ruling(rule, waived, facts)).collect()
}

fn ruling(rule: &'static Rule, waived: &[String], facts: &Facts) -> Ruling {
    let (verdict, text) = match rule.check.judge(facts) {
        Finding::Holds(text) => (Verdict::Pass, text),
        Finding::Unknown(text) => (Verdict::Unknown, text),
        Finding::Broken(text) | Finding::Doubtful(text)
            if waived.iter().any(|id| id == rule.id()) =>
        {
            (Verdict::Waived, text)
        }
        Finding::Doubtful(text) => (Verdict::Warn, text),
        Finding::Broken(text) => match rule.severity() {
            Severity::Refuses => (Verdict::Fail, text),
            Severity::Warns => (Verdict::Warn, text),
        },
    };
    Ruling {
        id: rule.id(),
        ok: verdict != Verdict::Fail,
        verdict,
        text,
        code: rule.error_code(),
        fix: matches!(verdict, Verdict::Fail | Verdict::Warn)
            .then(|| rule.advice().map(Fix::Advice))
            .flatten(),
        rule: rule.text(),
        certainty: rule.certainty(),
        source: rule.source(),
    }
}
