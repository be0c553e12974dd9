//! Partition tables, whole and in every way wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{
    BIOS_BOOT, ESP, Entry, LINUX, MIB, Sparse, Table, active, entry, findings, inspect_file, mbr,
    protective, seal, text, tool,
};
use diskferry_inspect::{Finding, GptDamage, GptState, PartitionType, Role, TableKind};

const SIZE: u64 = 16 * MIB;

/// Number, start and length of each partition.
fn places(disk: &Sparse) -> Vec<(u32, u64, u64)> {
    disk.inspected().partitions.iter().map(|part| (part.number, part.start, part.length)).collect()
}

#[test]
fn a_disk_without_a_table_has_none() {
    for size in [0, 1, 511, 512, 513, 1024, 4096, 8192, SIZE] {
        let found = Sparse::new(size).inspected();
        assert_eq!((found.table, found.size), (TableKind::None, size));
        assert!(found.partitions.is_empty() && found.notes.is_empty() && found.content.is_none());
    }
}

#[test]
fn primary_partitions_are_numbered_by_their_entry() {
    let entries =
        [active(0x83, 2048, 4096), entry(0, 0, 0), entry(0x82, 6144, 2048), entry(0x0C, 8192, 64)];
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&entries)).put(440, &0xD15C_FE44_u32.to_le_bytes());
    let found = disk.inspected();
    assert_eq!(found.table, TableKind::Mbr);
    assert_eq!(found.mbr.as_ref().unwrap().disk_id, 0xD15C_FE44);
    assert_eq!(places(&disk), [(1, MIB, 2 * MIB), (3, 3 * MIB, MIB), (4, 4 * MIB, 64 * 512)]);
    let roles: Vec<_> = found.partitions.iter().map(|part| (part.role, part.active)).collect();
    assert_eq!(roles, [(Role::Linux, true), (Role::Swap, false), (Role::BasicData, false)]);
    assert_eq!(findings(&found), []);
}

/// An MBR disk with a chain of two logical partitions.
fn chained() -> Sparse {
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 64, 64), entry(0x05, 1024, 8192)]));
    disk.put(1024 * 512, &mbr(&[entry(0x83, 32, 100), entry(0x05, 2048, 1024)]));
    disk.put(3072 * 512, &mbr(&[entry(0x82, 16, 200)]));
    disk
}

#[test]
fn logical_partitions_are_found_along_their_chain() {
    assert_eq!(
        places(&chained()),
        [
            (1, 64 * 512, 64 * 512),
            (2, 1024 * 512, 8192 * 512),
            (5, (1024 + 32) * 512, 100 * 512),
            (6, (1024 + 2048 + 16) * 512, 200 * 512),
        ]
    );
    assert_eq!(chained().findings(), []);
}

#[test]
fn a_chain_that_goes_wrong_ends_with_a_note() {
    let lba = |sectors: u64| sectors * 512;
    let link = |to| mbr(&[entry(0x83, 32, 100), entry(0x05, to, 1024)]);
    for (record, finding) in [
        (link(0), Finding::ChainLoops { at: lba(1024) }),
        (link(8192), Finding::ChainLeaves { at: lba(1024 + 8192), end: lba(1024 + 8192) }),
        (link(u32::MAX), Finding::ChainLeaves { at: lba(1024 + 0xFFFF_FFFF), end: lba(9216) }),
        (link(77), Finding::ChainBroken { at: lba(1024 + 77) }),
        (vec![0; 512], Finding::ChainBroken { at: lba(1024) }),
    ] {
        let mut disk = chained();
        disk.put(lba(1024), &record);
        assert_eq!(disk.findings(), [finding]);
    }
}

#[test]
fn a_chain_without_end_is_given_up() {
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x0F, 100, 20000)]));
    for link in 0..1000 {
        disk.put((100 + link) * 512, &mbr(&[entry(0, 0, 0), entry(0x05, link as u32 + 1, 1)]));
    }
    assert_eq!(disk.findings(), [Finding::ChainTooLong { most: 128 }]);
    for link in 0..1000 {
        let record = mbr(&[entry(0x83, 5000, 1), entry(0x05, link as u32 + 1, 1)]);
        disk.put((100 + link) * 512, &record);
    }
    assert_eq!(disk.inspected().partitions.len(), 1 + 128);
}

#[test]
fn what_is_odd_about_an_mbr_is_noted() {
    let sectors = (SIZE / 512) as u32;
    let cases: [(&str, &[Entry], &[Finding]); 8] = [
        (
            "two active",
            &[active(0x83, 64, 64), active(0x83, 128, 64)],
            &[Finding::SeveralActive { count: 2 }],
        ),
        (
            "past the end",
            &[entry(0x83, 64, sectors)],
            &[Finding::PastEnd { end: SIZE + 64 * 512, disk: SIZE }],
        ),
        (
            "far past the end",
            &[entry(0x83, u32::MAX, u32::MAX)],
            &[Finding::PastEnd { end: 2 * 0xFFFF_FFFF * 512, disk: SIZE }],
        ),
        (
            "overlapping",
            &[entry(0x83, 64, 64), entry(0x83, 127, 64)],
            &[Finding::Overlaps { other: 1 }],
        ),
        (
            "one within another, one apart",
            &[entry(0x83, 64, 1000), entry(0x83, 100, 10), entry(0x83, 200, 10)],
            &[Finding::Overlaps { other: 1 }, Finding::Overlaps { other: 1 }],
        ),
        ("empty", &[entry(0x83, 64, 0)], &[Finding::Empty]),
        ("on the table", &[entry(0x83, 0, 64)], &[Finding::OnTable]),
        ("a GPT announced", &[protective(SIZE)], &[Finding::GptMissing]),
    ];
    for (what, entries, wanted) in cases {
        let mut disk = Sparse::new(SIZE);
        disk.put(0, &mbr(entries));
        assert_eq!(disk.inspected().table, TableKind::Mbr, "{what}");
        assert_eq!(disk.findings(), wanted, "{what}");
    }
}

#[test]
fn a_boot_flag_that_is_none_makes_it_no_table() {
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[Entry { flag: 0x90, ..entry(0x83, 64, 64) }]));
    let found = disk.inspected();
    assert_eq!((found.table, found.partitions.len()), (TableKind::None, 0));
    assert_eq!(findings(&found), [Finding::BootFlag { entry: 0, flag: 0x90 }]);
}

fn gpt() -> Table {
    Table::new(
        SIZE,
        &[
            (ESP, 2048, 4095, 0, "EFI system"),
            (BIOS_BOOT, 4096, 6143, 0, ""),
            (LINUX, 6144, 30719, 4, "root ü"),
        ],
    )
}

#[test]
fn a_gpt_is_read_in_both_sector_sizes() {
    for sector in [512, 4096] {
        let parts = [(ESP, 512, 767, 0, "EFI system"), (LINUX, 768, 4000, 4, "root ü")];
        let disk = Table::with_sector(sector, 32 * MIB, &parts).disk();
        let found = disk.inspected();
        assert_eq!((found.table, findings(&found)), (TableKind::Gpt, vec![]), "{sector}");
        let table = found.used_gpt().unwrap();
        assert_eq!(u64::from(table.sector_size), sector);
        assert!(table.backup_at_end);
        assert_eq!(table.usable_start, 2 * sector + 128 * 128);
        assert_eq!(table.usable_end, 32 * MIB - sector - 128 * 128);
        assert_eq!(
            places(&disk),
            [(1, 512 * sector, 256 * sector), (2, 768 * sector, 3233 * sector)]
        );
        let root = &found.partitions[1];
        assert_eq!((root.name.as_deref(), root.active, root.attributes), (Some("root ü"), true, 4));
        assert_eq!(root.kind, PartitionType::Gpt(LINUX.parse().unwrap()));
    }
}

#[test]
fn entries_keep_their_numbers_and_may_be_larger() {
    let nil = "00000000-0000-0000-0000-000000000000";
    let parts = [(nil, 0, 0, 0, ""), (LINUX, 2048, 4095, 0, "a"), (LINUX, 4096, 4096, 0, "b")];
    for (count, entry_size) in [(128, 128), (4, 128), (128, 256), (4096, 128)] {
        let table = Table { count, entry_size, last_usable: 20000, ..Table::new(SIZE, &parts) };
        let numbers: Vec<_> =
            table.disk().inspected().partitions.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [2, 3], "{count} of {entry_size}");
    }
}

#[test]
fn a_damaged_copy_is_noted_and_the_other_used() {
    let last = SIZE / 512 - 1;
    let table = gpt();
    let primary = table.header(1, last, 2);
    let backup = table.header(last, 1, last - 32);
    let with = |header: &[u8], at: usize, bytes: &[u8], sealed: bool| {
        let mut header = header.to_vec();
        header[at..at + bytes.len()].copy_from_slice(bytes);
        if sealed {
            seal(&mut header);
        }
        header
    };
    let crc = |header: &[u8]| u32::from_le_bytes(header[16..20].try_into().unwrap());
    let table_crc = crc32fast::hash(&table.entries());
    let changed = with(&primary, 56, b"x", true);
    type Make<'a> = &'a dyn Fn(&[u8], u64) -> (Vec<u8>, GptDamage);
    let cases: [Make<'_>; 8] = [
        &|header, _| {
            (with(header, 12, &[91], false), GptDamage::HeaderSize { size: 91, sector: 512 })
        },
        &|header, _| {
            (with(header, 14, &[1], false), GptDamage::HeaderSize { size: 0x1_005C, sector: 512 })
        },
        &|header, _| {
            let bad = with(header, 56, b"x", false);
            let computed = crc(&with(header, 56, b"x", true));
            (bad, GptDamage::HeaderCrc { stored: crc(header), computed })
        },
        &|header, lba| {
            (with(header, 24, &[9, 0, 0, 0], true), GptDamage::OwnLba { says: 9, at: lba })
        },
        &|header, _| {
            let last = table.last_usable;
            let bad = with(header, 40, &(last + 1).to_le_bytes(), true);
            (bad, GptDamage::UsableRange { first: last + 1, last })
        },
        &|header, _| {
            let bad = with(header, 80, &u32::MAX.to_le_bytes(), true);
            (bad, GptDamage::EntriesSize { count: u32::MAX, size: 128 })
        },
        &|header, _| {
            let bad = with(header, 72, &u64::MAX.to_le_bytes(), true);
            (bad, GptDamage::EntriesPastEnd { lba: u64::MAX })
        },
        &|header, _| {
            let bad = with(header, 88, &[0; 4], true);
            (bad, GptDamage::EntriesCrc { stored: 0, computed: table_crc })
        },
    ];
    assert_ne!(crc(&changed), crc(&primary));
    for (index, case) in cases.iter().enumerate() {
        let (bad, damage) = case(&primary, 1);
        let mut disk = table.disk();
        disk.put(512, &bad);
        let at = 512;
        assert_eq!(disk.findings(), [Finding::PrimaryDamaged { at, damage }], "{index}");
        assert_eq!(disk.inspected().partitions.len(), 3);

        let (bad, damage) = case(&backup, last);
        let mut disk = table.disk();
        disk.put(last * 512, &bad);
        let at = last * 512;
        assert_eq!(disk.findings(), [Finding::BackupDamaged { at, damage }], "{index}");
        assert_eq!(disk.inspected().partitions.len(), 3);
    }
    // A field of the entry size: as wide as it is wrong.
    for size in [0, 64, 127, 129, 130, 384, 1 << 20, 1 << 31] {
        let mut disk = table.disk();
        disk.put(512, &with(&primary, 84, &u32::to_le_bytes(size), true));
        let damage = GptDamage::EntriesSize { count: 128, size };
        assert_eq!(disk.findings(), [Finding::PrimaryDamaged { at: 512, damage }]);
    }
}

#[test]
fn a_missing_copy_is_noted_and_the_other_used() {
    let last = SIZE - 512;
    for (wiped, finding) in
        [(512, Finding::PrimaryMissing { at: 512 }), (last, Finding::BackupMissing { at: last })]
    {
        let mut disk = gpt().disk();
        disk.put(wiped, &[0; 512]);
        assert_eq!(disk.findings(), [finding]);
        assert_eq!(disk.inspected().partitions.len(), 3);
    }
}

#[test]
fn two_damaged_copies_leave_no_partition() {
    let mut disk = gpt().disk();
    disk.put(512 + 56, b"xxxx").put(SIZE - 512 + 56, b"xxxx");
    let found = disk.inspected();
    assert_eq!((found.table, found.partitions.len()), (TableKind::Gpt, 0));
    assert!(findings(&found).contains(&Finding::GptUnusable));
    assert!(!found.used_gpt().unwrap().is_usable());
}

#[test]
fn a_disk_that_grew_has_its_backup_inside() {
    let mut disk = gpt().disk();
    disk.size = 2 * SIZE;
    let found = disk.inspected();
    let at = SIZE - 512;
    assert_eq!(
        findings(&found),
        [
            Finding::ProtectiveLength {
                sectors: (SIZE / 512) as u32 - 1,
                want: (2 * SIZE / 512) as u32 - 1,
            },
            Finding::BackupNotAtEnd { at, want: 2 * SIZE - 512 },
        ]
    );
    let table = found.used_gpt().unwrap();
    assert_eq!((table.backup.at, &table.backup.state), (at, &GptState::Valid));
    assert!(!table.backup_at_end);
}

#[test]
fn a_disk_that_was_cut_says_so() {
    let mut disk = gpt().disk();
    disk.size = SIZE / 2;
    let found = disk.inspected();
    assert_eq!(
        findings(&found),
        [
            Finding::ProtectiveLength {
                sectors: (SIZE / 512) as u32 - 1,
                want: (SIZE / 1024) as u32 - 1,
            },
            Finding::BackupPastEnd { at: SIZE - 512, disk: SIZE / 2 },
            Finding::UsablePastEnd { end: SIZE - 33 * 512, disk: SIZE / 2 },
            Finding::PastEnd { end: 30720 * 512, disk: SIZE / 2 },
        ]
    );
    assert_eq!(found.partitions_end(), SIZE / 2);
}

#[test]
fn copies_that_differ_are_noted() {
    let last = SIZE / 512 - 1;
    let mut other = gpt();
    other.parts[2].2 -= 1;
    let mut disk = gpt().disk();
    disk.put(last * 512, &other.header(last, 1, last - 32));
    disk.put((last - 32) * 512, &other.entries());
    assert_eq!(disk.findings(), [Finding::CopiesDiffer { field: "entries" }]);
    assert_eq!(disk.inspected().partitions[2].end(), 30720 * 512, "the primary counts");

    let mut disk = gpt().disk();
    disk.put(last * 512, &gpt().header(last, 77, last - 32));
    assert_eq!(disk.findings(), [Finding::CopiesDiffer { field: "other copy's place" }]);
}

#[test]
fn the_protective_mbr_is_judged() {
    let good = protective(SIZE);
    let sectors = (SIZE / 512) as u32;
    let none = entry(0, 0, 0);
    let cases: [(Vec<Entry>, TableKind, Vec<Finding>); 9] = [
        (vec![good], TableKind::Gpt, vec![]),
        (vec![Entry { sectors: u32::MAX, ..good }], TableKind::Gpt, vec![]),
        (
            vec![Entry { sectors: 5, ..good }],
            TableKind::Gpt,
            vec![Finding::ProtectiveLength { sectors: 5, want: sectors - 1 }],
        ),
        (
            vec![Entry { chs: [0, 1, 0], ..good }],
            TableKind::Gpt,
            vec![Finding::ProtectiveChs { chs: [0, 1, 0] }],
        ),
        (vec![Entry { lba: 2, ..good }], TableKind::Gpt, vec![Finding::ProtectiveStart { lba: 2 }]),
        (
            vec![Entry { flag: 0x80, ..good }],
            TableKind::Gpt,
            vec![Finding::ProtectiveFlag { flag: 0x80 }],
        ),
        (vec![none, good], TableKind::Gpt, vec![Finding::ProtectiveNotFirst { entry: 1 }]),
        (
            vec![good, active(0x83, 6144, 24576)],
            TableKind::HybridMbr,
            vec![Finding::HybridMbr { count: 1 }],
        ),
        (vec![], TableKind::Gpt, vec![Finding::NoProtectiveMbr]),
    ];
    for (index, (entries, kind, wanted)) in cases.into_iter().enumerate() {
        let mut disk = gpt().disk();
        disk.put(0, &mbr(&entries));
        let found = disk.inspected();
        assert_eq!((found.table, findings(&found)), (kind, wanted), "{index}");
        assert_eq!(found.partitions.len(), 3);
    }
    let mut disk = gpt().disk();
    disk.put(0, &[0; 512]);
    assert_eq!(disk.findings(), [Finding::NoProtectiveMbr], "without 55 AA");
}

#[test]
fn a_gpt_that_no_mbr_announces_is_a_leftover() {
    let mut disk = gpt().disk();
    disk.put(0, &mbr(&[entry(0x83, 2048, 2048)]));
    let found = disk.inspected();
    assert_eq!((found.table, found.partitions.len()), (TableKind::Mbr, 1));
    assert_eq!(findings(&found), [Finding::StaleGpt { at: 512 }]);
    assert!(found.gpt.is_some() && found.used_gpt().is_none());
}

#[test]
fn what_is_odd_about_the_partitions_of_a_gpt_is_noted() {
    let usable = (34 * 512, SIZE - 33 * 512);
    for (first, last, finding) in [
        (4096, 4095, Finding::Reversed { first: 4096, last: 4095 }),
        (u64::MAX, 0, Finding::Reversed { first: u64::MAX, last: 0 }),
        (
            33,
            40,
            Finding::OutsideUsable {
                start: 33 * 512,
                end: 41 * 512,
                first: usable.0,
                last: usable.1,
            },
        ),
    ] {
        let disk = Table::new(SIZE, &[(LINUX, first, last, 0, "")]).disk();
        assert_eq!(disk.findings(), [finding]);
    }
    for last in [u64::MAX, u64::MAX - 1, 1 << 55, SIZE / 512] {
        let disk = Table::new(SIZE, &[(LINUX, 2048, last, 0, "")]).disk();
        let found = disk.findings();
        assert!(matches!(found[0], Finding::PastEnd { .. }), "{found:?}");
    }
}

#[test]
fn a_size_that_is_no_whole_sector_is_noted() {
    let mut disk = Table { size: SIZE + 512, ..Table::with_sector(4096, SIZE, &[]) }.disk();
    disk.size = SIZE + 512;
    assert!(disk.findings().contains(&Finding::PartialSector { size: SIZE + 512, sector: 4096 }));
}

#[test]
fn only_so_many_partitions_are_looked_into() {
    let parts: Vec<_> = (0..1000).map(|n| (LINUX, 4096 + n, 4096 + n, 0, "")).collect();
    let table = Table { count: 1024, last_usable: 30000, ..Table::new(SIZE, &parts) };
    let found = table.disk().inspected();
    assert_eq!(found.partitions.len(), 1000);
    assert_eq!(findings(&found), [Finding::ManyPartitions { most: 256 }]);
}

/// What sfdisk says of a disk: number, start and length in sectors, and the type.
fn sfdisk(path: &std::path::Path) -> Vec<(u32, u64, u64, String)> {
    let said = tool("sfdisk", &["--json", text(path)]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let parts = said["partitiontable"]["partitions"].as_array().cloned().unwrap_or_default();
    let mut parts: Vec<_> = parts
        .iter()
        .map(|part| {
            let number = |key: &str| part[key].as_u64().unwrap();
            let place = part["node"].as_str().unwrap().strip_prefix(text(path)).unwrap();
            (
                place.parse().unwrap(),
                number("start"),
                number("size"),
                part["type"].as_str().unwrap().to_lowercase(),
            )
        })
        .collect();
    parts.sort();
    parts
}

#[test]
fn tables_by_sfdisk_and_sgdisk_are_read_as_they_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let dos = "label: dos\n, 4M, 83, *\n, 1M, ef\n, , 5\n, 2M, 82\n, 1M, 83\n, 3M, 7\n";
    let gpt = "label: gpt\n, 4M, U\n, 8M, L\n, 1M, S\n";
    for script in [dos, gpt] {
        common::empty(&path, 64 * MIB);
        std::fs::write(dir.path().join("script"), script).unwrap();
        let script_path = dir.path().join("script");
        let command = format!("sfdisk -q {} < {}", text(&path), text(&script_path));
        tool("sh", &["-c", &command]);
        compare(&path, script);
    }
    common::empty(&path, 64 * MIB);
    tool(
        "sgdisk",
        &[
            "-n1:2048:+1M",
            "-t1:ef02",
            "-n5:0:+8M",
            "-t5:8e00",
            "-c5:vg",
            "-A5:set:2",
            "-n2:0:0",
            text(&path),
        ],
    );
    compare(&path, "sgdisk");
    let found = inspect_file(&path);
    assert_eq!(found.boot.bios.bios_boot, Some(1));
    let lvm = found.partition(5).unwrap();
    assert_eq!((lvm.role, lvm.name.as_deref(), lvm.active), (Role::Lvm, Some("vg"), true));
    // A hybrid MBR with the first partition in it.
    tool("sgdisk", &["-h1", text(&path)]);
    assert_eq!(inspect_file(&path).table, TableKind::HybridMbr);
}

fn compare(path: &std::path::Path, what: &str) {
    let found = inspect_file(path);
    assert_eq!(findings(&found), [], "{what}");
    let mut ours: Vec<_> = found
        .partitions
        .iter()
        .map(|part| {
            let kind = match part.kind {
                PartitionType::Mbr(code) => format!("{code:x}"),
                PartitionType::Gpt(id) => id.to_string(),
            };
            (part.number, part.start / 512, part.length / 512, kind)
        })
        .collect();
    ours.sort();
    assert_eq!(ours, sfdisk(path), "{what}");
}
