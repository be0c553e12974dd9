//! Disks made of disks: backing chains, parts, growth; and of streams.

mod chain;
mod pad;
mod remembering;
mod rewinding;
mod slice;

pub use chain::Chain;
pub use pad::Pad;
pub(crate) use remembering::Remembering;
pub use rewinding::{Begin, Rewinding};
pub use slice::Slice;
