//! How evenly bytes are spread: a cheap look at what kind of data a unit holds.

/// The entropy of `data`'s bytes, each taken for itself, in 256ths of a bit: 0 (all alike) to 2048
/// (all values equally often). Integers only, so that it is the same on every machine.
#[must_use]
pub fn entropy(data: &[u8]) -> u32 {
    let Ok(length) = u32::try_from(data.len()) else { return 8 << 8 };
    if length == 0 {
        return 0;
    }
    // Neighbours are often alike; with four tables, counting one need not wait for the other.
    let mut counts = [[0_u32; 256]; 4];
    for quad in data.chunks(4) {
        for (table, byte) in counts.iter_mut().zip(quad) {
            table[usize::from(*byte)] += 1;
        }
    }
    let [a, b, c, d] = &counts;
    let weighted: u64 = (0..256)
        .map(|value| a[value] + b[value] + c[value] + d[value])
        .filter(|count| *count > 0)
        .map(|count| u64::from(count) * u64::from(log2(count)))
        .sum();
    let mean = (weighted / u64::from(length)) as u32;
    log2(length).saturating_sub(mean) >> (FRACTION - 8)
}

/// Bits after the point of a logarithm.
const FRACTION: u32 = 16;

/// The binary logarithm of a number that is not 0, with [`FRACTION`] bits after the point.
fn log2(number: u32) -> u32 {
    let whole = number.ilog2();
    // The mantissa, 1 to 2, with 31 bits after the point. Each squaring gives the next bit.
    let mut mantissa = u64::from(number) << (31 - whole);
    let mut log = whole;
    for _ in 0..FRACTION {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = u32::from(mantissa >= 2 << 31);
        mantissa >>= bit;
        log = (log << 1) | bit;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_the_last_bits() {
        for number in [1, 2, 3, 5, 10, 255, 65_535, 65_536, 1_000_003, u32::MAX] {
            let exact = f64::from(number).log2() * 65_536.0;
            assert!((f64::from(log2(number)) - exact).abs() < 2.0, "{number}");
        }
    }

    #[test]
    fn entropy_is_what_its_definition_says() {
        assert_eq!(entropy(&[]), 0);
        assert_eq!(entropy(&[7; 1000]), 0);
        let all: Vec<u8> = (0..=255).cycle().take(65_536).collect();
        assert_eq!(entropy(&all), 8 << 8);
        let halves: Vec<u8> = [1, 2].into_iter().cycle().take(4098).collect();
        assert_eq!(entropy(&halves), 1 << 8);
        let skewed: Vec<u8> = [0, 0, 0, 1].into_iter().cycle().take(4096).collect();
        assert!((entropy(&skewed) as i32 - 207).abs() <= 1, "{}", entropy(&skewed));
    }
}
