//! What the tests of every format do: choose options, write a model, open what was written, check it.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Disk, Image, Plan, Problem, Progress, Result, Stamp};
use diskferry_engine::{CopyOptions, Job, Slice, Source, copy};

use crate::Recorder;

/// The id and the time of images whose own do not matter.
pub const STAMP: Stamp = Stamp { uuid: *b"0123456789abcdef", seconds: 1_700_000_000 };

/// Options as on the command line: `key=value,key=value`. What has no value, as `c` for compression,
/// is set to an empty one.
///
/// # Panics
/// When an option is refused.
pub fn options<O: Default>(text: &str, set: impl Fn(&mut O, &str, &str) -> Result<()>) -> O {
    let mut options = O::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        set(&mut options, key, value).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    options
}

/// The file that a plan of one file makes of the disk.
///
/// # Errors
/// Whatever the copy reports.
pub fn write(plan: Plan, disk: &dyn Disk) -> Result<Arc<dyn Bytes>> {
    let recorder = Recorder::new();
    copy(Source::Disk(disk), plan, &recorder, &CopyOptions::default(), &Job::new(2)?)?;
    Ok(recorder.recorded())
}

/// The disk of `size` bytes that an image was asked to hold. The image's own size is that in whole
/// units of the format, and what is added reads as zeros.
///
/// # Errors
/// When the image cannot be read.
///
/// # Panics
/// When the image has another size, or other bytes are added.
pub fn asked_for(image: impl Disk + 'static, size: u64, unit: u64) -> Result<Arc<dyn Disk>> {
    assert_eq!(image.size(), size.next_multiple_of(unit), "{size} bytes in units of {unit}");
    let mut rest = vec![1; (image.size() - size) as usize];
    image.cursor()?.read(size, &mut rest)?;
    assert!(rest.iter().all(|byte| *byte == 0), "what rounding adds is zeros");
    Ok(Arc::new(Slice::new(Arc::new(image), 0, size)?))
}

/// All that a check finds.
///
/// # Panics
/// When the check fails.
pub fn problems(image: &dyn Image) -> Vec<Problem> {
    let mut problems = Vec::new();
    let checked = check(image, &mut |problem| problems.push(problem));
    checked.unwrap_or_else(|error| panic!("checking: {error}"));
    problems
}

/// A check that nobody stops or follows.
///
/// # Errors
/// Whatever the check reports.
pub fn check(image: &dyn Image, report: &mut dyn FnMut(Problem)) -> Result<()> {
    image.check(&Cancel::default(), &Progress::default(), report)
}

/// What opening an image warns of, as text.
pub fn warnings(image: &dyn Image) -> Vec<String> {
    image.describe().warnings.into_iter().map(|problem| problem.text).collect()
}
