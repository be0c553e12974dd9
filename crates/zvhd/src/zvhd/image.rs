//! An opened image: its first page, and where its units are.

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Held, Image, Order, Problem,
    Progress, Result,
};
use diskferry_codec::{HISTORY, OpenInflater};

use super::check;
use super::scan::{Scan, scan};
use super::unpack::Unpacker;
use crate::cursor::Reader;
use crate::header::{Flavour, Header, read_first_page};
use crate::unit::Unit;
use crate::wire::{BLOCK, UNIT_HEAD};

/// An opened ZVHD image.
pub struct Zvhd {
    header: Header,
    pub(super) units: Held<Vec<Unit>>,
    oddities: Vec<Problem>,
    /// Whether a block, of those that were tried, refers back into the one before it.
    dependent: bool,
    /// One file, in the form that [`Disk::files`] gives out.
    files: [Arc<dyn Bytes>; 1],
}

impl Zvhd {
    /// Whether a file that starts with these bytes (6 or more) says that it is ZVHD.
    pub fn probe(head: &[u8]) -> bool {
        Flavour::Zvhd.begins(head)
    }

    /// Opens an image: walks from unit to unit, and tries a few of them for whether they depend on
    /// one another. It takes 16 bytes of memory for each unit.
    ///
    /// # Errors
    /// `Damaged` when the units do not follow one another up to the last page, or a page
    /// contradicts itself; `Limit` for too many units or too large a disk; `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let first = read_first_page(bytes.as_ref())?;
        let header = Header::parse(&first, Flavour::Zvhd, 0)?;
        budget.limits().check_virtual_size(header.size)?;
        let Scan { units, oddities } = scan(bytes.as_ref(), &first, header.size, budget)?;
        let dependent = is_dependent(bytes.as_ref(), &units)?;
        Ok(Self { header, units, oddities, dependent, files: [bytes] })
    }

    pub(super) fn file(&self) -> &dyn Bytes {
        self.files[0].as_ref()
    }

    pub(super) fn reader(&self) -> Reader<'_, Unpacker<'_>> {
        Reader { file: self.file(), size: self.header.size, units: Unpacker::new(self) }
    }
}

/// How many units are tried. A writer that keeps history leaves one block in five independent at
/// most, by chance; so this misses nothing in its files. What it misses in others costs time only.
const TRIED: usize = 16;

/// Bytes of a payload that tell: a little more than what is packed into them at worst.
const TELLING: u32 = HISTORY as u32 + HISTORY as u32 / 4;

/// Whether one of a few units, spread over the file, refers back into the one before it.
fn is_dependent(bytes: &dyn Bytes, units: &[Unit]) -> Result<bool> {
    let Some(others) = units.get(1..).filter(|others| !others.is_empty()) else { return Ok(false) };
    let mut inflater = OpenInflater::new();
    let mut packed = Vec::new();
    let tried = others.len().min(TRIED);
    for number in 0..tried {
        let unit = others[number * others.len() / tried];
        packed.resize(unit.size.min(TELLING) as usize, 0);
        bytes.read_at(unit.at + UNIT_HEAD as u64, &mut packed)?;
        if inflater.refers_back(&packed) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Disk for Zvhd {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn grain(&self) -> u64 {
        BLOCK
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn order(&self) -> Order {
        if self.dependent { Order::Forward } else { Order::Grains }
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(self.reader()))
    }
}

impl Image for Zvhd {
    fn describe(&self) -> Description {
        let mut description = self.header.describe("zlib");
        description.subformat = "zvhd".into();
        description.details.push(("blocks_stored", Detail::Number(self.units.len() as u64)));
        description.details.push(("dependent_blocks", Detail::Flag(self.dependent)));
        description.warnings = self.oddities.clone();
        description
    }

    fn original_size(&self) -> Option<u64> {
        Some(self.header.original)
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
