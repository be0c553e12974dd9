//! Where a disk is from.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Identity, Note};

use crate::format::Format;
use crate::source::around::Around;

/// Where a disk is from: the file or the pipe, and all that is around the disk in it.
pub struct Origin {
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) assumed: bool,
    pub(crate) around: Around,
    /// The file that it is in, with all that is around it; `None` for a pipe.
    pub(crate) file: Option<Arc<dyn Bytes>>,
    /// What the file is, or the pipe.
    pub(crate) identity: Identity,
    /// Bytes that were read of the pipe, where it was unpacked out of one.
    pub(crate) piped: Option<u64>,
    pub(crate) warnings: Vec<Note>,
}

impl Origin {
    /// What messages call the disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The disk's format, as far as it is known before the disk was read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is taken for raw only because it bears no other format's signature.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// The file that the disk is in, or is; `None` for a pipe.
    pub fn file(&self) -> Option<&Arc<dyn Bytes>> {
        self.file.as_ref()
    }

    /// The disk's name in the archive that it is in, where it is in one.
    pub fn member(&self) -> Option<&str> {
        let file = self.file.as_ref()?.name();
        self.name.strip_prefix(file)?.strip_prefix('/').filter(|name| !name.is_empty())
    }

    /// The name by which it is asked for: that of the descriptor, where that is beside it.
    pub(crate) fn given(&self) -> &str {
        let package = self.around.archives.first().map(|it| &it.package);
        let file = self.file.as_ref().map_or(self.name.as_str(), |file| file.name());
        package.filter(|it| it.is_unpacked()).map_or(file, |it| it.name())
    }

    /// The files around the disk, with what they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Identity, &Arc<dyn Bytes>)> {
        let own = self.file.iter().map(|file| (self.identity.clone(), file));
        own.chain(self.around.files.iter().map(|other| (other.identity(), other)))
    }
}
