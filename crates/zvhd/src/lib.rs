//! Huawei Cloud's disk images, ZVHD and ZVHD2, read and written.
//!
//! Both cut the disk into blocks of 2 MiB, of which those that hold something are stored
//! compressed, in order, each in a unit of whole pages.
//!
//! ```text
//! ZVHD   | head page | unit | unit | ... | the head page again |
//! ZVHD2  | head page | unit | unit | ... | middle page | index | bitmap | last page |
//! ```
//!
//! The units of a ZVHD file are one zlib stream, so that each may refer back into the one before
//! it; those that we write do not. Those of ZVHD2 stand alone, and an index says where they are.
//!
//! The layout is that of the public reference implementation, huaweicloud/ims-qemu-img
//! (`block/zvhd.c`, `block/zvhd2.c`), two block drivers of QEMU 2.3.
#![forbid(unsafe_code)]

mod cursor;
mod damage;
mod header;
mod source;
mod unit;
mod wire;
mod write;

pub mod zvhd;
pub mod zvhd2;
