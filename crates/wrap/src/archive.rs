//! The kinds of archives.

/// A kind of archive: all are tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// Any.
    Tar,
    /// An OVF package.
    Ova,
    /// XenServer's and XCP-ng's.
    Xva,
}

impl Archive {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Ova => "ova",
            Self::Xva => "xva",
        }
    }
}
