//! What can be wrong with an archive.

use diskferry_block_stream::{Error, ErrorKind};
use diskferry_codec::digest::Algorithm;

/// A contradiction in an archive. Offsets are bytes in the archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("the archive ends early, at {at:#x}")]
    Short { at: u64 },
    #[error("the tar header at {at:#x} has the checksum {found:?}, and not {sum:#o}")]
    Checksum { at: u64, found: String, sum: u32 },
    #[error("the tar header at {at:#x} has no number as its {field}")]
    Number { at: u64, field: &'static str },
    #[error("the extended tar header at {at:#x} has a record that is none")]
    Record { at: u64 },
    #[error("the extended tar header at {at:#x} has no number as {key}")]
    RecordNumber { at: u64, key: &'static str },
    #[error("the extended tar header at {at:#x} belongs to no member")]
    Orphan { at: u64 },
    #[error("the sparse member at {at:#x} has a map that {problem}")]
    Map { at: u64, problem: &'static str },
    #[error("the OVF descriptor '{name}' is no XML: {detail}")]
    Xml { name: String, detail: String },
    #[error("the OVF descriptor '{name}' {problem}")]
    Ovf { name: String, problem: String },
    #[error("the XVA's descriptor 'ova.xml' {problem}")]
    Xva { problem: String },
    #[error("the member '{name}' of the XVA {problem}")]
    Member { name: String, problem: String },
    #[error("the disk '{id}' of the XVA {problem}")]
    Disk { id: String, problem: String },
    #[error(
        "the block '{name}' has the {kind} {found}, and not {stated}, as the file beside it has it"
    )]
    Block { name: String, kind: &'static str, found: String, stated: String },
    #[error("'{file}' has the {algorithm} {found}, and not {stated}, as the manifest has it")]
    Digest { file: String, algorithm: Algorithm, found: String, stated: String },
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::new(ErrorKind::Damaged, damage)
    }
}
