//! Opens a source: a file, a device, a pipe or bytes that the caller has, out of whatever it is wrapped in, with all
//! that it needs.
//!
//! ```
//! # fn main() -> diskferry::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("disk.img");
//! # std::fs::write(&path, vec![7; 1 << 20])?;
//! use diskferry::place::Policy;
//! use diskferry::{Control, OpenOptions};
//!
//! let options = OpenOptions::new().policy(Policy::allowing(["/var/lib/images"])).scratch(std::env::temp_dir());
//! let image = options.open_image(&path.as_path().into(), &Control::default())?;
//! assert_eq!((image.format().name(), image.disk().size()), ("raw", 1 << 20));
//! # Ok(())
//! # }
//! ```
//!
//! What is to be opened is `found` with what lies beside it: the `pieces` of a split file are joined, a descriptor
//! leads to the disk of its `package`. Then one loop takes the wrappers off (`unwrap`). What it comes to can be read
//! anywhere, and is opened with what it is over (`chain`); or it comes in order (`arrived`), or through a scratch file
//! where it cannot be read so. Either way it is an [`Opened`]: where the disk is from, and the disk.

pub(crate) mod around;
pub(crate) mod arrived;
mod chain;
pub(crate) mod forward;
mod found;
pub(crate) mod image;
mod meant;
mod numbering;
mod open;
pub(crate) mod opened;
pub(crate) mod opening;
pub(crate) mod options;
pub(crate) mod origin;
mod package;
mod parent;
mod pieces;
pub(crate) mod probe;
pub(crate) mod unlike;
pub(crate) mod unwrap;
pub(crate) mod wanted;

pub use diskferry_block_stream::{Limits, Sibling, Siblings};
pub use diskferry_wrap::Choice;

pub use self::arrived::Arriving;
pub use self::image::{DiskImage, Layer, Layers};
pub use self::opened::{Body, Opened};
pub use self::options::{Backing, OpenOptions};
pub use self::origin::Origin;
