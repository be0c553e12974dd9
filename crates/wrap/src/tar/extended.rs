//! Extended headers: what they say of the member after them.

use diskferry_block_stream::{Error, Result};

use super::block::{decimal, text};
use super::sparse::Map;
use crate::damage::Damage;

/// What extended headers say of the member after them.
#[derive(Default)]
pub(super) struct Extended {
    /// Where the first of them is.
    pub at: Option<u64>,
    pub name: Option<String>,
    pub size: Option<u64>,
    pub sparse: Sparse,
    /// Whether there is one of POSIX's among them.
    pub has_records: bool,
}

/// How a pax member is sparse.
#[derive(Default)]
pub(super) enum Sparse {
    #[default]
    None,
    /// Versions 0.0 and 0.1: the map is in the extended header.
    Map { entries: Map, size: Option<u64> },
    /// Version 1.0.
    InData { size: Option<u64> },
}

impl Extended {
    /// Takes in the records of an extended header: `length key=value\n`, the length being that of
    /// the whole record.
    pub fn records(&mut self, at: u64, mut data: &[u8]) -> Result<()> {
        self.at.get_or_insert(at);
        self.has_records = true;
        let (mut entries, mut begun, mut sizes) = (Map::new(), None, [None, None]);
        let (mut version, mut has_map, mut sparse_name) = ((None, None), false, None);
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or(Damage::Record { at })?;
            data = rest;
            let decimal = |key| decimal(value).ok_or(Damage::RecordNumber { at, key });
            match key {
                b"path" => self.name = Some(text(value)),
                b"size" => self.size = Some(decimal("size")?),
                b"GNU.sparse.name" => sparse_name = Some(text(value)),
                b"GNU.sparse.size" => sizes[0] = Some(decimal("GNU.sparse.size")?),
                b"GNU.sparse.realsize" => sizes[1] = Some(decimal("GNU.sparse.realsize")?),
                b"GNU.sparse.major" => version.0 = Some(decimal("GNU.sparse.major")?),
                b"GNU.sparse.minor" => version.1 = Some(decimal("GNU.sparse.minor")?),
                b"GNU.sparse.offset" => begun = Some(decimal("GNU.sparse.offset")?),
                b"GNU.sparse.numbytes" => {
                    let key = "GNU.sparse.offset";
                    let offset = begun.take().ok_or(Damage::RecordNumber { at, key })?;
                    entries.push((offset, decimal("GNU.sparse.numbytes")?));
                    has_map = true;
                }
                b"GNU.sparse.map" => {
                    let key = "GNU.sparse.map";
                    entries = map_of(value).ok_or(Damage::RecordNumber { at, key })?;
                    has_map = true;
                }
                _ => {}
            }
        }
        // The name beside it is a made-up one, for programs that know nothing of sparse members.
        self.name = sparse_name.or(self.name.take());
        let size = sizes[1].or(sizes[0]);
        match version {
            (None, None) if has_map => self.sparse = Sparse::Map { entries, size },
            (None, None) | (Some(0), _) if size.is_none() && !has_map => {}
            (None, None) | (Some(0), _) => self.sparse = Sparse::Map { entries, size },
            (Some(1), Some(0)) => self.sparse = Sparse::InData { size },
            _ => {
                return Err(Error::unsupported(
                    "a sparse member of a tar archive in a version other than 0.0, 0.1 and 1.0",
                ));
            }
        }
        Ok(())
    }
}

/// The first record's key and value, and the rest.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

/// The map of version 0.1: numbers with commas between them.
fn map_of(value: &[u8]) -> Option<Map> {
    if value.is_empty() {
        return Some(Map::new());
    }
    let mut numbers = value.split(|byte| *byte == b',').map(decimal);
    let mut map = Map::new();
    while let Some(offset) = numbers.next() {
        map.push((offset?, numbers.next()??));
    }
    Some(map)
}
