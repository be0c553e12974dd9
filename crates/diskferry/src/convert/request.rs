//! What is asked for: a conversion as plain data.

use std::time::{SystemTime, UNIX_EPOCH};

use diskferry_block_stream::Stamp;
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{Durability, Replace, Zeros};
use diskferry_inspect::SectorSize;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::convert::gpt::Fit;
use crate::format::{Compress, Format};
use crate::import::ImportTarget;
use crate::place::location::Location;
use crate::source::options::OpenOptions;

/// What is to be converted, into what.
///
/// Plain data, that can be kept and sent: [`new`](Self::new) gives the defaults, the setters what is to be otherwise, and
/// [`run`](Self::run) does it. Where it is read from what somebody stored, all but the source and the target may be
/// absent, and what is not known is refused.
///
/// ```
/// use diskferry::convert::{Convert, Verify, VirtualSize};
///
/// let stored = r#"{"source": "disk.img", "target": "disk.qcow2", "size": {"bytes": 8388608}, "verify": "read-back"}"#;
/// let convert: Convert = serde_json::from_str(stored).unwrap();
/// let same = Convert::new("disk.img", "disk.qcow2");
/// assert_eq!(convert, same.size(VirtualSize::Bytes(8 << 20)).verify(Verify::ReadBack));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Convert {
    /// Where the disk is.
    pub source: Location,
    /// Where it goes.
    pub target: Location,
    /// How the source is opened.
    #[serde(default)]
    pub open: OpenOptions,
    /// The target's format; by default its extension tells.
    #[serde(default)]
    pub to: Option<Format>,
    /// The import target that the result is to be ready for. It chooses what the request leaves
    /// open, and what cannot be made ready is refused.
    #[serde(default)]
    pub import: Option<ImportTarget>,
    /// Rules of the import target that the result may break, by id.
    #[serde(default)]
    pub waived: Vec<String>,
    /// Options of the target's format, by name.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// Whether the target is to be compressed.
    #[serde(default)]
    pub compress: Option<Compress>,
    /// The virtual size of the target; by default the source's.
    #[serde(default)]
    pub size: Option<VirtualSize>,
    /// What to do when that is less than the source's.
    #[serde(default)]
    pub shrink: Shrink,
    /// What becomes of the backup of a GPT where the disk's end moves.
    #[serde(default)]
    pub backup_gpt: BackupGpt,
    /// The sectors that a GPT is to count in, where it is to be written anew for that: some sectors of the
    /// target differ from the source's then. The backup goes to the disk's end.
    #[serde(default)]
    pub gpt_sectors: Option<SectorSize>,
    /// What to do with zeros that the source stores.
    #[serde(default)]
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute in the same pass.
    #[serde(default)]
    pub digests: Vec<Algorithm>,
    /// Whether the target is read back.
    #[serde(default)]
    pub verify: Verify,
    /// What to do with an existing target.
    #[serde(default)]
    pub replace: Replace,
    /// Whether the target is to survive a power failure once it has its name.
    #[serde(default)]
    pub durability: Durability,
    /// Ids and times that go into the target.
    #[serde(default)]
    pub identity: Identity,
}

/// The virtual size that a target is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VirtualSize {
    /// So many bytes.
    Bytes(u64),
    /// The size that the source's disk had before its format rounded it up. What was added must be
    /// zeros.
    Original,
}

/// What to do when the target is to be smaller than the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shrink {
    /// It is an error.
    #[default]
    Refuse,
    /// What is beyond the new size is dropped if it is zeros; else it is an error.
    DropZeros,
}

/// What becomes of the backup of a GPT, which belongs at the disk's end, where that moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupGpt {
    /// It stays where it is, as every other byte does; guests and their tools move it.
    #[default]
    Kept,
    /// It is moved to the new end, and the table says so: some sectors of the target differ from
    /// the source's.
    Moved,
}

/// Whether the target is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// It is trusted.
    #[default]
    Trust,
    /// It is read back through its own format, and compared with the source.
    ReadBack,
}

/// Ids and times that go into a target, for formats that have them. What is `None` is random, or
/// now; the same source, options and identity give the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Identity {
    /// The target's id.
    pub uuid: Option<Uuid>,
    /// When it was made, in seconds since 1970.
    pub time: Option<u64>,
}

impl Identity {
    /// The target's id.
    #[must_use]
    pub fn uuid(mut self, uuid: impl Into<Option<Uuid>>) -> Self {
        self.uuid = uuid.into();
        self
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn time(mut self, seconds: impl Into<Option<u64>>) -> Self {
        self.time = seconds.into();
        self
    }

    /// What goes into the target; a second call may give another.
    pub(crate) fn stamp(&self) -> Stamp {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Stamp {
            uuid: self.uuid.unwrap_or_else(Uuid::new_v4).into_bytes(),
            seconds: self.time.unwrap_or_else(now),
        }
    }
}

impl Convert {
    /// A conversion with the defaults.
    pub fn new(source: impl Into<Location>, target: impl Into<Location>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            open: OpenOptions::default(),
            to: None,
            import: None,
            waived: Vec::new(),
            options: Vec::new(),
            compress: None,
            size: None,
            shrink: Shrink::default(),
            backup_gpt: BackupGpt::default(),
            gpt_sectors: None,
            zeros: Zeros::default(),
            digests: Vec::new(),
            verify: Verify::default(),
            replace: Replace::default(),
            durability: Durability::default(),
            identity: Identity::default(),
        }
    }

    /// How the source is opened.
    #[must_use]
    pub fn open(mut self, open: OpenOptions) -> Self {
        self.open = open;
        self
    }

    /// The target's format.
    #[must_use]
    pub fn to(mut self, format: impl Into<Option<Format>>) -> Self {
        self.to = format.into();
        self
    }

    /// The import target that the result is to be ready for.
    #[must_use]
    pub fn import(mut self, target: impl Into<Option<ImportTarget>>) -> Self {
        self.import = target.into();
        self
    }

    /// Further rules of the import target that the result may break, by id.
    #[must_use]
    pub fn waive(mut self, rules: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.waived.extend(rules.into_iter().map(Into::into));
        self
    }

    /// Further options of the target's format, by name.
    #[must_use]
    pub fn options(
        mut self,
        options: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        self.options.extend(options.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Whether the target is to be compressed.
    #[must_use]
    pub fn compress(mut self, compress: impl Into<Option<Compress>>) -> Self {
        self.compress = compress.into();
        self
    }

    /// The virtual size of the target.
    #[must_use]
    pub fn size(mut self, size: impl Into<Option<VirtualSize>>) -> Self {
        self.size = size.into();
        self
    }

    /// What to do when that is less than the source's.
    #[must_use]
    pub fn shrink(mut self, shrink: Shrink) -> Self {
        self.shrink = shrink;
        self
    }

    /// What becomes of the backup of a GPT where the disk's end moves.
    #[must_use]
    pub fn backup_gpt(mut self, backup: BackupGpt) -> Self {
        self.backup_gpt = backup;
        self
    }

    /// The sectors that a GPT is to count in.
    #[must_use]
    pub fn gpt_sectors(mut self, sectors: impl Into<Option<SectorSize>>) -> Self {
        self.gpt_sectors = sectors.into();
        self
    }

    /// What to do with zeros that the source stores.
    #[must_use]
    pub fn zeros(mut self, zeros: Zeros) -> Self {
        self.zeros = zeros;
        self
    }

    /// Further digests of the virtual disk to compute in the same pass.
    #[must_use]
    pub fn digests(mut self, digests: impl IntoIterator<Item = Algorithm>) -> Self {
        self.digests.extend(digests);
        self
    }

    /// Whether the target is read back.
    #[must_use]
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// What to do with an existing target.
    #[must_use]
    pub fn replace(mut self, replace: Replace) -> Self {
        self.replace = replace;
        self
    }

    /// Whether the target is to survive a power failure once it has its name.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Ids and times that go into the target.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// What to do when the target is to be smaller: an original size is asked for knowingly.
    pub(crate) fn effective_shrink(&self) -> Shrink {
        match self.size {
            Some(VirtualSize::Original) => Shrink::DropZeros,
            Some(VirtualSize::Bytes(_)) | None => self.shrink,
        }
    }

    /// What is to become of a GPT, where it is to be changed.
    pub(crate) fn fit(&self) -> Option<Fit> {
        let moved = (self.backup_gpt == BackupGpt::Moved).then_some(Fit::Moved);
        self.gpt_sectors.map(Fit::Sectors).or(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use diskferry_wrap::Choice;

    use super::*;
    use crate::place::file::Access;
    use crate::place::locks::Locks;
    use crate::place::policy::Policy;
    use crate::source::Backing;

    #[test]
    fn an_identity_is_kept_and_what_it_lacks_is_new() {
        let told = Identity { uuid: Some(Uuid::from_u128(7)), time: Some(8) };
        assert_eq!(told.stamp().uuid, Uuid::from_u128(7).into_bytes());
        assert_eq!(told.stamp().seconds, 8);
        let new = Identity::default().stamp();
        assert_eq!(Uuid::from_bytes(new.uuid).get_version_num(), 4);
        assert_ne!(new.uuid, Identity::default().stamp().uuid);
        assert!(new.seconds > 1_700_000_000);
    }

    #[test]
    fn a_request_is_stored_and_comes_back() {
        let open = OpenOptions::new()
            .format(Format::VMDK)
            .disk(Choice::Number(2))
            .snapshot("monday".to_owned())
            .policy(Policy::allowing(["/images"]))
            .backing(Backing::Lenient)
            .access(Access::Map)
            .parent(PathBuf::from("base.qcow2"))
            .scratch(PathBuf::from("/var/tmp"))
            .locks(Locks::Ignore);
        let full = Convert::new(Location::Standard, Path::new("disk.vhd"))
            .open(open)
            .to(Format::VHD)
            .import(ImportTarget::from_name("azure"))
            .waive(["vhd-fixed"])
            .options([("subformat", "fixed")])
            .compress(Compress::at(9))
            .size(VirtualSize::Bytes(1 << 40))
            .shrink(Shrink::DropZeros)
            .backup_gpt(BackupGpt::Moved)
            .gpt_sectors(SectorSize::B4096)
            .zeros(Zeros::Trust)
            .digests([Algorithm::Sha256, Algorithm::Crc32])
            .verify(Verify::ReadBack)
            .replace(Replace::Allowed)
            .durability(Durability::Synced)
            .identity(Identity::default().uuid(Uuid::from_u128(7)).time(8));
        for request in [full, Convert::new("a.raw", "./-")] {
            let stored = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Convert>(&stored).unwrap(), request, "{stored}");
        }
    }

    #[test]
    fn what_is_absent_has_its_default_and_what_is_not_known_is_refused() {
        let read = |text: &str| serde_json::from_str::<Convert>(text);
        let two = read(r#"{"source": "-", "target": "b.qcow2"}"#).unwrap();
        assert_eq!(two, Convert::new(Location::Standard, "b.qcow2"));
        let some =
            r#"{"source": "a", "target": "b", "open": {"format": "raw"}, "gpt_sectors": 512}"#;
        let expected = Convert::new("a", "b").gpt_sectors(SectorSize::B512);
        assert_eq!(read(some).unwrap(), expected.open(OpenOptions::new().format(Format::RAW)));
        for (fields, text) in [
            (r#""forse": true"#, "unknown field `forse`"),
            (r#""open": {"scrach": "/tmp"}"#, "unknown field `scrach`"),
            (r#""to": "qcow3""#, "no format 'qcow3'"),
            (r#""import": "nowhere""#, "no import target 'nowhere'"),
            (r#""gpt_sectors": 513"#, "512 or 4096"),
        ] {
            let error =
                read(&format!(r#"{{"source": "a", "target": "b", {fields}}}"#)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
