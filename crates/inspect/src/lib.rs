//! What stands on a virtual disk: its partition table, how it boots, and the file systems in it.
//!
//! ```text
//! LBA 0            1        2 …         first usable          last usable     … last LBA
//! | MBR            | GPT    | entries | partitions …                       | entries | GPT |
//!   boot code,       header                ESP: FAT, EFI/BOOT/BOOTX64.EFI     backup
//!   four entries                           root: ext4, xfs, NTFS, LVM, …
//! ```
//!
//! - [`inspect`] reads a few hundred KiB of a [`Disk`](diskferry_block_stream::Disk) and gives an
//!   [`Inspection`]. Nothing is mounted, nothing is believed: what does not fit is a [`Note`], with
//!   numbers, and only a disk that cannot be read is an error.
//! - [`Inspection::resized`] gives the bytes to change so that a GPT fits a larger or smaller disk.
//! - [`usage`] says where the last byte is that is not zero. It may read much of the disk.
//!
//! All results can be serialised; keys and the names of values are a contract: they stay. Positions and
//! lengths are bytes unless a name says otherwise.
//!
//! Whatever a disk holds, the work is bounded by constants: so many partitions are looked into, so
//! many links of a chain are followed, so much of a folder is read.
#![forbid(unsafe_code)]

mod boot;
mod content;
mod fat;
mod fields;
mod gpt;
mod inspection;
mod mbr;
mod note;
mod openstack;
mod partition;
mod reader;
mod resize;
mod root;
mod sectors;
mod usage;

pub use boot::{Architecture, BiosBoot, BiosLoader, Boot, EfiLoader, EfiSystem, UefiBoot};
pub use content::{Content, ContentKind, Features};
pub use fat::FatDamage;
pub use gpt::{Gpt, GptCopy, GptDamage, GptState};
pub use inspection::{Inspection, TableKind, inspect};
pub use mbr::{Mbr, MbrEntry};
pub use note::{Finding, Note};
pub use openstack::{Objection, OpenStack};
pub use partition::{Partition, PartitionType, Role};
pub use resize::{CannotResize, Patch};
pub use root::{Root, System};
pub use sectors::SectorSize;
pub use usage::{Usage, usage};
