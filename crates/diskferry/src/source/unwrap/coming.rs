//! The disk that comes next, once all that is around it is off.

use std::sync::Arc;

use diskferry_block_stream::{NotInOrder, Result, Stream};
use diskferry_wrap::{Peek, Wrapping};

use crate::format::{Format, Sample};
use crate::source::around::Around;
use crate::source::forward::bounded::{AtEnd, Bounded};
use crate::source::forward::footed::{Footed, Told};
use crate::source::forward::raw::RawStream;
use crate::source::unlike::{DEEP, OnDisk, Suspect};
use crate::source::unwrap::in_order_only::in_order_only;
use crate::source::wanted::Wanted;

/// A disk's file whose first bytes come next.
pub(super) struct Coming<'a> {
    /// The file that it comes out of.
    pub outer: &'a str,
    pub name: &'a str,
    /// The name that says what it is.
    pub claimed: &'a str,
    /// Its length, where that is known.
    pub size: Option<u64>,
    pub peek: Peek,
    pub around: &'a Around,
}

/// A disk that is read as it comes.
pub(super) struct Begun {
    pub stream: Box<dyn Stream>,
    pub format: Format,
    pub assumed: bool,
    pub told: Told,
}

impl Coming<'_> {
    /// Begins to read the disk.
    ///
    /// # Errors
    /// `Unsupported` for what is no disk, and for formats that cannot be read in order; what the stream's beginning
    /// fails with.
    pub fn begin(mut self, wanted: &Wanted, endings: Vec<AtEnd>) -> Result<Begun> {
        let told = match wanted.disk_format().or(self.around.told_format()) {
            Some(format) => Some(format),
            None => self.probe().map_err(|error| error.in_file(self.name))?,
        };
        let format = told.unwrap_or(Format::RAW);
        let mut by_end = Told::default();
        let stream: Box<dyn Stream> = if format == Format::RAW || self.is_fixed(format)? {
            let raw = Box::new(RawStream::new(self.name.to_owned(), self.peek, self.size));
            match told {
                Some(told) if told == Format::RAW => raw,
                Some(_) => Box::new(Footed::vhd(raw)),
                None => {
                    let footed = Footed::assumed(raw).named(self.claimed.to_owned());
                    by_end = footed.told();
                    Box::new(footed)
                }
            }
        } else {
            match format.stream(self.name, Box::new(self.peek), &wanted.budget) {
                Some(Ok(stream)) => stream,
                Some(Err(error)) if !NotInOrder::is_cause_of(&error) => return Err(error),
                _ => return Err(in_order_only(format, self.outer, self.name, self.around)),
            }
        };
        let limits = wanted.budget.limits().clone();
        let known = stream.size().unwrap_or(0);
        limits.check_virtual_size(known).map_err(|error| error.in_file(stream.name()))?;
        let raw = (format == Format::RAW).then(|| Arc::clone(&by_end));
        let stream = Box::new(Bounded::new(stream, limits, raw, endings));
        Ok(Begun { stream, format, assumed: told.is_none(), told: by_end })
    }

    /// The format whose signature comes first; without one, nothing may speak against a raw disk, as far as the
    /// beginning tells.
    fn probe(&mut self) -> Result<Option<Format>> {
        let head = self.peek.peek(Sample::HEAD).map_err(|error| error.doing("reading"))?;
        let probed = Format::probe(&Sample { head, tail: &[] });
        if probed.is_none() {
            let (head, peek) = (head.to_vec(), &mut self.peek);
            let suspect = Suspect { name: self.claimed, head: &head, tail: None, size: self.size };
            suspect.judge(|| OnDisk::look(Arc::new(peek.peek(DEEP)?.to_vec())))?;
        }
        Ok(probed)
    }

    /// Whether it is a fixed VHD, whose only signature is at its end.
    fn is_fixed(&mut self, format: Format) -> Result<bool> {
        if format != Format::VHD {
            return Ok(false);
        }
        let head = self.peek.peek(Wrapping::HEAD).map_err(|error| error.in_file(self.name))?;
        Ok(Format::probe(&Sample { head, tail: &[] }) != Some(Format::VHD))
    }
}
