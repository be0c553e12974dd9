//! Why a disk that comes in order cannot be read so.

use std::fmt;

use diskferry_block_stream::Error;

use crate::format::Format;
use crate::import::quoted;
use crate::place::standard::STDIN;
use crate::source::around::Around;

/// A disk whose format needs what is not to be had; how to get at it all the same.
#[derive(thiserror::Error)]
#[error("{what}; {advice}")]
pub(crate) struct InOrderOnly {
    pub format: Format,
    /// What is around it.
    pub around: Around,
    /// The name of the member that it is, where it is in an archive.
    pub member: Option<String>,
    what: String,
    pub advice: String,
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

pub(crate) fn in_order_only(format: Format, outer: &str, name: &str, around: &Around) -> Error {
    let around = around.clone();
    let member = name.strip_prefix(&format!("{outer}/")).map(str::to_owned);
    let (what, advice) = match around.layers.as_slice() {
        [] => (
            format!(
                "a {format} image cannot be read from a pipe, for its tables point back and forth"
            ),
            "give a file, or redirect it with '<'".to_owned(),
        ),
        layers => (
            format!(
                "a {format} image in a compressed file or a pipe comes front to back only, and its \
                 tables point back and forth"
            ),
            format!("unpack it first: {}", unpacking(format, outer, layers)),
        ),
    };
    Error::unsupported(InOrderOnly { format, around, member, what, advice }).in_file(name)
}

/// The commands that get a disk out of its wrappers.
fn unpacking(format: Format, outer: &str, layers: &[&str]) -> String {
    // No name of a member goes into a line that people copy.
    let (outer, is_pipe) = (quoted(outer), outer == STDIN);
    // What a package has beside its descriptor is a file by itself.
    match layers.strip_prefix(&["ovf"]).unwrap_or(layers) {
        // Its blocks are no file yet.
        layers if layers.contains(&"xva") => "convert it to raw without '-f'".to_owned(),
        ["tar" | "ova"] if is_pipe => "tar -xf -".to_owned(),
        // A tar that reads a pipe does not look whether it is compressed.
        [packed, "tar" | "ova"] if is_pipe => format!("{packed} -dc | tar -xf -"),
        ["tar" | "ova"] | [_, "tar" | "ova"] => format!("tar -xf {outer}"),
        [packed] if is_pipe => format!("{packed} -dc > disk.{format}"),
        [packed] => format!("{packed} -dc {outer} > disk.{format}"),
        _ => "layer by layer".to_owned(),
    }
}
