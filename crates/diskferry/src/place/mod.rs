//! Where images are and go: what makes two places the same, how a file is opened with care, what an image's names may
//! lead to.

pub mod file;
pub mod locks;
pub mod policy;
pub mod spelling;
pub mod unchanged;
