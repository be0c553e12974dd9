//! What can be chosen when an image is written.

use diskferry_block_stream::{Error, OptionSpec, Preallocation, Result, choice, parse_size};

use crate::header::{ClusterBits, Compression, Version};

/// How an image is written. The default is what `qemu-img create` makes: version 3, clusters of
/// 64 KiB, 16-bit refcounts, nothing preallocated.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) version: Version,
    pub(crate) cluster_bits: ClusterBits,
    pub(crate) compression: Compression,
    /// Whether clusters are compressed, and how hard.
    pub(crate) compress: Option<Level>,
    pub(crate) preallocation: Preallocate,
    pub(crate) lazy_refcounts: bool,
    pub(crate) extended_l2: bool,
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The codec's usual level.
    Usual,
    Given(u32),
}

/// What is allocated for clusters that hold zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preallocate {
    Off,
    /// A place in the file, which has a hole there.
    Metadata,
    /// A place in the file, with storage reserved.
    Falloc,
    /// A place in the file, with zeros written.
    Full,
}

impl Preallocate {
    /// What the engine does about the file's holes.
    pub(crate) fn of_file(self) -> Preallocation {
        match self {
            Self::Off | Self::Metadata => Preallocation::Off,
            Self::Falloc => Preallocation::Falloc,
            Self::Full => Preallocation::Full,
        }
    }
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec { key: "compat", values: "1.1, 0.10 (also v3, v2)", about: "the format's version" },
    OptionSpec {
        key: "cluster_size",
        values: "64K; a power of two from 512 to 2M",
        about: "the unit of allocation",
    },
    OptionSpec {
        key: "compression_type",
        values: "zlib, zstd",
        about: "how compressed clusters are compressed (with -c)",
    },
    OptionSpec {
        key: "preallocation",
        values: "off, metadata, falloc, full",
        about: "what is allocated for zeros",
    },
    OptionSpec {
        key: "lazy_refcounts",
        values: "off, on",
        about: "lets QEMU postpone refcount updates when it uses the image",
    },
    OptionSpec {
        key: "extended_l2",
        values: "off, on",
        about: "32 subclusters in each cluster; many import services refuse it",
    },
];

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V3,
            cluster_bits: ClusterBits::new(16).expect("16 is within 9 and 21"),
            compression: Compression::Zlib,
            compress: None,
            preallocation: Preallocate::Off,
            lazy_refcounts: false,
            extended_l2: false,
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
            "compat" => self.version = choice(key, value, COMPAT)?,
            "cluster_size" => self.cluster_bits = cluster_bits(value)?,
            "compression_type" => self.compression = choice(key, value, COMPRESSION)?,
            "preallocation" => self.preallocation = choice(key, value, PREALLOCATION)?,
            "lazy_refcounts" => self.lazy_refcounts = choice(key, value, SWITCH)?,
            "extended_l2" => self.extended_l2 = choice(key, value, SWITCH)?,
            _ => {
                let keys: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
                return Err(Error::misuse(format!(
                    "qcow2 has no option '{key}'; it has {}",
                    keys.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Asks for compression; `level` is the codec's own, `None` its usual one.
    pub(crate) fn compress(&mut self, level: Option<u32>) {
        self.compress = Some(level.map_or(Level::Usual, Level::Given));
    }

    /// # Errors
    /// `Misuse` for options that do not go together, or a level that the codec does not have.
    pub(crate) fn check(&self) -> Result<()> {
        let v2 = self.version == Version::V2;
        let problem = match self.compress {
            _ if v2 && self.compression != Compression::Zlib => "compression_type needs compat=1.1",
            _ if v2 && self.lazy_refcounts => "lazy_refcounts needs compat=1.1",
            _ if v2 && self.extended_l2 => "extended_l2 needs compat=1.1",
            _ if self.extended_l2 && self.cluster_bits.size() < 16 << 10 => {
                "extended_l2 needs clusters of 16K or more"
            }
            Some(_) if self.preallocation != Preallocate::Off => {
                "preallocation and compression exclude each other"
            }
            Some(Level::Given(level)) if level == 0 || level > self.levels() => {
                return Err(Error::misuse(format!(
                    "{} has no level {level}; it has 1 to {}",
                    self.compression.name(),
                    self.levels()
                )));
            }
            _ => return Ok(()),
        };
        Err(Error::misuse(problem))
    }

    fn levels(&self) -> u32 {
        match self.compression {
            Compression::Zlib => 9,
            Compression::Zstd => 22,
        }
    }
}

const COMPAT: &[(&str, Version)] =
    &[("1.1", Version::V3), ("v3", Version::V3), ("0.10", Version::V2), ("v2", Version::V2)];
const COMPRESSION: &[(&str, Compression)] =
    &[("zlib", Compression::Zlib), ("zstd", Compression::Zstd)];
const PREALLOCATION: &[(&str, Preallocate)] = &[
    ("off", Preallocate::Off),
    ("metadata", Preallocate::Metadata),
    ("falloc", Preallocate::Falloc),
    ("full", Preallocate::Full),
];
const SWITCH: &[(&str, bool)] =
    &[("on", true), ("off", false), ("yes", true), ("no", false), ("true", true), ("false", false)];

fn cluster_bits(value: &str) -> Result<ClusterBits> {
    let size = parse_size(value)?;
    let bits = size.is_power_of_two().then(|| size.trailing_zeros()).and_then(ClusterBits::new);
    bits.ok_or_else(|| {
        Error::misuse(format!("cluster_size={value}: it can be a power of two from 512 to 2M"))
    })
}
