//! What lies beside an image is for whoever opens it to say: a caller's own, and the members of an archive.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use diskferry::block_stream::{Bytes, Error, Result};
use diskferry::source::{Sibling, Siblings};
use diskferry::{Control, DiskImage, ErrorKind, OpenOptions};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::qemu;

/// A store of objects, which has no folder, and hears what it is asked for.
#[derive(Clone, Default)]
struct Store {
    objects: Arc<BTreeMap<OsString, Arc<dyn Bytes>>>,
    asked: Arc<Mutex<Vec<OsString>>>,
}

impl Store {
    fn of(folder: &Path, names: &[&str]) -> Self {
        let object = |name: &&str| {
            let bytes = Object {
                name: format!("store/{name}"),
                bytes: fs::read(folder.join(name)).unwrap(),
            };
            (OsString::from(name), Arc::new(bytes) as Arc<dyn Bytes>)
        };
        Self { objects: Arc::new(names.iter().map(object).collect()), ..Self::default() }
    }

    fn open(&self, name: &str) -> Result<DiskImage> {
        let (bytes, siblings) =
            (Arc::clone(&self.objects[OsStr::new(name)]), Arc::new(self.clone()));
        OpenOptions::new().open_beside(bytes, Some(siblings), &Control::default())
    }
}

impl Siblings for Store {
    fn open(&self, role: &'static str, name: &OsStr) -> Result<Sibling> {
        self.asked.lock().unwrap().push(name.to_owned());
        let missing = || {
            let text = format!("{role} '{}': no such object", name.display());
            Error::from(io::Error::new(io::ErrorKind::NotFound, text))
        };
        let bytes = self.objects.get(name).cloned().ok_or_else(missing)?;
        Ok(Sibling { bytes, siblings: Some(Arc::new(self.clone())) })
    }

    fn names(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<OsString>> {
        Ok(self.objects.keys().filter(|name| wanted(name)).cloned().collect())
    }
}

struct Object {
    name: String,
    bytes: Vec<u8>,
}

impl Bytes for Object {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.bytes.read_at(at, buf).map_err(|error| error.in_file(&self.name))
    }
}

/// Writes three layers over one another; each has a megabyte of its own.
fn chain(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    qemu::img(&["create", "-q", "-f", "raw", &text("base.raw"), "3M"]);
    qemu::io(&at("base.raw"), "raw", &["write -q -P 1 0 3M"]);
    for (name, base, format, pattern) in
        [("middle.qcow2", "base.raw", "raw", 2), ("top.qcow2", "middle.qcow2", "qcow2", 3)]
    {
        qemu::img(&["create", "-q", "-f", "qcow2", "-b", &text(base), "-F", format, &text(name)]);
        qemu::io(&at(name), "qcow2", &[&format!("write -q -P {pattern} {}M 1M", pattern - 1)]);
        // As it would be called beside it.
        qemu::img(&["rebase", "-q", "-u", "-b", base, "-F", format, &text(name)]);
    }
}

fn firsts(image: &DiskImage) -> [u8; 3] {
    let mut cursor = image.disk().cursor().unwrap();
    [0, 1, 2].map(|megabyte: u64| {
        let mut byte = [0];
        cursor.read(megabyte << 20, &mut byte).unwrap();
        byte[0]
    })
}

#[test]
fn a_callers_own_bytes_and_siblings_open_a_chain_of_three() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let store = Store::of(folder.path(), &["base.raw", "middle.qcow2", "top.qcow2"]);
    let image = store.open("top.qcow2").unwrap();
    let names: Vec<_> = image.layers().iter().map(|layer| layer.name().to_owned()).collect();
    assert_eq!(names, ["store/top.qcow2", "store/middle.qcow2", "store/base.raw"]);
    assert_eq!(firsts(&image), [1, 2, 3]);
    // It is asked for what the images name, and for nothing else.
    assert_eq!(*store.asked.lock().unwrap(), ["middle.qcow2", "base.raw"]);
}

#[test]
fn what_a_store_has_not_is_named_with_the_image_that_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let store = Store::of(folder.path(), &["middle.qcow2", "top.qcow2"]);
    let error = store.open("top.qcow2").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "store/middle.qcow2: backing file 'base.raw': no such object");
    // Without anything beside it, nothing is asked for.
    let bytes = Arc::clone(&store.objects[OsStr::new("top.qcow2")]);
    let alone = OpenOptions::new().open_beside(bytes, None, &Control::default());
    assert_eq!(alone.err().unwrap().kind(), ErrorKind::Refused);
}

#[test]
fn an_image_that_names_itself_through_a_store_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let text = folder.path().join("middle.qcow2");
    qemu::img(&["rebase", "-q", "-u", "-b", "top.qcow2", "-F", "qcow2", text.to_str().unwrap()]);
    let error =
        Store::of(folder.path(), &["middle.qcow2", "top.qcow2"]).open("top.qcow2").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(error.to_string().contains("comes back to 'store/top.qcow2'"), "{error}");
}

/// The disk that no other of the archive names is the one that is meant, and the others are found beside it; through a
/// scratch file where the archive is compressed.
#[test]
fn a_chain_and_a_split_disk_in_one_archive_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    chain(folder.path());
    let (raw, vmdk) = (at("base.raw"), at("split.vmdk"));
    let options = ["-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"];
    qemu::img(
        &[
            &["convert", "-f", "raw"],
            &options[..],
            &[raw.to_str().unwrap(), vmdk.to_str().unwrap()],
        ]
        .concat(),
    );
    for (archive, members, firsts_) in [
        ("chain.tar", &["top.qcow2", "middle.qcow2", "base.raw"][..], [1, 2, 3]),
        ("split.tar", &["split.vmdk", "split-s001.vmdk"], [1, 1, 1]),
    ] {
        let tar = |arguments: &[&str]| {
            let tar =
                command("tar").args(arguments).args(members).current_dir(folder.path()).run_aloud();
            assert!(tar.unwrap().success(), "{archive}");
        };
        let packed = format!("{archive}.gz");
        tar(&["-cf", archive]);
        tar(&["-czf", &packed]);
        let control = Control::default();
        let open = |name: &str, options: OpenOptions| {
            options.open_image(&at(name).as_path().into(), &control)
        };
        let image = open(archive, OpenOptions::new()).unwrap();
        assert_eq!(firsts(&image), firsts_, "{archive}");
        assert!(open(&packed, OpenOptions::new()).is_err(), "{packed}");
        let scratch = OpenOptions::new().scratch(folder.path().to_owned());
        assert_eq!(firsts(&open(&packed, scratch).unwrap()), firsts_, "{packed}");
    }
}
