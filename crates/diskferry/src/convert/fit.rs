//! The source at the size, and with the partition table, that the target is to have.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use diskferry_block_stream::{Disk, Error, Order, Result, Stream};
use diskferry_engine::{
    self as engine, Difference, Job, Pad, Patched, Slice, Source, Stage, Zeros,
};
use diskferry_raw::Raw;

use crate::convert::beginning::Beginning;
use crate::convert::brief::Brief;
use crate::convert::foreground::Foreground;
use crate::convert::gpt::{Fit, look_for_gpt};
use crate::convert::gpt_forward::MovingGpt;
use crate::convert::request::{Convert, Shrink, VirtualSize};
use crate::convert::resized::{Resized, not_zero};
use crate::convert::sectors;
use crate::look::info::Info;
use crate::source::forward::lookahead::Most;
use crate::source::stream::{StreamInput, Told};
use crate::source::{DiskImage, Input};

/// A source at the target's size.
pub(super) enum Prepared {
    Disk {
        image: DiskImage,
        disk: Arc<dyn Disk>,
        /// What is odd about what was made of it.
        odd: Vec<String>,
    },
    Stream(PreparedStream),
}

pub(super) struct PreparedStream {
    name: String,
    info: Info,
    stream: Box<dyn Stream>,
    /// The virtual size that it has, where it is known beforehand.
    own: Option<u64>,
    /// The virtual size that it is given, or that it has.
    size: Option<u64>,
    /// What it begins with, where that was looked at.
    beginning: Option<Box<Beginning>>,
    /// How many bytes of the disk arrived, where it was given a size.
    arrived: Option<Arc<AtomicU64>>,
    /// How many bytes of the pipe were read.
    read: Arc<AtomicU64>,
    /// The format that its end told.
    told: Told,
    /// Whether it has a GPT, whose backup stays where it is.
    stays: bool,
    /// What is odd about what was made of it.
    odd: Vec<String>,
}

impl Prepared {
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Disk { disk, .. } => Some(disk.size()),
            Self::Stream(stream) => stream.size,
        }
    }

    /// The same; where a stream was short enough to be kept whole, its end is known, too.
    pub(super) fn size_ahead(&self) -> Option<u64> {
        match self {
            Self::Stream(PreparedStream { size: None, beginning: Some(beginning), .. }) => {
                beginning.is_all.then_some(beginning.end)
            }
            _ => self.size(),
        }
    }

    /// What of it can be looked at before the copy.
    pub(super) fn foreground(&self) -> Foreground<'_> {
        match self {
            Self::Disk { image, disk, .. } => Foreground::Disk(image, disk),
            Self::Stream(stream) => Foreground::Stream(&stream.name, stream.beginning.as_deref()),
        }
    }

    /// Whether reading it again takes as long as the copy, or cannot be: its fingerprint is taken on
    /// the way, and compared with the target's. But what nobody looks at, the kernel copies sooner.
    pub(super) fn is_dear(&self, zeros: Zeros) -> bool {
        match self {
            Self::Disk { disk, .. } => disk.order() != Order::Any && zeros == Zeros::Scan,
            Self::Stream(_) => true,
        }
    }

    /// What is copied, once.
    pub(super) fn source(&mut self) -> Source<'_> {
        match self {
            Self::Disk { disk, .. } => Source::Disk(&**disk),
            Self::Stream(stream) => Source::Stream(Box::new(stream.stream.as_mut())),
        }
    }

    /// What there is to say about it after the copy of `size` bytes, which the target holds in
    /// `held`.
    pub(super) fn into_info(self, size: u64, held: u64) -> (Info, Vec<String>) {
        match self {
            Self::Disk { image, odd, .. } => {
                (image.info(), image.warnings().iter().cloned().chain(odd).collect())
            }
            Self::Stream(stream) => stream.into_info(size, held),
        }
    }
}

impl PreparedStream {
    fn into_info(self, size: u64, held: u64) -> (Info, Vec<String>) {
        let load = |count: &AtomicU64| count.load(atomic::Ordering::Relaxed);
        let arrived = self.arrived.as_deref().map_or(size, load);
        let mut warnings = self.info.warnings.clone();
        for warning in self.stream.warnings().into_iter().chain(self.odd) {
            // What an archive told beforehand, its end tells again.
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        if self.own.is_none() && arrived < size {
            warnings.push(format!(
                "{}: the stream ended after {arrived} bytes; the rest of the {size} is zeros",
                self.name
            ));
        }
        if self.stays && arrived != held {
            warnings.push(backup_stays(&self.name));
        }
        let mut info = self.info.with_size(arrived, load(&self.read));
        if let Some(format) = self.told.get() {
            info.set_format(*format);
        }
        (info, warnings)
    }
}

impl Convert {
    /// The size that is asked for, in bytes.
    pub(super) fn size_of(&self, input: &Input) -> Result<Option<u64>> {
        match self.size {
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
    pub(super) fn prepare(
        &self,
        input: Input,
        size: Option<u64>,
        unit: u64,
        brief: &Brief,
        job: &Job,
    ) -> Result<Prepared> {
        match input {
            Input::Stream(stream) => self.prepare_stream(stream, size, unit, brief, job),
            Input::Image(image) => {
                let disk = Arc::clone(image.disk());
                let made = size.unwrap_or(disk.size());
                let held = made.checked_next_multiple_of(unit).unwrap_or(made);
                let (disk, odd) = match self.fit() {
                    None if made == held && held == disk.size() => (disk, Vec::new()),
                    _ => self.resized(&image, made, held, job)?,
                };
                let other = match self.gpt_sectors {
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
    ) -> Result<(Arc<dyn Disk>, Vec<String>)> {
        let own = image.disk();
        let resized: Arc<dyn Disk> = match size.cmp(&own.size()) {
            Ordering::Greater => Arc::new(Pad::new(Arc::clone(own), size)?),
            Ordering::Equal => Arc::clone(own),
            Ordering::Less => self.shrunk(image, size, job)?,
        };
        let in_image = |error: Error| error.in_file(image.name());
        match (look_for_gpt(own.as_ref(), &job.cancel).map_err(in_image)?, self.fit()) {
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
        mut stream: StreamInput,
        size: Option<u64>,
        unit: u64,
        brief: &Brief,
        job: &Job,
    ) -> Result<Prepared> {
        let (own, name) = (stream.size(), stream.name().to_owned());
        let in_stream = |error: Error| error.in_file(&name);
        if let (Some(own), Some(size)) = (own, size) {
            self.check_shrink(own, size).map_err(in_stream)?;
        }
        let made = size.or(own);
        let held = made.and_then(|size| size.checked_next_multiple_of(unit));
        // Where nothing can move it, nobody waits for the first bytes.
        let moves_end = match own {
            None => size.is_some() || unit > 1,
            Some(_) => held != own,
        };
        let fit = self.fit();
        let most = match brief.is_import() || fit.is_some() {
            true => Some(Most::HEAD),
            false => moves_end.then_some(Most::TABLE),
        };
        let kept = most.map(|most| stream.keep(most, &job.cancel)).transpose()?;
        let beginning = kept.as_deref().map(|kept| Beginning::look(kept, made, job)).transpose();
        let beginning = beginning.map_err(in_stream)?;
        let (info, read, told) = (stream.info(), stream.read(), stream.told());
        let (mut arrived, mut odd) = (None, Vec::new());
        let mut resized = |stream: StreamInput, size| {
            let resized = Resized::new(stream.into_stream(), size, self.shrink());
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
                None => stream.into_stream(),
            },
        };
        let stream = match self.gpt_sectors {
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
        if size < own && self.shrink() == Shrink::Refuse {
            return Err(Error::misuse(format!(
                "a size of {size} bytes is less than the disk's {own}; --allow-shrink drops the \
                 rest, where it is zeros"
            )));
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

fn backup_stays(name: &str) -> String {
    format!(
        "{name}: the disk's end moves, and the backup of its GPT stays where it is; --move-gpt moves \
         it"
    )
}

/// A GPT that cannot be moved, as nobody knows where to.
fn size_untold() -> Error {
    Error::misuse(
        "--move-gpt and --gpt-sectors change the beginning of the disk by its size, which a stream tells only \
         at its end; give it with --size",
    )
}
