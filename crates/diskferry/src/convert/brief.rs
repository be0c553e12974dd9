//! What a conversion is to make: by the request, and by the import target that it is for.

use diskferry_block_stream::{Error, Result};
use diskferry_engine::Job;

use crate::convert::beginning::Beginning;
use crate::convert::foreground::Foreground;
use crate::convert::request::Convert;
use crate::format::{Compress, Format, formats};
use crate::import::{Choice, Facts, Readiness};
use crate::source::{DiskImage, Input};
use crate::target::destination::Destination;

/// What is to be made.
pub(crate) struct Brief {
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
    /// That not all of the source was seen, should nobody look at the result.
    unseen: Option<String>,
}

impl Brief {
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

    /// Whether it is for an import target.
    pub fn is_import(&self) -> bool {
        self.import.is_some()
    }

    /// Judges what would be made of a disk, of `size` bytes where that is known, in a file of that
    /// name. Of a stream it is judged by what it begins with, as far as that goes.
    ///
    /// # Errors
    /// `Refused` when the import target would refuse it; `Io` or `Damaged` when the disk cannot
    /// be read; `Cancelled`.
    pub fn foresee(
        &self,
        source: Foreground<'_>,
        size: Option<u64>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<Foreseen> {
        let Some((readiness, choice)) = &self.import else { return Ok(Foreseen::default()) };
        match source {
            Foreground::Disk(image, disk) => {
                // Rounding up would make zeros of it, which every target takes.
                if image.disk().size() == 0 {
                    return Err(is_empty(readiness).in_file(image.name()));
                }
                let facts = readiness.look(image, disk, job)?;
                let size = size.unwrap_or(disk.size());
                let facts = readiness.plan(choice, &facts, size, name);
                let warnings =
                    readiness.judge(&facts).map_err(|error| error.in_file(image.name()))?;
                Ok(Foreseen { facts: Some(facts), warnings, ..Foreseen::default() })
            }
            Foreground::Stream(stream, beginning) => {
                let Some(Beginning { found, end, is_all }) = beginning else {
                    return Ok(Foreseen::default());
                };
                if *is_all && *end == 0 {
                    return Err(is_empty(readiness).in_file(stream));
                }
                let facts = readiness.look_ahead(found);
                let facts = readiness.plan(choice, &facts, size.unwrap_or(0), name);
                let judged = match is_all {
                    true => readiness.judge(&facts),
                    false => readiness.judge_ahead(&facts),
                };
                let warnings = judged.map_err(|error| error.in_file(stream))?;
                let unseen = (!is_all).then(|| {
                    format!(
                        "{stream}: it was judged for {} by its first {end} bytes only; what is \
                         written cannot be looked at again",
                        readiness.target()
                    )
                });
                Ok(Foreseen { facts: None, warnings, unseen })
            }
        }
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
            return Ok(foreseen.warnings.into_iter().chain(foreseen.unseen).collect());
        };
        let facts = readiness.look_back(image, foreseen.facts, name, job)?;
        readiness.judge(&facts).map_err(|error| error.in_file(image.name()))
    }

    /// The name of the import target.
    pub fn ready_for(&self) -> Option<&'static str> {
        self.import.as_ref().map(|(readiness, _)| readiness.target().name())
    }
}

fn is_empty(readiness: &Readiness) -> Error {
    Error::refused(format!("{} would refuse it: there is no disk, but 0 bytes", readiness.target()))
}

fn no_format(destination: &Destination) -> Error {
    let names: Vec<&str> = formats().iter().map(|format| format.name()).collect();
    Error::misuse(format!(
        "no extension tells the target's format; give it with -O: {}",
        names.join(", ")
    ))
    .in_file(&destination.name)
}
