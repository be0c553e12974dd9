//! Disks made of disks: backing chains, parts, growth.

mod chain;
mod pad;
mod remembering;
mod slice;

pub use chain::Chain;
pub use pad::Pad;
pub(crate) use remembering::Remembering;
pub use slice::Slice;
