//! What things are called.

use super::finding::{Finding, said};
use super::row::{Check, Need, Settled};
use crate::import::facts::Facts;

/// What a name may be.
pub(in crate::import) struct NameRule {
    /// What has the name: "image name", "object name prefix".
    pub what: &'static str,
    /// The rule in words.
    pub text: &'static str,
    /// Characters that it has, at least and at most.
    pub length: (usize, usize),
    /// Whether it is a name, but for its length.
    pub allows: fn(&str) -> bool,
}

impl NameRule {
    fn judge(&self, name: Option<&str>) -> Finding {
        let Some(name) = name else {
            return Finding::Unknown(format!("no {} was given: --as-name", self.what));
        };
        let (least, most) = self.length;
        said(
            (least..=most).contains(&name.chars().count()) && (self.allows)(name),
            || format!("{}: '{name}'", self.what),
            || format!("'{name}' is no {}: {}", self.what, self.text),
        )
    }

    fn words(&self) -> String {
        format!("{}: {}", self.what, self.text)
    }
}

/// A name for the image or the object, as it will be called there.
pub(in crate::import) struct Name(pub NameRule);

impl Check for Name {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Name
    }

    fn judge(&self, facts: &Facts) -> Finding {
        self.0.judge(facts.as_name.as_deref())
    }

    fn words(&self) -> String {
        self.0.words()
    }
}

/// The name of the file, which becomes the object's.
pub(in crate::import) struct FileName(pub NameRule);

impl Check for FileName {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Name
    }

    fn judge(&self, facts: &Facts) -> Finding {
        self.0.judge(facts.as_name.as_deref().or(facts.name.as_deref()))
    }

    fn words(&self) -> String {
        self.0.words()
    }
}
