//! A virtual disk: extents that tile it, a cursor to read them, and what lies under it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Read};
use std::sync::Arc;

use crate::{Bytes, Cancel, Description, Error, Note, Problem, Progress, Result};

/// Bytes of a sector: what the sizes of most disks are multiples of, and many formats count in.
pub const SECTOR: u64 = 512;

/// An opened virtual disk, or one layer of it. Immutable, shared by all threads.
pub trait Disk: Send + Sync {
    /// Virtual size in bytes.
    fn size(&self) -> u64;

    /// The unit in which the disk is stored (cluster, block), in bytes; 1 where there is none.
    fn grain(&self) -> u64;

    /// The files that [`Kind::Plain`] extents point into, by index.
    fn files(&self) -> &[Arc<dyn Bytes>];

    /// How it is best read. Cursors read it right in any order.
    fn order(&self) -> Order {
        Order::Any
    }

    /// A new reader of this disk.
    ///
    /// # Errors
    /// `Io` or `Damaged` where a reader needs more of the image than opening did.
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>>;
}

/// How a disk is best read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Anywhere, in pieces of any length.
    #[default]
    Any,
    /// Anywhere, a whole [grain](Disk::grain) at a time: a part of one costs as much as all of it.
    Grains,
    /// Front to back, by one cursor: to begin anywhere else may cost as much as all that precedes
    /// it.
    Forward,
}

/// One thread's reader of a disk. It owns its buffers, its decompressor and the table it is in.
pub trait Cursor: Send {
    /// The extent at `at`: a run of one kind, of at least one and at most `limit` bytes.
    ///
    /// Successive extents tile the disk. Two neighbours may have the same kind.
    /// The caller keeps `at + limit` within the disk.
    ///
    /// # Errors
    /// `Damaged` when a table contradicts the file, `Io` when it cannot be read.
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent>;

    /// Fills `buf` with the disk's bytes at `at`; what is absent or zero reads as zeros.
    ///
    /// # Errors
    /// `Damaged` or `Io`; `buf` is then unspecified.
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()>;
}

/// Fills as much of `buf` as `reader` has bytes for; answers how many those are: fewer than there is
/// room for only at its end. `at` is the offset of the first one, for messages.
///
/// # Errors
/// Those of the reader, at the place that it had come to. An interruption is none.
pub fn fill_from(reader: &mut impl Read, at: u64, buf: &mut [u8]) -> Result<usize> {
    let mut count = 0;
    while count < buf.len() {
        match reader.read(&mut buf[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let left = (buf.len() - count) as u64;
                return Err(Error::from(error).at("reading", at + count as u64, left));
            }
        }
    }
    Ok(count)
}

/// A run of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes, at least one.
    pub length: u64,
    /// What is there.
    pub kind: Kind,
}

/// What a run of a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not in this layer: the parent's bytes, or zeros where there is no parent.
    Absent,
    /// Zeros, whatever the parent holds.
    Zero,
    /// Bytes that only [`Cursor::read`] can get.
    Data {
        /// Whether they are stored compressed.
        compressed: bool,
    },
    /// Bytes stored as they are: the whole run, at this place in this file.
    Plain {
        /// Index into [`Disk::files`].
        file: u32,
        /// Offset of the run's first byte in that file.
        offset: u64,
    },
}

impl Kind {
    /// Whether the run reads as zeros in a disk without a parent.
    pub fn reads_zero(self) -> bool {
        matches!(self, Self::Absent | Self::Zero)
    }
}

/// A disk with what only its format knows about it.
pub trait Image: Disk {
    /// What the image says about itself.
    fn describe(&self) -> Description;

    /// The parent that this layer needs for its absent parts. Named here, opened by nobody here.
    fn parent(&self) -> Option<&ParentRef> {
        None
    }

    /// What a child of this image calls it, where the format has such an identity.
    fn id(&self) -> Option<String> {
        None
    }

    /// The size in bytes that the disk had before its format rounded it up, where the format tells.
    fn original_size(&self) -> Option<u64> {
        None
    }

    /// Reports what opening warned of, then reads every table and reports each problem.
    ///
    /// Progress is counted in bytes: of the virtual disk, as far as its tables were looked at, and of what else
    /// is read.
    ///
    /// # Errors
    /// `Io` when a table cannot be read, `Limit` when checking would need too much memory,
    /// `Cancelled`.
    fn check(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        self.describe().warnings.into_iter().for_each(&mut *report);
        self.check_tables(cancel, progress, report).map_err(|error| {
            let error = error.doing("checking");
            match self.files() {
                [own, ..] => error.in_file(own.name()),
                [] => error,
            }
        })
    }

    /// The part of [`check`](Self::check) that each format has of its own: it does not tell again what
    /// [`describe`](Self::describe) warns of.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()>;
}

/// The parent (backing file) that an image names. All of it is the image's word: untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentRef {
    /// The names that the image has for it, the likeliest first: bytes, where the format has those. None
    /// where the format identifies parents by [`id`](Self::id) alone; it is then looked for beside the
    /// image.
    pub names: Vec<OsString>,
    /// The format the image says it has, in this project's or its own words.
    pub format: Option<String>,
    /// The [`Image::id`] that the parent must have, where the format knows such.
    pub id: Option<String>,
}

impl ParentRef {
    /// What to call it in a message.
    pub fn name(&self) -> Cow<'_, str> {
        let id = || self.id.as_deref().unwrap_or_default().into();
        self.names.first().map_or_else(id, |name| name.to_string_lossy())
    }
}

/// A source that can only be read forward, such as a pipe. Its size may be known only at its end.
pub trait Stream: Send {
    /// The name that messages use.
    fn name(&self) -> &str;

    /// Virtual size in bytes, where it is known beforehand.
    fn size(&self) -> Option<u64>;

    /// The size in bytes that the disk had before its format rounded it up, where the format tells
    /// that beforehand.
    fn original_size(&self) -> Option<u64> {
        None
    }

    /// The next piece. Bytes go to the front of `buf`; zeros need no room.
    ///
    /// # Errors
    /// `Io` or `Damaged`; the stream is then over.
    fn next(&mut self, buf: &mut [u8]) -> Result<Piece>;

    /// Odd things that do not keep the disk from being read. All of them are known once the stream
    /// has ended.
    fn warnings(&self) -> Vec<Note> {
        Vec::new()
    }
}

/// Why an image that may well be good cannot be read in order: the cause of an `Unsupported` error of what
/// opens a [`Stream`]. Whoever has all of its bytes can read it.
#[derive(Debug)]
pub struct NotInOrder(String);

impl NotInOrder {
    /// The error that says so; `why` is a clause.
    pub fn error(why: impl Into<String>) -> Error {
        Error::unsupported(Self(why.into()))
    }

    /// Whether that is what is wrong.
    pub fn is_cause_of(error: &Error) -> bool {
        let cause = std::error::Error::source(error);
        cause.is_some_and(|cause| cause.is::<Self>())
    }
}

impl std::fmt::Display for NotInOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotInOrder {}

/// A stream that is lent, so that its owner can ask for its warnings when it is over.
impl<S: Stream + ?Sized> Stream for &mut S {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn size(&self) -> Option<u64> {
        (**self).size()
    }

    fn original_size(&self) -> Option<u64> {
        (**self).original_size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        (**self).next(buf)
    }

    fn warnings(&self) -> Vec<Note> {
        (**self).warnings()
    }
}

/// What a [`Stream`] yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes of the buffer were filled, at least one.
    Data(usize),
    /// So many zeros follow, at least one.
    Zero(u64),
    /// There is no more.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// Gives a byte, is interrupted, gives another; and fails where it has no more.
    struct Halting(Vec<Option<io::ErrorKind>>);

    impl Read for Halting {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                None => Ok(0),
                Some(None) => {
                    buf[0] = 7;
                    Ok(1)
                }
                Some(Some(kind)) => Err(kind.into()),
            }
        }
    }

    #[test]
    fn it_fills_up_to_the_end_or_the_error_whatever_interrupts_it() {
        let interrupted = Some(io::ErrorKind::Interrupted);
        let broken = Some(io::ErrorKind::BrokenPipe);
        let mut buf = [0; 4];
        let count = fill_from(&mut Halting(vec![None, interrupted, None]), 0, &mut buf);
        assert_eq!((count.unwrap(), buf), (2, [7, 7, 0, 0]));
        let error = fill_from(&mut Halting(vec![None, broken, None, None]), 100, &mut buf);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!((error.place().offset, error.place().length), (Some(102), Some(2)));
    }
}
