//! What fuzzing kept, replayed; and good disks with bytes changed: they are looked at, without a panic and
//! without contradiction.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use diskferry_testkit::fuzz::kept;
use diskferry_testkit::{Random, within};

#[path = "../../../fuzz/src/inspect.rs"]
mod bodies;

#[test]
fn any_disk_is_looked_at() {
    kept("inspect", bodies::disk);
}

#[test]
fn a_changed_disk_is_looked_at() {
    let rounds = || {
        for (index, good) in bodies::DISKS.iter().enumerate() {
            bodies::any_disk(good);
            let mut random = Random::new(index as u64);
            // Where nothing stands, little can go wrong.
            let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
            for _ in 0..if good.len() > 1 << 20 { ROUNDS / 5 } else { ROUNDS } {
                let mut disk = good.clone();
                change(&mut disk, &used, &mut random);
                bodies::any_disk(&disk);
            }
        }
    };
    within(Duration::from_secs(600), "looking at changed disks", rounds);
}

/// Changes a few numbers near bytes that matter; half of the time, checksums are made right again.
fn change(disk: &mut Vec<u8>, used: &[usize], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let near = match used {
            [] => random.below(disk.len() as u64) as usize,
            used => *random.pick(used),
        };
        let at = near.saturating_add(random.below(17) as usize).saturating_sub(8) & !1;
        let width = 1 << random.below(4);
        let number = match random.below(3) {
            0 => random.number(),
            1 => *random.pick(&NUMBERS),
            _ => random.below(4096),
        };
        if let Some(bytes) = disk.get_mut(at..at + width) {
            bytes.copy_from_slice(&number.to_le_bytes()[..width]);
        }
    }
    if random.below(10) == 0 {
        disk.truncate(random.below(disk.len() as u64) as usize + 1);
    }
    if random.below(2) == 0 {
        bodies::seal_all(disk);
    }
}

/// Values that fields trip over.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7F,
    0xFF,
    0xFFFF,
    0xFFF_FFF8,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 55,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Changed disks of each kind; of the larger ones, a fifth of that.
const ROUNDS: usize = 1000;
