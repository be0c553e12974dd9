//! qcow2 against qemu-img, both ways: content, maps, checks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};

use diskferry::block_stream::Cancel;
use diskferry::convert::{Algorithm, Replace, Verify};
use diskferry::format::Compress;
use diskferry::look::{MapEntry, MapKind};
use diskferry::{Control, Convert, Format, Job, Location, OpenOptions, Opened, Remedy};
use diskferry_testkit::{Model, qemu};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A raw disk of two pieces of text, noise, and holes; `size` bytes.
fn raw_disk(folder: &Path, size: u64) -> PathBuf {
    let path = folder.join("source.raw");
    let model = Model::random(size, size, 4096);
    std::fs::write(&path, model.whole()).unwrap();
    path
}

/// How an image is made: arguments for `qemu-img create`, then commands for qemu-io.
struct Case {
    name: &'static str,
    create: &'static [&'static str],
    size: &'static str,
    io: &'static [&'static str],
}

const WRITES: &[&str] = &[
    "write -P 0x11 0 64k",
    "write -P 0x22 100k 3k",
    "write -P 0x33 1M 300k",
    "write -P 0x44 2097152 512",
    "write -z 1100k 70k",
    "write -P 0x55 3071k 1k",
];

const CASES: &[Case] = &[
    Case { name: "plain", create: &[], size: "3M", io: WRITES },
    Case { name: "v2", create: &["compat=0.10"], size: "3M", io: WRITES },
    Case { name: "512-byte clusters", create: &["cluster_size=512"], size: "3M", io: WRITES },
    Case { name: "2 MiB clusters", create: &["cluster_size=2M"], size: "3M", io: WRITES },
    Case { name: "subclusters", create: &["extended_l2=on"], size: "3M", io: WRITES },
    Case {
        name: "subclusters of 512 bytes",
        create: &["extended_l2=on,cluster_size=16k"],
        size: "3M",
        io: WRITES,
    },
    Case { name: "refcounts of 1 bit", create: &["refcount_bits=1"], size: "3M", io: WRITES },
    Case { name: "refcounts of 64 bits", create: &["refcount_bits=64"], size: "3M", io: WRITES },
    Case {
        name: "metadata preallocated",
        create: &["preallocation=metadata"],
        size: "3M",
        io: WRITES,
    },
    Case { name: "preallocated", create: &["preallocation=full"], size: "3M", io: WRITES },
    Case { name: "lazy refcounts", create: &["lazy_refcounts=on"], size: "3M", io: WRITES },
    Case { name: "no bytes at all", create: &[], size: "0", io: &[] },
    Case { name: "one sector", create: &[], size: "512", io: &["write -P 9 0 512"] },
    Case { name: "one cluster", create: &[], size: "64k", io: &["write -P 9 0 64k"] },
    Case {
        name: "sectors after the last cluster",
        create: &[],
        size: "1000448",
        io: &["write -P 9 983040 17408"],
    },
    Case {
        name: "zlib clusters side by side",
        create: &[],
        size: "1M",
        io: &["write -c -P 1 0 64k", "write -c -P 2 64k 64k", "write -c -P 3 448k 64k"],
    },
    Case {
        name: "zstd clusters",
        create: &["compression_type=zstd"],
        size: "1M",
        io: &["write -c -P 1 0 64k", "write -c -P 2 64k 64k", "write -P 3 64k 1k"],
    },
    Case {
        name: "discarded",
        create: &[],
        size: "1M",
        io: &["write -P 1 0 512k", "discard 64k 128k", "write -z -u 256k 64k", "write -z 320k 64k"],
    },
    Case {
        name: "a petabyte",
        create: &["cluster_size=2M"],
        size: "1P",
        io: &["write -P 7 512T 64k", "write -P 8 1125899906842112 512"],
    },
];

fn make(folder: &Path, case: &Case) -> PathBuf {
    let path = folder.join("image.qcow2");
    let mut args = vec!["create", "-q", "-f", "qcow2"];
    for option in case.create {
        args.extend(["-o", option]);
    }
    args.extend([text(&path), case.size]);
    qemu::img(&args);
    if !case.io.is_empty() {
        qemu::io(&path, "qcow2", case.io);
    }
    path
}

fn open(path: &Path) -> diskferry::DiskImage {
    OpenOptions::default().open_image(&Location::from(path), &Control::default()).unwrap()
}

fn sha256(path: &Path) -> String {
    let job = Job::new(2).unwrap();
    Opened::from(open(path)).digest(&[Algorithm::Sha256], &job).unwrap().1.remove(0).1
}

fn map(path: &Path) -> Vec<MapEntry> {
    let mut entries = Vec::new();
    open(path)
        .map(&Cancel::default(), |entry| {
            entries.push(entry);
            Ok(())
        })
        .unwrap();
    entries
}

/// The map in qemu-img's terms: where data is stored, how, and at which offset.
fn stored(path: &Path) -> Vec<(u64, u64, bool, Option<u64>)> {
    let data = map(path).into_iter().filter(|entry| entry.kind == MapKind::Data);
    merge(data.map(|entry| (entry.start, entry.length, entry.compressed, entry.offset)))
}

fn stored_by_qemu(path: &Path) -> Vec<(u64, u64, bool, Option<u64>)> {
    let data = qemu::map(path, "qcow2").into_iter().filter(|line| line.data);
    // It gives no offset for compressed clusters; neither do we.
    merge(data.map(|line| (line.start, line.length, line.compressed, line.offset)))
}

fn merge(
    runs: impl Iterator<Item = (u64, u64, bool, Option<u64>)>,
) -> Vec<(u64, u64, bool, Option<u64>)> {
    let mut merged: Vec<(u64, u64, bool, Option<u64>)> = Vec::new();
    for (start, length, compressed, offset) in runs {
        match merged.last_mut() {
            Some(last)
                if last.0 + last.1 == start
                    && last.2 == compressed
                    && last.3.map(|at| at + last.1) == offset =>
            {
                last.1 += length;
            }
            _ => merged.push((start, length, compressed, offset)),
        }
    }
    merged
}

fn problems(path: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    open(path).check(&Job::new(2).unwrap(), &mut |problem| problems.push(problem.text)).unwrap();
    problems
}

#[test]
fn what_qemu_writes_reads_the_same_here() {
    for case in CASES {
        let folder = qemu::temp_dir();
        let path = make(folder.path(), case);
        let name = case.name;
        let size = qemu::info(&path, "qcow2")["virtual-size"].as_u64().unwrap();
        assert_eq!(open(&path).disk().size(), size, "{name}");
        assert_eq!(stored(&path), stored_by_qemu(&path), "{name}: the map");
        assert!(qemu::check(&path, "qcow2").clean, "{name}");
        assert_eq!(problems(&path), [""; 0], "{name}");
        if size < 1 << 30 {
            assert_eq!(sha256(&path), qemu::sha256(&path, "qcow2"), "{name}: the content");
        } else {
            let copy = folder.path().join("copy.qcow2");
            convert(&path, &copy, "cluster_size=2M", None);
            assert!(qemu::compare(&path, "qcow2", &copy, "qcow2"), "{name}: the content");
        }
    }
}

/// Options for writing, and whether to compress.
const WAYS: &[(&str, Option<Option<u32>>)] = &[
    ("", None),
    ("", Some(None)),
    ("", Some(Some(1))),
    ("", Some(Some(9))),
    ("compression_type=zstd", Some(None)),
    ("compression_type=zstd", Some(Some(19))),
    ("compat=0.10", None),
    ("compat=0.10", Some(None)),
    ("cluster_size=512", None),
    ("cluster_size=512", Some(None)),
    ("cluster_size=2M", None),
    ("cluster_size=2M", Some(None)),
    ("cluster_size=2M,compression_type=zstd", Some(None)),
    ("extended_l2=on", None),
    ("extended_l2=on", Some(None)),
    ("extended_l2=on,cluster_size=16K", None),
    ("preallocation=metadata", None),
    ("preallocation=falloc", None),
    ("preallocation=full", None),
    ("preallocation=metadata,extended_l2=on", None),
    ("lazy_refcounts=on", None),
];

fn convert(source: &Path, target: &Path, options: &str, compress: Option<Option<u32>>) {
    let mut convert = Convert::new(source, target);
    convert.to = Format::from_name("qcow2");
    convert.options = options
        .split(',')
        .filter_map(|option| option.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    convert.compress = compress.map(Compress::at);
    convert.verify = Verify::ReadBack;
    convert.replace = Replace::Allowed;
    convert.run(&Job::new(2).unwrap()).unwrap();
}

#[test]
fn what_is_written_here_reads_the_same_in_qemu() {
    let folder = qemu::temp_dir();
    for size in [0, 512, 65536, 65536 + 512, 1_000_448, (5 << 20) + 512] {
        let source = raw_disk(folder.path(), size);
        for (options, compress) in WAYS {
            let target = folder.path().join("target.qcow2");
            convert(&source, &target, options, *compress);
            let what = format!("{size} bytes, {options} {compress:?}");
            assert!(qemu::check(&target, "qcow2").clean, "{what}");
            let seen = qemu::info(&target, "qcow2")["virtual-size"].as_u64();
            assert_eq!(seen, Some(size), "{what}");
            assert!(qemu::compare(&source, "raw", &target, "qcow2"), "{what}");
            assert_eq!(stored(&target), stored_by_qemu(&target), "{what}: the map");
        }
    }
}

#[test]
fn an_odd_size_is_rounded_up_to_a_sector_that_qemu_sees() {
    let folder = qemu::temp_dir();
    let source = raw_disk(folder.path(), 1_000_003);
    let target = folder.path().join("target.qcow2");
    convert(&source, &target, "", None);
    assert_eq!(qemu::info(&target, "qcow2")["virtual-size"].as_u64(), Some(1_000_448));
    assert!(qemu::compare(&source, "raw", &target, "qcow2"));
}

#[test]
fn the_default_is_what_qemu_img_makes_by_default() {
    let folder = qemu::temp_dir();
    let source = raw_disk(folder.path(), 3 << 20);
    let (ours, theirs) = (folder.path().join("ours.qcow2"), folder.path().join("theirs.qcow2"));
    convert(&source, &ours, "", None);
    qemu::img(&["convert", "-f", "raw", "-O", "qcow2", text(&source), text(&theirs)]);
    let (ours, theirs) = (qemu::info(&ours, "qcow2"), qemu::info(&theirs, "qcow2"));
    for key in ["format-specific", "cluster-size", "virtual-size"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
}

#[test]
fn a_chain_of_mixed_formats_reads_as_qemu_reads_it() {
    let folder = qemu::temp_dir();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("base.raw"), Model::random(3, 1 << 20, 4096).whole()).unwrap();
    let create = |name: &str, backing: &str, format: &str, size: &str, io: &[&str]| {
        let (path, backing) = (at(name), at(backing));
        // Named as a user beside it would: by its plain name.
        let name = backing.file_name().unwrap().to_str().unwrap();
        let args = ["create", "-q", "-f", "qcow2", "-F", format, "-b", name, text(&path), size];
        qemu::img(&args);
        qemu::io(&path, "qcow2", io);
    };
    // Longer than its base, then shorter, then longer again, with subclusters on top.
    create("one.qcow2", "base.raw", "raw", "2M", &["write -P 1 1500k 64k", "write -z 128k 64k"]);
    create("two.qcow2", "one.qcow2", "qcow2", "1600k", &["write -P 2 0 1k"]);
    create("three.qcow2", "two.qcow2", "qcow2", "3M", &["write -P 3 1599k 2k"]);
    let top = at("three.qcow2");
    assert_eq!(open(&top).layers().len(), 4);
    assert_eq!(sha256(&top), qemu::sha256(&top, "qcow2"));
    let copy = at("copy.qcow2");
    convert(&top, &copy, "", Some(None));
    assert!(qemu::compare(&top, "qcow2", &copy, "qcow2"));
}

#[test]
fn external_data_files_read_as_qemu_reads_them() {
    for raw in ["off", "on"] {
        let folder = qemu::temp_dir();
        let (path, data) = (folder.path().join("image.qcow2"), folder.path().join("image.data"));
        let options = format!("data_file={},data_file_raw={raw}", text(&data));
        qemu::img(&["create", "-q", "-f", "qcow2", "-o", &options, text(&path), "3M"]);
        qemu::io(&path, "qcow2", WRITES);
        let options = OpenOptions::new()
            .policy(diskferry::place::Policy::allowing([folder.path().to_owned()]));
        let image =
            options.open_image(&Location::from(path.as_path()), &Control::default()).unwrap();
        let job = Job::new(2).unwrap();
        let digests = Opened::from(image).digest(&[Algorithm::Sha256], &job).unwrap().1;
        assert_eq!(digests[0].1, qemu::sha256(&path, "qcow2"), "data_file_raw={raw}");
        // An absolute name needs leave.
        let refused =
            OpenOptions::default().open_image(&Location::from(path.as_path()), &Control::default());
        assert!(matches!(refused.err().unwrap().remedy(), Some(Remedy::AllowFile { .. })));
    }
}

#[test]
fn a_snapshot_reads_as_it_was() {
    let folder = qemu::temp_dir();
    let path = make(folder.path(), &CASES[0]);
    let before = qemu::sha256(&path, "qcow2");
    qemu::img(&["snapshot", "-c", "first", text(&path)]);
    qemu::io(&path, "qcow2", &["write -P 0x77 0 3M"]);
    let options = OpenOptions::new().snapshot("first".to_owned());
    let image = options.open_image(&Location::from(path.as_path()), &Control::default()).unwrap();
    let job = Job::new(2).unwrap();
    let digests = Opened::from(image).digest(&[Algorithm::Sha256], &job).unwrap().1;
    assert_eq!(digests[0].1, before);
    assert_ne!(sha256(&path), before);
    assert_eq!(problems(&path), [""; 0], "shared clusters are no problem");
}

#[test]
fn check_sees_what_qemu_img_sees() {
    let folder = qemu::temp_dir();
    let path = make(folder.path(), &CASES[0]);
    let mut clean = std::fs::read(&path).unwrap();
    let clusters = clean.len().div_ceil(65536) as u64;
    clean.resize((clusters as usize + 1) * 65536, 0);
    let u64_at = |at: u64| u64::from_be_bytes(clean[at as usize..][..8].try_into().unwrap());
    let l1 = u64_at(40);
    let l2 = u64_at(l1) & 0x00FF_FFFF_FFFF_FE00;
    let block = u64_at(u64_at(48));
    for (what, at, value) in [
        // Nothing uses the cluster that is added below.
        ("a leak", block + 2 * clusters, 0x0001_0000_0000_0000_u64),
        ("a refcount too low", block, 0x0001_0001_0001_0000),
        ("an L2 entry past the end", l2 + 8 * 40, 1 << 63 | 0x7000_0000),
        ("two entries for one cluster", l2 + 8 * 40, u64_at(l2)),
        ("a flag that is missing", l2, u64_at(l2) & !(1 << 63)),
        ("an unaligned entry", l2, u64_at(l2) | 0x200),
        ("an unaligned L2 table", l1, u64_at(l1) | 0x200),
    ] {
        let mut bytes = clean.clone();
        bytes[at as usize..][..8].copy_from_slice(&value.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
        assert!(!qemu::check(&path, "qcow2").clean, "{what}: qemu-img sees nothing");
        assert!(!problems(&path).is_empty(), "{what}");
    }
}
