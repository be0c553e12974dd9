//! The kinds of images that are made for targets.

use diskferry_wrap::{Survey, TarKind};

use super::kind::Layer;
use crate::format::{Format, GIB};

/// Options of a format and their values, by name.
pub(super) type FixedOptions = &'static [(&'static str, &'static str)];

/// A kind of image to make for a target.
pub(super) struct Make {
    /// As a target of a conversion.
    pub format: Format,
    pub options: FixedOptions,
    pub compressed: bool,
    /// What it reads back as: a format, and the format's name for this kind of it.
    pub kind: (Format, &'static str),
    /// What is around that.
    pub wrapping: &'static [Layer],
    /// What its virtual sizes are multiples of, in bytes.
    pub unit: u64,
}

impl Make {
    /// What the archive is made of, where it makes one by itself.
    pub fn survey(&self) -> Option<Survey> {
        let kinds = vec![TarKind::Gnu];
        (self.format == Format::GCP).then(|| Survey { members: vec!["disk.raw".into()], kinds })
    }
}

/// The disk's bytes as they are.
pub(super) const RAW: Make = plain(Format::RAW, &[], (Format::RAW, "raw"));

/// A qcow2 with its clusters compressed by deflate, which every reader of the format knows.
pub(super) const QCOW2: Make =
    Make { compressed: true, ..plain(Format::QCOW2, &[], (Format::QCOW2, "v3")) };

/// A VHD that grows.
pub(super) const VHD_DYNAMIC: Make =
    plain(Format::VHD, &[("subformat", "dynamic")], (Format::VHD, "dynamic"));

/// A VHD of the disk's bytes and a footer.
pub(super) const VHD_FIXED: Make =
    plain(Format::VHD, &[("subformat", "fixed")], (Format::VHD, "fixed"));

/// The same, as large as Azure takes it.
pub(super) const VHD_AZURE: Make =
    plain(Format::VHD, &[("subformat", "fixed"), ("large", "on")], (Format::VHD, "fixed"));

/// A VMDK made to be sent.
pub(super) const VMDK_STREAM: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "streamOptimized")], (Format::VMDK, "streamOptimized"))
};

/// A VMDK that grows, in one file.
pub(super) const VMDK_SPARSE: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "monolithicSparse")], (Format::VMDK, "monolithicSparse"))
};

/// A VDI that grows.
pub(super) const VDI: Make =
    plain(Format::VDI, &[("subformat", "dynamic")], (Format::VDI, "dynamic"));

/// Huawei's sequential format.
pub(super) const ZVHD: Make =
    Make { unit: GIB, ..plain(Format::ZVHD, &[], (Format::ZVHD, "zvhd")) };

/// Huawei's format with an index.
pub(super) const ZVHD2: Make =
    Make { unit: GIB, ..plain(Format::ZVHD2, &[], (Format::ZVHD2, "zvhd2")) };

/// Google's archive of one raw disk.
pub(super) const GCP: Make = Make {
    unit: GIB,
    wrapping: &[Layer::GZIP, Layer::Tar],
    ..plain(Format::GCP, &[], (Format::RAW, "raw"))
};

/// An appliance of one streamOptimized VMDK.
pub(super) const OVA: Make = Make {
    unit: GRAIN,
    wrapping: &[Layer::Ova],
    ..plain(Format::OVA, &[], (Format::VMDK, "streamOptimized"))
};

const fn plain(format: Format, options: FixedOptions, kind: (Format, &'static str)) -> Make {
    Make { format, options, compressed: false, kind, wrapping: &[], unit: SECTOR }
}

/// The units of disks, in bytes.
pub(super) const SECTOR: u64 = 512;

/// Of a VMDK, in bytes.
pub(super) const GRAIN: u64 = 64 << 10;
