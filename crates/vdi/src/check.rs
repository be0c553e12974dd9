//! Checking: every map entry looked at, every block in the file accounted for.

use diskferry_block_stream::{Disk, Problem, ProblemKind};

use crate::image::Vdi;
use crate::wire::{ENTRY, HEADER_1, ZERO};

/// Reports each problem of the image.
pub(crate) fn check(image: &Vdi, report: &mut dyn FnMut(Problem)) {
    let fields = if image.header.version.major == 0 { FIELDS_0 } else { FIELDS_1 };
    let mut check = Check { image, fields, report };
    check.header();
    let placed = check.map();
    check.allocated(&placed);
    check.unused(&placed);
}

struct Check<'a> {
    image: &'a Vdi,
    fields: Fields,
    report: &'a mut dyn FnMut(Problem),
}

/// A map entry that names a block in the file, and whose entry it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    entry: u32,
    block: u32,
}

/// Flag: blocks are filled with zeros when they are added. The only one that VirtualBox knows.
const ZERO_EXPAND: u32 = 1;

impl Check<'_> {
    fn say(&mut self, kind: ProblemKind, at: u64, text: String) {
        (self.report)(Problem { kind, at: Some(at), text });
    }

    /// What readers put up with, some of them.
    fn header(&mut self) {
        let image = self.image;
        let (header, fields) = (&image.header, self.fields);
        let mut odd = |at, text: String| self.say(ProblemKind::Oddity, at, text);
        let size = header.header_size;
        if header.version.major > 0 && size < HEADER_1 {
            odd(
                fields.header_size,
                format!("header size {size:#x} is below {HEADER_1:#x}; VirtualBox refuses it"),
            );
        }
        let unknown = header.flags & !ZERO_EXPAND;
        if unknown != 0 {
            odd(fields.flags, format!("unknown flags {unknown:#x}; VirtualBox refuses them"));
        }
        if header.creation.is_none() {
            odd(fields.creation, "the uuid is null; VirtualBox refuses it".into());
        }
        if header.modification.is_none() {
            odd(fields.modification, "the modification uuid is null; VirtualBox refuses it".into());
        }
        let (blocks, needed) = (header.blocks, image.size().div_ceil(header.block.size()));
        if u64::from(blocks) > needed {
            odd(
                fields.blocks,
                format!("a map of {blocks} blocks, of which the disk needs {needed}"),
            );
        }
    }

    /// Looks at each entry by itself; returns those that name a block in the file, sorted by it.
    ///
    /// They take twice the memory of the map, which the limits let through.
    fn map(&mut self) -> Vec<Placed> {
        let image = self.image;
        let end = image.file().len();
        let mut placed = Vec::new();
        for (block, &entry) in image.map.iter().enumerate().filter(|(_, entry)| **entry < ZERO) {
            let at = image.header.offset_of(entry);
            let length = image.header.used_of(block as u64);
            if at.saturating_add(length) > end {
                let text = format!(
                    "map entry {entry:#x} for block {block} puts {length:#x} bytes at {at:#x}, \
                     past the end of the file ({end:#x})"
                );
                self.say(ProblemKind::Corruption, self.entry_field(block as u64), text);
            } else {
                placed.push(Placed { entry, block: block as u32 });
            }
        }
        placed.sort_unstable();
        for pair in placed.windows(2) {
            let (first, again) = (pair[0], pair[1]);
            if first.entry == again.entry {
                let text = format!(
                    "map entry {:#x} for block {} is also block {}'s",
                    again.entry, again.block, first.block
                );
                self.say(ProblemKind::Corruption, self.entry_field(again.block.into()), text);
            }
        }
        placed.dedup_by_key(|placed| placed.entry);
        placed
    }

    /// The header counts the blocks in the file; where its count ends, VirtualBox adds the next.
    fn allocated(&mut self, placed: &[Placed]) {
        let (stated, found) = (u64::from(self.image.header.allocated), placed.len() as u64);
        let next = placed.last().map_or(0, |last| u64::from(last.entry) + 1);
        let at = self.fields.allocated;
        if stated < next {
            let text = format!(
                "{stated} allocated blocks are stated, and block {:#x} of the file is in use: the \
                 next one to be added would overwrite it",
                next - 1
            );
            self.say(ProblemKind::Corruption, at, text);
        } else if stated != found {
            let text = format!("{stated} allocated blocks are stated, and {found} are in use");
            self.say(ProblemKind::Leak, at, text);
        }
    }

    /// Blocks in the file that no entry names.
    fn unused(&mut self, placed: &[Placed]) {
        let header = &self.image.header;
        let (data, stride) = (header.data_offset, header.stride());
        let whole = self.image.file().len().saturating_sub(data) / stride;
        let mut next = 0;
        for used in placed.iter().map(|placed| u64::from(placed.entry)).chain([whole]) {
            if used > next {
                let text = format!(
                    "blocks {next:#x} to {:#x} of the file, {stride:#x} bytes each, are not in use",
                    used - 1
                );
                self.say(ProblemKind::Leak, data + next * stride, text);
            }
            next = next.max(used + 1);
        }
    }

    /// Offset of a block's map entry.
    fn entry_field(&self, block: u64) -> u64 {
        self.image.header.map_offset + block * ENTRY
    }
}

/// Offsets of header fields that problems are about; see [`crate::wire`].
#[derive(Clone, Copy)]
struct Fields {
    /// Version 0 has none.
    header_size: u64,
    flags: u64,
    blocks: u64,
    allocated: u64,
    creation: u64,
    modification: u64,
}

const FIELDS_0: Fields = Fields {
    header_size: 0,
    flags: 0x4c,
    blocks: 0x16c,
    allocated: 0x170,
    creation: 0x174,
    modification: 0x184,
};

const FIELDS_1: Fields = Fields {
    header_size: 0x48,
    flags: 0x50,
    blocks: 0x180,
    allocated: 0x184,
    creation: 0x188,
    modification: 0x198,
};
