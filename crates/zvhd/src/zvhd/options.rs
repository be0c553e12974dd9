//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Result};

use crate::write::DEFLATE_USUAL;

/// How an image is written.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) level: u32,
}

/// There are no options by name.
pub const OPTIONS: &[OptionSpec] = &[];

impl Default for Options {
    fn default() -> Self {
        Self { level: DEFLATE_USUAL }
    }
}

impl Options {
    /// Sets how hard to compress: zlib's levels 1 to 9, 5 by default.
    ///
    /// # Errors
    /// `Misuse` for another level.
    pub(crate) fn compress(&mut self, level: Option<u32>) -> Result<()> {
        let level = level.unwrap_or(DEFLATE_USUAL);
        if !(1..=9).contains(&level) {
            return Err(Error::misuse(format!("zlib has no level {level}; it has 1 to 9")));
        }
        self.level = level;
        Ok(())
    }
}
