//! What went wrong, where, whose fault it is, and whether it is worth trying again.

use std::{fmt, io};

use crate::Remedy;

/// The result of everything in diskferry that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its kind, its place, and its cause.
///
/// It prints as one line, outermost first:
/// `disk.qcow2: reading 65536 bytes at 0x2000000: damaged image: L2 entry at 0x50008 points to …`. What a caller can
/// do about it is not in that line, but in [`remedy`](Self::remedy).
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    place: Place,
    side: Option<Side>,
    remedy: Option<Remedy>,
    /// Whether it passes, where kind and cause do not tell.
    passes: bool,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller asked for the work to stop.
    Cancelled,
    /// The image contradicts its own format.
    Damaged,
    /// Something is where the target is to be.
    Exists,
    /// The system refused an input or an output operation.
    Io,
    /// A bound of [`Limits`](crate::Limits) was reached.
    Limit,
    /// The request makes no sense, whatever the image holds.
    Misuse,
    /// What could be done, but may not: a policy or a rule is against it.
    Refused,
    /// A valid image or request that diskferry cannot serve.
    Unsupported,
}

/// Which end of a job something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written, also when it is read back.
    Target,
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
        Self(Box::new(Parts {
            kind,
            place: Place::default(),
            side: None,
            remedy: None,
            passes: false,
            cause: cause.into(),
        }))
    }

    /// The caller asked for the work to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
    }

    /// The image contradicts its own format; `cause` is one of the format's damages.
    pub fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Damaged, cause)
    }

    /// Something is where the target is to be.
    pub fn exists(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Exists, cause)
    }

    /// A bound was reached.
    pub fn limit(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Limit, cause)
    }

    /// A codec that does not compress: it has no memory, or not such a level.
    pub fn compressing(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::from(io::Error::other(cause)).doing("compressing")
    }

    /// The request makes no sense.
    pub fn misuse(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Misuse, cause)
    }

    /// A policy or a rule is against it.
    pub fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Refused, cause)
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

    /// Whether it is about the source or the target, where that is known.
    pub fn side(&self) -> Option<Side> {
        self.0.side
    }

    /// What a caller can do about it, where something is known to help.
    pub fn remedy(&self) -> Option<&Remedy> {
        self.0.remedy.as_ref()
    }

    /// Whether the same request may work later, with nothing about it changed: what failed was a connection, the
    /// room on a disk, somebody who has the file in use, or the caller stopped it. What is not there or not allowed,
    /// and what is wrong with the image or the request, stays so.
    pub fn is_worth_retrying(&self) -> bool {
        match self.0.kind {
            ErrorKind::Cancelled => true,
            ErrorKind::Io => self.0.passes || self.cause_passes(),
            ErrorKind::Damaged
            | ErrorKind::Exists
            | ErrorKind::Limit
            | ErrorKind::Misuse
            | ErrorKind::Refused
            | ErrorKind::Unsupported => false,
        }
    }

    /// Whether the system's reason is one that passes.
    fn cause_passes(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return passes(error);
            }
            cause = error.source();
        }
        false
    }

    /// Says that trying again may help, where kind and cause do not tell.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.0.passes = true;
        self
    }

    /// Says which end it is about, unless a deeper layer already did.
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.0.side.get_or_insert(side);
        self
    }

    /// Says what a caller can do about it, unless a deeper layer already did.
    #[must_use]
    pub fn mended_by(mut self, remedy: impl Into<Option<Remedy>>) -> Self {
        if self.0.remedy.is_none() {
            self.0.remedy = remedy.into();
        }
        self
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

/// Whether what the system says may be otherwise later.
fn passes(error: &io::Error) -> bool {
    // Other kinds may be added, and tell nothing; a device's EIO has none, and one behind a network recovers.
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Deadlock
            | io::ErrorKind::ExecutableFileBusy
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::StorageFull
            | io::ErrorKind::TimedOut
            | io::ErrorKind::WouldBlock
    ) || error.raw_os_error() == Some(EIO)
}

/// Linux' number of an error of input or output.
const EIO: i32 = 5;

impl From<io::Error> for Error {
    /// An `Io` error; or the error of ours that a [`Read`](std::io::Read) of ours had to dress up as one.
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(|error| Self::new(ErrorKind::Io, error))
    }
}

/// For a [`Read`](std::io::Read) over what can be damaged. Whoever reads it gets the same error back.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, place, cause, .. } = &*self.0;
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
            ErrorKind::Refused | ErrorKind::Unsupported => f.write_str("unsupported: ")?,
            ErrorKind::Exists | ErrorKind::Io | ErrorKind::Misuse => {}
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
        let back = Error::from(io::Error::from(error));
        assert_eq!((back.kind(), back.to_string()), (ErrorKind::Damaged, text));
        let io = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(io.kind(), ErrorKind::Io);
    }

    #[test]
    fn what_passes_is_worth_trying_again_and_what_stays_is_not() {
        let io = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
        let named = |error: Error| Error::new(ErrorKind::Io, error).in_file("a");
        for (error, again) in [
            (Error::cancelled(), true),
            (io(io::ErrorKind::ConnectionReset), true),
            (io(io::ErrorKind::TimedOut), true),
            (io(io::ErrorKind::StorageFull), true),
            (named(io(io::ErrorKind::StorageFull)), true),
            (Error::from(io::Error::from_raw_os_error(EIO)), true),
            (Error::new(ErrorKind::Io, "somebody has it open for writing").passing(), true),
            (io(io::ErrorKind::NotFound), false),
            (named(io(io::ErrorKind::NotFound)), false),
            (io(io::ErrorKind::PermissionDenied), false),
            (Error::new(ErrorKind::Io, "the target reads back differently"), false),
            (Error::misuse("no"), false),
            (Error::exists("the target exists"), false),
            (Error::refused("an absolute path"), false),
            (Error::unsupported("encrypted"), false),
            (Error::damaged("no end"), false),
            (Error::limit("too many"), false),
        ] {
            assert_eq!(error.is_worth_retrying(), again, "{error}");
        }
    }

    #[test]
    fn the_innermost_place_side_and_remedy_are_kept() {
        let error = Error::misuse("x").on(Side::Source).mended_by(Remedy::GiveSize);
        let error = error.on(Side::Target).mended_by(Remedy::AllowShrink).mended_by(None);
        assert_eq!((error.side(), error.remedy()), (Some(Side::Source), Some(&Remedy::GiveSize)));
        let error = Error::misuse("x").at("reading", 1, 2).at("placing", 3, 4);
        assert_eq!(error.place().doing, Some("reading"));
        assert_eq!(error.in_file("a").in_file("b").place().file.as_deref(), Some("a"));
    }
}
