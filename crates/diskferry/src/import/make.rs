//! The kinds of images that are made for targets.

use diskferry_wrap::{Survey, TarKind};

use crate::format::{Format, GIB};

/// Options of a format and their values, by name.
pub(super) type FixedOptions = &'static [(&'static str, &'static str)];

/// A kind of image to make for a target.
pub(super) struct Make {
    /// As a target of a conversion.
    pub format: Format,
    pub options: FixedOptions,
    pub compressed: bool,
    /// What it reads back as: its format's name and subformat, and what is around it.
    pub kind: (&'static str, &'static str),
    pub wrapping: &'static [&'static str],
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
pub(super) const RAW: Make = plain(Format::RAW, &[], ("raw", "raw"));

/// A qcow2 with its clusters compressed by deflate, which every reader of the format knows.
pub(super) const QCOW2: Make =
    Make { compressed: true, ..plain(Format::QCOW2, &[], ("qcow2", "v3")) };

/// A VHD that grows.
pub(super) const VHD_DYNAMIC: Make =
    plain(Format::VHD, &[("subformat", "dynamic")], ("vhd", "dynamic"));

/// A VHD of the disk's bytes and a footer.
pub(super) const VHD_FIXED: Make = plain(Format::VHD, &[("subformat", "fixed")], ("vhd", "fixed"));

/// The same, as large as Azure takes it.
pub(super) const VHD_AZURE: Make =
    plain(Format::VHD, &[("subformat", "fixed"), ("large", "on")], ("vhd", "fixed"));

/// A VMDK made to be sent.
pub(super) const VMDK_STREAM: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "streamOptimized")], ("vmdk", "streamOptimized"))
};

/// A VMDK that grows, in one file.
pub(super) const VMDK_SPARSE: Make = Make {
    unit: GRAIN,
    ..plain(Format::VMDK, &[("subformat", "monolithicSparse")], ("vmdk", "monolithicSparse"))
};

/// A VDI that grows.
pub(super) const VDI: Make = plain(Format::VDI, &[("subformat", "dynamic")], ("vdi", "dynamic"));

/// Huawei's sequential format.
pub(super) const ZVHD: Make = Make { unit: GIB, ..plain(Format::ZVHD, &[], ("zvhd", "zvhd")) };

/// Huawei's format with an index.
pub(super) const ZVHD2: Make = Make { unit: GIB, ..plain(Format::ZVHD2, &[], ("zvhd2", "zvhd2")) };

/// Google's archive of one raw disk.
pub(super) const GCP: Make =
    Make { unit: GIB, wrapping: &["gzip", "tar"], ..plain(Format::GCP, &[], ("raw", "raw")) };

/// An appliance of one streamOptimized VMDK.
pub(super) const OVA: Make = Make {
    unit: GRAIN,
    wrapping: &["ova"],
    ..plain(Format::OVA, &[], ("vmdk", "streamOptimized"))
};

const fn plain(format: Format, options: FixedOptions, kind: (&'static str, &'static str)) -> Make {
    Make { format, options, compressed: false, kind, wrapping: &[], unit: SECTOR }
}

/// The units of disks, in bytes.
pub(super) const SECTOR: u64 = 512;

/// Of a VMDK, in bytes.
pub(super) const GRAIN: u64 = 64 << 10;
