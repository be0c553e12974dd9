//! Reads of a disk that end at its end, and when somebody asks to stop.

use diskferry_block_stream::{Cancel, Cursor, Disk, Result};

pub(crate) struct Reader<'a> {
    cursor: Box<dyn Cursor + 'a>,
    size: u64,
    cancel: &'a Cancel,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, cancel: &'a Cancel) -> Result<Self> {
        Ok(Self { cursor: disk.cursor()?, size: disk.size(), cancel })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes at `at`: fewer than `len`, or none, where the disk ends. `len` is never a disk's word.
    pub(crate) fn bytes(&mut self, at: u64, len: usize) -> Result<Vec<u8>> {
        self.cancel.check()?;
        let left = self.size.saturating_sub(at);
        let mut bytes = vec![0; usize::try_from(left).map_or(len, |left| left.min(len))];
        if !bytes.is_empty() {
            self.cursor.read(at, &mut bytes)?;
        }
        Ok(bytes)
    }
}
