//! Facts that take a reading of what an image stores: is it sound, and what is it wrapped in.

use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Cursor, Disk, ErrorKind, Extent, Kind, Limits, Order, Problem, ProblemKind, Result,
};
use diskferry_engine::{self as engine, Job};
use diskferry_wrap::{Digests, Objection, survey};

use super::check::Need;
use super::facts::Facts;
use super::kind::Layer;
use super::readiness::Readiness;
use crate::format::Format;
use crate::source::around::Archive;
use crate::source::image::DiskImage;

/// Problems of an image that are remembered: nobody reads more.
const MOST_PROBLEMS: usize = 1000;

impl Readiness {
    /// Reads all that is compressed, as only that tells whether it can be unpacked, and all that has
    /// a digest; as far as the target's rules ask. The file is read once for that.
    ///
    /// # Errors
    /// `Io` or `Limit` where it cannot be read, `Cancelled`. Damage is a fact.
    pub fn read_through(
        &self,
        facts: &mut Facts,
        image: &DiskImage,
        limits: &Limits,
        job: &Job,
    ) -> Result<()> {
        let mut known = Digests::default();
        if self.needs(Need::Package) {
            facts.objections = objections(image, &mut known, job)?;
        }
        let mut unpacked = Ok(());
        if facts.is_in(Layer::Tar) && self.needs(Need::Archive) {
            // What the image has taken is its own.
            let found =
                survey(image.file(), &limits.budget(), &job.control.cancel, &job.control.progress);
            unpacked = found.map(|found| facts.survey = found);
        }
        if self.needs(Need::Stored) {
            let mut problems = Problems::default();
            // A raw disk in an archive was read with the archive.
            if facts.survey.is_none() || facts.format != Format::RAW {
                unpacked = unpacked.and_then(|()| check(image, facts, &mut problems, job));
            }
            unpacked = unpacked.and_then(|()| compare(image, &mut known, job));
            facts.is_unreadable = problems.take(unpacked)?;
            facts.problems = Some(problems.0);
        } else {
            unpacked?;
        }
        Ok(())
    }
}

/// What is wrong with an image, up to a bound.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, problem: Problem) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(problem);
        }
    }

    /// Takes damage in, and that files are missing which the image names; says whether there was
    /// any. Other errors stay what they are.
    fn take(&mut self, read: Result<()>) -> Result<bool> {
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Misuse) => {
                let at = error.place().offset;
                let text = error.to_string();
                self.push(Problem { kind: ProblemKind::Corruption, at, text });
                Ok(true)
            }
            other => other.map(|()| false),
        }
    }
}

fn objections(image: &DiskImage, known: &mut Digests, job: &Job) -> Result<Option<Vec<Objection>>> {
    let mut archives = image.around().archives.iter();
    let Some(Archive { package, member }) = archives.find(|archive| archive.package.is_ova())
    else {
        return Ok(None);
    };
    let mut found = Vec::new();
    let mut keep = |objection| {
        if found.len() < MOST_PROBLEMS {
            found.push(objection);
        }
    };
    package.object_to_capacity(member, image.disk().size(), &mut keep);
    package.object(known, &job.control.cancel, &job.control.progress, &mut keep)?;
    Ok(Some(found))
}

/// Compares the digests that manifests have of what a conversion reads: it would refuse others.
fn compare(image: &DiskImage, known: &mut Digests, job: &Job) -> Result<()> {
    let promises = image.around().promises()?;
    let mut digests = promises.iter().flat_map(|it| &it.digests);
    digests.try_for_each(|digest| digest.check(known, &|| job.control.cancel.check()))
}

/// Checks the tables, then unpacks what is packed.
fn check(image: &DiskImage, facts: &Facts, problems: &mut Problems, job: &Job) -> Result<()> {
    if image.is_packed() {
        return engine::digest(engine::Source::Disk(image.disk().as_ref()), &[], job).map(drop);
    }
    let top = image.top().image();
    top.check(&job.control.cancel, &job.control.progress, &mut |problem| problems.push(problem))?;
    // Checking ZVHD and ZVHD2 unpacks them.
    if [Format::ZVHD, Format::ZVHD2].contains(&facts.format) {
        return Ok(());
    }
    engine::digest(engine::Source::Disk(&Packed(top.as_ref())), &[], job).map(drop)
}

/// A disk of which only what is stored compressed is there; the rest is zeros.
struct Packed<'a>(&'a dyn Disk);

impl Disk for Packed<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn grain(&self) -> u64 {
        self.0.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.0.files()
    }

    fn order(&self) -> Order {
        self.0.order()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(PackedCursor(self.0.cursor()?)))
    }
}

struct PackedCursor<'a>(Box<dyn Cursor + 'a>);

impl Cursor for PackedCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let Extent { length, kind } = self.0.extent(at, limit)?;
        let kind = match kind {
            Kind::Data { compressed: true } => kind,
            Kind::Data { compressed: false } | Kind::Plain { .. } | Kind::Zero | Kind::Absent => {
                Kind::Zero
            }
        };
        Ok(Extent { length, kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.0.read(at, buf)
    }
}
