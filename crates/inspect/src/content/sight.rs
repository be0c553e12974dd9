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
    pub(crate) fn load(reader: &mut Reader<'_>, start: u64, length: u64) -> Result<Self> {
        let tail = length.saturating_sub(TAIL) & !0xFFF;
        let places = [(0, HEAD), (1 << 20, PAGE), (2 << 20, PAGE), (tail, TAIL + PAGE)];
        let mut pieces = Vec::new();
        for (at, len) in places {
            let len = len.min(length.saturating_sub(at));
            let Some(from) = start.checked_add(at) else { continue };
            let bytes = reader.bytes(from, len as usize)?;
            if !bytes.is_empty() {
                pieces.push((at, bytes));
            }
        }
        Ok(Self { length, pieces })
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

/// Up to the end of Btrfs' superblock, which is the farthest of those that count from the front.
const HEAD: u64 = 68 << 10;
/// Linux RAID's superblock 0.90 is up to 128 KiB before the end.
const TAIL: u64 = 128 << 10;
/// VMFS has signatures at 1 and 2 MiB.
const PAGE: u64 = 4096;
