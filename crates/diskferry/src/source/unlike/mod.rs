//! What speaks against taking a file for a raw disk that bears the signature of no format that is read.
//!
//! - A signature of something else, in front ([`table`], [`weak`]) or at the end, and documents ([`text`]),
//!   under whatever name. What is recognised as a disk (a partition table, a boot sector, a file system)
//!   outweighs these, but for a signature at the end: a trailer is what a program wrote behind a disk, and
//!   what is before it may be packed or lack what was zero.
//! - A name that [claims](claim) a format, whatever is on the disk.
//!
//! All else is a raw disk: nothing tells a guest's own blocks from noise.

mod claim;
mod table;
mod text;
mod weak;

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Disk, Error, ErrorKind, Remedy, Result};
use diskferry_codec::zeros;
use diskferry_inspect::{Inspection, TableKind, inspect};
use diskferry_raw::Raw;
use diskferry_wrap::{Likeness, Wrapping};

use self::claim::ClaimKind;
pub(crate) use self::claim::{Claim, name_inside};

/// A file that bears no format's signature, as far as it is seen.
#[derive(Clone, Copy)]
pub(crate) struct Suspect<'a> {
    /// Its name, or that of what it was unpacked to be.
    pub name: &'a str,
    /// The first bytes: 64 KiB, where it has as many.
    pub head: &'a [u8],
    /// The last bytes; `None` of what comes in order.
    pub tail: Option<&'a [u8]>,
    /// Its length, where that is known.
    pub size: Option<u64>,
}

/// What a file seems to be that is no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unlike {
    /// What it is: `a zip archive`.
    what: String,
    /// What to do instead.
    instead: String,
}

impl Unlike {
    fn of((what, instead): (&str, &str)) -> Self {
        Self { what: what.to_owned(), instead: instead.to_owned() }
    }
}

impl From<Unlike> for Error {
    fn from(Unlike { what, instead }: Unlike) -> Self {
        Self::unsupported(format!("{what}, and no disk; {instead}"))
    }
}

impl Suspect<'_> {
    /// Looks for what speaks against a raw disk. `look` shows what stands on it, as far as that can be
    /// seen; it is only asked where something does.
    ///
    /// # Errors
    /// `Unsupported` for what is no disk, or not what its name says; `Damaged` for what is left of a
    /// wrapper; what `look` fails with.
    pub fn judge(&self, look: impl FnOnce() -> Result<OnDisk>) -> Result<()> {
        if let Some(unlike) = self.tail.and_then(at_end) {
            return Err(unlike.into());
        }
        let (left, unlike, claim) = (self.left_of_a_wrapper(), self.unlike(), Claim::of(self.name));
        if left.is_none() && unlike.is_none() && claim.is_none() {
            return Ok(());
        }
        let on_disk = look()?;
        match (left, unlike, claim) {
            (Some(wrapper), ..) if !on_disk.is_disk() => Err(wrapper),
            (_, Some(unlike), _) if !on_disk.is_disk() => Err(unlike.into()),
            // What only its end tells is judged there.
            (.., Some(claim)) if claim.is_at_end() && self.tail.is_none() => Ok(()),
            (.., Some(claim)) => Err(self.not_as_claimed(claim, &on_disk)),
            _ => Ok(()),
        }
    }

    /// What it seems to be by its bytes in front, if that is something else than a disk.
    fn unlike(&self) -> Option<Unlike> {
        let found = table::in_front(self.head)
            .or_else(|| weak::in_front(self.head, self.size))
            .or_else(|| text::document(self.head));
        found.map(Unlike::of)
    }

    fn left_of_a_wrapper(&self) -> Option<Error> {
        // Only of a device no wrapper is taken off.
        if let Some(wrapping) = Wrapping::of(self.head) {
            let text =
                format!("a {} file on a device, and no disk; copy it into a file", wrapping.name());
            return Some(Error::unsupported(text));
        }
        let left = weak::left_of_a_wrapper(self.head);
        left.map(|what| Error::damaged(format!("a {what} whose header is damaged")))
    }

    /// Says that a name claims what is not there.
    fn not_as_claimed(&self, claim: Claim, on_disk: &OnDisk) -> Error {
        let Claim { extension, what, kind } = claim;
        let is_cut = match kind {
            ClaimKind::Tar => self.head.len() < 512,
            ClaimKind::Packed { begins, .. } => begins.starts_with(self.head),
            ClaimKind::Image | ClaimKind::AtEnd(_) => false,
        };
        if is_cut && !self.head.is_empty() {
            let length = self.head.len();
            return Error::damaged(format!("{what} that is cut after {length} bytes"));
        }
        if let ClaimKind::Packed { begins, .. } = kind
            && self.head.starts_with(&begins[..2])
        {
            return Error::damaged(format!("{what} whose header is damaged"));
        }
        // Without other advice, a raw disk may be meant.
        let (seems, advice) = match on_disk {
            _ if self.head.is_empty() => {
                ("it is empty".to_owned(), Some("make or download it again"))
            }
            OnDisk::Known(what) => (format!("it begins with {what}, as a raw disk does"), None),
            OnDisk::Nothing if text::is_text(self.head) => {
                ("it is text".to_owned(), Some("look into it, and download it again"))
            }
            OnDisk::Nothing if zeros::is_zero(self.head) => {
                ("it begins with zeros".to_owned(), None)
            }
            OnDisk::Nothing => {
                let first: Vec<String> =
                    self.head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                (format!("it begins with {}", first.join(" ")), None)
            }
        };
        let odd = self.size.is_some_and(|size| !size.is_multiple_of(512));
        let odd =
            if odd && !self.head.is_empty() { " and is no whole number of sectors" } else { "" };
        let cut = match kind {
            ClaimKind::AtEnd(mark) => format!(", nor {mark} at its end: it may have been cut"),
            _ => String::new(),
        };
        let text =
            format!("named .{extension}, but without the signature of {what}{cut}; {seems}{odd}");
        match advice {
            Some(advice) => Error::unsupported(format!("{text}; {advice}")),
            None => Error::unsupported(text).mended_by(Remedy::TakeAsRaw),
        }
    }
}

/// Bytes in front of a disk that comes in order which are looked at where something speaks against it: as
/// far as file systems have their signatures.
pub(crate) const DEEP: usize = (2 << 20) + 4096;

/// What a member of an archive is that bears no format's signature, by its bytes, whatever its name: one that
/// is no disk is not offered as one. `front` has more of what is in front.
///
/// # Errors
/// What `front` fails with.
pub(crate) fn member(
    head: &[u8],
    tail: Option<&[u8]>,
    front: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Likeness> {
    let suspect = Suspect { name: "", head, tail, size: None };
    match suspect.judge(|| OnDisk::look(Arc::new(front()?))) {
        Ok(()) => Ok(Likeness::Unknown),
        Err(error) => match error.kind() {
            ErrorKind::Damaged | ErrorKind::Unsupported => Ok(Likeness::Other(error)),
            _ => Err(error),
        },
    }
}

/// What a file is by its last bytes, if that is something else than a disk.
fn at_end(tail: &[u8]) -> Option<Unlike> {
    table::at_end(tail).map(Unlike::of)
}

/// Judges what came in order by its last bytes, which are no footer of a fixed VHD.
///
/// # Errors
/// `Unsupported` for what is no disk, or none that its name claims.
pub(crate) fn judge_end(name: &str, tail: &[u8]) -> Result<()> {
    if let Some(unlike) = at_end(tail) {
        return Err(unlike.into());
    }
    match Claim::of(name) {
        Some(Claim { kind: ClaimKind::AtEnd(mark), extension, what }) => {
            Err(Error::unsupported(format!(
                "named .{extension}, but without the signature of {what}, nor {mark} at its end: it may \
                 have been cut"
            ))
            .mended_by(Remedy::TakeAsRaw))
        }
        _ => Ok(()),
    }
}

/// What stands on what may be a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// Nothing that is recognised.
    Nothing,
    /// A partition table, a boot sector, a file system.
    Known(String),
}

impl OnDisk {
    /// Looks at bytes that may be a disk, or the beginning of one.
    ///
    /// # Errors
    /// `Io` where they cannot be read.
    pub fn look(bytes: Arc<dyn Bytes>) -> Result<Self> {
        let disk = Raw::open(bytes);
        let Inspection { table, mbr, content, .. } = inspect(&disk, &Cancel::default())?;
        Ok(match (table, content) {
            (TableKind::None, Some(content)) => Self::Known(content.kind.to_string()),
            (TableKind::None, None) if mbr.is_some() => Self::Known("a boot sector".to_owned()),
            (TableKind::None, None) if is_optical(&disk)? => Self::Known("UDF".to_owned()),
            (TableKind::None, None) => Self::Nothing,
            (table, _) => Self::Known(format!("a partition table ({table})")),
        })
    }

    fn is_disk(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Whether a volume of ECMA-167, as of UDF, is recognised: one of its descriptors stands where that of
/// ISO 9660 does, which is recognised elsewhere.
fn is_optical(disk: &dyn Disk) -> Result<bool> {
    const AT: u64 = 16 * 2048 + 1;
    let mut mark = [0; 5];
    if disk.size() < AT + mark.len() as u64 {
        return Ok(false);
    }
    disk.cursor()?.read(AT, &mut mark)?;
    Ok([b"BEA01", b"NSR02", b"NSR03", b"CD001"].contains(&&mark))
}

#[cfg(test)]
mod tests;
