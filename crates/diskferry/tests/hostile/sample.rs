//! One image: what it reads as, which of its bytes that takes, and what becomes of it when it is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry::block_stream::{Bytes, Disk, Kind, Problem};
use diskferry::{Control, DiskImage, Error, ErrorKind, Format, Job, OpenOptions, Result};
use diskferry_testkit::Overlay;

use crate::damage::Damage;
use crate::silence;

thread_local! {
    /// Starting threads for each of a million checks would take longer than the checks.
    static JOB: Job = Job::new(1).unwrap();
}

fn check(image: &DiskImage, report: &mut dyn FnMut(Problem)) -> Result<()> {
    JOB.with(|job| image.check(job, report))
}

pub struct Sample {
    pub name: String,
    pub path: PathBuf,
    pub base: Arc<Vec<u8>>,
    /// What is read besides the disk's own bytes, or before the image is refused: offset and length.
    pub tables: Vec<(u64, u64)>,
    /// What opening reads.
    opening: Spans,
    /// The same without what is read to find out what the file is.
    pub headers: Spans,
    pub good: Option<Good>,
}

/// What an image that is not refused has.
pub struct Good {
    pub format: Format,
    assumed: bool,
    size: u64,
    chunk: u64,
    chunks: Vec<Chunk>,
    /// What walking through the extents reads, after opening.
    map: Spans,
    check: Spans,
    /// Where the disk's bytes are stored, and nothing else.
    payload: Spans,
    /// What check says of it.
    problems: Vec<String>,
}

struct Chunk {
    /// None for zeros.
    bytes: Option<Vec<u8>>,
    /// What reading it reads.
    reads: Spans,
}

/// How many cases there were of each kind.
#[derive(Debug, Default)]
pub struct Tally {
    pub cases: u64,
    same: u64,
    refused: u64,
    /// Other content, and check tells.
    shown: u64,
    /// Other content where the change was made in the disk's own bytes.
    data: u64,
    /// Other content where nothing could tell.
    silent: u64,
    /// Not known for its format any more.
    unrecognised: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.same += other.same;
        self.refused += other.refused;
        self.shown += other.shown;
        self.data += other.data;
        self.silent += other.silent;
        self.unrecognised += other.unrecognised;
    }

    /// Makes sure that there was something to see.
    pub fn assert_plenty(&self) {
        assert!(self.cases > 2_000_000, "{self:?}");
        for count in [self.same, self.refused, self.shown, self.data] {
            assert!(count > 1000, "{self:?}");
        }
    }
}

/// Bytes of the disk that are read again after one change, at most; compressed ones count eightfold.
const READ: u64 = 4 << 20;

/// Extents that are looked at after one change, at most.
const EXTENTS: usize = 2000;

impl Sample {
    /// # Panics
    /// When it cannot be read.
    pub fn new(path: &Path) -> Self {
        let base = Arc::new(std::fs::read(path).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let overlay = Arc::new(Overlay::new(&name, Arc::clone(&base)).traced());
        let opened = open(Arc::clone(&overlay), path, None);
        let opening = overlay.take_trace();
        // What is read to find out what it is, is read again by those who know.
        let probes = [64 << 10, 4 << 10].map(|most: u64| most.min(base.len() as u64));
        let mut tables = opening.clone();
        let wrapped = path.extension().is_some_and(|it| it == "tar");
        tables.retain(|(_, length)| !(probes.contains(length) || wrapped && *length > 4 << 10));
        let headers = Spans::new(tables.clone());
        let good = opened.ok().and_then(|image| Good::new(&image, &overlay, &mut tables));
        tables.sort_unstable();
        tables.dedup();
        Self {
            name,
            path: path.to_owned(),
            base,
            tables,
            opening: Spans::new(opening),
            headers,
            good,
        }
    }

    /// Of 10 * 65536 changes, how many are made in data.
    pub fn data_share(&self) -> u64 {
        let chunk = self.good.as_ref().map_or(1, |good| good.chunk);
        (2 << 16) * (64 << 10) / chunk.max(64 << 10)
    }

    /// Looks at the image with this damage.
    pub fn judge(&self, number: usize, damage: &Damage, tally: &mut Tally) -> Result<(), String> {
        tally.cases += 1;
        let verdict = self.verdict(number, damage, None)?;
        let verdict = match (verdict, &self.good) {
            // It may still be said what it is.
            (Verdict::Unrecognised, Some(good)) => {
                tally.unrecognised += 1;
                self.verdict(number, damage, Some(good.format))?
            }
            (verdict, _) => verdict,
        };
        match verdict {
            Verdict::Same => tally.same += 1,
            Verdict::Refused => tally.refused += 1,
            Verdict::Shown => tally.shown += 1,
            Verdict::Data => tally.data += 1,
            Verdict::Silent => tally.silent += 1,
            Verdict::Unrecognised => tally.unrecognised += 1,
        }
        Ok(())
    }

    fn verdict(
        &self,
        number: usize,
        damage: &Damage,
        format: Option<Format>,
    ) -> Result<Verdict, String> {
        let overlay = Overlay::new(&self.name, Arc::clone(&self.base));
        let overlay = match damage {
            Damage::Cut(at) => overlay.cut(*at),
            Damage::Put(at, bytes) => overlay.patched(*at, bytes),
        };
        let image = match open(Arc::new(overlay), &self.path, format) {
            Ok(image) => image,
            Err(error) => return honest(&error).map(|()| Verdict::Refused),
        };
        let look =
            Look { sample: self, number, damage, image: &image, disk: image.disk().as_ref() };
        match &self.good {
            // It was refused, and was mended by chance, or is taken for another thing: nothing to compare with.
            None => look.unknown().map(|()| Verdict::Unrecognised),
            Some(good) if format.is_none() && !good.is_alike(&image) => {
                look.unknown().map(|()| Verdict::Unrecognised)
            }
            Some(good) => look.compared(good),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Refused,
    Shown,
    Data,
    Silent,
    Unrecognised,
}

fn open(bytes: Arc<Overlay>, path: &Path, format: Option<Format>) -> Result<DiskImage> {
    let options = OpenOptions::new().format(format);
    options.open_bytes(bytes as Arc<dyn Bytes>, Some(path), &Control::default())
}

/// The error is one that damage may come to, and has a place.
fn honest(error: &Error) -> Result<(), String> {
    let text = error.to_string();
    let fair = match error.kind() {
        ErrorKind::Damaged | ErrorKind::Limit | ErrorKind::Refused | ErrorKind::Unsupported => true,
        // A damaged name leads to no file.
        ErrorKind::Io => {
            ["No such file", "File name too long", "beside it has the id", "a folder, not an image"]
                .iter()
                .any(|why| text.contains(why))
        }
        _ => false,
    };
    if !fair {
        return Err(format!("refused as {:?}: {text}", error.kind()));
    }
    if error.place().file.is_none() || text.len() > 5000 {
        return Err(format!("an error without a place, or too long: {text}"));
    }
    Ok(())
}

impl Good {
    fn new(image: &DiskImage, overlay: &Overlay, tables: &mut Vec<(u64, u64)>) -> Option<Self> {
        let disk = image.disk().as_ref();
        let size = disk.size();
        overlay.take_trace();
        let found = extents(disk, usize::MAX).ok()?;
        let plain = found.iter().filter_map(|(_, length, kind)| match kind {
            Kind::Plain { file, offset } => stored(disk, *file, *offset, *length),
            _ => None,
        });
        let plain: Vec<_> = plain.filter(|(name, ..)| name == overlay.name()).collect();
        let plain = plain.into_iter().map(|(_, at, length)| (at, length));
        let map = overlay.take_trace();
        tables.extend_from_slice(&map);
        let chunk = disk.grain().max(64 << 10);
        let mut chunks = Vec::new();
        for at in (0..size).step_by(chunk as usize) {
            let mut bytes = vec![0xa5; (size - at).min(chunk) as usize];
            overlay.take_trace();
            disk.cursor().ok()?.read(at, &mut bytes).ok()?;
            let reads = Spans::new(overlay.take_trace());
            let zeros = bytes.iter().all(|byte| *byte == 0);
            chunks.push(Chunk { bytes: (!zeros).then_some(bytes), reads });
        }
        let mut problems = image.warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
        overlay.take_trace();
        check(image, &mut |problem| problems.push(problem.text)).ok()?;
        let check = overlay.take_trace();
        let checked = Spans::new(check.clone());
        let reads: Vec<_> = chunks.iter().flat_map(|chunk| chunk.reads.0.clone()).collect();
        let format = image.format();
        let payload = if [Format::RAW, Format::ZVHD, Format::ZVHD2].contains(&format) {
            // No table is read again for the sake of the disk's bytes.
            reads
        } else {
            let mut payload = Spans::new(reads).without(&Spans::new(tables.clone()));
            payload.extend(plain);
            payload
        };
        let payload = Spans::new(payload);
        tables.extend(check);
        let pieces = tables.drain(..).flat_map(|read| Spans(vec![read]).without(&payload));
        *tables = pieces.collect();
        Some(Self {
            format,
            assumed: image.layers()[0].is_assumed(),
            size,
            chunk,
            chunks,
            map: Spans::new(map),
            check: checked,
            payload,
            problems,
        })
    }

    /// Whether it is the same format still.
    fn is_alike(&self, image: &DiskImage) -> bool {
        self.format == image.format() && self.assumed == image.layers()[0].is_assumed()
    }
}

/// The file, and the place in it, of a plain extent.
fn stored(disk: &dyn Disk, file: u32, at: u64, length: u64) -> Option<(String, u64, u64)> {
    let (mut bytes, mut at): (&dyn Bytes, u64) = (disk.files().get(file as usize)?.as_ref(), at);
    while let Some((outer, place)) = bytes.origin(at, length) {
        (bytes, at) = (outer, place);
    }
    Some((bytes.name().to_owned(), at, length))
}

/// Walks through the extents, at most so many, and returns whether they tile the disk and what each is.
fn extents(disk: &dyn Disk, most: usize) -> Result<Vec<(u64, u64, Kind)>> {
    let mut cursor = disk.cursor()?;
    let (mut at, mut found) = (0, Vec::new());
    while at < disk.size() && found.len() < most {
        let extent = cursor.extent(at, disk.size() - at)?;
        assert!((1..=disk.size() - at).contains(&extent.length), "{extent:?} at {at:#x}");
        found.push((at, extent.length, extent.kind));
        at += extent.length;
    }
    Ok(found)
}

/// A look at a damaged image.
pub struct Look<'a> {
    sample: &'a Sample,
    number: usize,
    damage: &'a Damage,
    image: &'a DiskImage,
    disk: &'a dyn Disk,
}

impl Look<'_> {
    /// Nothing is known of what it should be: it must only behave.
    fn unknown(&self) -> Result<(), String> {
        let mut outcomes = vec![extents(self.disk, EXTENTS).map(drop)];
        let mut bytes = vec![0; self.disk.size().min(READ / 8) as usize];
        outcomes.push(self.disk.cursor().and_then(|mut cursor| cursor.read(0, &mut bytes)));
        outcomes.push(check(self.image, &mut |_| {}));
        outcomes.into_iter().filter_map(Result::err).try_for_each(|error| honest(&error))
    }

    fn compared(&self, good: &Good) -> Result<Verdict, String> {
        let touched = |spans: &Spans| match self.damage {
            // What comes after the cut.
            Damage::Cut(at) => spans.touches(*at as u64, u64::MAX / 2),
            Damage::Put(at, bytes) => spans.touches(*at as u64, bytes.len() as u64),
        };
        let is_cut = matches!(self.damage, Damage::Cut(_));
        let opening = touched(&self.sample.opening);
        let everything = opening || is_cut || self.number.is_multiple_of(100);
        let mut refused = false;
        if everything || touched(&good.map) {
            match extents(self.disk, EXTENTS) {
                Ok(_) => {}
                Err(error) => {
                    honest(&error)?;
                    refused = true;
                }
            }
        }
        let differs = if self.disk.size() == good.size {
            match self.content(good, &touched, everything)? {
                Content::Same => false,
                Content::Other => true,
                Content::Refused => {
                    refused = true;
                    false
                }
            }
        } else {
            true
        };
        let costly = good.check.total() > 1 << 20 && !self.number.is_multiple_of(16);
        let mut shown = false;
        if differs || ((everything || touched(&good.check)) && !costly) {
            let known = |text: &String| good.problems.contains(text);
            let warnings = self.image.warnings().iter().map(ToString::to_string);
            shown = !warnings.into_iter().all(|text| known(&text));
            let checked = check(self.image, &mut |problem| shown |= !known(&problem.text));
            if let Err(error) = checked {
                honest(&error)?;
                shown = true;
            }
        }
        Ok(match (refused, differs) {
            (true, _) => Verdict::Refused,
            (false, false) => Verdict::Same,
            (false, true) => self.other(good, shown)?,
        })
    }

    /// The disk has other content.
    fn other(&self, good: &Good, shown: bool) -> Result<Verdict, String> {
        let in_payload = match self.damage {
            Damage::Put(at, bytes) => {
                (*at..at + bytes.len()).any(|at| good.payload.touches(at as u64, 1))
            }
            Damage::Cut(_) => false,
        };
        if in_payload && !silence::has_checksum(&self.sample.path, good.format) {
            return Ok(Verdict::Data);
        }
        if shown {
            return Ok(Verdict::Shown);
        }
        if silence::nothing_could_tell(self.sample, good.format, self.damage) {
            return Ok(Verdict::Silent);
        }
        let (size, was) = (self.disk.size(), good.size);
        Err(format!("other content, and nothing shows it; {size} bytes of {was}"))
    }

    fn content(
        &self,
        good: &Good,
        touched: &dyn Fn(&Spans) -> bool,
        everything: bool,
    ) -> Result<Content, String> {
        let mut cursor = match self.disk.cursor() {
            Ok(cursor) => cursor,
            Err(error) => return honest(&error).map(|()| Content::Refused),
        };
        let (mut budget, mut buf) = (READ, Vec::new());
        // Where not all can be read, it is not always the same part.
        let count = good.chunks.len();
        let order = (0..count).map(|index| (index + self.number) % count);
        let (first, rest): (Vec<_>, Vec<_>) =
            order.partition(|index| touched(&good.chunks[*index].reads));
        let must = first.len();
        for (nth, index) in first.into_iter().chain(rest).enumerate() {
            if nth >= must && !everything {
                break;
            }
            let chunk = &good.chunks[index];
            let at = index as u64 * good.chunk;
            let length = (good.size - at).min(good.chunk);
            // Zeros need not be read to be known.
            let kind = match cursor.extent(at, length) {
                Ok(extent) if extent.length == length => Some(extent.kind),
                Ok(_) => None,
                Err(error) => return honest(&error).map(|()| Content::Refused),
            };
            if kind.is_some_and(Kind::reads_zero) {
                match chunk.bytes {
                    None => continue,
                    Some(_) => return Ok(Content::Other),
                }
            }
            let packed = !matches!(kind, Some(Kind::Plain { .. }));
            let cost = length * if packed { 8 } else { 1 };
            if budget < cost && nth >= must.min(4) {
                break;
            }
            budget = budget.saturating_sub(cost);
            buf.clear();
            buf.resize(length as usize, 0x5a);
            if let Err(error) = cursor.read(at, &mut buf) {
                return honest(&error).map(|()| Content::Refused);
            }
            let same = match &chunk.bytes {
                Some(bytes) => *bytes == buf,
                None => buf.iter().all(|byte| *byte == 0),
            };
            if !same {
                return Ok(Content::Other);
            }
        }
        Ok(Content::Same)
    }
}

enum Content {
    Same,
    Other,
    Refused,
}

/// Stretches of a file, in order and apart.
pub struct Spans(Vec<(u64, u64)>);

impl Spans {
    fn new(mut reads: Vec<(u64, u64)>) -> Self {
        reads.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (at, length) in reads {
            match merged.last_mut() {
                Some((from, have)) if *from + *have >= at => {
                    *have = (*have).max(at + length - *from);
                }
                _ => merged.push((at, length)),
            }
        }
        Self(merged)
    }

    pub fn touches(&self, at: u64, length: u64) -> bool {
        let next = self.0.partition_point(|(from, have)| from + have <= at);
        self.0.get(next).is_some_and(|(from, _)| *from < at.saturating_add(length))
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|(_, length)| length).sum()
    }

    /// What is in these and not in others.
    fn without(&self, others: &Self) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        for (from, length) in &self.0 {
            let (mut at, end) = (*from, from + length);
            let near = others.0.partition_point(|(other, length)| other + length <= at);
            for (other, other_length) in &others.0[near..] {
                if *other >= end {
                    break;
                }
                if other + other_length <= at {
                    continue;
                }
                if *other > at {
                    left.push((at, other - at));
                }
                at = at.max(other + other_length);
            }
            if at < end {
                left.push((at, end - at));
            }
        }
        left
    }
}
