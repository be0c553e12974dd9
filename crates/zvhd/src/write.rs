//! Writing what both formats have: the first page, and units one after the other.

use diskferry_block_stream::{Error, Result, SECTOR, Sink, Stamp};

use crate::header::{Flavour, YEAR_2000};
use crate::wire::{BLOCK, PAGE, RawPage, RawTables, UNIT_END, unit_head_to_bytes, unit_length};

/// An image's measures.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Bytes of the disk to come, as they were planned for.
    pub size: u64,
    /// The same in whole sectors.
    pub original: u64,
    /// The same in whole GiB: what readers present.
    pub current: u64,
    pub blocks: u64,
    flavour: Flavour,
    stamp: Stamp,
}

/// What readers present the size in.
pub(crate) const ROUNDING: u64 = 1 << 30;

/// On a disk of programs and documents, the result is 0.2 % larger than with zlib's usual level 6,
/// in six sevenths of the time.
pub(crate) const DEFLATE_USUAL: u32 = 5;

impl Shape {
    /// # Errors
    /// `Unsupported` where the size is not known, or too large.
    pub fn of(size: Option<u64>, stamp: &Stamp, flavour: Flavour) -> Result<Self> {
        let size = size.ok_or_else(|| {
            Error::unsupported(
                "ZVHD for a disk whose size is known only at its end, for it stands in front; \
                 state its size",
            )
        })?;
        Self::new(size, stamp, flavour)
    }

    pub fn new(size: u64, stamp: &Stamp, flavour: Flavour) -> Result<Self> {
        let blocks = size.div_ceil(BLOCK);
        if blocks > BLOCKS_MAX {
            let most = BLOCKS_MAX * BLOCK;
            return Err(Error::unsupported(format!(
                "{size} bytes in ZVHD, which holds {most} at most"
            )));
        }
        let original = size.next_multiple_of(SECTOR);
        let current = size.next_multiple_of(ROUNDING);
        Ok(Self { size, original, current, blocks, flavour, stamp: *stamp })
    }

    /// The first page, as the reference has it.
    pub fn page(&self) -> RawPage {
        let mut cookie = [0; 8];
        cookie[..6].copy_from_slice(self.flavour.cookie().as_bytes());
        RawPage {
            cookie,
            features: 2,
            version: 0x0001_0000,
            data_offset: u64::MAX,
            // The format counts to the year 2136; a time outside of it is as good as none.
            time: u32::try_from(self.stamp.seconds.saturating_sub(YEAR_2000)).unwrap_or(0),
            creator: *b"tap\0",
            creator_version: 0x0001_0004,
            creator_system: 0,
            original_size: self.original,
            current_size: self.current,
            geometry: geometry(self.original),
            disk_type: 4,
            checksum: 0,
            uuid: self.stamp.uuid,
            hidden: 0,
            tables: RawTables::default(),
        }
    }
}

/// Blocks whose numbers fit: a disk of 8 PiB. ZVHD2 counts them in 32 bits, too.
const BLOCKS_MAX: u64 = u32::MAX as u64;

/// Cylinders, heads and sectors per track of a disk, which nobody reads: as VHD has them.
fn geometry(size: u64) -> u32 {
    let sectors = (size / SECTOR).clamp(1, 65535 * 16 * 255) as u32;
    let (cylinder_heads, heads, track) = if sectors >= 65535 * 16 * 63 {
        (sectors / 255, 16, 255)
    } else {
        let by_17 = sectors / 17;
        let heads = by_17.div_ceil(1024).max(4);
        if by_17 < heads * 1024 && heads <= 16 {
            (by_17, heads, 17)
        } else if sectors / 31 < 16 * 1024 {
            (sectors / 31, 16, 31)
        } else {
            (sectors / 63, 16, 63)
        }
    };
    (cylinder_heads / heads) << 16 | heads << 8 | track
}

/// Puts units one after the other. Their payloads are put by others, each after its head.
pub(crate) struct UnitWriter {
    pub shape: Shape,
    /// Where the next bytes go.
    at: u64,
    /// Bytes that go there before all others: the first page, or the end of the last unit.
    due: Vec<u8>,
    /// Blocks that have passed.
    passed: u64,
    first: bool,
}

/// Where a unit is.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub at: u64,
    pub block: u32,
    pub length: u32,
    /// Where the payload goes, as far as it is put by others.
    pub payload: u64,
}

impl UnitWriter {
    pub fn new(shape: Shape) -> Self {
        Self { at: 0, due: Vec::new(), passed: 0, first: true, shape }
            .with_first_page(RawTables::default())
    }

    /// The same with a first page that has these tables.
    pub fn with_first_page(mut self, tables: RawTables) -> Self {
        self.due = RawPage { tables, ..self.shape.page() }.to_bytes();
        self
    }

    /// Whether no unit has begun.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Passes over blocks that hold nothing.
    ///
    /// # Errors
    /// `Misuse` when they are more than were planned for.
    pub fn skip(&mut self, blocks: u64) -> Result<()> {
        if blocks > self.shape.blocks - self.passed {
            return Err(self.other_size());
        }
        self.passed += blocks;
        Ok(())
    }

    /// Begins the unit of the next block, whose payload is `head` and then `length` bytes that
    /// somebody else puts.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip); whatever the sink reports.
    pub fn begin(&mut self, head: &[u8], length: usize, sink: &mut dyn Sink) -> Result<Placed> {
        let block = self.passed as u32;
        self.skip(1)?;
        self.first = false;
        let size = u32::try_from(head.len() + length).ok();
        let size = size.filter(|size| unit_length(*size) <= self.shape.flavour.unit_max());
        // No codec makes twice as much of a block.
        let size =
            size.ok_or_else(|| Error::misuse(format!("a block packed into {length} bytes")))?;
        let at = self.at + self.due.len() as u64;
        let end = at + unit_length(size);
        self.put(&unit_head_to_bytes(size, block), sink)?;
        self.put(head, sink)?;
        self.end(sink)?;
        let payload = self.at;
        self.at += length as u64;
        self.due.resize((end - self.at) as usize - UNIT_END.len(), 0);
        self.due.extend_from_slice(&UNIT_END);
        Ok(Placed { at, block, length: (end - at) as u32, payload })
    }

    /// Puts bytes behind everything else.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn put(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        if self.due.len() >= STEP {
            self.end(sink)?;
        }
        self.due.extend_from_slice(bytes);
        Ok(())
    }

    /// Where the next bytes will be put.
    pub fn position(&self) -> u64 {
        self.at + self.due.len() as u64
    }

    /// Puts all that is due; returns the length of the file so far.
    ///
    /// # Errors
    /// Whatever the sink reports.
    pub fn end(&mut self, sink: &mut dyn Sink) -> Result<u64> {
        sink.put(self.at, &self.due)?;
        self.at += self.due.len() as u64;
        self.due.clear();
        Ok(self.at)
    }

    /// # Errors
    /// `Misuse` when the disk was not as long as planned.
    pub fn check_whole(&self, size: u64) -> Result<()> {
        if size != self.shape.size || self.passed != self.shape.blocks {
            return Err(self.other_size());
        }
        Ok(())
    }

    fn other_size(&self) -> Error {
        let size = self.shape.size;
        Error::misuse(format!("a disk of another size than the {size} bytes that were planned for"))
    }
}

/// Bytes that may wait to be put together.
const STEP: usize = 1 << 20;

const _: () = assert!(STEP as u64 > PAGE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_is_as_the_reference_computes_it() {
        for (size, cylinders, heads, sectors) in [
            (8 << 20, 240, 4, 17),
            (1 << 30, 2080, 16, 63),
            (0, 0, 4, 17),
            (512, 0, 4, 17),
            (64 << 30, 32896, 16, 255),
            (1 << 50, 65535, 16, 255),
        ] {
            assert_eq!(geometry(size), cylinders << 16 | heads << 8 | sectors, "{size}");
        }
    }

    #[test]
    fn sizes_are_rounded_to_sectors_and_to_gib() {
        for (size, original, current, blocks) in [
            (0, 0, 0, 0),
            (1, 512, 1 << 30, 1),
            (8 << 20, 8 << 20, 1 << 30, 4),
            (1 << 30, 1 << 30, 1 << 30, 512),
            ((1 << 30) + 512, (1 << 30) + 512, 2 << 30, 513),
            (BLOCKS_MAX * BLOCK, BLOCKS_MAX * BLOCK, 1 << 53, BLOCKS_MAX),
        ] {
            let shape = Shape::new(size, &Stamp::default(), Flavour::Zvhd).unwrap();
            assert_eq!((shape.original, shape.current, shape.blocks), (original, current, blocks));
        }
        for size in [BLOCKS_MAX * BLOCK + 1, u64::MAX] {
            assert!(Shape::new(size, &Stamp::default(), Flavour::Zvhd).is_err(), "{size}");
        }
    }
}
