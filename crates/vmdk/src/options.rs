//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Result, choice};
use diskferry_codec::ZlibPacker;

/// How an image is written. The default is what import services ask for: streamOptimized, as
/// VMware's own tools make it.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) subformat: Subformat,
    pub(crate) adapter: Adapter,
    pub(crate) hardware_version: u32,
    /// How hard to compress, where that was asked for.
    pub(crate) compress: Option<Option<u32>>,
}

/// How the disk is laid out in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subformat {
    StreamOptimized,
    MonolithicSparse,
    MonolithicFlat,
    SplitSparse,
    SplitFlat,
}

impl Subformat {
    /// The descriptor's `createType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamOptimized => "streamOptimized",
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::SplitSparse => "twoGbMaxExtentSparse",
            Self::SplitFlat => "twoGbMaxExtentFlat",
        }
    }
}

/// The controller that the disk is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    LsiLogic,
    BusLogic,
    Ide,
    LegacyEsx,
}

impl Adapter {
    /// The descriptor's `ddb.adapterType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LsiLogic => "lsilogic",
            Self::BusLogic => "buslogic",
            Self::Ide => "ide",
            Self::LegacyEsx => "legacyESX",
        }
    }
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "subformat",
        values: "streamOptimized, monolithicSparse, monolithicFlat, twoGbMaxExtentSparse, \
                 twoGbMaxExtentFlat",
        about: "one compressed file for import services, or how a hypervisor uses the disk",
    },
    OptionSpec {
        key: "adapter_type",
        values: "lsilogic, buslogic, ide, legacyESX",
        about: "the controller that the disk is meant for",
    },
    OptionSpec {
        key: "hwversion",
        values: "4; 1 to 99",
        about: "the virtual hardware version that the descriptor states",
    },
];

/// VMware's own tools state this whatever the machine: it means ESX 3 and later.
const HARDWARE_VERSION: u32 = 4;

impl Default for Options {
    fn default() -> Self {
        Self {
            subformat: Subformat::StreamOptimized,
            adapter: Adapter::LsiLogic,
            hardware_version: HARDWARE_VERSION,
            compress: None,
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
            "subformat" => self.subformat = in_any_case(key, value, SUBFORMATS, Subformat::as_str)?,
            "adapter_type" => self.adapter = in_any_case(key, value, ADAPTERS, Adapter::as_str)?,
            "hwversion" => {
                let version = value.parse().ok().filter(|version| (1..=99).contains(version));
                self.hardware_version = version.ok_or_else(|| {
                    Error::misuse(format!("hwversion={value}: it can be a number from 1 to 99"))
                })?;
            }
            _ => {
                let keys: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
                return Err(Error::misuse(format!(
                    "vmdk has no option '{key}'; it has {}",
                    keys.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Asks for compression; `level` is libdeflate's, 1 to 12, `None` the usual one.
    pub(crate) fn compress(&mut self, level: Option<u32>) {
        self.compress = Some(level);
    }

    /// # Errors
    /// `Misuse` for options that do not go together, or a level that the codec does not have.
    pub(crate) fn check(&self) -> Result<()> {
        let levels = ZlibPacker::LEVELS;
        match self.compress {
            Some(_) if self.subformat != Subformat::StreamOptimized => Err(Error::misuse(format!(
                "a {} image is not compressed; streamOptimized is",
                self.subformat.as_str()
            ))),
            Some(Some(level)) if !levels.contains(&level) => Err(Error::misuse(format!(
                "deflate has no level {level} here; it has {} to {}",
                levels.start(),
                levels.end()
            ))),
            _ => Ok(()),
        }
    }

    /// The level that was asked for.
    pub(crate) fn level(&self) -> Option<u32> {
        self.compress.flatten()
    }
}

const SUBFORMATS: &[Subformat] = &[
    Subformat::StreamOptimized,
    Subformat::MonolithicSparse,
    Subformat::MonolithicFlat,
    Subformat::SplitSparse,
    Subformat::SplitFlat,
];
const ADAPTERS: &[Adapter] =
    &[Adapter::LsiLogic, Adapter::BusLogic, Adapter::Ide, Adapter::LegacyEsx];

/// The choice of that name, whatever its letter case: nobody remembers `twoGbMaxExtentSparse`.
fn in_any_case<T: Copy>(
    key: &str,
    value: &str,
    choices: &[T],
    name: fn(T) -> &'static str,
) -> Result<T> {
    let named: Vec<_> = choices.iter().map(|choice| (name(*choice), *choice)).collect();
    let meant = named.iter().find(|named| named.0.eq_ignore_ascii_case(value));
    choice(key, meant.map_or(value, |named| named.0), &named)
}
