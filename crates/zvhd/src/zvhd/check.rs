//! Checking: every unit unpacked.
//!
//! The walk from unit to unit was made at opening. The data has no checksum, and whether it is a
//! stream at all shows only when it is unpacked; so a check that did less would have nothing to
//! say.

use std::error::Error as _;

use diskferry_block_stream::{Cancel, ErrorKind, Problem, Progress, Result};
use diskferry_codec::zeros;

use super::image::Zvhd;
use crate::wire::BLOCK;

/// Reports each problem of the image. Progress is a block for each unit.
pub(super) fn check(
    image: &Zvhd,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    progress.expect(image.units.len() as u64 * BLOCK);
    let mut reader = image.reader();
    for (index, unit) in image.units.iter().enumerate() {
        cancel.check()?;
        match reader.units.unpack(index) {
            Ok(block) => {
                let used = reader.size.saturating_sub(u64::from(unit.block) * BLOCK).min(BLOCK);
                if !zeros::is_zero(&block[used as usize..]) {
                    let text = format!("block {} has data past the end of the disk", unit.block);
                    report(Problem::oddity(unit.at, text));
                }
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                report(Problem::corruption(unit.at, text));
            }
            Err(error) => return Err(error),
        }
        progress.pass(BLOCK);
    }
    Ok(())
}
