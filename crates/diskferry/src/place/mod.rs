//! Where images are and go: what makes two places the same, how a file is opened with care, what an image's names may
//! lead to.
//!
//! ```
//! use diskferry::place::{Location, Policy};
//!
//! assert_eq!(Location::from_argument("-"), Location::Standard);
//! assert_eq!(Location::from("disk.img"), Location::Path("disk.img".into()));
//! // What an image names may be in its own folder, and in this one.
//! let policy = Policy::allowing(["/var/lib/images"]);
//! # assert_eq!(policy.allow.len(), 1);
//! ```

pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod identity;
pub(crate) mod kind;
pub(crate) mod location;
pub(crate) mod locks;
pub(crate) mod policy;
pub(crate) mod spelling;
pub(crate) mod standard;
pub(crate) mod unchanged;
pub(crate) mod written;

pub use self::file::Access;
pub use self::location::Location;
pub use self::locks::Locks;
pub use self::policy::Policy;
