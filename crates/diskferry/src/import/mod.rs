//! What import targets accept, and whether an image is ready for one.
//!
//! The rules are data, one file a target in `targets/`; each names its source and how sure it is.
//! A rule is judged on [`facts::Facts`]: of an image as it is ([`Preflight`]), or of one as a
//! conversion would make it, so that what cannot be made ready is refused before any work.

mod facts;
mod glance;
mod look;
mod preflight;
mod reading;
mod ready;
mod rule;
mod targets;
#[cfg(test)]
mod tests;

use std::fmt;

use diskferry_wrap::{Survey, TarKind};

use crate::format::{Format, GIB};

pub(crate) use facts::Facts;
pub use preflight::{Preflight, Report, Ruling, Verdict};
pub(crate) use ready::{Choice, Readiness, quoted};
pub use rule::{Certainty, Rule, Severity, Source};

/// A cloud, a hypervisor or a service that imports disk images; or one that exports them.
#[derive(Clone, Copy)]
pub struct ImportTarget(&'static Profile);

/// What there is to say about a target.
struct Profile {
    name: &'static str,
    title: &'static str,
    /// How an image is made ready, the best way first; none for a profile of what comes out.
    makes: &'static [Make],
    /// Virtual sizes that are made are multiples of this, in bytes.
    unit: u64,
    /// And no less than this.
    least: u64,
    rules: &'static [Rule],
    /// What an image does not show, and people should know.
    notes: &'static [&'static str],
}

/// Options of a format and their values, by name.
type FixedOptions = &'static [(&'static str, &'static str)];

/// A kind of image to make for a target.
struct Make {
    /// As a target of a conversion.
    format: Format,
    options: FixedOptions,
    compressed: bool,
    /// What it reads back as: its format's name and subformat, and what is around it.
    kind: (&'static str, &'static str),
    wrapping: &'static [&'static str],
    /// What its virtual sizes are multiples of, in bytes.
    unit: u64,
}

impl Make {
    /// What the archive is made of, where it makes one by itself.
    fn survey(&self) -> Option<Survey> {
        let kinds = vec![TarKind::Gnu];
        (self.format == Format::GCP).then(|| Survey { members: vec!["disk.raw".into()], kinds })
    }
}

/// The disk's bytes as they are.
const RAW: Make = plain(Format::RAW, &[], ("raw", "raw"));

/// A qcow2 with its clusters compressed by deflate, which every reader of the format knows.
const QCOW2: Make = Make { compressed: true, ..plain(Format::QCOW2, &[], ("qcow2", "v3")) };

/// A VHD that grows.
const VHD_DYNAMIC: Make = plain(Format::VHD, &[("subformat", "dynamic")], ("vhd", "dynamic"));

/// A VHD of the disk's bytes and a footer.
const VHD_FIXED: Make = plain(Format::VHD, &[("subformat", "fixed")], ("vhd", "fixed"));

/// The same, as large as Azure takes it.
const VHD_AZURE: Make =
    plain(Format::VHD, &[("subformat", "fixed"), ("large", "on")], ("vhd", "fixed"));

/// A VMDK made to be sent.
const VMDK_STREAM: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "streamOptimized")], ("vmdk", "streamOptimized"))
};

/// A VMDK that grows, in one file.
const VMDK_SPARSE: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "monolithicSparse")], ("vmdk", "monolithicSparse"))
};

/// A VDI that grows.
const VDI: Make = plain(Format::VDI, &[("subformat", "dynamic")], ("vdi", "dynamic"));

/// Huawei's sequential format.
const ZVHD: Make = Make { unit: GIB, ..plain(Format::ZVHD, &[], ("zvhd", "zvhd")) };

/// Huawei's format with an index.
const ZVHD2: Make = Make { unit: GIB, ..plain(Format::ZVHD2, &[], ("zvhd2", "zvhd2")) };

/// Google's archive of one raw disk.
const GCP: Make =
    Make { unit: GIB, wrapping: &["gzip", "tar"], ..plain(Format::GCP, &[], ("raw", "raw")) };

/// An appliance of one streamOptimized VMDK.
const OVA: Make = Make {
    unit: GRAIN,
    wrapping: &["ova"],
    ..plain(Format::OVA, &[], ("vmdk", "streamOptimized"))
};

const fn plain(format: Format, options: FixedOptions, kind: (&'static str, &'static str)) -> Make {
    Make { format, options, compressed: false, kind, wrapping: &[], unit: SECTOR }
}

/// The units of disks, in bytes.
const SECTOR: u64 = 512;

/// Of a VMDK, in bytes.
const GRAIN: u64 = 64 << 10;

/// Every import target.
pub fn import_targets() -> &'static [ImportTarget] {
    &targets::ALL
}

impl ImportTarget {
    /// The name that users write and scripts read.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// Its rules.
    pub fn rules(self) -> &'static [Rule] {
        self.0.rules
    }

    /// What an image does not show, and people should know.
    pub fn notes(self) -> &'static [&'static str] {
        self.0.notes
    }

    /// The format that a conversion for it chooses, with its options, and whether it is compressed;
    /// `None` where nothing is to be made, as it says what an export should be.
    pub fn makes(self) -> Option<(Format, FixedOptions, bool)> {
        let Make { format, options, compressed, .. } = self.0.makes.first()?;
        Some((*format, options, *compressed))
    }

    /// The target of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        targets::ALL.into_iter().find(|target| target.name() == name)
    }
}

/// Names are unique in the table.
impl PartialEq for ImportTarget {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for ImportTarget {}

impl fmt::Debug for ImportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImportTarget").field(&self.name()).finish()
    }
}

impl fmt::Display for ImportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
