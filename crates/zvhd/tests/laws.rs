//! The laws that every format passes, for every way to write ZVHD and ZVHD2.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Kind, Order, Plan, Result, Stamp, Writing as _,
};
use diskferry_engine::{CopyOptions, Job, Slice, Source, copy};
use diskferry_testkit::format::problems;
use diskferry_testkit::{Model, Recorder, StreamSize, Texture, laws};
use diskferry_zvhd::zvhd::{self, Zvhd};
use diskferry_zvhd::zvhd2::{self, Zvhd2};

const UUID: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x80\x11\x22\x33\x44\x55\x66\x77";
const STAMP: Stamp = Stamp { uuid: UUID, seconds: 1_700_000_000 };
const GIB: u64 = 1 << 30;

/// A format with its options.
#[derive(Clone, Copy, Debug)]
enum Way {
    Zvhd(Option<u32>),
    Zvhd2(&'static str, Option<u32>),
}

const WAYS: &[Way] =
    &[Way::Zvhd(None), Way::Zvhd(Some(1)), Way::Zvhd2("zstd", None), Way::Zvhd2("zlib", Some(1))];

impl Way {
    fn try_plan(self, size: Option<u64>) -> Result<Plan> {
        match self {
            Self::Zvhd(level) => {
                let mut options = zvhd::Options::default();
                options.compress(level)?;
                zvhd::plan(size, &options, &STAMP)
            }
            Self::Zvhd2(compression, level) => {
                let mut options = zvhd2::Options::default();
                options.set("compression_type", compression)?;
                options.compress(level)?;
                zvhd2::plan(size, &options, &STAMP)
            }
        }
    }

    fn plan(self, size: u64) -> Plan {
        self.try_plan(Some(size)).unwrap()
    }

    fn image(self, bytes: Arc<dyn Bytes>) -> Result<Box<dyn Image>> {
        Ok(match self {
            Self::Zvhd(_) => Box::new(Zvhd::open(bytes, &Budget::default())?),
            Self::Zvhd2(..) => Box::new(Zvhd2::open(bytes, &Budget::default())?),
        })
    }

    /// The disk that was asked for. The image's own size is that in whole GiB.
    fn open(self, bytes: Arc<dyn Bytes>, size: u64) -> Result<Arc<dyn Disk>> {
        let disk: Arc<dyn Disk> = match self {
            Self::Zvhd(_) => Arc::new(Zvhd::open(bytes, &Budget::default())?),
            Self::Zvhd2(..) => Arc::new(Zvhd2::open(bytes, &Budget::default())?),
        };
        assert_eq!(disk.size(), size.next_multiple_of(GIB));
        Ok(Arc::new(Slice::new(disk, 0, size)?))
    }

    fn write(self, model: &Model) -> Arc<dyn Bytes> {
        let recorder = Recorder::new();
        let job = Job::new(2).unwrap();
        let plan = self.plan(model.size());
        copy(Source::Disk(model), plan, &recorder, &CopyOptions::default(), &job).unwrap();
        recorder.recorded()
    }
}

fn passes_the_laws_of_writing(way: Way) {
    for model in Model::gallery(2 << 20) {
        let size = model.size();
        laws::writing(|| way.plan(size), |bytes| way.open(bytes, size), &model);
    }
}

#[test]
fn zvhd_passes_the_laws_of_writing() {
    passes_the_laws_of_writing(WAYS[0]);
}

#[test]
fn zvhd_at_its_fastest_passes_the_laws_of_writing() {
    passes_the_laws_of_writing(WAYS[1]);
}

#[test]
fn zvhd2_passes_the_laws_of_writing() {
    passes_the_laws_of_writing(WAYS[2]);
}

#[test]
fn zvhd2_in_zlib_passes_the_laws_of_writing() {
    passes_the_laws_of_writing(WAYS[3]);
}

#[test]
fn a_disk_of_terabytes_passes_the_laws_of_writing() {
    // More blocks than a segment of bitmap and index counts.
    for (way, size) in [(WAYS[1], 3 << 40), (WAYS[2], (3 << 40) - (70 << 20) + 512)] {
        let model = Model::sparse(6, size, 65536);
        laws::writing(|| way.plan(size), |bytes| way.open(bytes, size), &model);
    }
}

#[test]
fn whatever_fails_fails_cleanly() {
    for way in [WAYS[1], WAYS[2], WAYS[3]] {
        let model = Model::random(7, (9 << 20) + 512, 65536);
        let size = model.size();
        laws::faults(|| way.plan(size), |bytes| way.open(bytes, size), &model);
    }
}

#[test]
fn an_image_cut_short_is_damaged_or_whole() {
    for way in WAYS {
        for model in [Model::random(8, (9 << 20) + 512, 65536), Model::empty(5 << 20, 512)] {
            let size = model.size();
            laws::truncation(&way.write(&model), |bytes| way.open(bytes, size), &model);
        }
    }
}

#[test]
fn what_is_written_has_no_problems_and_is_read_in_parallel() {
    for way in WAYS {
        for model in Model::gallery(2 << 20) {
            let image = way.image(way.write(&model)).unwrap();
            assert_eq!(problems(image.as_ref()), [], "{way:?}: {model}");
            assert_eq!(image.describe().warnings, [], "{way:?}: {model}");
            assert_eq!(image.order(), Order::Grains, "{way:?}: {model}");
            assert_eq!(image.size(), model.size().next_multiple_of(GIB), "{way:?}: {model}");
            let original = Some(model.size().next_multiple_of(512));
            assert_eq!(image.original_size(), original, "{way:?}: {model}");
            let ids = image.describe().ids;
            assert_eq!(ids, [("uuid", "01234567-89ab-4def-8011-223344556677".to_owned())]);
        }
    }
}

#[test]
fn an_empty_disk_is_a_few_pages() {
    for (way, size, length) in [
        (WAYS[0], 8 << 20, 2 * 4096),
        (WAYS[0], 0, 2 * 4096),
        (WAYS[2], 8 << 20, 4 * 4096),
        (WAYS[2], 0, 3 * 4096),
        (WAYS[2], 1 << 40, (3 + 16) * 4096),
    ] {
        let model = Model::empty(size, 512);
        let bytes = way.write(&model);
        assert_eq!(bytes.len(), length, "{way:?}, {size}");
        let image = way.image(bytes).unwrap();
        let size = image.size();
        if size > 0 {
            let extent = image.cursor().unwrap().extent(0, size).unwrap();
            assert_eq!((extent.length, extent.kind), (size, Kind::Zero), "{way:?}");
        }
    }
}

#[test]
fn what_does_not_shrink_grows_by_little() {
    let model = Model::full(1, 8 << 20, 65536, Texture::Noise);
    for way in WAYS {
        let length = way.write(&model).len();
        assert!(length < (8 << 20) + (640 << 10), "{way:?}: {length}");
    }
}

#[test]
fn what_cannot_be_planned_is_refused_before_any_work() {
    let most = (u64::from(u32::MAX)) << 21;
    for (way, size, kind, word) in [
        (WAYS[0], None, ErrorKind::Unsupported, "state its size"),
        (WAYS[2], None, ErrorKind::Unsupported, "state its size"),
        (WAYS[0], Some(most + 1), ErrorKind::Unsupported, "at most"),
        (WAYS[2], Some(u64::MAX), ErrorKind::Unsupported, "at most"),
        (Way::Zvhd(Some(0)), Some(1), ErrorKind::Misuse, "1 to 9"),
        (Way::Zvhd(Some(10)), Some(1), ErrorKind::Misuse, "1 to 9"),
        (Way::Zvhd2("zstd", Some(23)), Some(1), ErrorKind::Misuse, "1 to 22"),
        (Way::Zvhd2("zlib", Some(10)), Some(1), ErrorKind::Misuse, "1 to 9"),
        (Way::Zvhd2("lz4", None), Some(1), ErrorKind::Misuse, "zstd, zlib"),
    ] {
        let error = way.try_plan(size).err().expect(word);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    for way in [WAYS[0], WAYS[2]] {
        assert!(way.try_plan(Some(most)).is_ok());
    }
    let error = zvhd2::Options::default().set("cluster_size", "1").unwrap_err();
    assert!(error.to_string().contains("compression_type"), "{error}");
}

#[test]
fn a_disk_of_another_size_than_planned_is_refused() {
    for way in [WAYS[1], WAYS[2]] {
        for size in [(5 << 20) + 512, (9 << 20), 3 << 20, 4 << 20] {
            let model = Model::full(1, (5 << 20) + 1024, 512, Texture::Text);
            let recorder = Recorder::new();
            let job = Job::new(1).unwrap();
            let options = CopyOptions::default();
            let source = Source::Stream(Box::new(model.stream(1, StreamSize::Unknown)));
            let copied = copy(source, way.plan(size), &recorder, &options, &job);
            assert_eq!(copied.unwrap_err().kind(), ErrorKind::Misuse, "{way:?}, {size}");
        }
    }
}
