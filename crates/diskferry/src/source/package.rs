//! Opens an OVF package by its descriptor: the files beside it that it lists, and of those the disk that is meant.

use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result, Siblings};
use diskferry_wrap::{self as wrap, Package, Picked, is_descriptor_text};

use crate::source::around::{Archive, Around};
use crate::source::found::{Found, is_missing, open_named};
use crate::source::options::OpenOptions;
use crate::source::probe::{head, probe};
use crate::source::unwrap::judge::Formats;
use crate::source::wanted::Wanted;

/// What messages call a file that the descriptor lists.
const ROLE: &str = "file of the package";

/// Bytes of a descriptor in front of its first element, at most: writers have a comment there.
const HEAD: usize = 64 << 10;

/// The disk of the package whose descriptor `file` is, and what is around it then besides what is `around`
/// that; the file itself where it is none.
///
/// # Errors
/// `Unsupported` where nothing is beside it; as for [`Package::unpacked`] and [`Package::disk`].
pub(super) fn out_of_package(
    options: &OpenOptions,
    wanted: &Wanted,
    file: Found,
    mut around: Around,
) -> Result<(Found, Around)> {
    if wanted.is_disk(|| probe(file.bytes.as_ref()))?
        || !is_descriptor_text(&head(file.bytes.as_ref(), HEAD)?)
    {
        return Ok((file, around));
    }
    let (siblings, own) = place(&file)?;
    let mut beside = Beside { descriptor: &file, files: Vec::new() };
    let bytes = Arc::clone(&file.bytes);
    let package = Package::unpacked(&file.name, &own, bytes, &mut beside, &wanted.budget)?;
    let files = beside.files;
    around.push("ovf", &options.limits).map_err(|error| error.in_file(&file.name))?;
    let formats = Formats { limits: options.limits.clone() };
    let Picked { member, disks, body: part, .. } = package.disk(options.disk, &formats)?;
    around.found(disks, false);
    around.archives.push(Archive { package: Arc::new(package), member: member.clone() });
    let bytes: Arc<dyn Bytes> = Arc::new(part);
    // What a disk in chunks names is beside those.
    let mut disk = Found::of_bytes(bytes, Some(siblings));
    around.files.push(file.bytes);
    around.notes.extend(file.locked);
    for (name, mut opened) in files {
        if name.strip_prefix(&member).is_some_and(|end| end.is_empty() || is_chunk(end)) {
            opened = opened.minding(options.locks)?;
            around.notes.extend(opened.locked);
        }
        if name == member {
            disk.siblings = opened.siblings;
        }
        around.files.push(opened.bytes);
    }
    Ok((disk, around))
}

/// Whether a name ends so that is a chunk's.
fn is_chunk(end: &str) -> bool {
    let digits = end.strip_prefix('.').filter(|digits| digits.len() == 9);
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// What lies beside a descriptor, and its name there.
fn place(file: &Found) -> Result<(Arc<dyn Siblings>, String)> {
    let refuse = |text: &str| Err(Error::unsupported(text).in_file(&file.name));
    let Some(siblings) = &file.siblings else {
        return refuse("an OVF descriptor, whose disks are in files beside it; give its path");
    };
    match Path::new(&file.name).file_name() {
        Some(own) => Ok((Arc::clone(siblings), own.to_string_lossy().into_owned())),
        None => refuse("an OVF descriptor without a name of its own"),
    }
}

/// What lies beside a descriptor.
struct Beside<'a> {
    descriptor: &'a Found,
    /// What was opened, by the names that the descriptor has.
    files: Vec<(String, Found)>,
}

impl wrap::Neighbours for Beside<'_> {
    fn open(&mut self, name: &str) -> Result<Option<Arc<dyn Bytes>>> {
        let found = match open_named(self.descriptor.siblings.as_ref(), ROLE, name.as_ref()) {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.bytes.identity() == self.descriptor.bytes.identity() {
            let text = format!("the {ROLE} '{name}' is the descriptor itself");
            return Err(Error::damaged(text));
        }
        let bytes = Arc::clone(&found.bytes);
        self.files.push((name.to_owned(), found));
        Ok(Some(bytes))
    }
}
