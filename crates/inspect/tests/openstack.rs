//! Our judgement against OpenStack's own inspector.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};

use common::{ESP, Entry, LINUX, MIB, Sparse, Table, active, entry, mbr, protective, text};
use diskferry_testkit::Random;
use diskferry_testkit::child::{Bounded, command};
use serde_json::Value;

const SIZE: u64 = 4 * MIB;

/// What the inspector says of each file: whether it looks at it as a disk with partitions, and its
/// objection.
const ASK: &str = r"
import json, sys
from oslo_utils.imageutils import format_inspector as f
said = {}
for path in sys.argv[1:]:
    inspector = f.GPTInspector()
    with open(path, 'rb') as disk:
        while chunk := disk.read(65536):
            inspector.eat_chunk(chunk)
    inspector.finish()
    objection = None
    if inspector.format_match:
        try:
            inspector.check_mbr_partitions()
        except f.SafetyViolation as violation:
            objection = str(violation)
    said[path] = [inspector.format_match, objection]
print(json.dumps(said))
";

fn ask(paths: &[PathBuf]) -> Value {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/venv/bin/python3");
    let output = command(&python).args(["-c", ASK]).args(paths).run();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; .ci/setup installs oslo.utils there", python.display())
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// First sectors of all kinds.
fn sectors() -> Vec<Vec<u8>> {
    let good = protective(SIZE);
    let none = entry(0, 0, 0);
    let linux = entry(0x83, 2048, 2048);
    let mut sectors: Vec<Vec<u8>> = [
        &[][..],
        &[good],
        &[linux],
        &[active(0x83, 2048, 2048), linux],
        &[none, none, none, linux],
        &[none, good],
        &[good, linux],
        &[good, none, none, active(0x0C, 100, 100)],
        &[linux, good],
        &[good, good],
        &[Entry { chs: [0, 1, 0], ..good }],
        &[Entry { chs: [0xFF; 3], ..good }],
        &[Entry { lba: 0, ..good }],
        &[Entry { lba: 0x100_0000, ..good }],
        &[Entry { flag: 0x80, ..good }],
        &[Entry { flag: 1, ..good }],
        &[Entry { flag: 0xFF, ..none }],
        &[linux, Entry { flag: 0x7F, ..none }],
        &[Entry { flag: 2, chs: [1, 1, 1], lba: 9, ..good }, linux],
        &[Entry { sectors: 0, ..good }],
    ]
    .into_iter()
    .map(mbr)
    .collect();
    let with = |at: usize, byte: u8, at2: usize, byte2: u8| {
        let mut sector = mbr(&[good]);
        (sector[at], sector[at2]) = (byte, byte2);
        sector
    };
    // No signature; half of one; a FAT, in its words; half of that.
    sectors.extend([
        with(510, 0, 511, 0),
        with(510, 0, 511, 0xAA),
        with(0x10, 2, 0x15, 0xF8),
        with(0x10, 1, 0x15, 0xF8),
        with(0x10, 2, 0x15, 0xF0),
    ]);
    let mut random = Random::new(5);
    for _ in 0..100 {
        let mut sector = mbr(&[good]);
        for _ in 0..=random.below(3) {
            let at = 446 + random.below(64) as usize;
            sector[at] = *random.pick(&[0, 1, 2, 0x80, 0xEE, 0x83, 0xFF]);
        }
        sectors.push(sector);
    }
    sectors
}

#[test]
fn it_agrees_with_openstacks_inspector() {
    let dir = tempfile::tempdir().unwrap();
    let mut disks: Vec<Sparse> = sectors()
        .iter()
        .map(|sector| {
            let mut disk = Sparse::new(SIZE);
            disk.put(0, sector);
            disk
        })
        .collect();
    let parts = [(ESP, 2048, 4095, 0, ""), (LINUX, 4096, 5000, 0, "")];
    disks.push(Table::new(SIZE, &parts).disk());
    disks.push(Table::with_sector(4096, SIZE * 8, &parts[..1]).disk());
    disks.push(Sparse::new(100));
    let paths: Vec<_> = (0..disks.len()).map(|n| dir.path().join(n.to_string())).collect();
    for (disk, path) in disks.iter().zip(&paths) {
        disk.write(path);
    }
    let said = ask(&paths);
    let mut refused = 0;
    for (disk, path) in disks.iter().zip(&paths) {
        let theirs = &said[text(path)];
        let ours = disk.inspected().openstack;
        let first = ours.objections.first().map(diskferry_inspect::Objection::message);
        let name = path.file_name().unwrap();
        assert_eq!(theirs[0].as_bool(), Some(ours.judged), "{name:?}");
        assert_eq!(theirs[1].as_str(), first.as_deref(), "{name:?}");
        refused += usize::from(first.is_some());
    }
    assert!((20..disks.len() - 20).contains(&refused), "{refused} of {}", disks.len());
}

#[test]
fn each_rule_has_its_objection() {
    let good = protective(SIZE);
    let linux = entry(0x83, 2048, 2048);
    for (entries, keys) in [
        (vec![good], &[][..]),
        (vec![linux], &[]),
        (vec![], &["no_partitions"]),
        (vec![Entry { flag: 1, ..linux }], &["boot_flag"]),
        (vec![Entry { chs: [1, 1, 0], ..good }], &["start_chs"]),
        (vec![Entry { lba: 2, ..good }], &["start_lba"]),
        (vec![good, linux], &["extra_partitions"]),
        (vec![Entry { lba: 2, chs: [1, 1, 0], ..good }], &["start_chs", "start_lba"]),
    ] {
        let mut disk = Sparse::new(SIZE);
        disk.put(0, &mbr(&entries));
        let found = serde_json::to_value(disk.inspected().openstack).unwrap();
        let kinds: Vec<_> =
            found["objections"].as_array().unwrap().iter().map(|o| o["kind"].clone()).collect();
        assert_eq!(kinds, keys);
    }
}
