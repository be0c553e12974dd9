//! Joins a file that is cut into numbered pieces: `disk.raw.001`, `disk.raw.002` and so on, as `split`, 7-Zip and
//! others write them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Error, Limits, Note, NoteKind, Result};
use diskferry_inspect::{TableKind, inspect};
use diskferry_raw::Raw;
use diskferry_wrap::{Joined, Wrapping};

use crate::format::{Format, Sample};
use crate::place::file;
use crate::place::kind::FileKind;
use crate::source::around::Around;
use crate::source::found::Found;
use crate::source::numbering::Numbered;
use crate::source::options::OpenOptions;
use crate::source::probe::head;

impl OpenOptions {
    /// The whole file that `first`, at this path, is the first piece of, and what is around it then; the file itself
    /// where its name is none of a piece.
    ///
    /// Which pieces there are, their names tell, and nothing else: so they have to be of one size, but for the
    /// last, and without a gap.
    ///
    /// # Errors
    /// `Unsupported` for a piece that is not the first, and for pieces that do not make a whole; `Limit` for more
    /// of them than there may be; `Io`.
    pub(super) fn out_of_pieces(&self, path: &Path, first: Found) -> Result<(Found, Around)> {
        let mut around = Around::default();
        let Some(numbered) = Numbered::of(path) else { return Ok((first, around)) };
        let refuse = |text: String| Err(Error::unsupported(text).in_file(&first.name));
        let earlier = numbered.firsts().into_iter().find(Numbered::is_there);
        if earlier.is_some() || !numbered.is_first() {
            let is_piece = match earlier {
                Some(_) if !numbered.is_in_letters() => true,
                _ => numbered.is_padded() || numbered.is_one_in_a_row(),
            };
            if !is_piece || is_own(first.bytes.as_ref())? {
                return Ok((first, around));
            }
            return refuse(match earlier {
                Some(earlier) => format!("a piece of a split file; give '{}'", earlier.shown()),
                None => "by its name a piece of a split file, whose first one is not there; if it is a whole \
                         disk, give it by another name"
                    .to_owned(),
            });
        }
        let mut pieces = vec![Arc::clone(&first.bytes)];
        let mut last = numbered.clone();
        while let Some(next) = last.next().into_iter().find(Numbered::is_there) {
            let piece = self.piece(&next, &mut around.notes)?;
            if pieces.len() == 1 {
                // Files of a name with a number behind it may be images one by one, such as layers of a chain.
                if are_two(&first.bytes, &piece)? {
                    return Ok((first, Around::default()));
                }
                if is_own(piece.as_ref())? {
                    return refuse(format!(
                        "by its name the first piece of a split file; but '{}' begins an image of its own",
                        next.shown()
                    ));
                }
            }
            let (own, before) = (piece.len(), pieces[pieces.len() - 1].len());
            let whole = first.bytes.len();
            if before != whole || own > whole {
                let (odd, has) = if before != whole { (&last, before) } else { (&next, own) };
                return refuse(format!(
                    "the pieces of a split file are of one size, but for the last: this one has {whole} bytes, \
                     and '{}' {has}",
                    odd.shown()
                ));
            }
            pieces.push(piece);
            let most = self.limits.files;
            if pieces.len() > most as usize {
                let what = format!("a file in more than {most} pieces");
                return Err(Limits::reached("files", what).in_file(&first.name));
            }
            last = next;
        }
        if let Some((gap, beyond)) = beyond(&last)? {
            let piece = self.piece(&beyond, &mut around.notes)?;
            if pieces.len() == 1 && are_two(&first.bytes, &piece)? {
                return Ok((first, Around::default()));
            }
            let (gap, beyond) = (gap.shown(), beyond.shown());
            return refuse(format!(
                "a piece of a split file: '{gap}' is missing, and '{beyond}' is there"
            ));
        }
        let name = first.name.clone();
        let text = match pieces.len() {
            1 => "by its name the first piece of a split file; there is no further one".to_owned(),
            count => {
                format!("read as one file with the pieces up to '{}', {count} in all", last.shown())
            }
        };
        around.notes.push(Note::of(NoteKind::Pieces, &name, text));
        if pieces.len() == 1 {
            return Ok((first, around));
        }
        let bytes: Arc<dyn Bytes> = Arc::new(Joined::new(name.clone(), pieces.iter().cloned())?);
        around.files = pieces;
        Ok((Found { name, siblings: first.siblings, bytes, locked: first.locked }, around))
    }

    /// Opens a piece that is there.
    fn piece(&self, numbered: &Numbered, notes: &mut Vec<Note>) -> Result<Arc<dyn Bytes>> {
        let path = numbered.path();
        let shown = path.display().to_string();
        let io = |error: io::Error| Error::from(error).doing("opening").in_file(&shown);
        let (real, folder) =
            (path.canonicalize().map_err(io)?, numbered.folder().canonicalize().map_err(io)?);
        let is_regular = FileKind::of(&real.metadata().map_err(io)?) == FileKind::Regular;
        // Nobody gave this name: what others have put there leads nowhere else.
        if !is_regular || !real.starts_with(&folder) {
            let odd = if is_regular { "a link out of the folder" } else { "no file" };
            let text = format!("a piece of a split file that is {odd}");
            return Err(Error::unsupported(text).in_file(&shown));
        }
        let opened = file::open_without_links(&real).map_err(io)?;
        notes.extend(self.locks.judge(&shown, &opened)?);
        self.access.bytes(&shown, opened)
    }
}

/// Whether it bears the signature of an image or a wrapper, and so begins a file.
fn is_own(bytes: &dyn Bytes) -> Result<bool> {
    let first = head(bytes, Sample::HEAD)?;
    let format = Format::probe(&Sample { head: &first, tail: &[] });
    Ok(format.is_some() || Wrapping::of(&first).is_some())
}

/// Whether both begin a file, or a disk: the second is no piece of the first. Inside a disk, a boundary of pieces
/// may be where another partition begins, but not where another disk does.
fn are_two(first: &Arc<dyn Bytes>, second: &Arc<dyn Bytes>) -> Result<bool> {
    let has_table = |bytes: &Arc<dyn Bytes>| -> Result<bool> {
        let disk = Raw::open(Arc::clone(bytes));
        Ok(inspect(&disk, &Cancel::default())?.table != TableKind::None)
    };
    Ok(match (is_own(first.as_ref())?, is_own(second.as_ref())?) {
        (true, true) => true,
        (false, false) => has_table(first)? && has_table(second)?,
        _ => false,
    })
}

/// The piece that is missing behind this one, and the first piece behind that which is there.
fn beyond(last: &Numbered) -> Result<Option<(Numbered, Numbered)>> {
    let Some(gap) = last.next().into_iter().next() else { return Ok(None) };
    // Letters may be an extension, and no number.
    if gap.is_in_letters() {
        let found = gap.next().into_iter().find(Numbered::is_there);
        return Ok(found.map(|found| (gap, found)));
    }
    let folder = gap.folder();
    let located = |error: io::Error| {
        Error::from(error).doing("listing").in_file(&folder.display().to_string())
    };
    let mut first: Option<Numbered> = None;
    for entry in folder.read_dir().map_err(located)?.take(LOOKED_AT) {
        let found = gap.behind(&entry.map_err(located)?.file_name());
        let nearer = |found: &Numbered| first.as_ref().is_none_or(|first| found.is_before(first));
        first = found.filter(nearer).or(first);
    }
    Ok(first.map(|found| (gap, found)))
}

/// Names of a folder that are looked at for a piece behind a gap.
const LOOKED_AT: usize = 1 << 16;
