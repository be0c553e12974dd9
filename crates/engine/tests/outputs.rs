//! Files that appear when they are whole, devices, pipes.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use diskferry_block_stream::{Bytes, Disk, ErrorKind, Flat, Plan};
use diskferry_engine::{
    CopyOptions, DeviceOutput, FileBytes, FileOutput, Job, MappedBytes, Output, PipeOutput,
    Replace, Source, copy,
};
use diskferry_testkit::fault::{Fault, FaultyOutput, is_injected};
use diskferry_testkit::toy::{Packing, Toy, plan};
use diskferry_testkit::{Model, Texture, qemu};

fn job() -> Job {
    Job::new(2).unwrap()
}

fn flat() -> Plan {
    Plan::Flat(Flat::default())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn create(target: &Path, replace: Replace) -> Result<FileOutput, ErrorKind> {
    FileOutput::create(target, replace).map_err(|error| error.kind())
}

fn write(output: &FileOutput, bytes: &[u8]) {
    output.write_at(0, bytes).unwrap();
    output.finish(bytes.len() as u64, &job()).unwrap();
}

#[test]
fn a_file_gets_its_name_only_when_it_is_kept() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    let output = create(&target, Replace::Never).unwrap();
    write(&output, b"all of it");
    // It has a temporary name only where the file system cannot do without.
    let temporary = output.temporary().map(|entry| entry.name().to_str().unwrap().to_owned());
    assert_eq!(names(dir.path()), Vec::from_iter(temporary));
    output.keep().unwrap();
    assert_eq!(names(dir.path()), ["disk.raw"]);
    assert_eq!(fs::read(&target).unwrap(), b"all of it");
}

#[test]
fn nothing_is_left_of_what_is_dropped_or_fails() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    let output = create(&target, Replace::Never).unwrap();
    write(&output, b"some of it");
    drop(output);
    assert_eq!(names(dir.path()), [""; 0]);

    let model = Model::random(1, 5 << 20, 512);
    let none = Fault::none();
    for plan in [flat, || Plan::Packed(plan(Toy::Table, 65536, Packing::Deflate))] {
        let output = create(&target, Replace::Never).unwrap();
        let counted = FaultyOutput::new(&output, &none);
        copy(Source::Disk(&model), plan(), &counted, &CopyOptions::default(), &job()).unwrap();
        drop(output);
        for nth in [0, 1, none.count() / 2, none.count() - 1] {
            let output = create(&target, Replace::Never).unwrap();
            let faulty = FaultyOutput::new(&output, &Fault::error(nth, io::ErrorKind::StorageFull));
            let options = CopyOptions::default();
            let failed = copy(Source::Disk(&model), plan(), &faulty, &options, &job());
            // Holes may have made it one operation less.
            if let Err(error) = failed {
                assert!(is_injected(&error), "{error}");
            }
            drop(output);
            assert_eq!(names(dir.path()), [""; 0]);
        }
    }
}

#[test]
fn an_existing_target_is_replaced_only_on_demand() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    fs::write(&target, b"precious").unwrap();
    assert_eq!(create(&target, Replace::Never).map(|_| ()), Err(ErrorKind::Exists));
    let output = create(&target, Replace::Allowed).unwrap();
    write(&output, b"new");
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    output.keep().unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["disk.raw"]);
}

#[test]
fn a_target_that_appears_meanwhile_is_not_replaced() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    let output = create(&target, Replace::Never).unwrap();
    write(&output, b"new");
    fs::write(&target, b"precious").unwrap();
    assert_eq!(output.keep().unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(names(dir.path()), ["disk.raw"]);
}

#[test]
fn a_link_is_followed_and_stays() {
    let dir = qemu::temp_dir();
    let (target, link) = (dir.path().join("deep/disk.raw"), dir.path().join("link"));
    fs::create_dir(dir.path().join("deep")).unwrap();
    fs::write(&target, b"old").unwrap();
    symlink("deep/disk.raw", &link).unwrap();
    assert_eq!(create(&link, Replace::Never).map(|_| ()), Err(ErrorKind::Exists));
    let output = create(&link, Replace::Allowed).unwrap();
    write(&output, b"new");
    output.keep().unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("deep/disk.raw"));
    assert_eq!(fs::read(&target).unwrap(), b"new");
    assert_eq!(names(&dir.path().join("deep")), ["disk.raw"]);

    let dangling = dir.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert_eq!(create(&dangling, Replace::Never).map(|_| ()), Err(ErrorKind::Exists));
    assert_eq!(create(&dangling, Replace::Allowed).map(|_| ()), Err(ErrorKind::Io));
}

#[test]
fn what_is_no_regular_file_is_not_replaced() {
    let dir = qemu::temp_dir();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let above = folder.join("..");
    for target in [&folder, &above, Path::new("/dev/null"), Path::new("/")] {
        let refused = create(target, Replace::Allowed).map(|_| ());
        assert_eq!(refused, Err(ErrorKind::Misuse), "{}", target.display());
    }
    let nowhere = create(&dir.path().join("no/folder/disk.raw"), Replace::Allowed);
    assert_eq!(nowhere.map(|_| ()), Err(ErrorKind::Io));
}

#[test]
fn permissions_are_those_of_any_new_file() {
    let dir = qemu::temp_dir();
    let (target, other) = (dir.path().join("disk.raw"), dir.path().join("other"));
    create(&target, Replace::Never).unwrap().keep().unwrap();
    File::create(&other).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&target), mode(&other));
}

#[test]
fn names_without_a_folder_and_long_ones_serve() {
    let dir = qemu::temp_dir();
    // The other tests of this file use no relative names.
    std::env::set_current_dir(dir.path()).unwrap();
    let long = "d".repeat(255);
    for name in ["disk.raw", &long] {
        let output = create(Path::new(name), Replace::Never).unwrap();
        write(&output, b"x");
        output.keep().unwrap();
        assert_eq!(names(dir.path()), [name]);
        fs::remove_file(name).unwrap();
    }
}

#[test]
fn what_was_written_can_be_read_back_before_it_is_kept() {
    let dir = qemu::temp_dir();
    let output = create(&dir.path().join("disk.raw"), Replace::Never).unwrap();
    write(&output, b"0123456789");
    let bytes = FileBytes::new("disk.raw", output.reopen().unwrap()).unwrap();
    let mut buf = [0; 4];
    bytes.read_at(3, &mut buf).unwrap();
    assert_eq!(&buf, b"3456");
}

#[test]
fn a_finished_file_has_the_length_it_was_finished_with() {
    let dir = qemu::temp_dir();
    for len in [0, 5, 4096, 1 << 40] {
        let target = dir.path().join("disk.raw");
        let output = create(&target, Replace::Allowed).unwrap();
        output.write_at(0, b"12345").unwrap();
        output.finish(len, &job()).unwrap();
        output.keep().unwrap();
        assert_eq!(target.metadata().unwrap().len(), len);
    }
}

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // A pipe takes what it likes.
        let len = buf.len().min(5000);
        self.0.lock().unwrap().extend_from_slice(&buf[..len]);
        Ok(len)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_pipe_gets_gaps_as_zeros_and_never_goes_back() {
    let shared = Shared::default();
    let pipe = PipeOutput::new("stdout", shared.clone());
    pipe.write_at(3, b"abc").unwrap();
    pipe.zero(6, 4).unwrap();
    pipe.write_at(12, b"d").unwrap();
    assert_eq!(pipe.write_at(12, b"e").unwrap_err().kind(), ErrorKind::Misuse);
    pipe.finish(15, &job()).unwrap();
    assert_eq!(*shared.0.lock().unwrap(), b"\0\0\0abc\0\0\0\0\0\0d\0\0");
}

#[test]
fn a_pipe_gets_the_whole_disk() {
    for model in Model::gallery(4096).into_iter().filter(|model| model.size() <= 64 << 20) {
        let shared = Shared::default();
        let pipe = PipeOutput::new("stdout", shared.clone());
        copy(Source::Disk(&model), flat(), &pipe, &CopyOptions::default(), &job()).unwrap();
        assert!(*shared.0.lock().unwrap() == model.whole(), "{model}");
    }
}

#[test]
fn a_closed_pipe_is_an_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let model = Model::full(1, 5 << 20, 512, Texture::Noise);
    let pipe = PipeOutput::new("stdout", writer);
    let error =
        copy(Source::Disk(&model), flat(), &pipe, &CopyOptions::default(), &job()).unwrap_err();
    assert_eq!((error.kind(), error.place().file.as_deref()), (ErrorKind::Io, Some("stdout")));
}

#[test]
fn a_device_is_overwritten_as_far_as_the_disk_goes() {
    let dir = qemu::temp_dir();
    // A regular file does what a device does, but for its fixed length.
    let path = dir.path().join("device");
    let model = Model::random(1, (3 << 20) + 513, 512);
    fs::write(&path, vec![0xee; 4 << 20]).unwrap();
    let device = DeviceOutput::open(&path).unwrap();
    assert_eq!(device.size(), 4 << 20);
    copy(Source::Disk(&model), flat(), &device, &CopyOptions::default(), &job()).unwrap();
    let after = fs::read(&path).unwrap();
    assert!(after[..model.whole().len()] == model.whole());
    assert!(after[model.whole().len()..].iter().all(|byte| *byte == 0xee));

    let larger = Model::empty((4 << 20) + 1, 512);
    let device = DeviceOutput::open(&path).unwrap();
    let error = copy(Source::Disk(&larger), flat(), &device, &CopyOptions::default(), &job());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn file_bytes_tell_their_holes() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("sparse");
    let output = create(&path, Replace::Never).unwrap();
    output.write_at(1 << 20, &[1; 8192]).unwrap();
    output.finish(5 << 20, &job()).unwrap();
    output.keep().unwrap();
    let file = || FileBytes::new("sparse", File::open(&path).unwrap()).unwrap();
    let mapped = MappedBytes::new(file()).ok();
    let bytes = file();
    for bytes in
        [Some(&bytes as &dyn Bytes), mapped.as_ref().map(|map| map as _)].into_iter().flatten()
    {
        let run = |at, limit| {
            let run = bytes.run(at, limit).unwrap();
            (run.length, run.hole)
        };
        assert_eq!(run(0, u64::MAX), (1 << 20, true));
        assert_eq!(run(5, 100), (100, true));
        assert_eq!(run(1 << 20, u64::MAX), (8192, false));
        assert_eq!(run((1 << 20) + 8191, u64::MAX), (1, false));
        assert_eq!(run((1 << 20) + 8192, u64::MAX), ((4 << 20) - 8192, true));
        assert_eq!(run((5 << 20) - 1, 1), (1, true));
        assert!(bytes.allocated().unwrap() < 1 << 20);
        assert!(bytes.read_at((5 << 20) - 1, &mut [0; 2]).is_err());
    }
}
