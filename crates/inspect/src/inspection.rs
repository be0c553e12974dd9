//! Looking at a disk, and what comes of it.

use diskferry_block_stream::{Cancel, Disk, Result, SECTOR};
use serde::Serialize;

use crate::boot::{self, BiosBoot, UefiBoot};
use crate::content::{self, Content, ContentKind};
use crate::mbr::{Mbr, MbrEntry};
use crate::note::{Finding, Notes};
use crate::reader::Reader;
use crate::{Boot, Gpt, Note, OpenStack, Partition, Role, Root};

/// What stands on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The disk's size in bytes.
    pub size: u64,
    /// The kind of partition table.
    pub table: TableKind,
    /// What the partition table counts in, in bytes: 512 or 4096. A DOS table does not say so: it is taken to
    /// count in 4096 where there is something at its first partition so, and nothing in any otherwise.
    pub sector_size: Option<u32>,
    /// What the first sector holds, where it ends with 55 AA. Without a table of this kind it is the
    /// boot sector of something else.
    pub mbr: Option<Mbr>,
    /// The GPT, where there is one: used, or left over from an earlier life of the disk.
    pub gpt: Option<Gpt>,
    /// The partitions that an operating system sees, in the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What is on the disk itself: where there is no table, or where the disk is a hybrid CD image.
    pub content: Option<Content>,
    /// How it starts a machine.
    pub boot: Boot,
    /// Where the operating system lives, as far as can be guessed.
    pub root: Option<Root>,
    /// What OpenStack's inspector says of it as a raw disk.
    pub openstack: OpenStack,
    /// What is odd or wrong.
    pub notes: Vec<Note>,
}

/// The kinds of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// None.
    None,
    /// A master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt,
    /// A GUID partition table, and some of its partitions in the MBR too.
    HybridMbr,
}

impl std::fmt::Display for TableKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Mbr => "MBR",
            Self::Gpt => "GPT",
            Self::HybridMbr => "GPT with a hybrid MBR",
        })
    }
}

/// Looks at a disk.
///
/// It reads some 200 KiB, and as much again for each partition, of which 256 are looked into, in the order of
/// the disk.
///
/// # Errors
/// Those of the disk, when it cannot be read; `Limit` where a disk that comes in order would have to be read
/// too often; `Cancelled`. What is wrong with its content is no error,
/// but a [`Note`].
pub fn inspect(disk: &dyn Disk, cancel: &Cancel) -> Result<Inspection> {
    let mut reader = Reader::new(disk, cancel)?;
    let mut notes = Notes::default();
    let size = reader.size();
    let sector = reader.bytes(0, SECTOR as usize)?;
    let mbr = Mbr::parse(&sector);
    let gpt = Gpt::look(&mut reader)?;
    let whole = content::look(&mut reader, &[(0, size)])?.remove(0);
    let table = table_kind(mbr.as_ref(), gpt.as_ref(), &whole, &mut notes);
    let mut partitions = match (table, &mbr, &gpt) {
        (TableKind::Mbr, Some(mbr), _) => mbr.partitions(&mut reader, &mut notes)?,
        (TableKind::Gpt | TableKind::HybridMbr, _, Some(gpt)) => {
            gpt.judge(size, mbr.as_ref(), &mut notes);
            gpt.partitions(&mut notes)
        }
        _ => Vec::new(),
    };
    let used_gpt = gpt.as_ref().filter(|_| table != TableKind::Mbr);
    judge_places(&partitions, size, used_gpt, &mut notes);
    fill(&mut partitions, &mut reader, &mut notes)?;
    let sector_size = match (table, &gpt) {
        (TableKind::Gpt | TableKind::HybridMbr, Some(gpt)) => Some(gpt.sector_size),
        (TableKind::Mbr, _) => Some(dos_sector_size(mbr.as_ref(), &partitions, &mut reader)?),
        _ => None,
    };
    let content = whole_content(table, whole, size, &mut notes);
    let kind = content.as_ref().map(|content| content.kind);
    let candidates = boot::candidates(kind, &partitions);
    let boot = Boot {
        bios: BiosBoot::judge(&sector, mbr.as_ref(), &partitions),
        uefi: UefiBoot::look(&mut reader, &candidates, &mut notes)?,
    };
    Ok(Inspection {
        root: Root::guess(&partitions, content.as_ref()),
        openstack: OpenStack::judge(&sector),
        notes: notes.0,
        size,
        table,
        sector_size,
        mbr,
        gpt,
        partitions,
        content,
        boot,
    })
}

impl Inspection {
    /// The first byte after the last partition, 0 where there is none. Bounded by the disk's size.
    pub fn partitions_end(&self) -> u64 {
        let ends = self.partitions.iter().filter(|part| part.role != Role::Protective);
        ends.map(Partition::end).max().unwrap_or(0).min(self.size)
    }

    /// The partition of this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.number == number)
    }

    /// The GPT, where it is the disk's table.
    pub fn used_gpt(&self) -> Option<&Gpt> {
        self.gpt.as_ref().filter(|_| matches!(self.table, TableKind::Gpt | TableKind::HybridMbr))
    }
}

/// Decides as Linux does, which looks for a GPT where the MBR announces one; but a GPT whose MBR holds
/// nothing at all is taken for one, too.
fn table_kind(
    mbr: Option<&Mbr>,
    gpt: Option<&Gpt>,
    whole: &[Content],
    notes: &mut Notes,
) -> TableKind {
    let protective = mbr.and_then(Mbr::protective).is_some();
    let has_entries = mbr.is_some_and(|mbr| !mbr.entries.is_empty());
    if let Some(gpt) = gpt {
        if protective {
            let beside = mbr.map_or(0, |mbr| mbr.beside_protective().count());
            return if beside > 0 { TableKind::HybridMbr } else { TableKind::Gpt };
        }
        if !has_entries && gpt.is_usable() {
            return TableKind::Gpt;
        }
        notes.add(Finding::StaleGpt { at: gpt.primary.at });
    }
    let Some(mbr) = mbr else { return TableKind::None };
    if protective {
        notes.add(Finding::GptMissing);
    }
    // The boot sector of a file system ends with 55 AA too; its code is no partition.
    let is_boot_sector = whole.iter().any(|content| content.kind != ContentKind::Iso9660);
    if mbr.has_flags_of_a_table() && (has_entries || !is_boot_sector) {
        return TableKind::Mbr;
    }
    if !is_boot_sector {
        let odd = (0..).zip(mbr.flags).find(|(_, flag)| !matches!(flag, 0 | 0x80));
        if let Some((entry, flag)) = odd {
            notes.add(Finding::BootFlag { entry, flag });
        }
    }
    TableKind::None
}

/// What the entries of a DOS table count in.
fn dos_sector_size(
    mbr: Option<&Mbr>,
    partitions: &[Partition],
    reader: &mut Reader<'_>,
) -> Result<u32> {
    let is_extended = |entry: &&MbrEntry| entry.kind.role() == Role::Extended;
    let first = mbr.and_then(|mbr| mbr.entries.iter().find(|entry| !is_extended(entry)));
    let Some(first) = first.filter(|_| partitions.iter().all(|part| part.content.is_none())) else {
        return Ok(512);
    };
    let bytes = |sectors: u32| u64::from(sectors) * 4096;
    let (start, length) = (bytes(first.start_lba), bytes(first.sectors));
    if start == 0 || length == 0 || start + length > reader.size() {
        return Ok(512);
    }
    let found = content::look(reader, &[(start, length)])?;
    Ok(if found.iter().all(Vec::is_empty) { 512 } else { 4096 })
}

/// Notes on where partitions lie.
fn judge_places(partitions: &[Partition], disk: u64, gpt: Option<&Gpt>, notes: &mut Notes) {
    let mut places: Vec<&Partition> = Vec::new();
    for part in partitions {
        let number = Some(part.number);
        let (start, end) = (part.start, part.end());
        if part.role == Role::Protective {
            continue;
        }
        if part.length == 0 {
            // Of a GPT there is a note already.
            if gpt.is_none() {
                notes.about(number, Finding::Empty);
            }
            continue;
        }
        if end > disk {
            notes.about(number, Finding::PastEnd { end, disk });
        }
        if start == 0 {
            notes.about(number, Finding::OnTable);
        }
        if let Some(gpt) = gpt.filter(|gpt| start < gpt.usable_start || end > gpt.usable_end) {
            let (first, last) = (gpt.usable_start, gpt.usable_end);
            notes.about(number, Finding::OutsideUsable { start, end, first, last });
        }
        // Logical partitions lie within their container.
        if part.role != Role::Extended {
            places.push(part);
        }
    }
    places.sort_by_key(|part| (part.start, part.number));
    let mut widest: Option<&Partition> = None;
    for part in places {
        if let Some(before) = widest.filter(|before| before.end() > part.start) {
            notes.about(Some(part.number), Finding::Overlaps { other: before.number });
        }
        if widest.is_none_or(|before| part.end() > before.end()) {
            widest = Some(part);
        }
    }
}

/// Looks into the partitions.
fn fill(partitions: &mut [Partition], reader: &mut Reader<'_>, notes: &mut Notes) -> Result<()> {
    let holds = |part: &Partition| !matches!(part.role, Role::Extended | Role::Protective);
    if partitions.iter().filter(|part| holds(part)).count() > MOST_PROBED {
        notes.add(Finding::ManyPartitions { most: MOST_PROBED });
    }
    let mut probed: Vec<_> =
        partitions.iter_mut().filter(|part| holds(part)).take(MOST_PROBED).collect();
    let places: Vec<_> = probed.iter().map(|part| (part.start, part.length)).collect();
    for (part, found) in probed.iter_mut().zip(content::look(reader, &places)?) {
        part.content = choose(found, Some(part.number), part.length, notes);
    }
    Ok(())
}

/// What is on the disk itself. Beside a table only a CD's file system is meant: it leaves room for one.
fn whole_content(
    table: TableKind,
    mut found: Vec<Content>,
    size: u64,
    notes: &mut Notes,
) -> Option<Content> {
    if table != TableKind::None {
        found.retain(|content| content.kind == ContentKind::Iso9660);
    }
    choose(found, None, size, notes)
}

/// The likeliest of what was found, with notes.
fn choose(
    found: Vec<Content>,
    partition: Option<u32>,
    room: u64,
    notes: &mut Notes,
) -> Option<Content> {
    let mut found = found.into_iter();
    let content = found.next()?;
    let kind = content.kind;
    for other in found {
        notes.about(partition, Finding::SeveralSignatures { content: kind, other: other.kind });
    }
    if let Some(size) = content.size.filter(|size| *size > room) {
        notes.about(partition, Finding::ContentCut { content: kind, size, room });
    }
    Some(content)
}

/// Partitions that are looked into: twice what a GPT usually has room for.
const MOST_PROBED: usize = 256;
