//! Images that come in order and cannot be read so, as a library's caller has them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;

use diskferry::import::{ImportTarget, Preflight};
use diskferry::source::Limits;
use diskferry::{Control, ErrorKind, Format, Location, OpenOptions, Remedy};
use diskferry_testkit::child::{Bounded, command};

fn sh(folder: &Path, script: &str) {
    let status = command("bash").args(["-ec", script]).current_dir(folder).run_aloud();
    assert!(status.unwrap().success(), "{script}");
}

#[test]
fn without_a_folder_for_it_nothing_is_unpacked_and_the_error_says_how_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| Location::from(folder.path().join(name));
    sh(
        folder.path(),
        "qemu-img create -q -f qcow2 a.qcow2 1M; gzip -k a.qcow2; tar -czf a.tar.gz a.qcow2
        mv a.qcow2 \"x'; touch PWNED; echo '.qcow2\"; tar -czf 'a b.tgz' x*",
    );
    // Who named a member has no word in what those copy who follow the advice.
    for (name, layers) in [
        ("a.qcow2.gz", &["gzip"][..]),
        ("a.tar.gz", &["gzip", "tar"]),
        ("a b.tgz", &["gzip", "tar"]),
    ] {
        let error = OpenOptions::default().open(&at(name), &Control::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        let layers = layers.iter().map(ToString::to_string).collect();
        let (file, format) = (Some(at(name).to_string()), "qcow2".to_owned());
        assert_eq!(error.remedy(), Some(&Remedy::Unpack { file, layers, format }), "{error}");
        // Whether it is ready is known all the same, where its target takes no such thing.
        let gcp = ImportTarget::from_name("gcp").unwrap();
        let (as_name, waived) = (None, Vec::new());
        let preflight = Preflight { target: gcp, as_name, waived, limits: Limits::default() };
        let report = preflight.unopened(&error).unwrap();
        let report = report.expect("Google takes no qcow2");
        let format = report.rules.iter().find(|rule| rule.id == "format").unwrap();
        assert!(!report.ready && !format.ok, "{name}");
        assert!(format.text.contains("qcow2 is not among: raw"), "{}", format.text);
    }
    let info = OpenOptions::default().info(&at("a.tar.gz")).unwrap();
    assert_eq!((info.format, info.virtual_size), (Format::QCOW2.name(), None));
}

#[test]
fn unpacking_stops_when_asked_and_counts_the_packed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    sh(folder.path(), "qemu-img create -q -f qcow2 a.qcow2 1M; gzip -k a.qcow2");
    let location = Location::from(folder.path().join("a.qcow2.gz"));
    let options = OpenOptions::new().scratch(folder.path().to_owned());
    let control = Control::default();
    assert_eq!(options.open_image(&location, &control).unwrap().disk().size(), 1 << 20);
    let packed = fs::metadata(folder.path().join("a.qcow2.gz")).unwrap().len();
    assert_eq!((control.progress.total(), control.progress.passed()), (packed, packed));
    control.cancel.cancel();
    let stopped = options.open_image(&location, &control).err().unwrap();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
}
