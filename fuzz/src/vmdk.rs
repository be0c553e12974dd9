//! What is done with an input for VMDK.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Limits, Piece, Result, Stream, Writing as _,
};
use diskferry_testkit::fuzz::{Choices, Chosen, Views, any_disk, any_image, put, view};
use diskferry_testkit::{Model, Texture};
use diskferry_vmdk::{Descriptor, StreamOptimizedStream, Vmdk, plan};

use common::{cowd, descriptor as text_of, options, se_sparse, stamp, to_vec, write, write_files};

#[path = "../../crates/vmdk/tests/common/mod.rs"]
mod common;

/// The input is an image.
pub fn read(input: &[u8]) {
    any_image(input, views);
}

/// The input chooses one of a few good images, and what is replaced in it.
pub fn tables(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut image = IMAGES[usize::from(choices.byte()) % IMAGES.len()].clone();
    while !choices.is_over() {
        patch(&mut image, &mut choices);
    }
    any_image(&image, views);
    stream(&image);
}

/// The input is a descriptor: what is read of it can be written and read again, and it is the
/// descriptor of an image, or refused.
pub fn descriptor(input: &[u8]) {
    if let Ok(descriptor) = Descriptor::parse(input, &budget()) {
        // A quotation mark in a name that has none around it can be read, and not be written.
        for line in descriptor.extents().iter().filter(|line| !line.name.contains('"')) {
            let written = line.to_string();
            // Where no line ends with LF, CR ends one; a name may have CR in it.
            let again = Descriptor::parse(format!("{written}\n").as_bytes(), &budget());
            let again = again.unwrap_or_else(|error| panic!("{line:?}: {error}"));
            let kept = again.extents().first().expect("an extent's line");
            assert_eq!(kept.to_string(), written, "{line:?}");
        }
    }
    any_image(input, views);
}

/// The input is a streamOptimized image from a pipe: it ends, or is refused; how much is asked for at
/// a time, and how much there is at a time, makes no difference; and by position it is as large.
pub fn stream(input: &[u8]) {
    let whole = run(input, 70_000);
    let trickled = run(Trickle(input), 777);
    match (&whole, &trickled) {
        (Ok(whole), Ok(trickled)) => assert!(whole == trickled, "it depends on the slicing"),
        (Err(whole), Err(trickled)) => assert_eq!(whole, trickled),
        _ => panic!("{:?}, and {:?} slice by slice", whole.err(), trickled.err()),
    }
    // A table may still be wrong where the grains' own markers are right.
    if let (Ok((passed, _)), Ok(image)) = (whole, Vmdk::open(Arc::new(input.to_vec()), &budget())) {
        assert_eq!(image.size(), passed, "by position it has another size");
    }
}

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, budget| {
        let image = Vmdk::open(Arc::clone(&bytes), budget)?;
        if image.describe().compression.is_some() {
            let passed = run(to_vec(&bytes).as_slice(), 70_000).map(|(passed, _)| passed);
            assert_eq!(passed, Ok(image.size()), "as a stream");
        }
        Ok(Box::new(image))
    });
}

fn budget() -> Budget {
    Limits::default().with_metadata(8 << 20).budget()
}

/// The image, with good files for whatever it names.
fn views(bytes: Arc<dyn Bytes>, budget: &Budget) -> Views {
    view(open(bytes, budget))
}

fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Vmdk> {
    let image = Vmdk::open(bytes, budget)?;
    let needed = image.extents_needed().len();
    let files = (0..needed).map(|index| Arc::clone(&EXTENTS[index % EXTENTS.len()])).collect();
    image.with_extents(files, budget)
}

/// Files of 256 KiB of disk: flat, and an extent of each kind.
static EXTENTS: LazyLock<Vec<Arc<dyn Bytes>>> = LazyLock::new(|| {
    let model = Model::random(1, 256 << 10, 4096);
    let hosted = to_vec(&write_files("subformat=twoGbMaxExtentSparse", &model)[1].1);
    let files = [model.whole(), cowd(&model, 512, 3, ""), se_sparse(&model), hosted];
    files.map(|file| Arc::new(file) as Arc<dyn Bytes>).into()
});

/// Good images, small enough that a change is likely to matter.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let grain = 64 << 10;
    let parts = [(Texture::Text, grain), (Texture::Absent, 2 * grain), (Texture::OneByte, grain)];
    let model = Model::of(2, grain, &parts);
    let small =
        Model::of(3, 4096, &[(Texture::Text, 8192), (Texture::Zero, 8192), (Texture::Noise, 4096)]);
    let lines = "RW 10 FLAT \"a\" 0\nRW 512 VMFSSPARSE \"b\"\nRW 7 ZERO\nRW 512 SESPARSE \"c\"\n\
                 RW 512 SPARSE \"d\"\n";
    vec![
        to_vec(&write("c=1", &model)),
        to_vec(&write("subformat=monolithicSparse", &model)),
        cowd(&small, 512, 3, "base.vmdk"),
        se_sparse(&small),
        text_of("custom", lines).into_bytes(),
    ]
});

/// Replaces a number or a byte, or ends the file.
fn patch(image: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let place = usize::from(choices.short());
    let at = match kind {
        // The header; its numbers are at whole words.
        0..0x30 => place % 40 * 4,
        // The footer, and what is around it.
        0x30..0x50 => (image.len() / 4).saturating_sub(384 - place % 384) * 4,
        // Directories and tables are in the first sectors of something.
        0x50..0x90 => place % (image.len() / 512).max(1) * 512 + usize::from(kind & 7) * 4,
        0x90..0xd0 => place % (image.len() / 4).max(1) * 4,
        0xd0..0xf0 => {
            return put(image, place, &[choices.byte()]);
        }
        _ => return image.truncate(place * 4),
    };
    let value = match kind % 4 {
        0 => choices.number(),
        1 => choices.pick(&[0, 1, 2, 3, 128, 0x8000_0000, 0xffff_ffff, 1 << 60, u64::MAX]),
        2 => u64::from(choices.byte()),
        _ => u64::from(choices.short()),
    };
    let width = if choices.byte() < 0xc0 { 4 } else { 8 };
    put(image, at, &value.to_le_bytes()[..width]);
}

/// Passes a stream through a buffer of this length: how many bytes the disk has, and the first of
/// them; or why it is refused.
fn run(reader: impl Read + Send, buffer: usize) -> Result<(u64, Vec<u8>), String> {
    let refused = |error: diskferry_block_stream::Error| {
        let kind = error.kind();
        let honest = [ErrorKind::Damaged, ErrorKind::Limit, ErrorKind::Unsupported];
        assert!(honest.contains(&kind), "{kind:?} is no way to refuse a stream: {error}");
        error.to_string()
    };
    let mut stream = StreamOptimizedStream::new(reader, "pipe", &budget()).map_err(refused)?;
    let said = stream.size();
    let (mut buf, mut first, mut passed) = (vec![0xa5; buffer], Vec::new(), 0);
    loop {
        let (data, length) = match stream.next(&mut buf).map_err(refused)? {
            Piece::End => break,
            Piece::Zero(length) => (&[][..], length),
            Piece::Data(length) => (&buf[..length], length as u64),
        };
        assert!(length > 0, "a piece of nothing");
        let room = FIRST.saturating_sub(first.len());
        first.extend_from_slice(&data[..data.len().min(room)]);
        if data.is_empty() {
            first.resize(first.len() + length.min(room as u64) as usize, 0);
        }
        passed += length;
        assert!(said.is_none_or(|said| passed <= said), "more than the {said:?} bytes it said");
    }
    assert_eq!(stream.size(), Some(passed), "the size at the end");
    assert!(said.is_none_or(|said| said == passed), "fewer than the {said:?} bytes it said");
    Ok((passed, first))
}

/// Bytes of a stream that are compared.
const FIRST: usize = 1 << 20;

/// Has a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = buf.len().min(self.0.len()).min(100);
        let (now, rest) = self.0.split_at(count);
        buf[..count].copy_from_slice(now);
        self.0 = rest;
        Ok(count)
    }
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let subformat = choices.pick(&["streamOptimized", "streamOptimized", "monolithicSparse"]);
    let adapter = choices.pick(&["lsilogic", "ide", "buslogic", "legacyESX"]);
    let level = u32::from(choices.byte() % 13);
    let mut chosen = options(&format!("subformat={subformat},adapter_type={adapter}"));
    if subformat == "streamOptimized" && level > 0 {
        chosen.compress(Some(level)).expect("VMDK compresses");
    }
    let chunk = 64 << 10;
    Chosen {
        chunk,
        unit: chunk,
        most: chunk << 18,
        most_stored: 6 * chunk,
        plan: Box::new(move |size| plan(size, &chosen, &stamp(), Some("disk.vmdk"))),
    }
}
