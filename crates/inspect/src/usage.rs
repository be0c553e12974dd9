//! How far a disk is used: where its last byte is that is not zero.

use std::ops::Range;

use diskferry_block_stream::{Cancel, Cursor, Disk, Order, Progress, Result};
use serde::Serialize;

use crate::Inspection;

/// How far a disk is used. A backup GPT counts for nothing, as it can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The first byte after the last partition; 0 where there is none.
    pub partitions_end: u64,
    /// The last byte that is not zero.
    pub last_byte: Option<u64>,
    /// The first byte after the last partition that is not zero; `None` for a disk without partitions.
    pub stray_byte: Option<u64>,
    /// The smallest size that loses neither a partition nor a byte, with room for the table.
    pub smallest_size: u64,
}

/// Finds the last byte of a disk that is not zero, from its end, and the first one after the partitions.
///
/// Where the disk has no storage (a hole, a zero cluster) nothing is read. What it reads is little when
/// data stands near the end; it is the whole disk when that is full of stored zeros. A disk that is
/// best read front to back is read so, once, and all of it.
///
/// `progress` is told of the disk's size and counts up to it.
///
/// # Errors
/// Those of the disk; `Cancelled`.
pub fn usage(
    disk: &dyn Disk,
    inspection: &Inspection,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Usage> {
    let size = disk.size();
    progress.expect(size);
    let ignored = inspection.backup_ranges();
    let mut scan = Scan { cursor: disk.cursor()?, ignored, cancel, buf: vec![0; PIECE] };
    let partitions_end = inspection.partitions_end();
    let (last_byte, stray_byte) = match disk.order() {
        Order::Forward => scan.forwards(size, partitions_end, progress)?,
        Order::Any | Order::Grains => scan.backwards(size, partitions_end, progress)?,
    };
    let stray_byte = stray_byte.filter(|_| !inspection.partitions.is_empty());
    let used_end = last_byte.map_or(0, |byte| byte + 1);
    let smallest_size = inspection.smallest_size_with(used_end);
    Ok(Usage { partitions_end, last_byte, stray_byte, smallest_size })
}

struct Scan<'a> {
    cursor: Box<dyn Cursor + 'a>,
    ignored: Vec<Range<u64>>,
    cancel: &'a Cancel,
    buf: Vec<u8>,
}

impl Scan<'_> {
    /// The last byte of a disk that is not zero, and the first such one from `from` on.
    fn backwards(
        &mut self,
        size: u64,
        from: u64,
        progress: &Progress,
    ) -> Result<(Option<u64>, Option<u64>)> {
        let (mut end, mut last) = (size, None);
        while end > 0 && last.is_none() {
            let start = end.saturating_sub(WINDOW);
            last = self.last(start..end)?;
            progress.pass(end - start);
            end = start;
        }
        let first = self.first(from..last.map_or(0, |byte| byte + 1))?;
        progress.pass(end);
        Ok((last, first))
    }

    /// The same in one pass.
    fn forwards(
        &mut self,
        size: u64,
        from: u64,
        progress: &Progress,
    ) -> Result<(Option<u64>, Option<u64>)> {
        let (mut at, mut last, mut first) = (0, None, None);
        while at < size {
            let (run, reads_zero) = self.run(at..size)?;
            let mut start = if reads_zero { run.end } else { run.start };
            progress.pass(start - at);
            while start < run.end {
                let end = run.end.min(start + PIECE as u64);
                let piece = self.read(start..end)?;
                last = last_byte_in(piece).map(|byte| start + byte as u64).or(last);
                if first.is_none() && from < end {
                    let skipped = from.saturating_sub(start);
                    let found = first_byte_in(&piece[skipped as usize..]);
                    first = found.map(|byte| start + skipped + byte as u64);
                }
                progress.pass(end - start);
                start = end;
            }
            at = run.end;
        }
        Ok((last, first))
    }

    /// The last byte in the range that is not zero. The range is a window at most.
    fn last(&mut self, range: Range<u64>) -> Result<Option<u64>> {
        // Extents are told forwards only.
        let mut stored = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (run, reads_zero) = self.run(at..range.end)?;
            if !reads_zero {
                stored.push(run.clone());
            }
            at = run.end;
        }
        for run in stored.into_iter().rev() {
            let mut end = run.end;
            while end > run.start {
                let start = end.saturating_sub(PIECE as u64).max(run.start);
                if let Some(byte) = last_byte_in(self.read(start..end)?) {
                    return Ok(Some(start + byte as u64));
                }
                end = start;
            }
        }
        Ok(None)
    }

    /// The first byte in the range that is not zero.
    fn first(&mut self, range: Range<u64>) -> Result<Option<u64>> {
        let mut at = range.start;
        while at < range.end {
            let (run, reads_zero) = self.run(at..range.end)?;
            at = run.end;
            let mut start = if reads_zero { run.end } else { run.start };
            while start < run.end {
                let end = run.end.min(start + PIECE as u64);
                if let Some(byte) = first_byte_in(self.read(start..end)?) {
                    return Ok(Some(start + byte as u64));
                }
                start = end;
            }
        }
        Ok(None)
    }

    /// The run at the range's start, and whether it is zeros.
    fn run(&mut self, range: Range<u64>) -> Result<(Range<u64>, bool)> {
        self.cancel.check()?;
        let extent = self.cursor.extent(range.start, range.end - range.start)?;
        Ok((range.start..range.start + extent.length, extent.kind.reads_zero()))
    }

    /// The bytes of a piece at most, with zeros for those that count for nothing.
    fn read(&mut self, range: Range<u64>) -> Result<&[u8]> {
        self.cancel.check()?;
        let piece = &mut self.buf[..(range.end - range.start) as usize];
        self.cursor.read(range.start, piece)?;
        for ignored in &self.ignored {
            let (from, to) = (ignored.start.max(range.start), ignored.end.min(range.end));
            if from < to {
                piece[(from - range.start) as usize..(to - range.start) as usize].fill(0);
            }
        }
        Ok(piece)
    }
}

/// The last byte of a piece that is not zero.
fn last_byte_in(piece: &[u8]) -> Option<usize> {
    let (index, block) = piece.chunks(BLOCK).enumerate().rfind(|(_, block)| !is_zero(block))?;
    Some(index * BLOCK + block.iter().rposition(|byte| *byte != 0)?)
}

/// The first byte of a piece that is not zero.
fn first_byte_in(piece: &[u8]) -> Option<usize> {
    let (index, block) = piece.chunks(BLOCK).enumerate().find(|(_, block)| !is_zero(block))?;
    Some(index * BLOCK + block.iter().position(|byte| *byte != 0)?)
}

/// Looks at every byte, as the processor then takes many at once.
fn is_zero(block: &[u8]) -> bool {
    block.iter().fold(0, |all, byte| all | byte) == 0
}

/// How far the scan goes back at a time. Its extents are held: in the smallest clusters that a format
/// has, 512 bytes, they take 8 MiB.
const WINDOW: u64 = 256 << 20;
/// Bytes read at a time.
const PIECE: usize = 1 << 20;
/// Bytes looked at for zeros at a time.
const BLOCK: usize = 4096;
