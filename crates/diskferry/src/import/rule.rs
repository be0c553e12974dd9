//! One rule of an import target: what it asks for, how sure that is, and where it is written.

use serde::Serialize;

use super::check::Check;

/// One rule of an import target.
pub struct Rule {
    pub(super) id: &'static str,
    pub(super) check: &'static dyn Check,
    severity: Severity,
    certainty: Certainty,
    code: Option<&'static str>,
    hint: Option<&'static str>,
    source: Source,
}

/// What an image that breaks a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The target refuses it, or the machine does not start.
    Refuses,
    /// It may be refused, or it works with a drawback.
    Warns,
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Tried out.
    Measured,
    /// Read in the source that the rule names.
    Read,
    /// Inferred, or from hearsay. Such a rule only ever warns.
    Unverified,
}

/// Where a rule is written.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Source {
    /// The document or the program.
    pub title: &'static str,
    /// When it was current: a year, a month or a day, as ISO 8601 has them.
    pub date: &'static str,
}

impl Rule {
    /// A rule that was read, and refuses.
    pub(super) const fn new(id: &'static str, check: &'static dyn Check, source: Source) -> Self {
        Self {
            id,
            check,
            severity: Severity::Refuses,
            certainty: Certainty::Read,
            code: None,
            hint: None,
            source,
        }
    }

    pub(super) const fn measured(mut self) -> Self {
        self.certainty = Certainty::Measured;
        self
    }

    pub(super) const fn unverified(mut self) -> Self {
        self.certainty = Certainty::Unverified;
        self.severity = Severity::Warns;
        self
    }

    /// A shared rule where a document has it.
    pub(super) const fn read_in(mut self, source: Source) -> Self {
        (self.certainty, self.severity) = (Certainty::Read, Severity::Refuses);
        self.source = source;
        self
    }

    pub(super) const fn warns(mut self) -> Self {
        self.severity = Severity::Warns;
        self
    }

    /// The target's own error.
    pub(super) const fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What a person can do where no conversion helps.
    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The rule's name, unique among its target's.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What an image that breaks it comes to.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// How sure it is.
    pub fn certainty(&self) -> Certainty {
        self.certainty
    }

    /// The target's own error code or message for what the rule prevents.
    pub fn error_code(&self) -> Option<&'static str> {
        self.code
    }

    /// What a person can do where no conversion helps.
    pub fn advice(&self) -> Option<&'static str> {
        self.hint
    }

    /// Where it is written.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What it asks for, in words.
    pub fn text(&self) -> String {
        self.check.words()
    }
}
