//! The sparse-aware parallel copy, with what it reads from and writes to.
//!
//! [`copy`] moves a [`Source`] into the [`Outputs`] of a [`Target`] as a plan says; [`compare`] and [`digest`] look at
//! disks in parallel. All of them run as a [`Job`]: so many threads, so much memory, a way to stop.
#![deny(unsafe_code)]

mod adapt;
mod compare;
mod control;
mod copy;
mod destination;
mod input;
mod job;
mod map;
mod needs;
mod output;
mod outputs;
mod scout;
mod sequence;
mod source;
mod ticket;

pub use adapt::{Begin, Chain, Pad, Patched, Rewinding, Sided, Slice};
pub use compare::{Difference, compare};
pub use control::{Control, Pace, Stage, Undo, Undoing};
pub use copy::{Copied, CopyOptions, Zeros, copy, digest, fingerprint};
pub use destination::{Destination, End, ReadBack, Target};
pub use input::{FileBytes, ReadStream};
pub use job::Job;
pub use map::MappedBytes;
pub use needs::Needs;
pub use output::{
    DeviceOutput, Durability, Entry, FileOutput, Kept, Output, PipeOutput, Replace, Storage,
    WriteOrder, left_behind,
};
pub use outputs::Outputs;
pub use source::Source;
