//! Benchmarks of the parts; run with `cargo bench -p diskferry-benches`.

/// Bytes of a unit: qcow2's default cluster.
pub const UNIT: usize = 64 << 10;

/// `count` units of [`UNIT`] bytes, the same for the same seed, in the mixture of a system disk: text, program code
/// (short fields that repeat with small changes), tables with zeros, and a part that is compressed already. At zlib's
/// level 6 they shrink to about half.
#[must_use]
pub fn units(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let words: Vec<Vec<u8>> = (0..4096).map(|_| random.word()).collect();
    (0..count)
        .map(|_| {
            let mut unit = Vec::with_capacity(UNIT + 4096);
            while unit.len() < UNIT {
                match random.below(16) {
                    0..6 => random.text(&words, &mut unit),
                    6..12 => random.code(&mut unit),
                    12..15 => random.table(&mut unit),
                    _ => random.noise(&mut unit),
                }
            }
            unit.truncate(UNIT);
            unit
        })
        .collect()
}

/// xorshift64: enough for test data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn word(&mut self) -> Vec<u8> {
        let len = 2 + self.below(9);
        (0..len).map(|_| b"etaoinshrdlucmfw"[usize::from(self.byte() & self.byte() & 15)]).collect()
    }

    /// Words, the first ones of the list more often.
    fn text(&mut self, words: &[Vec<u8>], out: &mut Vec<u8>) {
        for _ in 0..600 {
            let top = 1 << (1 + self.below(12));
            let word = &words[usize::try_from(self.below(top)).unwrap_or(0)];
            out.extend_from_slice(word);
            out.push(if self.below(12) == 0 { b'\n' } else { b' ' });
        }
    }

    /// Instructions: a few common ones with operands that vary.
    fn code(&mut self, out: &mut Vec<u8>) {
        for _ in 0..700 {
            match self.below(6) {
                0 => out.extend_from_slice(&[0x48, 0x89, 0xc0 | self.byte() & 0x3f]),
                1 => out.extend_from_slice(&[0x48, 0x8b, 0x44, 0x24, self.byte() & 0x78]),
                2 => out.extend_from_slice(&[0xe8, self.byte(), self.byte(), self.byte() & 3, 0]),
                3 => out.extend_from_slice(&[0x0f, 0x84 | self.byte() & 1, self.byte(), 0, 0, 0]),
                4 => out.extend_from_slice(&[0x48, 0x8d, 0x35, self.byte(), self.byte(), 1, 0]),
                _ => out.extend_from_slice(&[0x41, 0x50 | self.byte() & 7, self.byte()]),
            }
        }
    }

    /// Entries of 24 bytes that count up.
    fn table(&mut self, out: &mut Vec<u8>) {
        let mut at = self.below(1 << 20);
        for _ in 0..120 {
            at += 8 * self.below(64);
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&[1, 0, 0, 0, self.byte(), self.byte() & 7, 0, 0]);
            out.extend_from_slice(&(at * 3).to_le_bytes());
        }
    }

    fn noise(&mut self, out: &mut Vec<u8>) {
        out.extend((0..3000).map(|_| self.byte()));
    }
}
