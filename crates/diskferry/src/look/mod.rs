//! What can be said of an image that is open, without making another of it.

pub mod info;
pub mod map;
pub mod whole;
