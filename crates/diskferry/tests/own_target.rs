//! A conversion into a place of the caller's own: an upload, whose files are parts by number, in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use diskferry::block_stream::{Bytes, Plan};
use diskferry::convert::{Algorithm, Uuid, Verify};
use diskferry::format::Compress;
use diskferry::target::{Destination, Needs, Output, Outputs, ReadBack, Target, Undo};
use diskferry::{Convert, Error, ErrorKind, Format, Job, Location, Result, Summary};

/// Bytes of a part, but for the last one of a file: few, so that writes are cut and parts are many.
const PART: u64 = 10_000;

/// What becomes of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    /// The write of that number is refused.
    NoRoomAt(u32),
    /// It is refused at its very end.
    NotKept,
    /// A part of it is lost, which only shows when it is read.
    Rotten,
    /// It cannot be read, which it does not say beforehand.
    Unreadable,
    /// It takes one file only.
    OneFile,
}

/// Parts of a file by number, and its length once that is known.
type Begun = (BTreeMap<u64, Vec<u8>>, Option<u64>);

/// A store that is uploaded to.
struct Store {
    fate: Fate,
    writes: u32,
    /// What is being uploaded, by name.
    begun: BTreeMap<String, Begun>,
    /// What is there for everybody to see.
    kept: BTreeMap<String, Vec<u8>>,
    undone: u32,
}

impl Store {
    /// The bytes of what was uploaded, as far as it was.
    fn bytes(&self, name: &str) -> Vec<u8> {
        let (parts, len) = &self.begun[name];
        let mut bytes = vec![0; len.unwrap() as usize];
        for (number, part) in parts {
            let start = (number * PART) as usize;
            let end = bytes.len().min(start + part.len());
            bytes[start..end].copy_from_slice(&part[..end - start]);
        }
        bytes
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Store>>);

impl Shared {
    fn new(fate: Fate) -> Self {
        let (begun, kept) = (BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Store { fate, writes: 0, begun, kept, undone: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }
}

/// A name in the store, where nothing is yet.
struct Place {
    name: &'static str,
    store: Shared,
}

impl Destination for Place {
    fn name(&self) -> &str {
        "upload"
    }

    fn path(&self) -> Option<&Path> {
        Some(Path::new(self.name))
    }

    fn file_name(&self) -> Option<&str> {
        Some(self.name)
    }

    fn accepts(&self, needs: &Needs<'_>) -> Result<()> {
        if self.store.lock().fate == Fate::OneFile && needs.parts().is_some() {
            return Err(Error::unsupported("one file only").in_file(self.name()));
        }
        Ok(())
    }

    fn create(self: Box<Self>, needs: &Needs<'_>) -> Result<Box<dyn Target>> {
        assert!(matches!(needs.plan, Some(Plan::Split(_))) == needs.parts().is_some());
        let object = |name: String| Object { name, store: self.store.clone() };
        let (stem, extension) = self.name.split_once('.').unwrap();
        let parts = needs.parts().map(|parts| {
            parts.iter().map(|part| object(format!("{stem}{}.{extension}", part.suffix))).collect()
        });
        Ok(Box::new(Upload { own: object(self.name.to_owned()), parts }))
    }
}

struct Upload {
    own: Object,
    parts: Option<Vec<Object>>,
}

impl Target for Upload {
    fn outputs(&self) -> Outputs<'_> {
        let Some(parts) = &self.parts else { return Outputs::from(&self.own) };
        let parts = parts.iter().map(|part| (part.name.as_str(), part as &dyn Output));
        Outputs::Split { parts: parts.collect(), descriptor: &self.own }
    }

    fn undo(&self) -> Undo {
        let store = self.own.store.clone();
        Box::new(move || {
            let mut store = store.lock();
            store.undone += 1;
            store.begun.clear();
        })
    }

    fn read_back(&self) -> Result<Option<ReadBack>> {
        let store = self.own.store.lock();
        if store.fate == Fate::Unreadable {
            return Ok(None);
        }
        let read = |object: &Object| -> Arc<dyn Bytes> {
            let mut bytes = store.bytes(&object.name);
            if store.fate == Fate::Rotten {
                let middle = bytes.len() / 2;
                bytes[middle..].iter_mut().take(8192).for_each(|byte| *byte ^= 1);
            }
            Arc::new(bytes)
        };
        let parts = self.parts.iter().flatten().map(|part| (part.name.clone(), read(part)));
        Ok(Some(ReadBack { parts: parts.collect(), ..ReadBack::alone(read(&self.own)) }))
    }

    fn keep(self: Box<Self>) -> Result<()> {
        let mut store = self.own.store.lock();
        if store.fate == Fate::NotKept {
            return Err(Error::new(ErrorKind::Io, "refused at the end").in_file("upload"));
        }
        let names: Vec<String> = store.begun.keys().cloned().collect();
        for name in names {
            let bytes = store.bytes(&name);
            store.kept.insert(name, bytes);
        }
        Ok(())
    }
}

/// A file that is being uploaded.
struct Object {
    name: String,
    store: Shared,
}

impl Output for Object {
    fn name(&self) -> &str {
        "upload"
    }

    fn starts_zero(&self) -> bool {
        true
    }

    fn write_at(&self, mut at: u64, mut bytes: &[u8]) -> Result<()> {
        let mut store = self.store.lock();
        if store.fate == Fate::NoRoomAt(store.writes) {
            return Err(Error::new(ErrorKind::Io, "no room").in_file(self.name()));
        }
        store.writes += 1;
        let (parts, _) = store.begun.entry(self.name.clone()).or_default();
        while !bytes.is_empty() {
            let start = (at % PART) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(PART as usize - start));
            let part = parts.entry(at / PART).or_insert_with(|| vec![0; PART as usize]);
            part[start..start + now.len()].copy_from_slice(now);
            (at, bytes) = (at + now.len() as u64, later);
        }
        Ok(())
    }

    fn zero(&self, _at: u64, _len: u64) -> Result<()> {
        unreachable!("what is not written reads as zeros")
    }

    fn finish(&self, len: u64, _job: &Job) -> Result<()> {
        self.store.lock().begun.entry(self.name.clone()).or_default().1 = Some(len);
        Ok(())
    }
}

/// A target: its name, its options, whether it is compressed, how many files it is.
type Kind = (&'static str, &'static [(&'static str, &'static str)], bool, usize);

const KINDS: [Kind; 8] = [
    ("disk.raw", &[], false, 1),
    ("disk.qcow2", &[], false, 1),
    ("disk.qcow2", &[], true, 1),
    ("disk.vhd", &[], false, 1),
    ("disk.ova", &[], false, 1),
    ("disk.vmdk", &[("subformat", "streamOptimized")], false, 1),
    ("disk.vmdk", &[("subformat", "monolithicFlat")], false, 2),
    ("disk.vmdk", &[("subformat", "twoGbMaxExtentSparse")], false, 2),
];

/// A disk with holes, zeros that are stored, and other bytes.
fn source(folder: &Path) -> Location {
    let path = folder.join("source.raw");
    let block = |n: u64| (0..8192_u64).map(|at| (at * (n + 7) / 5 % 251) as u8).collect();
    let blocks = (0..512).map(|n| if n % 3 == 1 { vec![0; 8192] } else { block(n) });
    fs::write(&path, blocks.flatten().collect::<Vec<u8>>()).unwrap();
    path.into()
}

fn request(source: &Location, target: &Path, (_, options, compress, _): Kind) -> Convert {
    let mut convert = Convert::new(source.clone(), target);
    let option = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    convert.options = options.iter().map(option).collect();
    convert.compress = compress.then(Compress::default);
    convert.digests = vec![Algorithm::Sha256];
    (convert.identity.uuid, convert.identity.time) = (Some(Uuid::from_u128(7)), Some(8));
    convert
}

fn upload(convert: &Convert, kind: Kind, store: &Shared) -> Result<Summary> {
    let place = Place { name: kind.0, store: store.clone() };
    convert.run_into(Box::new(place), &Job::new(3).unwrap())
}

#[test]
fn an_upload_holds_what_a_file_does() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path());
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        let mut convert = request(&source, &files.join(kind.0), kind);
        let expected = convert.run(&Job::new(2).unwrap()).unwrap();
        for verify in [Verify::Trust, Verify::ReadBack] {
            convert.verify = verify;
            let store = Shared::new(Fate::Taken);
            let summary = upload(&convert, kind, &store).unwrap();
            assert_eq!(summary.digests, expected.digests);
            assert_eq!(summary.verified, verify == Verify::ReadBack);
            assert_eq!(summary.target.file, "upload");
            assert_eq!(summary.target.virtual_size, expected.target.virtual_size);
            let store = store.lock();
            assert_eq!((store.kept.len(), store.undone), (kind.3, 0), "{kind:?}");
            for (name, bytes) in &store.kept {
                assert!(*bytes == fs::read(files.join(name)).unwrap(), "{kind:?}: {name}");
            }
        }
    }
}

#[test]
fn what_goes_wrong_comes_out_and_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    for kind in KINDS {
        let mut convert = request(&source, Path::new("unused"), kind);
        convert.verify = Verify::ReadBack;
        for (fate, told, error_kind) in [
            (Fate::NoRoomAt(0), "no room", ErrorKind::Io),
            (Fate::NoRoomAt(1), "no room", ErrorKind::Io),
            (Fate::NotKept, "refused at the end", ErrorKind::Io),
            (Fate::Unreadable, "it cannot be read back", ErrorKind::Unsupported),
            (Fate::Rotten, "reads back differently", ErrorKind::Io),
        ] {
            let store = Shared::new(fate);
            let error = upload(&convert, kind, &store).unwrap_err();
            assert_eq!(error.kind(), error_kind, "{kind:?}, {fate:?}: {error}");
            assert!(error.to_string().starts_with("upload: "), "{kind:?}, {fate:?}: {error}");
            assert!(error.to_string().contains(told), "{kind:?}, {fate:?}: {error}");
            let store = store.lock();
            assert_eq!(store.undone, 1, "{kind:?}, {fate:?}");
            assert!(store.kept.is_empty() && store.begun.is_empty(), "{kind:?}, {fate:?}");
        }
    }
}

#[test]
fn what_a_place_does_not_accept_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    for kind in KINDS {
        let store = Shared::new(Fate::OneFile);
        let converted = upload(&request(&source, Path::new("unused"), kind), kind, &store);
        match converted {
            Ok(_) => assert_eq!(kind.3, 1, "{kind:?}"),
            Err(error) => {
                assert!(kind.3 > 1, "{kind:?}: {error}");
                assert_eq!(error.to_string(), "upload: unsupported: one file only");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                let store = store.lock();
                assert_eq!((store.writes, store.undone), (0, 0));
            }
        }
    }
}

#[test]
fn storage_for_zeros_is_refused_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    let kind: Kind = ("disk.raw", &[("preallocation", "full")], false, 1);
    let store = Shared::new(Fate::Taken);
    let convert = request(&source, Path::new("unused"), kind);
    assert_eq!(convert.to, None::<Format>);
    let error = upload(&convert, kind, &store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let store = store.lock();
    assert_eq!((store.writes, store.undone), (0, 1));
}
