//! What a conversion is to make: by the request, and by the import target that it is for.

use std::sync::Arc;

use diskferry_block_stream::{Disk, Error, Result};
use diskferry_engine::Job;

use crate::Convert;
use crate::format::{Compress, Format};
use crate::import::{Choice, Facts, Readiness};
use crate::open::{DiskImage, Input};
use crate::target::Destination;

/// What is to be made.
pub(crate) struct Goal {
    pub format: Format,
    /// Options of the format, by name.
    pub options: Vec<(String, String)>,
    pub compress: Option<Compress>,
    import: Option<(Readiness, Choice)>,
}

/// What is known of the result before it is written.
#[derive(Default)]
pub(crate) struct Foreseen {
    facts: Option<Facts>,
    /// What may do harm at the import target.
    warnings: Vec<String>,
}

impl Goal {
    /// # Errors
    /// `Misuse` where nothing tells the format, or the import target does not take it.
    pub fn of(convert: &Convert, destination: &Destination) -> Result<Self> {
        let named = destination.path().and_then(Format::from_extension);
        let Convert { to, options, compress, .. } = convert;
        let Some(target) = convert.import else {
            let format = to.or(named).ok_or_else(|| no_format(destination))?;
            return Ok(Self {
                format,
                options: options.clone(),
                compress: *compress,
                import: None,
            });
        };
        let readiness = Readiness::new(target, &convert.waived)?;
        let choice = readiness.choose(*to, named, options, *compress)?;
        Ok(Self {
            format: choice.format(),
            options: choice.options.clone(),
            compress: choice.compress,
            import: Some((readiness, choice)),
        })
    }

    /// The virtual size to make, in bytes, where the request or the import target has a say in it.
    ///
    /// # Errors
    /// `Misuse` where the import target wants a size that a stream does not tell beforehand.
    pub fn size(&self, asked: Option<u64>, input: &Input) -> Result<Option<u64>> {
        let Some((readiness, _)) = &self.import else { return Ok(asked) };
        match asked.or(input.size()) {
            Some(size) => {
                let made = readiness.size(size);
                Ok((asked.is_some() || made != size).then_some(made))
            }
            None if readiness.takes_any_size() => Ok(None),
            None => Err(Error::misuse(format!(
                "{} wants whole units of a size that a stream tells only at its end; give it with \
                 --size",
                readiness.target()
            ))),
        }
    }

    /// Judges what would be made of a disk, in a file of that name; of a stream, there is no telling.
    ///
    /// # Errors
    /// `Unsupported` when the import target would refuse it; `Io` or `Damaged` when the disk cannot
    /// be read; `Cancelled`.
    pub fn foresee(
        &self,
        source: Option<(&DiskImage, &Arc<dyn Disk>)>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Foreseen> {
        let (Some((readiness, choice)), Some((image, disk))) = (&self.import, source) else {
            return Ok(Foreseen::default());
        };
        let facts = readiness.look(image, disk, job)?;
        let facts = readiness.plan(choice, &facts, disk.size(), name);
        let warnings = readiness.judge(&facts).map_err(|error| error.in_file(image.name()))?;
        Ok(Foreseen { facts: Some(facts), warnings })
    }

    /// Judges what was made, where it can be read back; returns what may do harm.
    ///
    /// # Errors
    /// As for [`foresee`](Self::foresee).
    pub fn confirm(
        &self,
        foreseen: Foreseen,
        written: Option<&DiskImage>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Vec<String>> {
        let (Some((readiness, _)), Some(image)) = (&self.import, written) else {
            return Ok(foreseen.warnings);
        };
        let facts = readiness.look_back(image, foreseen.facts, name, job)?;
        readiness.judge(&facts).map_err(|error| error.in_file(image.name()))
    }

    /// The name of the import target.
    pub fn ready_for(&self) -> Option<&'static str> {
        self.import.as_ref().map(|(readiness, _)| readiness.target().name())
    }
}

fn no_format(destination: &Destination) -> Error {
    let names: Vec<&str> = crate::formats().iter().map(|format| format.name()).collect();
    Error::misuse(format!(
        "no extension tells the target's format; give it with -O: {}",
        names.join(", ")
    ))
    .in_file(&destination.name)
}
