//! How evenly bytes are spread: a cheap look at what kind of data a unit holds.

/// The entropy of `data`'s bytes, each taken for itself, in 256ths of a bit: 0 (all alike) to 2048
/// (all values equally often). Integers only, so that it is the same on every machine.
///
/// More than 4 KiB are judged by so many bytes, spread evenly: looking at all of a cluster took a
/// fifth of the time in which zstd packs it.
#[must_use]
pub fn entropy(data: &[u8]) -> u32 {
    let stride = (data.len() / SAMPLE).max(1) * RUN;
    let skip = (stride - RUN) / 2;
    let mut counts = [0_u32; 256];
    for part in data.chunks(stride) {
        for byte in part.iter().skip(skip).take(RUN) {
            counts[usize::from(*byte)] += 1;
        }
    }
    let length: u32 = counts.iter().sum();
    if length == 0 {
        return 0;
    }
    let weighted: u64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| u64::from(*count) * u64::from(log2(*count)))
        .sum();
    let mean = (weighted / u64::from(length)) as u32;
    log2(length).saturating_sub(mean) >> (FRACTION - 8)
}

/// Bytes that are looked at, at least, where there are as many.
const SAMPLE: usize = 4096;

/// Neighbouring bytes that are looked at together.
const RUN: usize = 64;

/// Bits after the point of a logarithm.
const FRACTION: u32 = 16;

/// The binary logarithm of a number that is not 0, with [`FRACTION`] bits after the point; wrong by
/// less than a hundredth.
fn log2(number: u32) -> u32 {
    let whole = number.ilog2();
    // The mantissa less 1. A parabola that is right at both ends is near enough, and quick.
    let above = ((u64::from(number) << FRACTION) >> whole) - ONE;
    let bend = (above * (ONE - above) * BEND) >> (2 * FRACTION);
    (whole << FRACTION) + (above + bend) as u32
}

const ONE: u64 = 1 << FRACTION;

/// 0.3437: the error is then least, where it is largest.
const BEND: u64 = 22_525;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_a_hundredth() {
        for number in (1..10_000).chain([65_535, 65_536, 1_000_003, u32::MAX]) {
            let exact = f64::from(number).log2() * 65_536.0;
            assert!((f64::from(log2(number)) - exact).abs() < 655.0, "{number}");
        }
    }

    #[test]
    fn entropy_is_what_its_definition_says() {
        assert_eq!(entropy(&[]), 0);
        assert_eq!(entropy(&[7; 1000]), 0);
        let all: Vec<u8> = (0..=255).cycle().take(4096).collect();
        assert_eq!(entropy(&all), 8 << 8);
        let halves: Vec<u8> = [1, 2].into_iter().cycle().take(4098).collect();
        assert_eq!(entropy(&halves), 1 << 8);
        let skewed: Vec<u8> = [0, 0, 0, 1].into_iter().cycle().take(4096).collect();
        assert!((entropy(&skewed) as i32 - 207).abs() <= 3, "{}", entropy(&skewed));
    }

    #[test]
    fn a_sample_of_a_large_unit_is_spread_over_it() {
        for length in [4096, 4097, 8191, 65_535, 65_536, 2 << 20] {
            let noise = crate::samples::noise(length, 1);
            assert!(entropy(&noise) > (8 << 8) - 30, "{length}: {}", entropy(&noise));
        }
        // Half of it text-like, half noise: neither half decides alone.
        let mut halves = vec![b'a'; 32 << 10];
        halves.extend(crate::samples::noise(32 << 10, 2));
        assert!((1100..1400).contains(&entropy(&halves)), "{}", entropy(&halves));
    }
}
