//! Disks made of disks: backing chains, parts, growth; and a disk as a stream.

mod chain;
mod forward;
mod pad;
mod remembering;
mod slice;

pub use chain::Chain;
pub(crate) use forward::Forward;
pub use pad::Pad;
pub(crate) use remembering::Remembering;
pub use slice::Slice;
