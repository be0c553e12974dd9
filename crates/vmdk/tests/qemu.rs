//! qemu-img as a second opinion, both ways, for every subformat that it makes or reads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{
    cowd, descriptor, model_of, options, rounded, se_sparse, stamp, to_vec, write, write_files,
};
use diskferry_block_stream::{Budget, Bytes, Disk, Image, Kind, Piece, Plan, Stream};
use diskferry_engine::{
    CopyOptions, FileBytes, FileOutput, Job, Output, Outputs, Replace, Source, compare, copy,
};
use diskferry_raw::Raw;
use diskferry_testkit::format::problems;
use diskferry_testkit::{Model, Texture, laws, qemu};
use diskferry_vmdk::{StreamOptimizedStream, Vmdk, plan};

/// All that qemu-img makes.
const SUBFORMATS: [&str; 5] = [
    "streamOptimized",
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
];

fn is_split(subformat: &str) -> bool {
    subformat.contains("Flat") || subformat.contains("twoGb")
}

/// Disks of awkward sizes.
fn models() -> Vec<Model> {
    let sizes = [512, 65536 - 512, 65536, 65536 + 512, 5 * 65536 + 1536, (7 << 20) + 512];
    let mut models: Vec<_> =
        sizes.into_iter().zip(1..).map(|(size, seed)| Model::random(seed, size, 512)).collect();
    models.push(Model::fragmented(8, 3 << 20, 4096));
    models.push(Model::full(9, 2 << 20, 65536, Texture::Noise));
    models
}

/// A file's bytes.
fn bytes(path: &Path) -> Arc<dyn Bytes> {
    Arc::new(std::fs::read(path).unwrap())
}

/// Opens an image with the files beside it.
fn open(path: &Path) -> Vmdk {
    let budget = Budget::default();
    let image = Vmdk::open(bytes(path), &budget).unwrap();
    let beside = |name: &str| bytes(&path.with_file_name(name));
    let files = image.extents_needed().iter().map(|needed| beside(&needed.name)).collect();
    image.with_extents(files, &budget).unwrap()
}

/// Writes an image, in as many files as it takes, and returns the path of the first.
fn save(dir: &Path, subformat: &str, more: &str, model: &Model) -> PathBuf {
    let text = format!("subformat={subformat}{more}");
    let files = match is_split(subformat) {
        true => write_files(&text, model),
        false => vec![("disk.vmdk".to_owned(), write(&text, model))],
    };
    for (name, file) in &files {
        std::fs::write(dir.join(name), to_vec(file)).unwrap();
    }
    dir.join("disk.vmdk")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes an image by qemu-img.
fn convert(dir: &Path, model: &Model, options: &str) -> PathBuf {
    let (raw, target) = (dir.join("disk.raw"), dir.join("disk.vmdk"));
    std::fs::write(&raw, model.whole()).unwrap();
    let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", options, text(&raw), text(&target)];
    qemu::img(&args);
    target
}

#[test]
fn qemu_reads_what_is_written() {
    for subformat in SUBFORMATS {
        for more in ["", ",adapter_type=ide"] {
            for model in models() {
                let dir = qemu::temp_dir();
                let path = save(dir.path(), subformat, more, &model);
                let size = rounded(subformat, model.size());
                let info = qemu::info(&path, "vmdk");
                assert_eq!(info["virtual-size"], size, "{subformat}: {model}");
                let data = &info["format-specific"]["data"];
                assert_eq!(data["create-type"], subformat);
                assert_eq!(data["cid"], 0x1234_abcd);
                let mut expected = model.whole();
                expected.resize(size as usize, 0);
                let found = qemu::to_raw(&path, "vmdk");
                assert!(found == expected, "{subformat}{more}: {model}");
                assert!(qemu::check(&path, "vmdk").clean, "{subformat}: {model}");
            }
        }
    }
}

#[test]
fn what_qemu_writes_is_read() {
    for subformat in SUBFORMATS {
        for more in ["", ",adapter_type=lsilogic,compat6", ",zeroed_grain=on"] {
            if more.contains("zeroed_grain") && subformat.contains("Flat") {
                continue;
            }
            for model in models() {
                let dir = qemu::temp_dir();
                let path = convert(dir.path(), &model, &format!("subformat={subformat}{more}"));
                let image = open(&path);
                assert_eq!(image.describe().subformat, subformat);
                assert_eq!(image.describe().warnings, [], "{subformat}{more}: {model}");
                assert_eq!(problems(&image), [], "{subformat}{more}: {model}");
                laws::reading(&image, &model);
                let info = qemu::info(&path, "vmdk");
                assert_eq!(info["virtual-size"], image.size());
                let cid = info["format-specific"]["data"]["cid"].as_u64().unwrap();
                assert_eq!(image.id(), Some(format!("{cid:08x}")));
                same_map(&path, &image);
            }
        }
    }
}

/// Whether the map is the one that qemu-img has.
fn same_map(path: &Path, image: &Vmdk) {
    let mut cursor = image.cursor().unwrap();
    for line in qemu::map(path, "vmdk") {
        let mut at = line.start;
        while at < line.start + line.length {
            let extent = cursor.extent(at, line.start + line.length - at).unwrap();
            match extent.kind {
                Kind::Absent | Kind::Zero => assert!(!line.data || line.zero, "{at:#x}: {line:?}"),
                Kind::Data { compressed } => assert!(line.data && compressed == line.compressed),
                Kind::Plain { offset, .. } => {
                    // qemu-img finds the zeros of flat extents, too.
                    let expected = line.offset.map(|offset| offset + (at - line.start));
                    assert!(line.zero || expected == Some(offset), "{at:#x}: {line:?}");
                }
            }
            at += extent.length;
        }
    }
}

#[test]
fn what_qemu_streams_is_read_from_a_pipe() {
    for more in ["", ",compat6"] {
        for model in models() {
            let dir = qemu::temp_dir();
            let path = convert(dir.path(), &model, &format!("subformat=streamOptimized{more}"));
            let file = std::fs::read(&path).unwrap();
            let mut stream =
                StreamOptimizedStream::new(file.as_slice(), "pipe", &Budget::default()).unwrap();
            assert_eq!(stream.size(), Some(model.size()));
            let mut found = Vec::new();
            let mut buf = vec![0; 70_000];
            loop {
                match stream.next(&mut buf).unwrap() {
                    Piece::Data(count) => found.extend_from_slice(&buf[..count]),
                    Piece::Zero(count) => found.resize(found.len() + count as usize, 0),
                    Piece::End => break,
                }
            }
            assert!(found == model.whole(), "{model}");
            // There is no marker at its end, but the tables in front tell what is missing.
            let cuts = (0..file.len()).step_by(file.len() / 50 + 1);
            for cut in cuts.filter(|_| !model.whole().iter().all(|byte| *byte == 0)) {
                let stream = StreamOptimizedStream::new(&file[..cut], "pipe", &Budget::default());
                let whole = stream.and_then(|mut stream| {
                    while stream.next(&mut buf)? != Piece::End {}
                    Ok(())
                });
                assert!(whole.is_err(), "{model}: cut to {cut:#x} of {:#x}", file.len());
            }
        }
    }
}

#[test]
fn split_disks_around_2_gib_go_both_ways() {
    for subformat in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        for size in [(2 << 30) - 512, 2 << 30, (2 << 30) + 512] {
            let dir = qemu::temp_dir();
            let (raw, path) = (dir.path().join("disk.raw"), dir.path().join("disk.vmdk"));
            let file = std::fs::File::create(&raw).unwrap();
            file.set_len(size).unwrap();
            // A few bytes around every seam: theirs, ours, and the end.
            for at in [0, (2047 << 20) - 3000, (2047 << 20) + 70_000, size - 4096, size - 512] {
                use std::os::unix::fs::FileExt;
                file.write_all_at(&at.to_le_bytes().repeat(64), at).unwrap();
            }
            let option = format!("subformat={subformat}");
            let args =
                ["convert", "-f", "raw", "-O", "vmdk", "-o", &option, text(&raw), text(&path)];
            qemu::img(&args);
            let image = open_files(&path);
            assert_eq!(image.size(), size);
            let (image, source): (Arc<dyn Disk>, Arc<dyn Disk>) =
                (Arc::new(image), Arc::new(Raw::open(open_file(&raw))));
            let difference = compare(&image, &source, &Job::new(2).unwrap()).unwrap();
            assert!(difference.is_none(), "{subformat}, {size}");
            ours(dir.path(), subformat, &raw, size);
        }
    }
}

/// Writes the raw disk in parts by our own plan, and asks qemu-img whether it is the same.
fn ours(dir: &Path, subformat: &str, raw: &Path, size: u64) {
    let source = Raw::open(open_file(raw));
    let path = dir.join("ours.vmdk");
    let options = options(&format!("subformat={subformat}"));
    let plan = plan(Some(size), &options, &stamp(), Some("ours.vmdk")).unwrap();
    let Plan::Split(split) = plan else { panic!("{subformat} is split") };
    let create = |path: &Path| FileOutput::create(path, Replace::Never).unwrap();
    let names: Vec<String> =
        split.parts.iter().map(|part| format!("ours{}.vmdk", part.suffix)).collect();
    let outputs: Vec<FileOutput> = names.iter().map(|name| create(&dir.join(name))).collect();
    let parts: Vec<(&str, &dyn Output)> =
        names.iter().zip(&outputs).map(|(name, output)| (name.as_str(), output as _)).collect();
    let target = create(&path);
    let job = Job::new(2).unwrap();
    let split_outputs = Outputs::Split { parts, descriptor: &target };
    let options = CopyOptions::default();
    copy(Source::Disk(&source), Plan::Split(split), split_outputs, &options, &job).unwrap();
    for output in outputs.into_iter().chain([target]) {
        output.keep().unwrap();
    }
    assert!(qemu::compare(raw, "raw", &path, "vmdk"), "{subformat}, {size}");
    let info = qemu::info(&path, "vmdk");
    assert_eq!(info["virtual-size"], rounded(subformat, size), "{subformat}, {size}");
}

/// A file that is read by position, for what is too large for memory.
fn open_file(path: &Path) -> Arc<dyn Bytes> {
    Arc::new(FileBytes::new(text(path), std::fs::File::open(path).unwrap()).unwrap())
}

/// Opens an image with the files beside it, which stay on disk.
fn open_files(path: &Path) -> Vmdk {
    let budget = Budget::default();
    let image = Vmdk::open(open_file(path), &budget).unwrap();
    let beside = |name: &str| open_file(&path.with_file_name(name));
    let files = image.extents_needed().iter().map(|needed| beside(&needed.name)).collect();
    image.with_extents(files, &budget).unwrap()
}

#[test]
fn sparse_disks_of_4_tib_go_both_ways() {
    const SIZE: u64 = 4 << 40;
    for subformat in ["streamOptimized", "monolithicSparse"] {
        let dir = qemu::temp_dir();
        let path = dir.path().join("disk.vmdk");
        let option = format!("subformat={subformat}");
        qemu::img(&["create", "-q", "-f", "vmdk", "-o", &option, text(&path), "4T"]);
        let writes = ["write -P 7 0 64k", "write -P 8 4398046445568 64k"];
        if subformat == "monolithicSparse" {
            qemu::io(&path, "vmdk", &writes);
        }
        let image = open_files(&path);
        assert_eq!(image.size(), SIZE, "{subformat}");
        if subformat == "monolithicSparse" {
            let mut cursor = image.cursor().unwrap();
            for (at, byte) in [(0, 7), (SIZE - 65536, 8), (SIZE / 2, 0)] {
                let mut found = [1; 65536];
                cursor.read(at, &mut found).unwrap();
                assert_eq!(found, [byte; 65536]);
            }
        }
    }
    // And ours, where a few grains are written.
    let parts =
        [(Texture::Noise, 65536), (Texture::Absent, SIZE - 131_072), (Texture::Text, 65536)];
    let model = Model::of(6, 65536, &parts);
    for subformat in ["streamOptimized", "monolithicSparse"] {
        let dir = qemu::temp_dir();
        let path = dir.path().join("ours.vmdk");
        let options = options(&format!("subformat={subformat}"));
        let plan = plan(Some(SIZE), &options, &stamp(), None).unwrap();
        let output = FileOutput::create(&path, Replace::Never).unwrap();
        let job = Job::new(2).unwrap();
        copy(Source::Disk(&model), plan, &output, &CopyOptions::default(), &job).unwrap();
        output.keep().unwrap();
        assert_eq!(qemu::info(&path, "vmdk")["virtual-size"], SIZE);
        let raw = dir.path().join("end.raw");
        std::fs::write(&raw, model.bytes(SIZE - 65536, 65536)).unwrap();
        let back = dir.path().join("back.raw");
        let count = ["bs=64k", "skip=67108863"];
        let (input, output) = (format!("if={}", text(&path)), format!("of={}", text(&back)));
        qemu::img(&[&["dd", "-f", "vmdk", "-O", "raw", &input, &output], &count[..]].concat());
        assert!(std::fs::read(&back).unwrap() == std::fs::read(&raw).unwrap(), "{subformat}");
    }
}

#[test]
fn a_delta_link_names_its_parent_and_what_it_has_itself() {
    let dir = qemu::temp_dir();
    let model = model_of(3 << 20);
    let base = convert(dir.path(), &model, "subformat=monolithicSparse");
    let child = dir.path().join("child.vmdk");
    qemu::img(&["create", "-q", "-f", "vmdk", "-b", text(&base), "-F", "vmdk", text(&child)]);
    qemu::io(&child, "vmdk", &["write -P 5 1M 64k"]);
    let path = base.clone();
    let (base, child) = (open(&base), open(&child));
    let parent = child.parent().unwrap();
    assert_eq!(parent.names, ["disk.vmdk".as_ref(), path.as_os_str()]);
    assert_eq!(parent.id, base.id());
    assert_eq!(parent.format.as_deref(), Some("vmdk"));
    assert!(base.parent().is_none());
    let mut cursor = child.cursor().unwrap();
    let kinds = [0, 1 << 20, (1 << 20) + 65536].map(|at| cursor.extent(at, 65536).unwrap().kind);
    assert!(matches!(kinds, [Kind::Absent, Kind::Plain { .. }, Kind::Absent]), "{kinds:?}");
}

#[test]
fn qemu_reads_the_extents_of_esx_as_they_are_read_here() {
    for size in [3 << 20, (17 << 20) + 512] {
        let model = Model::random(6, size, 4096);
        let sectors = size / 512;
        for (create_type, kind, file) in [
            ("vmfsSparse", "VMFSSPARSE", cowd(&model, 512, 3, "")),
            ("seSparse", "SESPARSE", se_sparse(&model)),
            ("vmfs", "VMFS", model.whole()),
        ] {
            let dir = qemu::temp_dir();
            let path = dir.path().join("disk.vmdk");
            let lines = format!("RW {sectors} {kind} \"disk-delta.vmdk\"");
            std::fs::write(&path, descriptor(create_type, &lines)).unwrap();
            std::fs::write(dir.path().join("disk-delta.vmdk"), file).unwrap();
            assert!(qemu::to_raw(&path, "vmdk") == model.whole(), "{create_type}: {model}");
            laws::reading(&open(&path), &model);
        }
    }
}
