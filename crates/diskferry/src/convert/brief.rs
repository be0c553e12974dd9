//! What a conversion is to make: by the request, and by the import target that it is for.

use diskferry_block_stream::{Error, Remedy, Result};
use diskferry_engine::Destination;

use crate::convert::request::Convert;
use crate::format::{Compress, Format, formats};
use crate::import::{Choice, Readiness};
use crate::source::opened::Opened;

/// What is to be made.
pub(crate) struct Brief {
    pub format: Format,
    /// Options of the format, by name.
    pub options: Vec<(String, String)>,
    pub compress: Option<Compress>,
    /// What makes it ready for the import target, and how that was chosen.
    pub import: Option<(Readiness, Choice)>,
}

impl Brief {
    /// # Errors
    /// `Misuse` where nothing tells the format, or the import target does not take it.
    pub fn of(convert: &Convert, destination: &dyn Destination) -> Result<Self> {
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
    pub fn size(&self, asked: Option<u64>, input: &Opened) -> Result<Option<u64>> {
        let Some((readiness, _)) = &self.import else { return Ok(asked) };
        match asked.or(input.size()) {
            Some(size) => {
                let made = readiness.size(size);
                Ok((asked.is_some() || made != size).then_some(made))
            }
            None if readiness.takes_any_size() => Ok(None),
            None => Err(Error::misuse(format!(
                "{} wants whole units of a size that a stream tells only at its end",
                readiness.target()
            ))
            .mended_by(Remedy::GiveSize)),
        }
    }

    /// Whether it is for an import target.
    pub fn is_import(&self) -> bool {
        self.import.is_some()
    }

    /// The name of the import target.
    pub fn ready_for(&self) -> Option<&'static str> {
        self.import.as_ref().map(|(readiness, _)| readiness.target().name())
    }
}

fn no_format(destination: &dyn Destination) -> Error {
    let names: Vec<&str> = formats().iter().map(|format| format.name()).collect();
    Error::misuse(format!("no extension tells the target's format, one of {}", names.join(", ")))
        .mended_by(Remedy::NameFormat)
        .in_file(destination.name())
}
