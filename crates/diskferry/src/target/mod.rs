//! Where a conversion goes: a place as it was found, then a target as it is written there. Each kind of place has
//! its file, with all that it refuses.
//!
//! A caller's own place implements the same traits as these do: a [`Destination`] says what it accepts, and creates
//! a [`Target`], whose [`Outputs`] take the bytes.

pub(crate) mod destination;
mod device;
mod file;
mod found;
mod parts;
mod pipe;
mod split;

pub use diskferry_engine::{
    Destination, End, Needs, Output, Outputs, ReadBack, Storage, Target, Undo, WriteOrder,
};
