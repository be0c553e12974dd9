//! An opened image: its header, its L1 table, its snapshots.

use std::ffi::OsStr;
use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Error, Held, Image, Order, ParentRef,
    Problem, Progress, Result, Snapshot,
};

use crate::check;
use crate::cursor::Reader;
use crate::damage::Damage;
use crate::header::{self, DataFile, Header, TablePlace, Version};
use crate::snapshot::{self, SnapshotEntry};
use crate::table::{EntryFormat, l2_offset};
use crate::wire;

/// An opened qcow2 image: one layer, as it is now or as it was at a snapshot.
pub struct Qcow2 {
    pub(crate) header: Header,
    pub(crate) snapshots: Held<Vec<SnapshotEntry>>,
    /// The snapshots as callers see them.
    listed: Vec<Snapshot>,
    /// The L1 table of what is read.
    pub(crate) l1: Held<Vec<u64>>,
    /// An L2 table that two of its entries lead to. Such a disk can be checked, and not read: in a small file it
    /// could have more extents than anybody can walk through.
    pub(crate) shared_table: Option<u64>,
    /// Virtual size of what is read.
    size: u64,
    /// The image, and its external data file when there is one.
    pub(crate) files: Vec<Arc<dyn Bytes>>,
}

/// Offset in the header of the incompatible features.
const FEATURES_FIELD: u64 = 72;

/// QEMU refuses larger L1 tables.
pub(crate) const L1_MAX: u64 = 32 << 20;

impl Qcow2 {
    /// Whether a file that starts with these bytes (4 or more) says that it is qcow2.
    pub fn probe(head: &[u8]) -> bool {
        header::probe(head)
    }

    /// Opens an image: reads its header, its L1 table and its list of snapshots.
    ///
    /// # Errors
    /// `Damaged` when these contradict each other or the file's length, `Unsupported` for encrypted
    /// images and for features unknown here, `Limit` for tables past the bounds, `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let header = Header::read(bytes.as_ref())?;
        budget.limits().check_virtual_size(header.size)?;
        let snapshots = snapshot::read(bytes.as_ref(), &header, budget)?;
        let l1 = read_l1(bytes.as_ref(), &header, header.l1, header.size, budget)?;
        let shared_table = shared_table(&l1, budget)?;
        Ok(Self {
            size: header.size,
            shared_table,
            listed: snapshots.iter().map(|entry| entry.listed.clone()).collect(),
            snapshots,
            l1,
            header,
            files: vec![bytes],
        })
    }

    /// The name of the external data file that the disk's bytes are in. Until
    /// [`with_data_file`](Self::with_data_file) has it, no byte of the disk can be read.
    pub fn data_file(&self) -> Option<&OsStr> {
        match &self.header.data_file {
            DataFile::Own => None,
            DataFile::External { name, .. } => Some(name),
        }
    }

    /// The image with its external data file.
    #[must_use]
    pub fn with_data_file(mut self, data: Arc<dyn Bytes>) -> Self {
        self.files.truncate(1);
        self.files.push(data);
        self
    }

    /// Internal snapshots, in the image's order.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.listed
    }

    /// The disk as it was at a snapshot, which is found by its id, else by its name.
    ///
    /// # Errors
    /// `Misuse` when there is none of that name, else as for [`open`](Self::open).
    pub fn at_snapshot(self, name: &str, budget: &Budget) -> Result<Self> {
        let found = self
            .snapshots
            .iter()
            .find(|entry| entry.listed.id == name)
            .or_else(|| self.snapshots.iter().find(|entry| entry.listed.name == name));
        let file = self.files[0].name().to_owned();
        let Some(found) = found else {
            let names: Vec<_> = self.listed.iter().map(|listed| listed.name.as_str()).collect();
            return Err(Error::misuse(match names.as_slice() {
                [] => format!("no snapshot '{name}': the image has none"),
                names => format!("no snapshot '{name}': there are {}", names.join(", ")),
            })
            .in_file(&file));
        };
        let size = found.listed.size.unwrap_or(self.header.size);
        let l1 = budget
            .limits()
            .check_virtual_size(size)
            .and_then(|()| read_l1(self.files[0].as_ref(), &self.header, found.l1, size, budget))
            .and_then(|l1| Ok((shared_table(&l1, budget)?, l1)))
            .map_err(|error| error.doing("opening a snapshot").in_file(&file))?;
        let (shared_table, l1) = l1;
        Ok(Self { l1, shared_table, size, ..self })
    }

    /// Index of the file that the disk's clusters are in.
    pub(crate) fn data_index(&self) -> usize {
        usize::from(self.header.data_file != DataFile::Own)
    }

    /// Length in bytes of the external data file, where there is one and it is opened.
    pub(crate) fn data_end(&self) -> Option<u64> {
        self.files.get(1).map(|file| file.len())
    }

    pub(crate) fn entry_format(&self) -> EntryFormat {
        EntryFormat {
            cluster_bits: self.header.cluster_bits,
            version: self.header.version,
            extended: self.header.extended_l2,
            external_data: self.header.data_file != DataFile::Own,
        }
    }
}

/// Reads an L1 table and checks that it covers `size` bytes of disk.
fn read_l1(
    bytes: &dyn Bytes,
    header: &Header,
    place: TablePlace,
    size: u64,
    budget: &Budget,
) -> Result<Held<Vec<u64>>> {
    let entries = u64::from(place.entries);
    let length = entries * 8;
    if length > L1_MAX {
        return Err(Damage::L1TooLarge { entries }.into());
    }
    if entries < size.div_ceil(header.l2_span()) {
        return Err(Damage::L1TooSmall { entries, size }.into());
    }
    if entries == 0 {
        return Ok(budget.hold(Vec::new()));
    }
    check_place(bytes, header, "L1 table", place.offset, length)?;
    let spent = budget.spend("the L1 table", length)?;
    let mut table = vec![0; spent.bytes()];
    bytes.read_at(place.offset, &mut table)?;
    Ok(spent.on(wire::entries(&table)))
}

/// An L2 table that more than one entry leads to. No program makes such: a write to one part of the disk
/// would show in another.
fn shared_table(l1: &[u64], budget: &Budget) -> Result<Option<u64>> {
    let length = size_of_val(l1) as u64;
    let _spent = budget.spend("the L1 table", length)?;
    let mut tables: Vec<u64> =
        l1.iter().map(|entry| l2_offset(*entry)).filter(|at| *at != 0).collect();
    tables.sort_unstable();
    Ok(tables.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]))
}

/// Checks that a table begins at a cluster and lies within the file.
pub(crate) fn check_place(
    bytes: &dyn Bytes,
    header: &Header,
    what: &'static str,
    at: u64,
    length: u64,
) -> Result<(), Damage> {
    if header.cluster_bits.offset_in(at) != 0 {
        return Err(Damage::Unaligned { what, at, cluster: header.cluster() });
    }
    let end = bytes.len();
    if at.checked_add(length).is_none_or(|table_end| table_end > end) {
        return Err(Damage::PastEnd { what, at, length, end });
    }
    Ok(())
}

impl Disk for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        self.header.cluster()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    /// A part of a compressed cluster costs all of it.
    fn order(&self) -> Order {
        Order::Grains
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Reader::new(self)?))
    }
}

impl Image for Qcow2 {
    fn describe(&self) -> Description {
        let header = &self.header;
        let compat = match header.version {
            Version::V2 => "0.10",
            Version::V3 => "1.1",
        };
        let mut details = vec![
            ("compat", Detail::Text(compat.into())),
            ("cluster_size", Detail::Number(header.cluster())),
            ("refcount_bits", Detail::Number(1 << header.refcount_order)),
            ("compression_type", Detail::Text(header.compression.name().into())),
            ("extended_l2", Detail::Flag(header.extended_l2)),
            ("lazy_refcounts", Detail::Flag(header.lazy_refcounts)),
            ("dirty", Detail::Flag(header.dirty)),
            ("corrupt", Detail::Flag(header.corrupt)),
        ];
        if let DataFile::External { name, raw } = &header.data_file {
            details.push(("data_file", Detail::Text(name.to_string_lossy().into_owned())));
            details.push(("data_file_raw", Detail::Flag(*raw)));
        }
        if let Some(parent) = &header.backing {
            details.push(("backing_file", Detail::Text(parent.name().into_owned())));
            if let Some(format) = &parent.format {
                details.push(("backing_format", Detail::Text(format.clone())));
            }
        }
        if let Some(bitmaps) = header.bitmaps {
            details.push(("bitmaps", Detail::Number(u64::from(bitmaps.count))));
        }
        if !header.unknown_extensions.is_empty() {
            let kinds = header.unknown_extensions.iter();
            let kinds = kinds.map(|kind| format!("{kind:#010x}")).collect();
            details.push(("unknown_extensions", Detail::List(kinds)));
        }
        if !header.unknown_features.is_empty() {
            details.push(("unknown_features", Detail::List(header.unknown_features.clone())));
        }
        let mut warnings = Vec::new();
        if header.dirty {
            warnings.push(Problem::oddity(
                FEATURES_FIELD,
                "the image is marked dirty: it was not closed cleanly, its refcounts may be stale; \
                 its data is read as it stands",
            ));
        }
        if header.corrupt {
            warnings.push(Problem::oddity(
                FEATURES_FIELD,
                "the image is marked corrupt by the program that used it; its data is read as it \
                 stands, check it with `diskferry check`",
            ));
        }
        Description {
            subformat: header.version.name().into(),
            compression: Some(header.compression.name()),
            snapshots: self.listed.clone(),
            details,
            warnings,
            ..Description::default()
        }
    }

    fn parent(&self) -> Option<&ParentRef> {
        self.header.backing.as_ref()
    }

    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        check::check(self, cancel, progress, report)
    }
}
