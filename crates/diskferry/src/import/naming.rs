//! Names for what is made.

use super::check::{Finding, Settled};
use super::facts::Facts;
use super::readiness::Readiness;
use crate::place::standard::STDIN;

impl Readiness {
    /// A name for what is made of an image, as the target takes it.
    pub fn target_name(&self, image: &str) -> String {
        let Some(make) = self.target().0.makes.first() else { return String::new() };
        let extension = make.format.extensions().first().copied().unwrap_or_default();
        let path = if image == STDIN { "disk".into() } else { stem(image) };
        let (folder, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let takes = |name: &str| {
            let named =
                Facts { name: Some(format!("{name}.{extension}")), ..Facts::of(make.format) };
            let mut rules = self.target().rules().iter().map(|rule| rule.check);
            rules.all(|check| match check.settled() {
                Settled::Name => !matches!(check.judge(&named), Finding::Broken(_)),
                _ => true,
            })
        };
        let name = match takes(name) {
            true => name.to_owned(),
            false => name.chars().map(|c| if plain(c) { c } else { '-' }).collect(),
        };
        let target = format!("{folder}{name}.{extension}");
        if target == image {
            format!("{folder}{name}-{}.{extension}", self.target())
        } else {
            target
        }
    }
}

/// A path without its extension, or extensions where it is an archive's.
fn stem(path: &str) -> String {
    let folder = path.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, mut name) = path.split_at(folder);
    for extension in [".gz", ".xz", ".zst", ".bz2", ".tgz", ".tar"] {
        name = name.strip_suffix(extension).filter(|rest| !rest.is_empty()).unwrap_or(name);
    }
    let end = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
    format!("{folder}{}", &name[..end])
}
