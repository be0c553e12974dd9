//! The targets' bodies, a module for each format.
//!
//! Each module is also a part of its format's own tests, which replay what was kept here with the
//! stable compiler; so it names only what those tests know too.

pub mod chain;
pub mod facade;
pub mod inspect;
pub mod qcow2;
pub mod raw;
pub mod unwrap;
pub mod vdi;
pub mod vhd;
pub mod vmdk;
pub mod zvhd;
