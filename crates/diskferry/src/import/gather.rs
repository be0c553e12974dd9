//! Gathers the facts about an image.

use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, Error, Result};
use diskferry_engine::Job;
use diskferry_inspect::{self as inspect, Inspection};

use super::check::Need;
use super::facts::Facts;
use super::glance::Glance;
use super::kind::{Kind, Layer};
use super::readiness::Readiness;
use crate::format::Format;
use crate::look::map::MapKind;
use crate::source::image::DiskImage;

const SECTOR: usize = 512;

impl Readiness {
    /// What the target's rules ask about an image and the disk that is made of it, as far as it
    /// takes no reading of all that is stored.
    ///
    /// # Errors
    /// `Io` or `Damaged` where they cannot be read, `Cancelled`.
    pub fn look(&self, image: &DiskImage, disk: &Arc<dyn Disk>, job: &Job) -> Result<Facts> {
        let mut facts = self.facts(image)?;
        facts.virtual_size = disk.size();
        self.look_inside(&mut facts, image, disk, job)?;
        Ok(facts)
    }

    /// Looks at what stands on the disk.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub fn look_inside(
        &self,
        facts: &mut Facts,
        image: &DiskImage,
        disk: &Arc<dyn Disk>,
        job: &Job,
    ) -> Result<()> {
        let in_image = |error: Error| error.in_file(image.name());
        if self.needs(Need::Map) {
            facts.stored = Some(stored(image, job)?);
        }
        if self.needs(Need::Content) {
            let found = inspect::inspect(disk.as_ref(), &job.control.cancel).map_err(in_image)?;
            facts.content = Some(found);
        }
        Ok(())
    }

    /// All that is known of a disk that comes in order, by what was found at its beginning.
    pub fn look_ahead(&self, found: &Inspection) -> Facts {
        let content = self.needs(Need::Content).then(|| found.clone());
        Facts { content, ..Facts::of(Format::RAW) }
    }

    /// Looks for what lies after the last partition, where a rule asks for it. That may take reading
    /// much of the disk, from its end; or all of it, once, where it is read front to back.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub fn look_beyond(&self, facts: &mut Facts, disk: &dyn Disk, job: &Job) -> Result<()> {
        if let Some(found) = &facts.content
            && self.needs(Need::End)
        {
            facts.stray = Some(match found.partitions.as_slice() {
                [] => None,
                _ => {
                    inspect::usage(disk, found, &job.control.cancel, &job.control.progress)?
                        .stray_byte
                }
            });
        }
        Ok(())
    }

    /// The same about what was just written: what was foreseen of its content is not looked for
    /// again, and what we write is sound.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub fn look_back(
        &self,
        image: &DiskImage,
        foreseen: Option<Facts>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Facts> {
        let mut facts = match foreseen {
            None => self.look(image, image.disk(), job)?,
            Some(Facts { stored, content, .. }) => Facts { stored, content, ..self.facts(image)? },
        };
        (facts.problems, facts.objections) = (Some(Vec::new()), Some(Vec::new()));
        facts.name = name.map(str::to_owned);
        Ok(facts)
    }

    /// What an image says of itself.
    ///
    /// # Errors
    /// `Io` where it cannot be read.
    pub fn facts(&self, image: &DiskImage) -> Result<Facts> {
        let info = image.info();
        let around = image.around();
        let ends_in_zeros = match image.is_packed() {
            true => None,
            false => Some(ends_in_zeros(image.top().bytes().as_ref())?),
        };
        let glance = match self.needs(Need::FirstBytes) && !image.is_packed() {
            true => Some(Glance::look(image.top().bytes().as_ref())?),
            false => None,
        };
        let name = Path::new(image.origin().given()).file_name();
        // Of a descriptor that is alone, too, the disk is elsewhere.
        let kind = info.subformat.map(Kind::of);
        let least = if kind.as_ref().is_some_and(Kind::is_split) { 2 } else { 1 };
        Ok(Facts {
            kind,
            wrapping: Layer::all(&around.layers),
            member: image.origin().member().map(str::to_owned),
            virtual_size: image.disk().size(),
            file_size: Some(info.file_size),
            image_size: (!image.is_packed()).then(|| image.top().bytes().len()),
            files: least.max(1 + info.data_files.len()),
            has_parent: info.chain.len() > 1,
            details: info.details,
            ends_in_zeros,
            glance,
            name: name.and_then(|name| name.to_str()).map(str::to_owned),
            ..Facts::of(image.top().format())
        })
    }
}

fn ends_in_zeros(bytes: &dyn Bytes) -> Result<bool> {
    let mut sector = [0; SECTOR];
    let Some(at) = bytes.len().checked_sub(SECTOR as u64) else { return Ok(false) };
    bytes.read_at(at, &mut sector).map_err(|error| error.in_file(bytes.name()))?;
    Ok(sector == [0; SECTOR])
}

/// Bytes of the disk that hold data, by the image's map.
fn stored(image: &DiskImage, job: &Job) -> Result<u64> {
    let mut stored = 0;
    image.map(&job.control.cancel, |entry| {
        if entry.kind == MapKind::Data {
            stored += entry.length;
        }
        Ok(())
    })?;
    Ok(stored)
}
