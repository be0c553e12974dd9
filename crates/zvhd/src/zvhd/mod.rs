//! ZVHD: one zlib stream, cut into units.
//!
//! ```text
//! | page: "stream" | unit: header, payload, padding, "end\0" | unit | ... | the first page again |
//! ```
//!
//! The payloads are a zlib stream that is flushed after each and never finished: its two-byte
//! header is in the first, and each may refer back into the block that is stored before it. Nothing
//! says where a unit is but the one before it.

mod check;
mod image;
mod options;
mod scan;
mod stream;
mod unpack;
mod write;

pub use image::Zvhd;
pub use options::{OPTIONS, Options};
pub use stream::ZvhdStream;
pub use write::plan;
