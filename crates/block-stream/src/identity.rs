//! What makes two bytes the same, whatever they are called.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;

/// Where bytes are: two [`Bytes`](crate::Bytes) of one identity are the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// On the block device of this number, whatever node leads to it.
    Device(u64),
    /// In anything else that a file system has, by the file system and the number there.
    Inode {
        /// The number of the file system's device.
        device: u64,
        /// The number in the file system.
        inode: u64,
    },
    /// In a store, by the address that nothing else has there: an object's URL, without what lets somebody read it.
    Address(Arc<str>),
    /// In memory at this address, as long as they are there.
    Memory(usize),
    /// A part of others.
    Part {
        /// Those.
        whole: Arc<Identity>,
        /// Where the first stored byte of the part is there; their end where none is stored.
        at: u64,
    },
}

impl Identity {
    /// Of what a file system tells this of.
    pub fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            Self::Device(metadata.rdev())
        } else {
            Self::Inode { device: metadata.dev(), inode: metadata.ino() }
        }
    }

    /// Of what is in memory only.
    pub fn of_memory<T: ?Sized>(value: &T) -> Self {
        Self::Memory(std::ptr::from_ref(value).cast::<()>().addr())
    }

    /// Of a part of these, whose first stored byte is at `at`.
    #[must_use]
    pub fn part(self, at: u64) -> Self {
        Self::Part { whole: Arc::new(self), at }
    }
}
