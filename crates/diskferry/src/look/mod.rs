//! What can be said of an image without making another of it: its `info`, by which any source is `described`; its
//! `map`; what a `check` finds; and whether it is the same as another, by `compare`.
//!
//! ```
//! # fn main() -> diskferry::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("disk.img");
//! # std::fs::write(&path, vec![7; 1 << 20])?;
//! use diskferry::look::MapKind;
//! use diskferry::{Control, OpenOptions};
//!
//! let control = Control::default();
//! let image = OpenOptions::new().open_image(&path.as_path().into(), &control)?;
//! assert_eq!(image.info().virtual_size, Some(1 << 20));
//! image.map(&control.cancel, |entry| {
//!     assert_eq!((entry.start, entry.kind), (0, MapKind::Data));
//!     Ok(())
//! })
//! # }
//! ```

mod check;
mod compare;
mod described;
pub(crate) mod info;
pub(crate) mod map;

pub use diskferry_block_stream::{Detail, Problem, ProblemKind};
pub use diskferry_engine::Difference;

pub use self::info::{ChainLink, DataFile, Info, SnapshotInfo, WrappedDisk};
pub use self::map::{MapEntry, MapKind};
