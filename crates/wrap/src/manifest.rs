//! The manifest of an OVF package: a digest for each file.
//!
//! ```text
//! SHA256(vm.ovf)= 0123…
//! SHA256(vm-disk1.vmdk)= 4567…
//! ```
//!
//! Source: DSP0243 1.1.1, section 6. People make them with what they have, and so there are others: OpenSSL 3 calls
//! the kind SHA2-256 (`openssl dgst -sha256`), other programs SHA-256 or sha256, BSD's put blanks around the name
//! in parentheses, and GNU's `sha256sum` has lines of another layout, `4567…  vm-disk1.vmdk`.

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
    /// How it is written, where that is as some readers do not take it.
    pub odd: Option<Odd>,
}

/// How a line is written that not every reader takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    /// With a blank before the parenthesis.
    Blank,
    /// With this name for the kind of digest.
    Kind(String),
    /// As `sha256sum` writes it: the digest, then the name.
    Sum,
}

/// Bytes that a manifest may have: a line for each member that an archive may have, and some more.
pub(crate) const MAX: u64 = 4 << 20;

/// The lines of the manifest that is called `name`; those that are none are left out.
pub(crate) fn lines(name: &str, text: &str) -> impl Iterator<Item = Line> {
    let folder = &name[..name.rfind('/').map_or(0, |slash| slash + 1)];
    text.trim_start_matches('\u{feff}')
        .lines()
        .filter_map(move |text| summed(folder, text).or_else(|| named(folder, text)))
}

impl Line {
    fn new(folder: &str, algorithm: Option<Algorithm>, file: &str, digest: &str) -> Self {
        let file = format!("{folder}{}", file.trim_start_matches("./"));
        Self { algorithm, file, digest: digest.trim().to_ascii_lowercase(), odd: None }
    }

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

    /// What is odd about it, in words.
    pub fn oddity(&self) -> Option<String> {
        let file = &self.file;
        Some(match self.odd.as_ref()? {
            Odd::Blank => {
                format!("the manifest has a blank before the parenthesis of '{file}'")
            }
            Odd::Kind(kind) => {
                format!("the manifest calls the kind of the digest of '{file}' {kind}")
            }
            Odd::Sum => format!("the manifest has the digest of '{file}' in front of the name"),
        })
    }
}

/// A line with the kind of the digest: `SHA256(vm.ovf)= 0123…`.
fn named(folder: &str, text: &str) -> Option<Line> {
    let (kind, rest) = text.split_once('(')?;
    // A file's name may have parentheses of its own.
    let (name, digest) = rest.rmatch_indices(')').find_map(|(end, _)| {
        let digest = rest[end + 1..].trim_start().strip_prefix('=')?;
        Some((&rest[..end], digest))
    })?;
    let algorithm = algorithm(kind);
    let mut line = Line::new(folder, algorithm, name.trim(), digest);
    line.odd = match algorithm {
        _ if kind.ends_with(char::is_whitespace) => Some(Odd::Blank),
        // The grammar of the specification does not tell capitals from other letters.
        Some(algorithm) if !kind.trim().eq_ignore_ascii_case(algorithm.name()) => {
            Some(Odd::Kind(kind.trim().to_owned()))
        }
        _ => None,
    };
    Some(line)
}

/// A line as `sha256sum` and its like write it: the digest, a blank, a blank or an asterisk, the name. The
/// kind shows in the length.
fn summed(folder: &str, text: &str) -> Option<Line> {
    let (digest, name) = text.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    // The shortest is an MD5's.
    let is_digest = digest.len() >= 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let algorithm = KNOWN.into_iter().find(|algorithm| digits(*algorithm) == digest.len());
    let line = Line::new(folder, algorithm, name, digest);
    is_digest.then_some(Line { odd: Some(Odd::Sum), ..line })
}

/// The kinds that manifests have.
const KNOWN: [Algorithm; 3] = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

/// Letters of a name of a kind; a longer one is of none.
const KIND_MAX: usize = 32;

/// The kind of a digest by its name: `SHA256`, `sha-256`, `SHA2-256`. What is like them and another one
/// (`SHA3-256`, `SHA512/256`) has other digits.
fn algorithm(kind: &str) -> Option<Algorithm> {
    if kind.len() > KIND_MAX {
        return None;
    }
    let is_blank = |c: char| matches!(c, '-' | '_') || c.is_whitespace();
    let kind = kind.to_ascii_lowercase().replace(is_blank, "");
    let family = kind.strip_prefix("sha2").filter(|bits| bits.len() == 3);
    let kind = family.map_or(kind.clone(), |bits| format!("sha{bits}"));
    KNOWN.into_iter().find(|algorithm| algorithm.name() == kind)
}

/// Hexadecimal digits of a digest.
fn digits(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Crc32 => 8,
        Algorithm::Md5 => 32,
        Algorithm::Sha1 => 40,
        Algorithm::Sha256 => 64,
        Algorithm::Sha512 => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_writer_are_read() {
        let (sha1, sha256, sha512) = (Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512);
        let kind = |kind: &str| Some(Odd::Kind(kind.to_owned()));
        let (forty, sixty_four) = ("ab".repeat(20), "AB".repeat(32));
        for (text, algorithm, file, digest, odd) in [
            ("SHA256(vm.ovf)= AB01", Some(sha256), "vm.ovf", "ab01", None),
            ("SHA1 (a (1).vmdk)= cd", Some(sha1), "a (1).vmdk", "cd", Some(Odd::Blank)),
            ("SHA256(a)=b)= cd", Some(sha256), "a)=b", "cd", None),
            ("sha1(x)=ef", Some(sha1), "x", "ef", None),
            ("SHA2-256(x)= ef", Some(sha256), "x", "ef", kind("SHA2-256")),
            ("SHA2-512(x)= ef", Some(sha512), "x", "ef", kind("SHA2-512")),
            ("SHA-256(x)= ef", Some(sha256), "x", "ef", kind("SHA-256")),
            ("Sha-1(x)= ef", Some(sha1), "x", "ef", kind("Sha-1")),
            ("sha256 ( ./x )  =\tEF ", Some(sha256), "x", "ef", Some(Odd::Blank)),
            ("\t Sha256(x) =EF", Some(sha256), "x", "ef", None),
            ("SHA3-256(x)= ef", None, "x", "ef", None),
            ("SHA512/256(x)= ef", None, "x", "ef", None),
            ("SHA2-512/256(x)= ef", None, "x", "ef", None),
            ("SHA384(x)= ef", None, "x", "ef", None),
            ("MD5(x)= ef", None, "x", "ef", None),
        ] {
            let parsed: Vec<Line> = lines("vm.mf", text).collect();
            let (file, digest) = (file.to_owned(), digest.to_owned());
            assert_eq!(parsed, [Line { algorithm, file, digest, odd }], "{text}");
        }
        for (text, algorithm) in [
            (format!("{forty}  ./a b"), Some(sha1)),
            (format!("{sixty_four} *a b"), Some(sha256)),
            (format!("{}  a b", "0".repeat(128)), Some(sha512)),
            (format!("{}  a b", "0".repeat(96)), None),
        ] {
            let line = lines("vm.mf", &text).next().unwrap();
            assert_eq!((line.algorithm, line.file.as_str()), (algorithm, "a b"), "{text}");
            assert_eq!(line.odd, Some(Odd::Sum), "{text}");
        }
        let text = "\u{feff}SHA1(a)= 1\r\n\nnonsense\nSHA256 a = 1\n0123  a\nSHA1(b)= 2";
        let files: Vec<String> = lines("vm.mf", text).map(|line| line.file).collect();
        assert_eq!(files, ["a", "b"]);
        assert_eq!(lines("a/b/vm.mf", "SHA1(x)= 1").next().unwrap().file, "a/b/x");
        let long = format!("SHA{}1(x)= 1", "-".repeat(1 << 20));
        assert_eq!(lines("vm.mf", &long).next().unwrap().algorithm, None);
    }
}
