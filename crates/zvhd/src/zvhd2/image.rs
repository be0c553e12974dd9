//! An opened image: its last page, bitmap and index.

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Held, Image, Order, Problem,
    Progress, Result,
};

use super::check;
use super::tables::{Compression, Entry, Page, Tables, check_version};
use super::unpack::Unpacker;
use crate::cursor::Reader;
use crate::damage::Damage;
use crate::header::{Flavour, Header, read_first_page, read_page};
use crate::wire::{BLOCK, PAGE, RawPage};

/// An opened ZVHD2 image.
pub struct Zvhd2 {
    pub(super) header: Header,
    pub(super) compression: Compression,
    /// None for a disk without a block, of which there may be a page alone.
    pub(super) tables: Option<Tables>,
    /// In the order of their blocks.
    pub(super) entries: Held<Vec<Entry>>,
    index_has_all: bool,
    /// One file, in the form that [`Disk::files`] gives out.
    files: [Arc<dyn Bytes>; 1],
}

impl Zvhd2 {
    /// Whether a file that starts with these bytes (6 or more) says that it is ZVHD2.
    pub fn probe(head: &[u8]) -> bool {
        Flavour::Zvhd2.begins(head)
    }

    /// Opens an image: reads its last page, its bitmap and its index, which takes 24 bytes of
    /// memory for each block that is stored.
    ///
    /// # Errors
    /// `Damaged` when these contradict each other or the file's length, `Unsupported` for
    /// compression methods and block sizes that nobody writes, `Limit` for too many units or too
    /// large a disk, `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let first = read_first_page(bytes.as_ref())?;
        let cookie = Flavour::Zvhd2.cookie();
        if !Flavour::Zvhd2.begins(&first) {
            return Err(Damage::Cookie { at: 0, cookie }.into());
        }
        check_version(&RawPage::parse(&first).tables, 0)?;
        let end = bytes.len() - PAGE;
        let page = Page::parse(&read_page(bytes.as_ref(), end)?, end)?;
        let Page { ref header, compression, ref raw } = page;
        budget.limits().check_virtual_size(header.size)?;
        let index_has_all = raw.index_has_all != 0;
        let tables = Tables::new(&page, end)?;
        let entries = match &tables {
            Some(tables) => tables.read(bytes.as_ref(), budget)?,
            None => budget.hold(Vec::new()),
        };
        Ok(Self {
            header: page.header,
            compression,
            tables,
            entries,
            index_has_all,
            files: [bytes],
        })
    }

    pub(super) fn file(&self) -> &dyn Bytes {
        self.files[0].as_ref()
    }

    pub(super) fn reader(&self) -> Result<Reader<'_, Unpacker<'_>>> {
        let units = Unpacker::new(self)?;
        Ok(Reader { file: self.file(), size: self.header.size, units })
    }
}

impl Disk for Zvhd2 {
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
        Order::Grains
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(self.reader()?))
    }
}

impl Image for Zvhd2 {
    fn describe(&self) -> Description {
        let mut description = self.header.describe(self.compression.name());
        description.subformat = "zvhd2".into();
        description.details.push(("blocks_stored", Detail::Number(self.entries.len() as u64)));
        description.details.push(("index_has_zero_blocks", Detail::Flag(self.index_has_all)));
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
