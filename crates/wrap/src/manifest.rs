//! The manifest of an OVF package: a digest for each file.
//!
//! ```text
//! SHA256(vm.ovf)= 0123…
//! SHA256(vm-disk1.vmdk)= 4567…
//! ```
//!
//! Source: DSP0243 1.1.1, section 6.

use diskferry_codec::digest::Algorithm;

use crate::damage::Damage;

/// A line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// None where it is a digest of a kind that is not known here.
    pub algorithm: Option<Algorithm>,
    /// The member's name: files are named as the folder of the manifest has them.
    pub file: String,
    /// In hexadecimal, lower case.
    pub digest: String,
    /// Whether it is written as some readers do not take it: with a blank before the parenthesis.
    pub is_spaced: bool,
}

/// Bytes that a manifest may have: a line for each member that an archive may have, and some more.
pub(crate) const MAX: u64 = 4 << 20;

/// The lines of the manifest that is called `name`; those that are none are left out.
pub(crate) fn lines(name: &str, text: &str) -> impl Iterator<Item = Line> {
    let folder = &name[..name.rfind('/').map_or(0, |slash| slash + 1)];
    text.trim_start_matches('\u{feff}').lines().filter_map(move |text| line(folder, text))
}

impl Line {
    /// Compares the digest of that kind that the file has, in hexadecimal.
    ///
    /// # Errors
    /// [`Damage::Digest`] where it is another.
    pub fn compare(&self, algorithm: Algorithm, found: &str) -> Result<(), Damage> {
        if found == self.digest {
            return Ok(());
        }
        let (file, found, stated) = (self.file.clone(), found.to_owned(), self.digest.clone());
        Err(Damage::Digest { file, algorithm, found, stated })
    }
}

fn line(folder: &str, text: &str) -> Option<Line> {
    let (name, rest) = text.split_once('(')?;
    // A file's name may have parentheses of its own.
    let (file, digest) = rest.rsplit_once(")=").or_else(|| rest.rsplit_once(") ="))?;
    let is_spaced = name.ends_with(char::is_whitespace);
    let name = name.trim().to_ascii_lowercase().replace('-', "");
    let known = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let algorithm = known.into_iter().find(|algorithm| algorithm.name() == name);
    let file = format!("{folder}{}", file.trim_start_matches("./"));
    Some(Line { algorithm, file, digest: digest.trim().to_ascii_lowercase(), is_spaced })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_writer_are_read() {
        let text = "SHA256(vm.ovf)= AB01\r\nSHA1 (a (1).vmdk)= cd\nSHA2-256(x)=ef\n\nnonsense\n";
        let parsed: Vec<Line> = lines("vm.mf", text).collect();
        let line = |algorithm, file: &str, digest: &str, is_spaced| Line {
            algorithm,
            file: file.into(),
            digest: digest.into(),
            is_spaced,
        };
        assert_eq!(
            parsed,
            [
                line(Some(Algorithm::Sha256), "vm.ovf", "ab01", false),
                line(Some(Algorithm::Sha1), "a (1).vmdk", "cd", true),
                line(None, "x", "ef", false),
            ]
        );
        assert_eq!(
            lines("a/b/vm.mf", "SHA1(x)= 1").next(),
            Some(line(Some(Algorithm::Sha1), "a/b/x", "1", false))
        );
    }
}
