//! VirtualBox's disk images (VDI), read and written.
//!
//! [`Vdi`] is an opened image, [`plan`] the way to store a disk as one. The layout is in
//! VirtualBox's `src/VBox/Storage/VDICore.h`; where that leaves something open, this follows what
//! `VDI.cpp` beside it does, and what QEMU's `block/vdi.c` does with the images both can read.
#![forbid(unsafe_code)]

mod check;
mod cursor;
mod damage;
mod header;
mod image;
mod options;
mod wire;
mod write;

pub use image::Vdi;
pub use options::{OPTIONS, Options};
pub use write::plan;
