//! The source at the size, and with the partition table, that the target is to have.

use std::cmp::Ordering;
use std::sync::Arc;

use diskferry_block_stream::{Disk, Error, Naming, Note, Plan, Remedy, Result, Stream};
use diskferry_engine::{self as engine, Destination, Difference, Job, Pad, Patched, Slice, Stage};
use diskferry_raw::Raw;

use crate::convert::beginning::Beginning;
use crate::convert::gpt::{Fit, look_for_gpt};
use crate::convert::gpt_forward::MovingGpt;
use crate::convert::open::refuse_own_source;
use crate::convert::prepared::{Prepared, PreparedStream, backup_stays};
use crate::convert::request::{Shrink, VirtualSize};
use crate::convert::resized::{Resized, not_zero};
use crate::convert::sectors;
use crate::convert::task::Task;
use crate::convert::unit::Unit;
use crate::look::info::Info;
use crate::source::arrived::Arriving;
use crate::source::forward::lookahead::Most;
use crate::source::image::DiskImage;
use crate::source::opened::{Body, Opened};
use crate::source::origin::Origin;

/// A source that fits its target, and how it is stored there.
pub(super) struct Fitted {
    pub source: Prepared,
    pub plan: Plan,
    /// What the target's size is a multiple of.
    pub unit: Unit,
}

impl Task<'_> {
    /// Plans the target, and makes the source fit it.
    ///
    /// # Errors
    /// `Misuse` where the size makes no sense or data would be lost, `Unsupported` where the format or the table cannot
    /// be so; those of reading the source.
    pub fn fit(&self, input: Opened, destination: &dyn Destination, job: &Job) -> Result<Fitted> {
        let asked = self.asked(&input)?;
        let mut size = self.brief.size(asked, &input).map_err(|error| self.in_target(error))?;
        let stamp = self.request.identity.stamp();
        let naming = Naming { stamp, file: self.file_name.as_deref() };
        let unit = Unit(self.writing.unit());
        if self.request.fit().is_some()
            && let Some(made) = size.or(input.size())
        {
            // The end is where the format has it.
            size = Some(unit.held(made));
        }
        let plan = self.writing.plan(size.or(input.size()), &naming);
        let plan = plan.map_err(|error| self.in_target(error))?;
        self.check_place(&plan, &input, destination)?;
        let source = self.prepare(input, size, unit, job)?;
        Ok(Fitted { source, plan, unit })
    }

    /// Whether the target's place takes such a plan, and nothing there is needed by the source.
    fn check_place(
        &self,
        plan: &Plan,
        input: &Opened,
        destination: &dyn Destination,
    ) -> Result<()> {
        if let (Plan::Split(_), Body::Forward(_)) = (plan, &input.body) {
            let text = format!(
                "this subformat is several files; it cannot be written from a pipe ('{}')",
                input.name()
            );
            return Err(self.in_target(Error::unsupported(text)));
        }
        let mut needs = self.needs();
        needs.plan = Some(plan);
        refuse_own_source(input, destination, &needs)?;
        destination.accepts(&needs)
    }

    /// The size that is asked for, in bytes.
    fn asked(&self, input: &Opened) -> Result<Option<u64>> {
        match self.request.size {
            None => Ok(None),
            Some(VirtualSize::Bytes(size)) => Ok(Some(size)),
            Some(VirtualSize::Original) => {
                let none = || {
                    Error::misuse(
                        "its format keeps no original size; only zvhd and zvhd2 do, which round \
                         sizes up",
                    )
                };
                let size = input.original_size();
                size.ok_or_else(none).map(Some).map_err(|error| error.in_file(input.name()))
            }
        }
    }

    /// The source at the size that the target is to have.
    fn prepare(&self, input: Opened, size: Option<u64>, unit: Unit, job: &Job) -> Result<Prepared> {
        let Opened { origin, body } = input;
        match body {
            Body::Forward(disk) => self.prepare_stream(origin, disk, size, unit, job),
            Body::Random(layers) => {
                let image = DiskImage { origin, layers };
                let disk = Arc::clone(image.disk());
                let made = size.unwrap_or(disk.size());
                let held = unit.held(made);
                let (disk, odd) = match self.request.fit() {
                    None if made == held && held == disk.size() => (disk, Vec::new()),
                    _ => self.resized(&image, made, held, job)?,
                };
                let other = match self.request.gpt_sectors {
                    // It was asked for.
                    Some(_) => None,
                    None => sectors::warn(image.name(), disk.as_ref())
                        .map_err(|error| error.in_file(image.name()))?,
                };
                let odd = odd.into_iter().chain(other).collect();
                Ok(Prepared::Disk { image, disk, odd })
            }
        }
    }

    /// The disk of an image made longer or shorter, and what is odd about that, as the target holds
    /// it in `held` bytes.
    fn resized(
        &self,
        image: &DiskImage,
        size: u64,
        held: u64,
        job: &Job,
    ) -> Result<(Arc<dyn Disk>, Vec<Note>)> {
        let own = image.disk();
        let resized: Arc<dyn Disk> = match size.cmp(&own.size()) {
            Ordering::Greater => Arc::new(Pad::new(Arc::clone(own), size)?),
            Ordering::Equal => Arc::clone(own),
            Ordering::Less => self.shrunk(image, size, job)?,
        };
        let in_image = |error: Error| error.in_file(image.name());
        match (
            look_for_gpt(own.as_ref(), &job.control.cancel).map_err(in_image)?,
            self.request.fit(),
        ) {
            (None, Some(fit @ Fit::Sectors(_))) => Err(in_image(fit.cannot("there is none"))),
            (None, _) => Ok((resized, Vec::new())),
            (Some(_), None) if held == own.size() => Ok((resized, Vec::new())),
            (Some(found), Some(fit)) => {
                let patches = fit.patches(&found, size).map_err(in_image)?;
                let patches = patches.into_iter().map(|patch| (patch.offset, patch.bytes));
                let disk = Arc::new(Patched::new(resized, patches.collect())?);
                Ok((disk, fit.warnings(image.name(), &found)))
            }
            (Some(_), None) => Ok((resized, vec![backup_stays(image.name())])),
        }
    }

    /// The beginning of a stream is looked at where an import target has rules about it, or where
    /// the disk's end may move.
    fn prepare_stream(
        &self,
        origin: Origin,
        mut disk: Arriving,
        size: Option<u64>,
        unit: Unit,
        job: &Job,
    ) -> Result<Prepared> {
        let (own, name) = (disk.size(), origin.name().to_owned());
        let in_stream = |error: Error| error.in_file(&name);
        if let (Some(own), Some(size)) = (own, size) {
            self.check_shrink(own, size).map_err(in_stream)?;
        }
        let made = size.or(own);
        let held = made.map(|size| unit.held(size));
        // Where nothing can move it, nobody waits for the first bytes.
        let moves_end = match own {
            None => size.is_some() || unit.rounds(),
            Some(_) => held != own,
        };
        let fit = self.request.fit();
        let most = match self.brief.is_import() || fit.is_some() {
            true => Some(Most::HEAD),
            false => moves_end.then_some(Most::TABLE),
        };
        let kept = most.map(|most| disk.keep(most, &job.control.cancel)).transpose()?;
        let beginning = kept.as_deref().map(|kept| Beginning::look(kept, made, job)).transpose();
        let beginning = beginning.map_err(in_stream)?;
        let info = Info::of_arriving(&origin, &disk);
        let Arriving { stream, told, read, .. } = disk;
        let (mut arrived, mut odd) = (None, Vec::new());
        let mut resized = |stream, size| {
            let resized = Resized::new(stream, size, self.request.effective_shrink());
            arrived = Some(resized.arrived());
            resized
        };
        let stream: Box<dyn Stream> = match (fit, kept, &beginning) {
            (Some(fit), Some(head), Some(beginning)) if beginning.may_have_gpt() => {
                let size = size.ok_or_else(|| in_stream(size_untold()))?;
                let resized = resized(stream, size);
                odd.extend(fit.warnings(&name, &beginning.found));
                let moving = MovingGpt::new(resized, head, &beginning.found, (fit, size), job);
                Box::new(moving.map_err(in_stream)?)
            }
            (Some(fit @ Fit::Sectors(_)), ..) => {
                return Err(in_stream(fit.cannot("there is none")));
            }
            _ => match size {
                Some(size) => Box::new(resized(stream, size)),
                None => stream,
            },
        };
        let stream = match self.request.gpt_sectors {
            Some(_) => stream,
            None => Box::new(sectors::Watched::new(stream)),
        };
        let stays = fit.is_none() && beginning.as_ref().is_some_and(Beginning::has_gpt);
        Ok(Prepared::Stream(PreparedStream {
            name,
            info,
            stream,
            own,
            size: made,
            beginning: beginning.map(Box::new),
            arrived,
            read,
            told,
            stays,
            odd,
        }))
    }

    /// # Errors
    /// `Misuse` when a disk of `own` bytes is to be made smaller without leave.
    fn check_shrink(&self, own: u64, size: u64) -> Result<()> {
        if size < own && self.request.effective_shrink() == Shrink::Refuse {
            return Err(Error::misuse(format!(
                "a size of {size} bytes is less than the disk's {own}"
            ))
            .mended_by(Remedy::AllowShrink));
        }
        Ok(())
    }

    fn shrunk(&self, image: &DiskImage, size: u64, job: &Job) -> Result<Arc<dyn Disk>> {
        let own = image.disk().size();
        self.check_shrink(own, size).map_err(|error| error.in_file(image.name()))?;
        job.control.enter(Stage::Shrinking);
        let rest: Arc<dyn Disk> = Arc::new(Slice::new(Arc::clone(image.disk()), size, own - size)?);
        let nothing: Arc<dyn Disk> = Arc::new(Raw::open(Arc::new(Vec::new())));
        match engine::compare(&rest, &nothing, job)? {
            Some(Difference::Content(at)) => Err(not_zero(size + at, size).in_file(image.name())),
            Some(Difference::Size(..)) | None => {
                Ok(Arc::new(Slice::new(Arc::clone(image.disk()), 0, size)?))
            }
        }
    }
}

/// A GPT that cannot be moved, as nobody knows where to.
fn size_untold() -> Error {
    Error::misuse(
        "to move a GPT, or to write it anew, changes the beginning of the disk by its size, which a stream tells \
         only at its end",
    )
    .mended_by(Remedy::GiveSize)
}
