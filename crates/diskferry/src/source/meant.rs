//! What the names mean that an image has for its parent.

use diskferry_block_stream::{ParentRef, Result};

use crate::format::Format;
use crate::place::spelling::{self, Spelled};
use crate::source::found::BACKING;

/// The parent, by the names that QEMU means where it wrote them.
pub(crate) fn as_it_means(parent: &ParentRef, child: Format) -> Result<ParentRef> {
    let mut meant = parent.clone();
    if child == Format::QCOW2
        && let Some(name) = parent.names.first()
        && let Some(Spelled { name, format }) = spelling::read(BACKING, name)?
    {
        meant.names = vec![name];
        // What the image says apart from the name has the last word, with QEMU, too.
        meant.format = meant.format.or(format);
    }
    Ok(meant)
}
