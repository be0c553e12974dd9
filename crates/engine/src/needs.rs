//! What is needed of the place that an image goes to.

use diskferry_block_stream::{Error, Part, Plan, Result};

/// What a conversion needs of the place that it goes to, as far as that is known yet.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Needs<'a> {
    /// What was written is to be read back.
    pub read_back: bool,
    /// The format, where its readers look for something at the end of the file.
    pub ends_with_file: Option<&'a str>,
    /// How the disk is to be stored.
    pub plan: Option<&'a Plan>,
    /// Bytes of the disk, where they are known beforehand.
    pub size: Option<u64>,
}

impl<'a> Needs<'a> {
    /// The further files with parts of the disk, beside the one that names them; `None` where there
    /// is one file only.
    pub fn parts(&self) -> Option<&'a [Part]> {
        match self.plan {
            Some(Plan::Split(split)) => Some(&split.parts),
            Some(Plan::Flat(_) | Plan::Packed(_) | Plan::Enclosed(_)) | None => None,
        }
    }

    /// Bytes of the file, where they are known beforehand.
    pub fn length(&self) -> Option<u64> {
        match (self.plan, self.size) {
            (Some(Plan::Flat(flat)), Some(size)) => {
                Some(flat.base.saturating_add(size).saturating_add(flat.tail.len() as u64))
            }
            _ => None,
        }
    }

    /// For a place that takes bytes in order only, and cannot go back.
    ///
    /// # Errors
    /// `Unsupported` where the plan is not written so.
    pub fn check_forward(&self) -> Result<()> {
        self.plan.map_or(Ok(()), check_forward)
    }
}

/// # Errors
/// `Unsupported` for a plan that is not written front to back.
pub(crate) fn check_forward(plan: &Plan) -> Result<()> {
    match plan {
        Plan::Flat(_) => Ok(()),
        Plan::Packed(packed) if packed.layout.owes().is_empty() => Ok(()),
        Plan::Packed(_) => Err(Error::unsupported(
            "this format cannot be written to a pipe: its tables precede \
             or point back to the data; write it to a file",
        )),
        Plan::Enclosed(_) => Err(Error::unsupported(
            "this format cannot be written to a pipe: what it begins with tells the length and the \
             digest of what follows; write it to a file",
        )),
        Plan::Split(_) => Err(Error::unsupported(
            "this subformat is several files; it cannot be written to a pipe or a device",
        )),
    }
}
