//! Tar archives, member by member: ustar, pax and GNU's, sparse members of every kind included.
//!
//! ```text
//! member:   | header, 512 bytes | data | zeros to a whole block |
//! archive:  | [extended header: a member of type x, g or L] member | … | [a block of zeros …] |
//!
//! header, offsets in bytes:
//!   0 name 100   124 size 12   148 checksum 8   156 type 1   257 magic 8   345 prefix 155 (ustar)
//!   GNU, type S: 386 four of (offset 12, length 12)   482 more follow   483 real size 12
//!   a block of more: 21 of (offset 12, length 12)     504 more follow
//! ```
//!
//! Numbers are octal text; or, where the first bit is set, binary and big-endian. Sources: POSIX.1 (pax),
//! GNU tar's manual, "Basic Tar Format", "GNU extensions" and "Storing Sparse Files".
//!
//! POSIX ends an archive with two blocks of zeros. One will do, and none: VirtualBox 7.2 writes its OVAs so,
//! and GNU tar reads them without a word. What breaks off in a header, in data or in the zeros behind them
//! is damage, as it is to GNU tar: who writes archives writes whole blocks.
//!
//! This is a reader of our own because no published one tells where the data of sparse members of
//! all kinds are in the archive, bounds what a map may take, and names the place of a damage.

use diskferry_block_stream::{Error, Limits, Result};

use crate::damage::Damage;
use crate::peek::Ahead;
use crate::segment::Segment;

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 512;

type Block = [u8; BLOCK as usize];

/// Whether these first bytes of a file are those of a tar archive. The oldest have no magic; that
/// the bytes add up to what their text says happens by no accident.
pub(crate) fn begins(head: &[u8]) -> bool {
    let block = head.first_chunk::<{ BLOCK as usize }>();
    block.is_some_and(|block| block[0] != 0 && check_sum(block, 0).is_ok())
}

/// A member of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name, without `./` in front.
    pub name: String,
    /// Whether there is a `./` in front.
    pub is_dotted: bool,
    /// Whether it is a regular file. Of all else there is nothing to read.
    pub is_file: bool,
    /// Its length, holes included.
    pub size: u64,
    /// Where its data are in the archive, in order.
    pub segments: Vec<Segment>,
    /// Bytes of the archive from here to the next header.
    pub rest: u64,
    /// Whose kind of header it has.
    pub kind: Kind,
}

/// The kinds of tar, by a member's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The oldest, without a magic.
    V7,
    /// POSIX's of 1988.
    Ustar,
    /// POSIX's of 2001, with an extended header.
    Pax,
    /// GNU tar's own, old and new.
    Gnu,
}

impl Kind {
    fn of(block: &Block, extended: &Extended) -> Self {
        match &block[257..265] {
            b"ustar  \0" => Self::Gnu,
            _ if extended.has_records => Self::Pax,
            magic if magic.starts_with(b"ustar\0") => Self::Ustar,
            _ => Self::V7,
        }
    }

    /// The word by which GNU tar's option `--format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V7 => "v7",
            Self::Ustar => "ustar",
            Self::Pax => "posix",
            Self::Gnu => "gnu",
        }
    }
}

/// A walk through the headers of an archive.
pub(crate) struct Headers {
    limits: Limits,
    /// Headers that there may be.
    left: u32,
    /// Headers that there might be before the last member came.
    left_before: u32,
    /// Where the archive ended, if it did without an end mark: then nobody knows whether it was cut there.
    pub unmarked: Option<u64>,
}

impl Headers {
    pub fn new(limits: &Limits) -> Self {
        let left = limits.members;
        Self { limits: limits.clone(), left, left_before: left, unmarked: None }
    }

    /// Does not count the last member, as something else bounds how many of its kind there are. Where
    /// extended headers are in front of it, they are.
    pub fn uncount(&mut self) {
        self.left = self.left_before.min(self.left + 1);
    }

    /// The next member; the source is then at its data, and is at the next header when called again.
    ///
    /// # Errors
    /// `Damaged`, `Limit`, `Unsupported` for an archive in several volumes.
    pub fn next(&mut self, source: &mut dyn Ahead) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        self.left_before = self.left;
        loop {
            let at = source.at();
            let seen = source.peek(BLOCK as usize)?;
            let is_something = at > 0 || !seen.is_empty();
            if is_something && seen.iter().all(|byte| *byte == 0) {
                self.unmarked = (seen.len() < BLOCK as usize).then_some(at);
                return match extended.at {
                    None => Ok(None),
                    Some(at) => Err(Damage::Orphan { at }.into()),
                };
            }
            let Some(block) = seen.first_chunk::<{ BLOCK as usize }>().copied() else {
                return Err(Damage::Short { at: at + seen.len() as u64 }.into());
            };
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let most = self.limits.members;
                Limits::reached("members", format!("an archive of more than {most} members"))
            })?;
            check_sum(&block, at)?;
            source.skip(BLOCK)?;
            let size = number(&block[124..136]).ok_or(Damage::Number { at, field: "size" })?;
            match block[156] {
                b'x' => extended.records(at, &self.take(source, size, "an extended header")?)?,
                b'L' => {
                    let name = self.take(source, size, "a long name")?;
                    (extended.at, extended.name) = (Some(at), Some(text(&name)));
                }
                // What holds for all members.
                b'g' => source.skip(padded(size, at)?)?,
                // The long name of a link's target.
                b'K' => {
                    source.skip(padded(size, at)?)?;
                    extended.at = Some(at);
                }
                b'M' => return Err(Error::unsupported("a tar archive in several volumes")),
                kind => return self.entry(at, &block, kind, size, extended, source).map(Some),
            }
        }
    }

    /// The data of a member that is a part of the headers.
    fn take(&self, source: &mut dyn Ahead, size: u64, what: &'static str) -> Result<Vec<u8>> {
        let at = source.at();
        if size > EXTENDED_MAX {
            return Err(Error::limit(format!("{what} of {size} bytes in a tar archive")));
        }
        let mut data = vec![0; self.limits.spend(what, size)?];
        let taken = source.fill(&mut data);
        self.limits.refund(size);
        taken?;
        source.skip(padded(size, at)? - size)?;
        Ok(data)
    }

    fn entry(
        &self,
        at: u64,
        block: &Block,
        kind: u8,
        size: u64,
        extended: Extended,
        source: &mut dyn Ahead,
    ) -> Result<Entry> {
        let tar_kind = Kind::of(block, &extended);
        let written = extended.name.unwrap_or_else(|| name(block));
        let name = written.trim_start_matches("./").to_owned();
        let is_dotted = name.len() < written.len();
        // Of links, devices and folders there are no data, whatever their size is said to be.
        let stored = if (b'1'..=b'6').contains(&kind) { 0 } else { extended.size.unwrap_or(size) };
        let rest = padded(stored, at)?;
        let is_file = matches!(kind, b'0' | 0 | b'7' | b'S') && !name.ends_with('/');
        let in_data = matches!(extended.sparse, Sparse::InData { .. }) && kind != b'S';
        let (size, map) = match (kind, extended.sparse) {
            (b'S', _) => {
                let real = number(&block[483..495]);
                let real = real.ok_or(Damage::Number { at, field: "real size" })?;
                (real, Some(self.old_map(at, block, source)?))
            }
            (_, Sparse::None) => (stored, None),
            (_, Sparse::Map { entries, size }) => {
                let missing = Damage::Map { at, problem: "has no size" };
                (size.ok_or(missing)?, Some(entries))
            }
            (_, Sparse::InData { size }) => {
                let missing = Damage::Map { at, problem: "has no size" };
                (size.ok_or(missing)?, Some(self.map_in_data(at, source)?))
            }
        };
        let begun = source.at();
        // The map at the front of the data is a part of them; the blocks after an old header are not.
        let before = if in_data { begun - (at + BLOCK) } else { 0 };
        let too_long = || Damage::Map { at, problem: "is longer than the member" };
        let rest = rest.checked_sub(before).ok_or_else(too_long)?;
        let stored = stored.checked_sub(before).ok_or_else(too_long)?;
        begun.checked_add(rest).ok_or(Damage::Number { at, field: "size" })?;
        let segments = match map {
            None => vec![Segment { at: 0, len: stored, from: begun }],
            Some(map) => segments(at, &map, size, stored, begun)?,
        };
        Ok(Entry { name, is_dotted, is_file, size, segments, rest, kind: tar_kind })
    }

    /// The map in an old GNU header and the blocks after it.
    fn old_map(&self, at: u64, block: &Block, source: &mut dyn Ahead) -> Result<Map> {
        let mut map = Map::new();
        let mut more = self.old_entries(at, &block[386..482], &mut map)? && block[482] != 0;
        while more {
            let mut block: Block = [0; BLOCK as usize];
            source.fill(&mut block)?;
            more = self.old_entries(at, &block[..504], &mut map)? && block[504] != 0;
        }
        Ok(map)
    }

    /// Adds entries up to the first that is none; says whether all were some.
    fn old_entries(&self, at: u64, entries: &[u8], map: &mut Map) -> Result<bool> {
        for entry in entries.chunks_exact(24) {
            if entry[12] == 0 {
                return Ok(false);
            }
            let field = "map";
            let offset = number(&entry[..12]).ok_or(Damage::Number { at, field })?;
            let length = number(&entry[12..]).ok_or(Damage::Number { at, field })?;
            self.add(map, offset, length)?;
        }
        Ok(true)
    }

    /// The map of version 1.0, in front of the data: lines of decimal numbers, to a whole block.
    fn map_in_data(&self, at: u64, source: &mut dyn Ahead) -> Result<Map> {
        let mut lines = Lines { at, block: [0; BLOCK as usize], next: BLOCK as usize };
        let mut map = Map::new();
        for _ in 0..lines.number(source)? {
            let (offset, length) = (lines.number(source)?, lines.number(source)?);
            self.add(&mut map, offset, length)?;
        }
        Ok(map)
    }

    fn add(&self, map: &mut Map, offset: u64, length: u64) -> Result<()> {
        self.limits.spend("a sparse member's map", size_of::<Segment>() as u64)?;
        map.push((offset, length));
        Ok(())
    }
}

/// Bytes of an extended header. Those with a map of version 0.1 are the longest: GNU tar no longer
/// writes them.
const EXTENDED_MAX: u64 = 16 << 20;

/// Stored stretches of a member: offset and length.
type Map = Vec<(u64, u64)>;

/// Where the stretches of a member of `size` bytes are, which are stored one after the other.
fn segments(at: u64, map: &Map, size: u64, stored: u64, begun: u64) -> Result<Vec<Segment>> {
    let damage = |problem| Error::from(Damage::Map { at, problem });
    let mut segments: Vec<Segment> = Vec::new();
    let (mut end, mut used) = (0, 0);
    for &(offset, length) in map {
        if offset < end {
            return Err(damage("goes back"));
        }
        end = offset.saturating_add(length);
        if end > size {
            return Err(damage("goes past the member's end"));
        }
        if length > 0 && used % BLOCK != 0 {
            return Err(damage("has a stretch that ends within a block"));
        }
        let from = begun + used;
        if length > stored - used {
            return Err(damage("is of more data than there are"));
        }
        used += length;
        match segments.last_mut() {
            Some(last) if last.at + last.len == offset => last.len += length,
            _ if length > 0 => segments.push(Segment { at: offset, len: length, from }),
            _ => {}
        }
    }
    if used < stored {
        return Err(damage("is of less data than there are"));
    }
    Ok(segments)
}

/// What extended headers say of the member after them.
#[derive(Default)]
struct Extended {
    /// Where the first of them is.
    at: Option<u64>,
    name: Option<String>,
    size: Option<u64>,
    sparse: Sparse,
    /// Whether there is one of POSIX's among them.
    has_records: bool,
}

/// How a pax member is sparse.
#[derive(Default)]
enum Sparse {
    #[default]
    None,
    /// Versions 0.0 and 0.1: the map is in the extended header.
    Map { entries: Map, size: Option<u64> },
    /// Version 1.0.
    InData { size: Option<u64> },
}

impl Extended {
    /// Takes in the records of an extended header: `length key=value\n`, the length being that of
    /// the whole record.
    fn records(&mut self, at: u64, mut data: &[u8]) -> Result<()> {
        self.at.get_or_insert(at);
        self.has_records = true;
        let (mut entries, mut begun, mut sizes) = (Map::new(), None, [None, None]);
        let (mut version, mut has_map, mut sparse_name) = ((None, None), false, None);
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or(Damage::Record { at })?;
            data = rest;
            let decimal = |key| decimal(value).ok_or(Damage::RecordNumber { at, key });
            match key {
                b"path" => self.name = Some(text(value)),
                b"size" => self.size = Some(decimal("size")?),
                b"GNU.sparse.name" => sparse_name = Some(text(value)),
                b"GNU.sparse.size" => sizes[0] = Some(decimal("GNU.sparse.size")?),
                b"GNU.sparse.realsize" => sizes[1] = Some(decimal("GNU.sparse.realsize")?),
                b"GNU.sparse.major" => version.0 = Some(decimal("GNU.sparse.major")?),
                b"GNU.sparse.minor" => version.1 = Some(decimal("GNU.sparse.minor")?),
                b"GNU.sparse.offset" => begun = Some(decimal("GNU.sparse.offset")?),
                b"GNU.sparse.numbytes" => {
                    let key = "GNU.sparse.offset";
                    let offset = begun.take().ok_or(Damage::RecordNumber { at, key })?;
                    entries.push((offset, decimal("GNU.sparse.numbytes")?));
                    has_map = true;
                }
                b"GNU.sparse.map" => {
                    let key = "GNU.sparse.map";
                    entries = map_of(value).ok_or(Damage::RecordNumber { at, key })?;
                    has_map = true;
                }
                _ => {}
            }
        }
        // The name beside it is a made-up one, for programs that know nothing of sparse members.
        self.name = sparse_name.or(self.name.take());
        let size = sizes[1].or(sizes[0]);
        match version {
            (None, None) if has_map => self.sparse = Sparse::Map { entries, size },
            (None, None) | (Some(0), _) if size.is_none() && !has_map => {}
            (None, None) | (Some(0), _) => self.sparse = Sparse::Map { entries, size },
            (Some(1), Some(0)) => self.sparse = Sparse::InData { size },
            _ => {
                return Err(Error::unsupported(
                    "a sparse member of a tar archive in a version other than 0.0, 0.1 and 1.0",
                ));
            }
        }
        Ok(())
    }
}

/// The first record's key and value, and the rest.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

/// The map of version 0.1: numbers with commas between them.
fn map_of(value: &[u8]) -> Option<Map> {
    if value.is_empty() {
        return Some(Map::new());
    }
    let mut numbers = value.split(|byte| *byte == b',').map(decimal);
    let mut map = Map::new();
    while let Some(offset) = numbers.next() {
        map.push((offset?, numbers.next()??));
    }
    Some(map)
}

/// Lines of numbers, in blocks.
struct Lines {
    at: u64,
    block: Block,
    next: usize,
}

impl Lines {
    fn number(&mut self, source: &mut dyn Ahead) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.next == self.block.len() {
                source.fill(&mut self.block)?;
                self.next = 0;
            }
            let byte = self.block[self.next];
            self.next += 1;
            if byte == b'\n' {
                break;
            }
            digits.push(byte);
            if digits.len() > 20 {
                break;
            }
        }
        let problem = "has a line that is no number";
        Ok(decimal(&digits).ok_or(Damage::Map { at: self.at, problem })?)
    }
}

/// The name in the header itself.
fn name(block: &Block) -> String {
    let name = text(&block[..100]);
    // GNU has other fields where ustar has the prefix.
    let prefix =
        if block[257..].starts_with(b"ustar\0") { text(&block[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{}", name.trim_start_matches("./")) }
}

/// Bytes up to the first NUL, as text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whole blocks of `size` bytes.
fn padded(size: u64, at: u64) -> Result<u64> {
    let whole =
        size.checked_next_multiple_of(BLOCK).filter(|whole| at.checked_add(*whole).is_some());
    Ok(whole.ok_or(Damage::Number { at, field: "size" })?)
}

/// A header's number; none where it is no number, negative, or of more than 64 bits.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
        let fits = *first == 0x80 && high.iter().all(|byte| *byte == 0);
        return fits.then(|| u64::from_be_bytes(low.try_into().unwrap_or_default()));
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let digits = &text[..end];
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// # Errors
/// `Damaged` when the bytes of the header at `at` do not add up to what it says.
fn check_sum(block: &Block, at: u64) -> Result<()> {
    let field = 148..156;
    let sum = |value: fn(u8) -> i32| -> i32 {
        let bytes = block.iter().enumerate();
        bytes.map(|(index, byte)| if field.contains(&index) { 32 } else { value(*byte) }).sum()
    };
    let stated = number(&block[field.clone()]);
    let is = |sum: i32| stated.is_some_and(|stated| u64::try_from(sum) == Ok(stated));
    // Some old programs added signed bytes.
    let unsigned = sum(i32::from);
    if is(unsigned) || is(sum(|byte| i32::from(byte.cast_signed()))) {
        return Ok(());
    }
    let found = text(&block[field]);
    Err(Damage::Checksum { at, found, sum: unsigned.unsigned_abs() }.into())
}
