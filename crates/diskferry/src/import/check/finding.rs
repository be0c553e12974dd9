//! What became of a check, and the ways to say it.

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum Finding {
    /// The image has what the rule asks for, or the rule is not about such images.
    Holds(String),
    /// It has not.
    Broken(String),
    /// Whether it has depends on how the rule is meant.
    Doubtful(String),
    /// There was no looking.
    Unknown(String),
}

/// The one where it holds, else the other.
pub(super) fn said(
    holds: bool,
    good: impl FnOnce() -> String,
    bad: impl FnOnce() -> String,
) -> Finding {
    if holds { Finding::Holds(good()) } else { Finding::Broken(bad()) }
}

/// Holds where nothing was found.
pub(super) fn none_of(found: &[String], good: &str) -> Finding {
    said(found.is_empty(), || good.into(), || found.join("; "))
}

/// The rule is not about such images.
pub(super) fn beside_the_point(why: &str) -> Finding {
    Finding::Holds(why.into())
}

pub(super) fn not_looked_at(what: &str) -> Finding {
    Finding::Unknown(what.into())
}

pub(super) fn unwritten() -> Finding {
    not_looked_at("the file is not written yet")
}
