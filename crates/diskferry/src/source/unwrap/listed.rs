//! All disks of an archive in a compressed file.

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Result};
use diskferry_wrap::{BytesReader, Listing, Peek, Unpacking, Wrapping, list_disks};

use crate::source::around::Around;
use crate::source::unwrap::judge::Formats;

/// Unpacks a file to the end of the outermost archive in it; an archive that is not compressed has told its
/// disks already.
///
/// # Errors
/// As for [`list_disks`](diskferry_wrap::list_disks).
pub(crate) fn list(file: Arc<dyn Bytes>, budget: &Budget) -> Result<Listing> {
    let name = file.name().to_owned();
    let peek = Peek::new(BytesReader::new(file));
    unpacked(peek, budget).map_err(|error| error.doing("listing the disks").in_file(&name))
}

fn unpacked(mut peek: Peek, budget: &Budget) -> Result<Listing> {
    let mut around = Around::default();
    loop {
        match Wrapping::of(peek.peek(Wrapping::HEAD)?) {
            Some(Wrapping::Packed(wrapper)) => {
                around.push(wrapper.name(), budget.limits())?;
                peek = Peek::new(Unpacking::new(wrapper, peek, budget));
            }
            Some(Wrapping::Tar) => {
                return list_disks(peek, &Formats::judge(budget.limits()), budget);
            }
            None => return Ok(Listing::default()),
        }
    }
}
