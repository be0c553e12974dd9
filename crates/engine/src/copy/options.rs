//! How a copy is made, and what it did.

use diskferry_codec::Fingerprint;
use diskferry_codec::digest::Algorithm;
use serde::{Deserialize, Serialize};

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// What to do with bytes that are there and are zeros.
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute on the way.
    pub digests: Vec<Algorithm>,
    /// Whether to take the disk's fingerprint on the way.
    pub fingerprint: bool,
}

/// What to do with bytes of the source that are there and are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zeros {
    /// Look for them, and store nothing for them where the target allows.
    #[default]
    Scan,
    /// Trust the source's map. Whole extents are then copied inside the kernel; where the output can
    /// share storage with the source's files, nothing is copied at all.
    Trust,
}

/// What a copy did.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Virtual size of the disk, in bytes.
    pub size: u64,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// Length of the target, in bytes.
    pub target_size: u64,
    /// The digests asked for, in that order, in hexadecimal.
    pub digests: Vec<(Algorithm, String)>,
    /// What the disk holds, where that was asked for.
    pub fingerprint: Option<Fingerprint>,
}
