//! A conversion from a source to a target, from top to bottom.

mod beginning;
mod brief;
mod fit;
mod foreground;
mod gpt;
mod gpt_forward;
mod promises;
mod request;
mod resized;
mod sectors;
mod summary;
mod verify;

use std::time::Instant;

use diskferry_block_stream::{Error, ErrorKind, Plan, Result, Side};
use diskferry_engine::{self as engine, Copied, CopyOptions, Job, Stage};

use self::brief::Brief;
use self::fit::Prepared;
use self::promises::Promised;
pub use self::request::{BackupGpt, Convert, Identity, Shrink, Verify, VirtualSize};
pub use self::summary::Summary;
use self::summary::{rounding, target_info};
use crate::format::Naming;
use crate::look::info::Info;
use crate::place::file::{FileId, Location};
use crate::source::Input;
use crate::target::destination::{Destination, Target};
use crate::target::split::{self, PartPlace};

impl Convert {
    /// Converts. Either the target is there afterwards, whole, or nothing is; a pipe or
    /// a device that was the target has then had a part of it.
    ///
    /// A target of several files gets all its names or none: the parts first, then the file that
    /// names them. Where older files are being replaced and one of the names is refused, those that
    /// were replaced before it are lost, and so is the older disk.
    ///
    /// All that is wrong with the request or the target is found before anything is created, and
    /// before more of the source's data is read than tells what it is. Of a source that comes in
    /// order, that is its beginning: what an import target would refuse further in is found when the
    /// target was written.
    ///
    /// # Errors
    /// `Misuse` when the request makes no sense; `Exists` when it would overwrite something; what opening the
    /// source fails with; what the engine or the target's format fails with; `Io` when the target
    /// reads back differently; `Cancelled`.
    pub fn run(&self, job: &Job) -> Result<Summary> {
        self.convert(job).map_err(|error| match error.kind() {
            ErrorKind::Cancelled => error.in_file(&self.target.to_string()),
            _ => error,
        })
    }

    fn convert(&self, job: &Job) -> Result<Summary> {
        let started = Instant::now();
        job.control.enter(Stage::Opening);
        let destination = self.destination()?;
        let name = destination.name.clone();
        let file_name = destination.file_name().map(str::to_owned);
        let in_target = |error: Error| error.on(Side::Target).in_file(&name);
        let brief = Brief::of(self, &destination)?;
        let format = brief.format;
        destination.check_holds(format)?;
        let writing = format.writing(&brief.options, brief.compress).map_err(in_target)?;
        let input =
            self.open.open(&self.source, &job.control).map_err(|error| error.on(Side::Source))?;
        refuse_own_source(&input, &destination)?;
        let promised = Promised::of(&input)?;
        let unchanged = input.unchanged();
        let mut size = brief.size(self.size_of(&input)?, &input).map_err(in_target)?;
        let naming = Naming { stamp: self.identity.stamp(), file: file_name.as_deref() };
        let mut plan = writing.plan(size.or(input.size()), &naming).map_err(in_target)?;
        if self.fit().is_some()
            && let Some(made) = size.or(input.size())
        {
            // The end is where the format has it.
            size = made.checked_next_multiple_of(writing.unit(&plan));
            plan = writing.plan(size.or(Some(made)), &naming).map_err(in_target)?;
        }
        let parts = self.parts(&plan, &input, &destination)?;
        let (unit, grain) = (writing.unit(&plan), chunk(&plan));
        let held = |size: u64| size.checked_next_multiple_of(unit).unwrap_or(size);
        let mut source = self.prepare(input, size, unit, &brief, job)?;
        let made = source.size_ahead().map(held);
        let foreseen = brief.foresee(source.foreground(), made, file_name.as_deref(), job)?;

        let left_behind = destination.left_behind();
        let target = destination.create(parts, self.replace, self.durability)?;
        let guard = job.control.undoing(target.undo());
        target.check_fits(&plan, source.size())?;
        job.control.enter(Stage::Copying);
        let copied = promised.compare(job, |job| self.copy(&mut source, plan, &target, job));
        // Where the source was changed meanwhile, that is what is wrong, and no damage of its own.
        if copied.as_ref().is_err_and(|error| error.kind() == ErrorKind::Damaged) {
            unchanged.check()?;
        }
        let copied = copied?;
        let held = held(copied.size);
        let written = self.look_back(&source, format, &target, &copied, job)?;
        let (target_info, odd) = match &written {
            Some((image, odd)) => (target_info(&name, format, image), odd.clone()),
            None => (Info::of_stream(&name, format, Some(held), copied.target_size, grain), None),
        };
        let image = written.as_ref().map(|(image, _)| image);
        let harms = brief.confirm(foreseen, image, file_name.as_deref(), job)?;
        unchanged.check()?;
        job.cancel.check()?;
        job.control.finish(|| target.keep())?;
        drop(guard);

        let (source_info, mut warnings) = source.into_info(copied.size, held);
        warnings.extend(promised.warnings(source_info.virtual_size));
        warnings.extend(odd);
        warnings.extend(harms);
        warnings.extend(left_behind);
        warnings.extend(rounding(&name, format, copied.size, unit));
        Ok(Summary {
            source: source_info,
            target: target_info,
            copied: copied.copied,
            zeros: copied.zeros,
            seconds: started.elapsed().as_secs_f64(),
            digests: copied.digests,
            verified: self.verify == Verify::ReadBack,
            ready_for: brief.ready_for(),
            warnings,
        })
    }

    fn copy(
        &self,
        source: &mut Prepared,
        plan: Plan,
        target: &Target,
        job: &Job,
    ) -> Result<Copied> {
        let options = self.copy_options(source);
        match (plan, target, &*source) {
            (Plan::Split(split), Target::Split(files), Prepared::Disk { disk, .. }) => {
                let (parts, descriptor) = (files.parts(), files.descriptor());
                engine::copy_split(disk, split, &parts, descriptor, &options, job)
            }
            (plan, ..) => engine::copy(source.source(), plan, target.output(), &options, job),
        }
    }

    /// The target as it is, once nothing speaks against it.
    fn destination(&self) -> Result<Destination> {
        let destination = Destination::find(&self.target)?;
        // Before the hint at --force, which would not help here.
        if let Location::Path(path) = &self.source
            && let Ok(metadata) = path.metadata()
            && destination.id == Some(FileId::of(&metadata))
        {
            return Err(Error::misuse("the source and the target are the same file")
                .in_file(&destination.name));
        }
        destination.check_replace(self.replace)?;
        if self.verify == Verify::ReadBack && destination.is_pipe() {
            return Err(Error::misuse("a pipe cannot be read back; --verify needs a file")
                .in_file(&destination.name));
        }
        Ok(destination)
    }

    /// The further files of the target as they are, once nothing speaks against them; `None` where
    /// it is a file alone.
    fn parts(
        &self,
        plan: &Plan,
        input: &Input,
        destination: &Destination,
    ) -> Result<Option<Vec<PartPlace>>> {
        let Plan::Split(split) = plan else { return Ok(None) };
        if let Input::Stream(stream) = input {
            return Err(Error::unsupported(format!(
                "this subformat is several files; it cannot be written from a pipe ('{}')",
                stream.name()
            ))
            .in_file(&destination.name));
        }
        let parts = split::places(destination, split)?;
        for part in &parts {
            refuse_own_source(input, &part.destination)?;
            part.destination.check_replace(self.replace)?;
        }
        Ok(Some(parts))
    }

    /// What the engine is told.
    fn copy_options(&self, source: &Prepared) -> CopyOptions {
        let fingerprint = self.verify == Verify::ReadBack && source.is_dear(self.zeros);
        CopyOptions { zeros: self.zeros, digests: self.digests.clone(), fingerprint }
    }
}

/// The unit in which a plan stores a disk, in bytes; 1 where there is none.
fn chunk(plan: &Plan) -> u64 {
    match plan {
        Plan::Flat(_) | Plan::Split(_) => 1,
        Plan::Packed(packed) => packed.chunk as u64,
        Plan::Enclosed(enclosed) => enclosed.inner.chunk as u64,
    }
}

fn refuse_own_source(input: &Input, destination: &Destination) -> Result<()> {
    let Some(id) = destination.id else { return Ok(()) };
    let used = match input {
        Input::Image(image) => image.file_in_use(id),
        Input::Stream(stream) => stream.file_in_use(id),
    };
    let Some(name) = used else { return Ok(()) };
    Err(Error::misuse(format!("the target is the same file as '{name}', which the source needs"))
        .in_file(&destination.name))
}
