//! What files are by their names, where that is all that there is.

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

/// The file of that name in the folder of that member.
pub(crate) fn beside(member: &str, name: &str) -> String {
    format!("{}{name}", folder_of(member))
}

/// The folder that a member is in, with a slash at its end where it is in one.
pub(crate) fn folder_of(member: &str) -> &str {
    &member[..member.rfind('/').map_or(0, |slash| slash + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

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
