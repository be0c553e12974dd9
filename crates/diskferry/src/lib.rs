//! Converts disk images between the formats of clouds and hypervisors: fast, safe on files from
//! strangers, and the same bytes every time.
//!
//! A conversion is a [`Convert`] that is [run](Convert::run) as a [`Job`]:
//!
//! ```
//! # fn main() -> diskferry::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let (source, target) = (folder.path().join("disk.img"), folder.path().join("disk.qcow2"));
//! # std::fs::write(&source, vec![7; 1 << 20])?;
//! use diskferry::convert::{Algorithm, Verify, VirtualSize};
//! use diskferry::{Convert, Job};
//!
//! let convert = Convert::new(source.as_path(), target.as_path())
//!     .size(VirtualSize::Bytes(8 << 20))
//!     .verify(Verify::ReadBack)
//!     .digests([Algorithm::Sha256]);
//! let summary = convert.run(&Job::new(0)?)?;
//! assert_eq!((summary.source.format, summary.target.format), ("raw", "qcow2"));
//! assert_eq!(summary.target.virtual_size, Some(8 << 20));
//! assert_eq!((summary.copied, summary.zeros), (1 << 20, 7 << 20));
//! # Ok(())
//! # }
//! ```
//!
//! - [`convert`]: what a conversion can be asked for, and what it tells;
//! - [`source`]: how images are opened, with their backing chains and out of what they are wrapped in; nothing is opened
//!   on an image's say-so beyond what a [`Policy`](place::Policy) allows, and what it may ask for is bounded by
//!   [`Limits`](source::Limits);
//! - [`look`]: what can be said of one: [`info`](OpenOptions::info), [`map`](DiskImage::map),
//!   [`check`](DiskImage::check), [`compare`](DiskImage::compare), [`digest`](Opened::digest);
//! - [`import`]: what clouds and hypervisors accept, to judge an image by it before it is uploaded;
//! - [`format`](mod@format): the formats there are; [`place`]: where images are and go; [`target`]: what a place of
//!   the caller's own has to do to [take](Convert::run_into) a conversion;
//! - [`block_stream`]: the vocabulary, for whoever needs the bytes of a [disk](DiskImage::disk) themselves;
//!   [`engine`]: what moves them.
//!
//! The names of the paved road stand here, too.
#![forbid(unsafe_code)]

pub mod convert;
pub mod format;
pub mod import;
pub mod look;
pub mod place;
pub mod source;
pub mod target;

pub use diskferry_block_stream::{
    self as block_stream, Error, ErrorKind, Note, NoteKind, Remedy, Result, Severity, Side,
};
pub use diskferry_engine::{self as engine, Control, Job};

pub use convert::{Convert, Summary};
pub use format::{Format, formats};
pub use place::Location;
pub use source::{DiskImage, OpenOptions, Opened};
