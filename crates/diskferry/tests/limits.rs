//! Limits as a library's caller sets, keeps and meets them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};

use diskferry::source::Limits;
use diskferry::{Control, Convert, ErrorKind, Job, Location, OpenOptions};
use diskferry_testkit::child::{Bounded, command};

#[test]
fn the_layers_of_an_image_share_what_it_may_take_and_images_do_not() {
    let folder = tempfile::tempdir().unwrap();
    // L1 tables of 16 KiB each; while a layer is opened it takes twice that.
    let script = "qemu-img create -q -f qcow2 base.qcow2 1T
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2";
    let status = command("bash").args(["-ec", script]).current_dir(folder.path()).run_aloud();
    assert!(status.unwrap().success());
    let options = OpenOptions::new().limits(Limits::default().with_metadata(40 << 10));
    let open = |name: &str| {
        let location = Location::from(folder.path().join(name));
        options.open_image(&location, &Control::default())
    };
    let held: Vec<_> = (0..10).map(|_| open("base.qcow2").unwrap()).collect();
    let error = open("top.qcow2").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    drop(held);
    let error = open("top.qcow2").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn a_target_is_read_back_within_the_callers_limits() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("a.raw"), folder.path().join("b.vdi"));
    // Its map has four bytes for each MiB.
    File::create(&source).unwrap().set_len(1 << 30).unwrap();
    let mut convert = Convert::new(source.as_path(), target.as_path());
    convert.open.limits = Limits::default().with_metadata(4095);
    let error = convert.run(&Job::new(2).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(error.place().file.as_deref(), target.to_str(), "{error}");
    assert!(error.to_string().contains("the block map takes 4096 bytes"), "{error}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [source]);
    convert.open.limits.metadata = 4096;
    convert.run(&Job::new(2).unwrap()).unwrap();
}

#[test]
fn limits_are_stored_by_the_names_that_set_them() {
    let mut limits = Limits::default();
    let stored = |limits: &Limits| serde_json::to_value(limits).unwrap();
    for (number, (name, ..)) in (1u64..).zip(diskferry::block_stream::LIMITS) {
        limits.set(name, &number.to_string()).unwrap();
        assert_eq!(stored(&limits)[name], number, "{name}");
    }
    assert_eq!(serde_json::from_value::<Limits>(stored(&limits)).unwrap(), limits);
    let some = serde_json::from_str::<Limits>(r#"{"metadata": 7}"#).unwrap();
    assert_eq!(some, Limits::default().with_metadata(7));
    assert!(serde_json::from_str::<Limits>(r#"{"width": 7}"#).is_err());
}
