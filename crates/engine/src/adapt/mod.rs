//! Disks made of disks: backing chains, parts, growth.

mod chain;
mod pad;
mod slice;

pub use chain::Chain;
pub use pad::Pad;
pub use slice::Slice;
