//! What is done to an image.

use std::fmt;

use diskferry_testkit::Random;

use crate::sample::Sample;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file ends here.
    Cut(usize),
    /// These bytes are at this place.
    Put(usize, Vec<u8>),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(at) => write!(f, "cut at {at:#x}"),
            Self::Put(at, bytes) => write!(f, "{bytes:02x?} at {at:#x}"),
        }
    }
}

/// Bytes and fields that are replaced in each image.
const CHANGES: usize = 10_000;

impl Damage {
    /// All that is done to an image: the same each time.
    pub fn all(sample: &Sample) -> Vec<Self> {
        let mut all: Vec<_> = cuts(sample).into_iter().map(Self::Cut).collect();
        if !sample.base.is_empty() {
            let mut random = Random::new(crc(&sample.name));
            all.extend((0..CHANGES).map(|number| change(sample, &mut random, number)));
        }
        all
    }
}

/// Each sector's edge, and each edge of what is read for the sake of the image's own tables.
fn cuts(sample: &Sample) -> Vec<usize> {
    let edges = sample.tables.iter().flat_map(|(at, length)| [*at, at + length]);
    let around = edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]);
    let sectors = (0..sample.base.len()).step_by(512);
    let mut cuts: Vec<_> = sectors.chain(around.map(|edge| edge as usize)).collect();
    cuts.retain(|cut| *cut < sample.base.len());
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn change(sample: &Sample, random: &mut Random, number: usize) -> Damage {
    let end = sample.base.len() as u64;
    // Most of it in what says where things are; and the rarer in data, the more of it depends on a byte.
    let in_data = random.below(10 << 16) < sample.data_share();
    let place = match sample.tables.as_slice() {
        tables if !in_data && !tables.is_empty() => {
            let (at, length) = random.pick(tables);
            at + random.below(*length)
        }
        _ => random.below(end),
    };
    if number.is_multiple_of(2) {
        let old = sample.base[place as usize];
        let new = match random.below(4) {
            0 => *random.pick(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'/', b'9']),
            1 => random.below(256) as u8,
            _ => old ^ 1 << random.below(8),
        };
        return Damage::Put(place as usize, vec![new]);
    }
    let width = *random.pick(&[2, 4, 4, 8, 8]);
    let at = (place - place % width) as usize;
    let mut old = [0; 8];
    let have = (sample.base.len() - at).min(width as usize);
    old[..have].copy_from_slice(&sample.base[at..at + have]);
    let big = random.below(2) == 0;
    let value =
        if big { u64::from_be_bytes(old) >> (64 - 8 * width) } else { u64::from_le_bytes(old) };
    let value = number_instead(random, value, end);
    let bytes = if big { (value << (64 - 8 * width)).to_be_bytes() } else { value.to_le_bytes() };
    Damage::Put(at, bytes[..have].to_vec())
}

/// A number that may be trouble, in place of this one.
fn number_instead(random: &mut Random, old: u64, end: u64) -> u64 {
    match random.below(12) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.below(64),
        3 => (1 << random.below(64)) - 1,
        4 => old.wrapping_add(1),
        5 => old.wrapping_sub(1),
        6 => old.wrapping_mul(2),
        7 => old ^ 1 << random.below(64),
        8 => *random.pick(&[end, end - 1, end / 512, end / 512 + 1, end.div_ceil(512)]),
        9 => random.below(end),
        10 => random.below(end) / 512 * 512,
        _ => random.number(),
    }
}

/// A seed from a name.
fn crc(name: &str) -> u64 {
    name.bytes().fold(7, |seed: u64, byte| seed.rotate_left(9) ^ u64::from(byte) << 3)
}
