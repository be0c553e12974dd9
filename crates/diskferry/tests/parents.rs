//! Images over parents: by name, by id, and when the parent is not the one they were made over.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use diskferry::convert::{Algorithm, Identity, Replace, Uuid};
use diskferry::place::Policy;
use diskferry::source::Backing;
use diskferry::{
    Control, Convert, DiskImage, Error, ErrorKind, Format, Job, Location, OpenOptions, Opened,
    Remedy, Result,
};
use diskferry_testkit::{Model, qemu};

const SIZE: u64 = 2 << 20;

/// Blocks of the differencing VHD, the smallest that the writer makes.
const VHD_BLOCK: usize = 512 << 10;

const BASE: Uuid = Uuid::from_u128(0x0123_4567_89ab_4cde_8f01_2345_6789_abcd);
const OTHER: Uuid = Uuid::from_u128(0x1111_1111_2222_4333_8444_5555_5555_5555);

/// Writes a disk as an image with that id.
fn write(path: &Path, disk: &[u8], id: Uuid, options: &[(&str, &str)]) {
    let raw = path.with_extension("source");
    fs::write(&raw, disk).unwrap();
    let mut convert = Convert::new(raw.as_path(), path);
    convert.options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    convert.identity = Identity::default().uuid(id).time(1_700_000_000);
    convert.replace = Replace::Allowed;
    convert.open.format = Some(Format::RAW);
    convert.run(&Job::new(2).unwrap()).unwrap();
    fs::remove_file(raw).unwrap();
}

fn patch(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn open(path: &Path) -> Result<DiskImage> {
    OpenOptions::default().open_image(&Location::from(path), &Control::default())
}

fn read(image: &DiskImage) -> Vec<u8> {
    let mut whole = vec![0; image.disk().size() as usize];
    image.disk().cursor().unwrap().read(0, &mut whole).unwrap();
    whole
}

#[track_caller]
fn refused(path: &Path, kind: ErrorKind, texts: &[&str]) {
    let error = open(path).err().expect("it was opened");
    assert_eq!(error.kind(), kind, "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "no '{text}' in: {error}");
    }
}

/// Whether the caller may allow a folder to have what was refused.
fn is_allowed_by_a_folder(error: &Error) -> bool {
    matches!(error.remedy(), Some(Remedy::AllowFile { .. } | Remedy::AllowLink { .. }))
}

/// The base's disk, and a disk that differs in its second block and has zeros elsewhere.
fn disks(block: usize) -> (Vec<u8>, Vec<u8>) {
    let base = Model::random(1, SIZE, 4096).whole();
    let mut top = vec![0; SIZE as usize];
    top[block..2 * block].fill(0x77);
    (base, top)
}

mod qcow2 {
    use super::*;

    #[test]
    fn a_name_may_be_any_bytes() {
        let folder = qemu::temp_dir();
        let at = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
        let (base, top) = (at(b"M_nchen.raw"), at(b"top.qcow2"));
        let disk = Model::random(1, SIZE, 4096).whole();
        fs::write(&base, &disk).unwrap();
        let (name, path) = (base.to_str().unwrap(), top.to_str().unwrap());
        let name = name.rsplit('/').next().unwrap();
        qemu::img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", name, path]);
        // As a program of the days before UTF-8 would have called it.
        fs::rename(&base, at(b"M\xfcnchen.raw")).unwrap();
        patch(&top, |bytes| {
            let place = bytes.windows(7).position(|name| name == b"M_nchen").unwrap();
            bytes[place + 1] = 0xfc;
        });
        let image = open(&top).unwrap();
        assert!(read(&image) == disk);
        assert_eq!(image.info().chain[1].file, at(b"M\xfcnchen.raw").display().to_string());
        fs::remove_file(at(b"M\xfcnchen.raw")).unwrap();
        refused(&top, ErrorKind::Io, &["'M\u{fffd}nchen.raw'"]);
    }

    /// A folder with `base.qcow2`, and `top.qcow2` over it by that name; with what that reads as.
    fn chain(folder: &Path, name: &str, stated: &str) -> (PathBuf, Vec<u8>) {
        let (base, top) = (folder.join("base.qcow2"), folder.join("top.qcow2"));
        if !base.exists() {
            qemu::img(&["create", "-q", "-f", "qcow2", base.to_str().unwrap(), "1M"]);
            qemu::io(&base, "qcow2", &["write -P 7 64k 64k"]);
        }
        let path = top.to_str().unwrap();
        qemu::img(&["create", "-q", "-f", "qcow2", path, "1M"]);
        qemu::img(&["rebase", "-u", "-f", "qcow2", "-F", stated, "-b", name, path]);
        let mut expected = vec![0; 1 << 20];
        expected[64 << 10..128 << 10].fill(7);
        (top, expected)
    }

    #[test]
    fn a_name_in_more_words_is_the_plain_one() {
        let folder = qemu::temp_dir();
        let nested = r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}"#;
        for name in [
            "./base.qcow2",
            "gone/../base.qcow2",
            "file:base.qcow2",
            "file:./base.qcow2",
            nested,
            r#"json:{"file.filename":"./base.qcow2","driver":"qcow2"}"#,
            r#"json:{"file":{"filename":"base.qcow2","locking":"off"},"read-only":true}"#,
        ] {
            let (top, expected) = chain(folder.path(), name, "qcow2");
            let image = open(&top).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(read(&image) == expected, "{name}");
            assert_eq!(image.layers()[1].format(), Format::QCOW2, "{name}");
        }
        // What the image states beside the name counts, as with QEMU, which reads the same bytes.
        let (top, _) = chain(folder.path(), nested, "raw");
        let image = open(&top).unwrap();
        assert_eq!(image.layers()[1].format(), Format::RAW);
        assert!(read(&image).starts_with(b"QFI\xfb"));
        // Where it states nothing, the description does.
        let (top, expected) = chain(folder.path(), nested, "qcow2");
        let unstated = |bytes: &mut Vec<u8>| {
            let field = 0xe279_2aca_u32.to_be_bytes();
            let at = bytes.windows(4).position(|word| word == field).unwrap();
            bytes[at..at + 4].copy_from_slice(b"none");
        };
        patch(&top, unstated);
        let image = open(&top).unwrap();
        assert!(read(&image) == expected && image.warnings().is_empty(), "{:?}", image.warnings());
        let raw = nested.replace("\"qcow2\",", "\"raw\",");
        let (top, _) = chain(folder.path(), &raw, "qcow2");
        patch(&top, unstated);
        assert!(read(&open(&top).unwrap()).starts_with(b"QFI\xfb"));
    }

    #[test]
    fn more_words_open_no_more_files() {
        let root = qemu::temp_dir();
        let folder = root.path().join("images");
        fs::create_dir(&folder).unwrap();
        fs::write(root.path().join("secret"), vec![9; 4096]).unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        let json =
            |path: &str| format!(r#"json:{{"driver":"raw","file":{{"filename":"{path}"}}}}"#);
        for name in ["../secret", "link", "./link", "/etc/passwd", "images/../../secret"] {
            for name in [name.to_owned(), format!("file:{name}"), json(name)] {
                let (top, _) = chain(&folder, &name, "raw");
                refused(&top, ErrorKind::Refused, &["top.qcow2"]);
                let error = open(&top).err().unwrap();
                assert!(is_allowed_by_a_folder(&error), "{name}: {error}");
            }
        }
        for name in [
            r#"json:{"driver":"raw","offset":512,"file":{"filename":"base.qcow2"}}"#,
            r#"json:{"driver":"raw","file":{"driver":"nbd","host":"localhost"}}"#,
            r#"json:{"driver":"null-co"}"#,
            "nbd:unix:/tmp/x",
            "fat:.",
        ] {
            let (top, _) = chain(&folder, name, "raw");
            refused(&top, ErrorKind::Refused, &["top.qcow2", "never followed"]);
        }
        let (top, _) = chain(&folder, "file:gone.raw", "raw");
        refused(&top, ErrorKind::Io, &["backing file 'gone.raw'"]);
    }

    #[test]
    fn a_data_file_may_be_named_so_too() {
        let folder = qemu::temp_dir();
        let (image, data) = (folder.path().join("a.qcow2"), folder.path().join("a.data"));
        let option = format!("data_file={}", data.display());
        let path = image.to_str().unwrap();
        qemu::img(&["create", "-q", "-f", "qcow2", "-o", &option, path, "1M"]);
        qemu::io(&image, "qcow2", &["write -P 7 64k 64k"]);
        let before = fs::read(&image).unwrap();
        let renamed = |name: &str| {
            let mut bytes = before.clone();
            let at = bytes.windows(4).position(|word| word == b"DATA").unwrap();
            // The rest of the header's cluster is free.
            let room = &mut bytes[at..1024];
            room.fill(0);
            room[..4].copy_from_slice(b"DATA");
            room[4..8].copy_from_slice(&(name.len() as u32).to_be_bytes());
            room[8..8 + name.len()].copy_from_slice(name.as_bytes());
            fs::write(&image, bytes).unwrap();
        };
        for name in [
            "a.data",
            "./a.data",
            "file:a.data",
            r#"json:{"driver":"file","filename":"a.data"}"#,
            r#"json:{"driver":"raw","file":{"filename":"a.data"}}"#,
        ] {
            renamed(name);
            let read = read(&open(&image).unwrap_or_else(|error| panic!("{name}: {error}")));
            assert!(read[64 << 10..128 << 10].iter().all(|byte| *byte == 7), "{name}");
        }
        renamed(r#"json:{"driver":"qcow2","file":{"filename":"a.data"}}"#);
        refused(&image, ErrorKind::Unsupported, &["data file", "'qcow2'"]);
        renamed(r#"json:{"driver":"raw","size":512,"file":{"filename":"a.data"}}"#);
        refused(&image, ErrorKind::Refused, &["data file", "'size'"]);
    }

    #[test]
    fn the_caller_may_give_the_parent() {
        let (folder, elsewhere) = (qemu::temp_dir(), qemu::temp_dir());
        let (mid, expected) = chain(elsewhere.path(), "base.qcow2", "qcow2");
        for name in ["C:\\vm\\base.qcow2", "nbd://host/x", "/srv/x", r#"json:{"driver":"nbd"}"#] {
            let (top, _) = chain(folder.path(), name, "qcow2");
            let with = |parent: &Path| {
                let parent = Some(parent.to_owned());
                OpenOptions::new()
                    .parent(parent)
                    .open_image(&Location::from(&*top), &Control::default())
            };
            // What the given one names is beside it.
            let image = with(&mid).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(read(&image) == expected, "{name}");
            assert_eq!((image.layers().len(), image.warnings().len()), (3, 0), "{name}");
            for backing in [Backing::Required, Backing::Lenient] {
                let parent = Some(folder.path().join("gone"));
                let options = OpenOptions::new().parent(parent).backing(backing);
                let error =
                    options.open_image(&Location::from(&*top), &Control::default()).err().unwrap();
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                assert!(error.to_string().contains("gone"), "{error}");
            }
            let error = with(&top).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        }
    }

    #[test]
    fn what_has_no_parent_is_given_none() {
        let folder = qemu::temp_dir();
        chain(folder.path(), "base.qcow2", "qcow2");
        let base = folder.path().join("base.qcow2");
        fs::write(folder.path().join("a.raw"), vec![7; 4096]).unwrap();
        for image in ["base.qcow2", "a.raw"] {
            for backing in [Backing::Required, Backing::Lenient, Backing::Ignored] {
                let options = OpenOptions::new().parent(base.clone()).backing(backing);
                let image = folder.path().join(image);
                let error = options
                    .open_image(&Location::from(&*image), &Control::default())
                    .err()
                    .unwrap();
                assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
            }
        }
    }
}

/// Opens an image over a parent that the caller gives.
fn over(path: &Path, parent: &Path) -> Result<DiskImage> {
    let parent = Some(parent.to_owned());
    OpenOptions::new().parent(parent).open_image(&Location::from(path), &Control::default())
}

mod vhd {
    use super::*;

    /// The names that a child has for its parent: in the header, and in a locator for Windows.
    struct Names<'a> {
        header: &'a str,
        locator: &'a str,
    }

    const BY_HEADER: Names<'_> = Names { header: "base.vhd", locator: "" };

    fn checksum(bytes: &mut [u8], field: usize) {
        bytes[field..field + 4].fill(0);
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        bytes[field..field + 4].copy_from_slice(&(!sum).to_be_bytes());
    }

    /// Makes a dynamic disk a differencing one.
    fn make_child(path: &Path, parent: Uuid, names: &Names<'_>) {
        patch(path, |bytes| {
            let end = bytes.len();
            for footer in [0..512, end - 512..end] {
                let footer = &mut bytes[footer];
                footer[60..64].copy_from_slice(&4_u32.to_be_bytes());
                checksum(footer, 64);
            }
            // Nothing is between the table and the first block.
            let locator: Vec<u8> =
                names.locator.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes[2048..2048 + locator.len()].copy_from_slice(&locator);
            let header = &mut bytes[512..1536];
            header[40..56].copy_from_slice(parent.as_bytes());
            for (index, unit) in names.header.encode_utf16().enumerate() {
                header[64 + 2 * index..][..2].copy_from_slice(&unit.to_be_bytes());
            }
            if !names.locator.is_empty() {
                header[576..580].copy_from_slice(b"W2ku");
                header[584..588].copy_from_slice(&(locator.len() as u32).to_be_bytes());
                header[592..600].copy_from_slice(&2048_u64.to_be_bytes());
            }
            checksum(header, 36);
        });
    }

    /// A folder with `base.vhd` and `top.vhd` over it; and what that reads as.
    fn chain(folder: &Path, names: &Names<'_>) -> (PathBuf, Vec<u8>) {
        let (base, top) = disks(VHD_BLOCK);
        write(&folder.join("base.vhd"), &base, BASE, &[("subformat", "fixed")]);
        let path = folder.join("top.vhd");
        write(&path, &top, OTHER, &[("block_size", "512K")]);
        make_child(&path, BASE, names);
        let mut expected = base;
        expected[VHD_BLOCK..2 * VHD_BLOCK].fill(0x77);
        (path, expected)
    }

    #[test]
    fn what_a_child_lacks_is_its_parents() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut expected) = chain(folder.path(), &BY_HEADER);
        let image = open(&path).unwrap();
        assert_eq!(image.layers().len(), 2);
        assert!(read(&image) == expected);
        // Sectors 8 to 15 of the block are not in the child after all.
        patch(&path, |bytes| {
            let block = u32::from_be_bytes(bytes[1540..1544].try_into().unwrap());
            bytes[block as usize * 512 + 1] = 0;
        });
        let base = read(&open(&folder.path().join("base.vhd")).unwrap());
        let hole = VHD_BLOCK + 8 * 512..VHD_BLOCK + 16 * 512;
        expected[hole.clone()].copy_from_slice(&base[hole]);
        assert!(read(&open(&path).unwrap()) == expected);
        // Converted, it needs nobody.
        let flat = folder.path().join("flat.qcow2");
        Convert::new(path.as_path(), flat.as_path()).run(&Job::new(2).unwrap()).unwrap();
        assert!(read(&open(&flat).unwrap()) == expected);
        let job = Job::new(2).unwrap();
        let algorithms = [Algorithm::Sha256];
        let digest = |image| Opened::from(image).digest(&algorithms, &job).unwrap().1.remove(0).1;
        assert_eq!(digest(open(&path).unwrap()), qemu::sha256(&flat, "qcow2"));
    }

    #[test]
    fn names_are_tried_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names { header: "gone.vhd", locator: "C:\\Images\\base.vhd" };
        let (path, expected) = chain(folder.path(), &names);
        assert!(read(&open(&path).unwrap()) == expected);
        fs::rename(folder.path().join("base.vhd"), folder.path().join("third.vhd")).unwrap();
        refused(&path, ErrorKind::Io, &["top.vhd", "backing file 'gone.vhd'"]);
        // The first that is there is the one, though a later one would fit better.
        fs::rename(folder.path().join("third.vhd"), folder.path().join("base.vhd")).unwrap();
        fs::copy(&path, folder.path().join("gone.vhd")).unwrap();
        refused(&path, ErrorKind::Damaged, &["gone.vhd", &OTHER.to_string(), &BASE.to_string()]);
    }

    #[test]
    fn a_changed_parent_is_damage_that_names_both_ids() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = chain(folder.path(), &BY_HEADER);
        make_child(&path, Uuid::from_u128(7), &BY_HEADER);
        let wanted = Uuid::from_u128(7).to_string();
        let image = over(&path, &folder.path().join("base.vhd")).unwrap();
        assert_eq!(image.layers().len(), 2);
        assert!(image.warnings()[0].text.contains(&wanted), "{:?}", image.warnings());
        refused(&path, ErrorKind::Damaged, &["top.vhd", "base.vhd", &BASE.to_string(), &wanted]);
        let lenient = OpenOptions::new().backing(Backing::Lenient);
        let info = lenient
            .open_image(&Location::from(path.as_path()), &Control::default())
            .unwrap()
            .info();
        assert_eq!(info.chain.len(), 2);
        assert!(
            info.chain[1].error.as_ref().unwrap().text.contains(&wanted),
            "{:?}",
            info.chain[1]
        );
        assert!(info.chain[1].virtual_size.is_none());
    }
}

mod vdi {
    use super::*;

    const BLOCK: usize = 1 << 20;

    fn on_disk(id: Uuid) -> [u8; 16] {
        id.to_bytes_le()
    }

    /// Makes a dynamic image a differencing one.
    fn make_child(path: &Path, parent: Uuid) {
        patch(path, |bytes| {
            bytes[0x4c..0x50].copy_from_slice(&4_u32.to_le_bytes());
            bytes[0x1a8..0x1b8].copy_from_slice(&on_disk(parent));
        });
    }

    /// A folder with `base.vdi` and `top.vdi` over it; and what that reads as.
    fn chain(folder: &Path) -> (PathBuf, Vec<u8>) {
        let (base, top) = disks(BLOCK);
        write(&folder.join("base.vdi"), &base, BASE, &[]);
        let path = folder.join("top.vdi");
        write(&path, &top, OTHER, &[]);
        make_child(&path, BASE);
        let mut expected = base;
        expected[BLOCK..].fill(0x77);
        (path, expected)
    }

    #[test]
    fn a_parent_is_known_by_its_id_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, expected) = chain(folder.path());
        assert!(read(&open(&path).unwrap()) == expected);
        fs::rename(folder.path().join("base.vdi"), folder.path().join("zebra.VDI")).unwrap();
        // What else there is: no image, a damaged one, a folder, a link.
        fs::write(folder.path().join("a.vdi"), b"no image").unwrap();
        write(&folder.path().join("b.vdi"), &vec![1; BLOCK], BASE, &[]);
        patch(&folder.path().join("b.vdi"), |bytes| bytes.truncate(600));
        fs::create_dir(folder.path().join("c.vdi")).unwrap();
        symlink("/dev/zero", folder.path().join("d.vdi")).unwrap();
        let image = open(&path).unwrap();
        assert_eq!(image.layers()[1].name(), folder.path().join("zebra.VDI").display().to_string());
        assert!(read(&image) == expected);
    }

    #[test]
    fn a_parent_that_is_not_there_is_named_by_its_id() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, expected) = chain(folder.path());
        let base = folder.path().join("base.vdi");
        for hidden in [elsewhere.path().join("base.vdi"), folder.path().join("base.img")] {
            fs::rename(&base, &hidden).unwrap();
            refused(&path, ErrorKind::Io, &["top.vdi", &BASE.to_string(), "1 file looked at"]);
            // A link is not followed.
            symlink(&hidden, &base).unwrap();
            refused(&path, ErrorKind::Io, &[&BASE.to_string()]);
            fs::remove_file(&base).unwrap();
            fs::rename(&hidden, &base).unwrap();
        }
        // Unless the caller allows the folder.
        fs::rename(&base, elsewhere.path().join("base.vdi")).unwrap();
        let options = OpenOptions::new().policy(Policy::allowing([elsewhere.path().to_owned()]));
        let image =
            options.open_image(&Location::from(path.as_path()), &Control::default()).unwrap();
        assert!(read(&image) == expected);
        let given = over(&path, &elsewhere.path().join("base.vdi")).unwrap();
        assert!(read(&given) == expected && given.warnings().is_empty());
        let options = OpenOptions::default();
        let error = options
            .open_file("stdin", fs::File::open(&path).unwrap(), &Control::default())
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&BASE.to_string()), "{error}");
    }

    #[test]
    fn only_so_many_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = chain(folder.path());
        for index in 0..1024 {
            fs::write(folder.path().join(format!("a{index:04}.vdi")), b"").unwrap();
        }
        refused(&path, ErrorKind::Io, &["the first 1024 files looked at"]);
    }

    #[test]
    fn an_image_that_is_its_own_parent_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = chain(folder.path());
        make_child(&path, OTHER);
        refused(&path, ErrorKind::Damaged, &["comes back to"]);
    }
}

mod vmdk {
    use super::*;

    const GRAIN: usize = 64 << 10;

    /// Makes a monolithicSparse image a delta link.
    fn make_child(path: &Path, parent: &str, name: &str) {
        patch(path, |bytes| {
            let place = &mut bytes[512..21 * 512];
            let text = String::from_utf8(place.to_vec()).unwrap();
            let lines = text.trim_end_matches('\0').lines().filter_map(|line| match line {
                line if line.starts_with("parentFileNameHint=") => None,
                line if line.starts_with("parentCID=") => {
                    Some(format!("parentCID={parent}\nparentFileNameHint=\"{name}\"\n"))
                }
                line => Some(format!("{line}\n")),
            });
            let text: String = lines.collect();
            place.fill(0);
            place[..text.len()].copy_from_slice(text.as_bytes());
        });
    }

    /// A folder with `base.vmdk`, in that subformat, and `top.vmdk` over it; what that reads as,
    /// and the base's content id.
    fn chain(folder: &Path, subformat: &str) -> (PathBuf, Vec<u8>, String) {
        let (base, top) = disks(GRAIN);
        write(&folder.join("base.vmdk"), &base, BASE, &[("subformat", subformat)]);
        let id = open(&folder.join("base.vmdk")).unwrap().layers()[0].image().id().unwrap();
        let path = folder.join("top.vmdk");
        write(&path, &top, OTHER, &[("subformat", "monolithicSparse")]);
        make_child(&path, &id, "base.vmdk");
        let mut expected = base;
        expected[GRAIN..2 * GRAIN].fill(0x77);
        (path, expected, id)
    }

    #[test]
    fn a_delta_link_reads_through_a_parent_of_any_kind() {
        for subformat in [
            "streamOptimized",
            "monolithicSparse",
            "monolithicFlat",
            "twoGbMaxExtentSparse",
            "twoGbMaxExtentFlat",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (path, expected, _) = chain(folder.path(), subformat);
            assert!(read(&open(&path).unwrap()) == expected, "{subformat}");
            assert!(qemu::to_raw(&path, "vmdk") == expected, "{subformat}, as qemu-img reads it");
        }
    }

    #[test]
    fn a_changed_parent_is_damage_that_names_both_ids() {
        let folder = tempfile::tempdir().unwrap();
        let (path, expected, id) = chain(folder.path(), "monolithicSparse");
        make_child(&path, "1234abcd", "base.vmdk");
        refused(&path, ErrorKind::Damaged, &["top.vmdk", "base.vmdk", &id, "1234abcd"]);
        // Unless the caller says that it is the one.
        let base = folder.path().join("base.vmdk");
        let image = over(&path, &base).unwrap();
        let warned = image.warnings().iter().filter(|text| text.text.contains("1234abcd"));
        assert_eq!(warned.count(), 1, "{:?}", image.warnings());
        assert!(read(&image) == expected);
    }

    /// Writes a descriptor of extents of 1 MiB each.
    fn descriptor(path: &Path, encoding: &str, names: &[&[u8]]) {
        let head = format!(
            "# Disk DescriptorFile\nversion=1\nencoding=\"{encoding}\"\nCID=fffffffe\n\
             parentCID=ffffffff\ncreateType=\"twoGbMaxExtentFlat\"\n"
        );
        let lines = names.iter().map(|name| [b"RW 2048 FLAT \"", *name, b"\" 0\n"].concat());
        fs::write(path, [head.into_bytes(), lines.collect::<Vec<_>>().concat()].concat()).unwrap();
    }

    #[test]
    fn extents_of_another_machines_folders_are_beside_the_descriptor() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("x.vmdk");
        fs::write(folder.path().join("x-flat.vmdk"), vec![7; 1 << 20]).unwrap();
        let names = [
            r"D:\VM\x-flat.vmdk",
            "D:/VM/x-flat.vmdk",
            r"\\server\share\x-flat.vmdk",
            r"VM\x-flat.vmdk",
            "/vmfs/volumes/5f3a/x/x-flat.vmdk",
            "/srv/vm/x-flat.vmdk",
        ];
        for name in names {
            descriptor(&path, "UTF-8", &[name.as_bytes()]);
            assert!(read(&open(&path).unwrap()) == vec![7; 1 << 20], "{name}");
        }
        fs::rename(folder.path().join("x-flat.vmdk"), elsewhere.path().join("x-flat.vmdk"))
            .unwrap();
        for name in &names[..5] {
            descriptor(&path, "UTF-8", &[name.as_bytes()]);
            let error = open(&path).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert_eq!(error.remedy(), None, "{error}");
        }
        descriptor(&path, "UTF-8", &[b"/srv/vm/x-flat.vmdk"]);
        let texts = ["'/srv/vm/x-flat.vmdk'", "no 'x-flat.vmdk' beside"];
        refused(&path, ErrorKind::Refused, &texts);
        assert!(is_allowed_by_a_folder(&open(&path).err().unwrap()));
        // Where the caller allows its folder, the path itself comes first.
        let real = elsewhere.path().canonicalize().unwrap().join("x-flat.vmdk");
        descriptor(&path, "UTF-8", &[real.as_os_str().as_bytes()]);
        fs::write(folder.path().join("x-flat.vmdk"), vec![1; 1 << 20]).unwrap();
        let policy = Policy::allowing([elsewhere.path().to_owned()]);
        let options = OpenOptions::new().policy(policy);
        let image = options.open_image(&Location::from(&*path), &Control::default()).unwrap();
        assert!(read(&image) == vec![7; 1 << 20]);
        assert!(read(&open(&path).unwrap()) == vec![1; 1 << 20]);
    }

    /// One file would be read for both.
    #[test]
    fn extents_of_one_name_in_two_folders_are_not_both_the_file_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vmdk");
        fs::write(folder.path().join("x-flat.vmdk"), vec![7; 1 << 20]).unwrap();
        for names in [
            [&b"/vmfs/volumes/a/x-flat.vmdk"[..], b"/vmfs/volumes/b/x-flat.vmdk"],
            [b"x-flat.vmdk", br"D:\x-flat.vmdk"],
        ] {
            descriptor(&path, "UTF-8", &names);
            refused(&path, ErrorKind::Refused, &["x.vmdk", "extent"]);
        }
        descriptor(&path, "UTF-8", &[br"D:\x-flat.vmdk", br"D:\x-flat.vmdk"]);
        assert!(read(&open(&path).unwrap()) == vec![7; 2 << 20]);
    }

    #[test]
    fn a_name_may_be_in_the_descriptors_encoding() {
        for (encoding, bytes, text) in [
            ("GBK", &b"\xb4\xc5\xc5\xcc-flat.vmdk"[..], "磁盘-flat.vmdk"),
            ("windows-1252", b"M\xfcnchen.vmdk", "München.vmdk"),
            ("Shift_JIS", b"\x95\x5c.vmdk", "表.vmdk"),
            // Whatever it says it is.
            ("UTF-8", b"M\xfcnchen.vmdk", "München.vmdk"),
            ("GBK", "磁盘".as_bytes(), "纾佺洏"),
        ] {
            for on_disk in [OsStr::from_bytes(bytes), OsStr::new(text)] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("x.vmdk");
                fs::write(folder.path().join(on_disk), vec![7; 1 << 20]).unwrap();
                for prefix in [&b""[..], br"D:\"] {
                    descriptor(&path, encoding, &[&[prefix, bytes].concat()]);
                    let image = open(&path).unwrap_or_else(|error| panic!("{on_disk:?}: {error}"));
                    assert!(read(&image) == vec![7; 1 << 20], "{on_disk:?}");
                }
            }
        }
    }

    #[test]
    fn a_parent_is_beside_its_child_or_where_the_caller_allows() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, expected, id) = chain(folder.path(), "monolithicSparse");
        let allowing = |folder: &Path| {
            let policy = Policy::allowing([folder.to_owned()]);
            let options = OpenOptions::new().policy(policy);
            options.open_image(&Location::from(path.as_path()), &Control::default())
        };
        for name in ["base.vmdk", "../base.vmdk", "/vmfs/volumes/one/base.vmdk"] {
            make_child(&path, &id, name);
            assert!(read(&open(&path).unwrap()) == expected, "{name}");
            let (here, there) =
                (folder.path().join("base.vmdk"), elsewhere.path().join("base.vmdk"));
            fs::rename(&here, &there).unwrap();
            refused(&path, ErrorKind::Io, &["top.vmdk", "'base.vmdk'"]);
            assert!(read(&allowing(elsewhere.path()).unwrap()) == expected, "{name}");
            fs::rename(&there, &here).unwrap();
        }
        for name in ["/etc/passwd", "../../etc/passwd"] {
            make_child(&path, &id, name);
            refused(&path, ErrorKind::Io, &["top.vmdk", "'passwd'"]);
        }
    }
}
