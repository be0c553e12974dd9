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
//! use diskferry::{Algorithm, Convert, Job, Verify, VirtualSize};
//!
//! let mut convert = Convert::new(source.as_path(), target.as_path());
//! convert.size = Some(VirtualSize::Bytes(8 << 20));
//! convert.verify = Verify::ReadBack;
//! convert.digests = vec![Algorithm::Sha256];
//! let summary = convert.run(&Job::new(0)?)?;
//! assert_eq!((summary.source.format, summary.target.format), ("raw", "qcow2"));
//! assert_eq!(summary.target.virtual_size, Some(8 << 20));
//! assert_eq!((summary.copied, summary.zeros), (1 << 20, 7 << 20));
//! # Ok(())
//! # }
//! ```
//!
//! [`OpenOptions`] opens an image with its backing chain, to look at it: [`DiskImage::info`],
//! [`map`](DiskImage::map), [`check`](DiskImage::check), [`compare`](DiskImage::compare).
//! [`formats`] lists what there is. No file is opened on an image's say-so beyond what the
//! [`Policy`] allows, and what an image may ask for is bounded by [`Limits`].
//!
//! What clouds and hypervisors accept is in [`import_targets`]: a [`Preflight`] judges an image by
//! the rules of one, and [`Convert::import`] makes one ready for it.
//!
//! Whoever needs the bytes themselves finds them in [`DiskImage::disk`], as the [`Disk`] of the
//! [`block_stream`] vocabulary.
#![forbid(unsafe_code)]

mod convert;
mod format;
mod import;
mod look;
mod place;
mod source;
mod target;

pub use convert::{BackupGpt, Convert, Identity, Shrink, Summary, Verify, VirtualSize};
pub use diskferry_block_stream as block_stream;
pub use diskferry_block_stream::{
    Cancel, Detail, Disk, Error, ErrorKind, Limits, OptionSpec, Place, Problem, ProblemKind,
    Progress, Remedy, Result, Side, parse_size,
};
pub use diskferry_codec::digest::{Algorithm, UnknownAlgorithm};
pub use diskferry_engine::{Control, Difference, Durability, Job, Pace, Replace, Stage, Zeros};
pub use diskferry_inspect::SectorSize;
pub use diskferry_wrap::Choice;
pub use format::{Compress, Format, formats};
pub use import::{
    Certainty, ImportTarget, Preflight, Report, Rule, Ruling, Severity, Source, Verdict,
    import_targets,
};
pub use look::info::{ChainLink, DataFile, Info, SnapshotInfo, WrappedDisk};
pub use look::map::{MapEntry, MapKind};
pub use place::file::{Access, Location};
pub use place::policy::Policy;
pub use source::stream::StreamInput;
pub use source::{Backing, DiskImage, Input, Layer, Locks, OpenOptions};
pub use uuid::Uuid;
