//! Any bytes as an image.

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cursor, Error, ErrorKind, Extent, Image, Kind, Limits, Result,
};

use crate::{Random, format};

/// The disks that are in one file: as it is now, and as it was at each snapshot.
pub type Views = Vec<Result<Box<dyn Image>>>;

/// The one disk of a file, where there are no snapshots.
pub fn view(image: Result<impl Image + 'static>) -> Views {
    vec![image.map(|image| Box::new(image) as Box<dyn Image>)]
}

/// Whatever the bytes are, they are refused as damaged, unsupported or past a limit; or they are
/// disks that keep the contract of [`Cursor`]: extents tile them, tell the truth, and are the same
/// for every limit; a read gives the same bytes however it is sliced, and fails exactly when one
/// of its slices does. Nothing depends on whether the bytes can be viewed in memory.
///
/// The work is bounded, whatever size an image says it has.
///
/// # Panics
/// When any of this is not so.
pub fn any_image(input: &[u8], open: impl Fn(Arc<dyn Bytes>, &Budget) -> Views) {
    let opened = |bytes| open(bytes, &Limits::default().with_metadata(METADATA).budget());
    let views = opened(Arc::new(input.to_vec()));
    let others = opened(Arc::new(Unviewed(input.to_vec())));
    assert_eq!(views.len(), others.len(), "views of the same bytes");
    for (index, (view, other)) in views.iter().zip(&others).enumerate() {
        match (view, other) {
            (Ok(image), Ok(other)) => {
                Look::new(image.as_ref(), other.as_ref(), input).all();
                // The first view's check is of the whole file.
                if index == 0 {
                    check(image.as_ref());
                }
            }
            (Err(error), Err(other)) => {
                honest(error);
                assert_eq!(error.to_string(), other.to_string());
            }
            (view, other) => panic!(
                "opened {}, and {} where bytes cannot be viewed",
                outcome(view),
                outcome(other)
            ),
        }
    }
}

/// Bounds on what one input may cost.
const METADATA: u64 = 8 << 20;
const EXTENTS: usize = 1000;
const READ: u64 = 4 << 20;
const WINDOW: u64 = 160 << 10;

fn outcome<T>(result: &Result<T>) -> String {
    result.as_ref().map_or_else(|error| format!("with '{error}'"), |_| "well".into())
}

/// Bytes in memory do not fail by themselves: what is wrong is the image's fault, or too much.
fn honest(error: &Error) {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::Limit | ErrorKind::Unsupported => {}
        kind => panic!("{kind:?} is no way to refuse bytes in memory: {text}"),
    }
    assert!(error.place().file.is_some(), "an error without a file: {text}");
}

fn check(image: &dyn Image) {
    let mut told = 0_usize;
    let checked = format::check(image, &mut |problem| told += problem.text.len().max(1));
    std::hint::black_box(told);
    if let Err(error) = checked {
        honest(&error);
    }
}

/// A look at one view of an image, and at the same view of bytes that cannot be viewed.
struct Look<'a> {
    image: &'a dyn Image,
    other: &'a dyn Image,
    size: u64,
    /// Reads whole windows.
    one: Box<dyn Cursor + 'a>,
    /// Reads slices, and asks for other limits.
    two: Box<dyn Cursor + 'a>,
    random: Random,
    /// Bytes that may still be read.
    budget: u64,
}

impl<'a> Look<'a> {
    fn new(image: &'a dyn Image, other: &'a dyn Image, input: &[u8]) -> Self {
        assert_eq!(image.size(), other.size(), "sizes of the same bytes");
        let seed = input.iter().fold(0_u64, |seed, byte| seed.rotate_left(5) ^ u64::from(*byte));
        Self {
            image,
            other,
            size: image.size(),
            one: cursor(image),
            two: cursor(other),
            random: Random::new(seed),
            budget: READ,
        }
    }

    fn all(&mut self) {
        std::hint::black_box(format!("{:?} {:?}", self.image.describe(), self.image.parent()));
        assert!(self.image.grain() > 0, "a grain of no bytes");
        assert!(self.size <= Limits::default().virtual_size, "a size past the limit");
        let (mut at, mut steps) = (0, 0);
        while at < self.size && steps < EXTENTS {
            at = self.extent(at);
            steps += 1;
        }
        for _ in 0..8 {
            // What was read before makes no difference.
            self.two = cursor(self.other);
            let at = self.random.below(self.size.max(1));
            self.window(at, self.size - at);
        }
    }

    /// Looks at the extent at `at`; returns where the next one begins.
    fn extent(&mut self, at: u64) -> u64 {
        let whole = self.one.extent(at, self.size - at);
        // The cluster at fault may be a later one: those before it must still be there to see.
        let grain = self.image.grain();
        let next_grain = at.saturating_add(grain - at % grain).min(self.size);
        let found = whole.or_else(|error| {
            honest(&error);
            self.one.extent(at, next_grain - at)
        });
        let extent = match found {
            Ok(extent) => extent,
            Err(error) => {
                honest(&error);
                self.window(at, next_grain - at);
                return next_grain;
            }
        };
        let Extent { length, kind } = extent;
        assert!((1..=self.size - at).contains(&length), "the extent at {at:#x} has {length} bytes");
        for place in [at, at + self.random.below(length), at + length - 1] {
            self.part(at, extent, place);
        }
        self.truth(at, length.min(WINDOW), kind, 0);
        let tail = length.saturating_sub(1 + self.random.below(5000));
        self.truth(at + tail, length - tail, kind, tail);
        // Across the edges.
        let before = at.saturating_sub(1 + self.random.below(700));
        let after = self.random.length(1500);
        self.window(before, (at - before) + after);
        at + length
    }

    /// An extent asked for at `place`, which the extent at `at` holds, is of the same kind.
    fn part(&mut self, at: u64, Extent { length, kind }: Extent, place: u64) {
        let limit = self.random.length(at + length - place);
        let part = match self.two.extent(place, limit) {
            Ok(part) => part,
            Err(error) => panic!("{limit} bytes at {place:#x} of the extent at {at:#x}: {error}"),
        };
        let expected = match kind {
            Kind::Plain { file, offset } => Kind::Plain { file, offset: offset + (place - at) },
            kind => kind,
        };
        assert_eq!(part.kind, expected, "at {place:#x} of the extent at {at:#x}");
        assert!(
            (1..=limit).contains(&part.length),
            "{} bytes at {place:#x} with a limit of {limit}",
            part.length
        );
    }

    /// What an extent says of these bytes, which are `within` bytes from its start, is so.
    fn truth(&mut self, at: u64, length: u64, kind: Kind, within: u64) {
        let Some(read) = self.window(at, length) else { return };
        let len = read.as_ref().map_or(0, Vec::len);
        match (kind, read) {
            (Kind::Absent | Kind::Zero, Ok(bytes)) => {
                assert!(bytes.iter().all(|byte| *byte == 0), "{kind:?} at {at:#x} is not zeros");
            }
            (Kind::Plain { file, offset }, Ok(bytes)) => {
                let mut stored = vec![0; len];
                let file = &self.image.files()[file as usize];
                file.read_at(offset + within, &mut stored).expect("a plain extent is in its file");
                assert!(bytes == stored, "{kind:?} at {at:#x} reads as other bytes");
            }
            (Kind::Data { .. }, _) => {}
            (_, Err(error)) => panic!("reading {kind:?} at {at:#x}: {error}"),
        }
    }

    /// Reads these bytes, as far as the disk and the budget have them, at once and in slices.
    fn window(&mut self, at: u64, length: u64) -> Option<Result<Vec<u8>>> {
        let length = length.min(self.size - at).min(WINDOW).min(self.budget) as usize;
        if length == 0 {
            return None;
        }
        self.budget -= length as u64;
        let mut bytes = vec![0xa5; length];
        let read = self.one.read(at, &mut bytes);
        let sliced = self.slices(at, length);
        match (&read, &sliced) {
            (Ok(()), Ok(slices)) => {
                assert!(bytes == *slices, "{length} bytes at {at:#x} depend on their slicing");
            }
            (Err(error), Err(sliced)) => {
                honest(error);
                honest(sliced);
            }
            _ => panic!(
                "{length} bytes at {at:#x} read {}, in slices {}",
                outcome(&read),
                outcome(&sliced)
            ),
        }
        Some(read.map(|()| bytes))
    }

    fn slices(&mut self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0x5a; length];
        let mut from = 0;
        while from < length {
            let len = self.random.length((length - from) as u64) as usize;
            self.two.read(at + from as u64, &mut bytes[from..from + len])?;
            from += len;
        }
        Ok(bytes)
    }
}

fn cursor(image: &dyn Image) -> Box<dyn Cursor + '_> {
    image.cursor().expect("a cursor of bytes in memory")
}

/// Bytes that can only be read.
struct Unviewed(Vec<u8>);

impl Bytes for Unviewed {
    fn name(&self) -> &str {
        Bytes::name(&self.0)
    }

    fn len(&self) -> u64 {
        Bytes::len(&self.0)
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.0.read_at(at, buf)
    }
}
