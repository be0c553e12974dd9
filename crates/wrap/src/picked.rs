//! The disk of an archive that is meant.

use std::sync::{Arc, OnceLock};

use crate::archive::Archive;
use crate::choose::choice::Found;
use crate::ending::Ending;
use crate::peek::Peek;

/// The disk of an archive that is meant: its bytes are a [`Part`](crate::Part) of what can be read anywhere, or are
/// [`Arriving`].
pub struct Picked<B> {
    /// The name of the member that it is, as the archive has it.
    pub member: String,
    /// The disks of the archive, in the order of their numbers, as far as they are known by now.
    pub disks: Vec<Found>,
    /// Whether there may be more of them, behind this one. Where it is the [only](crate::Choice::Only) one that is
    /// expected, there are none, or reading it to its end fails.
    pub may_have_more: bool,
    /// What kind of archive it is: whose descriptor told the disk.
    pub archive: Archive,
    /// Its bytes.
    pub body: B,
}

/// A disk whose bytes come in order.
pub struct Arriving {
    /// How many they are.
    pub size: u64,
    /// They themselves. Their end is told only when the whole archive was read and found good, and when they
    /// have the digest that a manifest before them has.
    pub content: Peek,
    /// What there is to say at their end, from then on.
    pub ending: Arc<OnceLock<Ending>>,
}
