//! Which members of an archive are disks, and which of those is meant.

use diskferry_block_stream::{Error, Result};

/// Which disk of an archive is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The only one: several are an error.
    #[default]
    Only,
    /// The first one, however many there are.
    First,
    /// The one of that number, from 1 on.
    Number(u32),
}

/// A disk in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The member's name.
    pub name: String,
    /// Its length in bytes, where that is known.
    pub size: Option<u64>,
    /// What its first bytes say that it is.
    pub format: Option<&'static str>,
}

/// What a member of an archive is like, by its bytes.
#[derive(Debug)]
pub enum Likeness {
    /// It has the signature of this format or compression.
    Disk(&'static str),
    /// It may be a raw disk.
    Unknown,
    /// It is something else, and this is why it is refused: "a zip archive, and no disk".
    Other(Error),
}

impl Likeness {
    /// The format that it has the signature of.
    pub(crate) fn format(&self) -> Option<&'static str> {
        match self {
            Self::Disk(format) => Some(format),
            Self::Unknown | Self::Other(_) => None,
        }
    }
}

/// Says of the only member that could be meant why it is not.
pub(crate) fn refused(member: &str, why: &Error) -> Error {
    let cause = std::error::Error::source(why).map_or_else(String::new, ToString::to_string);
    Error::new(why.kind(), format!("'{member}' is {cause}"))
}

impl Choice {
    /// The index of the disk that is meant.
    ///
    /// # Errors
    /// `Misuse` where that is not clear, with the list of what there is; `Unsupported` where there
    /// is none.
    pub fn pick(self, disks: &[Found]) -> Result<usize> {
        let index = match (self, disks.len()) {
            (_, 0) => return Err(Error::unsupported("an archive without a disk in it")),
            (Self::Only, 1) | (Self::First, _) => 0,
            (Self::Only, _) => {
                return Err(Error::misuse(format!(
                    "it holds several disks; choose one with --disk: {}",
                    list(disks)
                )));
            }
            (Self::Number(number), _) => (number as usize).wrapping_sub(1),
        };
        if index >= disks.len() {
            return Err(Error::misuse(format!("it has no such disk; it has: {}", list(disks))));
        }
        Ok(index)
    }
}

fn list(disks: &[Found]) -> String {
    let shown = disks.iter().take(LISTED).enumerate().map(|(index, disk)| {
        let size = disk.size.map_or_else(String::new, |size| format!(" ({size} bytes)"));
        format!("{} {}{size}", index + 1, disk.name)
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if disks.len() > LISTED {
        text.push_str(&format!(" and {} more", disks.len() - LISTED));
    }
    text
}

/// Disks that a message lists.
const LISTED: usize = 16;

/// Whether a member goes with disks and is none: by its name, for that is all that there is.
pub(crate) fn goes_with_disks(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let extension = extension.to_ascii_lowercase();
    is_attributes(file) || name.contains("PaxHeaders") || OTHERS.contains(&extension.as_str())
}

/// Whether a member is the descriptor of an OVF package.
pub(crate) fn is_descriptor(name: &str) -> bool {
    has_extension(name, "ovf")
}

/// Whether a member is a list of digests.
pub(crate) fn is_manifest(name: &str) -> bool {
    has_extension(name, "mf")
}

/// Whether a manifest is the one of that descriptor: it has its name but for the extension.
///
/// Source: DSP0243 1.1.1, section 5.1.
pub(crate) fn is_manifest_of(name: &str, descriptor: &str) -> bool {
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    is_manifest(name) && stem(name) == stem(descriptor)
}

fn has_extension(name: &str, wanted: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    !is_attributes(file) && extension.eq_ignore_ascii_case(wanted)
}

/// Whether it is what macOS puts beside each file, for its attributes.
fn is_attributes(file: &str) -> bool {
    file.starts_with("._")
}

const OTHERS: [&str; 14] = [
    "asc", "cert", "json", "md5", "mf", "nvram", "ovf", "sha1", "sha256", "sha512", "sig", "txt",
    "vmx", "xml",
];

/// Without a signature, a member of this many bytes is taken for a disk; and a shorter one if it is
/// the only member.
pub const LIKELY: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    fn disks(count: usize) -> Vec<Found> {
        let disk = |index| Found { name: format!("d{index}"), size: Some(5), format: None };
        (1..=count).map(disk).collect()
    }

    #[test]
    fn one_disk_is_meant_or_nothing_is_done() {
        for (choice, count, picked) in [
            (Choice::Only, 1, Ok(0)),
            (Choice::First, 3, Ok(0)),
            (Choice::Number(1), 1, Ok(0)),
            (Choice::Number(3), 3, Ok(2)),
            (Choice::Number(0), 3, Err(ErrorKind::Misuse)),
            (Choice::Number(4), 3, Err(ErrorKind::Misuse)),
            (Choice::Only, 2, Err(ErrorKind::Misuse)),
            (Choice::Only, 0, Err(ErrorKind::Unsupported)),
        ] {
            let found = choice.pick(&disks(count)).map_err(|error| error.kind());
            assert_eq!(found, picked, "{choice:?} of {count}");
        }
        let error = Choice::Only.pick(&disks(2)).unwrap_err().to_string();
        assert!(error.contains("--disk: 1 d1 (5 bytes), 2 d2 (5 bytes)"), "{error}");
        assert!(Choice::Only.pick(&disks(1000)).unwrap_err().to_string().len() < 500);
    }

    #[test]
    fn attributes_of_a_descriptor_are_none() {
        for (name, is) in
            [("vm.ovf", true), ("a/vm.OVF", true), ("._vm.ovf", false), ("a/._vm.ovf", false)]
        {
            assert_eq!(is_descriptor(name), is, "{name}");
        }
    }

    #[test]
    fn what_goes_with_disks_is_known_by_name() {
        for (name, goes) in [
            ("disk.raw", false),
            ("a/b.VMDK", false),
            ("image_metadata.json", true),
            ("vm.OVF", true),
            ("vm.mf", true),
            ("a/._disk.raw", true),
            ("./PaxHeaders.1/disk.raw", true),
            ("json", false),
        ] {
            assert_eq!(goes_with_disks(name), goes, "{name}");
        }
    }
}
