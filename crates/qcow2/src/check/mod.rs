//! Checking: every table read, every cluster's references counted and compared with its refcount.

use std::collections::BTreeMap;
use std::ops::Range;

use diskferry_block_stream::{Bytes, Cancel, Error, Problem, Progress, Result};

use crate::header::{DataFile, TablePlace, Version};
use crate::image::Qcow2;
use crate::table::{COPIED, Entry, EntryFormat, l1_is_damaged, l2_offset};
use crate::wire;

mod bitmaps;
mod refcounts;
mod references;

use references::{References, Use, Uses};

/// Reports each problem of the image's own file.
///
/// Progress is what the L2 tables map, and then the file, whose clusters' refcounts are compared.
pub(crate) fn check(
    image: &Qcow2,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    let mut check = Check::new(image, cancel, progress, report)?;
    check.refcount_blocks()?;
    check.metadata()?;
    check.l1(image.header.l1, L1_FIELD, State::Active)?;
    let mut field = image.header.snapshots_offset;
    for snapshot in &image.snapshots {
        if image.header.version == Version::V3 && snapshot.listed.size.is_none() {
            check.corruption(field, "a snapshot without the disk's size, which version 3 has");
        }
        check.l1(snapshot.l1, field, State::Snapshot)?;
        field += snapshot.length;
    }
    check.l2_tables()?;
    check.bitmaps()?;
    check.refcounts()
}

/// Whose table it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// What the guest writes to: its COPIED flags must be true.
    Active,
    /// Nobody writes to it; QEMU does not look at its flags.
    Snapshot,
}

/// An L2 table, which the disk and its snapshots may share.
struct Shared {
    /// L1 entries that refer to it.
    times: u32,
    /// Of the disk, if one of them is.
    state: State,
}

struct Check<'a> {
    image: &'a Qcow2,
    file: &'a dyn Bytes,
    cluster: u64,
    format: EntryFormat,
    /// References found, by cluster of the file.
    references: References,
    /// The L2 tables, by offset. Each is read once, however many refer to it: or else a small image
    /// could ask for years of work.
    l2_tables: BTreeMap<u64, Shared>,
    /// Offsets of the refcount blocks; 0 where there is none.
    blocks: Vec<u64>,
    /// The page of a refcount block looked at last, and its offset.
    page: Vec<u8>,
    page_at: Option<u64>,
    cancel: &'a Cancel,
    progress: &'a Progress,
    report: &'a mut dyn FnMut(Problem),
}

/// L2 tables that are kept in mind, of some 40 bytes each: those of 2 PiB in clusters of 64 KiB.
const L2_TABLES_MAX: usize = 4 << 20;

impl<'a> Check<'a> {
    fn new(
        image: &'a Qcow2,
        cancel: &'a Cancel,
        progress: &'a Progress,
        report: &'a mut dyn FnMut(Problem),
    ) -> Result<Self> {
        let file = image.files[0].as_ref();
        let cluster = image.header.cluster();
        Ok(Self {
            image,
            file,
            cluster,
            format: image.entry_format(),
            references: References::new(file.len().div_ceil(cluster))?,
            l2_tables: BTreeMap::new(),
            blocks: Vec::new(),
            page: Vec::new(),
            page_at: None,
            cancel,
            progress,
            report,
        })
    }

    fn corruption(&mut self, at: u64, text: impl Into<String>) {
        (self.report)(Problem::corruption(at, text));
    }

    /// Counts a reference to each cluster that `length` bytes at `at` touch. `field` is the offset
    /// of what refers to them. Returns whether they lie within the file.
    fn refer(&mut self, what: &str, field: u64, at: u64, length: u64, used: Use) -> Result<bool> {
        self.refer_times(1, what, field, at, length, used)
    }

    /// The same for as many references at once.
    fn refer_times(
        &mut self,
        times: u32,
        what: &str,
        field: u64,
        at: u64,
        length: u64,
        used: Use,
    ) -> Result<bool> {
        let Some(clusters) = self.clusters(what, field, at, length) else { return Ok(false) };
        for index in clusters {
            let before = self.references.add(index, times, used)?;
            // Each other clash shows as a wrong refcount; this one also when the refcount agrees.
            if before.has_other(used) && !before.has(used) {
                let shared = index * self.cluster;
                self.corruption(
                    field,
                    format!("{what} overlaps other data in cluster {shared:#x}"),
                );
            }
        }
        Ok(true)
    }

    /// As [`refer`](Self::refer), for a table that nothing else may be in. Returns whether it can
    /// be read, and was not before.
    fn refer_alone(&mut self, what: &str, field: u64, at: u64, length: u64) -> Result<bool> {
        let Some(clusters) = self.clusters(what, field, at, length) else { return Ok(false) };
        for index in clusters {
            let before = self.references.add(index, 1, Use::Metadata)?;
            if before != Uses::default() {
                let (other, shared) = (before.has(Use::Metadata), index * self.cluster);
                let other = if other { "another table" } else { "other data" };
                self.corruption(field, format!("{what} overlaps {other} in cluster {shared:#x}"));
            }
            // The rest is not counted: a thousand tables on one place would take a thousand times as long.
            if before.has(Use::Metadata) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The clusters that `length` bytes at `at` touch; `None`, with a report, where the file does not have
    /// them all.
    fn clusters(&mut self, what: &str, field: u64, at: u64, length: u64) -> Option<Range<u64>> {
        if length == 0 {
            return Some(0..0);
        }
        let clusters = at / self.cluster..at.saturating_add(length).div_ceil(self.cluster);
        if clusters.end > self.references.clusters() {
            let file = self.file.len();
            self.corruption(
                field,
                format!(
                    "{what} at {at:#x}, {length} bytes, runs past the end of the file ({file:#x})"
                ),
            );
            return None;
        }
        Some(clusters)
    }

    /// Whether an offset is aligned; reports it if not.
    fn aligned(&mut self, what: &str, field: u64, at: u64) -> bool {
        let aligned = at.is_multiple_of(self.cluster);
        if !aligned {
            self.corruption(field, format!("{what} at {at:#x} is not aligned to a cluster"));
        }
        aligned
    }

    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// A cluster that holds a table; what lies past the end of the file counts as zeros.
    fn table(&self, at: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.cluster as usize];
        let have = self.file.len().saturating_sub(at).min(self.cluster) as usize;
        self.file.read_at(at, &mut bytes[..have])?;
        Ok(bytes)
    }

    fn metadata(&mut self) -> Result<()> {
        self.refer_alone("the header", 0, 0, self.cluster)?;
        let at = self.image.header.snapshots_offset;
        let length = self.image.snapshots.iter().map(|snapshot| snapshot.length).sum();
        // QEMU minds its place though there are none.
        if self.aligned("the snapshot table", SNAPSHOTS_FIELD, at) {
            self.refer_alone("the snapshot table", SNAPSHOTS_FIELD, at, length)?;
        }
        Ok(())
    }

    /// `field` is the offset of what names the table.
    fn l1(&mut self, place: TablePlace, field: u64, state: State) -> Result<()> {
        let length = u64::from(place.entries) * 8;
        if length > crate::image::L1_MAX {
            self.corruption(field, format!("an L1 table of {length} bytes, above 32 MiB"));
            return Ok(());
        }
        if length == 0
            || !self.aligned("an L1 table", field, place.offset)
            || !self.refer_alone("an L1 table", field, place.offset, length)?
        {
            return Ok(());
        }
        let end = place.offset.saturating_add(length);
        if end > self.file.len() {
            self.corruption(field, format!("an L1 table of {length} bytes at {:#x}", place.offset));
            return Ok(());
        }
        let table = wire::entries(&self.read(place.offset, length)?);
        for (index, entry) in table.into_iter().enumerate() {
            self.cancel.check()?;
            self.l1_entry(place.offset + index as u64 * 8, entry, state)?;
        }
        Ok(())
    }

    /// Looks at the L1 entry that is at `field`.
    fn l1_entry(&mut self, field: u64, entry: u64, state: State) -> Result<()> {
        if l1_is_damaged(entry) {
            let text =
                format!("L1 entry is {entry:#018x}: reserved bits, or a flag without a table");
            self.corruption(field, text);
        }
        let (what, at) = ("an L2 table", l2_offset(entry));
        if at == 0 || !self.aligned(what, field, at) {
            return Ok(());
        }
        // Snapshots share tables, but no table is something else as well.
        let is_known = self.l2_tables.contains_key(&at);
        let usable = match is_known {
            true => self.refer(what, field, at, self.cluster, Use::Metadata)?,
            false => self.refer_alone(what, field, at, self.cluster)?,
        };
        if !usable {
            return Ok(());
        }
        if state == State::Active {
            let refcount = self.refcount(at / self.cluster)?;
            self.copied("L1 entry", field, entry, at, refcount);
        }
        self.share(at, state)
    }

    /// Keeps an L2 table in mind.
    fn share(&mut self, at: u64, state: State) -> Result<()> {
        let shared = self.l2_tables.entry(at).or_insert(Shared { times: 0, state });
        shared.times += 1;
        if state == State::Active {
            shared.state = state;
        }
        if self.l2_tables.len() > L2_TABLES_MAX {
            return Err(Error::limit(format!("more than {L2_TABLES_MAX} L2 tables")));
        }
        Ok(())
    }

    fn l2_tables(&mut self) -> Result<()> {
        let (tables, span) = (std::mem::take(&mut self.l2_tables), self.image.header.l2_span());
        self.progress.expect(tables.len() as u64 * span);
        for (at, shared) in tables {
            self.l2(at, shared)?;
            self.progress.pass(span);
        }
        Ok(())
    }

    fn l2(&mut self, table_at: u64, Shared { times, state }: Shared) -> Result<()> {
        let table = self.table(table_at)?;
        let words = if self.format.extended { 2 } else { 1 };
        for index in 0..table.len() / 8 / words {
            self.cancel.check()?;
            let entry = wire::entry(&table, index * words);
            let bitmap = if words == 2 { wire::entry(&table, index * words + 1) } else { 0 };
            let field = table_at + (index * words * 8) as u64;
            let parsed = self.format.parse(entry, bitmap).unwrap_or_else(|bad| {
                self.corruption(field, format!("L2 entry {bad}"));
                self.format.cluster(entry)
            });
            match parsed {
                Entry::Absent | Entry::Zero { offset: 0 } => {}
                // Some of it reads as zeros, and nothing is stored.
                Entry::Parts { offset: 0, stored: 0, .. } => {}
                Entry::Compressed { offset, length } => {
                    if entry & COPIED != 0 {
                        self.corruption(field, "a compressed cluster is flagged as COPIED");
                    }
                    self.compressed(times, field, offset, length)?;
                }
                Entry::Zero { offset } | Entry::Plain { offset } | Entry::Parts { offset, .. } => {
                    let is_stored = !matches!(parsed, Entry::Zero { .. });
                    if self.data(times, field, offset, is_stored)? && state == State::Active {
                        let refcount = match self.image.header.data_file {
                            DataFile::Own => self.refcount(offset / self.cluster)?,
                            // It has no refcounts, and no snapshots.
                            DataFile::External { .. } => 1,
                        };
                        self.copied("L2 entry", field, entry, offset, refcount);
                    }
                }
            }
        }
        Ok(())
    }

    fn compressed(&mut self, times: u32, field: u64, offset: u64, length: u64) -> Result<()> {
        let end = self.file.len();
        if offset >= end {
            self.corruption(
                field,
                format!("a compressed cluster at {offset:#x}, past the end of the file ({end:#x})"),
            );
            return Ok(());
        }
        // The last sector may go on past the end of the file, but not past its last cluster.
        self.refer_times(times, "a compressed cluster", field, offset, length, Use::Data)?;
        Ok(())
    }

    /// Counts references to a cluster, if it is in the image's own file; returns whether it has a place. One
    /// of an external data file need not be there yet as long as nothing is stored in it.
    fn data(&mut self, times: u32, field: u64, offset: u64, is_stored: bool) -> Result<bool> {
        let what = "a data cluster";
        if !self.aligned(what, field, offset) {
            return Ok(false);
        }
        if self.image.header.data_file == DataFile::Own {
            return self.refer_times(times, what, field, offset, self.cluster, Use::Data);
        }
        if is_stored && let Some(end) = self.image.data_end().filter(|end| offset >= *end) {
            let text = format!("{what} at {offset:#x}, past the end of the data file ({end:#x})");
            self.corruption(field, text);
        }
        Ok(true)
    }

    /// The COPIED flag must be there exactly when the refcount is 1: a guest's write relies on it.
    fn copied(&mut self, what: &str, field: u64, entry: u64, at: u64, refcount: u64) {
        let flagged = entry & COPIED != 0;
        if flagged != (refcount == 1) {
            let flag = if flagged { "has" } else { "lacks" };
            self.corruption(
                field,
                format!("{what} {flag} the COPIED flag, the refcount of {at:#x} is {refcount}"),
            );
        }
    }
}

/// Offsets in the header of the fields that name tables.
const L1_FIELD: u64 = 40;
const SNAPSHOTS_FIELD: u64 = 64;
