//! What was written, compared with what was read: which of both is at fault where they differ or are damaged.

use std::sync::Arc;

use diskferry_block_stream::{Disk, Error, ErrorKind, Result, Side};
use diskferry_engine::{self as engine, Copied, Difference, Job, Sided, Slice, Source};

use crate::convert::prepared::Prepared;
use crate::source::image::DiskImage;

/// Damage in what was just written is no damaged image of the user's: the storage has lost it.
pub(super) fn reads_back_damaged(error: Error, target: &str) -> Error {
    // Where its signature is lost, it looks like something else.
    let is_lost =
        matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Refused | ErrorKind::Unsupported);
    if is_lost && error.side() == Some(Side::Target) {
        let text = format!("the target reads back differently: {error}");
        return Error::new(ErrorKind::Io, text).on(Side::Target).in_file(target);
    }
    error
}

/// Compares the target with what was copied.
pub(super) fn verify(
    source: &Prepared,
    target: &DiskImage,
    copied: &Copied,
    is_device: bool,
    job: &Job,
) -> Result<()> {
    let size = copied.size;
    let differs = |what: String| {
        Error::new(ErrorKind::Io, format!("the target reads back differently: {what}"))
            .on(Side::Target)
            .in_file(target.name())
    };
    let mut disk = sided(target.disk(), Side::Target);
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
        Prepared::Disk { disk: original, .. } => {
            engine::compare(&sided(original, Side::Source), &disk, job)?
        }
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

/// Names may be alike; so errors say their side.
fn sided(disk: &Arc<dyn Disk>, side: Side) -> Arc<dyn Disk> {
    Arc::new(Sided::new(Arc::clone(disk), side))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::convert::request::Convert;
    use crate::format::Format;
    use crate::place::location::Location;
    use crate::source::options::OpenOptions;

    /// The bytes of an image from which on all are 0xff once it is open: its tables.
    const TABLES: u64 = 65536;

    /// An image of a megabyte whose tables are damaged after it was opened.
    fn damaged_once_open(path: &Path, job: &Job) -> DiskImage {
        let raw = path.with_extension("bin");
        std::fs::write(&raw, vec![7; 1 << 20]).unwrap();
        let made = Convert { to: Some(Format::QCOW2), ..Convert::new(raw, path.to_owned()) };
        made.run(job).unwrap();
        let options = OpenOptions { format: Some(Format::QCOW2), ..OpenOptions::default() };
        let image = options.open_image(&Location::Path(path.to_owned()), &job.control).unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        bytes[TABLES as usize..].fill(0xff);
        std::fs::write(path, bytes).unwrap();
        image
    }

    #[test]
    fn damage_that_verifying_finds_is_told_of_the_side_that_has_it_whatever_the_names() {
        let folder = tempfile::tempdir().unwrap();
        let job = Job::new(1).unwrap();
        let (source, target) = (folder.path().join("disk.qcow2"), folder.path().join("disk"));
        std::fs::write(folder.path().join("whole"), vec![7; 1 << 20]).unwrap();
        let whole = || {
            let location = Location::Path(folder.path().join("whole"));
            OpenOptions::default().open_image(&location, &job.control).unwrap()
        };
        for (source, target, kind, side) in [
            (damaged_once_open(&source, &job), whole(), ErrorKind::Damaged, Side::Source),
            (whole(), damaged_once_open(&target, &job), ErrorKind::Io, Side::Target),
        ] {
            let disk = Arc::clone(source.disk());
            let source = Prepared::Disk { image: source, disk, odd: Vec::new() };
            let copied = Copied { size: 1 << 20, ..Copied::default() };
            let error = verify(&source, &target, &copied, false, &job).unwrap_err();
            let error =
                reads_back_damaged(error, &folder.path().join("disk").display().to_string());
            assert_eq!((error.kind(), error.side()), (kind, Some(side)), "{error}");
        }
    }
}
