//! Any small disk, written and read back.

use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{Budget, Bytes, Disk, ErrorKind, Image, Kind, Plan, Result};
use diskferry_engine::{CopyOptions, Job, Source, Zeros, copy};

use super::Choices;
use crate::format::problems;
use crate::{Copying, Model, Random, Recorded, Recorder, StreamSize, Texture};

/// A way to write that an input has chosen.
pub struct Chosen {
    /// Bytes in the chunks that a disk is stored in.
    pub chunk: u64,
    /// Bytes that an image's size is a multiple of; what is added to a disk's reads as zeros.
    pub unit: u64,
    /// Bytes of the largest disk worth writing: what is preallocated costs as if it were data.
    pub most: u64,
    /// Bytes of data worth writing in it: compressing takes its time under a fuzzer.
    pub most_stored: u64,
    /// Makes the plan for a disk of this size, each time the same.
    pub plan: Box<dyn Fn(Option<u64>) -> Result<Plan>>,
}

/// A disk and a way to write it, both from `input`: one thread and three write the same bytes,
/// those are the disk again when they are opened, and its format finds no problem in them.
///
/// `choose` takes its options from the input's first bytes.
///
/// # Panics
/// When any of this is not so.
pub fn any_disk(
    input: &[u8],
    choose: impl FnOnce(&mut Choices<'_>) -> Chosen,
    open: impl Fn(Arc<dyn Bytes>, &Budget) -> Result<Box<dyn Image>>,
) {
    let mut choices = Choices::new(input);
    let chosen = choose(&mut choices);
    let way = Way::choose(&mut choices);
    let model = model(&chosen, &mut choices);
    let model = if way.source == Origin::Plain { model.plain() } else { model };
    let size = (way.source != Origin::Stream(StreamSize::Unknown)).then_some(model.size());
    if let Err(error) = (chosen.plan)(Some(model.size())).and_then(|_| (chosen.plan)(size)) {
        let refused = matches!(error.kind(), ErrorKind::Misuse | ErrorKind::Unsupported);
        assert!(refused, "{model}: a plan refused as {:?}: {error}", error.kind());
        return;
    }
    let make = || (chosen.plan)(size).expect("the options are good for this size");
    let file = way.write(&model, make(), &JOBS.0);
    let again = way.write(&model, make(), &JOBS.1);
    if let Some(at) = file.first_difference(&again) {
        panic!("{model}, {way:?}: other bytes with three threads from {at:#x} on");
    }
    let budget = Budget::default();
    let image = open(file, &budget).unwrap_or_else(|error| panic!("{model}, {way:?}: {error}"));
    same(image.as_ref(), &model, chosen.unit, &way);
    let problems = problems(image.as_ref());
    // A raw disk may have a size that is no whole number of sectors, which is odd.
    let odd = usize::from(!image.size().is_multiple_of(512));
    assert_eq!(problems.len(), odd, "{model}, {way:?}: {problems:?}");
}

/// Starting threads would take longer than all the rest.
static JOBS: LazyLock<(Job, Job)> = LazyLock::new(|| {
    let job = |threads| Job::new(threads).expect("a thread pool");
    (job(1), job(3))
});

/// How a copy is made.
#[derive(Debug)]
struct Way {
    zeros: Zeros,
    source: Origin,
    copying: Copying,
    /// What the target held before.
    garbage: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Disk,
    /// A disk whose data is plain.
    Plain,
    Stream(StreamSize),
}

impl Way {
    fn choose(choices: &mut Choices<'_>) -> Self {
        use Origin::{Disk, Plain, Stream};
        Self {
            zeros: choices.pick(&[Zeros::Scan, Zeros::Trust]),
            source: choices.pick(&[
                Disk,
                Plain,
                Stream(StreamSize::Known),
                Stream(StreamSize::Unknown),
            ]),
            copying: choices.pick(&[Copying::Refused, Copying::Whole, Copying::Half]),
            garbage: (choices.byte() % 8 == 7).then_some(7),
        }
    }

    fn write(&self, model: &Model, plan: Plan, job: &Job) -> Arc<Recorded> {
        let recorder = self.garbage.map_or_else(Recorder::new, Recorder::garbage);
        let recorder = recorder.copying(self.copying);
        let source = match self.source {
            Origin::Disk | Origin::Plain => Source::Disk(model),
            Origin::Stream(size) => Source::Stream(Box::new(model.stream(5, size))),
        };
        let options = CopyOptions { zeros: self.zeros, ..CopyOptions::default() };
        let copied = copy(source, plan, &recorder, &options, job);
        let problems = recorder.problems();
        let copied = copied.unwrap_or_else(|e| panic!("{model}, {self:?}: {e}; {problems:?}"));
        assert!(problems.is_empty(), "{model}, {self:?}: {problems:?}");
        assert_eq!(copied.size, model.size(), "{model}, {self:?}: the size in the summary");
        assert_eq!(copied.copied + copied.zeros, copied.size, "{model}, {self:?}: {copied:?}");
        recorder.recorded()
    }
}

/// Parts of all textures. Stored ones are short; those that hold nothing may be very long.
fn model(chosen: &Chosen, choices: &mut Choices<'_>) -> Model {
    let chunk = chosen.chunk;
    let grain = choices.pick(&[chunk, 512, 4096, 1]);
    let seed = u64::from(choices.byte());
    let mut parts = Vec::new();
    let (mut stored, mut size) = (0, 0);
    while !choices.is_over() && parts.len() < PARTS_MAX {
        let kind = choices.byte();
        let texture = Texture::ALL[usize::from(kind) % Texture::ALL.len()];
        let number = u64::from(choices.short());
        let unit = if kind & 0x80 == 0 { chunk } else { 512 };
        let length = if texture.is_stored() {
            (number & 0xff) * unit
        } else {
            ((number & 0xfff) * unit) << (number >> 12)
        };
        let length = length.next_multiple_of(grain);
        size += length;
        stored += if texture.is_stored() { length } else { 0 };
        if stored > chosen.most_stored || size > chosen.most {
            break;
        }
        parts.push((texture, length));
    }
    // The last part ends anywhere in its grain.
    if let Some((_, length)) = parts.last_mut() {
        *length = length.saturating_sub(seed * 5 % grain.max(2));
    }
    Model::of(seed, grain, &parts)
}

const PARTS_MAX: usize = 48;

/// The image is the model, its size rounded up to whole units, with zeros.
fn same(image: &dyn Disk, model: &Model, unit: u64, way: &Way) {
    let size = model.size();
    assert_eq!(image.size(), size.next_multiple_of(unit), "{model}: in units of {unit}");
    let mut cursor = image.cursor().expect("a cursor of bytes in memory");
    let mut random = Random::new(model.seed());
    let mut at = 0;
    while at < image.size() {
        let extent = cursor.extent(at, image.size() - at);
        let extent = extent.unwrap_or_else(|e| panic!("{model}, {way:?}: at {at:#x}: {e}"));
        let end = at + extent.length;
        if extent.kind.reads_zero() {
            let within = end.min(size).saturating_sub(at);
            let lost = model.first_non_zero(at, within);
            assert_eq!(lost, None, "{model}, {way:?}: {:?} at {at:#x}", extent.kind);
        } else {
            let compressed = extent.kind == Kind::Data { compressed: true };
            let mut from = at;
            while from < end {
                let most = if compressed { 300_000 } else { 1 << 20 };
                let len = random.length((end - from).min(most)).max((end - from).min(4096));
                let mut found = vec![0xa5; len as usize];
                let read = cursor.read(from, &mut found);
                read.unwrap_or_else(|e| panic!("{model}, {way:?}: reading at {from:#x}: {e}"));
                let known = size.saturating_sub(from).min(len) as usize;
                let (bytes, rounding) = found.split_at(known);
                let differs =
                    bytes != model.bytes(from.min(size), known) || rounding.iter().any(|b| *b != 0);
                assert!(!differs, "{model}, {way:?}: other bytes among the {len} at {from:#x}");
                from += len;
            }
        }
        at = end;
    }
}
