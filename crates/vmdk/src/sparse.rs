//! A sparse extent: its grain directory in memory, and how entries read.
//!
//! ```text
//!            directory entry                      table entry
//! hosted     sector of a table; 0 none            sector of a grain; 0 absent;
//!                                                 1 zeros, where the header's flag says so
//! COWD       sector of a table; 0 none            sector of a grain; 0 absent
//! seSparse   0x10000000 in the upper half:        upper 4 bits 0: absent; 1 (unmapped) and 2:
//!            index of a table; 0 none             zeros; 3: index of a grain, its lower 48 bits
//!                                                 above the 12 bits from 48 on
//! ```
//!
//! Sources as for `wire.rs`.

use diskferry_block_stream::{
    Budget, Bytes, Error, ErrorKind, Held, Problem as Odd, Result, SECTOR,
};

use crate::damage::{Damage, Problem};
use crate::header::{self, Directory, Header, Packing, read_sector};
use crate::wire::{
    self, COWD_HEADER, COWD_MAGIC, COWD_TABLE_ENTRIES, RawCowd, RawSeSparse, SESPARSE_MAGIC,
    SESPARSE_VOLATILE_MAGIC, Width,
};

/// An opened sparse extent. All positions and lengths are bytes.
#[derive(Debug)]
pub(crate) struct Sparse {
    pub encoding: Encoding,
    /// Bytes of the disk that it can hold.
    pub capacity: u64,
    pub grain: u64,
    /// Grains that a table maps.
    pub table_entries: u64,
    /// The directory, entries as the file has them.
    pub directory: Held<Vec<u64>>,
    pub directory_at: u64,
    /// The redundant directory, where there is one.
    pub redundant_at: Option<u64>,
    /// No table and no grain is before this.
    pub lowest: u64,
    /// Where the directories and all tables are: stretches in order and apart, begin and end. No grain is
    /// there. Most files have all of them in one.
    pub metadata: Held<Vec<(u64, u64)>>,
    /// From here on there are only grains; 0 where the format does not tell.
    pub data: u64,
}

/// How entries are written, and what they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hosted { zeroed_grains: bool, packing: Packing },
    Cowd,
    SeSparse { tables: u64, grains: u64 },
}

/// What a directory entry says of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Absent,
    /// All its grains are zeros.
    Zero,
    At(u64),
}

/// What a table entry says of its grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Absent,
    Zero,
    At(u64),
}

/// A sparse extent that was opened, and what was odd about it.
pub(crate) struct Opened {
    pub sparse: Sparse,
    pub warnings: Vec<Odd>,
}

impl Sparse {
    /// Opens a hosted sparse extent by its header.
    pub fn hosted(bytes: &dyn Bytes, header: &Header, budget: &Budget) -> Result<Opened> {
        let Directory::At(directory_at) = header.directory else {
            return Err(Damage::NoFooter { at: bytes.len() }.into());
        };
        let sparse = Self {
            encoding: Encoding::Hosted {
                zeroed_grains: header.zeroed_grains,
                packing: header.packing,
            },
            capacity: header.capacity,
            grain: header.grain,
            table_entries: header.table_entries,
            directory: budget.hold(Vec::new()),
            directory_at,
            redundant_at: header.redundant,
            lowest: header
                .descriptor
                .map(|(at, length)| at.saturating_add(length))
                .filter(|end| *end <= header.overhead)
                .unwrap_or(SECTOR),
            metadata: budget.hold(Vec::new()),
            data: header.overhead,
        };
        sparse.with_directories(bytes, budget)
    }

    /// Opens an extent of ESX Server; also says what its header calls its parent.
    pub fn cowd(bytes: &dyn Bytes, budget: &Budget) -> Result<(Opened, Option<Vec<u8>>)> {
        let mut first = [0; COWD_HEADER];
        if bytes.len() < COWD_HEADER as u64 {
            return Err(Damage::Short { what: "header", at: 0 }.into());
        }
        bytes.read_at(0, &mut first)?;
        if !first.starts_with(&COWD_MAGIC) {
            return Err(Damage::NoSignature.into());
        }
        let raw = RawCowd::parse(&first);
        match raw.version {
            1 => {}
            0 => return Err(Damage::Version(0).into()),
            later => return Err(Error::unsupported(format!("COWD version {later}"))),
        }
        let grain = u64::from(raw.grain);
        if !grain.is_power_of_two() || grain > COWD_GRAIN_MAX {
            return Err(Damage::Grain(grain, COWD_GRAIN_MAX).into());
        }
        let sparse = Self {
            encoding: Encoding::Cowd,
            capacity: u64::from(raw.capacity) * SECTOR,
            grain: grain * SECTOR,
            table_entries: COWD_TABLE_ENTRIES,
            directory: budget.hold(Vec::new()),
            directory_at: u64::from(raw.directory) * SECTOR,
            redundant_at: None,
            lowest: COWD_HEADER as u64,
            metadata: budget.hold(Vec::new()),
            data: 0,
        };
        let entries = u64::from(raw.directory_entries);
        if entries < sparse.tables() {
            return Err(Damage::DirectoryTooSmall { entries, size: sparse.capacity }.into());
        }
        let root = raw.flags & wire::COWD_ROOT != 0;
        let parent = (!root && !raw.parent.is_empty()).then_some(raw.parent);
        Ok((sparse.with_directories(bytes, budget)?, parent))
    }

    /// Opens a seSparse extent. The format is not published, so whatever QEMU has not seen yet is
    /// refused, as QEMU does.
    pub fn se_sparse(bytes: &dyn Bytes, budget: &Budget) -> Result<Opened> {
        let first = read_sector(bytes, 0, "header")?;
        if !first.starts_with(&SESPARSE_MAGIC) {
            return Err(Damage::NoSignature.into());
        }
        let raw = RawSeSparse::parse(&first);
        let expected = [
            ("version", raw.version, SESPARSE_VERSION),
            ("grain size", raw.grain, SESPARSE_GRAIN),
            ("grain table size", raw.table_sectors, SESPARSE_TABLE),
            ("flags", raw.flags, 0),
            ("reserved fields", u64::from(raw.reserved), 0),
        ];
        if let Some((field, value, _)) =
            expected.into_iter().find(|(_, value, expected)| value != expected)
        {
            return Err(Error::unsupported(format!("seSparse with {field} {value:#x}")));
        }
        let volatile_at = raw.volatile_header.saturating_mul(SECTOR);
        let volatile = read_sector(bytes, volatile_at, "volatile header")?;
        if !volatile.starts_with(&SESPARSE_VOLATILE_MAGIC) {
            return Err(Damage::NoSignature.into());
        }
        if wire::replay_journal(&volatile) {
            return Err(Error::unsupported("seSparse with a journal that must be replayed first"));
        }
        let bytes_of = |sectors: u64| sectors.saturating_mul(SECTOR);
        let sparse = Self {
            encoding: Encoding::SeSparse {
                tables: bytes_of(raw.tables),
                grains: bytes_of(raw.grains),
            },
            capacity: header::capacity(raw.capacity)?,
            grain: SESPARSE_GRAIN * SECTOR,
            table_entries: SESPARSE_TABLE * SECTOR / Width::Eight.bytes(),
            directory: budget.hold(Vec::new()),
            directory_at: bytes_of(raw.directory),
            redundant_at: None,
            lowest: SECTOR,
            metadata: budget.hold(Vec::new()),
            data: 0,
        };
        let entries = bytes_of(raw.directory_sectors) / Width::Eight.bytes();
        if entries < sparse.tables() {
            return Err(Damage::DirectoryTooSmall { entries, size: sparse.capacity }.into());
        }
        sparse.with_directories(bytes, budget)
    }

    /// Bytes of the disk that one table maps.
    pub fn span(&self) -> u64 {
        self.grain * self.table_entries
    }

    /// How many tables the capacity takes.
    pub fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.span())
    }

    /// How many entries of table `index` the capacity takes: the last table may end early.
    pub fn entries_in(&self, index: u64) -> u64 {
        let left = self.capacity.saturating_sub(index * self.span());
        left.div_ceil(self.grain).min(self.table_entries)
    }

    pub fn width(&self) -> Width {
        match self.encoding {
            Encoding::Hosted { .. } | Encoding::Cowd => Width::Four,
            Encoding::SeSparse { .. } => Width::Eight,
        }
    }

    pub fn packing(&self) -> Packing {
        match self.encoding {
            Encoding::Hosted { packing, .. } => packing,
            Encoding::Cowd | Encoding::SeSparse { .. } => Packing::Plain,
        }
    }

    /// What an entry of the directory says.
    pub fn table(&self, entry: u64) -> Result<Table, Problem> {
        match self.encoding {
            _ if entry == 0 => Ok(Table::Absent),
            Encoding::Hosted { zeroed_grains: true, .. } if entry == 1 => Ok(Table::Zero),
            Encoding::Hosted { .. } | Encoding::Cowd => self.above(entry * SECTOR).map(Table::At),
            Encoding::SeSparse { tables, .. } => {
                if entry >> 32 != SESPARSE_TABLE_ALLOCATED {
                    return Err(Problem::Unknown);
                }
                let index = entry & u64::from(u32::MAX);
                Ok(Table::At(tables.saturating_add(index * SESPARSE_TABLE * SECTOR)))
            }
        }
    }

    /// What an entry of a table says.
    pub fn grain(&self, entry: u64) -> Result<Grain, Problem> {
        match self.encoding {
            _ if entry == 0 => Ok(Grain::Absent),
            Encoding::Hosted { zeroed_grains: true, .. } if entry == 1 => Ok(Grain::Zero),
            Encoding::Hosted { .. } | Encoding::Cowd => self.above(entry * SECTOR).map(Grain::At),
            Encoding::SeSparse { grains, .. } => match entry >> 60 {
                1 | 2 => Ok(Grain::Zero),
                3 => {
                    let index = (entry >> 48 & 0xFFF) | (entry & 0xFFFF_FFFF_FFFF) << 12;
                    let at = index.saturating_mul(self.grain);
                    Ok(Grain::At(grains.saturating_add(at)))
                }
                _ => Err(Problem::Unknown),
            },
        }
    }

    fn above(&self, at: u64) -> Result<u64, Problem> {
        if at < self.lowest { Err(Problem::Header) } else { Ok(at) }
    }

    /// Where the table of directory entry `index` is, and that it lies within the file.
    pub fn table_place(&self, bytes: &dyn Bytes, index: u64, entry: u64) -> Result<Table, Problem> {
        let table = self.table(entry)?;
        if let Table::At(at) = table {
            let end = bytes.len();
            let length = self.entries_in(index) * self.width().bytes();
            if at.checked_add(length).is_none_or(|table_end| table_end > end) {
                return Err(Problem::PastEnd { at, end });
            }
        }
        Ok(table)
    }

    /// Reads the directory. An entry that is damaged is taken from the redundant directory, if that
    /// has a better one.
    fn with_directories(mut self, bytes: &dyn Bytes, budget: &Budget) -> Result<Opened> {
        let mut warnings = Vec::new();
        let first = damage_apart(self.read_directory(bytes, self.directory_at, budget))?;
        let second = match self.redundant_at {
            Some(at) => Some(damage_apart(self.read_directory(bytes, at, budget))?),
            None => None,
        };
        let mut redundant = budget.hold(Vec::new());
        self.directory = match (first, second) {
            (Ok(first), None) => first,
            (Ok(mut first), Some(Ok(second))) => {
                let mended = self.mend(bytes, &mut first, &second);
                if mended > 0 {
                    let text = format!(
                        "{mended} entries of the grain directory are damaged; those of the \
                         redundant one are used"
                    );
                    // A check tells each of them.
                    warnings.push(Odd::oddity(self.directory_at, text));
                }
                redundant = second;
                first
            }
            (Ok(first), Some(Err(error))) => {
                let text = format!("the redundant grain directory is not used: {error}");
                warnings.push(Odd::corruption(self.redundant_at.take(), text));
                first
            }
            (Err(error), Some(Ok(second))) => {
                let text = format!("the redundant grain directory is used: {error}");
                warnings.push(Odd::corruption(self.directory_at, text));
                self.directory_at = self.redundant_at.take().unwrap_or(self.directory_at);
                second
            }
            (Err(error), None | Some(Err(_))) => return Err(error),
        };
        self.check_shared(budget)?;
        self.metadata = self.metadata(bytes, &redundant, budget)?;
        Ok(Opened { sparse: self, warnings })
    }

    /// Refuses a directory of which two entries lead to one table: a small file could so claim more
    /// extents than anybody can walk through.
    fn check_shared(&self, budget: &Budget) -> Result<()> {
        let length = self.directory.len() as u64 * ENTRY;
        let _spent = budget.spend("the grain directory", length)?;
        let mut tables: Vec<u64> = self
            .directory
            .iter()
            .filter_map(|entry| match self.table(*entry) {
                Ok(Table::At(at)) => Some(at),
                _ => None,
            })
            .collect();
        tables.sort_unstable();
        match tables.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Damage::SharedTable { at: pair[0] }.into()),
            None => Ok(()),
        }
    }

    /// Where the directories are, and the tables that they and the entries of the redundant one lead to.
    fn metadata(
        &self,
        bytes: &dyn Bytes,
        redundant: &[u64],
        budget: &Budget,
    ) -> Result<Held<Vec<(u64, u64)>>> {
        const SPAN: u64 = size_of::<(u64, u64)>() as u64;
        let most = (self.directory.len() + redundant.len() + 2) as u64 * SPAN;
        let mut spent = budget.spend("the places of the grain tables", most)?;
        let directory = self.tables() * self.width().bytes();
        let directories = [Some(self.directory_at), self.redundant_at];
        let mut spans: Vec<_> = directories
            .into_iter()
            .flatten()
            .map(|at| (at, at.saturating_add(directory)))
            .collect();
        let table = |index: u64, entry: u64| match self.table_place(bytes, index, entry) {
            Ok(Table::At(at)) => Some((at, at + self.entries_in(index) * self.width().bytes())),
            _ => None,
        };
        spans.extend((0..).zip(&self.directory).filter_map(|(index, entry)| table(index, *entry)));
        // A redundant entry that is wrong must not take grains away that the first leads to.
        let others = (0..).zip(redundant).filter_map(|(index, entry)| table(index, *entry));
        spans.extend(others.filter(|(_, end)| *end <= self.data));
        spans.sort_unstable();
        // Tables that differ by the padding to a sector follow each other.
        spans.dedup_by(|next, last| {
            let joins = next.0 <= last.1.next_multiple_of(SECTOR);
            if joins {
                last.1 = last.1.max(next.1);
            }
            joins
        });
        spans.shrink_to_fit();
        spent.keep(spans.len() as u64 * SPAN);
        Ok(spent.on(spans))
    }

    /// Whether any of these bytes of the file are a directory's or a table's.
    pub fn is_metadata(&self, at: u64, length: u64) -> bool {
        let next = self.metadata.partition_point(|(_, end)| *end <= at);
        self.metadata.get(next).is_some_and(|(from, _)| *from < at.saturating_add(length))
    }

    fn read_directory(
        &self,
        bytes: &dyn Bytes,
        at: u64,
        budget: &Budget,
    ) -> Result<Held<Vec<u64>>> {
        let entries = self.tables();
        let width = self.width();
        let (length, end) = (entries * width.bytes(), bytes.len());
        if at.checked_add(length).is_none_or(|directory_end| directory_end > end) {
            return Err(Damage::PastEnd { what: "grain directory", at, length, end }.into());
        }
        if entries == 0 {
            return Ok(budget.hold(Vec::new()));
        }
        let spent = budget.spend("the grain directory", entries * ENTRY)?;
        let mut directory = Vec::with_capacity(entries as usize);
        // In steps, so that the bytes do not take as much memory again.
        let mut step = vec![0; length.min(STEP) as usize];
        for done in (0..length).step_by(STEP as usize) {
            let part = &mut step[..(length - done).min(STEP) as usize];
            bytes.read_at(at + done, part)?;
            let count = part.len() / width.bytes() as usize;
            directory.extend((0..count).map(|index| width.entry(part, index)));
        }
        Ok(spent.on(directory))
    }

    /// Replaces damaged entries of the directory by those of the redundant one, and counts them.
    ///
    /// An entry that says that there is no table, or that all is zeros, where the redundant one has a good one, is
    /// damaged too: writers make both tables at once.
    fn mend(&self, bytes: &dyn Bytes, first: &mut [u64], second: &[u64]) -> u64 {
        let mut mended = 0;
        for (index, (entry, other)) in first.iter_mut().zip(second).enumerate() {
            let good = |entry| self.table_place(bytes, index as u64, entry);
            let missing = matches!(good(*entry), Err(_) | Ok(Table::Absent | Table::Zero));
            if missing && matches!(good(*other), Ok(Table::At(_))) {
                *entry = *other;
                mended += 1;
            }
        }
        mended
    }

    /// Entry `index` of the directory at `directory`, as it is in the file.
    pub fn directory_entry(&self, bytes: &dyn Bytes, directory: u64, index: u64) -> Result<u64> {
        let mut entry = [0; 8];
        let width = self.width().bytes();
        bytes.read_at(directory + index * width, &mut entry[..width as usize])?;
        Ok(self.width().entry(&entry, 0))
    }

    /// The redundant copy of table `index`, where there is one within the file.
    pub fn redundant_table(&self, bytes: &dyn Bytes, index: u64) -> Result<Option<u64>> {
        let Some(directory) = self.redundant_at else { return Ok(None) };
        let entry = self.directory_entry(bytes, directory, index)?;
        let place = self.table_place(bytes, index, entry);
        Ok(match place {
            Ok(Table::At(at)) => Some(at),
            _ => None,
        })
    }
}

/// Damage, for which there may be a remedy, apart from what else can go wrong.
fn damage_apart<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(error) if error.kind() != ErrorKind::Damaged => Err(error),
        other => Ok(other),
    }
}

/// Bytes of a directory's entry in memory.
const ENTRY: u64 = size_of::<u64>() as u64;

/// Bytes of a directory that are read at a time; a multiple of every entry's width.
const STEP: u64 = 1 << 20;

/// Sectors of a COWD grain; VMware has 1.
const COWD_GRAIN_MAX: u64 = 1 << 21;

/// The only values that were ever seen.
const SESPARSE_VERSION: u64 = 0x2_0000_0001;
const SESPARSE_GRAIN: u64 = 8;
const SESPARSE_TABLE: u64 = 64;

/// The upper half of a seSparse directory's entry that has a table.
const SESPARSE_TABLE_ALLOCATED: u64 = 0x1000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(encoding: Encoding) -> Sparse {
        let budget = Budget::default();
        Sparse {
            encoding,
            capacity: 1 << 30,
            grain: 4096,
            table_entries: 512,
            directory: budget.hold(Vec::new()),
            directory_at: 0,
            redundant_at: None,
            lowest: 21 * SECTOR,
            metadata: budget.hold(vec![(30 * SECTOR, 40 * SECTOR)]),
            data: 0,
        }
    }

    #[test]
    fn hosted_entries_are_sectors() {
        let hosted =
            |zeroed_grains| sparse(Encoding::Hosted { zeroed_grains, packing: Packing::Plain });
        assert_eq!(hosted(false).grain(0), Ok(Grain::Absent));
        assert_eq!(hosted(false).grain(1), Err(Problem::Header));
        assert_eq!(hosted(true).grain(1), Ok(Grain::Zero));
        assert_eq!(hosted(true).table(1), Ok(Table::Zero));
        assert_eq!(hosted(true).grain(20), Err(Problem::Header));
        assert_eq!(hosted(true).grain(21), Ok(Grain::At(21 * 512)));
        assert_eq!(hosted(true).table(0xFFFF_FFFF), Ok(Table::At(0xFFFF_FFFF * 512)));
    }

    #[test]
    fn se_sparse_entries_have_their_kind_in_front() {
        let extent = sparse(Encoding::SeSparse { tables: 1 << 20, grains: 1 << 24 });
        assert_eq!(extent.table(0), Ok(Table::Absent));
        assert_eq!(extent.table(0x1000_0000_0000_0003), Ok(Table::At((1 << 20) + 3 * 32768)));
        assert_eq!(extent.table(0x2000_0000_0000_0003), Err(Problem::Unknown));
        assert_eq!(extent.grain(0x1000_0000_0000_0000), Ok(Grain::Zero));
        assert_eq!(extent.grain(0x2000_0000_0000_0000), Ok(Grain::Zero));
        let at = |index: u64| Ok(Grain::At((1 << 24) + index * 4096));
        assert_eq!(extent.grain(0x3005_0000_0000_0000), at(5));
        assert_eq!(extent.grain(0x3005_0000_0000_0002), at(2 << 12 | 5));
        assert_eq!(extent.grain(7), Err(Problem::Unknown));
        assert_eq!(extent.grain(4 << 60), Err(Problem::Unknown));
    }

    #[test]
    fn the_last_table_ends_with_the_capacity() {
        let mut extent = sparse(Encoding::Cowd);
        extent.capacity = 5 * extent.span() + 4097;
        assert_eq!(extent.tables(), 6);
        assert_eq!(extent.entries_in(4), 512);
        assert_eq!(extent.entries_in(5), 2);
    }
}
