//! What a file's name says that it is.

/// A format that a name claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The extension, without its dot, in lower case.
    pub extension: &'static str,
    /// The format: `a qcow2 image`.
    pub what: &'static str,
    pub kind: ClaimKind,
}

/// What a claim is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    /// An image that says what it is in front.
    Image,
    /// An image that may say what it is at its end only, by this.
    AtEnd(&'static str),
    /// A tar archive, which has headers of 512 bytes.
    Tar,
    /// A compressed file, that begins with these bytes; and the extension of what is in it.
    Packed { begins: &'static [u8], inside: &'static str },
}

impl Claim {
    /// Whether only the end may tell that it is true.
    pub fn is_at_end(self) -> bool {
        matches!(self.kind, ClaimKind::AtEnd(_))
    }

    /// What this name claims, if anything: names of raw disks do not, nor do others.
    pub fn of(name: &str) -> Option<Self> {
        let name = file_name(name).to_ascii_lowercase();
        let (stem, extension) = name.rsplit_once('.')?;
        let claim = CLAIMS.iter().find(|claim| claim.extension == extension)?;
        (extension != "vmdk" || !is_flat_extent(stem)).then_some(*claim)
    }
}

/// The name of what is in a compressed file of this name: `disk.qcow2.gz` has a `disk.qcow2` in it, and
/// a `disk.tgz` a `disk.tar`.
pub(crate) fn name_inside(name: &str) -> String {
    let name = file_name(name);
    match (Claim::of(name), name.rsplit_once('.')) {
        (Some(Claim { kind: ClaimKind::Packed { inside, .. }, .. }), Some((stem, _))) => {
            if inside.is_empty() { stem.to_owned() } else { format!("{stem}.{inside}") }
        }
        _ => name.to_owned(),
    }
}

/// The name without folders.
fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The extents of a flat VMDK are raw, whatever their names: `x-flat.vmdk`, `x-f001.vmdk`.
fn is_flat_extent(stem: &str) -> bool {
    let Some((_, end)) = stem.rsplit_once('-') else { return false };
    let number = end.strip_prefix('f').unwrap_or_default();
    end == "flat" || number.len() >= 3 && number.bytes().all(|c| c.is_ascii_digit())
}

const fn image(extension: &'static str, what: &'static str) -> Claim {
    Claim { extension, what, kind: ClaimKind::Image }
}

const fn at_end(extension: &'static str, what: &'static str, mark: &'static str) -> Claim {
    Claim { extension, what, kind: ClaimKind::AtEnd(mark) }
}

const fn tar(extension: &'static str, what: &'static str) -> Claim {
    Claim { extension, what, kind: ClaimKind::Tar }
}

const fn packed(extension: &'static str, what: &'static str, begins: &'static [u8]) -> Claim {
    Claim { extension, what, kind: ClaimKind::Packed { begins, inside: "" } }
}

const fn packed_tar(extension: &'static str, what: &'static str, begins: &'static [u8]) -> Claim {
    Claim { extension, what, kind: ClaimKind::Packed { begins, inside: "tar" } }
}

const GZIP: &[u8] = b"\x1f\x8b\x08";
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const BZIP2: &[u8] = b"BZh";

/// Extensions that mean one format and no other. `.iso`, `.hda` or `.disk` may be anything.
const CLAIMS: &[Claim] = &[
    image("qcow2", "a qcow2 image"),
    image("qcow", "a qcow image"),
    at_end("vhd", "a VHD image", "the footer of a fixed one"),
    at_end("vpc", "a VHD image", "the footer of a fixed one"),
    image("avhd", "a differencing VHD image"),
    image("vhdx", "a VHDX image"),
    image("avhdx", "a VHDX image"),
    image("vmdk", "a VMDK image"),
    image("vdi", "a VDI image"),
    image("zvhd", "a ZVHD image"),
    image("zvhd2", "a ZVHD2 image"),
    image("qed", "a QED image"),
    image("hdd", "a Parallels image"),
    image("hds", "a Parallels image"),
    at_end("dmg", "a disk image of macOS", "the trailer of one"),
    image("vma", "a backup of Proxmox VE"),
    image("e01", "an EnCase image"),
    image("vbk", "a backup of Veeam"),
    image("vib", "a backup of Veeam"),
    image("tib", "a backup of Acronis"),
    image("tibx", "a backup of Acronis"),
    at_end("mrimg", "a backup of Macrium Reflect", "the trailer of one"),
    at_end("mrimgx", "a backup of Macrium Reflect", "the trailer of one"),
    image("gho", "a backup of Norton Ghost"),
    image("wim", "a WIM archive"),
    image("zip", "a zip archive"),
    image("7z", "a 7-Zip archive"),
    image("rar", "a RAR archive"),
    image("cab", "a cabinet"),
    image("lz4", "a file that lz4 compressed"),
    image("lz", "a file that lzip compressed"),
    image("lzma", "a file that lzma compressed"),
    image("lzo", "a file that lzop compressed"),
    image("z", "a file that compress packed"),
    image("ovf", "an OVF descriptor"),
    image("vmx", "the description of a machine"),
    image("vbox", "the description of a machine"),
    tar("xva", "an XVA package"),
    tar("ova", "an OVA package"),
    tar("tar", "a tar archive"),
    tar("oci", "an archive of Oracle Cloud"),
    packed("gz", "a gzip file", GZIP),
    packed("xz", "an xz file", XZ),
    packed("zst", "a zstd file", ZSTD),
    packed("zstd", "a zstd file", ZSTD),
    packed("bz2", "a bzip2 file", BZIP2),
    packed_tar("tgz", "a gzip file", GZIP),
    packed_tar("txz", "an xz file", XZ),
    packed_tar("tzst", "a zstd file", ZSTD),
    packed_tar("tbz", "a bzip2 file", BZIP2),
    packed_tar("tbz2", "a bzip2 file", BZIP2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_raw_disks_and_of_extents_claim_nothing() {
        for (name, extension) in [
            ("disk.qcow2", Some("qcow2")),
            ("a.raw/DISK.VMDK", Some("vmdk")),
            ("disk.raw", None),
            ("disk.qcow2/disk.img", None),
            ("disk", None),
            ("qcow2", None),
            (".qcow2", Some("qcow2")),
            ("x-flat.vmdk", None),
            ("X-FLAT.VMDK", None),
            ("x-f001.vmdk", None),
            ("x-s001.vmdk", Some("vmdk")),
            ("x-f.vmdk", Some("vmdk")),
            ("flat.vmdk", Some("vmdk")),
            ("x-flat.vdi", Some("vdi")),
            ("cd.iso", None),
            ("disk.qcow2.001", None),
        ] {
            assert_eq!(Claim::of(name).map(|claim| claim.extension), extension, "{name}");
        }
    }

    #[test]
    fn a_compressed_file_claims_what_is_in_it_too() {
        for (name, inside) in [
            ("a/disk.qcow2.gz", "disk.qcow2"),
            ("disk.raw.XZ", "disk.raw"),
            ("disk.tgz", "disk.tar"),
            ("disk.qcow2", "disk.qcow2"),
            ("stdin", "stdin"),
        ] {
            assert_eq!(name_inside(name), inside, "{name}");
        }
    }
}
