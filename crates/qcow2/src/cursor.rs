//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Bytes, Cursor, Disk, Error, Extent, Kind, Result, read_runs};
use diskferry_codec::{CodecError, Inflater, ZstdUnpacker, zeros};

use crate::damage::{Damage, Problem};
use crate::header::Compression;
use crate::image::Qcow2;
use crate::table::{Entry, EntryFormat, SUBCLUSTERS, l1_is_damaged, l2_offset};
use crate::wire;

/// One thread's reader: it holds the one L2 table it is in.
pub(crate) struct Reader<'a> {
    image: &'a Qcow2,
    format: EntryFormat,
    cluster: u64,
    /// The L2 table in memory, and which one it is.
    table: Vec<u8>,
    table_index: Option<usize>,
    /// Offset of the last table found to map nothing.
    empty_at: Option<u64>,
    unpacker: Unpacker,
    /// Compressed bytes on their way to the unpacker.
    packed: Vec<u8>,
    /// The last cluster that was unpacked for the sake of a part of it, and its offset.
    unpacked: Vec<u8>,
    unpacked_at: Option<u64>,
}

enum Unpacker {
    Zlib(Inflater),
    Zstd(Box<ZstdUnpacker>),
}

impl Unpacker {
    fn unpack(&mut self, packed: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
        match self {
            Self::Zlib(inflater) => inflater.inflate(packed, out).map(drop),
            Self::Zstd(unpacker) => unpacker.decompress(packed, out),
        }
    }
}

/// A stretch of the disk that reads one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Absent,
    Zero,
    Plain { offset: u64 },
    Compressed,
}

/// What the L1 table and an L2 table say about one cluster.
enum Lookup {
    /// There is no L2 table.
    NoTable,
    Entry(Entry),
}

impl<'a> Reader<'a> {
    pub fn new(image: &'a Qcow2) -> Result<Self> {
        let unpacker = match image.header.compression {
            Compression::Zlib => Unpacker::Zlib(Inflater::new()),
            Compression::Zstd => {
                let unpacker = ZstdUnpacker::new().map_err(|error| {
                    Error::from(std::io::Error::other(error)).doing("preparing to unpack")
                })?;
                Unpacker::Zstd(Box::new(unpacker))
            }
        };
        Ok(Self {
            image,
            format: image.entry_format(),
            cluster: image.header.cluster(),
            table: Vec::new(),
            table_index: None,
            empty_at: None,
            unpacker,
            packed: Vec::new(),
            unpacked: Vec::new(),
            unpacked_at: None,
        })
    }

    fn file(&self) -> &'a dyn Bytes {
        self.image.files[0].as_ref()
    }

    /// The file that clusters are in, and its index.
    fn data(&self) -> Result<(&'a dyn Bytes, u32)> {
        let index = self.image.data_index();
        let missing = || Error::misuse("the external data file is not opened");
        let file = self.image.files.get(index).ok_or_else(missing)?;
        Ok((file.as_ref(), index as u32))
    }

    fn lookup(&mut self, at: u64) -> Result<Lookup> {
        if let Some(at) = self.image.shared_table {
            return Err(Damage::SharedTable { at }.into());
        }
        let span = self.image.header.l2_span();
        let index = (at / span) as usize;
        // The L1 table covers the disk, as it was checked at opening.
        let l1_entry = self.image.l1.get(index).copied().unwrap_or(0);
        if l1_is_damaged(l1_entry) {
            return Err(Damage::L1Bits { index: index as u64, entry: l1_entry }.into());
        }
        let offset = l2_offset(l1_entry);
        if offset == 0 || self.empty_at == Some(offset) {
            return Ok(Lookup::NoTable);
        }
        if self.table_index != Some(index) {
            self.load(index, offset)?;
            if zeros::is_zero(&self.table) {
                self.empty_at = Some(offset);
                return Ok(Lookup::NoTable);
            }
        }
        self.entry(at).map(Lookup::Entry)
    }

    fn load(&mut self, index: usize, offset: u64) -> Result<()> {
        self.table_index = None;
        let header = &self.image.header;
        let problem = if header.cluster_bits.offset_in(offset) != 0 {
            Some(Problem::Unaligned)
        } else if offset.saturating_add(self.cluster) > self.file().len() {
            Some(Problem::PastEnd(self.file().len()))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Damage::L1Entry { index: index as u64, at: offset, problem }.into());
        }
        self.table.resize(self.cluster as usize, 0);
        self.file().read_at(offset, &mut self.table)?;
        self.table_index = Some(index);
        Ok(())
    }

    /// The entry for `at` in the table that is loaded.
    fn entry(&self, at: u64) -> Result<Entry> {
        let header = &self.image.header;
        let index = (at % header.l2_span() / self.cluster) as usize;
        let (entry, bitmap) = if header.extended_l2 {
            (wire::entry(&self.table, 2 * index), wire::entry(&self.table, 2 * index + 1))
        } else {
            (wire::entry(&self.table, index), 0)
        };
        let guest = at - at % self.cluster;
        self.format.parse(entry, bitmap).map_err(|bad| Damage::BadEntry { guest, bad }.into())
    }

    /// How the disk reads at `at`, and for how many bytes at least, within one cluster.
    fn way(&self, at: u64, entry: Entry) -> Result<(Way, u64)> {
        let within = at % self.cluster;
        let left = self.cluster - within;
        Ok(match entry {
            Entry::Absent => (Way::Absent, left),
            Entry::Zero { .. } => (Way::Zero, left),
            Entry::Plain { offset } => {
                (Way::Plain { offset: self.place(at, offset, left)? + within }, left)
            }
            Entry::Compressed { offset, length } => {
                let (guest, end) = (at - within, self.file().len());
                if offset >= end {
                    return Err(Damage::CompressedCut { guest, at: offset, length, end }.into());
                }
                (Way::Compressed, left)
            }
            Entry::Parts { offset, stored, zero } => {
                let part = self.cluster / SUBCLUSTERS;
                let first = (within / part) as u32;
                let state = |n: u32| (stored >> n & 1, zero >> n & 1);
                let same = (first..SUBCLUSTERS as u32).take_while(|n| state(*n) == state(first));
                let run = (u64::from(first) + same.count() as u64) * part - within;
                match state(first) {
                    (1, _) => (Way::Plain { offset: self.place(at, offset, run)? + within }, run),
                    (_, 1) => (Way::Zero, run),
                    _ => (Way::Absent, run),
                }
            }
        })
    }

    /// Checks that the `length` bytes of the disk at `at`, as far as it has them, lie within the
    /// data file when their cluster begins at `offset`. Returns that offset.
    fn place(&self, at: u64, offset: u64, length: u64) -> Result<u64> {
        let guest = at - at % self.cluster;
        if !offset.is_multiple_of(self.cluster) {
            let problem = Problem::Unaligned;
            return Err(Damage::L2Entry { guest, at: offset, problem }.into());
        }
        let (file, _) = self.data()?;
        let length = length.min(self.image_size() - at);
        if offset.saturating_add(at % self.cluster + length) > file.len() {
            let problem = Problem::PastEnd(file.len());
            return Err(Damage::L2Entry { guest, at: offset, problem }.into());
        }
        Ok(offset)
    }

    fn image_size(&self) -> u64 {
        self.image.size()
    }

    /// The longest run at `at` that reads one way, as far as the table in memory tells.
    fn run(&mut self, at: u64, limit: u64) -> Result<(Way, u64)> {
        let span = self.image.header.l2_span();
        let (way, mut length) = match self.lookup(at)? {
            Lookup::NoTable => {
                let mut length = span - at % span;
                // Whole L2 tables that are missing cost nothing to skip.
                let mut index = (at / span) as usize + 1;
                let empty = |l1: &u64| {
                    [Some(0), self.empty_at].contains(&Some(l2_offset(*l1))) && !l1_is_damaged(*l1)
                };
                while length < limit && self.image.l1.get(index).is_none_or(empty) {
                    length += span;
                    index += 1;
                }
                return Ok((Way::Absent, length.min(limit)));
            }
            Lookup::Entry(entry) => self.way(at, entry)?,
        };
        let table_end = span - at % span;
        while length < limit.min(table_end) {
            let next = at + length;
            // A cluster further on that is damaged is no reason not to read those before it.
            let Ok((next_way, more)) = self.entry(next).and_then(|entry| self.way(next, entry))
            else {
                break;
            };
            let joins = match (way, next_way) {
                (Way::Plain { offset }, Way::Plain { offset: next }) => offset + length == next,
                (way, next) => way == next,
            };
            if !joins {
                break;
            }
            length += more;
        }
        Ok((way, length.min(limit)))
    }

    /// Unpacks the compressed cluster that begins at `guest` of the disk into `out`.
    fn unpack(&mut self, guest: u64, out: &mut [u8]) -> Result<()> {
        let Lookup::Entry(Entry::Compressed { offset, length }) = self.lookup(guest)? else {
            unreachable!("the table is in memory, and its entry was compressed a moment ago");
        };
        let file = self.file();
        let end = file.len();
        // The last sector that an entry counts may go on past the end of the file.
        let have = length.min(end.saturating_sub(offset));
        let Self { unpacker, packed, .. } = self;
        let mut outcome = None;
        let seen = file.view(offset, have as usize, &mut |bytes| {
            outcome = Some(unpacker.unpack(bytes, out));
        });
        if !seen {
            packed.resize(have as usize, 0);
            file.read_at(offset, packed)?;
            outcome = Some(unpacker.unpack(packed, out));
        }
        match outcome {
            Some(Err(_)) if have < length => {
                Err(Damage::CompressedCut { guest, at: offset, length, end }.into())
            }
            Some(Err(source)) => {
                Err(Damage::Compressed { guest, at: offset, length, source }.into())
            }
            _ => Ok(()),
        }
    }

    /// Reads a part of a compressed cluster, or of several.
    fn read_compressed(&mut self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let within = (at % self.cluster) as usize;
            let guest = at - within as u64;
            let length = buf.len().min(self.cluster as usize - within);
            let (part, rest) = buf.split_at_mut(length);
            if part.len() as u64 == self.cluster {
                self.unpack(guest, part)?;
            } else {
                if self.unpacked_at != Some(guest) {
                    self.unpacked_at = None;
                    let mut whole = std::mem::take(&mut self.unpacked);
                    whole.resize(self.cluster as usize, 0);
                    let done = self.unpack(guest, &mut whole);
                    self.unpacked = whole;
                    done?;
                    self.unpacked_at = Some(guest);
                }
                part.copy_from_slice(&self.unpacked[within..][..length]);
            }
            at += length as u64;
            buf = rest;
        }
        Ok(())
    }
}

impl Cursor for Reader<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let cluster = self.cluster;
        let (way, length) =
            self.run(at, limit).map_err(|error| self.locate(error, at, limit.min(cluster)))?;
        let kind = match way {
            Way::Absent => Kind::Absent,
            Way::Zero => Kind::Zero,
            Way::Compressed => Kind::Data { compressed: true },
            Way::Plain { offset } => Kind::Plain { file: self.data()?.1, offset },
        };
        Ok(Extent { length, kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let whole = buf.len() as u64;
        read_runs(at, buf, |at, buf| self.read_run(at, buf))
            .map_err(|error| self.locate(error, at, whole))
    }
}

impl Reader<'_> {
    /// Fills the front of `buf` with one run; returns its length.
    fn read_run(&mut self, at: u64, buf: &mut [u8]) -> Result<u64> {
        let (way, length) = self.run(at, buf.len() as u64)?;
        let part = &mut buf[..length as usize];
        match way {
            Way::Absent | Way::Zero => part.fill(0),
            Way::Plain { offset } => self.data()?.0.read_at(offset, part)?,
            Way::Compressed => self.read_compressed(at, part)?,
        }
        Ok(length)
    }

    fn locate(&self, error: Error, at: u64, length: u64) -> Error {
        let left = self.image_size().saturating_sub(at);
        error.at("reading", at, length.min(left)).in_file(self.file().name())
    }
}
