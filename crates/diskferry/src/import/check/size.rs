//! How large an image is, and its disk.

use std::fmt;

use super::finding::{Finding, beside_the_point, not_looked_at, said, unwritten};
use super::row::{Check, Need, Settled};
use crate::format::Format;
use crate::import::facts::Facts;
use crate::import::kind::Subformat;

/// An interval of bytes, both ends included.
#[derive(Clone, Copy)]
pub(in crate::import) struct Bounds {
    pub least: u64,
    pub most: u64,
    /// Beyond this, up to `most`, nobody knows.
    pub sure: u64,
}

/// No less than the one, no more than the other.
pub(in crate::import) const fn between(least: u64, most: u64) -> Bounds {
    Bounds { least, most, sure: most }
}

/// No more than this.
pub(in crate::import) const fn at_most(most: u64) -> Bounds {
    between(0, most)
}

/// No more than so many GB, where the document does not say whether those are of 10^9 or of 2^30
/// bytes.
pub(in crate::import) const fn at_most_gb(most: u64) -> Bounds {
    Bounds { least: 0, most: most << 30, sure: most * 1_000_000_000 }
}

/// The same of TB.
pub(in crate::import) const fn at_most_tb(most: u64) -> Bounds {
    Bounds { least: 0, most: most << 40, sure: most * 1_000_000_000_000 }
}

impl Bounds {
    fn judge(self, what: &str, value: u64) -> Finding {
        match value {
            _ if value > self.most => {
                Finding::Broken(format!("{what}: {value} bytes are more than {}", size(self.most)))
            }
            _ if value < self.least => {
                Finding::Broken(format!("{what}: {value} bytes are less than {}", size(self.least)))
            }
            _ if value > self.sure => Finding::Doubtful(format!(
                "{what}: {value} bytes are more than {} GB, if those are of 10^9 bytes",
                self.sure / 1_000_000_000
            )),
            _ => Finding::Holds(format!("{what}: {value} bytes")),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            _ if self.sure < self.most => write!(
                f,
                "at most {} GB (the document does not say whether of 10^9 or of 2^30 bytes)",
                self.sure / 1_000_000_000
            ),
            (0, most) => write!(f, "at most {}", size(most)),
            (least, u64::MAX) => write!(f, "at least {}", size(least)),
            (least, most) => write!(f, "{} to {}", size(least), size(most)),
        }
    }
}

/// A virtual size in these bounds.
pub(in crate::import) struct VirtualSize(pub Bounds);

impl Check for VirtualSize {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Size
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match facts.virtual_size {
            0 => Finding::Broken("the disk is empty".into()),
            size => self.0.judge("the virtual size", size),
        }
    }

    fn words(&self) -> String {
        format!("the virtual size is {}", self.0)
    }
}

/// A virtual size that is a multiple of this.
pub(in crate::import) struct VirtualUnit(pub u64);

impl Check for VirtualUnit {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Size
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let (own, unit) = (facts.virtual_size, size(self.0));
        said(
            own.is_multiple_of(self.0),
            || format!("the virtual size is a whole number of {unit}"),
            || format!("the virtual size of {own} bytes is no multiple of {unit}"),
        )
    }

    fn words(&self) -> String {
        format!("the virtual size is a multiple of {}", size(self.0))
    }
}

/// A file size in these bounds.
pub(in crate::import) struct FileSize(pub Bounds);

impl Check for FileSize {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        facts.file_size.map_or_else(unwritten, |size| self.0.judge("the file", size))
    }

    fn words(&self) -> String {
        format!("the file is {}", self.0)
    }
}

/// A fixed VHD that is so much longer than its disk, no more and no less.
pub(in crate::import) struct FileOverhead(pub u64);

impl Check for FileOverhead {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        if !facts.is(Format::VHD, Subformat::Fixed) {
            return beside_the_point("not a fixed VHD");
        }
        let (disk, overhead) = (facts.virtual_size, self.0);
        match facts.image_size {
            None if facts.file_size.is_some() => {
                not_looked_at("it is in a compressed file; its own length was not told")
            }
            None => unwritten(),
            Some(length) => said(
                disk.checked_add(overhead) == Some(length),
                || format!("the file is the disk and {overhead} bytes"),
                || {
                    format!(
                        "the file of {length} bytes is not the disk of {disk} and {overhead} bytes"
                    )
                },
            ),
        }
    }

    fn words(&self) -> String {
        format!("the file of a fixed VHD is its disk and {} bytes, no more", self.0)
    }
}

/// So many bytes of the disk in use.
pub(in crate::import) struct Stored(pub Bounds);

impl Check for Stored {
    fn needs(&self) -> Need {
        Need::Map
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match facts.stored {
            None => not_looked_at("what is in use was not counted"),
            Some(stored) => self.0.judge("what is in use of the disk", stored),
        }
    }

    fn words(&self) -> String {
        format!("what is in use of the disk is {}", self.0)
    }
}

/// A size in the largest unit that it is a whole number of.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
