//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Preallocation, Result, choice, parse_size};

use crate::header::BlockSize;

/// How an image is written. The default is a dynamic disk with blocks of 2 MiB.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) subformat: Subformat,
    pub(crate) block_size: Option<BlockSize>,
    pub(crate) preallocation: Preallocation,
    /// A fixed disk may be larger than most programs take.
    pub(crate) large: bool,
}

/// The kinds of disk that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subformat {
    Dynamic,
    Fixed,
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "subformat",
        values: "dynamic, fixed",
        about: "whether blocks of zeros are left out; Azure takes fixed only",
    },
    OptionSpec {
        key: "block_size",
        values: "2M, 1M, 512K",
        about: "the unit of allocation of dynamic disks",
    },
    OptionSpec {
        key: "preallocation",
        values: "off, falloc, full",
        about: "what becomes of a fixed disk's zeros: holes, storage reserved, or written",
    },
    OptionSpec {
        key: "large",
        values: "off, on",
        about: "whether a fixed disk may have more than 2040 GiB, which only Azure takes",
    },
    OptionSpec {
        key: "force_size",
        values: "on",
        about: "always on: sizes are exact; taken because qemu-img needs it for that",
    },
];

impl Default for Options {
    fn default() -> Self {
        Self {
            subformat: Subformat::Dynamic,
            block_size: None,
            preallocation: Preallocation::Off,
            large: false,
        }
    }
}

impl Options {
    /// Sets one option by its name on the command line.
    ///
    /// # Errors
    /// `Misuse` when there is no such option, or it has no such value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "subformat" => self.subformat = choice(key, value, SUBFORMAT)?,
            "block_size" => self.block_size = Some(block_size(value)?),
            "preallocation" => self.preallocation = choice(key, value, Preallocation::CHOICES)?,
            "large" => self.large = choice(key, value, LARGE)?,
            "force_size" => choice(key, value, FORCE_SIZE)?,
            _ => {
                let keys: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
                return Err(Error::misuse(format!(
                    "vhd has no option '{key}'; it has {}",
                    keys.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// # Errors
    /// `Misuse` for options that do not go together.
    pub(crate) fn check(&self) -> Result<()> {
        let problem = match self.subformat {
            Subformat::Dynamic if self.preallocation != Preallocation::Off => {
                "preallocation needs subformat=fixed"
            }
            Subformat::Dynamic if self.large => "large needs subformat=fixed",
            Subformat::Fixed if self.block_size.is_some() => "block_size needs subformat=dynamic",
            Subformat::Dynamic | Subformat::Fixed => return Ok(()),
        };
        Err(Error::misuse(problem))
    }
}

const SUBFORMAT: &[(&str, Subformat)] =
    &[("dynamic", Subformat::Dynamic), ("fixed", Subformat::Fixed)];
const LARGE: &[(&str, bool)] = &[("off", false), ("on", true)];
const FORCE_SIZE: &[(&str, ())] = &[("on", ()), ("yes", ()), ("true", ())];

/// Virtual PC was tested with 512 KiB and 2 MiB only, as the specification warns.
fn block_size(value: &str) -> Result<BlockSize> {
    let bytes = u32::try_from(parse_size(value)?).ok();
    let fits = bytes.filter(|bytes| (512 << 10..=2 << 20).contains(bytes));
    fits.and_then(BlockSize::new)
        .ok_or_else(|| Error::misuse(format!("block_size={value}: it can be 2M, 1M or 512K")))
}
