//! What the tests share: images written to memory.
#![allow(dead_code)]

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Disk, Plan, Result, Stamp, Writing as _};
use diskferry_engine::{CopyOptions, Job, Output, Outputs, Source, copy};
use diskferry_testkit::{Model, Recorder, Texture, format};
use diskferry_vmdk::{Options, Vmdk, plan};

/// Options as on the command line; `c` asks for compression.
pub fn options(text: &str) -> Options {
    format::options(text, |options: &mut Options, key, value| match key {
        "c" => options.compress(value.parse().ok()),
        _ => options.set(key, value),
    })
}

pub fn stamp() -> Stamp {
    Stamp { uuid: *b"\x12\x34\xab\xcd 0123456789a", seconds: 0 }
}

/// A disk of some data.
pub fn model_of(size: u64) -> Model {
    Model::of(4, 65536, &[(Texture::Text, 1 << 20), (Texture::Zero, size - (1 << 20))])
}

/// What an image's size is a multiple of: sectors, or whole grains.
pub fn unit(text: &str) -> u64 {
    if text.contains("Flat") { 512 } else { 65536 }
}

/// The image's size, of a disk of this size.
pub fn rounded(text: &str, size: u64) -> u64 {
    size.next_multiple_of(unit(text))
}

pub fn try_write(text: &str, planned: u64, model: &Model) -> Result<Arc<dyn Bytes>> {
    format::write(plan(Some(planned), &options(text), &stamp(), Some("disk.vmdk"))?, model)
}

/// An image of one file.
pub fn write(text: &str, model: &Model) -> Arc<dyn Bytes> {
    try_write(text, model.size(), model).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An image of several files: the descriptor, then its parts, each with its name.
pub fn write_files(text: &str, model: &Model) -> Vec<(String, Arc<dyn Bytes>)> {
    let plan = plan(Some(model.size()), &options(text), &stamp(), Some("disk.vmdk")).unwrap();
    let Plan::Split(split) = plan else { panic!("{text} is one file") };
    let names: Vec<String> =
        split.parts.iter().map(|part| format!("disk{}.vmdk", part.suffix)).collect();
    let recorders: Vec<Recorder> = names.iter().map(|_| Recorder::new()).collect();
    let parts: Vec<(&str, &dyn Output)> = names
        .iter()
        .zip(&recorders)
        .map(|(name, recorder)| (name.as_str(), recorder as &dyn Output))
        .collect();
    let target = Recorder::new();
    let outputs = Outputs::Split { parts, descriptor: &target };
    let (options, job) = (CopyOptions::default(), Job::new(2).unwrap());
    copy(Source::Disk(model), Plan::Split(split), outputs, &options, &job).unwrap();
    let mut files: Vec<(String, Arc<dyn Bytes>)> = vec![("disk.vmdk".into(), target.recorded())];
    files.extend(names.into_iter().zip(recorders.iter().map(|recorder| recorder.recorded() as _)));
    files
}

/// Opens an image of several files.
pub fn read_back(files: &[(String, Arc<dyn Bytes>)]) -> Vmdk {
    let budget = Budget::default();
    let image = Vmdk::open(Arc::clone(&files[0].1), &budget).unwrap();
    let needed = image.extents_needed().iter().map(|needed| {
        let found = files.iter().find(|(name, _)| *name == needed.name);
        Arc::clone(&found.unwrap_or_else(|| panic!("{}", needed.name)).1)
    });
    let needed = needed.collect();
    image.with_extents(needed, &budget).unwrap()
}

pub fn to_vec(bytes: &Arc<dyn Bytes>) -> Vec<u8> {
    let mut all = vec![0; bytes.len() as usize];
    bytes.read_at(0, &mut all).unwrap();
    all
}

pub fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The model's grains of this length that are stored, by their index.
fn stored(model: &Model, grain: u64) -> impl Iterator<Item = u64> + '_ {
    let grains = (0..model.size().div_ceil(grain)).map(move |index| index * grain);
    grains
        .filter(move |at| model.first_non_zero(*at, grain.min(model.size() - at)).is_some())
        .map(move |at| at / grain)
}

/// An extent of ESX Server, with grains in the reverse of the disk's order.
pub fn cowd(model: &Model, grain: u64, flags: u32, parent: &str) -> Vec<u8> {
    let span = grain * 4096;
    let tables = model.size().div_ceil(span);
    let directory_sectors = (tables * 4).div_ceil(512);
    let tables_at = 4 + directory_sectors;
    let mut file = vec![0; (tables_at + tables * 32) as usize * 512];
    put(&mut file, 0, b"COWD");
    let numbers = [1, flags, (model.size() / 512) as u32, (grain / 512) as u32, 4, tables as u32];
    for (index, number) in numbers.into_iter().enumerate() {
        put(&mut file, 4 + index * 4, &number.to_le_bytes());
    }
    put(&mut file, 32, parent.as_bytes());
    for index in 0..tables {
        let sector = (tables_at + index * 32) as u32;
        put(&mut file, 4 * 512 + index as usize * 4, &sector.to_le_bytes());
    }
    let grains: Vec<u64> = stored(model, grain).collect();
    for index in grains.into_iter().rev() {
        let sector = (file.len() / 512) as u32;
        put(&mut file, tables_at as usize * 512 + index as usize * 4, &sector.to_le_bytes());
        let at = index * grain;
        file.extend(model.bytes(at, grain.min(model.size() - at) as usize));
    }
    file
}

const GRAIN_4K: u64 = 4096;

/// A seSparse extent; grains that are zeros are so, or unmapped, by turns.
pub fn se_sparse(model: &Model) -> Vec<u8> {
    let tables = model.size().div_ceil(GRAIN_4K * 4096);
    let (directory, tables_at) = (4, 8);
    let grains_at = tables_at + tables * 64;
    let mut file = vec![0; grains_at as usize * 512];
    for (at, number) in [
        (0, 0xcafe_babe),
        (8, 0x2_0000_0001),
        (16, model.size() / 512),
        (24, 8),
        (32, 64),
        (80, 1),
        (88, 1),
        (128, directory),
        (136, 4),
        (144, tables_at),
        (152, tables * 64),
        (192, grains_at),
        (512, 0xcafe_cafe),
    ] {
        put(&mut file, at, &number.to_le_bytes());
    }
    for index in 0..tables {
        let entry = 0x1000_0000_0000_0000 | index;
        put(&mut file, (directory * 512 + index * 8) as usize, &entry.to_le_bytes());
    }
    for (index, grain) in stored(model, GRAIN_4K).enumerate() {
        let at = grain * GRAIN_4K;
        let mut bytes = model.bytes(at, GRAIN_4K.min(model.size() - at) as usize);
        bytes.resize(GRAIN_4K as usize, 0);
        file.extend(bytes);
        let entry = 3 << 60 | (index as u64 & 0xfff) << 48 | index as u64 >> 12;
        put(&mut file, (tables_at * 512 + grain * 8) as usize, &entry.to_le_bytes());
    }
    for grain in 0..model.size().div_ceil(GRAIN_4K) {
        let at = (tables_at * 512 + grain * 8) as usize;
        if file[at..at + 8] == [0; 8] && grain % 3 > 0 {
            put(&mut file, at, &((grain % 3) << 60).to_le_bytes());
        }
    }
    file
}

/// A descriptor of these extents.
pub fn descriptor(create_type: &str, lines: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
         createType=\"{create_type}\"\n{lines}\n#DDB\nddb.adapterType = \"lsilogic\"\n"
    )
}
