//! What the fuzz targets do with an input, so that the stable compiler can replay those they keep.
//!
//! A body knows no format: it is given the way to open an image, or to plan one. [`Choices`] turn
//! an input into whatever it should decide.

mod choices;
mod reading;
mod writing;

pub use choices::Choices;
pub use reading::{Views, any_image};
pub use writing::{Chosen, any_disk};

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

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
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&input))) {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            match said {
                Some(said) => panic!("{}: {said}", path.display()),
                None => resume_unwind(panic),
            }
        }
    }
    files.len()
}
