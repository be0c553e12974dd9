//! An opened image: its footer, its header, its block allocation table.

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Held, Image, ParentRef, Problem,
    Progress, Result, SECTOR,
};

use crate::check;
use crate::cursor::Reader;
use crate::damage::{Damage, Misplaced};
use crate::footer::{self, Copy, DiskType, SizeBy};
use crate::header::{Blocks, Header};
use crate::parent::uuid_text;
use crate::wire::{self, ENTRY, FOOTER, HEADER, SHORT_FOOTER, UNUSED};

/// An opened VHD: one layer.
///
/// In a dynamic disk, a block that is stored is read whole, whatever its sector bitmap says. The
/// specification wants zeros in sectors whose bit is clear, so it makes no difference; where a
/// program got the bits wrong, its data is not lost, and QEMU reads the same. In a differencing
/// disk the bits decide between this layer and its parent.
pub struct Vhd {
    pub(crate) header: Header,
    /// The table entries of the disk's blocks; none for fixed disks.
    pub(crate) table: Held<Vec<u32>>,
    /// Entries that are in use.
    used: u64,
    /// One file, in the form that [`Disk::files`] gives out.
    files: [Arc<dyn Bytes>; 1],
}

impl Vhd {
    /// Whether a file that starts with `head`, of 8 bytes or more, and ends with `tail`, of 512 or
    /// more where it is as long, says that it is a VHD. Fixed disks say so only at their end.
    pub fn probe(head: &[u8], tail: &[u8]) -> bool {
        footer::probe(head, tail)
    }

    /// Opens an image: reads its footer, its header and its block allocation table.
    ///
    /// # Errors
    /// `Damaged` when these contradict each other or the file's length, `Unsupported` for disk
    /// types and versions unknown here, `Limit` for tables past the bounds, `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let header = Header::read(bytes.as_ref())?;
        budget.limits().check_virtual_size(header.footer.size)?;
        let table = match &header.blocks {
            Some(blocks) => read_table(bytes.as_ref(), blocks, budget)?,
            None => budget.hold(Vec::new()),
        };
        let used = table.iter().filter(|entry| **entry != UNUSED).count() as u64;
        Ok(Self { header, table, used, files: [bytes] })
    }

    pub(crate) fn file(&self) -> &dyn Bytes {
        self.files[0].as_ref()
    }

    /// Offset in the file at which the block of this index begins, with its bitmap; `None` where
    /// it is not stored.
    pub(crate) fn block(&self, blocks: &Blocks, index: u64) -> Result<Option<u64>, Damage> {
        // The table covers the disk, as it was checked at opening.
        let entry = self.table.get(index as usize).copied().unwrap_or(UNUSED);
        if entry == UNUSED {
            return Ok(None);
        }
        let at = u64::from(entry) * SECTOR;
        match self.misplaced(blocks, index, at) {
            None => Ok(Some(at)),
            Some(problem) => {
                let field = blocks.table_offset + index * ENTRY;
                Err(Damage::Block { index, field, at, problem })
            }
        }
    }

    /// Why the block of this index cannot be at `at`. What of it lies past the disk's end may be
    /// missing in the file.
    fn misplaced(&self, blocks: &Blocks, index: u64, at: u64) -> Option<Misplaced> {
        let block = blocks.block;
        let data = block.bytes().min(self.size() - index * block.bytes());
        let end = at + block.bitmap() + data;
        if end > self.header.footer.end {
            return Some(Misplaced::PastEnd(self.header.footer.end));
        }
        self.structures(blocks).into_iter().find_map(|(what, from, length)| {
            let over = at < from + length && from < end;
            over.then_some(Misplaced::Over { what, at: from })
        })
    }

    /// Where the structures are that no block may overlap, but for the footer at the end: name,
    /// offset, length. All of them were checked to lie within the file.
    fn structures(&self, blocks: &Blocks) -> [(&'static str, u64, u64); 3] {
        [
            ("the copy of the footer", 0, FOOTER as u64),
            ("the dynamic disk header", blocks.at, HEADER as u64),
            ("the block allocation table", blocks.table_offset, blocks.entries * ENTRY),
        ]
    }

    fn subformat(&self) -> &'static str {
        match self.header.footer.disk_type {
            DiskType::Fixed => "fixed",
            DiskType::Dynamic => "dynamic",
            DiskType::Differencing => "differencing",
        }
    }

    /// The program that made the image, as far as its code is known.
    fn creator(&self) -> String {
        let raw = &self.header.footer.raw;
        let program = match &raw.creator {
            b"vpc " => "Virtual PC",
            b"vs  " => "Virtual Server",
            b"win " => "Windows",
            b"d2v " | b"d2v\0" => "Disk2vhd",
            b"qemu" | b"qem2" => "QEMU",
            b"tap\0" => "XenServer",
            b"CTXS" => "XenConvert",
            b"wa\0\0" => "Azure",
            b"vbox" => "VirtualBox",
            _ => &readable(&raw.creator),
        };
        format!("{program} {}.{}", raw.creator_version >> 16, raw.creator_version & 0xffff)
    }
}

/// A code of four characters, without its padding.
fn readable(code: &[u8; 4]) -> String {
    code.trim_ascii_end().escape_ascii().to_string().trim_end_matches(r"\x00").to_owned()
}

/// Reads the entries that the disk needs; a table may have more.
fn read_table(bytes: &dyn Bytes, blocks: &Blocks, budget: &Budget) -> Result<Held<Vec<u32>>> {
    /// Entries read at a time, so that they are in memory once and not twice.
    const STEP: usize = 64 << 10;
    let length = blocks.entries * ENTRY;
    let spent = budget.spend("the block allocation table", length)?;
    let entries = spent.bytes() / ENTRY as usize;
    let mut table = Vec::with_capacity(entries);
    let mut buf = vec![0; entries.min(STEP) * ENTRY as usize];
    while table.len() < entries {
        let part = &mut buf[..(entries - table.len()).min(STEP) * ENTRY as usize];
        bytes.read_at(blocks.table_offset + table.len() as u64 * ENTRY, part)?;
        wire::entries(part, &mut table);
    }
    Ok(spent.on(table))
}

impl Disk for Vhd {
    fn size(&self) -> u64 {
        self.header.footer.size
    }

    fn grain(&self) -> u64 {
        match &self.header.blocks {
            None => 1,
            // The bitmap divides a block of a differencing disk.
            Some(blocks) if blocks.parent.is_some() => SECTOR,
            Some(blocks) => blocks.block.bytes(),
        }
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Reader::new(self)))
    }
}

/// Seconds between the epochs of Unix and of VHD, the start of 2000.
pub(crate) const EPOCH: u64 = 946_684_800;

impl Image for Vhd {
    fn describe(&self) -> Description {
        let footer = &self.header.footer;
        let raw = &footer.raw;
        let geometry = footer.geometry;
        let chs = format!("{}/{}/{}", geometry.cylinders, geometry.heads, geometry.sectors);
        let version = format!("{}.{}", raw.creator_version >> 16, raw.creator_version & 0xffff);
        let size_by = match footer.size_by {
            SizeBy::CurrentSize => "current_size",
            SizeBy::Geometry => "geometry",
        };
        let mut details = vec![
            ("creator_application", Detail::Text(readable(&raw.creator))),
            ("creator_version", Detail::Text(version)),
            ("creator_host_os", Detail::Text(readable(&raw.host))),
            // Seconds since 1970.
            ("timestamp", Detail::Number(u64::from(raw.seconds) + EPOCH)),
            ("geometry", Detail::Text(chs)),
            ("current_size", Detail::Number(raw.current_size)),
            ("original_size", Detail::Number(raw.original_size)),
            ("size_by", Detail::Text(size_by.into())),
            ("temporary", Detail::Flag(raw.features & wire::TEMPORARY != 0)),
            ("saved_state", Detail::Flag(raw.saved_state != 0)),
        ];
        if let Some(start) = footer.copies.start {
            let same = (start, footer.copies.end) == (Copy::Good, Copy::Good);
            let text = if same { "identical" } else { "different" };
            details.push(("footers", Detail::Text(text.into())));
        }
        if footer.copies.end_length == SHORT_FOOTER as u64 {
            details.push(("footer_length", Detail::Number(footer.copies.end_length)));
        }
        if let Some(blocks) = &self.header.blocks {
            details.push(("block_size", Detail::Number(blocks.block.bytes())));
            details.push(("blocks_used", Detail::Number(self.used)));
            details.push(("blocks_total", Detail::Number(blocks.entries)));
        }
        let mut ids = vec![("uuid", uuid_text(&raw.uuid))];
        if let Some((parent, locators)) =
            self.header.blocks.as_ref().and_then(|blocks| blocks.parent.as_ref())
        {
            ids.extend(parent.id.clone().map(|id| ("parent_uuid", id)));
            let names = parent.names.iter().map(|name| name.to_string_lossy().into_owned());
            details.push(("parent_names", Detail::List(names.collect())));
            let locators = locators.iter();
            let locators = locators.map(|found| format!("{}: {}", found.platform, found.text));
            details.push(("parent_locators", Detail::List(locators.collect())));
        }
        Description {
            subformat: self.subformat().into(),
            creator: Some(self.creator()),
            ids,
            details,
            warnings: self.header.oddities.clone(),
            ..Description::default()
        }
    }

    fn parent(&self) -> Option<&ParentRef> {
        self.header.blocks.as_ref()?.parent.as_ref().map(|(parent, _)| parent)
    }

    /// The unique id; `None` where it is all zeros, which programs write that make none.
    fn id(&self) -> Option<String> {
        let uuid = &self.header.footer.raw.uuid;
        (*uuid != [0; 16]).then(|| uuid_text(uuid))
    }

    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        check::check(self, cancel, progress, report)
    }
}
