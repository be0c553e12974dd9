//! A hosted sparse extent: a monolithicSparse image, or a part of a split one.
//!
//! ```text
//! sector 0     header: version 1
//! sector 1     descriptor, 20 sectors; a part of a split image has none
//! then         redundant grain directory, all its tables; grain directory, all its tables
//! then         grains, each at a multiple of its length, in the disk's order
//! ```
//!
//! Where a table is depends on the capacity alone, as VMware and QEMU have it, so a table is
//! written when it is full, and only one is in memory. The header comes last: an extent that is not
//! finished is none.

use std::iter;
use std::ops::Range;

use diskferry_block_stream::{Chunk, Layout, Result, SECTOR, Sink};

use crate::wire::{self, NEWLINES, RawHeader, flag};
use crate::write::{
    DESCRIPTOR, DESCRIPTOR_SECTORS, GRAIN, GRAIN_SECTORS, SPAN, TABLE_ENTRIES, TABLE_SECTORS,
    check_size, sector_of,
};

/// An extent under construction.
pub(crate) struct SparseLayout {
    capacity: u64,
    descriptor: Option<Vec<u8>>,
    places: Places,
    /// Tables that are written, or known to be empty.
    tables: u64,
    /// The table of the next grain, up to that grain.
    table: Vec<u32>,
    /// Where the next grain goes.
    next: u64,
}

/// Where everything is, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    /// How many tables there are.
    tables: u64,
    directory_sectors: u64,
    redundant: u64,
    directory: u64,
    grains: u64,
}

impl Places {
    fn of(capacity: u64, front: u64) -> Self {
        let tables = capacity.div_ceil(SPAN);
        let directory_sectors = (tables * 4).div_ceil(SECTOR);
        let redundant = front;
        let directory = redundant + directory_sectors + tables * TABLE_SECTORS;
        let end = directory + directory_sectors + tables * TABLE_SECTORS;
        let grains = end.next_multiple_of(GRAIN_SECTORS);
        Self { tables, directory_sectors, redundant, directory, grains }
    }

    /// The first sectors of the tables of a directory.
    fn tables_of(&self, directory: u64) -> impl Iterator<Item = u64> {
        let first = directory + self.directory_sectors;
        (0..self.tables).map(move |index| first + index * TABLE_SECTORS)
    }
}

impl SparseLayout {
    pub fn new(size: u64, descriptor: Option<Vec<u8>>) -> Self {
        let capacity = size.next_multiple_of(GRAIN);
        let room = if descriptor.is_some() { DESCRIPTOR_SECTORS } else { 0 };
        let places = Places::of(capacity, DESCRIPTOR + room);
        Self {
            capacity,
            descriptor,
            places,
            tables: 0,
            table: Vec::with_capacity(TABLE_ENTRIES as usize),
            next: places.grains * SECTOR,
        }
    }

    /// Both directories.
    fn copies(&self) -> [u64; 2] {
        [self.places.redundant, self.places.directory]
    }

    /// Where table `index` of a directory is, in bytes.
    fn table_at(&self, directory: u64, index: u64) -> u64 {
        (directory + self.places.directory_sectors + index * TABLE_SECTORS) * SECTOR
    }

    /// Enters the next grain; a full table is written.
    fn enter(&mut self, entry: u32, sink: &mut dyn Sink) -> Result<()> {
        self.table.push(entry);
        if self.table.len() as u64 == TABLE_ENTRIES { self.close_table(sink) } else { Ok(()) }
    }

    fn close_table(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.table.iter().all(|entry| *entry == 0) {
            self.table.clear();
            return self.empty_tables(1, sink);
        }
        self.table.resize(TABLE_ENTRIES as usize, 0);
        let table = wire::entries_to_sectors(&self.table);
        if self.tables == self.places.tables {
            return check_size(u64::MAX, self.capacity);
        }
        for directory in self.copies() {
            sink.put(self.table_at(directory, self.tables), &table)?;
        }
        self.tables += 1;
        self.table.clear();
        Ok(())
    }

    /// The next tables map nothing: their places hold zeros.
    fn empty_tables(&mut self, count: u64, sink: &mut dyn Sink) -> Result<()> {
        if count > self.places.tables - self.tables {
            return check_size(u64::MAX, self.capacity);
        }
        if count > 0 {
            for directory in self.copies() {
                let at = self.table_at(directory, self.tables);
                sink.zeros(at, count * TABLE_SECTORS * SECTOR)?;
            }
        }
        self.tables += count;
        Ok(())
    }

    fn put_directories(&self, sink: &mut dyn Sink) -> Result<()> {
        for directory in self.copies() {
            // In steps: the directory of a large disk is long.
            let mut at = directory * SECTOR;
            let mut step = Vec::with_capacity(STEP);
            let mut tables = self.places.tables_of(directory).peekable();
            while let Some(table) = tables.next() {
                step.push(sector_of(table * SECTOR)?);
                if step.len() == STEP || tables.peek().is_none() {
                    let bytes = wire::entries_to_sectors(&step);
                    sink.put(at, &bytes)?;
                    at += bytes.len() as u64;
                    step.clear();
                }
            }
        }
        Ok(())
    }

    fn header(&self) -> RawHeader {
        let embedded = self.descriptor.is_some();
        RawHeader {
            version: 1,
            flags: flag::NEWLINES | flag::REDUNDANT,
            capacity: self.capacity / SECTOR,
            grain: GRAIN_SECTORS,
            descriptor: if embedded { DESCRIPTOR } else { 0 },
            descriptor_sectors: if embedded { DESCRIPTOR_SECTORS } else { 0 },
            table_entries: TABLE_ENTRIES as u32,
            redundant: self.places.redundant,
            directory: self.places.directory,
            overhead: self.places.grains,
            unclean: 0,
            newlines: NEWLINES,
            compression: 0,
        }
    }
}

/// Entries of a directory that are written at a time; whole sectors.
const STEP: usize = 16 << 10;

impl Layout for SparseLayout {
    /// The tables are filled one by one, in two places; to tell those that are whole is not worth it.
    fn owes(&self) -> Vec<Range<u64>> {
        iter::once(0..self.places.grains * SECTOR).collect()
    }

    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        let room = TABLE_ENTRIES - self.table.len() as u64;
        let first = if self.table.is_empty() { 0 } else { chunks.min(room) };
        for _ in 0..first {
            self.enter(0, sink)?;
        }
        let (tables, rest) = ((chunks - first) / TABLE_ENTRIES, (chunks - first) % TABLE_ENTRIES);
        self.empty_tables(tables, sink)?;
        self.table.resize(self.table.len() + rest as usize, 0);
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        let at = self.next;
        self.next += chunk.length as u64;
        self.enter(sector_of(at)?, sink)?;
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        check_size(size, self.capacity)?;
        if !self.table.is_empty() {
            self.close_table(sink)?;
        }
        self.put_directories(sink)?;
        let tables_end = self.table_at(self.places.directory, self.places.tables);
        let grains = self.places.grains * SECTOR;
        sink.zeros(tables_end, grains - tables_end)?;
        let mut front = self.header().to_bytes().to_vec();
        front.extend(self.descriptor.iter().flatten());
        sink.put(0, &front)?;
        Ok(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_where_qemu_puts_them() {
        // What qemu-img create makes of 4 TiB.
        let places = Places::of(4 << 40, 21);
        let expected = Places {
            tables: 131_072,
            directory_sectors: 1024,
            redundant: 21,
            directory: 525_333,
            grains: 1_050_752,
        };
        assert_eq!(places, expected);
    }
}
