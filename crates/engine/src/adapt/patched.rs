//! A disk with a few bytes changed.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Error, Extent, Kind, Order, Result};

/// A disk on which some short stretches have other bytes.
pub struct Patched {
    disk: Arc<dyn Disk>,
    /// Offset and bytes of each patch, in order, none over another.
    patches: Vec<(u64, Vec<u8>)>,
}

impl Patched {
    /// `patches` are offsets in bytes and what is to stand there.
    ///
    /// # Errors
    /// `Misuse` when a patch is not within the disk, or two overlap.
    pub fn new(disk: Arc<dyn Disk>, mut patches: Vec<(u64, Vec<u8>)>) -> Result<Self> {
        patches.retain(|(_, bytes)| !bytes.is_empty());
        patches.sort_by_key(|(at, _)| *at);
        let mut free = 0;
        for (at, bytes) in &patches {
            let end = at.checked_add(bytes.len() as u64).filter(|end| *end <= disk.size());
            free = end.filter(|_| *at >= free).ok_or_else(|| {
                Error::misuse(format!(
                    "{} bytes at {at:#x} cannot be changed on a disk of {} bytes",
                    bytes.len(),
                    disk.size()
                ))
            })?;
        }
        Ok(Self { disk, patches })
    }
}

impl Disk for Patched {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn grain(&self) -> u64 {
        self.disk.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.disk.files()
    }

    fn order(&self) -> Order {
        self.disk.order()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(PatchedCursor { inner: self.disk.cursor()?, patches: &self.patches }))
    }
}

struct PatchedCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    patches: &'a [(u64, Vec<u8>)],
}

impl<'a> PatchedCursor<'a> {
    /// The first patch that ends behind `at`.
    fn next(&self, at: u64) -> Option<(u64, &'a [u8])> {
        let ended = |(start, bytes): &(u64, Vec<u8>)| start + bytes.len() as u64 <= at;
        let index = self.patches.partition_point(ended);
        self.patches.get(index).map(|(start, bytes)| (*start, bytes.as_slice()))
    }
}

impl Cursor for PatchedCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        match self.next(at) {
            Some((start, bytes)) if start <= at => {
                let length = limit.min(start + bytes.len() as u64 - at);
                Ok(Extent { length, kind: Kind::Data { compressed: false } })
            }
            Some((start, _)) => self.inner.extent(at, limit.min(start - at)),
            None => self.inner.extent(at, limit),
        }
    }

    fn read(&mut self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let rest = buf.len() as u64;
            let (length, patch) = match self.next(at) {
                Some((start, bytes)) if start <= at => {
                    let from = &bytes[(at - start) as usize..];
                    (rest.min(from.len() as u64), Some(from))
                }
                Some((start, _)) => (rest.min(start - at), None),
                None => (rest, None),
            };
            let (part, left) = buf.split_at_mut(length as usize);
            match patch {
                Some(bytes) => part.copy_from_slice(&bytes[..part.len()]),
                None => self.inner.read(at, part)?,
            }
            at += length;
            buf = left;
        }
        Ok(())
    }
}
