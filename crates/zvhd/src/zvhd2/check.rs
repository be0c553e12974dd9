//! Checking: every entry looked at, every unit unpacked, as the data has no checksum of its own.

use std::error::Error as _;

use diskferry_block_stream::{Cancel, Disk, ErrorKind, Problem, Progress, Result};
use diskferry_codec::zeros;

use super::image::Zvhd2;
use crate::header::{Flavour, Header, read_page};
use crate::wire::BLOCK;

/// Reports each problem of the image. Progress is a block for each entry.
pub(super) fn check(
    image: &Zvhd2,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    first_page(image, report)?;
    progress.expect(image.entries.len() as u64 * BLOCK);
    let mut reader = image.reader()?;
    let mut block = vec![0; BLOCK as usize];
    for (index, entry) in image.entries.iter().enumerate() {
        cancel.check()?;
        let at = entry.raw.at;
        match reader.units.unpack(index, &mut block) {
            Ok(()) => {
                let used = image.size().saturating_sub(u64::from(entry.block) * BLOCK).min(BLOCK);
                if !zeros::is_zero(&block[used as usize..]) {
                    let text = format!("block {} has data past the end of the disk", entry.block);
                    report(Problem::oddity(at, text));
                }
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                report(Problem::corruption(at, text));
            }
            Err(error) => return Err(error),
        }
        progress.pass(BLOCK);
    }
    Ok(())
}

/// Readers only look at the first page for what format it is; a pipe has nothing else to go by.
fn first_page(image: &Zvhd2, report: &mut dyn FnMut(Problem)) -> Result<()> {
    let mut odd = |text: String| {
        report(Problem::oddity(0, text));
    };
    match Header::parse(&read_page(image.file(), 0)?, Flavour::Zvhd2, 0) {
        Ok(first) => {
            let last = &image.header;
            if (first.size, first.original) != (last.size, last.original) {
                odd(format!(
                    "the first page has the sizes {:#x} and {:#x}, the last one {:#x} and {:#x}",
                    first.original, first.size, last.original, last.size
                ));
            }
        }
        Err(damage) => odd(damage.to_string()),
    }
    Ok(())
}
