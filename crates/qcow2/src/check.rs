//! Checking: every table read, every cluster's references counted and compared with its refcount.

use std::collections::BTreeMap;

use diskferry_block_stream::{Bytes, Error, Problem, ProblemKind, Result};

use crate::header::{DataFile, TablePlace};
use crate::image::Qcow2;
use crate::references::{References, Use};
use crate::table::{BadEntry, COPIED, Entry, EntryFormat, l2_offset};
use crate::wire;

/// Reports each problem of the image's own file.
pub(crate) fn check(image: &Qcow2, report: &mut dyn FnMut(Problem)) -> Result<()> {
    let mut check = Check::new(image, report)?;
    check.refcount_blocks()?;
    check.metadata()?;
    check.l1(image.header.l1, State::Active)?;
    for snapshot in &image.snapshots {
        check.l1(snapshot.l1, State::Snapshot)?;
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
    report: &'a mut dyn FnMut(Problem),
}

/// L2 tables that are kept in mind, of some 40 bytes each: those of 2 PiB in clusters of 64 KiB.
const L2_TABLES_MAX: usize = 4 << 20;

impl<'a> Check<'a> {
    fn new(image: &'a Qcow2, report: &'a mut dyn FnMut(Problem)) -> Result<Self> {
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
            report,
        })
    }

    fn say(&mut self, kind: ProblemKind, at: u64, text: String) {
        (self.report)(Problem { kind, at: Some(at), text });
    }

    fn corruption(&mut self, at: u64, text: String) {
        self.say(ProblemKind::Corruption, at, text);
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
        if length == 0 {
            return Ok(true);
        }
        let (first, last) = (at / self.cluster, at.saturating_add(length - 1) / self.cluster);
        if last >= self.references.clusters() {
            let file = self.file.len();
            self.corruption(
                field,
                format!(
                    "{what} at {at:#x}, {length} bytes, runs past the end of the file ({file:#x})"
                ),
            );
            return Ok(false);
        }
        for index in first..=last {
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
        let (first, end) = (at / self.cluster, at.saturating_add(length).div_ceil(self.cluster));
        let taken = (first..end.min(self.references.clusters()))
            .find(|index| self.references.uses(*index).has(Use::Metadata));
        if !self.refer(what, field, at, length, Use::Metadata)? {
            return Ok(false);
        }
        if let Some(index) = taken {
            let shared = index * self.cluster;
            self.corruption(field, format!("{what} overlaps another table in cluster {shared:#x}"));
        }
        Ok(taken.is_none())
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

    fn refcount_blocks(&mut self) -> Result<()> {
        let header = &self.image.header;
        let (at, clusters) = (header.refcount_table_offset, header.refcount_table_clusters);
        let what = "the refcount table";
        if !self.aligned(what, REFCOUNT_TABLE_FIELD, at) {
            return Ok(());
        }
        let length = u64::from(clusters) * self.cluster;
        if length > REFCOUNT_TABLE_MAX {
            self.corruption(
                REFCOUNT_TABLE_FIELD,
                format!("{what} has {length} bytes, above 8 MiB"),
            );
            return Ok(());
        }
        if !self.refer(what, REFCOUNT_TABLE_FIELD, at, length, Use::Metadata)? {
            return Ok(());
        }
        let mut index = 0;
        for n in 0..u64::from(clusters) {
            let table = self.table(at + n * self.cluster)?;
            for entry in wire::entries(&table) {
                let field = at + index * 8;
                index += 1;
                // The low nine bits are reserved.
                let block = entry & !0x1FF;
                let usable = block != 0
                    && self.aligned("a refcount block", field, block)
                    && self.refer_alone("a refcount block", field, block, self.cluster)?;
                self.blocks.push(if usable { block } else { 0 });
            }
        }
        Ok(())
    }

    fn metadata(&mut self) -> Result<()> {
        self.refer("the header", 0, 0, self.cluster, Use::Metadata)?;
        let at = self.image.header.snapshots_offset;
        let length = self.image.snapshots.iter().map(|snapshot| snapshot.length).sum();
        self.refer("the snapshot table", SNAPSHOTS_FIELD, at, length, Use::Metadata)?;
        Ok(())
    }

    fn l1(&mut self, place: TablePlace, state: State) -> Result<()> {
        let length = u64::from(place.entries) * 8;
        let field = L1_FIELD;
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
            let at = l2_offset(entry);
            let field = place.offset + index as u64 * 8;
            if at == 0
                || !self.aligned("an L2 table", field, at)
                || !self.refer("an L2 table", field, at, self.cluster, Use::Metadata)?
            {
                continue;
            }
            if state == State::Active {
                self.copied("L1 entry", field, entry, at)?;
            }
            self.share(at, state)?;
        }
        Ok(())
    }

    /// Keeps an L2 table in mind.
    fn share(&mut self, at: u64, state: State) -> Result<()> {
        let shared = self.l2_tables.entry(at).or_insert(Shared { times: 0, state });
        shared.times += 1;
        if state == State::Active {
            shared.state = state;
        }
        if self.l2_tables.len() > L2_TABLES_MAX {
            return Err(
                Error::limit(format!("more than {L2_TABLES_MAX} L2 tables")).doing("checking")
            );
        }
        Ok(())
    }

    fn l2_tables(&mut self) -> Result<()> {
        for (at, shared) in std::mem::take(&mut self.l2_tables) {
            self.l2(at, shared)?;
        }
        Ok(())
    }

    fn l2(&mut self, table_at: u64, Shared { times, state }: Shared) -> Result<()> {
        let table = self.table(table_at)?;
        let words = if self.format.extended { 2 } else { 1 };
        for index in 0..table.len() / 8 / words {
            let entry = wire::entry(&table, index * words);
            let bitmap = if words == 2 { wire::entry(&table, index * words + 1) } else { 0 };
            let field = table_at + (index * words * 8) as u64;
            match self.format.parse(entry, bitmap) {
                Err(bad) => self.corruption(field, bad.to_string()),
                Ok(Entry::Absent | Entry::Zero { offset: 0 }) => {}
                // Some of it reads as zeros, and nothing is stored.
                Ok(Entry::Parts { offset: 0, stored: 0, .. }) => {}
                Ok(Entry::Compressed { offset, length }) => {
                    if state == State::Active && entry & COPIED != 0 {
                        let text = "a compressed cluster is flagged as COPIED".into();
                        self.corruption(field, text);
                    }
                    self.compressed(times, field, offset, length)?;
                }
                Ok(
                    Entry::Zero { offset } | Entry::Plain { offset } | Entry::Parts { offset, .. },
                ) => {
                    if self.data(times, field, offset)? && state == State::Active {
                        self.copied("L2 entry", field, entry, offset)?;
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

    /// Counts references to a cluster of the image's own file; returns whether it lies there.
    fn data(&mut self, times: u32, field: u64, offset: u64) -> Result<bool> {
        let what = "a data cluster";
        Ok(self.image.header.data_file == DataFile::Own
            && self.aligned(what, field, offset)
            && self.refer_times(times, what, field, offset, self.cluster, Use::Data)?)
    }

    /// The COPIED flag must be there exactly when the refcount is 1: a guest's write relies on it.
    fn copied(&mut self, what: &str, field: u64, entry: u64, at: u64) -> Result<()> {
        let refcount = self.refcount(at / self.cluster)?;
        let flagged = entry & COPIED != 0;
        if flagged != (refcount == 1) {
            let flag = if flagged { "has" } else { "lacks" };
            self.corruption(
                field,
                format!("{what} {flag} the COPIED flag, the refcount of {at:#x} is {refcount}"),
            );
        }
        Ok(())
    }

    fn bitmaps(&mut self) -> Result<()> {
        let Some(bitmaps) = self.image.header.bitmaps else { return Ok(()) };
        let directory = (bitmaps.offset, bitmaps.size);
        if directory.1 > BITMAP_DIRECTORY_MAX {
            let text = format!("a bitmap directory of {} bytes, above 64 MiB", directory.1);
            self.corruption(directory.0, text);
            return Ok(());
        }
        if !self.refer_alone("the bitmap directory", 0, directory.0, directory.1)? {
            return Ok(());
        }
        let (mut at, end) = (directory.0, directory.0.saturating_add(directory.1));
        for _ in 0..bitmaps.count {
            let head = wire::BITMAP as u64;
            if at.saturating_add(head) > end.min(self.file.len()) {
                self.corruption(at, "the bitmap directory ends inside an entry".into());
                break;
            }
            let entry = self.read(at, head)?;
            let fixed = entry.as_slice().try_into().expect("as many bytes as were asked for");
            let (table, entries, length) = wire::bitmap(fixed);
            self.bitmap_table(at, table, u64::from(entries))?;
            at += length;
        }
        Ok(())
    }

    fn bitmap_table(&mut self, field: u64, table: u64, entries: u64) -> Result<()> {
        let length = entries * 8;
        let inside = table.checked_add(length).is_some_and(|end| end <= self.file.len());
        if length > crate::image::L1_MAX {
            self.corruption(field, format!("a bitmap table of {length} bytes, above 32 MiB"));
            return Ok(());
        }
        if !self.refer_alone("a bitmap table", field, table, length)? || !inside {
            return Ok(());
        }
        for (index, entry) in wire::entries(&self.read(table, length)?).into_iter().enumerate() {
            let at = l2_offset(entry);
            if at != 0 {
                let field = table + index as u64 * 8;
                self.refer("a bitmap cluster", field, at, self.cluster, Use::Metadata)?;
            }
        }
        Ok(())
    }

    /// The refcount that the image states for a cluster; 0 where it states none.
    fn refcount(&mut self, cluster: u64) -> Result<u64> {
        let order = self.image.header.refcount_order;
        let per_block = (self.cluster * 8) >> order;
        let index = cluster / per_block;
        let at = self.blocks.get(index as usize).copied().unwrap_or(0);
        if at == 0 {
            return Ok(0);
        }
        // A page of the block, not all of it: entries may go back and forth between two blocks.
        let within = (cluster % per_block) as usize;
        let per_page = (PAGE * 8) >> order;
        let page = within / per_page;
        let from = at + (page * PAGE) as u64;
        if self.page_at != Some(from) {
            self.page_at = None;
            let size = PAGE.min(self.cluster as usize - page * PAGE);
            self.page.clear();
            self.page.resize(size, 0);
            let have = self.file.len().saturating_sub(from).min(size as u64) as usize;
            self.file.read_at(from, &mut self.page[..have])?;
            self.page_at = Some(from);
        }
        Ok(wire::refcount(&self.page, order, within % per_page))
    }

    fn refcounts(&mut self) -> Result<()> {
        let order = self.image.header.refcount_order;
        let per_block = (self.cluster * 8) >> order;
        let blocks = std::mem::take(&mut self.blocks);
        let clusters = self.references.clusters();
        for (index, block) in blocks.iter().enumerate() {
            let first = index as u64 * per_block;
            if *block == 0 || first >= clusters {
                self.uncounted(first, (first + per_block).min(clusters));
                continue;
            }
            let counts = self.table(*block)?;
            for n in 0..per_block.min(clusters - first) {
                self.compare(first + n, wire::refcount(&counts, order, n as usize));
            }
        }
        self.uncounted(blocks.len() as u64 * per_block, clusters);
        Ok(())
    }

    /// Compares clusters whose refcounts are nowhere: 0.
    fn uncounted(&mut self, mut cluster: u64, end: u64) {
        loop {
            cluster = self.references.next_used(cluster);
            if cluster >= end {
                return;
            }
            self.compare(cluster, 0);
            cluster += 1;
        }
    }

    fn compare(&mut self, cluster: u64, stated: u64) {
        let found = u64::from(self.references.count(cluster));
        let at = cluster * self.cluster;
        match stated.cmp(&found) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => self.corruption(
                at,
                format!("cluster {at:#x} has refcount {stated}, and {found} references"),
            ),
            std::cmp::Ordering::Greater => self.say(
                ProblemKind::Leak,
                at,
                format!("cluster {at:#x} has refcount {stated}, and {found} references"),
            ),
        }
    }
}

impl std::fmt::Display for BadEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ZeroInV2 => f.write_str("a zero cluster, which version 2 does not have"),
            Self::Bitmap(bitmap) => {
                write!(f, "subcluster bitmap {bitmap:#018x}, which says two things at once")
            }
            Self::CompressedInDataFile => {
                f.write_str("a compressed cluster in an image with an external data file")
            }
        }
    }
}

/// QEMU refuses larger refcount tables.
const REFCOUNT_TABLE_MAX: u64 = 8 << 20;

/// QEMU refuses larger bitmap directories.
const BITMAP_DIRECTORY_MAX: u64 = 64 << 20;

/// Bytes of a refcount block that are looked at together.
const PAGE: usize = 4096;

/// Offsets in the header of the fields that name tables.
const L1_FIELD: u64 = 40;
const REFCOUNT_TABLE_FIELD: u64 = 48;
const SNAPSHOTS_FIELD: u64 = 64;
