//! What is done with an input for qcow2.

use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{Budget, Bytes, Disk, Image, Result, Writing as _};
use diskferry_engine::{CopyOptions, Job, Source, copy};
use diskferry_qcow2::{Options, Qcow2, plan};
use diskferry_testkit::fuzz::{Choices, Chosen, Views, any_disk, any_image, put};
use diskferry_testkit::{Model, Recorder, Texture};

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
}

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, budget| Ok(Box::new(Qcow2::open(bytes, budget)?)));
}

/// The disk as it is, and as it was at the first few snapshots.
fn views(bytes: Arc<dyn Bytes>, budget: &Budget) -> Views {
    let now = open(&bytes, budget);
    let mut ids = now.as_ref().map_or(Vec::new(), |now| {
        now.snapshots().iter().map(|snapshot| snapshot.id.clone()).take(4).collect()
    });
    // What is found by an id is the first of that id.
    ids.dedup();
    let then = ids.iter().map(|id| open(&bytes, budget)?.at_snapshot(id, budget));
    let boxed = |image: Result<Qcow2>| image.map(|image| Box::new(image) as Box<dyn Image>);
    std::iter::once(now).chain(then).map(boxed).collect()
}

fn open(bytes: &Arc<dyn Bytes>, budget: &Budget) -> Result<Qcow2> {
    let image = Qcow2::open(Arc::clone(bytes), budget)?;
    if image.data_file().is_none() {
        return Ok(image);
    }
    let data: Vec<u8> = (0..DATA_FILE).map(|at| (at >> 9) as u8 | 1).collect();
    Ok(image.with_data_file(Arc::new(data)))
}

/// Bytes in the external data file of every image that wants one.
const DATA_FILE: u32 = 100_000;

/// Good images, small enough that a change is likely to matter. What our writer does not make
/// (snapshots, bitmaps, an external data file) is by qemu-img.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let written = [
        "cluster_size=512",
        "cluster_size=512,c",
        "cluster_size=512,c,compression_type=zstd",
        "cluster_size=512,compat=0.10,c",
        "cluster_size=512,preallocation=metadata",
        "cluster_size=16K,extended_l2=on",
    ];
    let mut images: Vec<_> = written.map(write).into();
    images.push(include_bytes!("../images/snapshots.qcow2").to_vec());
    images.push(include_bytes!("../images/data-file.qcow2").to_vec());
    images
});

fn write(options: &str) -> Vec<u8> {
    let mut chosen = Options::default();
    for option in options.split(',') {
        match option.split_once('=') {
            Some((key, value)) => chosen.set(key, value).expect("an option that exists"),
            None => chosen.compress(None).expect("qcow2 compresses"),
        }
    }
    let parts = [
        (Texture::Text, 8 << 9),
        (Texture::Absent, 40 << 9),
        (Texture::Noise, 3 << 9),
        (Texture::OneByte, 4 << 9),
        (Texture::Zero, 20 << 9),
        (Texture::Text, 5 << 9),
    ];
    let model = Model::of(1, 512, &parts);
    let recorder = Recorder::new();
    let plan = plan(Some(model.size()), &chosen).expect("options that go together");
    let job = Job::new(1).expect("a thread");
    copy(Source::Disk(&model), plan, &recorder, &CopyOptions::default(), &job)
        .expect("a recorder takes everything");
    recorder.recorded().to_vec()
}

/// Replaces a table's entry or a byte, or ends the file.
fn patch(image: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let place = usize::from(choices.short());
    match kind {
        0..0x80 => {
            let at = if kind < 0x40 { field(image, place) } else { first_fields(image, place) };
            let value = value(image, kind, choices);
            put(image, at, &value.to_be_bytes());
        }
        // The header, whose fields are of all sizes.
        0x80..0xc0 => put(image, place % 128, &[choices.byte()]),
        0xc0..0xf0 => put(image, place, &[choices.byte()]),
        _ => image.truncate(place),
    }
}

/// Offset of the field of this number, where an image has so many.
fn field(image: &[u8], number: usize) -> usize {
    number % (image.len() / 8).max(1) * 8
}

/// Offset of one of the first fields of some cluster: in large clusters, tables end early.
fn first_fields(image: &[u8], number: usize) -> usize {
    let cluster = 1 << image.get(23).map_or(9, |bits| (*bits).clamp(9, 21));
    let clusters = image.len().div_ceil(cluster).max(1);
    number / 16 % clusters * cluster + number % 16 * 8
}

/// What an entry may be: any number; another entry with other flags; a cluster's offset; an
/// extreme.
fn value(image: &[u8], kind: u8, choices: &mut Choices<'_>) -> u64 {
    match kind % 4 {
        0 => choices.number(),
        1 => {
            let from = field(image, choices.short().into());
            let other = image.get(from..from + 8).and_then(|other| other.try_into().ok());
            other.map_or(0, u64::from_be_bytes) ^ choices.pick(&[0, 1, 1 << 62, 1 << 63, 512, 8])
        }
        2 => u64::from(choices.short()) << 9 | u64::from(choices.byte()) << 56,
        _ => choices.pick(&[0, 1, u64::MAX, 1 << 62, 1 << 63, 1 << 55, 0x00ff_ffff_ffff_fe00]),
    }
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let mut options = Options::default();
    let mut set = |key, value| options.set(key, value).expect("an option that exists");
    // Small clusters are quick, and fill many tables.
    let bits = choices.pick(&[9_u32, 9, 9, 9, 10, 10, 12, 12, 12, 14, 14, 15, 16, 16, 16, 18]);
    let chunk = 1 << bits;
    let size = chunk.to_string();
    set("cluster_size", &size);
    set("compat", choices.pick(&["1.1", "0.10"]));
    set("extended_l2", choices.pick(&["off", "on"]));
    set("lazy_refcounts", choices.pick(&["off", "on"]));
    set("compression_type", choices.pick(&["zlib", "zstd"]));
    let preallocation = choices.pick(&["off", "off", "off", "metadata", "falloc", "full"]);
    set("preallocation", preallocation);
    let compression = choices.byte();
    match compression {
        0..0x60 => {}
        0x60..0xa0 => options.compress(None).expect("qcow2 compresses"),
        level => options
            .compress(Some(u32::from(level % 11)))
            .expect("levels are looked at when it plans"),
    }
    let most = if preallocation == "off" { chunk << 20 } else { (chunk << 12).min(2 << 20) };
    let chunks = if compression < 0x60 { 600 } else { 48 };
    let most_stored = (chunks * chunk).min(256 << 10).max(2 * chunk);
    Chosen { chunk, unit: 512, most, most_stored, plan: Box::new(move |size| plan(size, &options)) }
}
