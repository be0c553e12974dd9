//! Disks made of disks: backing chains, parts, growth, changes; a disk as a stream, and a stream as a disk.

mod chain;
mod forward;
mod pad;
mod patched;
mod remembering;
mod rewinding;
mod sided;
mod slice;

pub use chain::Chain;
pub(crate) use forward::Forward;
pub use pad::Pad;
pub use patched::Patched;
pub(crate) use remembering::Remembering;
pub use rewinding::{Begin, Rewinding};
pub use sided::Sided;
pub use slice::Slice;
