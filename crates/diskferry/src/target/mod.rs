//! Where a conversion goes: as it was found, then as it is written.

pub mod destination;
pub mod split;
