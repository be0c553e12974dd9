//! What is odd about an image or a job, though nothing failed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Remedy};

/// Something that a caller may want to know. It prints as one line; what helps is not in it, but in
/// [`remedy`](Self::remedy).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// The file or the place that it is about, by its name; in front of the line.
    pub file: Option<String>,
    /// What there is to say.
    pub text: String,
    /// What a caller can do about it, where something is known to help.
    pub remedy: Option<Remedy>,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoteKind {
    /// What an archive, its descriptor or its manifest says or lacks.
    Archive,
    /// What the format has odd of its own.
    Format,
    /// A rule of the import target that is broken and does not refuse, or was waived.
    ImportRule,
    /// What earlier runs left.
    LeftBehind,
    /// Somebody has it open for writing.
    Locked,
    /// Parents, and other files that an image names.
    Named,
    /// A partition table and the disk's size or sectors.
    PartitionTable,
    /// A file in pieces.
    Pieces,
    /// The size that is stored is not the one that was said or asked for.
    Size,
    /// Not all was seen that should have been judged.
    Unseen,
    /// It looks wrapped, and is taken as it is.
    Wrapped,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Remark,
    /// The result may be another than what was wanted.
    Warning,
}

impl Note {
    /// A note about a file; its name goes in front.
    pub fn of(kind: NoteKind, file: &str, text: impl Into<String>) -> Self {
        Self { kind, file: Some(file.to_owned()), text: text.into(), remedy: None }
    }

    /// The same, of what would have been an error.
    pub fn of_error(kind: NoteKind, error: &Error) -> Self {
        Self { kind, file: None, text: error.to_string(), remedy: error.remedy().cloned() }
    }

    /// Says what a caller can do about it.
    #[must_use]
    pub fn mended_by(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self.kind {
            NoteKind::LeftBehind | NoteKind::Pieces | NoteKind::Size => Severity::Remark,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
