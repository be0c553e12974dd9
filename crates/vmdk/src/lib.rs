//! VMware's VMDK, read and written: every kind of extent that is a file.
//!
//! [`Vmdk`] is an opened image, [`Descriptor`] the text that says what it is made of,
//! [`StreamOptimizedStream`] a streamOptimized image that arrives through a pipe, and [`plan`] the
//! way to store a disk as one. The layouts are in VMware's notes "Virtual Disk Format" 1.1 and 5.0,
//! and for what those leave out in the documentation of libvmdk and in QEMU's `block/vmdk.c`.
//!
//! Sectors are 512 bytes, and all numbers little-endian.
#![forbid(unsafe_code)]

mod check;
mod cursor;
mod damage;
mod descriptor;
mod header;
mod image;
mod names;
mod options;
mod sparse;
mod stream;
mod wire;
mod write;

pub use descriptor::{Access, Descriptor, ExtentKind, ExtentLine};
pub use image::{ExtentName, Vmdk, probe};
pub use options::{OPTIONS, Options};
pub use stream::StreamOptimizedStream;
pub use write::plan;
