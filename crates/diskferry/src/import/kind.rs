//! Kinds of formats, and what images are wrapped in, as rules tell them apart.

use diskferry_codec::Wrapper;

/// A kind of a format that rules tell from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subformat {
    /// A VHD or VDI that grows.
    Dynamic,
    /// A VHD of the disk's bytes and a footer.
    Fixed,
    /// A VMDK that grows, in one file.
    MonolithicSparse,
    /// A VMDK made to be sent.
    StreamOptimized,
    /// A VMDK of a descriptor and the disk's bytes.
    MonolithicFlat,
    /// A VMDK of a descriptor and files that grow.
    TwoGbMaxExtentSparse,
    /// A VMDK of a descriptor and files of the disk's bytes.
    TwoGbMaxExtentFlat,
}

impl Subformat {
    const ALL: [Self; 7] = [
        Self::Dynamic,
        Self::Fixed,
        Self::MonolithicSparse,
        Self::StreamOptimized,
        Self::MonolithicFlat,
        Self::TwoGbMaxExtentSparse,
        Self::TwoGbMaxExtentFlat,
    ];

    /// The format's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Fixed => "fixed",
            Self::MonolithicSparse => "monolithicSparse",
            Self::StreamOptimized => "streamOptimized",
            Self::MonolithicFlat => "monolithicFlat",
            Self::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
            Self::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
        }
    }
}

/// The kind of its format that an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// As the format calls it.
    pub name: String,
    /// The one that rules know; `None` for one that no rule is about.
    pub subformat: Option<Subformat>,
}

impl Kind {
    /// The one that a format calls so.
    pub fn of(name: impl Into<String>) -> Self {
        let name = name.into();
        let subformat = Subformat::ALL.into_iter().find(|known| known.name() == name);
        Self { name, subformat }
    }

    /// Whether it is more than one file.
    pub fn is_split(&self) -> bool {
        matches!(
            self.subformat,
            Some(
                Subformat::MonolithicFlat
                    | Subformat::TwoGbMaxExtentSparse
                    | Subformat::TwoGbMaxExtentFlat
            )
        )
    }
}

/// What an image is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A compressed file.
    Packed(Wrapper),
    /// A tar archive.
    Tar,
    /// An OVF package in an archive.
    Ova,
    /// An OVF package in a folder.
    Ovf,
    /// XenServer's archive.
    Xva,
}

impl Layer {
    /// A file by gzip.
    pub const GZIP: Self = Self::Packed(Wrapper::Gzip);
    /// A file by bzip2.
    pub const BZIP2: Self = Self::Packed(Wrapper::Bzip2);

    /// Those of these names.
    pub fn all(names: &[&str]) -> Vec<Self> {
        names.iter().filter_map(|name| Self::of(name)).collect()
    }

    fn of(name: &str) -> Option<Self> {
        let packed = Wrapper::ALL.into_iter().map(Self::Packed);
        packed.chain([Self::Tar, Self::Ova, Self::Ovf, Self::Xva]).find(|it| it.name() == name)
    }

    /// The name that is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packed(wrapper) => wrapper.name(),
            Self::Tar => "tar",
            Self::Ova => "ova",
            Self::Ovf => "ovf",
            Self::Xva => "xva",
        }
    }
}
