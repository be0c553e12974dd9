//! The disks of an archive.

use crate::choose::choice::Found;

/// The disks of an archive.
#[derive(Debug, Default)]
pub struct Listing {
    /// All of them, in the order of their numbers.
    pub disks: Vec<Found>,
    /// What contradicts the descriptor.
    pub notes: Vec<String>,
}
