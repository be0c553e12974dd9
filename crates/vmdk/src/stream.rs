//! A streamOptimized image that arrives in order, through a pipe.
//!
//! Each grain's marker says where it goes, so no table is needed to read it. Whether all came, and
//! to the right place, the tables tell: those in front, of the grains that must come, or those that
//! follow, of the grains that did. An end-of-stream marker alone proves nothing, as it is a sector
//! of zeros, which is also what is left of a file that did not arrive whole.

use std::hash::{DefaultHasher, Hasher};
use std::io::Read;

use diskferry_block_stream::{Budget, Held, NotInOrder, Piece, Result, SECTOR, Stream, fill_from};
use diskferry_codec::ZlibUnpacker;

use crate::cursor::packed_max;
use crate::damage::Damage;
use crate::descriptor::Descriptor;
use crate::header::{Directory, Header, Packing};
use crate::image::{DESCRIPTOR_MAX, probe};
use crate::wire::{GRAIN_MARKER, MAGIC, RawHeader, RawMarker, Sector, Width, grain_place, marker};

/// A streamOptimized image, read front to back.
pub struct StreamOptimizedStream<R> {
    source: Source<R>,
    header: Header,
    /// Bytes of the disk; only the footer knows it where this is none.
    size: Option<u64>,
    /// Bytes of the disk that were handed out.
    passed: u64,
    state: State,
    budget: Budget,
    /// The grains that were met, and those that must be, where tables in front told it.
    met: Tally,
    told: Option<Tally>,
    /// The tables that went by: the sector of each, and the digest of its grains.
    tables: Held<Vec<(u64, Option<u64>)>>,
    /// Where the directory began that went by and agreed with the grains, in bytes.
    directory: Option<u64>,
    /// A footer went by.
    footed: bool,
    unpacker: ZlibUnpacker,
    packed: Vec<u8>,
    /// The grain that is being handed out, and how much of it is.
    grain: Vec<u8>,
    handed: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A marker.
    Marker,
    /// Zeros up to this place of the disk, and then the rest of the grain.
    Grain {
        at: u64,
    },
    /// Zeros to the end of the disk.
    Rest,
    End,
}

impl<R: Read + Send> StreamOptimizedStream<R> {
    /// Reads what precedes the grains. `name` is for messages.
    ///
    /// # Errors
    /// `Unsupported` when it is a VMDK of another kind, whose tables point back and forth;
    /// `Damaged` when its parts contradict each other; `Limit` for tables past the bounds; `Io`.
    pub fn new(reader: R, name: &str, budget: &Budget) -> Result<Self> {
        let source = Source { reader, name: name.to_owned(), at: 0 };
        Self::open(source, budget).map_err(|error| error.doing("opening").in_file(name))
    }

    fn open(mut source: Source<R>, budget: &Budget) -> Result<Self> {
        let first = source.sector()?.ok_or(Damage::Short { what: "header", at: 0 })?;
        let is_ours = first.starts_with(&MAGIC);
        if !is_ours && !probe(&first) {
            return Err(Damage::NoSignature.into());
        }
        let not_in_order = || {
            NotInOrder::error(
                "a VMDK other than streamOptimized cannot be read from a pipe, for its tables \
                 point back and forth; give a file",
            )
        };
        let header = match is_ours {
            true => Header::parse(&RawHeader::parse(&first))?,
            false => return Err(not_in_order()),
        };
        if header.packing != (Packing::Deflate { marked: true }) {
            return Err(not_in_order());
        }
        let descriptor = source.descriptor(&header, budget)?;
        let told = match header.directory {
            Directory::Footer => None,
            Directory::At(at) => Some(source.grains_told(&header, at, budget)?),
        };
        source.skip_to(header.overhead)?;
        let said = descriptor.extents().first().and_then(|line| line.sectors.checked_mul(SECTOR));
        let size = match said {
            Some(said) if said.div_ceil(header.grain) == header.capacity.div_ceil(header.grain) => {
                Some(said.min(header.capacity))
            }
            _ => Some(header.capacity).filter(|capacity| *capacity > 0),
        };
        budget.limits().check_virtual_size(size.unwrap_or(0))?;
        let grain = vec![0; header.grain as usize];
        Ok(Self {
            source,
            size: size.or(told.as_ref().is_some_and(Tally::is_empty).then_some(0)),
            passed: 0,
            state: State::Marker,
            budget: budget.clone(),
            met: Tally::new(budget),
            told,
            tables: budget.hold(Vec::new()),
            directory: None,
            footed: false,
            unpacker: ZlibUnpacker::new(),
            packed: Vec::new(),
            handed: grain.len(),
            grain,
            header,
        })
    }

    /// Reads markers up to the next grain, or to the end.
    fn advance(&mut self) -> Result<()> {
        loop {
            let at = self.source.at;
            let Some(sector) = self.source.sector()? else { return self.ends_unmarked(at) };
            let raw = RawMarker::parse(&sector);
            match (raw.size, raw.kind) {
                (0, marker::END) => return self.ends(),
                (0, marker::FOOTER) => self.footer()?,
                // Tables in front had their say.
                (0, marker::TABLE | marker::DIRECTORY) if self.told.is_some() => {
                    self.source.skip(raw.value.saturating_mul(SECTOR))?;
                }
                (0, marker::TABLE) => self.table(raw.value)?,
                (0, marker::DIRECTORY) => self.directory(raw.value)?,
                (0, kind) => return Err(Damage::MarkerType { at, kind }.into()),
                _ => return self.take_grain(at, &sector),
            }
        }
    }

    /// Unpacks the grain whose marker is at `at`, and whose first sector was read.
    fn take_grain(&mut self, at: u64, first: &Sector) -> Result<()> {
        let (lba, size) = grain_place(first);
        let grain = self.header.grain;
        let guest = lba.saturating_mul(SECTOR);
        let end = self.size.and_then(|size| size.checked_next_multiple_of(grain));
        let problem = match guest {
            guest if !guest.is_multiple_of(grain) => "within a grain",
            guest if guest >= end.unwrap_or(u64::MAX) => "past the end of the disk",
            guest if guest < self.passed => "before that of an earlier grain",
            _ => "",
        };
        if !problem.is_empty() {
            return Err(Damage::StreamGrain { at, lba, problem }.into());
        }
        let length = GRAIN_MARKER as u64 + u64::from(size);
        if length > packed_max(grain) {
            return Err(Damage::Marker { guest, at, lba, size }.into());
        }
        self.packed.clear();
        self.packed.extend_from_slice(first);
        self.packed.resize(length.next_multiple_of(SECTOR) as usize, 0);
        self.source.fill(&mut self.packed[SECTOR as usize..])?;
        let packed = &self.packed[GRAIN_MARKER..length as usize];
        let got = self
            .unpacker
            .decompress(packed, &mut self.grain)
            .map_err(|source| Damage::Compressed { guest, at, length, source })?;
        // The last grain may be as short as the disk.
        let want = self.size.map_or(grain, |size| grain.min(size - guest));
        if (got as u64) < want {
            return Err(Damage::GrainLength { guest, at, got: got as u64, want }.into());
        }
        self.grain.truncate(want as usize);
        self.handed = 0;
        let (table, entry) = (guest / self.header.span(), guest % self.header.span() / grain);
        self.met.add(table, entry, at / SECTOR)?;
        self.state = State::Grain { at: guest };
        Ok(())
    }

    /// Takes note of a table of so many sectors.
    fn table(&mut self, sectors: u64) -> Result<()> {
        self.tables.spend("the grain tables", size_of::<(u64, Option<u64>)>() as u64)?;
        let at = self.source.at;
        let mut grains = Grains::default();
        let mut entry = 0;
        for _ in 0..sectors {
            let sector = self.source.table_sector()?;
            for index in 0..ENTRIES {
                grains.add_entry(entry, Width::Four.entry(&sector, index));
                entry += 1;
            }
        }
        self.tables.push((at / SECTOR, grains.digest()));
        Ok(())
    }

    /// Compares a directory of so many sectors, and the tables that went by, with the grains.
    fn directory(&mut self, sectors: u64) -> Result<()> {
        let start = self.source.at;
        let mut met = self.met.tables().iter().peekable();
        let mut index = 0;
        for _ in 0..sectors {
            let at = self.source.at;
            let sector = self.source.table_sector()?;
            for within in 0..ENTRIES {
                let entry = Width::Four.entry(&sector, within);
                let grains = met.next_if(|(table, _)| *table == index).map(|(_, digest)| *digest);
                let told = match entry {
                    // No table, or one of zeros.
                    0 | 1 => Ok(None),
                    at => self
                        .tables
                        .binary_search_by_key(&at, |(sector, _)| *sector)
                        .map(|place| self.tables[place].1),
                };
                if told != Ok(grains) {
                    let at = at + within as u64 * Width::Four.bytes();
                    return Err(Damage::StreamDirectory { at, index, entry }.into());
                }
                index += 1;
            }
        }
        if let Some((index, _)) = met.next() {
            let (at, index) = (self.source.at, *index);
            return Err(Damage::StreamDirectory { at, index, entry: 0 }.into());
        }
        self.directory = Some(start);
        Ok(())
    }

    /// The footer has the last word on the capacity.
    fn footer(&mut self) -> Result<()> {
        let at = self.source.at;
        let sector = self.source.sector()?.ok_or(Damage::Short { what: "footer", at })?;
        if !sector.starts_with(&MAGIC) {
            return Err(Damage::NoFooter { at: at - SECTOR }.into());
        }
        let footer = Header::parse(&RawHeader::parse(&sector))?;
        self.header.agrees_with(&footer, at)?;
        if self.told.is_none()
            && footer.directory != self.directory.map_or(Directory::Footer, Directory::At)
        {
            return Err(Damage::NoDirectory { at }.into());
        }
        self.footed = true;
        if self.size.is_none() {
            self.budget.limits().check_virtual_size(footer.capacity)?;
            if self.passed > footer.capacity {
                let (footer, header, field) = (footer.capacity, self.passed, "capacity");
                return Err(Damage::FooterDiffers { at, field, footer, header }.into());
            }
            self.size = Some(footer.capacity);
        }
        Ok(())
    }

    /// The file ends without a marker that says so: some programs, which write the tables in front,
    /// write none.
    fn ends_unmarked(&mut self, at: u64) -> Result<()> {
        if self.told.is_none() { Err(Damage::NoEnd { at }.into()) } else { self.ends() }
    }

    fn ends(&mut self) -> Result<()> {
        let at = self.source.at;
        match &mut self.told {
            Some(told) => {
                if let Some(table) = told.differs(&mut self.met) {
                    return Err(Damage::StreamTable { at, table }.into());
                }
            }
            None if !self.footed => return Err(Damage::NoFooter { at: at - SECTOR }.into()),
            None => {}
        }
        // Whoever carries it may pad it.
        while let Some(sector) = self.source.sector()? {
            if let Some(index) = sector.iter().position(|byte| *byte != 0) {
                let at = self.source.at - SECTOR + index as u64;
                return Err(Damage::AfterEnd { at }.into());
            }
        }
        if self.size.is_none() {
            return Err(Damage::NoFooter { at }.into());
        }
        self.state = State::Rest;
        Ok(())
    }

    fn piece(&mut self, buf: &mut [u8]) -> Result<Piece> {
        loop {
            match self.state {
                State::Marker => self.advance()?,
                State::Grain { at } if self.passed < at => {
                    let zeros = at - self.passed;
                    self.passed = at;
                    return Ok(Piece::Zero(zeros));
                }
                State::Grain { .. } => {
                    let left = &self.grain[self.handed..];
                    let count = left.len().min(buf.len());
                    if count == 0 {
                        self.grain.resize(self.header.grain as usize, 0);
                        self.state = State::Marker;
                        continue;
                    }
                    buf[..count].copy_from_slice(&left[..count]);
                    self.handed += count;
                    self.passed += count as u64;
                    return Ok(Piece::Data(count));
                }
                State::Rest => {
                    self.state = State::End;
                    let zeros = self.size.unwrap_or(0).saturating_sub(self.passed);
                    if zeros > 0 {
                        self.passed += zeros;
                        return Ok(Piece::Zero(zeros));
                    }
                }
                State::End => return Ok(Piece::End),
            }
        }
    }
}

impl<R: Read + Send> Stream for StreamOptimizedStream<R> {
    fn name(&self) -> &str {
        &self.source.name
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.piece(buf).map_err(|error| error.doing("reading").in_file(&self.source.name))
    }
}

/// Bytes in order, and how many of them there were.
struct Source<R> {
    reader: R,
    name: String,
    at: u64,
}

impl<R: Read> Source<R> {
    /// The next sector; none where the bytes end before it. What is left of a sector is damage.
    fn sector(&mut self) -> Result<Option<Sector>> {
        let mut sector = [0; SECTOR as usize];
        match self.read(&mut sector)? {
            0 => Ok(None),
            count if count == sector.len() => Ok(Some(sector)),
            _ => Err(Damage::NoEnd { at: self.at }.into()),
        }
    }

    /// Fills `buf`.
    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        let count = self.read(buf)?;
        if count < buf.len() { Err(Damage::NoEnd { at: self.at }.into()) } else { Ok(()) }
    }

    /// Fills as much of `buf` as there are bytes for.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = fill_from(&mut self.reader, self.at, buf)?;
        self.at += count as u64;
        Ok(count)
    }

    fn skip(&mut self, mut length: u64) -> Result<()> {
        let mut buf = [0; 4096];
        while length > 0 {
            let part = &mut buf[..length.min(4096) as usize];
            self.fill(part)?;
            length -= part.len() as u64;
        }
        Ok(())
    }

    /// Passes over what precedes `at`; what begins before it was read already.
    fn skip_to(&mut self, at: u64) -> Result<()> {
        self.skip(at.saturating_sub(self.at))
    }

    /// The descriptor, where it precedes everything else.
    fn descriptor(&mut self, header: &Header, budget: &Budget) -> Result<Held<Descriptor>> {
        let none = || Ok(budget.hold(Descriptor::default()));
        let Some((at, length)) = header.descriptor else { return none() };
        if at < self.at || at.saturating_add(length) > header.overhead || length > DESCRIPTOR_MAX {
            return none();
        }
        self.skip_to(at)?;
        let spent = budget.spend("the descriptor", length)?;
        let mut text = vec![0; spent.bytes()];
        self.fill(&mut text)?;
        Descriptor::parse(&text, budget)
    }

    /// A sector of a table.
    fn table_sector(&mut self) -> Result<Sector> {
        let mut sector = [0; SECTOR as usize];
        self.fill(&mut sector)?;
        Ok(sector)
    }

    /// The grains in the tables, which are in front, after their directory at `at`.
    fn grains_told(&mut self, header: &Header, at: u64, budget: &Budget) -> Result<Tally> {
        let tables = header.capacity.div_ceil(header.span());
        let length = tables * Width::Four.bytes();
        let misplaced = || {
            NotInOrder::error(
                "a streamOptimized VMDK whose tables are out of order cannot be read from a pipe; \
                 give a file",
            )
        };
        if at < self.at || at.saturating_add(length) > header.overhead {
            return Err(misplaced());
        }
        self.skip_to(at)?;
        let spent = budget.spend("the grain directory", length)?;
        let mut directory = vec![0; spent.bytes()];
        self.fill(&mut directory)?;
        let mut table = vec![0; (header.table_entries * Width::Four.bytes()) as usize];
        let mut grains = Tally::new(budget);
        for index in 0..tables {
            let at = Width::Four.entry(&directory, index as usize) * SECTOR;
            let left = (header.capacity - index * header.span()).div_ceil(header.grain);
            let entries = left.min(header.table_entries) as usize;
            if at == 0 {
                continue;
            }
            let table = &mut table[..entries * 4];
            if at < self.at || at.saturating_add(table.len() as u64) > header.overhead {
                return Err(misplaced());
            }
            self.skip_to(at)?;
            self.fill(table)?;
            for within in 0..entries {
                let sector = Width::Four.entry(table, within);
                // An entry of 1 means zeros, for which no grain comes.
                if sector > 1 {
                    grains.add(index, within as u64, sector)?;
                }
            }
        }
        Ok(grains)
    }
}

/// Entries in a sector of a table.
const ENTRIES: usize = SECTOR as usize / 4;

/// The grains of one table, in a digest: which entries there are, and to which sectors they lead.
#[derive(Default)]
struct Grains {
    hasher: DefaultHasher,
    some: bool,
}

impl Grains {
    fn add(&mut self, entry: u64, sector: u64) {
        self.hasher.write_u64(entry);
        self.hasher.write_u64(sector);
        self.some = true;
    }

    /// An entry of a table: 0 is no grain, and 1 means zeros.
    fn add_entry(&mut self, entry: u64, sector: u64) {
        if sector > 1 {
            self.add(entry, sector);
        }
    }

    /// None where there are no grains.
    fn digest(&self) -> Option<u64> {
        self.some.then(|| self.hasher.finish())
    }
}

/// Which grains there are and where, table by table, in a few bytes for each that has some.
struct Tally {
    /// The index of each table, and the digest of its grains; in order.
    tables: Held<Vec<(u64, u64)>>,
    /// The table that grains are being added to.
    open: Option<(u64, Grains)>,
}

impl Tally {
    fn new(budget: &Budget) -> Self {
        Self { tables: budget.hold(Vec::new()), open: None }
    }

    /// Adds a grain; they come in the disk's order.
    fn add(&mut self, table: u64, entry: u64, sector: u64) -> Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != table) {
            self.close();
            self.tables.spend("the grain tables", size_of::<(u64, u64)>() as u64)?;
            self.open = Some((table, Grains::default()));
        }
        if let Some((_, grains)) = &mut self.open {
            grains.add(entry, sector);
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((table, grains)) = self.open.take() {
            self.tables.extend(grains.digest().map(|digest| (table, digest)));
        }
    }

    fn tables(&mut self) -> &[(u64, u64)] {
        self.close();
        &self.tables
    }

    fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.open.is_none()
    }

    /// The first table of which the other has other grains.
    fn differs(&mut self, other: &mut Self) -> Option<u64> {
        let (own, others) = (self.tables(), other.tables());
        let same = own.iter().zip(others).take_while(|(a, b)| a == b).count();
        let first = |tables: &[(u64, u64)]| tables.get(same).map(|(table, _)| *table);
        [first(own), first(others)].into_iter().flatten().min()
    }
}
