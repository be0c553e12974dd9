//! QEMU's qcow2, versions 2 and 3, read and written.
//!
//! [`Qcow2`] is an opened image, [`plan`] the way to store a disk as one. The layout is in QEMU's
//! `docs/interop/qcow2.rst`; where that leaves something open, this follows what QEMU 10 does.
#![forbid(unsafe_code)]

mod check;
mod cursor;
mod damage;
mod header;
mod image;
mod options;
mod snapshot;
mod table;
mod wire;
mod write;

pub use image::Qcow2;
pub use options::{OPTIONS, Options};
pub use write::plan;
