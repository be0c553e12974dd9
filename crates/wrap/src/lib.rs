//! What disk images are wrapped in when they travel: tar archives, OVA and XVA packages, compressed files.
//!
//! - [`Wrapping::of`] recognises a wrapper by its first bytes.
//! - [`Package`] is an archive whose bytes can be read anywhere: each member is a part of the file,
//!   so that any format works inside, and the kernel may copy from it.
//! - [`Forward`] is what comes in order only, out of a pipe or of a compressed file: [`Peek`] looks
//!   ahead, [`Unpacking`] unpacks, [`find_disk`] passes over an archive up to the disk, and [`list_disks`] to
//!   its end.
//! - [`Package::object`] says what importers mind in an OVF package, [`Package::promises`] which digests its
//!   manifest has, [`survey`] what an archive is made of.
//! - [`Package::unpacked`] is the same of an OVF package whose files lie in a folder. Whoever calls it opens them.
//! - [`Joined`] is a disk that is cut into files.
//! - [`gcp`] and [`ova`] plan such files around a disk.
//!
//! An archive's names are compared and shown. No file is ever opened by one here.
#![forbid(unsafe_code)]

mod capacity;
mod choose;
mod contents;
mod damage;
mod digests;
mod ending;
mod forward;
pub mod gcp;
mod joined;
mod listing;
mod manifest;
mod objection;
pub mod ova;
mod ovf;
mod package;
mod part;
mod peek;
mod survey;
mod tar;
mod unpacked;
mod unpacking;
mod write;
mod xva;

pub use capacity::Capacity;
pub use choose::{Choice, Found, LIKELY, Likeness};
pub use digests::{Digests, Promise, Promises};
pub use ending::Ending;
pub use forward::{Inside, Judge, find_disk};
pub use joined::Joined;
pub use listing::{Listing, list_disks};
pub use objection::{Objection, Point};
pub use ovf::is_descriptor_text;
pub use package::{JudgePart, Package, Picked};
pub use part::{Part, Segment};
pub use peek::{BytesReader, Forward, Peek};
pub use survey::{Survey, survey};
pub use tar::Kind as TarKind;
pub use unpacked::Neighbours;
pub use unpacking::Unpacking;

use diskferry_codec::Wrapper;

/// A kind of wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// A tar archive; an OVA is one.
    Tar,
    /// A compressed file.
    Packed(Wrapper),
}

/// A kind of archive: all are tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// Any.
    Tar,
    /// An OVF package.
    Ova,
    /// XenServer's and XCP-ng's.
    Xva,
}

impl Archive {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Ova => "ova",
            Self::Xva => "xva",
        }
    }
}

impl Wrapping {
    /// Bytes of a file that tell whether it is a wrapper.
    pub const HEAD: usize = 4096;

    /// The wrapper whose signature these first bytes of a file bear.
    pub fn of(head: &[u8]) -> Option<Self> {
        match Wrapper::of(head) {
            Some(wrapper) => Some(Self::Packed(wrapper)),
            None => tar::begins(head).then_some(Self::Tar),
        }
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Packed(wrapper) => wrapper.name(),
        }
    }
}
