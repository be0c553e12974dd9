//! What a file that a descriptor names may be called here: images move without the folders that they were in, and
//! their names are in the encoding of the machine that wrote them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use encoding_rs::Encoding;

/// The names of an extent's file, the likeliest first. Of a path of Windows or ESX that is its last component; of
/// another absolute path the path itself; a relative one may lead anywhere, and has no other name.
///
/// `page` is the encoding of the descriptor, where that is none of Unicode's: on the disk a name may have its
/// bytes. `alone` says that no other path of the descriptor ends in the same component.
pub(crate) fn of_extent(path: &str, page: Option<&'static Encoding>, alone: bool) -> Vec<OsString> {
    let last = last_component(path).filter(|last| alone && *last != path);
    let windows = path.contains('\\') || drive(path);
    let texts = match last {
        Some(last) if drive(path) || path.starts_with(r"\\") || path.starts_with("/vmfs/") => {
            vec![last, path]
        }
        Some(last) if windows || path.starts_with('/') && !path.starts_with("/dev/") => {
            vec![path, last]
        }
        _ => vec![path],
    };
    in_bytes(&texts, page)
}

/// The names of a parent's file: its last component, for it has an id, and where it is absolute the path itself.
pub(crate) fn of_parent(path: &str, page: Option<&'static Encoding>) -> Vec<OsString> {
    let whole = Some(path).filter(|path| path.starts_with('/'));
    let texts: Vec<&str> = last_component(path).into_iter().chain(whole).collect();
    in_bytes(&texts, page)
}

/// What is behind the last separator of any system, if that may name a file.
pub(crate) fn last_component(path: &str) -> Option<&str> {
    path.rsplit(['/', '\\']).next().filter(|last| !["", ".", ".."].contains(last))
}

/// Whether it begins with a drive's letter.
fn drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Each text in UTF-8, and in the bytes that the descriptor has for it.
fn in_bytes(texts: &[&str], page: Option<&'static Encoding>) -> Vec<OsString> {
    let mut names = Vec::new();
    for text in texts {
        names.push(OsString::from(text));
        // Borrowed where it is ASCII; with an error where this encoding has not all of its characters.
        if let Some((Cow::Owned(bytes), _, false)) = page.map(|page| page.encode(text)) {
            names.push(OsString::from_vec(bytes));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use encoding_rs::{GBK, SHIFT_JIS};

    use super::*;

    #[test]
    fn paths_of_other_machines_lead_to_a_file_beside_the_image() {
        for (path, names) in [
            ("x-flat.vmdk", &["x-flat.vmdk"][..]),
            (r"D:\VM\x.vmdk", &["x.vmdk", r"D:\VM\x.vmdk"]),
            ("d:/VM/x.vmdk", &["x.vmdk", "d:/VM/x.vmdk"]),
            (r"D:x.vmdk", &[r"D:x.vmdk"]),
            (r"\\server\share\x.vmdk", &["x.vmdk", r"\\server\share\x.vmdk"]),
            (r"VM\x.vmdk", &[r"VM\x.vmdk", "x.vmdk"]),
            ("/vmfs/volumes/5f/vm/x.vmdk", &["x.vmdk", "/vmfs/volumes/5f/vm/x.vmdk"]),
            ("/srv/vm/x.vmdk", &["/srv/vm/x.vmdk", "x.vmdk"]),
            ("/dev/sda", &["/dev/sda"]),
            ("../x.vmdk", &["../x.vmdk"]),
            ("sub/x.vmdk", &["sub/x.vmdk"]),
            (r"D:\VM\", &[r"D:\VM\"]),
            (r"D:\VM\..", &[r"D:\VM\.."]),
        ] {
            assert_eq!(of_extent(path, None, true), names, "{path}");
            assert_eq!(of_extent(path, None, false), [path], "{path}");
        }
        assert_eq!(of_parent("/srv/base.vmdk", None), ["base.vmdk", "/srv/base.vmdk"]);
        assert_eq!(of_parent("../base.vmdk", None), ["base.vmdk"]);
        assert_eq!(of_parent(r"C:\vm\base.vmdk", None), ["base.vmdk"]);
        assert_eq!(of_parent("..", None), [""; 0]);
    }

    #[test]
    fn a_name_may_be_on_the_disk_in_the_descriptors_own_bytes() {
        let bytes = |names: Vec<OsString>| -> Vec<Vec<u8>> {
            names.iter().map(|name| name.as_bytes().to_owned()).collect()
        };
        let names = bytes(of_extent("磁盘.vmdk", Some(GBK), true));
        assert_eq!(names, ["磁盘.vmdk".as_bytes(), b"\xb4\xc5\xc5\xcc.vmdk"]);
        // The second byte of this character is a backslash.
        let names = bytes(of_extent(r"D:\表.vmdk", Some(SHIFT_JIS), true));
        assert_eq!(names[..2], ["表.vmdk".as_bytes(), b"\x95\x5c.vmdk"]);
        assert_eq!(of_extent("é.vmdk", Some(SHIFT_JIS), true), ["é.vmdk"]);
        assert_eq!(of_extent("x.vmdk", Some(GBK), true), ["x.vmdk"]);
    }
}
