//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Preallocation, Result, choice};

use crate::header::Subformat;

/// How an image is written. The default is what `VBoxManage createmedium` makes: dynamic.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) subformat: Subformat,
    pub(crate) preallocation: Preallocation,
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "subformat",
        values: "dynamic, static",
        about: "whether only blocks that hold something are stored, or every one",
    },
    OptionSpec {
        key: "preallocation",
        values: "off, falloc, full",
        about: "zeros of a static image become holes, get storage reserved, or are written",
    },
];

impl Options {
    /// Sets one option by its name on the command line.
    ///
    /// # Errors
    /// `Misuse` when there is no such option, or it has no such value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "subformat" => self.subformat = choice(key, value, SUBFORMAT)?,
            "preallocation" => self.preallocation = choice(key, value, Preallocation::CHOICES)?,
            _ => {
                let keys: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
                return Err(Error::misuse(format!(
                    "vdi has no option '{key}'; it has {}",
                    keys.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// # Errors
    /// `Misuse` for options that do not go together.
    pub(crate) fn check(&self) -> Result<()> {
        if self.subformat != Subformat::Static && self.preallocation != Preallocation::Off {
            return Err(Error::misuse("preallocation needs subformat=static"));
        }
        Ok(())
    }
}

const SUBFORMAT: &[(&str, Subformat)] =
    &[("dynamic", Subformat::Dynamic), ("static", Subformat::Static)];
