//! Joins a file that is cut into numbered pieces: `disk.raw.001`, `disk.raw.002` and so on, as `split -d`, 7-Zip and
//! others write them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Limits, Result};
use diskferry_wrap::{Joined, Wrapping};

use super::OpenOptions;
use super::image::Neighbour;
use super::source::Source;
use crate::file::{self, Sort};
use crate::format::{Format, Sample};
use crate::wrapped::{self, Around};

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
    pub(super) fn out_of_pieces(&self, path: &Path, first: Source) -> Result<(Source, Around)> {
        let mut around = Around::default();
        let Some(numbered) = Numbered::of(path) else { return Ok((first, around)) };
        if is_own(first.bytes.as_ref())? && !numbered.is_first() {
            return Ok((first, around));
        }
        let refuse = |text: String| Err(Error::unsupported(text).in_file(&first.name));
        let earlier = (0..numbered.number.min(2)).find(|it| is_there(&numbered.path(*it)));
        if let Some(earlier) = earlier {
            let text = format!("a piece of a split file; give '{}'", numbered.shown(earlier));
            return refuse(text);
        }
        if !numbered.is_first() {
            return Ok((first, around));
        }
        let mut pieces = vec![Neighbour { id: first.id, bytes: Arc::clone(&first.bytes) }];
        let mut number = numbered.number + 1;
        while let Some(piece) = self.follower(&numbered, number, &mut around.notes)? {
            // Files of a name with a number behind it may be images one by one, such as layers of a chain.
            if number == numbered.number + 1 && is_own(piece.bytes.as_ref())? {
                if is_own(first.bytes.as_ref())? {
                    return Ok((first, around));
                }
                return refuse(format!(
                    "by its name the first piece of a split file; but '{}' begins an image of its own",
                    numbered.shown(number)
                ));
            }
            let (own, before) = (piece.bytes.len(), pieces[pieces.len() - 1].bytes.len());
            let whole = first.bytes.len();
            if before != whole || own > whole {
                let odd = if before != whole { number - 1 } else { number };
                let has = if before != whole { before } else { own };
                return refuse(format!(
                    "the pieces of a split file are of one size, but for the last: this one has {whole} bytes, \
                     and '{}' {has}",
                    numbered.shown(odd)
                ));
            }
            pieces.push(piece);
            let most = self.limits.files;
            if pieces.len() > most as usize {
                let what = format!("a file in more than {most} pieces");
                return Err(Limits::reached("files", what).in_file(&first.name));
            }
            number += 1;
        }
        if let Some(beyond) = numbered.beyond(number)? {
            let (gap, beyond) = (numbered.shown(number), numbered.shown(beyond));
            return refuse(format!(
                "a piece of a split file: '{gap}' is missing, and '{beyond}' is there"
            ));
        }
        let (name, id) = (first.name.clone(), first.id);
        let last = numbered.shown(number - 1);
        around.notes.push(match pieces.len() {
            1 => format!(
                "{name}: by its name the first piece of a split file; there is no further one"
            ),
            count => {
                format!("{name}: read as one file with the pieces up to '{last}', {count} in all")
            }
        });
        if pieces.len() == 1 {
            return Ok((first, around));
        }
        let each = pieces.iter().map(|piece| Arc::clone(&piece.bytes));
        let bytes: Arc<dyn Bytes> = Arc::new(Joined::new(name.clone(), each)?);
        around.files = pieces;
        Ok((Source { name, origin: first.origin, bytes, id, locked: first.locked }, around))
    }

    /// The piece of that number, where there is one.
    fn follower(
        &self,
        numbered: &Numbered,
        number: u32,
        notes: &mut Vec<String>,
    ) -> Result<Option<Neighbour>> {
        let path = numbered.path(number);
        if !is_there(&path) {
            return Ok(None);
        }
        let shown = path.display().to_string();
        let io = |error: io::Error| Error::from(error).doing("opening").in_file(&shown);
        let (real, folder) =
            (path.canonicalize().map_err(io)?, numbered.folder().canonicalize().map_err(io)?);
        let is_regular = Sort::of(&real.metadata().map_err(io)?) == Sort::Regular;
        // Nobody gave this name: what others have put there leads nowhere else.
        if !is_regular || !real.starts_with(&folder) {
            let odd = if is_regular { "a link out of the folder" } else { "no file" };
            let text = format!("a piece of a split file that is {odd}");
            return Err(Error::unsupported(text).in_file(&shown));
        }
        let opened = file::open_without_links(&real).map_err(io)?;
        notes.extend(self.locks.judge(&shown, &opened.file)?);
        let id = opened.id;
        Ok(Some(Neighbour { id, bytes: self.access.bytes(&shown, opened.file)? }))
    }
}

/// Whether it bears the signature of an image or a wrapper, and so begins a file.
fn is_own(bytes: &dyn Bytes) -> Result<bool> {
    let head = wrapped::head(bytes, Sample::HEAD)?;
    let format = Format::probe(&Sample { head: &head, tail: &[] });
    Ok(format.is_some() || Wrapping::of(&head).is_some())
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// A path whose name ends in a number of three or four digits.
struct Numbered {
    path: PathBuf,
    /// Its name up to the number, with the dot.
    stem: OsString,
    digits: usize,
    number: u32,
}

impl Numbered {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.as_bytes();
        let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
        let number = number(&name[dot + 1..])?;
        Some(Self {
            path: path.to_owned(),
            stem: OsStr::from_bytes(&name[..=dot]).to_owned(),
            digits: name.len() - dot - 1,
            number,
        })
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    /// Some count from 0.
    fn is_first(&self) -> bool {
        self.number < 2
    }

    fn name(&self, number: u32) -> OsString {
        let digits = self.digits;
        let mut name = self.stem.clone().into_vec();
        name.extend(format!("{number:0digits$}").bytes());
        OsString::from_vec(name)
    }

    /// The path of the piece of that number.
    fn path(&self, number: u32) -> PathBuf {
        self.path.with_file_name(self.name(number))
    }

    fn shown(&self, number: u32) -> String {
        self.name(number).display().to_string()
    }

    /// The first piece behind the one of that number that is in the folder.
    fn beyond(&self, gap: u32) -> Result<Option<u32>> {
        let folder = self.folder();
        let located = |error: io::Error| {
            Error::from(error).doing("listing").in_file(&folder.display().to_string())
        };
        let mut first = None;
        for entry in folder.read_dir().map_err(located)?.take(LOOKED_AT) {
            let name = entry.map_err(located)?.file_name();
            let end = name.as_bytes().strip_prefix(self.stem.as_bytes());
            let found = end.filter(|end| end.len() == self.digits).and_then(number);
            let nearer = |found: &u32| *found > gap && first.is_none_or(|first| *found < first);
            first = found.filter(nearer).or(first);
        }
        Ok(first)
    }
}

/// Names of a folder that are looked at for a piece behind a gap.
const LOOKED_AT: usize = 1 << 16;

/// A number of three or four digits.
fn number(text: &[u8]) -> Option<u32> {
    let is_number = (3..=4).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
