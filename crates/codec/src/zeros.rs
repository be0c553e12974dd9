//! Finding the zeros in a buffer.
//!
//! Safe code that the compiler makes into vector instructions; a byte that is not zero ends a scan at once.

use std::iter::FusedIterator;
use std::ops::Range;

/// Whether every byte of `data` is zero. An empty buffer is.
#[must_use]
pub fn is_zero(data: &[u8]) -> bool {
    let (blocks, tail) = data.as_chunks::<BLOCK>();
    blocks.iter().all(|block| block.iter().fold(0, |seen, byte| seen | byte) == 0)
        && tail.iter().all(|&byte| byte == 0)
}

/// The longest runs of grains that are zero, or are not, from the start of `data` to its end: for each run the range
/// of its bytes, and whether they are zero. No two runs in a row are of one kind.
///
/// A grain is `grain` bytes (0 counts as 1), the last one may be shorter; it is zero if all its bytes are.
pub fn runs(data: &[u8], grain: usize) -> Runs<'_> {
    let grain = grain.max(1);
    Runs { data, grain, at: 0, zero: is_zero(&data[..grain.min(data.len())]) }
}

/// The iterator that [`runs`] makes.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    data: &'a [u8],
    grain: usize,
    at: usize,
    /// Of the grain at `at`.
    zero: bool,
}

impl Iterator for Runs<'_> {
    type Item = (Range<usize>, bool);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.data.len() {
            return None;
        }
        let (start, zero) = (self.at, self.zero);
        while self.at < self.data.len() && self.zero == zero {
            self.at = self.grain_end();
            self.zero = is_zero(&self.data[self.at..self.grain_end()]);
        }
        Some((start..self.at, zero))
    }
}

impl FusedIterator for Runs<'_> {}

impl Runs<'_> {
    fn grain_end(&self) -> usize {
        self.at.saturating_add(self.grain).min(self.data.len())
    }
}

/// Bytes between two looks at what was seen: fewer slow a long scan down, more make every grain that is not zero dear.
const BLOCK: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_of_every_length_are_zero() {
        let zeros = [0; 1000];
        for len in 0..zeros.len() {
            assert!(is_zero(&zeros[..len]));
        }
    }

    #[test]
    fn one_bit_at_any_place_is_seen() {
        for len in [1, 7, 8, 127, 128, 129, 255, 256, 257, 600] {
            let mut data = vec![0; len];
            for at in 0..len {
                data[at] = 1 << (at % 8);
                assert!(!is_zero(&data), "byte {at} of {len}");
                data[at] = 0;
            }
        }
    }

    #[test]
    fn runs_of_known_buffers() {
        let cases = [
            (&b""[..], 4, vec![]),
            (b"\0", 4, vec![(0..1, true)]),
            (b"x", 4, vec![(0..1, false)]),
            (b"\0\0\0\0\0\0\0\0", 4, vec![(0..8, true)]),
            (b"\0\0\0\0x\0\0\0\0\0", 4, vec![(0..4, true), (4..8, false), (8..10, true)]),
            (b"x\0\0\0\0\0\0x\0x", 4, vec![(0..10, false)]),
            (b"\0x\0", 1, vec![(0..1, true), (1..2, false), (2..3, true)]),
            (b"\0x\0", 0, vec![(0..1, true), (1..2, false), (2..3, true)]),
            (b"\0\0x", usize::MAX, vec![(0..3, false)]),
        ];
        for (data, grain, expected) in cases {
            assert_eq!(runs(data, grain).collect::<Vec<_>>(), expected, "{data:?} by {grain}");
        }
    }

    proptest! {
        #[test]
        fn runs_tile_the_buffer_and_agree_with_its_grains(
            parts in prop::collection::vec((prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 1usize..90), 0..30),
            grain in 1usize..70,
        ) {
            let data: Vec<u8> = parts.iter().flat_map(|&(byte, len)| vec![byte; len]).collect();
            let kinds: Vec<bool> = runs(&data, grain)
                .flat_map(|(range, zero)| range.step_by(grain).map(move |_| zero))
                .collect();
            let expected: Vec<bool> = data.chunks(grain).map(|g| g.iter().all(|&byte| byte == 0)).collect();
            prop_assert_eq!(kinds, expected);
            let found: Vec<_> = runs(&data, grain).collect();
            prop_assert!(found.windows(2).all(|pair| pair[0].0.end == pair[1].0.start && pair[0].1 != pair[1].1));
        }
    }
}
