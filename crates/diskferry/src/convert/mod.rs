//! A conversion from a source to a target.

pub mod brief;
mod fit;
pub mod gpt_forward;
pub mod promises;
pub mod sectors;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use diskferry_block_stream::{Error, ErrorKind, Plan, Result, Stamp};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{
    self as engine, Copied, CopyOptions, Difference, Durability, Job, Replace, Slice, Source, Zeros,
};
use diskferry_inspect::SectorSize;
use serde::Serialize;
use serde::ser::Serializer;
use uuid::Uuid;

use self::fit::Prepared;
use crate::control::{Stage, Watch};
use crate::convert::brief::Goal;
use crate::convert::promises::Promised;
use crate::format::{Compress, Format, GIB, Naming};
use crate::import::ImportTarget;
use crate::look::info::{Info, as_map};
use crate::place::file::{FileId, Location};
use crate::source::{Backing, DiskImage, Input, OpenOptions};
use crate::target::destination::{Destination, Target};
use crate::target::split::{self, PartPlace};

/// What is to be converted, into what.
///
/// [`new`](Self::new) gives the defaults; set what is to be otherwise, and [`run`](Self::run) it.
#[derive(Clone, Debug)]
pub struct Convert {
    /// Where the disk is.
    pub source: Location,
    /// Where it goes.
    pub target: Location,
    /// How the source is opened.
    pub open: OpenOptions,
    /// The target's format; by default its extension tells.
    pub to: Option<Format>,
    /// The import target that the result is to be ready for. It chooses what the request leaves
    /// open, and what cannot be made ready is refused.
    pub import: Option<ImportTarget>,
    /// Rules of the import target that the result may break, by id.
    pub waived: Vec<String>,
    /// Options of the target's format, by name.
    pub options: Vec<(String, String)>,
    /// Whether the target is to be compressed.
    pub compress: Option<Compress>,
    /// The virtual size of the target; by default the source's.
    pub size: Option<VirtualSize>,
    /// What to do when that is less than the source's.
    pub shrink: Shrink,
    /// What becomes of the backup of a GPT where the disk's end moves.
    pub backup_gpt: BackupGpt,
    /// The sectors that a GPT is to count in, where it is to be written anew for that: some sectors of the
    /// target differ from the source's then. The backup goes to the disk's end.
    pub gpt_sectors: Option<SectorSize>,
    /// What to do with zeros that the source stores.
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute in the same pass.
    pub digests: Vec<Algorithm>,
    /// Whether the target is read back.
    pub verify: Verify,
    /// What to do with an existing target.
    pub replace: Replace,
    /// Whether the target is to survive a power failure once it has its name.
    pub durability: Durability,
    /// Ids and times that go into the target.
    pub identity: Identity,
    /// A window into the running conversion.
    pub watch: Watch,
}

/// The virtual size that a target is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualSize {
    /// So many bytes.
    Bytes(u64),
    /// The size that the source's disk had before its format rounded it up. What was added must be
    /// zeros.
    Original,
}

/// What to do when the target is to be smaller than the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shrink {
    /// It is an error.
    #[default]
    Refuse,
    /// What is beyond the new size is dropped if it is zeros; else it is an error.
    DropZeros,
}

/// What becomes of the backup of a GPT, which belongs at the disk's end, where that moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupGpt {
    /// It stays where it is, as every other byte does; guests and their tools move it.
    #[default]
    Kept,
    /// It is moved to the new end, and the table says so: some sectors of the target differ from
    /// the source's.
    Moved,
}

/// Whether the target is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// It is trusted.
    #[default]
    Trust,
    /// It is read back through its own format, and compared with the source.
    ReadBack,
}

/// Ids and times that go into a target, for formats that have them. What is `None` is random, or
/// now; the same source, options and identity give the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The target's id.
    pub uuid: Option<Uuid>,
    /// When it was made, in seconds since 1970.
    pub time: Option<u64>,
}

impl Identity {
    /// What goes into the target; a second call may give another.
    fn stamp(&self) -> Stamp {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Stamp {
            uuid: self.uuid.unwrap_or_else(Uuid::new_v4).into_bytes(),
            seconds: self.time.unwrap_or_else(now),
        }
    }
}

/// What a conversion did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The source.
    pub source: Info,
    /// The target.
    pub target: Info,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The digests asked for, in that order, in hexadecimal.
    #[serde(serialize_with = "digests_as_map")]
    pub digests: Vec<(Algorithm, String)>,
    /// Whether the target was read back and found the same.
    pub verified: bool,
    /// The import target that the result is ready for, where one was given.
    pub ready_for: Option<&'static str>,
    /// Odd things about the source and the conversion.
    pub warnings: Vec<String>,
}

impl Convert {
    /// A conversion with the defaults.
    pub fn new(source: impl Into<Location>, target: impl Into<Location>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            open: OpenOptions::default(),
            to: None,
            import: None,
            waived: Vec::new(),
            options: Vec::new(),
            compress: None,
            size: None,
            shrink: Shrink::default(),
            backup_gpt: BackupGpt::default(),
            gpt_sectors: None,
            zeros: Zeros::default(),
            digests: Vec::new(),
            verify: Verify::default(),
            replace: Replace::Never,
            durability: Durability::default(),
            identity: Identity::default(),
            watch: Watch::default(),
        }
    }

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
    /// `Misuse` when the request makes no sense or would overwrite something; what opening the
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
        self.watch.enter(Stage::Opening, &job.progress);
        let destination = self.destination()?;
        let name = destination.name.clone();
        let file_name = destination.file_name().map(str::to_owned);
        let in_target = |error: Error| error.in_file(&name);
        let goal = Goal::of(self, &destination)?;
        let format = goal.format;
        destination.check_holds(format)?;
        let writing = format.writing(&goal.options, goal.compress).map_err(in_target)?;
        let (cancel, progress) = (job.cancel.clone(), job.progress.clone());
        let open = OpenOptions { cancel, progress, ..self.open.clone() };
        let input = open.open(&self.source)?;
        refuse_own_source(&input, &destination)?;
        let promised = Promised::of(&input)?;
        let unchanged = input.unchanged();
        let mut size = goal.size(self.size_of(&input)?, &input).map_err(in_target)?;
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
        let mut source = self.prepare(input, size, unit, &goal, job)?;
        let made = source.size_ahead().map(held);
        let foreseen = goal.foresee(source.foreground(), made, file_name.as_deref(), job)?;

        let left_behind = destination.left_behind();
        let target = destination.create(parts, self.replace, self.durability)?;
        let guard = self.watch.guard(target.temporary());
        target.check_fits(&plan, source.size())?;
        self.watch.enter(Stage::Copying, &job.progress);
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
        let harms = goal.confirm(foreseen, image, file_name.as_deref(), job)?;
        unchanged.check()?;
        job.cancel.check()?;
        self.watch.finish(|| target.keep())?;
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
            ready_for: goal.ready_for(),
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

    /// Opens the target through its own reader, where it has one, and compares it where that is
    /// asked for. Returns it, and what is odd about it.
    fn look_back(
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
        let image =
            open.open_written(name, written).map_err(|error| reads_back_damaged(error, name))?;
        let is_device = matches!(target, Target::Device(_));
        if self.verify == Verify::ReadBack {
            self.watch.enter(Stage::Verifying, &job.progress);
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

    /// The size that is asked for, in bytes.
    fn size_of(&self, input: &Input) -> Result<Option<u64>> {
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

    /// What the engine is told.
    fn copy_options(&self, source: &Prepared) -> CopyOptions {
        let fingerprint = self.verify == Verify::ReadBack && source.is_dear(self.zeros);
        CopyOptions { zeros: self.zeros, digests: self.digests.clone(), fingerprint }
    }
}

/// What there is to say about a target that was read back.
fn target_info(name: &str, format: Format, image: &DiskImage) -> Info {
    let info = image.info();
    let format = if format.is_package() { format.name() } else { info.format };
    // What a raw image cannot tell of itself is known of this one.
    Info { file: name.to_owned(), format, warnings: image.warnings().to_vec(), ..info }
}

/// The unit in which a plan stores a disk, in bytes; 1 where there is none.
fn chunk(plan: &Plan) -> u64 {
    match plan {
        Plan::Flat(_) | Plan::Split(_) => 1,
        Plan::Packed(packed) => packed.chunk as u64,
        Plan::Enclosed(enclosed) => enclosed.inner.chunk as u64,
    }
}

/// Says that the target's virtual size is not the one asked for, where it is not.
fn rounding(name: &str, format: Format, size: u64, unit: u64) -> Option<String> {
    let held = size.checked_next_multiple_of(unit).filter(|held| *held != size)?;
    let what = match unit {
        512 => "sectors of 512 bytes".to_owned(),
        GIB => "GiB".to_owned(),
        _ => format!("grains of {unit} bytes"),
    };
    Some(format!(
        "{name}: the virtual size was rounded up from {size} to {held} bytes, as {format} holds \
         whole {what} only"
    ))
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

fn digests_as_map<S: Serializer>(
    digests: &[(Algorithm, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let named: Vec<_> = digests.iter().map(|(kind, digest)| (kind.name(), digest)).collect();
    as_map(&named, serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_what_it_lacks_is_new() {
        let told = Identity { uuid: Some(Uuid::from_u128(7)), time: Some(8) };
        assert_eq!(told.stamp().uuid, Uuid::from_u128(7).into_bytes());
        assert_eq!(told.stamp().seconds, 8);
        let new = Identity::default().stamp();
        assert_eq!(Uuid::from_bytes(new.uuid).get_version_num(), 4);
        assert_ne!(new.uuid, Identity::default().stamp().uuid);
        assert!(new.seconds > 1_700_000_000);
    }

    #[test]
    fn only_a_size_that_is_rounded_is_a_warning() {
        for (size, unit, text) in [
            (1000, 1, None),
            (1024, 512, None),
            (0, 65536, None),
            (1000, 512, Some("from 1000 to 1024 bytes, as vmdk holds whole sectors of 512")),
            (1024, 65536, Some("from 1024 to 65536 bytes, as vmdk holds whole grains of 65536")),
            (u64::MAX, 512, None),
        ] {
            let warning = rounding("t.vmdk", Format::VMDK, size, unit);
            assert_eq!(warning.is_some(), text.is_some(), "{size}");
            assert!(warning.unwrap_or_default().contains(text.unwrap_or_default()), "{size}");
        }
    }
}
