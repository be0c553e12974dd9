//! What import targets accept, and whether an image is ready for one.
//!
//! The rules are data, one file a target in `targets/`; each names its source and how sure it is.
//! A rule is judged on facts: of an image as it is ([`Preflight`]), or of one as a
//! conversion would make it, so that what cannot be made ready is refused before any work.
//!
//! ```
//! use diskferry::import::{ImportTarget, import_targets};
//!
//! let azure = ImportTarget::from_name("azure").unwrap();
//! assert!(import_targets().contains(&azure) && !azure.rules().is_empty());
//! ```

mod check;
mod facts;
mod gather;
mod glance;
mod kind;
mod make;
mod naming;
mod preflight;
mod profile;
mod read_through;
mod readiness;
mod remake;
mod rule;
mod targets;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use facts::Facts;
pub use preflight::{Preflight, Report};
pub use profile::ImportTarget;
pub(crate) use readiness::{Choice, Readiness};
pub use remake::{Gpt, Remake};
pub use rule::{Certainty, Rule, Severity, Source};
pub use targets::import_targets;
pub use verdict::{Fix, Ruling, Verdict};
