//! Reading: from an offset of the disk to bytes.

use diskferry_block_stream::{Bytes, Disk, Error, Extent, Kind, Result, Unpacked, Walk};
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
    unpacked: Unpacked,
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
            unpacked: Unpacked::default(),
        })
    }

    fn own_file(&self) -> &'a dyn Bytes {
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
        } else if offset.saturating_add(self.cluster) > self.own_file().len() {
            Some(Problem::PastEnd(self.own_file().len()))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Damage::L1Entry { index: index as u64, at: offset, problem }.into());
        }
        self.table.resize(self.cluster as usize, 0);
        self.own_file().read_at(offset, &mut self.table)?;
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
    fn extent_of(&self, at: u64, entry: Entry) -> Result<Extent> {
        let within = at % self.cluster;
        let left = self.cluster - within;
        Ok(match entry {
            Entry::Absent => Extent { length: left, kind: Kind::Absent },
            Entry::Zero { .. } => Extent { length: left, kind: Kind::Zero },
            Entry::Plain { offset } => Extent { length: left, kind: self.plain(at, offset, left)? },
            Entry::Compressed { offset, length } => {
                let (guest, end) = (at - within, self.own_file().len());
                if offset >= end {
                    return Err(Damage::CompressedCut { guest, at: offset, length, end }.into());
                }
                Extent { length: left, kind: Kind::Data { compressed: true } }
            }
            Entry::Parts { offset, stored, zero } => {
                let part = self.cluster / SUBCLUSTERS;
                let first = (within / part) as u32;
                let state = |n: u32| (stored >> n & 1, zero >> n & 1);
                let same = (first..SUBCLUSTERS as u32).take_while(|n| state(*n) == state(first));
                let length = (u64::from(first) + same.count() as u64) * part - within;
                let kind = match state(first) {
                    (1, _) => self.plain(at, offset, length)?,
                    (_, 1) => Kind::Zero,
                    _ => Kind::Absent,
                };
                Extent { length, kind }
            }
        })
    }

    /// The `length` bytes of the disk at `at`, whose cluster begins at `offset`: they lie within the
    /// data file, as far as the disk has them.
    fn plain(&self, at: u64, offset: u64, length: u64) -> Result<Kind> {
        let within = at % self.cluster;
        let guest = at - within;
        if !offset.is_multiple_of(self.cluster) {
            let problem = Problem::Unaligned;
            return Err(Damage::L2Entry { guest, at: offset, problem }.into());
        }
        let (data, file) = self.data()?;
        let length = length.min(self.image.size() - at);
        if offset.saturating_add(within + length) > data.len() {
            let problem = Problem::PastEnd(data.len());
            return Err(Damage::L2Entry { guest, at: offset, problem }.into());
        }
        Ok(Kind::Plain { file, offset: offset + within })
    }

    /// Unpacks the compressed cluster that begins at `guest` of the disk into `out`.
    fn unpack(&mut self, guest: u64, out: &mut [u8]) -> Result<()> {
        let Lookup::Entry(Entry::Compressed { offset, length }) = self.lookup(guest)? else {
            unreachable!("the table is in memory, and its entry was compressed a moment ago");
        };
        let file = self.own_file();
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
}

impl Walk for Reader<'_> {
    fn run(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let span = self.image.header.l2_span();
        let table_end = span - at % span;
        match self.lookup(at)? {
            Lookup::NoTable => {
                let mut length = table_end;
                // Whole L2 tables that are missing cost nothing to skip.
                let mut index = (at / span) as usize + 1;
                let empty = |l1: &u64| {
                    [Some(0), self.empty_at].contains(&Some(l2_offset(*l1))) && !l1_is_damaged(*l1)
                };
                while length < limit && self.image.l1.get(index).is_none_or(empty) {
                    length += span;
                    index += 1;
                }
                Ok(Extent { length: length.min(limit), kind: Kind::Absent })
            }
            Lookup::Entry(entry) => {
                let first = self.extent_of(at, entry)?;
                let next = |at| self.entry(at).and_then(|entry| self.extent_of(at, entry));
                Ok(first.joined(limit.min(table_end), |further| next(at + further).ok()))
            }
        }
    }

    fn file(&self, index: u32) -> &dyn Bytes {
        self.image.files[index as usize].as_ref()
    }

    fn read_data(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let done =
            unpacked.read((0, self.cluster), at, buf, |guest, cluster| self.unpack(guest, cluster));
        self.unpacked = unpacked;
        done
    }

    fn entry_span(&self, _at: u64) -> u64 {
        self.cluster
    }
}
