//! Which members of an archive are disks, and which of those is meant: the same for archives that can be read
//! anywhere and for those that come in order.
//!
//! - [`names`] tells what goes with disks, by the names of files alone.
//! - [`judge`] is what a caller has to say of a member's bytes: formats are not read here.
//! - [`choice`] is what was asked for.
//! - [`chooser`] puts these together, as it is told of one member after another.
//! - [`needed`] knows disks that others of the archive need.

pub(crate) mod choice;
pub(crate) mod chooser;
pub(crate) mod judge;
pub(crate) mod names;
pub(crate) mod needed;
