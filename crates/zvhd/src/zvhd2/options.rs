//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Result, choice};

use super::tables::Compression;
use crate::write::DEFLATE_USUAL;

/// How an image is written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) compression: Compression,
    level: Option<u32>,
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[OptionSpec {
    key: "compression_type",
    values: "zstd, zlib",
    about: "how blocks are compressed",
}];

const COMPRESSION: &[(&str, Compression)] =
    &[("zstd", Compression::Zstd), ("zlib", Compression::Zlib)];

impl Options {
    /// Sets one option by its name on the command line.
    ///
    /// # Errors
    /// `Misuse` when there is no such option, or it has no such value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "compression_type" => self.compression = choice(key, value, COMPRESSION)?,
            _ => {
                return Err(Error::misuse(format!(
                    "zvhd2 has no option '{key}'; it has compression_type"
                )));
            }
        }
        Ok(())
    }

    /// Sets how hard to compress; `level` is the codec's own, `None` its usual one.
    pub(crate) fn compress(&mut self, level: Option<u32>) {
        self.level = level;
    }

    /// # Errors
    /// `Misuse` for a level that the codec does not have.
    pub(super) fn level(&self) -> Result<u32> {
        let (usual, most) = match self.compression {
            Compression::Zlib => (DEFLATE_USUAL, 9),
            Compression::Zstd => (3, 22),
        };
        let level = self.level.unwrap_or(usual);
        if !(1..=most).contains(&level) {
            let name = self.compression.name();
            return Err(Error::misuse(format!("{name} has no level {level}; it has 1 to {most}")));
        }
        Ok(level)
    }
}
