//! What the fuzz targets do with an input, so that the stable compiler can replay those they keep.
//!
//! A body knows no format: it is given the way to open an image, or to plan one. [`Choices`] turn
//! an input into whatever it should decide.

mod choices;
mod reading;
mod writing;

pub use choices::Choices;
pub use reading::{Views, any_image, view};
pub use writing::{Chosen, any_disk};

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use crate::Random;

/// Replays what is kept for a fuzz target, its corpus and what once crashed it.
///
/// # Panics
/// As [`replay`] does, and when there is no corpus.
pub fn kept(target: &str, body: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let inputs = replay(&fuzz.join("corpus").join(target), body);
    assert!(inputs > 0, "nothing is kept for {target}");
    let crashes = fuzz.join("crashes").join(target);
    if crashes.is_dir() {
        replay(&crashes, body);
    }
}

/// Runs `body` over inputs from seeds, for those who have no fuzzer at hand.
///
/// # Panics
/// When `body` panics; the message then names the seed.
pub fn random(seeds: std::ops::Range<u64>, body: fn(&[u8])) {
    for seed in seeds {
        let mut random = Random::new(seed);
        let input: Vec<u8> = (0..random.length(48)).map(|_| random.below(256) as u8).collect();
        named(&format!("seed {seed}"), || body(&input));
    }
}

/// Runs `body` over every file in `dir`, in the order of their names, and returns how many there were.
///
/// # Panics
/// When `dir` cannot be read, or when `body` panics; the message then names the file.
pub fn replay(dir: &Path, body: impl Fn(&[u8])) -> usize {
    let listing = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = listing
        .map(|entry| entry.unwrap_or_else(|e| panic!("{}: {e}", dir.display())).path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    for path in &files {
        let input = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        named(&path.display().to_string(), || body(&input));
    }
    files.len()
}

/// Replaces bytes at an offset, where there are so many.
pub fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let end = at.saturating_add(bytes.len());
    if let Some(place) = file.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}

/// Runs `work`; when that panics, the message begins with `name`.
fn named(name: &str, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        match said {
            Some(said) => panic!("{name}: {said}"),
            None => resume_unwind(panic),
        }
    }
}
