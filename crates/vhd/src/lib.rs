//! Microsoft's VHD (Virtual PC, Hyper-V, Azure), read and written: fixed, dynamic, differencing.
//!
//! [`Vhd`] is an opened image, [`FixedDisk`] one that came in order, [`plan`] the way to store a disk as one. The layout is in
//! Microsoft's "Virtual Hard Disk Image Format Specification" of October 2006; where that leaves
//! something open, or readers take it otherwise, the place says whom this follows.
#![forbid(unsafe_code)]

mod check;
mod cursor;
mod damage;
mod footer;
mod geometry;
mod header;
mod image;
mod options;
mod parent;
mod wire;
mod write;

pub use header::FixedDisk;
pub use image::Vhd;
pub use options::{OPTIONS, Options};
pub use write::plan;
