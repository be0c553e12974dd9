//! What a descriptor says, in types.

use crate::objection::Objection;

/// What a descriptor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Its own name.
    pub name: String,
    /// The files of the disks, in the order of the disks, each once.
    pub disks: Vec<Listed>,
    /// All files that it lists, in its order.
    pub files: Vec<Listed>,
    /// What importers mind in it.
    pub objections: Vec<Objection>,
}

/// A file that the descriptor lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The member's name, if it is one.
    pub href: String,
    /// Its length in bytes, as the descriptor has it.
    pub size: Option<u64>,
    /// The size of the disk in it, in bytes, where it is a disk's and the descriptor gives one.
    pub capacity: Option<u64>,
    /// Whether it is cut into members of their own: `disk.vmdk.000000000` and so on.
    pub in_chunks: bool,
}

impl Listed {
    /// Whether the member of that name, but for its end, is the file. A reference is a URI, which some
    /// writers take at its word and others do not.
    pub fn is(&self, name: &str, end: &str) -> bool {
        // Three bytes of an escape are one: many long names are not compared with what they cannot be.
        let may_be =
            |name: &str| (self.href.len().div_ceil(3)..=self.href.len()).contains(&name.len());
        name.strip_suffix(end).is_some_and(|name| {
            may_be(name) && (name == self.href || name.as_bytes() == unescaped(&self.href))
        })
    }

    /// The names that the member may have.
    pub fn names(&self) -> [String; 2] {
        [self.href.clone(), String::from_utf8_lossy(&unescaped(&self.href)).into_owned()]
    }
}

/// Text without its escapes, such as %20.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_or_a_uri() {
        let file =
            |href: &str| Listed { href: href.into(), size: None, capacity: None, in_chunks: false };
        for (href, name, end, is) in [
            ("a.vmdk", "a.vmdk", "", true),
            ("a%20b.vmdk", "a b.vmdk", "", true),
            ("a%20b.vmdk", "a%20b.vmdk", "", true),
            ("a%2", "a%2", "", true),
            ("100%", "100%", "", true),
            ("a.vmdk", "a.vmdk.000000001", ".000000001", true),
            ("a.vmdk", "a.vmdk", ".000000001", false),
            ("a.vmdk", "b.vmdk", "", false),
        ] {
            assert_eq!(file(href).is(name, end), is, "{href} {name}");
        }
    }
}
