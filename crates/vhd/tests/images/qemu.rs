//! qemu-img's opinion: it reads what is written here, and what it writes is read here.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Disk, Flat, Image, Kind, Plan, Stamp, Writing};
use diskferry_engine::{
    CopyOptions, Durability, FileBytes, FileOutput, Job, Replace, Source, copy,
};
use diskferry_testkit::{Model, Texture, format, qemu};
use diskferry_vhd::{Vhd, plan};

use crate::fixture::{self, DIFFERENCING, Fixture};

fn convert(model: &dyn Disk, options: &str, target: &Path) {
    let chosen = format::options(options, Writing::set);
    let stamp = Stamp { uuid: *b"fedcba9876543210", seconds: 1_600_000_000 };
    let plan = plan(Some(model.size()), &chosen, &stamp).unwrap();
    let output =
        FileOutput::create(target, Replace::Never).unwrap().with_durability(Durability::Cached);
    let job = Job::new(2).unwrap();
    copy(Source::Disk(model), plan, &output, &CopyOptions::default(), &job).unwrap();
    output.keep().unwrap();
}

/// The model as a raw file, with holes.
fn raw(model: &Model, target: &Path) {
    let output =
        FileOutput::create(target, Replace::Never).unwrap().with_durability(Durability::Cached);
    let job = Job::new(2).unwrap();
    let plan = Plan::Flat(Flat::default());
    copy(Source::Disk(model), plan, &output, &CopyOptions::default(), &job).unwrap();
    output.keep().unwrap();
}

fn open(path: &Path) -> Vhd {
    let name = path.display().to_string();
    let bytes = FileBytes::new(name, File::open(path).unwrap()).unwrap();
    Vhd::open(Arc::new(bytes), &Budget::default()).unwrap()
}

fn read(image: &dyn Disk) -> Vec<u8> {
    let mut bytes = vec![0; image.size() as usize];
    image.cursor().unwrap().read(0, &mut bytes).unwrap();
    bytes
}

fn virtual_size(path: &Path) -> u64 {
    qemu::info(path, "vpc")["virtual-size"].as_u64().unwrap()
}

/// Sizes that are awkward: few sectors, odd sectors, edges of blocks and of geometries.
const SIZES: [u64; 12] = [
    0,
    512,
    1024,
    33 * 512,
    (1 << 20) - 512,
    2 << 20,
    (2 << 20) + 512,
    // 1024 cylinders of 4 heads of 17 sectors, and one sector less.
    4 * 1024 * 17 * 512,
    (4 * 1024 * 17 - 1) * 512,
    (40 << 20) + 3 * 512,
    99_999 * 512,
    128 << 20,
];

/// A fixed disk of no bytes is a footer, which QEMU takes for the copy that begins a dynamic disk.
fn is_lost_on_qemu(options: &str, size: u64) -> bool {
    options.contains("fixed") && size == 0
}

#[test]
fn qemu_reads_what_is_written_to_the_byte() {
    let dir = qemu::temp_dir();
    for (number, size) in SIZES.into_iter().enumerate() {
        let model = Model::random(number as u64, size, 512);
        for (way, options) in
            ["", "block_size=512K", "block_size=1M", "subformat=fixed"].iter().enumerate()
        {
            if is_lost_on_qemu(options, size) {
                continue;
            }
            let path = dir.path().join(format!("{number}-{way}.vhd"));
            convert(&model, options, &path);
            assert_eq!(virtual_size(&path), size, "{options}");
            assert!(qemu::to_raw(&path, "vpc") == model.whole(), "{options}: {model}");
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn what_qemu_writes_is_read_to_the_byte() {
    let dir = qemu::temp_dir();
    for (number, size) in SIZES.into_iter().enumerate() {
        let model = Model::random(number as u64, size, 512);
        let source = dir.path().join("disk.raw");
        raw(&model, &source);
        for subformat in ["dynamic", "fixed"] {
            for force_size in ["off", "on"] {
                if is_lost_on_qemu(subformat, size) {
                    continue;
                }
                let path = dir.path().join("disk.vhd");
                let options = format!("subformat={subformat},force_size={force_size}");
                let names = [source.to_str().unwrap(), path.to_str().unwrap()];
                let args =
                    ["convert", "-f", "raw", "-O", "vpc", "-o", &options, names[0], names[1]];
                qemu::img(&args);
                let image = open(&path);
                let what = format!("{options}: {model}");
                assert_eq!(image.size(), virtual_size(&path), "{what}");
                assert_eq!(image.describe().subformat, subformat, "{what}");
                assert_eq!(image.describe().warnings, [], "{what}");
                assert_eq!(format::problems(&image), [], "{what}");
                let mut expected = model.whole();
                expected.resize(image.size() as usize, 0);
                assert!(read(&image) == expected, "{what}");
                if force_size == "on" {
                    assert_eq!(image.size(), size, "{what}");
                }
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::remove_file(source).unwrap();
    }
}

/// The largest geometry spans 136899993600 bytes; 127.9 GiB are more.
const LARGE: [u64; 6] = [
    65535 * 16 * 63 * 512 - 512,
    65535 * 16 * 255 * 512 - 512,
    65535 * 16 * 255 * 512,
    137_331_343_360,
    (2040 << 30) - 512,
    2040 << 30,
];

#[test]
fn huge_disks_keep_their_size_and_bytes_both_ways() {
    let dir = qemu::temp_dir();
    let path = |name: &str| dir.path().join(name);
    for size in LARGE {
        let model = Model::sparse(3, size, 1 << 20);
        raw(&model, &path("disk.raw"));
        for options in ["", "subformat=fixed"] {
            convert(&model, options, &path("ours.vhd"));
            assert_eq!(virtual_size(&path("ours.vhd")), size, "{options}");
            assert!(qemu::compare(&path("disk.raw"), "raw", &path("ours.vhd"), "vpc"), "{size}");
            std::fs::remove_file(path("ours.vhd")).unwrap();
        }
        for force_size in ["off", "on"] {
            let (from, to) = (path("disk.raw"), path("theirs.vhd"));
            let options = format!("force_size={force_size}");
            let names = [from.to_str().unwrap(), to.to_str().unwrap()];
            qemu::img(&["convert", "-f", "raw", "-O", "vpc", "-o", &options, names[0], names[1]]);
            let image = open(&to);
            assert_eq!(image.size(), virtual_size(&to), "{size} {options}");
            let mut cursor = image.cursor().unwrap();
            for part in model.parts().iter().filter(|part| part.texture.is_stored()) {
                let len = part.length.min(1 << 20) as usize;
                let mut found = vec![0; len];
                cursor.read(part.at, &mut found).unwrap();
                assert!(found == model.bytes(part.at, len), "{size} {options}: {part:?}");
            }
            std::fs::remove_file(to).unwrap();
        }
        std::fs::remove_file(path("disk.raw")).unwrap();
    }
}

#[test]
fn extents_agree_in_kind() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.vhd");
    let model = Model::of(
        4,
        2 << 20,
        &[(Texture::Noise, 4 << 20), (Texture::Zero, 10 << 20), (Texture::Text, 5 << 20)],
    );
    convert(&model, "", &path);
    let image = open(&path);
    let mut cursor = image.cursor().unwrap();
    for line in qemu::map(&path, "vpc") {
        let extent = cursor.extent(line.start, line.length).unwrap();
        match extent.kind {
            Kind::Plain { offset, .. } => assert_eq!(line.offset, Some(offset), "{line:?}"),
            kind => assert!(kind == Kind::Zero && line.zero && !line.data, "{line:?} {kind:?}"),
        }
    }
}

#[test]
fn every_creator_means_the_size_that_qemu_reads() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.vhd");
    let creators: [&[u8; 4]; 17] = [
        b"vpc ",
        b"qemu",
        b"qem2",
        b"win ",
        b"d2v ",
        b"d2v\0",
        b"tap\0",
        b"CTXS",
        b"wa\0\0",
        b"vs  ",
        b"vbox",
        b"vmw ",
        b"\0\0\0\0",
        b"dfry",
        b"VPC ",
        b"vpc\0",
        b"qemU",
    ];
    let geometries = [(30, 4, 17), (31, 4, 17), (65535, 16, 255), (1, 1, 1)];
    for creator in creators {
        for geometry in geometries {
            let of = |disk_type| Fixture {
                creator: *creator,
                disk_type,
                geometry,
                size: 2100 * 512,
                // By some of these geometries the disk is larger than by its current size.
                entries: Some(400),
                ..Fixture::default()
            };
            let dynamic = of(fixture::DYNAMIC);
            let fixed = of(fixture::FIXED);
            for bytes in [dynamic.build(), fixed.fixed(&vec![7; 1 << 21])] {
                std::fs::write(&path, &bytes).unwrap();
                let image = fixture::open(bytes).unwrap();
                let what = format!("{} {geometry:?}", creator.escape_ascii());
                assert_eq!(image.size(), virtual_size(&path), "{what}");
            }
        }
    }
}

#[test]
fn a_block_whose_bits_are_clear_reads_as_qemu_reads_it() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.vhd");
    let blocks = vec![(1, vec![0x0f], vec![b'x'; 4096])];
    let bytes = Fixture { blocks, ..Fixture::default() }.build();
    std::fs::write(&path, &bytes).unwrap();
    let image = fixture::open(bytes).unwrap();
    let found = read(&image);
    assert!(found == qemu::to_raw(&path, "vpc"));
    assert_eq!(found[4096], b'x');
}

#[test]
fn a_differencing_disk_is_more_than_qemu_can_read() {
    // It takes what the parent has for zeros; there is no opinion to ask for.
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.vhd");
    let bytes = Fixture { disk_type: DIFFERENCING, ..Fixture::default() }.build();
    std::fs::write(&path, &bytes).unwrap();
    assert!(qemu::to_raw(&path, "vpc").iter().all(|byte| *byte == 0));
    assert_eq!(fixture::open(bytes).unwrap().describe().subformat, "differencing");
}
