//! Where an image is, or where one goes.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where an image is, or where one goes.
/// Stored, it is what it is on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Argument", from = "Argument")]
#[non_exhaustive]
pub enum Location {
    /// A path to a file, a block device or a named pipe.
    Path(PathBuf),
    /// The process's stdin as a source, its stdout as a target.
    Standard,
}

impl Location {
    /// What an argument means on a command line, where `-` is stdin or stdout.
    pub fn from_argument(argument: impl Into<PathBuf>) -> Self {
        let path = argument.into();
        if path.as_os_str() == "-" { Self::Standard } else { Self::Path(path) }
    }
}

/// A location as it is on a command line.
#[derive(Serialize, Deserialize)]
struct Argument(PathBuf);

impl From<Location> for Argument {
    fn from(location: Location) -> Self {
        Self(match location {
            Location::Path(path) if path.as_os_str() == "-" => "./-".into(),
            Location::Path(path) => path,
            Location::Standard => "-".into(),
        })
    }
}

impl From<Argument> for Location {
    fn from(argument: Argument) -> Self {
        Self::from_argument(argument.0)
    }
}

/// A path means itself, also `-`.
impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Standard => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_a_standard_stream_only_as_an_argument() {
        assert_eq!(Location::from_argument("-"), Location::Standard);
        assert_eq!(Location::from_argument("./-"), Location::Path("./-".into()));
        assert_eq!(Location::from(Path::new("-")), Location::Path("-".into()));
    }
}
