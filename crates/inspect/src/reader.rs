//! Reads of a disk that end at its end, and when somebody asks to stop.

use diskferry_block_stream::{Cancel, Cursor, Disk, Error, Order, Result};

pub(crate) struct Reader<'a> {
    cursor: Box<dyn Cursor + 'a>,
    size: u64,
    /// How often it may still go back, where that is a matter of reading all from the front again.
    back: Option<u32>,
    /// The end of what was read last.
    at: u64,
    cancel: &'a Cancel,
}

/// How often it goes back in a disk that comes in order. Honest disks need a handful: for the copies of a
/// GPT, for the partitions, for each folder of a file system that is looked into.
const MOST_BACK: u32 = 32;

impl<'a> Reader<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, cancel: &'a Cancel) -> Result<Self> {
        let back = matches!(disk.order(), Order::Forward).then_some(MOST_BACK);
        Ok(Self { cursor: disk.cursor()?, size: disk.size(), back, at: 0, cancel })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes at `at`: fewer than `len`, or none, where the disk ends. `len` is never a disk's word.
    pub(crate) fn bytes(&mut self, at: u64, len: usize) -> Result<Vec<u8>> {
        self.cancel.check()?;
        let left = self.size.saturating_sub(at);
        let mut bytes = vec![0; usize::try_from(left).map_or(len, |left| left.min(len))];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        if at < self.at
            && let Some(left) = &mut self.back
        {
            *left = left.checked_sub(1).ok_or_else(too_often)?;
        }
        self.cursor.read(at, &mut bytes)?;
        self.at = at + bytes.len() as u64;
        Ok(bytes)
    }
}

fn too_often() -> Error {
    Error::limit(format!(
        "what stands on the disk leads back and forth more than {MOST_BACK} times, and each time a \
         compressed disk is unpacked anew; unpack it first"
    ))
}
