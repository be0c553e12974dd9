//! A fingerprint of a disk, for telling whether another holds the same: from parts in any order.

use xxhash_rust::xxh3::xxh3_128;

use crate::zeros::is_zero;

/// What a disk, or parts of one, holds. Parts may be taken in any order, on any thread, and added up;
/// zeros count nothing, so they need not be told.
///
/// It is the sum of the 128-bit XXH3 of each block of [`BLOCK`](Self::BLOCK) bytes that is not all zeros, times an odd number
/// for its place. That finds accidents, not forgery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Bytes of a block: a sector, which every part of a disk begins at.
    pub const BLOCK: usize = 512;

    /// Of `bytes`, which are at the byte `at` of the disk, the start of a block. A last block that is not
    /// whole counts as if zeros filled it.
    #[must_use]
    pub fn of(at: u64, bytes: &[u8]) -> Self {
        debug_assert!(at.is_multiple_of(Self::BLOCK as u64), "{at:#x} is no block's start");
        let (whole, rest) = bytes.as_chunks::<{ Self::BLOCK }>();
        let mut last = [0; Self::BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let first = u128::from(at / Self::BLOCK as u64);
        let blocks = (first..).zip(whole.iter().chain([&last]));
        let sum =
            blocks.filter(|(_, block)| !is_zero(*block)).fold(0_u128, |sum, (index, block)| {
                sum.wrapping_add(xxh3_128(block).wrapping_mul(2 * index + 1))
            });
        Self(sum)
    }

    /// Of this and another part.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{noise, text};

    #[test]
    fn parts_in_any_order_add_up_to_the_whole() {
        let disk = [text(70_000, 1), vec![0; 1 << 16], noise(50_000, 2)].concat();
        let whole = Fingerprint::of(0, &disk);
        for step in [512, 4096, 65_536] {
            let parts = disk.chunks(step).enumerate().rev();
            let sum = parts.fold(Fingerprint::default(), |sum, (n, part)| {
                sum.plus(Fingerprint::of((n * step) as u64, part))
            });
            assert_eq!(sum, whole, "{step}");
        }
    }

    #[test]
    fn zeros_count_nothing_wherever_they_are() {
        let data = noise(1000, 3);
        let alone = Fingerprint::of(1 << 50, &data);
        let padded = [vec![0; 512], data, vec![0; 5000]].concat();
        assert_eq!(Fingerprint::of((1 << 50) - 512, &padded), alone);
        assert_eq!(Fingerprint::of(512, &[0; 4096]), Fingerprint::default());
        assert_eq!(Fingerprint::of(0, &[]), Fingerprint::default());
    }

    #[test]
    fn other_bytes_and_other_places_make_a_difference() {
        let data = noise(8192, 4);
        let whole = Fingerprint::of(0, &data);
        assert_ne!(Fingerprint::of(512, &data), whole);
        for bit in (0..data.len() * 8).step_by(997) {
            let mut other = data.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Fingerprint::of(0, &other), whole, "bit {bit}");
        }
        for (a, b) in [(0, 512), (0, 4096), (1024, 7680)] {
            let mut other = data.clone();
            let (left, right) = other.split_at_mut(b);
            left[a..a + 512].swap_with_slice(&mut right[..512]);
            assert_ne!(Fingerprint::of(0, &other), whole, "blocks at {a} and {b} swapped");
        }
    }
}
