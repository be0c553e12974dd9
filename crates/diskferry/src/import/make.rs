//! The kinds of images that are made for targets.

use diskferry_wrap::{Survey, TarKind};

use super::kind::Layer;
use crate::format::Format;

/// Options of a format and their values, by name.
pub(super) type FixedOptions = &'static [(&'static str, &'static str)];

/// A kind of image to make for a target.
pub(super) struct Make {
    /// As a target of a conversion.
    pub format: Format,
    pub options: FixedOptions,
    pub compressed: bool,
    /// The format that it reads back as, without what is around it.
    pub holds: Format,
    /// What is around that.
    pub wrapping: &'static [Layer],
}

impl Make {
    /// What the archive is made of, where it makes one by itself.
    pub fn survey(&self) -> Option<Survey> {
        let kinds = vec![TarKind::Gnu];
        (self.format == Format::GCP).then(|| Survey { members: vec!["disk.raw".into()], kinds })
    }
}

/// The disk's bytes as they are.
pub(super) const RAW: Make = plain(Format::RAW, &[]);

/// A qcow2 with its clusters compressed by deflate, which every reader of the format knows.
pub(super) const QCOW2: Make = Make { compressed: true, ..plain(Format::QCOW2, &[]) };

/// A VHD that grows.
pub(super) const VHD_DYNAMIC: Make = plain(Format::VHD, &[("subformat", "dynamic")]);

/// A VHD of the disk's bytes and a footer.
pub(super) const VHD_FIXED: Make = plain(Format::VHD, &[("subformat", "fixed")]);

/// The same, as large as Azure takes it.
pub(super) const VHD_AZURE: Make = plain(Format::VHD, &[("subformat", "fixed"), ("large", "on")]);

/// A VMDK made to be sent.
pub(super) const VMDK_STREAM: Make = plain(Format::VMDK, &[("subformat", "streamOptimized")]);

/// A VMDK that grows, in one file.
pub(super) const VMDK_SPARSE: Make = plain(Format::VMDK, &[("subformat", "monolithicSparse")]);

/// A VDI that grows.
pub(super) const VDI: Make = plain(Format::VDI, &[("subformat", "dynamic")]);

/// Huawei's sequential format.
pub(super) const ZVHD: Make = plain(Format::ZVHD, &[]);

/// Huawei's format with an index.
pub(super) const ZVHD2: Make = plain(Format::ZVHD2, &[]);

/// Google's archive of one raw disk.
pub(super) const GCP: Make =
    Make { wrapping: &[Layer::GZIP, Layer::Tar], holds: Format::RAW, ..plain(Format::GCP, &[]) };

/// An appliance of one streamOptimized VMDK.
pub(super) const OVA: Make =
    Make { wrapping: &[Layer::Ova], holds: Format::VMDK, ..plain(Format::OVA, &[]) };

const fn plain(format: Format, options: FixedOptions) -> Make {
    Make { format, options, compressed: false, holds: format, wrapping: &[] }
}
