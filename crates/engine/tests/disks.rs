//! Disks made of disks, and the comparison of two.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, ErrorKind, Extent, Kind, Result};
use diskferry_engine::{
    Chain, CopyOptions, Difference, Job, Output, Pad, Patched, Slice, Source, WriteOrder, Zeros,
    compare, copy,
};
use diskferry_testkit::fault::{Fault, FaultyBytes, is_injected};
use diskferry_testkit::{Copying, Model, Part, Random, Recorder, Texture, laws};

fn job(threads: usize) -> Job {
    Job::new(threads).unwrap()
}

fn arc(model: Model) -> Arc<dyn Disk> {
    Arc::new(model)
}

/// A model's bytes depend on seed, place and texture only, so that layers of one seed make a model
/// again.
fn merged(layer: &Model, parent: &Model) -> Model {
    let mut parts: Vec<(Texture, u64)> = Vec::new();
    for part in layer.parts() {
        if part.texture != Texture::Absent {
            parts.push((part.texture, part.length));
            continue;
        }
        let mut at = part.at;
        for Part { texture, length, at: from } in parent.parts() {
            let (start, end) = (at.max(*from), part.end().min(from + length));
            if start < end {
                parts.push((*texture, end - start));
                at = end;
            }
        }
        parts.push((Texture::Absent, part.end() - at));
    }
    Model::of(layer.seed(), 1, &parts)
}

#[test]
fn chains_are_their_layers_merged() {
    let seed = 11;
    let mut random = Random::new(3);
    for (size, below) in [
        (5 << 20, 5 << 20),
        (5 << 20, (2 << 20) + 77),
        ((3 << 20) + 5, 6 << 20),
        (4 << 20, 0),
        (1, 1000),
        (0, 1 << 20),
    ] {
        for plain in [false, true] {
            let cut = |size: u64, random: &mut Random| {
                let mut parts = Vec::new();
                let mut left = size;
                while left > 0 {
                    let length = random.length(left.min(1 << 19));
                    parts.push((*random.pick(&Texture::ALL), length));
                    left -= length;
                }
                Model::of(seed, 1, &parts)
            };
            let (layer, parent) = (cut(size, &mut random), cut(below, &mut random));
            let expected = merged(&layer, &parent);
            let (layer, parent) =
                if plain { (layer.plain(), parent.plain()) } else { (layer, parent) };
            let chain = Chain::new(arc(layer), arc(parent));
            laws::reading(&chain, &expected);

            let top = cut(size + 100, &mut random);
            let expected = merged(&top, &expected);
            let chain = Chain::new(arc(top.plain()), Arc::new(chain));
            laws::reading(&chain, &expected);

            // The kernel copies from the files of every layer.
            let recorder = Recorder::new().copying(Copying::Whole);
            let options = CopyOptions { zeros: Zeros::Trust, ..CopyOptions::default() };
            let plan = diskferry_block_stream::Plan::Flat(diskferry_block_stream::Flat::default());
            copy(Source::Disk(&chain), plan, &recorder, &options, &job(3)).unwrap();
            assert!(recorder.recorded().to_vec() == expected.whole(), "{expected}");
        }
    }
}

#[test]
fn a_long_absent_run_is_not_walked_for_each_of_the_parents_extents() {
    let layer = Arc::new(Model::empty(1 << 30, 65536));
    let parent = Model::fragmented(1, 1 << 30, 65536);
    let chain = Chain::new(Arc::clone(&layer) as _, arc(parent));
    let mut cursor = chain.cursor().unwrap();
    let mut at = 0;
    while at < chain.size() {
        at += cursor.extent(at, chain.size() - at).unwrap().length;
    }
    assert_eq!(layer.extents_asked(), 1);
}

#[test]
fn padding_is_zeros() {
    for (size, more) in [(0, 5 << 20), (1000, 0), ((3 << 20) + 7, 1), (4096, 1 << 45)] {
        let model =
            Model::of(5, 1, &[(Texture::Text, size / 2), (Texture::Noise, size - size / 2)]);
        let parts = model.parts().iter().map(|part| (part.texture, part.length));
        let expected = Model::of(5, 1, &parts.chain([(Texture::Zero, more)]).collect::<Vec<_>>());
        let padded = Pad::new(arc(model.plain()), size + more).unwrap();
        laws::reading(&padded, &expected);
    }
    let shorter = Pad::new(arc(Model::empty(1000, 1)), 999);
    assert_eq!(shorter.map(|_| ()).unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn a_slice_is_a_part_of_its_disk() {
    let model = Model::random(7, (4 << 20) + 99, 512);
    for (at, len) in [(0, model.size()), (1, 1000), (1 << 20, (2 << 20) + 1), (model.size(), 0)] {
        let slice = Slice::new(arc(model.plain()), at, len).unwrap();
        assert_eq!(slice.size(), len);
        let mut cursor = slice.cursor().unwrap();
        let mut bytes = vec![0; len as usize];
        cursor.read(0, &mut bytes).unwrap();
        assert!(bytes == model.bytes(at, len as usize));
        let mut place = 0;
        while place < len {
            let extent = cursor.extent(place, len - place).unwrap();
            let expected = &bytes[place as usize..][..extent.length as usize];
            match extent.kind {
                Kind::Plain { file, offset } => {
                    let mut found = vec![0; expected.len()];
                    slice.files()[file as usize].read_at(offset, &mut found).unwrap();
                    assert!(found == expected);
                }
                _ => assert!(expected.iter().all(|byte| *byte == 0)),
            }
            place += extent.length;
        }
        assert_eq!(place, len);
    }
    for (at, len) in [(0, model.size() + 1), (model.size() + 1, 0), (5, u64::MAX)] {
        let slice = Slice::new(arc(Model::random(7, (4 << 20) + 99, 512)), at, len);
        assert_eq!(slice.map(|_| ()).unwrap_err().kind(), ErrorKind::Misuse);
    }
}

#[test]
fn patches_are_over_what_is_there() {
    let model = Model::random(9, (3 << 20) + 77, 512);
    let size = model.size();
    let patches = vec![
        (size - 7, vec![6; 7]),
        (0, vec![1; 4]),
        (4, vec![2; 512]),
        (1 << 20, Vec::new()),
        ((1 << 20) + 3, vec![3; 5000]),
    ];
    let mut expected = model.whole();
    for (at, bytes) in &patches {
        expected[*at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    let patched = Patched::new(arc(model.plain()), patches).unwrap();
    let mut cursor = patched.cursor().unwrap();
    for step in [1 << 13, 4099, 1 << 22] {
        let mut at = 0;
        while at < size {
            let mut bytes = vec![0xff; step.min(size - at) as usize];
            cursor.read(at, &mut bytes).unwrap();
            assert!(bytes == expected[at as usize..][..bytes.len()], "{step} bytes at {at:#x}");
            at += bytes.len() as u64;
        }
    }
    let mut at = 0;
    while at < size {
        let Extent { length, kind } = cursor.extent(at, size - at).unwrap();
        let bytes = &expected[at as usize..][..length as usize];
        match kind {
            Kind::Plain { file, offset } => {
                let mut found = vec![0; bytes.len()];
                patched.files()[file as usize].read_at(offset, &mut found).unwrap();
                assert!(found == bytes, "plain at {at:#x}");
            }
            Kind::Data { .. } => {}
            Kind::Absent | Kind::Zero => assert!(bytes.iter().all(|byte| *byte == 0)),
        }
        at += length;
    }
    for wrong in
        [vec![(size, vec![1])], vec![(u64::MAX, vec![1])], vec![(0, vec![1; 9]), (8, vec![1])]]
    {
        let refused = Patched::new(arc(Model::random(9, (3 << 20) + 77, 512)), wrong);
        assert_eq!(refused.map(|_| ()).unwrap_err().kind(), ErrorKind::Misuse);
    }
}

/// A model of which some bytes are others.
struct Flipped {
    model: Model,
    at: Vec<u64>,
}

impl Disk for Flipped {
    fn size(&self) -> u64 {
        self.model.size()
    }
    fn grain(&self) -> u64 {
        self.model.grain()
    }
    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }
    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(FlippedCursor { disk: self, inner: self.model.cursor()? }))
    }
}

struct FlippedCursor<'a> {
    disk: &'a Flipped,
    inner: Box<dyn Cursor + 'a>,
}

impl Cursor for FlippedCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        // The block of a flipped byte is data, whatever it was.
        let block = |flip: u64| flip - flip % 512;
        if self.disk.at.iter().any(|flip| block(*flip) == block(at)) {
            let length = limit.min(block(at) + 512 - at);
            return Ok(Extent { length, kind: Kind::Data { compressed: false } });
        }
        let next = self.disk.at.iter().map(|flip| block(*flip)).filter(|flip| *flip > at).min();
        self.inner.extent(at, next.map_or(limit, |next| limit.min(next - at)))
    }
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read(at, buf)?;
        for flip in &self.disk.at {
            if let Some(byte) = flip.checked_sub(at).and_then(|place| buf.get_mut(place as usize)) {
                *byte ^= 0x40;
            }
        }
        Ok(())
    }
}

fn model() -> Model {
    Model::random(21, (24 << 20) + 3, 512)
}

fn difference(a: &Arc<dyn Disk>, b: &Arc<dyn Disk>, threads: usize) -> Option<Difference> {
    compare(a, b, &job(threads)).unwrap()
}

#[test]
fn the_same_content_is_no_difference() {
    for threads in [1, 2, 7] {
        assert_eq!(difference(&arc(model()), &arc(model().plain()), threads), None);
        // Zeros are zeros, however they are kept.
        let zero = |texture| arc(Model::full(1, (5 << 20) + 1, 512, texture));
        let [absent, known, stored] =
            [Texture::Absent, Texture::Zero, Texture::StoredZeros].map(zero);
        assert_eq!(difference(&absent, &known, threads), None);
        assert_eq!(difference(&absent, &stored, threads), None);
        assert_eq!(difference(&stored, &known, threads), None);
        let none = arc(Model::empty(0, 1));
        assert_eq!(difference(&none, &none, threads), None);
    }
}

#[test]
fn the_first_difference_is_found_for_any_number_of_threads() {
    let mut random = Random::new(5);
    let size = model().size();
    let mut cases: Vec<Vec<u64>> = vec![vec![0], vec![size - 1], vec![size - 1, 0]];
    cases.extend((0..12).map(|_| (0..1 + random.below(5)).map(|_| random.below(size)).collect()));
    for at in cases {
        let first = *at.iter().min().unwrap();
        for threads in [1, 2, 7] {
            let other: Arc<dyn Disk> = Arc::new(Flipped { model: model(), at: at.clone() });
            let expected = Some(Difference::Content(first));
            assert_eq!(difference(&arc(model()), &other, threads), expected, "{at:x?}, {threads}");
            assert_eq!(difference(&other, &arc(model()), threads), expected, "{at:x?}, {threads}");
        }
    }
}

#[test]
fn disks_of_different_sizes_are_compared_with_zeros_beyond() {
    let text = |size| Model::full(3, size, 1, Texture::Text);
    let longer = |more: &[(Texture, u64)]| {
        arc(Model::of(3, 1, &[&[(Texture::Text, 1 << 20)], more].concat()))
    };
    let short = arc(text(1 << 20));
    for threads in [1, 7] {
        for (other, expected) in [
            (longer(&[(Texture::Zero, 5)]), Difference::Size(1 << 20, (1 << 20) + 5)),
            (longer(&[(Texture::StoredZeros, 1 << 21)]), Difference::Size(1 << 20, 3 << 20)),
            (
                longer(&[(Texture::Absent, 1 << 45)]),
                Difference::Size(1 << 20, (1 << 20) + (1 << 45)),
            ),
            (
                longer(&[(Texture::Zero, 1 << 45), (Texture::Text, 1)]),
                Difference::Content((1 << 20) + (1 << 45)),
            ),
            (arc(Model::empty(0, 1)), Difference::Content(0)),
        ] {
            assert_eq!(difference(&short, &other, threads), Some(expected));
        }
    }
}

#[test]
fn an_error_of_either_side_comes_out() {
    let model = model();
    for nth in [0, 3, 20] {
        for faulty_first in [true, false] {
            let fault = Fault::error(nth, std::io::ErrorKind::Other);
            let faulty = faulty(&model, &fault);
            let whole = arc(self::model());
            let result = if faulty_first {
                compare(&faulty, &whole, &job(3))
            } else {
                compare(&whole, &faulty, &job(3))
            };
            let error = result.unwrap_err();
            assert!(is_injected(&error), "{error}");
        }
    }
}

/// The model as a toy, read through bytes with a fault once it is open.
fn faulty(model: &Model, fault: &Fault) -> Arc<dyn Disk> {
    struct Raw(u64, [Arc<dyn Bytes>; 1]);
    impl Disk for Raw {
        fn size(&self) -> u64 {
            self.0
        }
        fn grain(&self) -> u64 {
            1
        }
        fn files(&self) -> &[Arc<dyn Bytes>] {
            &self.1
        }
        fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
            Ok(Box::new(RawCursor(self.1[0].as_ref())))
        }
    }
    struct RawCursor<'a>(&'a dyn Bytes);
    impl Cursor for RawCursor<'_> {
        fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
            Ok(Extent { length: limit, kind: Kind::Plain { file: 0, offset: at } })
        }
        fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
            self.0.read_at(at, buf)
        }
    }
    let bytes = Arc::new(model.whole());
    Arc::new(Raw(model.size(), [Arc::new(FaultyBytes::new(bytes, fault))]))
}

#[test]
fn a_recorder_is_no_pipe_unless_it_says_so() {
    assert_eq!(Recorder::new().order(), WriteOrder::Any);
    assert_eq!(Recorder::forward_only().order(), WriteOrder::Forward);
}
