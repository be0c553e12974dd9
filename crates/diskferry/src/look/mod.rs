//! What can be said of an image that is open, without making another of it.
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

pub(crate) mod info;
pub(crate) mod map;
mod whole;

pub use diskferry_block_stream::{Detail, Problem, ProblemKind};
pub use diskferry_engine::Difference;

pub use self::info::{ChainLink, DataFile, Info, SnapshotInfo, WrappedDisk};
pub use self::map::{MapEntry, MapKind};
