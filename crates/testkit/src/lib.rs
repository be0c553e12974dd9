//! What diskferry's tests share; nothing that is shipped depends on it.
//!
//! - [`Model`] is a disk whose every byte is known from a seed; [`Recorder`] is an output in memory
//!   that notices what a file would swallow; [`fn@machine`] is a disk that targets take for a machine's.
//! - [`laws`] are what every format passes, one call each; [`mod@format`] is what their tests share.
//! - [`Overlay`] is a damaged file that costs no copy, and traces what is read of it.
//! - [`Hinted`] is bytes that remember what they were told of reads to come.
//! - [`fault`] makes the n-th operation fail, or cancel the job.
//! - [`toy`] is a format as small as can be, to test the laws and the engine by.
//! - [`child`] runs other programs, within bounds.
//! - [`qemu`] asks qemu-img and qemu-io; [`fuzz`] replays kept inputs.
//!
//! Everything here panics when something is wrong: that is how tests end.
#![forbid(unsafe_code)]

pub mod child;
pub mod fault;
pub mod format;
pub mod fuzz;
mod hinted;
pub mod laws;
mod machine;
mod model;
mod overlay;
pub mod qemu;
mod random;
mod recorder;
pub mod toy;
mod watchdog;

pub use hinted::{Hinted, Told};
pub use machine::machine;
pub use model::{Model, ModelStream, Part, StreamSize, Texture};
pub use overlay::Overlay;
pub use random::Random;
pub use recorder::{Copying, Counts, Discard, Recorded, Recorder};
pub use watchdog::within;
