//! Takes storage for the parts of a target that hold zeros.

use diskferry_block_stream::{Error, Preallocation, Result};

use super::write::starts_empty;
use crate::job::Job;
use crate::output::{Output, Storage};

/// The storage that a plan wants for zeros.
pub(super) enum Room<'a> {
    /// None; or all is written anyway, and has it so.
    AsWritten,
    /// It is reserved.
    Reserved(&'a dyn Storage),
    /// It is filled.
    Filled(&'a dyn Storage),
}

impl<'a> Room<'a> {
    /// # Errors
    /// `Unsupported` where the output leaves zeros out, and nobody can give it storage for them.
    pub(super) fn wanted(preallocation: Preallocation, output: &'a dyn Output) -> Result<Self> {
        let storage = || {
            output.storage().ok_or_else(|| {
                Error::unsupported("no storage can be taken for zeros here (preallocation)")
                    .in_file(output.name())
            })
        };
        Ok(match preallocation {
            Preallocation::Off => Self::AsWritten,
            Preallocation::Falloc | Preallocation::Full if !starts_empty(output) => Self::AsWritten,
            Preallocation::Falloc => Self::Reserved(storage()?),
            Preallocation::Full => Self::Filled(storage()?),
        })
    }

    /// Reserves it for a file of `len` bytes, where it is to be.
    pub(super) fn reserve(&self, len: u64) -> Result<()> {
        match self {
            Self::Reserved(storage) => storage.allocate(len),
            Self::AsWritten | Self::Filled(_) => Ok(()),
        }
    }

    /// Fills what of a file of `len` bytes has none yet, where it is to be.
    pub(super) fn fill(&self, len: u64, job: &Job) -> Result<()> {
        match self {
            Self::Filled(storage) => storage.fill(len, job),
            Self::AsWritten | Self::Reserved(_) => Ok(()),
        }
    }
}
