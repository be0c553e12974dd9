//! What there is to say about an image, in the form that scripts read.

use diskferry_block_stream::{Bytes, Detail, Note, Snapshot};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// What there is to say about an image. Serialised, its fields are a contract with scripts: they
/// are added to, never renamed, and always present.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The file's name, as it was given.
    pub file: String,
    /// The format's name.
    pub format: &'static str,
    /// Whether it is taken for raw only because it bears no other format's signature.
    pub assumed: bool,
    /// The format's name for this kind of file.
    pub subformat: Option<String>,
    /// Size of the virtual disk, in bytes; `None` for one in a compressed file that tells it only when
    /// all of it was unpacked.
    pub virtual_size: Option<u64>,
    /// Length of the file, in bytes.
    pub file_size: u64,
    /// Storage that the file takes, in bytes, where that is known.
    pub allocated_size: Option<u64>,
    /// The further files that the image has beside it, without those of its backing chain.
    pub data_files: Vec<DataFile>,
    /// The unit in which the disk is stored, in bytes; 1 where there is none.
    pub grain: u64,
    /// The program that made it, where the format records one.
    pub creator: Option<String>,
    /// Identifiers that the image carries.
    #[serde(serialize_with = "as_map")]
    pub ids: Vec<(&'static str, String)>,
    /// The compression its data may use.
    pub compression: Option<&'static str>,
    /// The internal snapshot that was opened.
    pub snapshot: Option<String>,
    /// The image itself, then its backing files from the nearest to the base.
    pub chain: Vec<ChainLink>,
    /// Internal snapshots.
    pub snapshots: Vec<SnapshotInfo>,
    /// What the disk is wrapped in, from the outside in: `gzip`, `tar`, `ova` and so on.
    pub wrapping: Vec<&'static str>,
    /// Bytes that were unpacked to a scratch file, where what the disk is wrapped in comes in order and the
    /// disk cannot be read so.
    pub scratch: Option<u64>,
    /// The disks of the archive that it is in, as far as they are known, where there are or may be several.
    pub disks: Vec<WrappedDisk>,
    /// Whether these are all: an archive that is compressed is read no further than to the disk.
    pub disks_complete: bool,
    /// Odd things that do not keep the disk from being read.
    #[serde(serialize_with = "as_lines")]
    pub warnings: Vec<Note>,
    /// What else the format has to say.
    #[serde(serialize_with = "as_details")]
    pub details: Vec<(&'static str, Detail)>,
}

/// One of several disks in an archive.
#[derive(Clone, Debug, Serialize)]
pub struct WrappedDisk {
    /// The member's name.
    pub name: String,
    /// The member's length in bytes, where that is known: not the size of the virtual disk.
    pub size: Option<u64>,
    /// The format, or the compression, that its first bytes tell.
    pub format: Option<&'static str>,
}

/// A file that holds a part of an image.
#[derive(Clone, Debug, Serialize)]
pub struct DataFile {
    /// The file's name, as the image has it, in the image's folder.
    pub file: String,
    /// Length of the file, in bytes.
    pub file_size: u64,
    /// Storage that the file takes, in bytes, where that is known.
    pub allocated_size: Option<u64>,
}

/// One image of a backing chain.
#[derive(Clone, Debug, Serialize)]
pub struct ChainLink {
    /// The file's name, as it was given or as the image above has it.
    pub file: String,
    /// The format's name; `None` where the file could not be opened and nobody states it.
    pub format: Option<String>,
    /// Virtual size of this layer, in bytes.
    pub virtual_size: Option<u64>,
    /// Why the file could not be opened, where it could not.
    #[serde(serialize_with = "as_line")]
    pub error: Option<Note>,
}

/// An internal snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotInfo {
    /// Its id, unique in the image.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was taken, in seconds since 1970.
    pub time: u64,
    /// Virtual size in bytes at that time, where recorded.
    pub virtual_size: Option<u64>,
    /// Bytes of machine state saved with it.
    pub state_size: u64,
}

impl DataFile {
    pub(super) fn of(bytes: &dyn Bytes) -> Self {
        Self {
            file: bytes.name().to_owned(),
            file_size: bytes.len(),
            allocated_size: bytes.allocated(),
        }
    }
}

impl From<Snapshot> for SnapshotInfo {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { id, name, seconds, size, state_size } = snapshot;
        Self { id, name, time: seconds, virtual_size: size, state_size }
    }
}

/// Pairs as an object, in their order.
/// Notes as the lines that they print as.
pub(crate) fn as_lines<S: Serializer>(notes: &[Note], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(ToString::to_string))
}

fn as_line<S: Serializer>(note: &Option<Note>, serializer: S) -> Result<S::Ok, S::Error> {
    note.as_ref().map(ToString::to_string).serialize(serializer)
}

pub(crate) fn as_map<K, V, S>(pairs: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error>
where
    K: Serialize,
    V: Serialize,
    S: Serializer,
{
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (key, value) in pairs {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

fn as_details<S: Serializer>(
    details: &[(&'static str, Detail)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let pairs: Vec<_> = details.iter().map(|(key, detail)| (*key, Value(detail))).collect();
    as_map(&pairs, serializer)
}

struct Value<'a>(&'a Detail);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Detail::Flag(flag) => serializer.serialize_bool(*flag),
            Detail::Number(number) => serializer.serialize_u64(*number),
            Detail::Text(text) => serializer.serialize_str(text),
            Detail::List(items) => items.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::format::Format;

    #[test]
    fn every_key_is_there_and_numbers_are_numbers() {
        let mut info = Info::of_piped("stdin", Format::RAW, 1 << 40, 7, 1);
        info.details = vec![
            ("dirty", Detail::Flag(true)),
            ("refcount_bits", Detail::Number(16)),
            ("backing_format", Detail::Text("raw".into())),
            ("extensions", Detail::List(vec!["a".into(), "b".into()])),
        ];
        info.ids = vec![("uuid", "x".into())];
        let json = serde_json::to_value(&info).unwrap();
        for key in [
            "file",
            "format",
            "assumed",
            "subformat",
            "virtual_size",
            "file_size",
            "allocated_size",
            "data_files",
            "grain",
            "creator",
            "ids",
            "compression",
            "snapshot",
            "chain",
            "snapshots",
            "wrapping",
            "disks",
            "disks_complete",
            "warnings",
            "details",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["virtual_size"], json!(1u64 << 40));
        assert_eq!(json["creator"], Json::Null);
        assert_eq!(json["ids"], json!({"uuid": "x"}));
        assert_eq!(
            json["details"],
            json!({"dirty": true, "refcount_bits": 16, "backing_format": "raw", "extensions": ["a", "b"]})
        );
    }
}
