//! Writing: where an image's clusters and tables go.
//!
//! ```text
//! cluster 0      header, extensions
//! cluster 1      refcount block of the first range
//! …              data and L2 tables, in the disk's order; an L2 table follows the data it maps
//! first cluster  of every later range (the clusters that one refcount block counts): its block
//! at the end     L1 table, the remaining refcount blocks, the refcount table
//! ```
//!
//! Nothing is written twice, and little is come back to ([`Qcow2Layout::owes`]), so that memory holds one L2 table, one
//! refcount block and the L1 table, whatever the disk's size. The header comes last: an image that
//! is not finished is no image. As the tables come last, the disk's size may be unknown until then.

use std::ops::Range;

use diskferry_block_stream::{
    Chunk, Detail, Error, Foretold, Form, Layout, Naming, Packed, Packer, Plan, Result, SECTOR,
    Sink, Writing,
};
use diskferry_codec::{Deflater, NoiseProbe, ZstdPacker, entropy};

use crate::header::{Compression, FEATURE_NAMES, Version};
use crate::image::L1_MAX;
use crate::options::{Level, Options, Preallocate};
use crate::table::{COPIED, SUBCLUSTERS, compressed_entry};
use crate::wire::{
    self, EXTENSION_FEATURE_NAMES, FEATURE_NAME, HEADER_V2, HEADER_WRITTEN, RawHeader,
};

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set(key, value)
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.compress(level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, _naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self)
    }

    fn unit(&self) -> u64 {
        SECTOR
    }

    fn foretell(&self) -> Foretold {
        let flag = |key, on| (key, Detail::Flag(on));
        let details = vec![
            flag("extended_l2", self.extended_l2),
            flag("lazy_refcounts", self.lazy_refcounts),
        ];
        Foretold { details, ..Foretold::of(self.version.name()) }
    }
}

/// How a disk of `size` bytes is stored; `None` where the size is known only at the end.
///
/// A size that is no multiple of 512 is rounded up to one, with zeros: QEMU counts sectors.
///
/// # Errors
/// `Misuse` for options that do not go together, `Unsupported` for a disk larger than its L1 table
/// may be with this cluster size.
pub fn plan(size: Option<u64>, options: &Options) -> Result<Plan> {
    options.check()?;
    let layout = Qcow2Layout::new(options);
    layout.check_size(size.unwrap_or(0))?;
    let (compression, cluster) = (options.compression, options.cluster_bits.size());
    let packer = options.compress.map(|level| {
        let make = move || ClusterPacker::new(compression, level, cluster);
        Box::new(move || make().map(|packer| Box::new(packer) as Box<dyn Packer>)) as Box<_>
    });
    Ok(Plan::Packed(Packed {
        chunk: cluster as usize,
        parts: if options.extended_l2 { SUBCLUSTERS as u32 } else { 1 },
        preallocation: options.preallocation.of_file(),
        packer,
        layout: Box::new(layout),
    }))
}

/// One thread's compressor of clusters.
enum ClusterPacker {
    Zlib(Deflater),
    ZlibByContent(Box<Deflaters>),
    Zstd(Box<ZstdPacker>),
    ZstdByContent(Box<ZstdPackers>),
}

/// The level is chosen for each cluster by its entropy.
struct Deflaters {
    usual: Deflater,
    dense: Deflater,
    probe: NoiseProbe,
}

/// As with [`Deflaters`].
struct ZstdPackers {
    usual: ZstdPacker,
    dense: ZstdPacker,
}

/// Readers inflate with a window of 4 KiB (`inflateInit2` with -12 in QEMU), so no match may reach
/// further back.
const WINDOW_BITS: u8 = 12;

/// zlib-rs finds no matches of three bytes below level 9, and these matter in so small a window.
/// Text is as small at level 5 as with zlib's usual level 6; machine code and other dense data is 3 %
/// larger, but not at level 9, which takes twice the time. What looks like noise, and is, is not tried. The
/// choice keeps all near zlib's size at less than half its time.
const ZLIB_LEVEL: u32 = 5;
const ZLIB_DENSE_LEVEL: u32 = 9;

/// Entropies, in 256ths of a bit, from which zlib's dense level pays, and from which a cluster may be
/// noise.
const ZLIB_DENSE: u32 = 1540;
const NOISE: u32 = NoiseProbe::ENTROPY;

/// zstd's own default, for clusters that are too large for sessions for small units.
const ZSTD_LEVEL: u32 = 3;
const ZSTD_SMALL: u64 = 64 << 10;

/// The entropy from which zstd's session for dense units makes less of it than the usual one.
const ZSTD_DENSE: u32 = 1480;

impl ClusterPacker {
    fn new(compression: Compression, level: Level, cluster: u64) -> Result<Self> {
        let zlib = |level| Deflater::new(level, WINDOW_BITS);
        let zstd = |level| ZstdPacker::new(level as i32).map(Box::new).map(Self::Zstd);
        let made = match (compression, level) {
            (Compression::Zlib, Level::Usual) => zlib(ZLIB_LEVEL).and_then(|usual| {
                let (dense, probe) = (zlib(ZLIB_DENSE_LEVEL)?, NoiseProbe::new()?);
                Ok(Self::ZlibByContent(Box::new(Deflaters { usual, dense, probe })))
            }),
            (Compression::Zlib, Level::Given(level)) => zlib(level).map(Self::Zlib),
            (Compression::Zstd, Level::Usual) if cluster <= ZSTD_SMALL => {
                ZstdPacker::for_small_units().and_then(|usual| {
                    let dense = ZstdPacker::for_small_dense_units()?;
                    Ok(Self::ZstdByContent(Box::new(ZstdPackers { usual, dense })))
                })
            }
            (Compression::Zstd, Level::Usual) => zstd(ZSTD_LEVEL),
            (Compression::Zstd, Level::Given(level)) => zstd(level),
        };
        made.map_err(Error::compressing)
    }
}

impl Packer for ClusterPacker {
    fn pack(&mut self, _at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form> {
        // A cluster that does not shrink is better stored, where it can be read in place.
        let at_most = data.len() - 1;
        let shrunk = match self {
            Self::Zlib(deflater) => deflater.compress(data, out, at_most),
            Self::ZlibByContent(deflaters) => {
                let Deflaters { usual, dense, probe } = deflaters.as_mut();
                match entropy(data) {
                    ZLIB_DENSE..NOISE => dense.compress(data, out, at_most),
                    NOISE.. if probe.is_noise(data).map_err(Error::compressing)? => Ok(false),
                    _ => usual.compress(data, out, at_most),
                }
            }
            Self::Zstd(packer) => packer.compress(data, out, at_most),
            Self::ZstdByContent(packers) => {
                let dense = entropy(data) >= ZSTD_DENSE;
                let packer = if dense { &mut packers.dense } else { &mut packers.usual };
                packer.compress(data, out, at_most)
            }
        };
        Ok(if shrunk.map_err(Error::compressing)? { Form::Packed } else { Form::Stored })
    }
}

/// An image under construction.
struct Qcow2Layout {
    options: Options,
    cluster: u64,
    /// Clusters that one refcount block counts.
    range: u64,
    /// Clusters handed out so far; the next one's index.
    used: u64,
    /// The refcount block of the range that `used` is in, and the range's index.
    counts: Vec<u16>,
    counts_range: u64,
    /// Offsets of the refcount blocks, by range.
    refcount_table: Vec<u64>,
    /// The rest of a cluster with compressed data: its first free byte.
    tail: Option<u64>,
    /// Offsets of the L2 tables, as L1 entries.
    l1: Vec<u64>,
    /// The L2 table that the next chunk's entry goes into, up to that entry.
    l2: Vec<u64>,
    /// Words in an L2 table, and in an entry.
    l2_words: usize,
    entry_words: usize,
    /// Some entry of `l2` is not 0.
    l2_used: bool,
}

/// Refcounts are 16 bits wide, as QEMU makes them.
const REFCOUNT_ORDER: u32 = 4;

impl Qcow2Layout {
    fn new(options: &Options) -> Self {
        let cluster = options.cluster_bits.size();
        let range = (cluster * 8) >> REFCOUNT_ORDER;
        let mut counts = Vec::with_capacity(range as usize);
        // The header, and the block that counts it.
        counts.extend_from_slice(&[1, 1]);
        Self {
            options: options.clone(),
            cluster,
            range,
            used: 2,
            counts,
            counts_range: 0,
            refcount_table: vec![cluster],
            tail: None,
            l1: Vec::new(),
            l2: Vec::new(),
            l2_words: (cluster / 8) as usize,
            entry_words: if options.extended_l2 { 2 } else { 1 },
            l2_used: false,
        }
    }

    /// Refuses what the L1 table could not map.
    fn check_size(&self, size: u64) -> Result<()> {
        let span = (self.l2_words / self.entry_words) as u64 * self.cluster;
        let most = (L1_MAX / 8).saturating_mul(span);
        if size > most {
            return Err(Error::unsupported(format!(
                "{size} bytes in qcow2 with clusters of {} bytes, which holds {most} at most; a \
                 larger cluster_size holds more",
                self.cluster
            )));
        }
        Ok(())
    }

    /// Begins the next range when the last one is full: writes its refcount block, and makes the
    /// next one's.
    fn enter_range(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.used < (self.counts_range + 1) * self.range {
            return Ok(());
        }
        self.close_block(sink)?;
        self.counts_range += 1;
        self.refcount_table.push(self.used * self.cluster);
        self.count_new(1);
        // Its cluster may be in a block that is written by now.
        self.tail = None;
        Ok(())
    }

    fn close_block(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.counts.resize(self.range as usize, 0);
        let at = self.refcount_table[self.counts_range as usize];
        sink.put(at, &wire::refcounts_to_bytes(&self.counts))?;
        self.counts.clear();
        Ok(())
    }

    /// Counts clusters of the current range as used once.
    fn count_new(&mut self, clusters: u64) {
        self.used += clusters;
        self.counts.resize(self.counts.len() + clusters as usize, 1);
    }

    /// A new cluster; returns its offset.
    fn allocate(&mut self, sink: &mut dyn Sink) -> Result<u64> {
        self.enter_range(sink)?;
        let at = self.used * self.cluster;
        self.count_new(1);
        Ok(at)
    }

    /// A place for `length` compressed bytes, less than a cluster: after the last ones where they
    /// fit, or where the next cluster adjoins; else in a new cluster.
    fn allocate_bytes(&mut self, length: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.enter_range(sink)?;
        let fresh = self.used * self.cluster;
        if let Some(tail) = self.tail {
            let tail_cluster = tail / self.cluster;
            let end = (tail_cluster + 1) * self.cluster;
            let count = self.counts[(tail_cluster % self.range) as usize];
            if count < u16::MAX && (tail + length <= end || end == fresh) {
                self.counts[(tail_cluster % self.range) as usize] += 1;
                if tail + length > end {
                    self.count_new(1);
                }
                self.set_tail(tail + length);
                return Ok(tail);
            }
        }
        self.count_new(1);
        self.set_tail(fresh + length);
        Ok(fresh)
    }

    fn set_tail(&mut self, at: u64) {
        self.tail = (!at.is_multiple_of(self.cluster)).then_some(at);
    }

    /// Enters the next chunk's L2 entry; a full table is written.
    fn enter(&mut self, entry: u64, bitmap: u64, sink: &mut dyn Sink) -> Result<()> {
        self.l2.push(entry);
        if self.entry_words == 2 {
            self.l2.push(bitmap);
        }
        self.l2_used |= entry | bitmap != 0;
        if self.l2.len() == self.l2_words { self.close_l2(sink) } else { Ok(()) }
    }

    /// Writes the L2 table, unless it maps nothing.
    fn close_l2(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.l1.len() as u64 * 8 == L1_MAX {
            return self.check_size(u64::MAX);
        }
        if !self.l2_used {
            self.l1.push(0);
        } else {
            self.l2.resize(self.l2_words, 0);
            let at = self.allocate(sink)?;
            sink.put(at, &wire::entries_to_bytes(&self.l2))?;
            self.l1.push(at | COPIED);
        }
        self.l2.clear();
        self.l2_used = false;
        Ok(())
    }

    /// Chunks that still fit into the current L2 table.
    fn l2_room(&self) -> u64 {
        ((self.l2_words - self.l2.len()) / self.entry_words) as u64
    }

    /// Chunks of zeros that get no storage: whole tables are passed in one step.
    fn skip(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        let per_table = (self.l2_words / self.entry_words) as u64;
        let first = if self.l2.is_empty() { 0 } else { chunks.min(self.l2_room()) };
        self.l2.resize(self.l2.len() + first as usize * self.entry_words, 0);
        if self.l2.len() == self.l2_words {
            self.close_l2(sink)?;
        }
        let (tables, rest) = ((chunks - first) / per_table, (chunks - first) % per_table);
        if tables > L1_MAX / 8 - self.l1.len() as u64 {
            return self.check_size(u64::MAX);
        }
        self.l1.resize(self.l1.len() + tables as usize, 0);
        self.l2.resize(self.l2.len() + rest as usize * self.entry_words, 0);
        Ok(())
    }

    /// The L1 table, the missing refcount blocks and the refcount table, one after the other; then
    /// the header.
    fn put_tables(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        self.enter_range(sink)?;
        let clusters_of = |words: u64| (words * 8).div_ceil(self.cluster);
        let l1_clusters = clusters_of(self.l1.len() as u64);
        let first = self.used;
        let known = self.refcount_table.len() as u64;
        // The blocks count themselves and the tables, so their number is found step by step.
        let (mut blocks, mut table_clusters) = (0, 1);
        let end = loop {
            let end = first + l1_clusters + blocks + table_clusters;
            let ranges = end.div_ceil(self.range);
            let (more, table) = (ranges - known, clusters_of(ranges));
            if (more, table) == (blocks, table_clusters) {
                break end;
            }
            (blocks, table_clusters) = (more, table);
        };
        let l1_at = first * self.cluster;
        let blocks_at = l1_at + l1_clusters * self.cluster;
        let table_at = blocks_at + blocks * self.cluster;
        sink.put(l1_at, &wire::entries_to_bytes(&self.l1))?;
        self.refcount_table.extend((0..blocks).map(|n| blocks_at + n * self.cluster));
        for range in self.counts_range..known + blocks {
            self.counts_range = range;
            let range_end = ((range + 1) * self.range).min(end);
            self.count_new(range_end - self.used);
            self.close_block(sink)?;
        }
        // Readers take the whole of its clusters for entries.
        self.refcount_table.resize((table_clusters * self.cluster / 8) as usize, 0);
        sink.put(table_at, &wire::entries_to_bytes(&self.refcount_table))?;
        let header = self.header(size, l1_at, table_at, table_clusters);
        sink.put(0, &header)?;
        Ok(end * self.cluster)
    }

    fn header(&self, size: u64, l1_at: u64, table_at: u64, table_clusters: u64) -> Vec<u8> {
        let v3 = self.options.version == Version::V3;
        let zstd = self.options.compression == Compression::Zstd;
        let raw = RawHeader {
            version: if v3 { 3 } else { 2 },
            cluster_bits: self.options.cluster_bits.bits(),
            size,
            l1_entries: self.l1.len() as u32,
            l1_offset: if self.l1.is_empty() { 0 } else { l1_at },
            refcount_table_offset: table_at,
            refcount_table_clusters: table_clusters as u32,
            incompatible: u64::from(zstd) << 3 | u64::from(self.options.extended_l2) << 4,
            compatible: u64::from(self.options.lazy_refcounts),
            refcount_order: REFCOUNT_ORDER,
            header_length: if v3 { HEADER_WRITTEN } else { HEADER_V2 } as u32,
            compression_type: u8::from(zstd),
            ..RawHeader::default()
        };
        let mut header = raw.to_bytes();
        // A 512-byte cluster has no room for the names, nor need of them.
        let names_fit = header.len() + FEATURE_NAMES.len() * FEATURE_NAME + 16;
        if v3 && names_fit as u64 <= self.cluster {
            let mut names = Vec::new();
            for (kind, bit, name) in FEATURE_NAMES {
                wire::put_feature_name(&mut names, kind, bit, name);
            }
            wire::put_extension(&mut header, EXTENSION_FEATURE_NAMES, &names);
        }
        // The end of the extensions.
        wire::put_extension(&mut header, 0, &[]);
        header
    }
}

impl Layout for Qcow2Layout {
    /// The header, the refcount block of the range that is being filled, and the rest of a cluster into
    /// which compressed data may still go.
    fn owes(&self) -> Vec<Range<u64>> {
        let block = self.refcount_table[self.counts_range as usize];
        let mut owed = Vec::from([0..self.cluster, block..block + self.cluster]);
        owed.extend(self.tail.map(|tail| tail..tail.next_multiple_of(self.cluster)));
        owed
    }

    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        if self.options.preallocation == Preallocate::Off {
            return self.skip(chunks, sink);
        }
        for _ in 0..chunks {
            let at = self.allocate(sink)?;
            sink.zeros(at, self.cluster)?;
            let all_stored = if self.options.extended_l2 { u64::from(u32::MAX) } else { 0 };
            self.enter(at | COPIED, all_stored, sink)?;
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        match chunk.form {
            Form::Stored => {
                let at = self.allocate(sink)?;
                let zero = chunk.zero_parts & u64::from(u32::MAX);
                let bitmap =
                    if self.options.extended_l2 { zero << 32 | (zero ^ 0xFFFF_FFFF) } else { 0 };
                self.enter(at | COPIED, bitmap, sink)?;
                Ok(at)
            }
            Form::Packed => {
                let length = chunk.length as u64;
                let at = self.allocate_bytes(length, sink)?;
                let entry = compressed_entry(self.options.cluster_bits, at, length);
                let entry = entry.ok_or_else(|| {
                    Error::unsupported(format!("compressed clusters at {at:#x} and beyond"))
                })?;
                self.enter(entry, 0, sink)?;
                Ok(at)
            }
        }
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        let size = size
            .checked_next_multiple_of(SECTOR)
            .ok_or_else(|| Error::unsupported(format!("a disk of {size} bytes")))?;
        self.check_size(size)?;
        if !self.l2.is_empty() {
            self.close_l2(sink)?;
        }
        self.put_tables(size, sink)
    }
}
