//! Extents of every kind, alone and together, whole and damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;

use common::{cowd, descriptor, model_of, put, se_sparse, to_vec, write, write_files};
use diskferry_block_stream::{
    Budget, Bytes, Disk, ErrorKind, Image, Kind, Limits, Problem, ProblemKind, Result,
};
use diskferry_testkit::format::{problems, warnings};
use diskferry_testkit::{Model, Texture, laws};
use diskferry_vmdk::{Vmdk, probe};

fn open(bytes: &[u8]) -> Result<Vmdk> {
    Vmdk::open(Arc::new(bytes.to_vec()), &Budget::default())
}

/// An image of a descriptor and these files, in the order in which it names them.
fn open_with(descriptor: &str, files: &[&[u8]]) -> Result<Vmdk> {
    let files = files.iter().map(|file| Arc::new(file.to_vec()) as Arc<dyn Bytes>).collect();
    open(descriptor.as_bytes())?.with_extents(files, &Budget::default())
}

fn entry(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
}

fn read(image: &Vmdk, at: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0xa5; len];
    image.cursor()?.read(at, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn an_extent_of_esx_server_is_read() {
    for (grain, size) in [(512, 9 << 20), (512, (2 << 20) + 512), (65536, 5 << 20)] {
        let model = Model::random(6, size, 4096);
        let file = cowd(&model, grain, 3, "");
        let text =
            descriptor("vmfsSparse", &format!("RW {} VMFSSPARSE \"x-delta.vmdk\"", size / 512));
        let image = open_with(&text, &[&file]).unwrap();
        assert_eq!(problems(&image), []);
        assert_eq!(image.describe().subformat, "vmfsSparse");
        laws::reading(&image, &model);
        // QEMU found that the descriptor may say SPARSE as well.
        let image = open_with(&text.replace("VMFSSPARSE", "SPARSE"), &[&file]).unwrap();
        laws::reading(&image, &model);
    }
}

#[test]
fn an_extent_of_esx_server_alone_is_read_with_a_warning() {
    let model = Model::random(7, 3 << 20, 4096);
    for (flags, parent, name) in
        [(3, "", None), (2, "/vmfs/volumes/a/base.vmdk", Some("base.vmdk")), (3, "\x01\x02", None)]
    {
        let image = open(&cowd(&model, 512, flags, parent)).unwrap();
        laws::reading(&image, &model);
        assert_eq!(image.describe().subformat, "vmfsSparse");
        assert!(warnings(&image)[0].contains("without its descriptor"));
        let found = image.parent().map(|parent| parent.name().into_owned());
        assert_eq!(found.as_deref(), name);
    }
}

#[test]
fn a_se_sparse_extent_is_read() {
    for size in [5 << 20, (40 << 20) + 512] {
        let model = Model::random(8, size, 4096);
        let file = se_sparse(&model);
        let lines = format!("RW {} SESPARSE \"x-sesparse.vmdk\"", size / 512);
        let image = open_with(&descriptor("seSparse", &lines), &[&file]).unwrap();
        assert_eq!(problems(&image), []);
        laws::reading(&image, &model);
        let alone = open(&file).unwrap();
        assert_eq!(alone.describe().subformat, "seSparse");
        laws::reading(&alone, &model);
    }
}

#[test]
fn a_se_sparse_extent_of_an_unknown_kind_is_refused() {
    let good = se_sparse(&Model::random(9, 1 << 20, 4096));
    for (at, value, kind) in [
        (8, 0x2_0000_0002, ErrorKind::Unsupported),
        (24, 16, ErrorKind::Unsupported),
        (32, 32, ErrorKind::Unsupported),
        (40, 1, ErrorKind::Unsupported),
        (56, 1, ErrorKind::Unsupported),
        (512 + 24, 1, ErrorKind::Unsupported),
        (512, 0, ErrorKind::Damaged),
        (80, 1 << 40, ErrorKind::Damaged),
        (136, 0, ErrorKind::Damaged),
        (128, 1 << 50, ErrorKind::Damaged),
        (16, u64::MAX, ErrorKind::Damaged),
    ] {
        let mut file = good.clone();
        put(&mut file, at, &u64::to_le_bytes(value));
        let error = open(&file).err().unwrap();
        assert_eq!(error.kind(), kind, "{at}: {error}");
    }
}

/// A disk of every kind of extent, one of them in two parts of one file.
#[test]
fn extents_of_all_kinds_are_one_disk() {
    let models = [
        Model::full(1, 40 * 512, 512, Texture::Noise),
        Model::random(2, 3 << 20, 4096),
        Model::random(3, 1 << 20, 512),
        Model::random(4, 2 << 20, 4096),
    ];
    let flat = models[0].whole();
    let sparse = to_vec(&write_files("subformat=twoGbMaxExtentSparse", &models[1])[1].1);
    let (esx, se) = (cowd(&models[2], 512, 3, ""), se_sparse(&models[3]));
    let text = descriptor(
        "custom",
        "RW 10 FLAT \"a.vmdk\" 0\nRW 0 ZERO\nRW 7 ZERO\nRW 6144 SPARSE \"b s001.vmdk\"\n\
         RDONLY 30 FLAT \"a.vmdk\" 10\nRW 2048 VMFSSPARSE \"c.vmdk\"\nNOACCESS 9 ZERO\n\
         RW 4096 SESPARSE \"d.vmdk\"\n",
    );
    let image = open(text.as_bytes()).unwrap();
    let names: Vec<_> = image.extents_needed().iter().map(|name| name.name.as_str()).collect();
    assert_eq!(names, ["a.vmdk", "b s001.vmdk", "c.vmdk", "d.vmdk"]);
    let error = image.cursor().unwrap().extent(0, 512).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    let image = open_with(&text, &[&flat, &sparse, &esx, &se]).unwrap();
    assert_eq!(problems(&image), []);
    let expected = [
        &flat[..10 * 512],
        &[0; 7 * 512],
        &models[1].whole(),
        &flat[10 * 512..],
        &models[2].whole(),
        &[0; 9 * 512],
        &models[3].whole(),
    ]
    .concat();
    assert_eq!(image.size(), expected.len() as u64);
    assert!(read(&image, 0, expected.len()).unwrap() == expected);
    let mut cursor = image.cursor().unwrap();
    let mut at = 0;
    while at < image.size() {
        let extent = cursor.extent(at, image.size() - at).unwrap();
        let bytes = &expected[at as usize..][..extent.length as usize];
        match extent.kind {
            Kind::Absent | Kind::Zero => assert!(bytes.iter().all(|byte| *byte == 0), "{at:#x}"),
            Kind::Data { .. } => panic!("nothing is compressed"),
            Kind::Plain { file, offset } => {
                let mut found = vec![0; bytes.len()];
                image.files()[file as usize].read_at(offset, &mut found).unwrap();
                assert!(found == bytes, "{at:#x}");
            }
        }
        at += extent.length;
    }
    let error = open(text.as_bytes()).unwrap().with_extents(Vec::new(), &Budget::default());
    assert_eq!(error.err().unwrap().kind(), ErrorKind::Misuse);
}

#[test]
fn what_is_on_a_device_or_unknown_is_refused() {
    for (create_type, line) in [
        ("fullDevice", "RW 63 FLAT \"\\\\.\\PhysicalDrive0\" 0"),
        ("partitionedDevice", "RW 63 FLAT \"a.vmdk\" 0"),
        ("vmfsRawDeviceMap", "RW 63 VMFSRDM \"a.vmdk\""),
        ("vmfs", "RW 63 VMFSRDM \"a.vmdk\""),
        ("vmfs", "RW 63 VVOL \"a.vmdk\""),
        ("monolithicFlat", "NOACCESS 63 FLAT \"a.vmdk\" 0"),
    ] {
        let error = open(descriptor(create_type, line).as_bytes()).err().expect(line);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{create_type}, {line}: {error}");
    }
}

#[test]
fn a_part_of_a_disk_is_no_disk() {
    let part = &write_files("subformat=twoGbMaxExtentSparse", &model_of(3 << 20))[1].1;
    let error = Vmdk::open(Arc::clone(part), &Budget::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("descriptor"), "{error}");
}

#[test]
fn every_kind_of_file_probes_as_one() {
    let model = model_of(2 << 20);
    for file in [
        to_vec(&write("", &model)),
        to_vec(&write("subformat=monolithicSparse", &model)),
        cowd(&model, 512, 3, ""),
        se_sparse(&model),
        descriptor("vmfs", "").into_bytes(),
        to_vec(&write_files("subformat=monolithicFlat", &model)[0].1),
    ] {
        assert!(probe(&file[..file.len().min(2048)]));
    }
    for head in [&b""[..], b"KDM", b"# \n", &[0; 2048], b"COWX", b"QFI\xfb"] {
        assert!(!probe(head), "{head:?}");
        assert_eq!(open(head).err().unwrap().kind(), ErrorKind::Damaged);
    }
}

/// The first table's sector, and where its entry and that of the redundant one are.
fn table(file: &[u8]) -> (usize, usize, usize) {
    let directory = entry(file, 56) as usize * 512;
    (entry(file, directory) as usize * 512, directory, entry(file, 48) as usize * 512)
}

#[test]
fn a_damaged_directory_entry_is_mended_by_the_redundant_one() {
    let model = Model::random(5, 40 << 20, 65536);
    let good = to_vec(&write("subformat=monolithicSparse", &model));
    let (_, directory, redundant) = table(&good);
    let past = (good.len() / 512) as u32;
    for value in [past, u32::MAX, 0, 1, 20] {
        let mut file = good.clone();
        put(&mut file, directory, &value.to_le_bytes());
        let image = open(&file).unwrap();
        laws::reading(&image, &model);
        let warnings = warnings(&image);
        assert!(warnings[0].contains("1 entries"), "{value:#x}: {warnings:?}");
        let found = problems(&image);
        let told = found.iter().any(|problem| {
            problem.kind == ProblemKind::Corruption && problem.at == Some(directory as u64)
        });
        assert!(told, "{value:#x}: {found:?}");
        // Without a second one, it is damage, or there is no table.
        put(&mut file, redundant, &value.to_le_bytes());
        let read = open(&file).and_then(|image| read(&image, 0, 1 << 20));
        match value {
            0 => assert!(read.unwrap().iter().all(|byte| *byte == 0)),
            _ => {
                let error = read.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Damaged, "{value:#x}: {error}");
                let text = format!("grain directory entry 0x0 is {value:#x}");
                assert!(error.to_string().contains(&text), "{error}");
            }
        }
    }
}

#[test]
fn a_damaged_table_is_read_from_its_redundant_copy() {
    let model = Model::full(5, 40 << 20, 65536, Texture::Text);
    let good = to_vec(&write("subformat=monolithicSparse", &model));
    let (first, _, redundant) = table(&good);
    let copy = entry(&good, redundant) as usize * 512;
    let mut file = good.clone();
    put(&mut file, first + 8, &u32::MAX.to_le_bytes());
    let image = open(&file).unwrap();
    laws::reading(&image, &model);
    let kinds: Vec<_> = problems(&image).iter().map(|problem| (problem.kind, problem.at)).collect();
    let (damaged, differs) = (Some(first as u64 + 8), Some(copy as u64));
    assert!(kinds.contains(&(ProblemKind::Corruption, damaged)), "{kinds:?}");
    assert!(kinds.contains(&(ProblemKind::Oddity, differs)), "{kinds:?}");
    // With both damaged, what the entry is for is lost, and no more.
    put(&mut file, copy + 12, &u32::MAX.to_le_bytes());
    let image = open(&file).unwrap();
    assert!(read(&image, 0, 2 << 16).unwrap() == model.bytes(0, 2 << 16));
    assert!(read(&image, 3 << 16, 1 << 20).unwrap() == model.bytes(3 << 16, 1 << 20));
    let error = read(&image, 65536, 2 << 16).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let text = error.to_string();
    assert!(text.contains("grain table entry for 0x20000 is 0xffffffff"), "{text}");
    let mut cursor = image.cursor().unwrap();
    let extent = cursor.extent(0, image.size()).unwrap();
    assert_eq!(extent.length, 2 << 16, "the extent ends where the damage begins");
    assert!(cursor.extent(2 << 16, 65536).is_err());
}

#[test]
fn a_table_that_lost_its_entries_is_read_from_its_redundant_copy() {
    let model = Model::full(5, 40 << 20, 65536, Texture::Text);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    let (first, ..) = table(&file);
    file[first..first + 2048].fill(0);
    laws::reading(&open(&file).unwrap(), &model);
}

#[test]
fn a_descriptor_that_lost_its_extents_is_no_empty_disk() {
    let head = "# Disk DescriptorFile\nversion=1\nCID=11111111\nparentCID=ffffffff\n\
                createType=\"twoGbMaxExtentSparse\"\n";
    for (rest, is_disk) in [
        ("", false),
        ("ddb.geometry.cylinders = \"20\"\n", false),
        // QEMU's, of no bytes.
        ("ddb.geometry.cylinders = \"0\"\n", true),
    ] {
        assert_eq!(open(format!("{head}{rest}").as_bytes()).is_ok(), is_disk, "{rest}");
    }
}

#[test]
fn tables_are_not_shared() {
    let model = Model::full(5, 40 << 20, 65536, Texture::Text);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    for field in [48, 56] {
        let directory =
            u64::from_le_bytes(file[field..field + 8].try_into().unwrap()) as usize * 512;
        let entry = file[directory..directory + 4].to_vec();
        put(&mut file, directory + 4, &entry);
    }
    let error = open(&file).err().unwrap();
    assert!(error.to_string().contains("lead to one table"), "{error}");
}

#[test]
fn a_directory_that_is_cut_off_is_replaced_by_the_redundant_one() {
    let model = Model::random(5, 4 << 20, 65536);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    put(&mut file, 56, &0xFFFF_FFFFu64.to_le_bytes());
    let image = open(&file).unwrap();
    laws::reading(&image, &model);
    let text = "redundant grain directory is used";
    assert!(warnings(&image)[0].contains(text));
    let found = problems(&image);
    let tells = |problem: &Problem| {
        problem.kind == ProblemKind::Corruption
            && problem.at == Some(0xFFFF_FFFF * 512)
            && problem.text.contains(text)
    };
    assert!(found.iter().any(tells), "{found:?}");
    put(&mut file, 48, &0xFFFF_FFFFu64.to_le_bytes());
    let error = open(&file).err().unwrap();
    assert!(error.to_string().contains("grain directory of 0x4 bytes at 0x1fffffffe00"), "{error}");
}

#[test]
fn a_redundant_directory_that_is_lost_is_told_by_a_check() {
    let model = Model::random(5, 4 << 20, 65536);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    put(&mut file, 48, &0xFFFF_FFFFu64.to_le_bytes());
    let image = open(&file).unwrap();
    laws::reading(&image, &model);
    let found = problems(&image);
    let (kind, at) = (ProblemKind::Corruption, Some(0xFFFF_FFFF * 512));
    assert!(found.iter().any(|it| (it.kind, it.at) == (kind, at)), "{found:?}");
}

#[test]
fn grains_of_zeros_are_told_by_the_flag() {
    let model = Model::full(5, 1 << 20, 65536, Texture::Noise);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    let (first, _, redundant) = table(&file);
    for at in [first, entry(&file, redundant) as usize * 512] {
        put(&mut file, at + 4, &1u32.to_le_bytes());
    }
    let error = read(&open(&file).unwrap(), 65536, 1).unwrap_err();
    assert!(error.to_string().contains("0x1, which leads into the header"), "{error}");
    put(&mut file, 4, &[2, 0, 0, 0, 7]);
    let image = open(&file).unwrap();
    assert_eq!(read(&image, 65536, 65536).unwrap(), vec![0; 65536]);
    let extent = image.cursor().unwrap().extent(65536, 1 << 19).unwrap();
    assert_eq!((extent.length, extent.kind), (65536, Kind::Zero));
}

#[test]
fn headers_that_contradict_themselves_are_damage_with_their_numbers() {
    let model = model_of(3 << 20);
    let (so, ms) =
        (to_vec(&write("", &model)), to_vec(&write("subformat=monolithicSparse", &model)));
    let end = so.len();
    let number = |value: u64| value.to_le_bytes().to_vec();
    use ErrorKind::{Damaged, Limit, Unsupported};
    for (what, good, at, bytes, kind, word) in [
        ("version 0", &ms, 4, vec![0], Damaged, "version 0"),
        ("version 4", &ms, 4, vec![4], Unsupported, "version 4"),
        ("a flag to be known", &ms, 10, vec![4], Unsupported, "0x40000"),
        ("newlines", &ms, 74, vec![b'\n'], Damaged, "[0a, 0a, 0d, 0a]"),
        ("a grain of 0", &ms, 20, number(0), Damaged, "grain of 0x0 sectors"),
        ("a grain of 3", &ms, 20, number(3), Damaged, "grain of 0x3 sectors"),
        ("a grain too large", &ms, 20, number(1 << 22), Damaged, "above 0x200000"),
        ("a packed grain too large", &so, 20, number(1 << 14), Damaged, "above 0x2000"),
        ("no entries", &ms, 44, vec![0; 4], Damaged, "0x0 entries"),
        ("too many entries", &ms, 44, vec![0xff; 4], Damaged, "0xffffffff entries"),
        ("too large a disk", &ms, 12, number(1 << 55), Damaged, "above 2^64"),
        ("a directory past the end", &ms, 12, number(1 << 50), Damaged, "runs past the end"),
        ("a descriptor past the end", &ms, 28, number(1 << 40), Damaged, "descriptor of 0x2800"),
        ("a long descriptor", &ms, 36, number(1 << 40), Damaged, "runs past the end"),
        ("no method", &so, 77, vec![0], Damaged, "method 0"),
        ("another method", &so, 77, vec![2], Unsupported, "method 2"),
        ("no footer", &so, end - 1536 + 12, vec![2], Damaged, "footer marker"),
        ("a footer elsewhere", &so, end - 1024 + 56, number(u64::MAX), Damaged, "footer marker"),
        ("another footer", &so, end - 1024 + 12, number(1), Damaged, "has capacity 0x200"),
        ("no end", &so, end - 512, vec![1], Damaged, "footer marker"),
    ] {
        let mut file = good.clone();
        put(&mut file, at, &bytes);
        let error = open(&file).err().expect(what);
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains(word), "{what}: {error}");
    }
    let budget = Limits::default().with_virtual_size(1 << 20).budget();
    let error = Vmdk::open(Arc::new(ms), &budget).err().unwrap();
    assert_eq!(error.kind(), Limit, "{error}");
}

#[test]
fn damaged_grains_are_told_with_their_place() {
    let model = Model::full(5, 1 << 20, 65536, Texture::Text);
    let good = to_vec(&write("", &model));
    let second = {
        let size = entry(&good, 65536 + 8) as usize;
        65536 + (12 + size).next_multiple_of(512)
    };
    for (what, at, bytes, word) in [
        ("another place", second, &[1][..], "the grain 0x10000 at"),
        ("no bytes", second + 8, &[0; 4], "with 0x0 bytes"),
        ("too many bytes", second + 8, &[0xff; 4], "with 0xffffffff bytes"),
        ("another checksum", second + 12 + 20, &[0x55; 9], "compressed grain 0x10000"),
    ] {
        let mut file = good.clone();
        put(&mut file, at, bytes);
        let image = open(&file).unwrap();
        assert!(read(&image, 0, 65536).unwrap() == model.bytes(0, 65536), "{what}");
        let error = read(&image, 0, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(word) && text.contains("reading 1048576 bytes at 0x0"),
            "{what}: {text}"
        );
        let rest = read(&image, 2 << 16, 65536).unwrap();
        assert!(rest == model.bytes(2 << 16, 65536), "{what}");
        let found = problems(&image);
        assert_eq!(found.is_empty(), what == "another checksum", "{what}: {found:?}");
    }
}

#[test]
fn grains_that_share_their_place_and_grains_of_nobody_are_found() {
    let model = Model::full(5, 1 << 20, 65536, Texture::Noise);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    let (first, _, redundant) = table(&file);
    let other = entry(&file, first).to_le_bytes();
    for at in [first, entry(&file, redundant) as usize * 512] {
        put(&mut file, at + 4, &other);
    }
    let found = problems(&open(&file).unwrap());
    let kinds: Vec<_> = found.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::Corruption, ProblemKind::Leak], "{found:?}");
    assert!(found[0].text.contains("used more than once"), "{found:?}");
    assert!(found[1].text.contains("1 grains"), "{found:?}");
}

#[test]
fn the_descriptor_of_virtualbox_has_the_exact_size() {
    // Its header has the capacity in whole grains, its descriptor the disk's own size.
    let model = Model::full(5, 1 << 20, 65536, Texture::Noise);
    let mut file = to_vec(&write("subformat=monolithicSparse", &model));
    let at = file.windows(8).position(|window| window == b"RW 2048 ").unwrap();
    put(&mut file, at, b"RW 2047 ");
    let image = open(&file).unwrap();
    assert_eq!((image.size(), image.describe().warnings.len()), (2047 * 512, 0));
    // Where they contradict each other, the header has the last word.
    put(&mut file, at, b"RW 1000 ");
    let image = open(&file).unwrap();
    assert_eq!((image.size(), image.describe().warnings.len()), (1 << 20, 1));
}

#[test]
fn flat_extents_that_are_too_short_are_damage() {
    let image = open_with(&descriptor("monolithicFlat", "RW 10 FLAT \"a.vmdk\" 2"), &[&[7; 4096]]);
    let image = image.unwrap();
    assert_eq!(read(&image, 0, 3072).unwrap(), vec![7; 3072]);
    let error = read(&image, 0, 5120).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("byte at 0x1000 is past the end"), "{error}");
    assert_eq!(problems(&image)[0].kind, ProblemKind::Corruption);
    let small = to_vec(&write_files("subformat=twoGbMaxExtentSparse", &model_of(2 << 20))[1].1);
    let text = descriptor("twoGbMaxExtentSparse", "RW 4097 SPARSE \"a.vmdk\"");
    let error = open_with(&text, &[&small]).err().unwrap();
    assert!(error.to_string().contains("0x1000 sectors, the descriptor says 0x1001"), "{error}");
}

#[test]
fn what_is_known_of_an_image_is_told() {
    let image =
        Vmdk::open(write("hwversion=19,adapter_type=ide", &model_of(3 << 20)), &Budget::default());
    let image = image.unwrap();
    let described = image.describe();
    assert_eq!(described.subformat, "streamOptimized");
    assert_eq!(described.compression, Some("deflate"));
    assert_eq!(image.id().as_deref(), Some("1234abcd"));
    let ids: Vec<_> = described.ids.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ids, [("cid", "1234abcd"), ("long_content_id", "2030313233343536373839611234abcd")]);
    let detail = |name| {
        let found = described.details.iter().find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("{name}")).1.to_string()
    };
    for (name, value) in [
        ("version", "3"),
        ("grain_size", "65536"),
        ("adapter_type", "ide"),
        ("hardware_version", "19"),
        ("geometry", "6/16/63"),
        ("encoding", "UTF-8"),
        ("tools_version", "2147483647"),
        ("extents", "RW 6144 SPARSE \"disk.vmdk\""),
    ] {
        assert_eq!(detail(name), value, "{name}");
    }
}

#[test]
fn a_delta_link_is_a_child_of_a_content_id() {
    let model = model_of(1 << 20);
    let text = descriptor("vmfsSparse", "RW 2048 VMFSSPARSE \"x-delta.vmdk\"").replace(
        "parentCID=ffffffff",
        "parentCID=fffffffe\r\nparentFileNameHint=\"/vmfs/volumes/x/base disk.vmdk\"",
    );
    let image = open_with(&text, &[&cowd(&model, 512, 3, "")]).unwrap();
    let parent = image.parent().unwrap();
    assert_eq!(parent.names, ["base disk.vmdk", "/vmfs/volumes/x/base disk.vmdk"]);
    assert_eq!(parent.id.as_deref(), Some("fffffffe"));
    assert_eq!(image.id().as_deref(), Some("fffffffe"));
}
