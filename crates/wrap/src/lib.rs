//! What disk images are wrapped in when they travel: tar archives, OVA and XVA packages, compressed files.
//!
//! - [`Wrapping::of`] recognises a wrapper by its first bytes.
//! - [`Package`] is an archive whose bytes can be read anywhere: each member is a part of the file,
//!   so that any format works inside, and the kernel may copy from it. [`Folder`] has what is beside a disk.
//! - [`Forward`] is what comes in order only, out of a pipe or of a compressed file: [`Peek`] looks
//!   ahead, [`Unpacking`] unpacks, [`find_disk`] passes over an archive up to the disk, and [`list_disks`] to
//!   its end.
//! - [`Package::disk`] and [`find_disk`] choose alike, ask the same [`Judge`], and return a [`Picked`].
//! - [`Package::object`] says what importers mind in an OVF package, [`Package::promises`] which digests its
//!   manifest has, [`survey`] what an archive is made of.
//! - [`Package::unpacked`] is the same of an OVF package whose files lie in a folder. Whoever calls it opens them.
//! - [`Joined`] is a disk that is cut into files.
//! - [`gcp`] and [`ova`] plan such files around a disk.
//!
//! An archive's names are compared and shown. No file is ever opened by one here.
#![forbid(unsafe_code)]

mod archive;
mod capacity;
mod choose;
mod contents;
mod damage;
mod digests;
mod ending;
pub mod gcp;
mod in_order;
mod joined;
mod listing;
mod manifest;
mod member;
mod objection;
pub mod ova;
mod ovf;
mod package;
mod part;
mod peek;
mod picked;
mod segment;
mod small;
mod survey;
mod tar;
mod unpacking;
mod wrapping;
mod write;
mod xva;

pub use archive::Archive;
pub use capacity::Capacity;
pub use choose::choice::{Choice, Found};
pub use choose::judge::{Candidate, Judge, LIKELY, Likeness};
pub use digests::Digests;
pub use ending::Ending;
pub use in_order::find_disk;
pub use in_order::listing::list_disks;
pub use joined::Joined;
pub use listing::Listing;
pub use objection::{Objection, Point};
pub use ovf::is_descriptor_text;
pub use package::Package;
pub use package::folder::Folder;
pub use package::promises::{Promise, Promises};
pub use package::unpacked::Neighbours;
pub use part::Part;
pub use peek::{BytesReader, Forward, Peek};
pub use picked::{Arriving, Picked};
pub use segment::Segment;
pub use survey::{Survey, survey};
pub use tar::Kind as TarKind;
pub use unpacking::Unpacking;
pub use wrapping::Wrapping;
