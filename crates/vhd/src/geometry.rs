//! Cylinders, heads and sectors: the size of a disk as an ATA controller of 1998 saw it.

use diskferry_block_stream::SECTOR;

/// A disk's geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub cylinders: u16,
    pub heads: u8,
    pub sectors: u8,
}

impl Geometry {
    /// The largest there is, of 136899993600 bytes. It stands for any disk of that size or more.
    pub const MAX: Self = Self { cylinders: 65535, heads: 16, sectors: 255 };

    /// The geometry of a disk of `total` sectors, by the specification's algorithm. It spans at
    /// most as many sectors, mostly fewer.
    ///
    /// Source: Microsoft, "Virtual Hard Disk Image Format Specification", appendix "CHS
    /// Calculation".
    pub fn of(total: u64) -> Self {
        let total = total.min(Self::MAX.total());
        if total >= 65535 * 16 * 63 {
            return Self::with(total, 16, 255);
        }
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if heads <= 16 && tracks < heads * 1024 {
            return Self::with(total, heads, 17);
        }
        if total / 31 < 16 * 1024 {
            return Self::with(total, 16, 31);
        }
        Self::with(total, 16, 63)
    }

    fn with(total: u64, heads: u64, sectors: u64) -> Self {
        Self {
            cylinders: (total / sectors / heads) as u16,
            heads: heads as u8,
            sectors: sectors as u8,
        }
    }

    /// Sectors that it spans.
    pub fn total(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }

    /// Bytes that it spans.
    pub fn bytes(self) -> u64 {
        self.total() * SECTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_geometry_of_the_specification() {
        for (total, geometry) in [
            (0, (0, 4, 17)),
            (1, (0, 4, 17)),
            (68, (1, 4, 17)),
            (20480, (301, 4, 17)),
            // 1024 cylinders of 4 heads are too many by one.
            (4 * 1024 * 17 - 1, (1023, 4, 17)),
            (4 * 1024 * 17, (140, 16, 31)),
            (4 * 1024 * 17 + 17, (819, 5, 17)),
            (16 * 1024 * 17 - 1, (1023, 16, 17)),
            (16 * 1024 * 17, (561, 16, 31)),
            (16 * 1024 * 31 - 1, (1023, 16, 31)),
            (16 * 1024 * 31, (503, 16, 63)),
            // 20 GiB.
            (41_943_040, (41610, 16, 63)),
            (65535 * 16 * 63 - 1, (65534, 16, 63)),
            (65535 * 16 * 63, (16191, 16, 255)),
            (65535 * 16 * 255 - 1, (65534, 16, 255)),
            (65535 * 16 * 255, (65535, 16, 255)),
            (u64::MAX, (65535, 16, 255)),
        ] {
            let (cylinders, heads, sectors) = geometry;
            assert_eq!(Geometry::of(total), Geometry { cylinders, heads, sectors }, "{total}");
        }
    }

    #[test]
    fn it_never_spans_more_than_there_is() {
        for total in (0..70_000_000).step_by(12_345) {
            let spanned = Geometry::of(total).total();
            assert!(spanned <= total && total - spanned < 16 * 255, "{total}: {spanned}");
        }
    }
}
