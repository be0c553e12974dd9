//! Why a disk that comes in order cannot be read so.

use std::fmt;

use diskferry_block_stream::{Error, Remedy};

use crate::format::Format;
use crate::place::standard::STDIN;
use crate::source::around::Around;

/// A disk whose format needs what is not to be had, and what helps.
#[derive(thiserror::Error)]
#[error("{what}")]
pub(crate) struct InOrderOnly {
    pub format: Format,
    /// What is around it.
    pub around: Around,
    /// The name of the member that it is, where it is in an archive.
    pub member: Option<String>,
    what: String,
    /// What helps.
    pub remedy: Remedy,
}

impl fmt::Debug for InOrderOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl InOrderOnly {
    /// The one that is the cause of an error.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    pub fn is_cause_of(error: &Error) -> bool {
        Self::of(error).is_some()
    }
}

/// The error for such a disk, called `name`, that comes out of `outer`.
pub(crate) fn in_order_only(format: Format, outer: &str, name: &str, around: &Around) -> Error {
    let around = around.clone();
    let member = name.strip_prefix(&format!("{outer}/")).map(str::to_owned);
    let (what, remedy) = if around.layers.is_empty() {
        let what = format!(
            "a {format} image cannot be read from a pipe, for its tables point back and forth"
        );
        (what, Remedy::GiveFile)
    } else {
        let what = format!(
            "a {format} image in a compressed file or a pipe comes front to back only, and its \
             tables point back and forth"
        );
        let file = (outer != STDIN).then(|| outer.to_owned());
        let layers = around.layers.iter().map(|&layer| layer.to_owned()).collect();
        (what, Remedy::Unpack { file, layers, format: format.name().to_owned() })
    };
    let found = InOrderOnly { format, around, member, what, remedy: remedy.clone() };
    Error::unsupported(found).mended_by(remedy).in_file(name)
}
