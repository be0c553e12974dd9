//! Writing: how a disk is laid out in one file or in several.

mod descriptor;
mod sparse;
mod stream;

use diskferry_block_stream::{
    Error, Flat, Foretold, MakeDescriptor, Naming, Packed, Part, Plan, Preallocation, Result,
    SECTOR, Split, Stamp, Writing,
};

use crate::options::{Options, Subformat};
use crate::write::descriptor::{Text, Written};
use crate::write::sparse::SparseLayout;
use crate::write::stream::{GrainPacker, StreamLayout};

/// Bytes of a grain, as every program writes it; VMware's tools refuse larger ones.
const GRAIN: u64 = 64 << 10;
const GRAIN_SECTORS: u64 = GRAIN / SECTOR;

/// Grains that a table maps: VMware's tools know no other number.
const TABLE_ENTRIES: u64 = 512;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;

/// Bytes of the disk that a table maps.
const SPAN: u64 = GRAIN * TABLE_ENTRIES;

/// Where an embedded descriptor is, and how much room it has, in sectors. OpenStack and QEMU look
/// for it at byte 512 and nowhere else.
const DESCRIPTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;

/// Sectors in a part of a split disk, as VMware has it: 2047 MiB.
const PART_SECTORS: u64 = 4_192_256;

/// The largest disk: QEMU refuses grain directories of more entries than 1 PiB takes.
const SIZE_MAX: u64 = 1 << 50;

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set(key, value)
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.compress(level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp, naming.file)
    }

    /// Sparse extents hold whole grains. All parts but the last are whole anyway.
    fn unit(&self) -> u64 {
        match self.subformat {
            Subformat::StreamOptimized | Subformat::MonolithicSparse | Subformat::SplitSparse => {
                GRAIN
            }
            Subformat::MonolithicFlat | Subformat::SplitFlat => SECTOR,
        }
    }

    fn foretell(&self) -> Foretold {
        let is_split = match self.subformat {
            Subformat::StreamOptimized | Subformat::MonolithicSparse => false,
            Subformat::MonolithicFlat | Subformat::SplitSparse | Subformat::SplitFlat => true,
        };
        Foretold { is_split, ..Foretold::of(self.subformat.as_str()) }
    }
}

/// How a disk of `size` bytes is stored. `target` is the name that the file will have, which the
/// descriptor repeats.
///
/// A sparse image holds whole grains of 64 KiB and a flat one whole sectors: what the disk lacks of
/// that is zeros. Readers do not agree on the size of a sparse image that ends within a grain.
///
/// # Errors
/// `Misuse` for options that do not go together; `Unsupported` where the size is not known, for the
/// header has it, and for more than 1 PiB.
pub fn plan(
    size: Option<u64>,
    options: &Options,
    stamp: &Stamp,
    target: Option<&str>,
) -> Result<Plan> {
    options.check()?;
    let size = size.ok_or_else(|| {
        Error::unsupported("a VMDK of a disk whose size is not known beforehand: its header has it")
    })?;
    if size > SIZE_MAX {
        return Err(Error::unsupported(format!(
            "{size} bytes in a VMDK, which holds {SIZE_MAX} at most"
        )));
    }
    let text = Text { subformat: options.subformat, options: options.clone(), stamp: *stamp };
    let capacity = size.next_multiple_of(GRAIN);
    match options.subformat {
        Subformat::StreamOptimized => {
            let text = text.embedded(capacity, target)?;
            let level = options.level();
            Ok(Plan::Packed(Packed {
                chunk: GRAIN as usize,
                parts: 1,
                preallocation: Preallocation::Off,
                packer: Some(Box::new(move || GrainPacker::boxed(level))),
                layout: Box::new(StreamLayout::new(capacity, text)),
            }))
        }
        Subformat::MonolithicSparse => {
            let text = text.embedded(capacity, target)?;
            Ok(sparse(SparseLayout::new(capacity, Some(text))))
        }
        Subformat::MonolithicFlat => {
            let part = Part { suffix: "-flat".into(), length: size, plan: flat(size) };
            Ok(split(vec![part], text))
        }
        Subformat::SplitSparse => {
            Ok(split(parts(size, 's', |length| sparse(SparseLayout::new(length, None))), text))
        }
        Subformat::SplitFlat => Ok(split(parts(size, 'f', flat), text)),
    }
}

fn sparse(layout: SparseLayout) -> Plan {
    Plan::Packed(Packed {
        chunk: GRAIN as usize,
        parts: 1,
        preallocation: Preallocation::Off,
        packer: None,
        layout: Box::new(layout),
    })
}

/// The disk's bytes, and zeros to the end of the sector.
fn flat(length: u64) -> Plan {
    let rest = length.next_multiple_of(SECTOR) - length;
    Plan::Flat(Flat { tail: vec![0; rest as usize], ..Flat::default() })
}

/// Parts of 2047 MiB, the last one shorter: "-s001", "-s002" and so on. A disk of no bytes has one,
/// as a descriptor without extents is one that lost them.
fn parts(size: u64, letter: char, plan: impl Fn(u64) -> Plan) -> Vec<Part> {
    let most = PART_SECTORS * SECTOR;
    (0..size.div_ceil(most).max(1))
        .map(|index| {
            let length = most.min(size - index * most);
            let suffix = format!("-{letter}{:03}", index + 1);
            Part { suffix, length, plan: plan(length) }
        })
        .collect()
}

fn split(parts: Vec<Part>, text: Text) -> Plan {
    let unit = match text.subformat {
        Subformat::SplitSparse => GRAIN,
        _ => SECTOR,
    };
    let lengths: Vec<u64> = parts.iter().map(|part| part.length.next_multiple_of(unit)).collect();
    let descriptor: MakeDescriptor = Box::new(move |names| {
        let extents = lengths.iter().zip(names);
        let extents = extents.map(|(length, name)| Written { sectors: length / SECTOR, name });
        Ok(text.of_extents(&extents.collect::<Vec<_>>()).into_bytes())
    });
    Plan::Split(Split { parts, descriptor })
}

/// A file that sector numbers of 32 bits do not reach.
fn too_long() -> Error {
    Error::unsupported("a VMDK extent of more than 2 TiB; a split one has smaller files")
}

/// A sector number as tables have it.
fn sector_of(at: u64) -> Result<u32> {
    u32::try_from(at / SECTOR).map_err(|_| too_long())
}

/// What is wrong when a disk turns out to have another size than it was planned for.
fn check_size(size: u64, capacity: u64) -> Result<()> {
    if size.checked_next_multiple_of(GRAIN) == Some(capacity) {
        return Ok(());
    }
    Err(Error::misuse(format!("a disk of {size} bytes, laid out as one of {capacity}")))
}
