//! What a caller can do about an error or a note: data, for a program to act on or to put into words.

use serde::{Deserialize, Serialize};

/// What helps. How it is said, and by which option or button it is done, is the caller's affair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Remedy {
    /// Let an image refer to the file that it names, by allowing a folder that it is under.
    AllowFile {
        /// The name that the image has for it.
        file: String,
    },
    /// Let an image refer to the device that it names, by allowing a folder that it is under.
    AllowDevice {
        /// The name that the image has for it.
        file: String,
    },
    /// Let a link lead out of the image's folder, by allowing the one that it leads to.
    AllowLink {
        /// The name that the image has for it.
        file: String,
    },
    /// Let what is beyond the new size be dropped, where it is zeros.
    AllowShrink,
    /// Say which of the disks is meant.
    ChooseDisk,
    /// Have another folder for scratch files.
    ChooseScratch,
    /// Say how large the disk is to be.
    GiveSize,
    /// Give a file in place of a pipe.
    GiveFile,
    /// Read a file that somebody has open for writing all the same.
    IgnoreLocks,
    /// Have the backup of the GPT moved to the disk's end.
    MoveGpt,
    /// Say which format the target is to have.
    NameFormat,
    /// Let the device be overwritten.
    OverwriteDevice,
    /// Set another bound.
    RaiseLimit {
        /// The name by which [`Limits::set`](crate::Limits::set) knows it.
        limit: String,
        /// A bound that does, where that is known.
        to: Option<u64>,
    },
    /// Let the target be replaced.
    ReplaceTarget,
    /// Have the GPT written anew for sectors of another size.
    RewriteGpt {
        /// Bytes of a sector.
        sectors: u32,
    },
    /// Say which format the source has.
    StateFormat {
        /// Its name.
        format: String,
    },
    /// Say that the source is a raw disk, if it is one under a wrong name.
    TakeAsRaw,
    /// Have fewer threads, or less memory for buffers.
    TakeLessMemory,
    /// Take the disk out of what it is wrapped in, first.
    Unpack {
        /// The file that it is in, as the user knows it; none for a pipe.
        file: Option<String>,
        /// The wrappers, from the outside in.
        layers: Vec<String>,
        /// The disk's format.
        format: String,
    },
    /// Let the image break these rules of the import target.
    Waive {
        /// Their ids.
        rules: Vec<String>,
    },
    /// Write to a file, which can be read back.
    WriteToFile,
}
