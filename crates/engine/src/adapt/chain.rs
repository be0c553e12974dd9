//! A backing chain: what a layer does not have comes from the layer below it.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cursor, Disk, Extent, Kind, Order, Result};

use super::Remembering;

/// A layer over its parent, as one disk of the layer's size.
///
/// Where the parent is shorter, the rest is absent; what it has beyond is cut.
pub struct Chain {
    layer: Arc<dyn Disk>,
    parent: Arc<dyn Disk>,
    files: Vec<Arc<dyn Bytes>>,
}

impl Chain {
    /// `layer` over `parent`; the parent may be a chain itself.
    pub fn new(layer: Arc<dyn Disk>, parent: Arc<dyn Disk>) -> Self {
        let files = [layer.files(), parent.files()].concat();
        Self { layer, parent, files }
    }
}

impl Disk for Chain {
    fn size(&self) -> u64 {
        self.layer.size()
    }

    fn grain(&self) -> u64 {
        self.layer.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn order(&self) -> Order {
        self.layer.order().max(self.parent.order())
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(ChainCursor {
            layer: Remembering::new(self.layer.cursor()?),
            parent: self.parent.cursor()?,
            parent_size: self.parent.size(),
            parent_files: self.layer.files().len() as u32,
        }))
    }
}

struct ChainCursor<'a> {
    /// Long absent runs of the layer are cut at the parent's short ones, again and again.
    layer: Remembering<'a>,
    parent: Box<dyn Cursor + 'a>,
    parent_size: u64,
    /// Index of the parent's first file in the chain's list.
    parent_files: u32,
}

impl Cursor for ChainCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let own = self.layer.extent(at, limit)?;
        if own.kind != Kind::Absent || at >= self.parent_size {
            return Ok(own);
        }
        let below = self.parent.extent(at, own.length.min(self.parent_size - at))?;
        let kind = match below.kind {
            Kind::Plain { file, offset } => Kind::Plain { file: file + self.parent_files, offset },
            other => other,
        };
        Ok(Extent { kind, ..below })
    }

    fn read(&mut self, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let own = self.layer.extent(at, buf.len() as u64)?;
            let (part, rest) = buf.split_at_mut(own.length as usize);
            if own.kind == Kind::Absent {
                let below = self.parent_size.saturating_sub(at).min(part.len() as u64) as usize;
                if below > 0 {
                    self.parent.read(at, &mut part[..below])?;
                }
                part[below..].fill(0);
            } else {
                self.layer.read(at, part)?;
            }
            at += own.length;
            buf = rest;
        }
        Ok(())
    }
}
