//! The parts of a partition in which signatures stand.

use diskferry_block_stream::Result;

use crate::reader::Reader;

/// Pieces of a partition, so that whoever looks at signatures does no reading.
pub(crate) struct Sight {
    /// The partition's length, as its table has it.
    pub(crate) length: u64,
    /// Offset in the partition, and what stands there.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Sight {
    /// Of partitions, each with its start and length in bytes; all are read in the order of the disk.
    pub(crate) fn load(reader: &mut Reader<'_>, places: &[(u64, u64)]) -> Result<Vec<Self>> {
        let mut sights = Vec::new();
        let mut wanted = Vec::new();
        for (index, &(start, length)) in places.iter().enumerate() {
            sights.push(Self { length, pieces: Vec::new() });
            let tail = length.saturating_sub(TAIL) & !0xFFF;
            for (at, most) in [(0, HEAD), (1 << 20, PAGE), (2 << 20, PAGE), (tail, TAIL + PAGE)] {
                let len = most.min(length.saturating_sub(at));
                let from = start.checked_add(at).filter(|_| len > 0);
                if let Some((from, to)) = from.and_then(|from| Some((from, from.checked_add(len)?)))
                {
                    wanted.push(Wanted { from, to, index, at });
                }
            }
        }
        wanted.sort_unstable_by_key(|it| (it.from, it.to));
        let mut rest = wanted.as_slice();
        while let Some(first) = rest.first() {
            // What overlaps is read once: to go back is a pass of its own on a disk that comes in order.
            let (mut to, mut count) = (first.to, 1);
            while let Some(next) = rest.get(count).filter(|next| next.from < to) {
                (to, count) = (to.max(next.to), count + 1);
            }
            let bytes = reader.bytes(first.from, (to - first.from) as usize)?;
            let (together, after) = rest.split_at(count);
            for it in together {
                let within = (it.from - first.from) as usize..(it.to - first.from) as usize;
                let there = within.start.min(bytes.len())..within.end.min(bytes.len());
                if !there.is_empty() {
                    sights[it.index].pieces.push((it.at, bytes[there].to_vec()));
                }
            }
            rest = after;
        }
        Ok(sights)
    }

    /// What stands at `at` and after it, as far as it was read; nothing where it was not.
    pub(crate) fn at(&self, at: u64) -> &[u8] {
        let found = self.pieces.iter().filter_map(|(start, bytes)| {
            bytes.get(usize::try_from(at.checked_sub(*start)?).ok()?..)
        });
        // Pieces of a small partition overlap.
        found.max_by_key(|rest| rest.len()).unwrap_or_default()
    }
}

/// A piece of a partition that is to be read.
struct Wanted {
    /// Where it is on the disk.
    from: u64,
    to: u64,
    /// Which partition it is of, and where in that.
    index: usize,
    at: u64,
}

/// Up to the end of Btrfs' superblock, which is the farthest of those that count from the front.
const HEAD: u64 = 68 << 10;
/// Linux RAID's superblock 0.90 is up to 128 KiB before the end.
const TAIL: u64 = 128 << 10;
/// VMFS has signatures at 1 and 2 MiB.
const PAGE: u64 = 4096;
