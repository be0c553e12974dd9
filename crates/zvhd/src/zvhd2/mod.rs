//! ZVHD2: blocks that stand alone, and an index.
//!
//! ```text
//! | page: cookie "z2strm" | unit: header, payload, padding, "end\0" | unit | ... | middle page |
//! | index: segments of 512 KiB | bitmap: segments of 4 KiB | last page |
//! ```
//!
//! The last page has the last word: where index and bitmap are, and how many units. The first has
//! the same sizes, but nothing of the tables; the middle one only ends the units for whoever comes
//! from the front.

mod check;
mod image;
mod options;
mod stream;
mod tables;
mod unpack;
mod write;

pub use image::Zvhd2;
pub use options::{OPTIONS, Options};
pub use stream::Zvhd2Stream;
pub use write::plan;
