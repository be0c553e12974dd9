//! The wrappers of qemu's programs, and the replay of kept inputs.

use std::sync::Mutex;

use diskferry_testkit::{fuzz, qemu};

#[test]
fn an_image_is_made_written_checked_mapped_and_read() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.qcow2");
    let name = path.to_str().unwrap();
    qemu::img(&["create", "-q", "-f", "qcow2", name, "1M"]);
    qemu::io(&path, "qcow2", &["write -P 0x5a 64k 64k", "write -z 128k 64k", "read -P 0 0 64k"]);

    assert!(qemu::check(&path, "qcow2").clean);
    assert_eq!(qemu::info(&path, "qcow2")["virtual-size"], 1 << 20);
    let map = qemu::map(&path, "qcow2");
    assert!(map.iter().any(|line| line.start == 65536 && line.length == 65536 && line.data));
    assert_eq!(map.iter().map(|line| line.length).sum::<u64>(), 1 << 20);

    let raw = qemu::to_raw(&path, "qcow2");
    assert_eq!(raw.len(), 1 << 20);
    assert!(raw.iter().enumerate().all(|(at, byte)| (*byte == 0x5a) == (at >> 16 == 1)));
    let other = dir.path().join("disk.raw");
    std::fs::write(&other, &raw).unwrap();
    assert_eq!(qemu::sha256(&path, "qcow2"), qemu::sha256(&other, "raw"));
    assert!(qemu::compare(&path, "qcow2", &other, "raw"));
    qemu::io(&other, "raw", &["write -P 1 0 1"]);
    assert!(!qemu::compare(&path, "qcow2", &other, "raw"));
}

#[test]
fn a_leak_is_not_clean() {
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.qcow2");
    qemu::img(&["create", "-q", "-f", "qcow2", path.to_str().unwrap(), "1M"]);
    let mut image = std::fs::read(&path).unwrap();
    // The refcount of a cluster past all that are used.
    let block = u64::from_be_bytes(image[65536..65544].try_into().unwrap()) as usize;
    image.resize(8 << 16, 0);
    image[block + 2 * 7 + 1] = 1;
    std::fs::write(&path, image).unwrap();
    let check = qemu::check(&path, "qcow2");
    assert!(!check.clean);
    assert_eq!(check.json["leaks"], 1);
}

#[test]
fn what_fails_is_told() {
    let said = qemu::try_img(&["info", "/no/such/image"]).unwrap_err();
    assert!(said.contains("No such file"), "{said}");
    let dir = qemu::temp_dir();
    let path = dir.path().join("disk.raw");
    std::fs::write(&path, vec![0; 4096]).unwrap();
    let panic = std::panic::catch_unwind(|| qemu::io(&path, "raw", &["read -P 1 0 512"]));
    assert!(panic.is_err());
}

#[test]
fn a_replay_runs_over_every_file_and_names_the_one_that_fails() {
    let dir = qemu::temp_dir();
    for (name, bytes) in [("b", "second"), ("a", "first"), ("c", "third")] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let seen = Mutex::new(Vec::new());
    let count = fuzz::replay(dir.path(), |input| seen.lock().unwrap().extend_from_slice(input));
    assert_eq!((count, seen.into_inner().unwrap().as_slice()), (3, &b"firstsecondthird"[..]));
    let panic = std::panic::catch_unwind(|| {
        fuzz::replay(dir.path(), |input| assert_ne!(input, b"second"));
    });
    let said = panic.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("/b: "), "{said}");
}
