//! How a disk starts a machine: by a BIOS, by UEFI.

use std::fmt;

use diskferry_block_stream::Result;
use serde::{Serialize, Serializer};

use crate::content::ContentKind;
use crate::fat::{Entry, Walk};
use crate::fields::Fields;
use crate::mbr::{BOOT_CODE, Mbr};
use crate::note::{Finding, Notes};
use crate::reader::Reader;
use crate::{Partition, Role};

/// What a machine's firmware finds on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// For a BIOS.
    pub bios: BiosBoot,
    /// For UEFI.
    pub uefi: UefiBoot,
}

/// What a BIOS finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BiosBoot {
    /// Whether the disk is likely to start: there is code, and something for it to start.
    pub likely: bool,
    /// Whether the first sector has code and ends with 55 AA.
    pub boot_code: bool,
    /// Whose code that is, where it is known.
    pub loader: Option<BiosLoader>,
    /// The number of the partition that is marked to start from.
    pub active: Option<u32>,
    /// The number of the partition that holds GRUB on a GPT disk.
    pub bios_boot: Option<u32>,
}

/// Boot code that is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BiosLoader {
    /// GRUB 2, or GRUB Legacy.
    Grub,
    /// The MBR of Windows, which starts the active partition.
    Windows,
}

impl fmt::Display for BiosLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grub => "GRUB",
            Self::Windows => "Windows",
        })
    }
}

/// What UEFI finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UefiBoot {
    /// The machines that have a program to start without being told which. Only file systems that a
    /// firmware looks into count.
    pub architectures: Vec<Architecture>,
    /// FAT file systems with a folder `EFI`, and EFI system partitions.
    pub systems: Vec<EfiSystem>,
}

/// A FAT file system that UEFI may look into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EfiSystem {
    /// The partition's number; `None` for a disk without partitions.
    pub partition: Option<u32>,
    /// Whether a firmware looks into it: the table says that it is an EFI system partition, or there
    /// is no table.
    pub designated: bool,
    /// The folders in `EFI`: who has installed a boot loader there.
    pub folders: Vec<String>,
    /// The programs in `EFI/BOOT` that a firmware starts by itself.
    pub loaders: Vec<EfiLoader>,
}

/// A program that UEFI starts by its name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EfiLoader {
    /// Its path, as it is written there.
    pub path: String,
    /// The machine that its name stands for.
    pub architecture: Architecture,
    /// The machine that its PE header names; `None` when it has none, or one that is unknown.
    pub machine: Option<Architecture>,
    /// Its bytes.
    pub size: u32,
}

/// A machine, by the name that UEFI has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
#[non_exhaustive]
pub enum Architecture {
    X64,
    Ia32,
    Aa64,
    Arm,
    Ia64,
    Riscv32,
    Riscv64,
    LoongArch64,
}

impl Architecture {
    /// UEFI's name for it, in small letters: `x64`, `aa64`.
    pub fn key(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Ia32 => "ia32",
            Self::Aa64 => "aa64",
            Self::Arm => "arm",
            Self::Ia64 => "ia64",
            Self::Riscv32 => "riscv32",
            Self::Riscv64 => "riscv64",
            Self::LoongArch64 => "loongarch64",
        }
    }

    /// The machine in a PE header. Source: Microsoft's "PE Format", Machine Types.
    fn of_pe(machine: u16) -> Option<Self> {
        Some(match machine {
            0x8664 => Self::X64,
            0x014C => Self::Ia32,
            0xAA64 => Self::Aa64,
            0x01C0 | 0x01C2 | 0x01C4 => Self::Arm,
            0x0200 => Self::Ia64,
            0x5032 => Self::Riscv32,
            0x5064 => Self::Riscv64,
            0x6264 => Self::LoongArch64,
            _ => return None,
        })
    }

    const ALL: [Self; 8] = [
        Self::X64,
        Self::Ia32,
        Self::Aa64,
        Self::Arm,
        Self::Ia64,
        Self::Riscv32,
        Self::Riscv64,
        Self::LoongArch64,
    ];
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl BiosBoot {
    /// Judges the disk's first sector and its partitions.
    pub(crate) fn judge(sector: &[u8], mbr: Option<&Mbr>, partitions: &[Partition]) -> Self {
        let boot_code = mbr.is_some_and(|mbr| mbr.boot_code);
        let loader = if boot_code { loader(sector) } else { None };
        let number = |found: Option<&Partition>| found.map(|partition| partition.number);
        let active = number(partitions.iter().find(|partition| partition.active));
        // A hybrid MBR's flags are not those of the GPT's partitions.
        let marked = mbr.is_some_and(|mbr| mbr.entries.iter().any(|entry| entry.flag == 0x80));
        let bios_boot = number(partitions.iter().find(|part| part.role == Role::BiosBoot));
        let has_next = active.is_some() || marked || bios_boot.is_some();
        let likely = boot_code && (has_next || loader == Some(BiosLoader::Grub));
        Self { likely, boot_code, loader, active, bios_boot }
    }
}

fn loader(sector: &[u8]) -> Option<BiosLoader> {
    let code = sector.part(0, BOOT_CODE)?;
    let says = |text: &[u8]| code.windows(text.len()).any(|window| window == text);
    if says(b"GRUB ") {
        Some(BiosLoader::Grub)
    } else if says(b"Error loading operating system") {
        Some(BiosLoader::Windows)
    } else {
        None
    }
}

impl UefiBoot {
    /// Looks into each FAT: those that a firmware looks into, and the others for what they hold.
    pub(crate) fn look(
        reader: &mut Reader<'_>,
        candidates: &[(Option<u32>, u64, bool)],
        notes: &mut Notes,
    ) -> Result<Self> {
        let mut boot = Self::default();
        for (partition, start, designated) in candidates.iter().copied().take(MOST_SYSTEMS) {
            let Some(system) = EfiSystem::look(reader, partition, start, designated, notes)? else {
                continue;
            };
            for loader in &system.loaders {
                let is_new = !boot.architectures.contains(&loader.architecture);
                if designated && is_new && loader.size > 0 {
                    boot.architectures.push(loader.architecture);
                }
            }
            boot.systems.push(system);
        }
        Ok(boot)
    }
}

impl EfiSystem {
    fn look(
        reader: &mut Reader<'_>,
        partition: Option<u32>,
        start: u64,
        designated: bool,
        notes: &mut Notes,
    ) -> Result<Option<Self>> {
        let mut system = Self { partition, designated, folders: Vec::new(), loaders: Vec::new() };
        let Some(mut walk) = Walk::open(reader, start)? else { return Ok(None) };
        let root = walk.root()?;
        if let Some(efi) = folder(&root, "EFI") {
            let inside = walk.folder(efi.cluster)?;
            let folders = inside.iter().filter(|entry| entry.is_folder);
            system.folders = folders.map(|entry| entry.name.clone()).take(MOST_FOLDERS).collect();
            if let Some(boot) = folder(&inside, "BOOT") {
                for entry in walk.folder(boot.cluster)?.iter().filter(|entry| !entry.is_folder) {
                    let path = format!("{}/{}/{}", efi.name, boot.name, entry.name);
                    system.loaders.extend(loader_of(&mut walk, entry, path)?);
                }
            }
        } else if !designated {
            return Ok(None);
        }
        if let Some(damage) = walk.damage {
            notes.about(partition, Finding::FatDamaged { damage });
        }
        for loader in &system.loaders {
            let path = loader.path.clone();
            match loader.machine {
                None => notes.about(partition, Finding::LoaderNotPe { path }),
                Some(machine) if machine != loader.architecture => {
                    notes.about(partition, Finding::LoaderMachine { path, machine });
                }
                Some(_) => {}
            }
        }
        Ok(Some(system))
    }
}

fn folder<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.is_folder && entry.is_called(name))
}

/// The file as a program that UEFI starts by itself, if its name is that of one.
fn loader_of(walk: &mut Walk<'_, '_>, entry: &Entry, path: String) -> Result<Option<EfiLoader>> {
    let named =
        |architecture: &Architecture| entry.is_called(&format!("BOOT{}.EFI", architecture.key()));
    let Some(architecture) = Architecture::ALL.into_iter().find(named) else { return Ok(None) };
    let head = walk.head(entry, 4096)?;
    let machine = pe_machine(&head).and_then(Architecture::of_pe);
    Ok(Some(EfiLoader { path, architecture, machine, size: entry.size }))
}

/// The machine of a PE header that begins in these bytes.
fn pe_machine(head: &[u8]) -> Option<u16> {
    let at = head.le32(0x3C).filter(|_| head.has(0, b"MZ"))? as usize;
    head.le16(at.checked_add(4)?).filter(|_| head.has(at, b"PE\0\0"))
}

/// The FATs of a disk that UEFI may look into: those of its partitions, or the disk's own.
pub(crate) fn candidates(
    whole: Option<ContentKind>,
    partitions: &[Partition],
) -> Vec<(Option<u32>, u64, bool)> {
    if whole.is_some_and(ContentKind::is_fat) {
        return vec![(None, 0, true)];
    }
    let is_fat = |part: &&Partition| part.content.as_ref().is_some_and(|c| c.kind.is_fat());
    let fats = partitions.iter().filter(is_fat);
    let mut found: Vec<_> =
        fats.map(|part| (Some(part.number), part.start, part.role == Role::EfiSystem)).collect();
    // Those that count must not be crowded out by the others.
    found.sort_by_key(|(_, _, designated)| !designated);
    found
}

/// FATs that are looked into; an honest disk has one or two.
const MOST_SYSTEMS: usize = 8;
/// Names that are kept of what is in `EFI`.
const MOST_FOLDERS: usize = 32;
