//! What contradicts a package, and what importers mind in it.

use diskferry_block_stream::{Cancel, Problem, Progress, Result};

use super::Package;
use crate::capacity::Capacity;
use crate::contents::object_to_files;
use crate::digests::Digests;
use crate::objection::Objection;

impl Package {
    /// Reports what contradicts the archive or the specification of OVF packages; for that, all that
    /// the manifest lists is read, and counted as progress. Of an XVA, blocks that have other digests than
    /// are beside them, and disks that are not whole.
    ///
    /// # Errors
    /// As for [`object`](Self::object).
    pub fn check(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        if let Some(xva) = &self.xva {
            return xva.check(&self.bases[0], cancel, progress, report);
        }
        let mut problem = |objection: Objection| {
            if let Some(problem) = objection.into_problem() {
                report(problem);
            }
        };
        self.object(&mut Digests::default(), cancel, progress, &mut problem)
    }

    /// Reports what importers mind in it; for that, all that the manifest lists is read, unless its
    /// digests are known. Progress is counted in those bytes.
    ///
    /// # Errors
    /// `Io` when a member cannot be read; `Limit` for a manifest that is too long; `Cancelled`.
    pub fn object(
        &self,
        known: &mut Digests,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Objection),
    ) -> Result<()> {
        self.object_to_files(report);
        let descriptor = self.descriptor.iter();
        descriptor.flat_map(|it| &it.objections).for_each(|objection| report(objection.clone()));
        self.object_to_manifest(known, cancel, progress, report)
    }

    /// Compares what the descriptor says of files with the archive's list, or says that neither a descriptor
    /// nor an end mark tells that it is whole: nothing is read.
    pub fn object_to_files(&self, report: &mut dyn FnMut(Objection)) {
        match (&self.descriptor, self.unmarked) {
            (Some(descriptor), _) => object_to_files(descriptor, &self.members, self.place, report),
            (None, Some(at)) => report(Objection::no_end(at)),
            (None, None) => {}
        }
    }

    /// Reports that the descriptor gives the disk that [`disk`](Self::disk) has found under that name
    /// another size than the `size` in bytes that it has.
    pub fn object_to_capacity(&self, disk: &str, size: u64, report: &mut dyn FnMut(Objection)) {
        let Some(descriptor) = &self.descriptor else { return };
        let capacity = Capacity::of(descriptor, disk);
        capacity.and_then(|it| it.object(size)).into_iter().for_each(report);
    }
}
