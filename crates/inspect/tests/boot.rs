//! What firmware finds: boot code, active partitions, and programs in EFI system partitions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use common::{
    BIOS_BOOT, ESP, LINUX, MIB, Sparse, Table, active, empty, entry, findings, inspect_file, mbr,
    text, tool,
};
use diskferry_inspect::{Architecture, BiosLoader, Finding};

/// The front of a PE file for this machine.
fn program(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 600];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3C] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
    bytes
}

/// Makes a FAT in a file, with these files in it. Folders come before what is in them.
fn fat(dir: &Path, options: &str, mib: u64, files: &[(&str, Vec<u8>)]) -> std::path::PathBuf {
    let path = dir.join("fat");
    empty(&path, mib * MIB);
    tool("sh", &["-c", &format!("mkfs.fat {options} {} >/dev/null", text(&path))]);
    for (name, bytes) in files {
        let target = format!("::{name}");
        if name.ends_with('/') {
            tool("mmd", &["-i", text(&path), target.trim_end_matches('/')]);
        } else {
            let source = dir.join("source");
            std::fs::write(&source, bytes).unwrap();
            tool("mcopy", &["-i", text(&path), text(&source), &target]);
        }
    }
    path
}

#[test]
fn programs_are_found_in_every_width_of_fat() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["BOOTX64.EFI", "bootaa64.efi", "BootIa32.efi", "bootriscv64.efi", "shimx64.efi"];
    let machines = [0x8664, 0xAA64, 0x14C, 0x5064, 0x8664];
    for options in [
        "-F 12 -s 1",
        "-F 16 -s 1",
        "-F 16 -s 8",
        "-F 32 -s 1",
        "-F 32 -s 8 -f 1",
        "-F 32 -S 4096 -s 1",
    ] {
        let mib = match &options[..5] {
            "-F 12" => 2,
            "-F 16" => 20,
            _ => 300,
        };
        let mut files = vec![("efi/".to_owned(), vec![]), ("efi/Boot/".to_owned(), vec![])];
        // Enough of them that the folder goes on in other clusters.
        for n in 0..40 {
            files.push((format!("efi/Boot/a file with a long name, number {n}"), vec![1; 3000]));
        }
        for (name, machine) in names.iter().zip(machines) {
            files.push((format!("efi/Boot/{name}"), program(machine)));
        }
        files.push(("efi/ubuntu/".to_owned(), vec![]));
        let files: Vec<_> = files.iter().map(|(name, b)| (name.as_str(), b.clone())).collect();
        let found = inspect_file(&fat(dir.path(), options, mib, &files));
        assert_eq!(findings(&found), [], "{options}");
        assert_eq!(
            found.boot.uefi.architectures,
            [Architecture::X64, Architecture::Aa64, Architecture::Ia32, Architecture::Riscv64],
            "{options}"
        );
        let system = &found.boot.uefi.systems[0];
        assert_eq!((system.partition, system.designated), (None, true));
        assert_eq!(system.folders, ["Boot", "ubuntu"]);
        let paths: Vec<_> = system.loaders.iter().map(|loader| loader.path.as_str()).collect();
        let expected: Vec<_> = names[..4].iter().map(|name| format!("efi/Boot/{name}")).collect();
        assert_eq!(paths, expected, "{options}");
        for (loader, machine) in system.loaders.iter().zip(&found.boot.uefi.architectures) {
            assert_eq!((loader.machine, loader.size), (Some(*machine), 600));
        }
    }
}

/// A FAT16 of 4 MiB with EFI/BOOT/BOOTX64.EFI, as bytes.
fn system() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let files =
        [("EFI/", vec![]), ("EFI/BOOT/", vec![]), ("EFI/BOOT/BOOTX64.EFI", program(0x8664))];
    std::fs::read(fat(dir.path(), "-F 16 -s 1", 4, &files)).unwrap()
}

#[test]
fn only_designated_partitions_count() {
    let system = system();
    let end = 2048 + 8191;
    for (kind, counts) in [(ESP, true), (LINUX, false)] {
        let mut disk = Table::new(8 * MIB, &[(kind, 2048, end, 0, "")]).disk();
        disk.put(MIB, &system);
        let boot = disk.inspected().boot.uefi;
        let wanted = if counts { &[Architecture::X64][..] } else { &[] };
        assert_eq!(boot.architectures, wanted);
        assert_eq!((boot.systems.len(), boot.systems[0].designated), (1, counts));
    }
    for (kind, counts) in [(0xEF, true), (0x0C, false)] {
        let mut disk = Sparse::new(8 * MIB);
        disk.put(0, &mbr(&[entry(kind, 2048, 8192)])).put(MIB, &system);
        assert_eq!(disk.inspected().boot.uefi.architectures.len(), usize::from(counts));
    }
    // An EFI system partition without anything in it is told; another FAT is not.
    let dir = tempfile::tempdir().unwrap();
    let bare = std::fs::read(fat(dir.path(), "-F 16 -s 1", 4, &[])).unwrap();
    for (kind, systems) in [(ESP, 1), (LINUX, 0)] {
        let mut disk = Table::new(8 * MIB, &[(kind, 2048, end, 0, "")]).disk();
        disk.put(MIB, &bare);
        assert_eq!(disk.inspected().boot.uefi.systems.len(), systems);
    }
}

#[test]
fn a_program_for_another_machine_or_for_none_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let mut cut = program(0x8664);
    cut.truncate(0x80);
    let mut far = program(0x8664);
    far[0x3C..0x40].fill(0xFF);
    let named = |machine: Vec<u8>| {
        [("EFI/", vec![]), ("EFI/BOOT/", vec![]), ("EFI/BOOT/BOOTX64.EFI", machine)]
    };
    let path = || "EFI/BOOT/BOOTX64.EFI".to_owned();
    for (bytes, finding) in [
        (program(0x8664), None),
        (
            program(0xAA64),
            Some(Finding::LoaderMachine { path: path(), machine: Architecture::Aa64 }),
        ),
        (program(0x1234), Some(Finding::LoaderNotPe { path: path() })),
        (cut, Some(Finding::LoaderNotPe { path: path() })),
        (far, Some(Finding::LoaderNotPe { path: path() })),
        (b"hello".to_vec(), Some(Finding::LoaderNotPe { path: path() })),
    ] {
        let found = inspect_file(&fat(dir.path(), "-F 16 -s 1", 4, &named(bytes)));
        assert_eq!(findings(&found), finding.into_iter().collect::<Vec<_>>());
        assert_eq!(found.boot.uefi.architectures, [Architecture::X64]);
    }
    let found = inspect_file(&fat(dir.path(), "-F 16 -s 1", 4, &named(vec![])));
    assert_eq!(found.boot.uefi.architectures, [], "an empty file starts nothing");
}

#[test]
fn damage_in_a_fat_is_noted_and_ends() {
    let whole = system();
    let reserved = usize::from(whole[14]) * 512;
    let fat_len = usize::from(whole[22]) * 512;
    let root = reserved + 2 * fat_len;
    let efi = whole[root..].chunks(32).position(|entry| entry.starts_with(b"EFI     ")).unwrap();
    let cluster_at = root + efi * 32 + 26;
    let cluster = u16::from_le_bytes([whole[cluster_at], whole[cluster_at + 1]]);
    let data = root + 512 * 32;
    let folder = data + (usize::from(cluster) - 2) * 512;
    // A folder without end that leads back to itself.
    let looped = |disk: &mut Vec<u8>| {
        disk[folder + 64..folder + 512].fill(0xE5);
        let link = reserved + usize::from(cluster) * 2;
        disk[link..link + 2].copy_from_slice(&cluster.to_le_bytes());
    };
    type Spoil<'a> = &'a dyn Fn(&mut Vec<u8>);
    let cases: [(&str, Spoil<'_>); 3] = [
        ("a chain comes back to cluster 2", &looped),
        ("a chain goes to cluster 65000", &|disk| {
            disk[cluster_at..cluster_at + 2].copy_from_slice(&65000_u16.to_le_bytes());
        }),
        ("is past the end of the disk", &|disk| disk.truncate(folder + 100)),
    ];
    for (says, spoil) in cases {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        let mut disk = Sparse::new(bytes.len() as u64);
        disk.put(0, &bytes);
        let found = disk.inspected();
        let notes: Vec<_> = found.notes.iter().map(ToString::to_string).collect();
        assert!(notes.iter().any(|note| note.contains(says)), "{says}: {notes:?}");
    }
}

#[test]
fn a_folder_that_never_ends_is_given_up() {
    // A FAT32 whose root folder is a chain through every cluster.
    let clusters = 70_000_u32;
    let (fat_sectors, reserved) = (clusters.div_ceil(128) + 1, 32);
    let mut boot = vec![0; 512];
    boot[..3].copy_from_slice(b"\xeb\x58\x90");
    boot[11..13].copy_from_slice(&512_u16.to_le_bytes());
    (boot[13], boot[14], boot[16], boot[21]) = (1, reserved, 1, 0xF8);
    boot[32..36].copy_from_slice(&(u32::from(reserved) + fat_sectors + clusters).to_le_bytes());
    boot[36..40].copy_from_slice(&fat_sectors.to_le_bytes());
    boot[44] = 2;
    boot[510..].copy_from_slice(b"\x55\xaa");
    let mut disk = Sparse::new(64 * MIB);
    disk.put(0, &boot);
    let table: Vec<u8> = (0..clusters).flat_map(|n| (n + 1).to_le_bytes()).collect();
    disk.put(u64::from(reserved) * 512, &table);
    let data = (u64::from(reserved) + u64::from(fat_sectors)) * 512;
    disk.put(data, &[0xE5; 5 << 20]);
    let notes: Vec<_> = disk.inspected().notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["its FAT: a folder has more than 2097152 bytes"]);
}

#[test]
fn a_bios_needs_code_and_something_to_start() {
    let linux = [entry(0x83, 2048, 2048)];
    let marked = [active(0x83, 2048, 2048)];
    let grub = b"\xeb\x63\x90GRUB \0Geom\0";
    let windows = b"\x33\xc0Invalid partition table\0Error loading operating system\0";
    let cases: [(&[_], &[u8], bool, Option<BiosLoader>); 7] = [
        (&linux, b"", false, None),
        (&marked, b"", false, None),
        (&linux, b"\xfa\xfc", false, None),
        (&marked, b"\xfa\xfc", true, None),
        (&linux, grub, true, Some(BiosLoader::Grub)),
        (&linux, windows, false, Some(BiosLoader::Windows)),
        (&marked, windows, true, Some(BiosLoader::Windows)),
    ];
    for (entries, code, likely, loader) in cases {
        let mut disk = Sparse::new(4 * MIB);
        disk.put(0, &mbr(entries)).put(0, code);
        let bios = disk.inspected().boot.bios;
        assert_eq!((bios.likely, bios.loader, bios.boot_code), (likely, loader, !code.is_empty()));
        assert_eq!(bios.active, (entries[0].flag == 0x80).then_some(1));
        // Without 55 AA no BIOS looks at it.
        disk.put(510, &[0, 0]);
        assert!(!disk.inspected().boot.bios.likely);
    }
    let parts = [(BIOS_BOOT, 2048, 4095, 0, ""), (LINUX, 4096, 6000, 0, "")];
    let mut disk = Table::new(4 * MIB, &parts).disk();
    assert!(!disk.inspected().boot.bios.likely);
    disk.put(0, b"\xfa\xfc");
    let bios = disk.inspected().boot.bios;
    assert_eq!((bios.likely, bios.bios_boot), (true, Some(1)));
}
