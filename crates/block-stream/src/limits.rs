//! How much an image may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Bounds on what opening and reading one image, with its whole chain and all that it is wrapped in,
/// may take.
///
/// Clones share one budget. The defaults let every honest image of up to 64 TiB through. Each has the name by
/// which [`set`](Self::set) and messages call it.
#[derive(Clone, Debug)]
pub struct Limits {
    metadata: Arc<AtomicU64>,
    windows: Arc<Windows>,
    /// `depth`: layers of a backing chain.
    pub chain_depth: u32,
    /// `size`: the largest virtual size in bytes. Sparse images may well say that they are larger than what
    /// they are stored on; but none is useful that no file system has room for.
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

/// Memory for what decompressors remember of what they gave.
#[derive(Debug)]
struct Windows {
    most: u64,
    taken: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metadata: Arc::new(AtomicU64::new(Self::METADATA)),
            windows: Arc::new(Windows { most: Self::WINDOW, taken: AtomicU64::new(0) }),
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

/// What `--limit` takes: name, what it bounds, and whether it is a number of bytes.
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
    /// The default budget for tables held in memory, in bytes.
    ///
    /// qemu refuses an L1 table above 32 MiB; this holds several layers of that size.
    pub const METADATA: u64 = 256 << 20;

    /// The default of `window`, in bytes. The strongest presets of xz and zstd take 64 and 128 MiB.
    pub const WINDOW: u64 = 256 << 20;

    /// The largest `window`, in bytes: xz has no larger dictionary.
    pub const MOST_WINDOW: u64 = 4 << 30;

    /// Limits with another budget for tables held in memory, in bytes.
    #[must_use]
    pub fn with_metadata(self, bytes: u64) -> Self {
        Self { metadata: Arc::new(AtomicU64::new(bytes)), ..self }
    }

    /// Limits with another budget for the windows of decompressors, in bytes, of which nothing is taken yet.
    #[must_use]
    pub fn with_window(self, bytes: u64) -> Self {
        Self { windows: Arc::new(Windows { most: bytes, taken: AtomicU64::new(0) }), ..self }
    }

    /// `window`: the budget for the windows of decompressors, in bytes.
    pub fn window(&self) -> u64 {
        self.windows.most
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
                "window" => *self = self.clone().with_window(bytes),
                _ => *self = self.clone().with_metadata(bytes),
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
        Error::limit(format!("{what}; --limit {name}=… sets another bound"))
    }

    /// Takes `bytes` of table memory from the budget, before they are allocated.
    ///
    /// # Errors
    /// `Limit` when the budget does not hold that much any more.
    pub fn spend(&self, what: &'static str, bytes: u64) -> Result<usize> {
        self.metadata
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .ok()
            .and_then(|_| usize::try_from(bytes).ok())
            .ok_or_else(|| {
                let what = format!("{what} takes {bytes} bytes, past the bound on table memory");
                Self::reached("metadata", what)
            })
    }

    /// Gives back what [`spend`](Self::spend) took for memory that is free again.
    pub fn refund(&self, bytes: u64) {
        self.metadata.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes what makes the window of a decompressor `bytes` large, which is `now` so far, before it is. All that are
    /// there at a time, of all layers of wrappers, are counted together.
    ///
    /// # Errors
    /// `Limit` when there is not as much left; it says what wants it, and the bound that would do.
    pub fn take_window(&self, what: impl std::fmt::Display, now: u64, bytes: u64) -> Result<()> {
        let Windows { most, taken } = &*self.windows;
        let more = bytes.saturating_sub(now);
        let all = |taken: u64| taken.checked_add(more).filter(|all| all <= most);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all).map(drop).map_err(|taken| {
            let beside = match taken.saturating_sub(now) {
                0 => String::new(),
                others => format!(" beside {others} of others"),
            };
            let advice = match taken.saturating_add(more).div_ceil(1 << 20) {
                wanted if wanted > Self::MOST_WINDOW >> 20 => "no bound may be as large".to_owned(),
                wanted if wanted.is_multiple_of(1024) => {
                    format!("--limit window={}G reads it", wanted / 1024)
                }
                wanted => format!("--limit window={wanted}M reads it"),
            };
            Error::limit(format!("{what}{beside}, past the bound of {most}; {advice}"))
        })
    }

    /// Gives back what [`take_window`](Self::take_window) took.
    pub fn give_window_back(&self, bytes: u64) {
        self.windows.taken.fetch_sub(bytes, Ordering::Relaxed);
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
            chain_depth,
            virtual_size,
            nesting,
            members,
            unpacked,
            ratio,
            extents,
            files,
            ..
        } = limits.clone();
        assert_eq!([chain_depth, nesting, members, extents, files], [7; 5]);
        assert_eq!([virtual_size, unpacked, ratio], [7; 3]);
        assert_eq!(limits.window(), 7);
        assert_eq!(limits.spend("a table", 7).unwrap(), 7);
        let error = limits.spend("a table", 1).unwrap_err().to_string();
        assert!(error.contains("--limit metadata="), "{error}");
        limits.set("size", "2T").unwrap();
        assert_eq!(limits.virtual_size, 2 << 40);
        for (name, value) in
            [("depth", "2K"), ("size", "big"), ("width", "1"), ("files", "-1"), ("window", "4097M")]
        {
            assert!(limits.set(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn windows_are_counted_together_and_the_bound_that_does_is_named() {
        let limits = Limits::default();
        let deeper = limits.clone();
        limits.take_window("a window of 128 MiB", 0, 128 << 20).unwrap();
        deeper.take_window("a window of 128 MiB", 0, 128 << 20).unwrap();
        let told = |limits: &Limits, bytes: u64| {
            let error = limits.take_window("a window", 0, bytes).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Limit);
            error.to_string()
        };
        let by_others = told(&limits, 1);
        assert!(
            by_others
                .ends_with("of others, past the bound of 268435456; --limit window=257M reads it"),
            "{by_others}"
        );
        // What it has itself is not taken twice, nor another's.
        let wider = limits.take_window("a window", 128 << 20, 200 << 20).unwrap_err().to_string();
        assert!(wider.contains("beside 134217728 of others"), "{wider}");
        assert!(wider.ends_with("--limit window=328M reads it"), "{wider}");
        limits.give_window_back(128 << 20);
        deeper.take_window("a window", 0, 1).unwrap();
        deeper.give_window_back(1);
        deeper.give_window_back(128 << 20);
        for (bytes, advice) in [
            ((256 << 20) + 1, "--limit window=257M reads it"),
            (2 << 30, "--limit window=2G reads it"),
            (3 << 29, "--limit window=1536M reads it"),
            (4 << 30, "--limit window=4G reads it"),
            ((4 << 30) + 1, "no bound may be as large"),
            (u64::MAX, "no bound may be as large"),
        ] {
            let told = told(&limits, bytes);
            assert!(told.ends_with(advice) && told.contains("the bound of 268435456"), "{told}");
        }
    }
}
