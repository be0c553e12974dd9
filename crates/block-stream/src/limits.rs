//! How much an image may ask for.

use serde::{Deserialize, Serialize};

use crate::{Budget, Error, Remedy, Result};

/// Bounds on what opening and reading one image, with its whole chain and all that it is wrapped in,
/// may take.
///
/// Plain data: whoever opens an image with them gives it a [`budget`](Self::budget) of its own. The defaults let
/// every honest image of up to 64 TiB through. Each has the name by which [`set`](Self::set), messages and what
/// is stored call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// `metadata`: memory for tables, in bytes.
    pub metadata: u64,
    /// `window`: memory for what decompressors remember of what they gave, in bytes; [`MOST_WINDOW`](Self::MOST_WINDOW)
    /// at most.
    pub window: u64,
    /// `depth`: layers of a backing chain.
    #[serde(rename = "depth")]
    pub chain_depth: u32,
    /// `size`: the largest virtual size in bytes. Sparse images may well say that they are larger than what
    /// they are stored on; but none is useful that no file system has room for.
    #[serde(rename = "size")]
    pub virtual_size: u64,
    /// `nesting`: wrappers around wrappers: a tar in a gzip file is two.
    pub nesting: u32,
    /// `members`: members of an archive.
    pub members: u32,
    /// `unpacked`: bytes that a compressed file may unpack to.
    pub unpacked: u64,
    /// `ratio`: how many times larger than a compressed file its content may be. Zeros, which honest disks
    /// are full of, shrink a thousand times by gzip and 1.4 million times by bzip2; nothing shrinks more.
    pub ratio: u64,
    /// `extents`: lines of a descriptor that are extents of the disk. One of 64 TiB in parts of 2 GiB has 32768.
    pub extents: u32,
    /// `files`: files that one image is spread over.
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // qemu refuses an L1 table above 32 MiB; this holds several layers of that size.
            metadata: 256 << 20,
            // The strongest presets of xz and zstd take 64 and 128 MiB.
            window: 256 << 20,
            chain_depth: 64,
            virtual_size: 1 << 50,
            nesting: 4,
            members: 10_000,
            unpacked: 65 << 40,
            ratio: 2_000_000,
            extents: 1 << 16,
            files: 1 << 16,
        }
    }
}

/// What [`Limits::set`] takes: name, what it bounds, and whether it is a number of bytes.
pub const LIMITS: &[(&str, &str, bool)] = &[
    ("metadata", "memory for tables, of the image, its chain and its wrappers", true),
    ("size", "the virtual size", true),
    ("unpacked", "what a compressed file unpacks to", true),
    ("window", "windows of zstd and dictionaries of xz, up to 4G", true),
    ("ratio", "how many times larger than a compressed file that is", false),
    ("depth", "layers of a backing chain", false),
    ("files", "files that an image is spread over", false),
    ("extents", "extents that a descriptor lists", false),
    ("members", "members of an archive", false),
    ("nesting", "wrappers around wrappers", false),
];

impl Limits {
    /// The largest `window`, in bytes: xz has no larger dictionary.
    pub const MOST_WINDOW: u64 = 4 << 30;

    /// With another bound on the memory for tables, in bytes.
    #[must_use]
    pub fn with_metadata(mut self, bytes: u64) -> Self {
        self.metadata = bytes;
        self
    }

    /// With another bound on the windows of decompressors, in bytes.
    #[must_use]
    pub fn with_window(mut self, bytes: u64) -> Self {
        self.window = bytes;
        self
    }

    /// With another bound on the virtual size, in bytes.
    #[must_use]
    pub fn with_virtual_size(mut self, bytes: u64) -> Self {
        self.virtual_size = bytes;
        self
    }

    /// With another bound on what a compressed file may unpack to, in bytes.
    #[must_use]
    pub fn with_unpacked(mut self, bytes: u64) -> Self {
        self.unpacked = bytes;
        self
    }

    /// With another bound on the members of an archive.
    #[must_use]
    pub fn with_members(mut self, members: u32) -> Self {
        self.members = members;
        self
    }

    /// What one opening may take: a budget of its own, of which nothing is spent.
    pub fn budget(&self) -> Budget {
        Budget::new(self.clone())
    }

    /// Sets the limit of this name, which is one of [`LIMITS`], to a number, or to a size as
    /// [`parse_size`](crate::parse_size) takes it.
    ///
    /// # Errors
    /// `Misuse` for another name, and for what is no number.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some((.., is_size)) = LIMITS.iter().find(|(known, ..)| *known == name) else {
            let names: Vec<_> = LIMITS.iter().map(|(name, ..)| *name).collect();
            return Err(Error::misuse(format!(
                "no limit '{name}'; there are {}",
                names.join(", ")
            )));
        };
        if *is_size {
            let bytes = crate::parse_size(value)?;
            match name {
                "size" => self.virtual_size = bytes,
                "unpacked" => self.unpacked = bytes,
                "window" if bytes > Self::MOST_WINDOW => {
                    return Err(Error::misuse("the limit 'window' is 4G at most"));
                }
                "window" => self.window = bytes,
                _ => self.metadata = bytes,
            }
            return Ok(());
        }
        let number: u32 = value
            .parse()
            .map_err(|_| Error::misuse(format!("the limit '{name}' is '{value}', no number")))?;
        match name {
            "ratio" => self.ratio = number.into(),
            "depth" => self.chain_depth = number,
            "files" => self.files = number,
            "extents" => self.extents = number,
            "members" => self.members = number,
            _ => self.nesting = number,
        }
        Ok(())
    }

    /// A `Limit` error: what there is too much of, and the name of the limit that is reached.
    pub fn reached(name: &'static str, what: impl std::fmt::Display) -> Error {
        Error::limit(what.to_string())
            .mended_by(Remedy::RaiseLimit { limit: name.to_owned(), to: None })
    }

    /// # Errors
    /// `Limit` when a virtual size of `size` bytes is past the bound.
    pub fn check_virtual_size(&self, size: u64) -> Result<()> {
        if size > self.virtual_size {
            let bound = self.virtual_size;
            let what = format!("a virtual size of {size} bytes, past the bound of {bound}");
            return Err(Self::reached("size", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_set_by_its_name() {
        let mut limits = Limits::default();
        for (name, ..) in LIMITS {
            limits.set(name, "7").unwrap();
        }
        let Limits {
            metadata,
            window,
            chain_depth,
            virtual_size,
            nesting,
            members,
            unpacked,
            ratio,
            extents,
            files,
        } = limits;
        assert_eq!([chain_depth, nesting, members, extents, files], [7; 5]);
        assert_eq!([metadata, window, virtual_size, unpacked, ratio], [7; 5]);
        limits.set("size", "2T").unwrap();
        assert_eq!(limits.virtual_size, 2 << 40);
        for (name, value) in
            [("depth", "2K"), ("size", "big"), ("width", "1"), ("files", "-1"), ("window", "4097M")]
        {
            assert!(limits.set(name, value).is_err(), "{name}={value}");
        }
    }
}
