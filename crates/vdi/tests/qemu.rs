//! VDI against qemu-img, both ways: sizes, content, maps, checks.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use build::Build;
use diskferry_block_stream::{Budget, Disk, Image, Kind, Stamp, Writing as _};
use diskferry_engine::{CopyOptions, FileBytes, FileOutput, Job, Replace, Source, compare, copy};
use diskferry_testkit::format::problems;
use diskferry_testkit::{Model, Texture, laws, qemu};
use diskferry_vdi::{Options, Vdi, plan};

mod build;

const STAMP: Stamp = Stamp { uuid: [0x47; 16], seconds: 0 };

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn open(path: &Path) -> Vdi {
    let bytes = FileBytes::new(text(path), File::open(path).unwrap()).unwrap();
    Vdi::open(Arc::new(bytes), &Budget::default()).unwrap()
}

fn write(model: &Model, static_: bool, path: &Path) {
    let mut options = Options::default();
    options.set("subformat", if static_ { "static" } else { "dynamic" }).unwrap();
    let output = FileOutput::create(path, Replace::Never).unwrap();
    let job = Job::new(2).unwrap();
    let plan = plan(Some(model.size()), &options, &STAMP).unwrap();
    copy(Source::Disk(model), plan, &output, &CopyOptions::default(), &job).unwrap();
    output.keep().unwrap();
}

/// The model as a sparse raw file.
fn raw(model: &Model, folder: &Path) -> PathBuf {
    let path = folder.join("disk.raw");
    let file = File::create(&path).unwrap();
    file.set_len(model.size()).unwrap();
    for part in model.parts().iter().filter(|part| !part.texture.reads_zero()) {
        let bytes = model.bytes(part.at, part.length as usize);
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, part.at).unwrap();
    }
    path
}

/// Small disks of awkward sizes, and large ones that hold little.
fn models() -> Vec<Model> {
    const MIB: u64 = 1 << 20;
    let mut models = vec![
        Model::empty(0, 512),
        Model::full(1, 512, 512, Texture::Noise),
        Model::full(2, 511 * 512, 512, Texture::Text),
        Model::full(3, MIB, 4096, Texture::OneByte),
        Model::random(4, MIB + 512, 512),
        Model::random(5, 7 * MIB - 512, 4096),
        Model::fragmented(6, 12 * MIB, 65536),
        Model::random(7, 33 * MIB + 1536, MIB),
        Model::full(8, 3 * MIB, MIB, Texture::StoredZeros),
    ];
    for size in [(256 << 30) + 512, 4 << 40] {
        models.push(Model::sparse(9, size, 65536));
    }
    models
}

#[test]
fn qemu_reads_what_is_written() {
    for model in models() {
        for static_ in [false, true] {
            // qemu-img compares 4 TiB of a static image by the MiB.
            if static_ && model.size() > 1 << 40 {
                continue;
            }
            let folder = qemu::temp_dir();
            let path = folder.path().join("disk.vdi");
            write(&model, static_, &path);
            let what = format!("{model}, static: {static_}");
            let info = qemu::info(&path, "vdi");
            assert_eq!(info["virtual-size"].as_u64(), Some(model.size()), "{what}");
            assert!(qemu::check(&path, "vdi").clean, "{what}");
            let raw = raw(&model, folder.path());
            assert!(qemu::compare(&path, "vdi", &raw, "raw"), "{what}");
        }
    }
}

#[test]
fn what_qemu_writes_is_read() {
    for model in models() {
        let folder = qemu::temp_dir();
        let raw = raw(&model, folder.path());
        for option in ["static=off", "static=on", "preallocation=falloc"] {
            let large = model.size() > 1 << 30;
            if large && option.starts_with("preallocation") {
                continue;
            }
            let path = folder.path().join(format!("{option}.vdi"));
            let args = ["convert", "-f", "raw", "-O", "vdi", "-o", option, text(&raw), text(&path)];
            qemu::img(&args);
            let image = open(&path);
            let said = qemu::info(&path, "vdi")["virtual-size"].as_u64();
            assert_eq!(Some(image.size()), said, "{model}, {option}");
            laws::reading(&image, &model);
            assert_eq!(problems(&image), [], "{model}, {option}");
            let subformat = if option == "static=on" { "static" } else { "dynamic" };
            assert_eq!(image.describe().subformat, subformat);
        }
    }
}

#[test]
fn a_size_in_part_of_a_sector_is_what_qemu_makes_of_it() {
    let model = Model::full(1, (3 << 20) + 100, 4096, Texture::Noise);
    let folder = qemu::temp_dir();
    let path = folder.path().join("odd.vdi");
    // QEMU wants data at a sector.
    let build = Build { gap: 512 - 16, ..Build::of(&model, 1 << 20) };
    std::fs::write(&path, build.bytes()).unwrap();
    let image = open(&path);
    let said = qemu::info(&path, "vdi")["virtual-size"].as_u64();
    assert_eq!(said, Some(image.size()));
    let mut mine = vec![1; image.size() as usize];
    image.cursor().unwrap().read(0, &mut mine).unwrap();
    assert!(qemu::to_raw(&path, "vdi") == mine);
}

#[test]
fn qemu_finds_the_format_by_itself() {
    let folder = qemu::temp_dir();
    let path = folder.path().join("disk");
    write(&Model::empty(0, 512), false, &path);
    assert!(qemu::img(&["info", text(&path)]).contains("file format: vdi"));
}

#[test]
fn both_tell_the_same_map() {
    let model = Model::random(5, (21 << 20) + 512, 512 << 10);
    let folder = qemu::temp_dir();
    let path = folder.path().join("disk.vdi");
    write(&model, false, &path);
    let image = open(&path);
    let mut cursor = image.cursor().unwrap();
    for line in qemu::map(&path, "vdi") {
        let mut at = line.start;
        while at < line.start + line.length {
            let extent = cursor.extent(at, line.start + line.length - at).unwrap();
            match extent.kind {
                Kind::Plain { offset, .. } => {
                    assert_eq!(line.offset.map(|start| start + at - line.start), Some(offset));
                }
                kind => assert!(kind.reads_zero() && line.zero, "{line:?} {kind:?}"),
            }
            at += extent.length;
        }
    }
}

#[test]
fn qemu_goes_on_writing_where_we_stopped() {
    let model = Model::random(5, 9 << 20, 1 << 20);
    let folder = qemu::temp_dir();
    let path = folder.path().join("disk.vdi");
    for static_ in [false, true] {
        let _ = std::fs::remove_file(&path);
        write(&model, static_, &path);
        let writes: Vec<String> =
            (0..9).map(|n| format!("write -P {} {} 4k", n + 1, (n << 20) + 8192)).collect();
        let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
        qemu::io(&path, "vdi", &writes);
        assert!(qemu::check(&path, "vdi").clean, "static: {static_}");
        let image = open(&path);
        let mut found = vec![0; 9 << 20];
        image.cursor().unwrap().read(0, &mut found).unwrap();
        let mut expected = model.whole();
        for n in 0..9 {
            expected[(n << 20) + 8192..][..4096].fill(n as u8 + 1);
        }
        assert!(found == expected, "static: {static_}");
    }
}

#[test]
fn both_ways_give_the_same_disk() {
    let model = Model::random(11, 20 << 20, 65536);
    let folder = qemu::temp_dir();
    let (ours, theirs) = (folder.path().join("ours.vdi"), folder.path().join("theirs.vdi"));
    write(&model, false, &ours);
    qemu::img(&["convert", "-f", "vdi", "-O", "vdi", text(&ours), text(&theirs)]);
    let disks = [&ours, &theirs].map(|path| Arc::new(open(path)) as Arc<dyn Disk>);
    let job = Job::new(2).unwrap();
    assert_eq!(compare(&disks[0], &disks[1], &job).unwrap(), None);
}
