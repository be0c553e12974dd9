//! The target as it reads back, compared with what was copied.

use std::sync::Arc;

use diskferry_block_stream::{Error, ErrorKind, Result};
use diskferry_engine::{self as engine, Copied, Difference, Job, Slice, Source, Stage};

use crate::convert::fit::Prepared;
use crate::convert::request::{Convert, Verify};
use crate::format::Format;
use crate::source::{Backing, DiskImage, OpenOptions};
use crate::target::destination::Target;

impl Convert {
    /// Opens the target through its own reader, where it has one, and compares it where that is
    /// asked for. Returns it, and what is odd about it.
    pub(super) fn look_back(
        &self,
        source: &Prepared,
        format: Format,
        target: &Target,
        copied: &Copied,
        job: &Job,
    ) -> Result<Option<(DiskImage, Option<String>)>> {
        let Some(written) = target.read_back()? else { return Ok(None) };
        let open =
            OpenOptions { format: Some(format), backing: Backing::Ignored, ..Default::default() };
        let name = target.output().name();
        let image = open
            .open_written(name, written, &job.control)
            .map_err(|error| reads_back_damaged(error, name))?;
        let is_device = matches!(target, Target::Device(_));
        if self.verify == Verify::ReadBack {
            job.control.enter(Stage::Verifying);
            verify(source, &image, copied, is_device, job)
                .map_err(|error| reads_back_damaged(error, name))?;
        }
        let rest = image.disk().size().saturating_sub(copied.size);
        let odd = (is_device && rest > 0).then(|| {
            format!(
                "{}: the device goes on for {rest} bytes after the disk, with what was there before",
                image.name()
            )
        });
        Ok(Some((image, odd)))
    }
}

/// Damage in what was just written is no damaged image of the user's: the storage has lost it.
fn reads_back_damaged(error: Error, target: &str) -> Error {
    let file = error.place().file.as_deref().unwrap_or_default();
    // Where its signature is lost, it looks like something else.
    let is_lost = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported);
    if is_lost && file.starts_with(target) {
        let text = format!("the target reads back differently: {error}");
        return Error::new(ErrorKind::Io, text).in_file(target);
    }
    error
}

/// Compares the target with what was copied.
fn verify(
    source: &Prepared,
    target: &DiskImage,
    copied: &Copied,
    is_device: bool,
    job: &Job,
) -> Result<()> {
    let size = copied.size;
    let differs = |what: String| {
        Error::new(ErrorKind::Io, format!("the target reads back differently: {what}"))
            .in_file(target.name())
    };
    let mut disk = Arc::clone(target.disk());
    if disk.size() < size {
        return Err(differs(format!("{} bytes instead of {size}", disk.size())));
    }
    // Formats may round the size up, with zeros. A device's rest is none of the target.
    if is_device && disk.size() > size {
        disk = Arc::new(Slice::new(disk, 0, size)?);
    }
    if let Some(sent) = copied.fingerprint {
        let (_, found) = engine::fingerprint(Source::Disk(disk.as_ref()), job)?;
        if found == sent {
            return Ok(());
        }
    }
    // Where something differs, or where that is as quick, both are read.
    let difference = match source {
        Prepared::Disk { disk: original, .. } => engine::compare(original, &disk, job)?,
        Prepared::Stream(_) => None,
    };
    match difference {
        Some(Difference::Content(at)) => Err(differs(format!("at {at:#x}"))),
        Some(Difference::Size(..)) | None if copied.fingerprint.is_none() => Ok(()),
        Some(Difference::Size(..)) | None => {
            Err(differs("it does not hold what was read from the source".to_owned()))
        }
    }
}
