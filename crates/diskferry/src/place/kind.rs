//! What can be done with a file.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt;

/// What can be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Regular,
    Block,
    /// Read or written in order only: pipes, terminals, `/dev/null`.
    Stream,
    Folder,
}

impl FileKind {
    pub fn of(metadata: &Metadata) -> Self {
        let it = metadata.file_type();
        if it.is_file() {
            Self::Regular
        } else if it.is_block_device() {
            Self::Block
        } else if it.is_dir() {
            Self::Folder
        } else {
            Self::Stream
        }
    }

    /// Whether any byte can be read at any time.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Regular | Self::Block)
    }
}
