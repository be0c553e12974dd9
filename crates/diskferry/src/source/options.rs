//! How sources are opened.

use std::path::PathBuf;

use diskferry_block_stream::Limits;
use diskferry_wrap::Choice;
use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::place::file::Access;
use crate::place::locks::Locks;
use crate::place::policy::Policy;

/// How sources are opened: plain data, that opens any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The image's format; by default its content tells.
    pub format: Option<Format>,
    /// Which disk is meant, where the file is an archive.
    pub disk: Choice,
    /// An internal snapshot to open instead of the active state, by id or name.
    pub snapshot: Option<String>,
    /// What an image and its chain may ask for. Each opening has that anew, and gives it back when the image is
    /// dropped.
    pub limits: Limits,
    /// Which files the image may refer to.
    pub policy: Policy,
    /// What to do about files that the image refers to.
    pub backing: Backing,
    /// How bytes are read.
    pub access: Access,
    /// The image's parent, in place of the one that it names; opened without asking the policy, as it is the caller
    /// who names it. That it has another id is a warning. For an image without a parent this is misuse.
    pub parent: Option<PathBuf>,
    /// The folder in which an image that comes in order, but cannot be read so, is unpacked to a file
    /// without a name; `None` where such an image is refused.
    pub scratch: Option<PathBuf>,
    /// What to do about files that somebody else has open for writing.
    pub locks: Locks,
}

/// What to do about the backing chain and the data files of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// They are opened; one that cannot be is an error.
    #[default]
    Required,
    /// They are opened as far as that is possible. What is missing is a warning, and reads as zeros
    /// or not at all: for looking at an image, not for converting it.
    Lenient,
    /// Backing files are left alone: this one layer is the disk. Data files are opened.
    Ignored,
}

impl OpenOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The image's format.
    #[must_use]
    pub fn format(mut self, format: impl Into<Option<Format>>) -> Self {
        self.format = format.into();
        self
    }

    /// Which disk is meant, where the file is an archive.
    #[must_use]
    pub fn disk(mut self, disk: Choice) -> Self {
        self.disk = disk;
        self
    }

    /// An internal snapshot to open, by id or name.
    #[must_use]
    pub fn snapshot(mut self, snapshot: impl Into<Option<String>>) -> Self {
        self.snapshot = snapshot.into();
        self
    }

    /// What the image and its chain may ask for.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which files the image may refer to.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What to do about files that the image refers to.
    #[must_use]
    pub fn backing(mut self, backing: Backing) -> Self {
        self.backing = backing;
        self
    }

    /// How bytes are read.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The image's parent, in place of the one that it names.
    #[must_use]
    pub fn parent(mut self, parent: impl Into<Option<PathBuf>>) -> Self {
        self.parent = parent.into();
        self
    }

    /// The folder in which what cannot be read in order is unpacked.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<Option<PathBuf>>) -> Self {
        self.scratch = folder.into();
        self
    }

    /// What to do about files that somebody else has open for writing.
    #[must_use]
    pub fn locks(mut self, locks: Locks) -> Self {
        self.locks = locks;
        self
    }
}
