//! Bytes for the tests: the same for the same seed.

/// Bytes without any pattern.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Text of four letters: it compresses, with matches at every distance up to its length.
pub fn text(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b'a' + byte % 4).collect()
}
