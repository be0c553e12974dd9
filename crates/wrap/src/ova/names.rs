//! The names of the files in an OVA.

use super::options::{NAME_MAX, Options};

/// What files in an OVA are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// The machine.
    pub(super) machine: String,
    /// What the names of its files begin with.
    base: String,
}

impl Names {
    /// Names for an OVA whose file is called `target`.
    pub fn new(options: &Options, target: Option<&str>) -> Self {
        let stem = target.map(|target| target.rsplit_once('.').map_or(target, |(stem, _)| stem));
        let stem = stem.filter(|stem| !stem.is_empty()).unwrap_or("disk");
        // Importers make paths, and some of them URLs, of these names.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let base: String = stem.chars().map(plain).take(NAME_MAX).collect();
        let base = base.trim_start_matches(['.', '-']).to_owned();
        let base = if base.is_empty() { "disk".to_owned() } else { base };
        Self { machine: options.name.clone().unwrap_or_else(|| base.clone()), base }
    }

    /// The disk's file.
    pub fn disk(&self) -> String {
        format!("{}-disk1.vmdk", self.base)
    }

    pub(super) fn descriptor(&self) -> String {
        format!("{}.ovf", self.base)
    }

    pub(super) fn manifest(&self) -> String {
        format!("{}.mf", self.base)
    }
}
