//! The real disk of `testdata/`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Cancel, Progress};
use diskferry_inspect::{
    Architecture, ContentKind, GptState, Inspection, Role, System, TableKind, inspect, usage,
};
use diskferry_qcow2::Qcow2;

fn open() -> Qcow2 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/real-disk.qcow2");
    Qcow2::open(Arc::new(std::fs::read(path).unwrap()), &Budget::default()).unwrap()
}

fn inspected() -> Inspection {
    inspect(&open(), &Cancel::default()).unwrap()
}

#[test]
fn the_real_disk_is_a_gpt_with_an_efi_system_and_an_ext4_root() {
    let found = inspected();
    assert_eq!(found.table, TableKind::Gpt);
    assert_eq!(found.notes, []);
    assert_eq!(found.openstack.objections, []);
    let gpt = found.used_gpt().unwrap();
    assert_eq!((&gpt.primary.state, &gpt.backup.state), (&GptState::Valid, &GptState::Valid));
    assert!(gpt.backup_at_end);
    let [esp, root] = &found.partitions[..] else { panic!("{:?}", found.partitions) };
    assert_eq!(
        (esp.number, esp.role, esp.start, esp.length),
        (1, Role::EfiSystem, 1 << 20, 16 << 20)
    );
    assert_eq!(esp.content.as_ref().unwrap().kind, ContentKind::Fat16);
    assert_eq!((root.number, root.start, root.length), (2, 17 << 20, 46 << 20));
    let ext4 = root.content.as_ref().unwrap();
    assert_eq!((ext4.kind, ext4.size), (ContentKind::Ext4, Some(46 << 20)));
    assert!(ext4.features.has("has_journal") && !ext4.features.has("needs_recovery"));
    assert_eq!(found.boot.uefi.architectures, [Architecture::X64]);
    assert_eq!(found.boot.uefi.systems[0].loaders[0].path, "EFI/BOOT/BOOTX64.EFI");
    assert!(!found.boot.bios.likely);
    let guess = found.root.unwrap();
    assert_eq!((guess.partition, guess.system, guess.hidden), (Some(2), System::Linux, false));
}

#[test]
fn nothing_lies_beyond_its_partitions() {
    let disk = open();
    let progress = Progress::default();
    let used = usage(&disk, &inspected(), &Cancel::default(), &progress).unwrap();
    assert_eq!(used.partitions_end, 63 << 20);
    assert!(used.last_byte.unwrap() < 63 << 20);
    assert_eq!(used.stray_byte, None);
    assert_eq!(used.smallest_size, (63 << 20) + 33 * 512);
    assert_eq!((progress.passed(), progress.total()), (64 << 20, 64 << 20));
}
