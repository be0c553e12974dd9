//! Looks for what is wrong with an image.

use diskferry_block_stream::{Problem, Result};
use diskferry_engine::Job;

use crate::source::around::Archive;
use crate::source::image::DiskImage;

impl DiskImage {
    /// Reports what opening warned of in the image itself, without its backing files; then reads every
    /// table of it, and reports each problem. Of an OVF package the digests in the manifest are
    /// compared, of a compressed file all is read: checksums are all that there is to check.
    ///
    /// # Errors
    /// `Io` when a table cannot be read, `Limit` when checking would need too much memory,
    /// `Cancelled`.
    pub fn check(&self, job: &Job, report: &mut dyn FnMut(Problem)) -> Result<()> {
        for Archive { package, member } in &self.around().archives {
            package.object_to_capacity(member, self.disk().size(), &mut |objection| {
                objection.into_problem().into_iter().for_each(&mut *report);
            });
            let checked = package.check(&job.control.cancel, &job.control.progress, report);
            checked.map_err(|error| error.in_file(self.file().name()))?;
        }
        self.top().image.check(&job.control.cancel, &job.control.progress, report)
    }
}
