//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{
    Bytes, Disk, Error, Extent as Run, Kind, Result, SECTOR, Unpacked, Walk,
};
use diskferry_codec::{ZlibUnpacker, zeros};

use crate::damage::{Damage, Problem};
use crate::header::Packing;
use crate::image::{Extent, Store, Vmdk};
use crate::sparse::{Grain, Sparse, Table};
use crate::wire;

/// One thread's reader: it holds the one grain table it is in.
pub(crate) struct Reader<'a> {
    image: &'a Vmdk,
    /// The grain table in memory, and whose it is: the extent's index, and its own.
    table: Vec<u8>,
    table_of: Option<(usize, u64)>,
    /// All its entries are zero: none of its grains is there.
    table_is_empty: bool,
    unpacker: ZlibUnpacker,
    /// Compressed bytes on their way to the unpacker.
    packed: Vec<u8>,
    unpacked: Unpacked,
}

/// A sparse extent, and where it is.
#[derive(Clone, Copy)]
struct Place<'a> {
    index: usize,
    extent: &'a Extent,
    sparse: &'a Sparse,
    file: usize,
    bytes: &'a dyn Bytes,
}

/// What the directory and a table say about one grain.
enum Lookup {
    /// There is no table, or an empty one: all its grains are so.
    NoTable(Kind),
    Grain(Grain),
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Vmdk) -> Self {
        Self {
            image,
            table: Vec::new(),
            table_of: None,
            table_is_empty: false,
            unpacker: ZlibUnpacker::new(),
            packed: Vec::new(),
            unpacked: Unpacked::default(),
        }
    }

    fn bytes(&self, file: usize) -> &'a dyn Bytes {
        self.image.files[file].as_ref()
    }

    fn place_of(&self, index: usize) -> Option<Place<'a>> {
        let extent = &self.image.extents[index];
        let Store::Sparse { file, sparse } = &extent.store else { return None };
        Some(Place { index, extent, sparse, file: *file, bytes: self.bytes(*file) })
    }

    fn sparse_run(&mut self, place: Place<'a>, at: u64, limit: u64) -> Result<Run> {
        let sparse = place.sparse;
        let (span, from) = (sparse.span(), at - place.extent.start);
        let table_end = span - from % span;
        match self.lookup(place, from)? {
            Lookup::NoTable(kind) => {
                let mut length = table_end;
                // Whole tables that are missing cost nothing to skip.
                let mut index = from / span + 1;
                while length < limit && no_table(place, index) == Some(kind) {
                    length += span;
                    index += 1;
                }
                Ok(Run { length: length.min(limit), kind })
            }
            Lookup::Grain(grain) => {
                let next = |from| self.entry(place, from).map(|grain| run_of(place, from, grain));
                let first = run_of(place, from, grain);
                Ok(first.joined(limit.min(table_end), |further| next(from + further).ok()))
            }
        }
    }

    fn lookup(&mut self, place: Place<'a>, from: u64) -> Result<Lookup> {
        let index = from / place.sparse.span();
        if let Some(way) = no_table(place, index) {
            return Ok(Lookup::NoTable(way));
        }
        if self.table_of != Some((place.index, index)) {
            self.load(place, index)?;
            self.table_is_empty = zeros::is_zero(&self.table);
        }
        // Most of a large disk's tables are: programs write them all when they make the disk.
        if self.table_is_empty {
            return Ok(Lookup::NoTable(Kind::Absent));
        }
        self.entry(place, from).map(Lookup::Grain)
    }

    /// Loads table `index`, or its redundant copy where the first is damaged and that is not.
    fn load(&mut self, place: Place<'_>, index: u64) -> Result<()> {
        self.table_of = None;
        // The directory covers the extent, as it was checked at opening.
        let entry = place.sparse.directory.get(index as usize).copied().unwrap_or(0);
        let first = match place.sparse.table_place(place.bytes, index, entry) {
            Ok(Table::At(at)) => {
                self.read_table(place, index, at)?;
                self.table_damage(place, index)
            }
            Ok(Table::Absent | Table::Zero) => None,
            Err(problem) => Some(Damage::DirectoryEntry { index, entry, problem }),
        };
        // A table that lost its entries says that there is nothing, and no honest one does where its
        // copy has grains.
        let is_lost = first.is_none() && zeros::is_zero(&self.table);
        if (first.is_some() || is_lost)
            && let Some(at) = place.sparse.redundant_table(place.bytes, index)?
        {
            let own = std::mem::take(&mut self.table);
            self.read_table(place, index, at)?;
            if self.table_damage(place, index).is_none() {
                self.table_of = Some((place.index, index));
                return Ok(());
            }
            self.table = own;
        }
        match first {
            Some(damage @ Damage::DirectoryEntry { .. }) => Err(damage.into()),
            // The rest of a table with a bad entry can be read.
            _ => {
                self.table_of = Some((place.index, index));
                Ok(())
            }
        }
    }

    fn read_table(&mut self, place: Place<'_>, index: u64, at: u64) -> Result<()> {
        let sparse = place.sparse;
        self.table.resize((sparse.entries_in(index) * sparse.width().bytes()) as usize, 0);
        place.bytes.read_at(at, &mut self.table)
    }

    /// The first entry of the table in memory that leads nowhere.
    fn table_damage(&self, place: Place<'_>, index: u64) -> Option<Damage> {
        let sparse = place.sparse;
        (0..sparse.entries_in(index)).find_map(|grain| {
            let entry = sparse.width().entry(&self.table, grain as usize);
            let from = index * sparse.span() + grain * sparse.grain;
            let problem = match sparse.grain(entry) {
                Ok(Grain::At(at)) => within(place, from, at).err(),
                Ok(Grain::Absent | Grain::Zero) => None,
                Err(problem) => Some(problem),
            }?;
            Some(Damage::TableEntry { guest: place.extent.start + from, entry, problem })
        })
    }

    /// The entry for `from` of the extent in the table that is loaded.
    fn entry(&self, place: Place<'_>, from: u64) -> Result<Grain> {
        let sparse = place.sparse;
        let index = from % sparse.span() / sparse.grain;
        let entry = sparse.width().entry(&self.table, index as usize);
        let guest = place.extent.start + (from - from % sparse.grain);
        let damage = |problem| Damage::TableEntry { guest, entry, problem };
        let grain = sparse.grain(entry).map_err(damage)?;
        if let Grain::At(at) = grain {
            within(place, from - from % sparse.grain, at).map_err(damage)?;
        }
        Ok(grain)
    }

    /// Unpacks the grain that begins at `from` of the extent to the start of `out`, which has a
    /// grain's length; returns how many bytes it has, at least as many as the disk.
    fn unpack(&mut self, place: Place<'a>, from: u64, out: &mut [u8]) -> Result<()> {
        let Lookup::Grain(Grain::At(at)) = self.lookup(place, from)? else {
            unreachable!("the table is in memory, and its entry had a grain a moment ago");
        };
        let (sparse, guest) = (place.sparse, place.extent.start + from);
        let (head, bytes) = (head_of(sparse.packing()), place.bytes);
        let room = self.room(place, from, at);
        self.packed.resize(room as usize, 0);
        bytes.read_at(at, &mut self.packed)?;
        let end = bytes.len();
        if room < head as u64 {
            return Err(Damage::GrainCut { guest, at, length: head as u64, end }.into());
        }
        let size = packed_size(&self.packed, sparse.packing(), guest, at, from)?;
        let length = head as u64 + u64::from(size);
        if length > packed_max(sparse.grain) {
            return Err(Damage::Marker { guest, at, lba: from / SECTOR, size }.into());
        }
        if at + length > end {
            return Err(Damage::GrainCut { guest, at, length, end }.into());
        }
        if length > room {
            self.packed.resize(length as usize, 0);
            bytes.read_at(at + room, &mut self.packed[room as usize..])?;
        }
        let got = self
            .unpacker
            .decompress(&self.packed[head..length as usize], out)
            .map_err(|source| Damage::Compressed { guest, at, length, source })?;
        // The last grain may be as short as the disk.
        let want = sparse.grain.min(sparse.capacity - from);
        if (got as u64) < want {
            let got = got as u64;
            return Err(Damage::GrainLength { guest, at, got, want }.into());
        }
        Ok(())
    }

    /// How many bytes to read at once for a compressed grain at `at`: up to where the next grain
    /// is, if it follows, so that one read is enough and hardly one too many.
    fn room(&self, place: Place<'_>, from: u64, at: u64) -> u64 {
        let sparse = place.sparse;
        let next = from + sparse.grain;
        let follows = (!next.is_multiple_of(sparse.span()) && next < sparse.capacity)
            .then(|| self.entry(place, next).ok())
            .flatten();
        let guess = match follows {
            Some(Grain::At(next)) if next > at => next - at,
            _ => sparse.grain / 2,
        };
        guess.clamp(SECTOR, packed_max(sparse.grain)).min(place.bytes.len() - at)
    }
}

impl Walk for Reader<'_> {
    /// The longest run within its extent.
    fn run(&mut self, at: u64, limit: u64) -> Result<Run> {
        let index = self.image.extent_at(at);
        let extent = &self.image.extents[index];
        let limit = limit.min(extent.end() - at);
        match extent.store {
            Store::Zero => Ok(Run { length: limit, kind: Kind::Zero }),
            Store::Elsewhere => Err(Error::misuse("the files of the extents are not opened")),
            Store::Flat { file, offset } => {
                let end = self.bytes(file).len();
                let offset = offset.saturating_add(at - extent.start);
                if offset >= end {
                    let name = self.bytes(file).name().to_owned();
                    return Err(Damage::FlatCut { name, at: offset, end }.into());
                }
                let kind = Kind::Plain { file: file as u32, offset };
                Ok(Run { length: limit.min(end - offset), kind })
            }
            Store::Sparse { .. } => {
                let place = self.place_of(index).expect("the extent is sparse");
                self.sparse_run(place, at, limit)
            }
        }
    }

    /// A hole of a flat extent's file is zeros of the disk.
    fn look(&mut self, at: u64, limit: u64) -> Result<Run> {
        let run = self.run(at, limit)?;
        match self.image.extents[self.image.extent_at(at)].store {
            Store::Flat { file, .. } => run.or_hole(self.bytes(file)),
            _ => Ok(run),
        }
    }

    fn file(&self, index: u32) -> &dyn Bytes {
        self.bytes(index as usize)
    }

    fn read_data(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let place = self.place_of(self.image.extent_at(at));
        let place = place.expect("only sparse extents have compressed grains");
        let start = place.extent.start;
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let done = unpacked.read((start, place.sparse.grain), at, buf, |guest, grain| {
            self.unpack(place, guest - start, grain)
        });
        self.unpacked = unpacked;
        done
    }

    fn entry_span(&self, _at: u64) -> u64 {
        self.image.grain().max(SECTOR)
    }

    fn blamed(&self, at: u64) -> &dyn Bytes {
        let extent = self.image.extents.get(self.image.extent_at(at));
        self.bytes(match extent.map(|extent| &extent.store) {
            Some(Store::Flat { file, .. } | Store::Sparse { file, .. }) => *file,
            _ => 0,
        })
    }
}

/// How the extent reads at `from`, up to the end of the grain.
fn run_of(place: Place<'_>, from: u64, grain: Grain) -> Run {
    let skip = from % place.sparse.grain;
    let kind = match grain {
        Grain::Absent => Kind::Absent,
        Grain::Zero => Kind::Zero,
        Grain::At(at) => match place.sparse.packing() {
            Packing::Plain => Kind::Plain { file: place.file as u32, offset: at + skip },
            Packing::Deflate { .. } => Kind::Data { compressed: true },
        },
    };
    Run { length: place.sparse.grain - skip, kind }
}

/// How all grains of table `index` read, where there is no such table.
fn no_table(place: Place<'_>, index: u64) -> Option<Kind> {
    let entry = *place.sparse.directory.get(index as usize)?;
    match place.sparse.table(entry) {
        Ok(Table::Absent) => Some(Kind::Absent),
        Ok(Table::Zero) => Some(Kind::Zero),
        // Whoever comes there will be told.
        Ok(Table::At(_)) | Err(_) => None,
    }
}

/// Whether the grain for `from` of the extent, which is at `at` of the file, lies within it, as far
/// as the disk has it, and in no table. How long a compressed one is, only its marker tells.
fn within(place: Place<'_>, from: u64, at: u64) -> Result<(), Problem> {
    let sparse = place.sparse;
    let length = match sparse.packing() {
        Packing::Plain => sparse.grain.min(sparse.capacity - from),
        Packing::Deflate { .. } => 1,
    };
    let end = place.bytes.len();
    match at.checked_add(length) {
        Some(_) if sparse.is_metadata(at, length) => Err(Problem::Metadata),
        Some(grain_end) if grain_end <= end => Ok(()),
        _ => Err(Problem::PastEnd { at, end }),
    }
}

/// Bytes that precede a compressed grain.
pub(crate) fn head_of(packing: Packing) -> usize {
    match packing {
        Packing::Plain => 0,
        Packing::Deflate { marked: true } => wire::GRAIN_MARKER,
        Packing::Deflate { marked: false } => wire::GRAIN_LENGTH,
    }
}

/// The most bytes that a compressed grain may take, with what precedes it: as QEMU has it, twice
/// its length, and some for small ones.
pub(crate) fn packed_max(grain: u64) -> u64 {
    2 * grain + SECTOR
}

/// The length of the compressed grain for `from` of its extent, from what precedes it.
pub(crate) fn packed_size(
    head: &[u8],
    packing: Packing,
    guest: u64,
    at: u64,
    from: u64,
) -> Result<u32, Damage> {
    let (lba, size) = match packing {
        Packing::Deflate { marked: false } => (from / SECTOR, wire::grain_length(head)),
        _ => wire::grain_place(head),
    };
    if lba != from / SECTOR || size == 0 {
        return Err(Damage::Marker { guest, at, lba, size });
    }
    Ok(size)
}
