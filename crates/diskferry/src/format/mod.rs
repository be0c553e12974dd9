//! The one table of formats: their names, how they are recognised, opened and written.
//!
//! Each format is a row in a file of its own below this one, which adapts its crate. No other
//! place lists the formats: help texts, probing, `formats` and the target's extension ask here.
//!
//! ```
//! use diskferry::format::{Format, formats};
//!
//! assert_eq!(Format::from_name("vpc"), Some(Format::VHD));
//! assert!(formats().iter().any(|format| format.extensions().contains(&"vmdk")));
//! ```

mod gcp;
mod ova;
mod qcow2;
mod raw;
mod row;
mod vdi;
mod vhd;
mod vmdk;
mod zvhd;
mod zvhd2;

use self::row::Row;
pub(crate) use self::row::{Context, OpenNamed, Sample};
pub(crate) use self::vhd::FixedDisk;

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use diskferry_block_stream::OptionSpec;
use diskferry_block_stream::{Budget, Bytes, Error, Image, Result, Stream, Writing};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A format that diskferry knows.
#[derive(Clone, Copy)]
pub struct Format(&'static Row);

/// Every format. The raw one is last, for it is what an image is that bears no signature.
static FORMATS: [Format; 9] = [
    Format::QCOW2,
    Format::VHD,
    Format::VMDK,
    Format::VDI,
    Format::ZVHD,
    Format::ZVHD2,
    Format::OVA,
    Format::GCP,
    Format::RAW,
];

/// Every format.
pub fn formats() -> &'static [Format] {
    &FORMATS
}

impl Format {
    /// A raw disk in a tar archive in a gzip file, as Google Compute Engine has it.
    pub const GCP: Self = Self(&gcp::ROW);
    /// An OVF package with its disk, in a tar archive.
    pub const OVA: Self = Self(&ova::ROW);
    /// QEMU's qcow2.
    pub const QCOW2: Self = Self(&qcow2::ROW);
    /// The disk's bytes as they are.
    pub const RAW: Self = Self(&raw::ROW);
    /// VirtualBox's VDI.
    pub const VDI: Self = Self(&vdi::ROW);
    /// Microsoft's VHD, which QEMU calls vpc.
    pub const VHD: Self = Self(&vhd::ROW);
    /// VMware's VMDK.
    pub const VMDK: Self = Self(&vmdk::ROW);
    /// Huawei Cloud's ZVHD.
    pub const ZVHD: Self = Self(&zvhd::ROW);
    /// Huawei Cloud's ZVHD2.
    pub const ZVHD2: Self = Self(&zvhd2::ROW);

    /// The name that users write and scripts read.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Other names that [`from_name`](Self::from_name) takes for it.
    pub fn aliases(self) -> &'static [&'static str] {
        self.0.aliases
    }

    /// File name extensions that mean it, without the dot.
    pub fn extensions(self) -> &'static [&'static str] {
        self.0.extensions
    }

    /// What is read, in a line.
    pub fn reads(self) -> &'static str {
        self.0.reads
    }

    /// What is written, in a line.
    pub fn writes(self) -> &'static str {
        self.0.writes
    }

    /// The options it takes as a target.
    pub fn options(self) -> &'static [OptionSpec] {
        self.0.options
    }

    /// Whether it is a wrapper around a disk of another format.
    pub(crate) fn is_package(self) -> bool {
        self == Self::GCP || self == Self::OVA
    }

    /// Whether an image of it must be a file, which ends where it ends; a device goes on.
    pub(crate) fn ends_with_file(self) -> bool {
        self.0.ends_with_file
    }

    /// The format of that name or alias.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = |format: &Self| format.name() == name || format.aliases().contains(&name);
        FORMATS.into_iter().find(named)
    }

    /// The format that a file of this name is meant to have. For targets only: what a source is,
    /// its content says.
    pub fn from_extension(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let ends = |extension: &&str| {
            let stem = name.strip_suffix(*extension).and_then(|rest| rest.strip_suffix('.'));
            stem.is_some_and(|stem| !stem.is_empty())
        };
        FORMATS.into_iter().find(|format| format.extensions().iter().any(ends))
    }

    /// The format whose signature the sample bears; `None` where it bears none, as raw images do.
    ///
    /// A signature at the front wins over one at the end: what a guest or a later tool leaves at the
    /// end of a file does not change what the file is.
    pub(crate) fn probe(sample: &Sample<'_>) -> Option<Self> {
        let bears =
            |sample: &Sample<'_>| FORMATS.into_iter().find(|format| (format.0.probe)(sample));
        bears(&Sample { tail: &[], ..*sample }).or_else(|| bears(sample))
    }

    pub(crate) fn open(
        self,
        bytes: Arc<dyn Bytes>,
        context: &Context<'_>,
    ) -> Result<Arc<dyn Image>> {
        (self.0.open)(bytes, context)
    }

    /// Reads an image front to back; `None` where no image of the format can be.
    pub(crate) fn stream(
        self,
        name: &str,
        reader: Box<dyn Read + Send>,
        budget: &Budget,
    ) -> Option<Result<Box<dyn Stream>>> {
        self.0.stream.map(|open| open(name, reader, budget))
    }

    /// The target's options, set.
    ///
    /// # Errors
    /// `Misuse` for an option or a value that the format lacks.
    pub(crate) fn writing(
        self,
        options: &[(String, String)],
        compress: Option<Compress>,
    ) -> Result<Box<dyn Writing>> {
        let mut writing = (self.0.writing)();
        for (key, value) in options {
            if !self.options().iter().any(|option| option.key == key) {
                return Err(self.no_such_option(key));
            }
            writing.set(key, value)?;
        }
        match (compress, self.0.uncompressed) {
            (Some(_), Some(refusal)) => return Err(Error::misuse(refusal)),
            (Some(compress), None) => writing.compress(compress.level)?,
            (None, _) => {}
        }
        Ok(writing)
    }

    fn no_such_option(self, key: &str) -> Error {
        let has: Vec<&str> = self.options().iter().map(|option| option.key).collect();
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        Error::misuse(format!("the format {self} has no option '{key}'; it has: {has}"))
    }
}

/// Names are unique in the table.
impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Format").field(&self.name()).finish()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Stored by its name.
impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| D::Error::custom(format!("no format '{name}'")))
    }
}

/// Asks a format for compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Compress {
    /// The codec's own level; `None` for its usual one.
    pub level: Option<u32>,
}

impl Compress {
    /// Compression of that level.
    pub fn at(level: impl Into<Option<u32>>) -> Self {
        Self { level: level.into() }
    }
}

/// The unit in which clouds count sizes, in bytes.
pub(crate) const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{ErrorKind, Naming, Plan, SECTOR};

    use super::*;

    #[test]
    fn names_aliases_and_extensions_lead_to_one_format_each() {
        let mut names: Vec<&str> = Vec::new();
        let mut extensions: Vec<&str> = Vec::new();
        for format in formats() {
            assert_eq!(Format::from_name(format.name()), Some(*format));
            names.push(format.name());
            names.extend(format.aliases());
            extensions.extend(format.extensions());
        }
        for list in [&mut names, &mut extensions] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }

    #[test]
    fn targets_are_told_by_their_extension() {
        for (path, format) in [
            ("a.raw", Some(Format::RAW)),
            ("dir.qcow2/a.IMG", Some(Format::RAW)),
            ("a.tar.qcow2", Some(Format::QCOW2)),
            ("a.qcow", Some(Format::QCOW2)),
            ("a.vhd", Some(Format::VHD)),
            ("a.VPC", Some(Format::VHD)),
            ("a.vmdk", Some(Format::VMDK)),
            ("a.vdi", Some(Format::VDI)),
            ("a.zvhd", Some(Format::ZVHD)),
            ("a.ZVHD2", Some(Format::ZVHD2)),
            ("a.ova", Some(Format::OVA)),
            ("dir/a.Tar.GZ", Some(Format::GCP)),
            ("a.raw.tgz", Some(Format::GCP)),
            ("a.gz", None),
            (".tar.gz", None),
            ("tar.gz", None),
            ("qcow2", None),
            (".raw", None),
            ("a.txt", None),
        ] {
            assert_eq!(Format::from_extension(Path::new(path)), format, "{path}");
        }
    }

    #[test]
    fn content_tells_the_format() {
        let mut vdi = vec![0; 0x44];
        vdi[0x40..].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
        for (head, format) in [
            (&b"QFI\xfb\0\0\0\x03"[..], Some(Format::QCOW2)),
            (b"QFI", None),
            (b"conectix", Some(Format::VHD)),
            (b"KDMV\x01\0\0\0", Some(Format::VMDK)),
            (b"# Disk DescriptorFile\nversion=1\nCID=1\n", Some(Format::VMDK)),
            (&vdi, Some(Format::VDI)),
            (b"stream\0\0", Some(Format::ZVHD)),
            (b"z2strm\0\0", Some(Format::ZVHD2)),
            (b"strea", None),
            (b"", None),
            (b"\xeb\x63\x90 a boot sector", None),
        ] {
            assert_eq!(Format::probe(&Sample { head, tail: head }), format, "{head:?}");
        }
    }

    #[test]
    fn the_end_of_a_file_tells_its_format_where_its_front_does_not() {
        let plan = Format::VHD.writing(&[("subformat".into(), "fixed".into())], None).unwrap();
        let naming = Naming::default();
        let Ok(Plan::Flat(flat)) = plan.plan(Some(SECTOR), &naming) else {
            panic!("a fixed disk is its bytes, and a footer");
        };
        let tail = [vec![0; 3584], flat.tail].concat();
        for (head, format) in [
            (&b"\xeb\x63\x90 a boot sector"[..], Format::VHD),
            (b"QFI\xfb\0\0\0\x03", Format::QCOW2),
        ] {
            assert_eq!(Format::probe(&Sample { head, tail: &tail }), Some(format));
            // Cut or broken, it is a damaged one, and no raw disk.
            let cut = &tail[..tail.len() - 2];
            assert_eq!(Format::probe(&Sample { head, tail: cut }), Some(format));
            let mut broken = tail.clone();
            broken[3584 + 200] ^= 1;
            assert_eq!(Format::probe(&Sample { head, tail: &broken }), Some(format));
        }
    }

    #[test]
    fn an_unknown_option_is_answered_with_those_there_are() {
        let Err(error) = Format::RAW.writing(&[("cluster_size".into(), "1".into())], None) else {
            panic!("raw has no clusters");
        };
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("it has: preallocation"), "{error}");
    }

    #[test]
    fn raw_cannot_be_compressed() {
        let Err(error) = Format::RAW.writing(&[], Some(Compress::default())) else {
            panic!("raw has no compression");
        };
        assert_eq!(error.kind(), ErrorKind::Misuse);
    }
}
