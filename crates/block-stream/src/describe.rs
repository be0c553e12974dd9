//! What an image says about itself, and what is wrong with it.

use std::fmt;

/// What an image says about itself, for people and for `info`.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// The format's name for this kind of file ("v3", "dynamic", "streamOptimized").
    pub subformat: String,
    /// The program that made it, where the format records one.
    pub creator: Option<String>,
    /// Identifiers the image carries, by name.
    pub ids: Vec<(&'static str, String)>,
    /// The compression its data may use.
    pub compression: Option<&'static str>,
    /// Internal snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Everything else worth knowing, by a name that scripts may rely on.
    pub details: Vec<(&'static str, Detail)>,
    /// What opening found that is wrong or odd, and does not keep the image from being read.
    pub warnings: Vec<Problem>,
}

/// A value of [`Description::details`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Yes or no.
    Flag(bool),
    /// A number; its name says its unit.
    Number(u64),
    /// Text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id, unique in the image.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was taken: seconds since 1970.
    pub seconds: u64,
    /// Virtual size in bytes at that time, where recorded.
    pub size: Option<u64>,
    /// Bytes of machine state saved with it.
    pub state_size: u64,
}

/// Something wrong in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of problem.
    pub kind: ProblemKind,
    /// Offset in the file, in bytes, of the field or the bytes concerned.
    pub at: Option<u64>,
    /// What is wrong, with the numbers.
    pub text: String,
}

impl Problem {
    /// Guest data is lost, or would be on the next write. `at` is an offset in the file, in bytes.
    pub fn corruption(at: impl Into<Option<u64>>, text: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Corruption, at: at.into(), text: text.into() }
    }

    /// Storage is held that nothing uses.
    pub fn leak(at: impl Into<Option<u64>>, text: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Leak, at: at.into(), text: text.into() }
    }

    /// A field is wrong, and readers ignore it.
    pub fn oddity(at: impl Into<Option<u64>>, text: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Oddity, at: at.into(), text: text.into() }
    }
}

/// What sort of problem it is, by its consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Guest data is lost, or would be on the next write.
    Corruption,
    /// Storage is held that nothing uses.
    Leak,
    /// A field is wrong, and readers ignore it.
    Oddity,
}

impl ProblemKind {
    /// The word that JSON and people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corruption => "corruption",
            Self::Leak => "leak",
            Self::Oddity => "oddity",
        }
    }
}
