//! The vocabulary of diskferry: what a virtual disk is, how it is read, and how one is laid out.
//!
//! - [`Disk`] is an opened image: shared, immutable. A [`Cursor`], one per thread, tells its
//!   [`Extent`]s and reads its bytes. A [`Stream`] is a source that can only go forward.
//!   A format that finds its bytes by a table writes a [`Walk`] through it, and has a cursor for it.
//! - [`Bytes`] is what a disk is read from: a file, a memory map, a `Vec<u8>`.
//! - [`Plan`] is a format's answer to "how would you store a disk of this size?". It does no I/O:
//!   the engine owns threads, memory, order and errors.
//!   A format's options are its [`Writing`], which makes one.
//! - [`Error`] says what, where and why, and a [`Remedy`] what helps; [`Limits`] bounds what an image may ask for, and
//!   a [`Budget`] keeps account of it; [`Cancel`] and [`Progress`] connect a running job with whoever started it.
//!
//! All positions and lengths are bytes unless a name says otherwise.
#![forbid(unsafe_code)]

mod budget;
mod bytes;
mod describe;
mod disk;
mod error;
mod identity;
mod job;
mod limits;
mod note;
mod options;
mod plan;
mod remedy;
mod siblings;
mod version;
mod walk;
mod writing;

pub use budget::{Budget, Held, Spent, Window};
pub use bytes::{Bytes, Run};
pub use describe::{Description, Detail, Problem, ProblemKind, Snapshot};
pub use disk::{
    Cursor, Disk, Extent, Image, Kind, NotInOrder, Order, ParentRef, Piece, SECTOR, Stream,
    fill_from,
};
pub use error::{Error, ErrorKind, Place, Result, Side};
pub use identity::Identity;
pub use job::{Cancel, Progress};
pub use limits::{LIMITS, Limits};
pub use note::{Note, NoteKind, Severity};
pub use options::{OptionSpec, choice, parse_size};
pub use plan::{
    Chunk, Enclosed, Enclosure, Flat, Form, Layout, MakeDescriptor, MakePacker, Packed, Packer,
    Part, Plan, Preallocation, Sink, Split, Stamp,
};
pub use remedy::Remedy;
pub use siblings::{Sibling, Siblings};
pub use version::{Change, FileVersion, Version};
pub use walk::{Unpacked, Walk, by_units};
pub use writing::{Foretold, Naming, Writing};
