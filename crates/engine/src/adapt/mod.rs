//! Disks made of disks: backing chains, parts, growth; a disk as a stream, and a stream as a disk.

mod chain;
mod forward;
mod pad;
mod remembering;
mod rewinding;
mod slice;

pub use chain::Chain;
pub(crate) use forward::Forward;
pub use pad::Pad;
pub(crate) use remembering::Remembering;
pub use rewinding::{Begin, Rewinding};
pub use slice::Slice;
