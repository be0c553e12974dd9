//! A target: what to make for it, and its rules.

use std::fmt;

use super::make::{FixedOptions, Make};
use super::rule::Rule;
use crate::format::Format;

/// A cloud, a hypervisor or a service that imports disk images; or one that exports them.
#[derive(Clone, Copy)]
pub struct ImportTarget(pub(super) &'static Profile);

/// What there is to say about a target.
pub(super) struct Profile {
    pub name: &'static str,
    pub title: &'static str,
    /// How an image is made ready, the best way first; none for a profile of what comes out.
    pub makes: &'static [Make],
    /// Virtual sizes that are made are multiples of this, in bytes.
    pub unit: u64,
    /// And no less than this.
    pub least: u64,
    pub rules: &'static [Rule],
    /// What an image does not show, and people should know.
    pub notes: &'static [&'static str],
}

impl ImportTarget {
    /// The name that users write and scripts read.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// Its rules.
    pub fn rules(self) -> &'static [Rule] {
        self.0.rules
    }

    /// What an image does not show, and people should know.
    pub fn notes(self) -> &'static [&'static str] {
        self.0.notes
    }

    /// The format that a conversion for it chooses, with its options, and whether it is compressed;
    /// `None` where nothing is to be made, as it says what an export should be.
    pub fn makes(self) -> Option<(Format, FixedOptions, bool)> {
        let Make { format, options, compressed, .. } = self.0.makes.first()?;
        Some((*format, options, *compressed))
    }
}

/// Names are unique in the table.
impl PartialEq for ImportTarget {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for ImportTarget {}

impl fmt::Debug for ImportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImportTarget").field(&self.name()).finish()
    }
}

impl fmt::Display for ImportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
