//! What went wrong, where, and what a caller can do about it.

use std::fmt;

/// The result of everything in diskferry that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its kind, its place, and its cause.
///
/// It prints as one line, outermost first:
/// `disk.qcow2: reading 65536 bytes at 0x2000000: damaged image: L2 entry at 0x50008 points to …`.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    place: Place,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller asked for the work to stop.
    Cancelled,
    /// The image contradicts its own format.
    Damaged,
    /// The system refused an input or an output operation.
    Io,
    /// A bound of [`Limits`](crate::Limits) was reached.
    Limit,
    /// The request makes no sense, whatever the image holds.
    Misuse,
    /// A valid image or request that diskferry cannot serve.
    Unsupported,
}

/// Where something happened; every part is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as the user knows it.
    pub file: Option<String>,
    /// What was being done, as a participle: "reading", "placing".
    pub doing: Option<&'static str>,
    /// Offset in bytes.
    pub offset: Option<u64>,
    /// Length in bytes.
    pub length: Option<u64>,
}

impl Error {
    /// An error of `kind` without a place yet.
    pub fn new(
        kind: ErrorKind,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Parts { kind, place: Place::default(), cause: cause.into() }))
    }

    /// The caller asked for the work to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
    }

    /// The image contradicts its own format; `cause` is one of the format's damages.
    pub fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Damaged, cause)
    }

    /// A bound was reached.
    pub fn limit(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Limit, cause)
    }

    /// The request makes no sense.
    pub fn misuse(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Misuse, cause)
    }

    /// Valid, but not served.
    pub fn unsupported(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Unsupported, cause)
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Names the file, unless a deeper layer already did.
    #[must_use]
    pub fn in_file(mut self, name: &str) -> Self {
        self.0.place.file.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Says what was being done with which bytes, unless a deeper layer already did.
    #[must_use]
    pub fn at(mut self, doing: &'static str, offset: u64, length: u64) -> Self {
        let place = &mut self.0.place;
        if place.doing.is_none() {
            place.doing = Some(doing);
            place.offset = Some(offset);
            place.length = Some(length);
        }
        self
    }

    /// Says what was being done, where no bytes can be named.
    #[must_use]
    pub fn doing(mut self, doing: &'static str) -> Self {
        self.0.place.doing.get_or_insert(doing);
        self
    }
}

impl From<std::io::Error> for Error {
    /// An `Io` error; or the error of ours that a [`Read`](std::io::Read) of ours had to dress up as one.
    fn from(error: std::io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(|error| Self::new(ErrorKind::Io, error))
    }
}

/// For a [`Read`](std::io::Read) over what can be damaged. Whoever reads it gets the same error back.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, place, cause } = &*self.0;
        if let Some(file) = &place.file {
            write!(f, "{file}: ")?;
        }
        match (place.doing, place.length, place.offset) {
            (Some(doing), Some(length), Some(offset)) => {
                write!(f, "{doing} {length} bytes at {offset:#x}: ")?;
            }
            (Some(doing), ..) => write!(f, "{doing}: ")?,
            _ => {}
        }
        match kind {
            ErrorKind::Cancelled => f.write_str("cancelled: ")?,
            ErrorKind::Damaged => f.write_str("damaged image: ")?,
            ErrorKind::Limit => f.write_str("limit reached: ")?,
            ErrorKind::Unsupported => f.write_str("unsupported: ")?,
            ErrorKind::Io | ErrorKind::Misuse => {}
        }
        write!(f, "{cause}")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_file_place_kind_and_cause_on_one_line() {
        let error = Error::damaged("L2 entry at 0x50008 points past the end")
            .at("reading", 0x200_0000, 65536)
            .in_file("disk.qcow2");
        assert_eq!(
            error.to_string(),
            "disk.qcow2: reading 65536 bytes at 0x2000000: damaged image: \
             L2 entry at 0x50008 points past the end"
        );
    }

    #[test]
    fn an_error_that_went_through_a_reader_is_the_same() {
        let error = Error::damaged("no end").at("unpacking", 1, 2);
        let text = error.to_string();
        let back = Error::from(std::io::Error::from(error));
        assert_eq!((back.kind(), back.to_string()), (ErrorKind::Damaged, text));
        let io = Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(io.kind(), ErrorKind::Io);
    }

    #[test]
    fn the_innermost_place_is_kept() {
        let error = Error::misuse("x").at("reading", 1, 2).at("placing", 3, 4);
        assert_eq!(error.place().doing, Some("reading"));
        assert_eq!(error.in_file("a").in_file("b").place().file.as_deref(), Some("a"));
    }
}
