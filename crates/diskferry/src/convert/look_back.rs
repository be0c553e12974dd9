//! The target as it reads back through its own format, compared with what was copied.

use diskferry_block_stream::{Error, Note, NoteKind, Result, Side};
use diskferry_engine::{End, Job, ReadBack, Stage};

use crate::convert::foresee::Foreseen;
use crate::convert::summary::target_info;
use crate::convert::task::Task;
use crate::convert::verify::{reads_back_damaged, verify};
use crate::convert::write::Made;
use crate::look::info::Info;
use crate::source::image::DiskImage;
use crate::source::options::{Backing, OpenOptions};

/// What was found when the target was looked at.
pub(super) struct Seen {
    pub info: Info,
    /// What is odd about it, and what may do harm where it is meant to go.
    pub warnings: Vec<Note>,
}

impl Task<'_> {
    /// Looks at what was written, where that can be read back, and judges it as what was foreseen.
    ///
    /// # Errors
    /// `Io` where it reads back differently, `Refused` where the import target would refuse it, `Cancelled`.
    pub fn look_back(&self, made: &Made<'_>, foreseen: Foreseen, job: &Job) -> Result<Seen> {
        let (image, end) = match made.target.read_back()? {
            Some(written) => {
                let end = written.end;
                (Some(self.reopen(made, written, job)?), end)
            }
            None if self.verifies() => {
                return Err(self.in_target(Error::unsupported("it cannot be read back")));
            }
            None => (None, End::AsWritten),
        };
        let (info, odd) = match &image {
            Some(image) => {
                (target_info(&self.name, self.brief.format, image), goes_on(made, image, end))
            }
            None => {
                let held = made.unit.held(made.copied.size);
                let length = made.copied.target_size;
                let format = self.brief.format;
                (Info::of_piped(&self.name, format, held, length, made.chunk), None)
            }
        };
        let harms = self.brief.confirm(foreseen, image.as_ref(), self.file_name.as_deref(), job)?;
        Ok(Seen { info, warnings: odd.into_iter().chain(harms).collect() })
    }

    /// Opens the target through its own reader, and compares it where that is asked for.
    fn reopen(&self, made: &Made<'_>, written: ReadBack, job: &Job) -> Result<DiskImage> {
        let is_device = written.end == End::WithDevice;
        let format = Some(self.brief.format);
        // What the caller lets an image take, the target may take as well.
        let limits = self.request.open.limits.clone();
        let open = OpenOptions { format, backing: Backing::Ignored, limits, ..Default::default() };
        let name = self.name.as_str();
        let differently = |error: Error| reads_back_damaged(error, name);
        let image = open
            .open_written(name, written, &job.control)
            .map_err(|error| differently(error.on(Side::Target)))?;
        if self.verifies() {
            job.control.enter(Stage::Verifying);
            let Made { source, copied, .. } = made;
            verify(source, &image, copied, is_device, job).map_err(differently)?;
        }
        Ok(image)
    }
}

/// Says that a device is longer than the disk.
fn goes_on(made: &Made<'_>, image: &DiskImage, end: End) -> Option<Note> {
    let rest = image.disk().size().saturating_sub(made.copied.size);
    (end == End::WithDevice && rest > 0).then(|| {
        let text = format!(
            "the device goes on for {rest} bytes after the disk, with what was there before"
        );
        Note::of(NoteKind::Size, image.name(), text)
    })
}
