//! The persistent dirty bitmaps: a directory of them, and a table of clusters for each.
//!
//! Source: QEMU, `docs/interop/qcow2.rst`, "Bitmaps".

use diskferry_block_stream::Result;

use super::Check;
use crate::image::L1_MAX;
use crate::table::OFFSET;
use crate::wire::{self, RawBitmap};

/// QEMU refuses larger bitmap directories.
const DIRECTORY_MAX: u64 = 64 << 20;

/// Flag: nobody has kept the bitmap up to date since it was loaded.
const IN_USE: u32 = 1;

/// Flags that mean something.
const FLAGS: u32 = 7;

/// The only type: a bit for each part of the disk that was written to.
const DIRTY_TRACKING: u8 = 1;

/// Logarithms of the bytes of the disk for which there is a bit, as QEMU has them.
const GRANULARITY_BITS: std::ops::RangeInclusive<u8> = 9..=31;

/// QEMU refuses longer names.
const NAME_MAX: u16 = 1023;

/// In a bitmap table's entry without a cluster: all bits of the cluster are set.
const ALL_ONES: u64 = 1;

impl Check<'_> {
    /// Looks at each bitmap, and counts its clusters.
    pub(super) fn bitmaps(&mut self) -> Result<()> {
        let Some(bitmaps) = self.image.header.bitmaps else { return Ok(()) };
        let (what, directory) = ("the bitmap directory", bitmaps.offset);
        if bitmaps.reserved != 0 {
            let text = format!(
                "the bitmaps' header extension has {:#x} in a reserved field",
                bitmaps.reserved
            );
            self.corruption(directory, text);
        }
        if bitmaps.size > DIRECTORY_MAX {
            let text = format!("a bitmap directory of {} bytes, above 64 MiB", bitmaps.size);
            self.corruption(directory, text);
            return Ok(());
        }
        if !self.aligned(what, 0, directory)
            || !self.refer_alone(what, 0, directory, bitmaps.size)?
        {
            return Ok(());
        }
        let (mut at, end) = (directory, directory.saturating_add(bitmaps.size));
        for _ in 0..bitmaps.count {
            self.cancel.check()?;
            let head = wire::BITMAP as u64;
            if at.saturating_add(head) > end.min(self.file.len()) {
                self.corruption(at, "the bitmap directory ends inside an entry");
                return Ok(());
            }
            let entry = self.read(at, head)?;
            let fixed = entry.as_slice().try_into().expect("as many bytes as were asked for");
            let raw = RawBitmap::parse(fixed);
            self.bitmap(at, &raw)?;
            at += raw.length;
        }
        if at != end {
            let text = format!("the bitmap directory ends at {end:#x}, its last entry at {at:#x}");
            self.corruption(directory, text);
        }
        Ok(())
    }

    /// Looks at a bitmap whose directory entry is at `field`.
    fn bitmap(&mut self, field: u64, raw: &RawBitmap) -> Result<()> {
        let clusters = u64::from(raw.entries);
        let granularity = 1 << raw.granularity_bits.min(*GRANULARITY_BITS.end());
        let disk = self.image.header.size;
        let needed = disk.div_ceil(granularity).div_ceil(8 * self.cluster);
        let odd = if raw.kind != DIRTY_TRACKING {
            Some(format!("is of type {}, which is unknown", raw.kind))
        } else if raw.flags & !FLAGS != 0 {
            Some(format!("has flags {:#x}, some of them reserved", raw.flags))
        } else if !GRANULARITY_BITS.contains(&raw.granularity_bits) {
            Some(format!("has granularity bits {}, not within 9 and 31", raw.granularity_bits))
        } else if !(1..=NAME_MAX).contains(&raw.name_length) {
            Some(format!("has a name of {} bytes, not within 1 and 1023", raw.name_length))
        } else if raw.flags & IN_USE == 0 && clusters != needed {
            Some(format!("has {clusters} clusters; the disk's {disk} bytes need {needed}"))
        } else {
            None
        };
        if let Some(odd) = odd {
            self.corruption(field, format!("a bitmap {odd}"));
        }
        self.bitmap_table(field, raw.table, clusters)
    }

    fn bitmap_table(&mut self, field: u64, table: u64, entries: u64) -> Result<()> {
        let (what, length) = ("a bitmap table", entries * 8);
        if length > L1_MAX {
            self.corruption(field, format!("{what} of {length} bytes, above 32 MiB"));
            return Ok(());
        }
        if !self.aligned(what, field, table) || !self.refer_alone(what, field, table, length)? {
            return Ok(());
        }
        let end = table.saturating_add(length);
        if end > self.file.len() {
            self.corruption(field, format!("{what} of {length} bytes at {table:#x} is cut off"));
            return Ok(());
        }
        for (index, entry) in wire::entries(&self.read(table, length)?).into_iter().enumerate() {
            self.cancel.check()?;
            let (field, at) = (table + index as u64 * 8, entry & OFFSET);
            let allowed = if at == 0 { ALL_ONES } else { OFFSET };
            if entry & !allowed != 0 {
                let text =
                    format!("bitmap table entry is {entry:#018x}, which has reserved bits set");
                self.corruption(field, text);
            }
            let cluster = "a bitmap cluster";
            if at != 0 && self.aligned(cluster, field, at) {
                self.refer_alone(cluster, field, at, self.cluster)?;
            }
        }
        Ok(())
    }
}
