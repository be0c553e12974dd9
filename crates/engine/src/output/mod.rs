//! Where the bytes of a file go: a file that appears only when it is whole, a block device, a pipe.

mod device;
mod file;
mod partial;
mod pipe;
mod replace;
mod sync;
mod traits;
mod zeros;

pub use self::device::DeviceOutput;
pub use self::file::{Durability, FileOutput};
pub use self::partial::{Entry, Kept, left_behind};
pub use self::pipe::PipeOutput;
pub use self::replace::Replace;
pub use self::traits::{Output, Storage, WriteOrder};
