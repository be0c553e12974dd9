//! What the image says of how often each cluster is referred to, and whether that is so.

use std::cmp::Ordering;

use diskferry_block_stream::{Problem, Result};

use super::Check;
use crate::wire;

/// QEMU refuses larger refcount tables.
const TABLE_MAX: u64 = 8 << 20;

/// What entries of the refcount table have reserved.
const RESERVED: u64 = 0x1FF;

/// Bytes of a refcount block that are looked at together.
const PAGE: usize = 4096;

/// Offset in the header of the field that names the table.
const FIELD: u64 = 48;

impl Check<'_> {
    /// Reads the refcount table, and counts the blocks that it names.
    pub(super) fn refcount_blocks(&mut self) -> Result<()> {
        let header = &self.image.header;
        let (at, clusters) = (header.refcount_table_offset, header.refcount_table_clusters);
        let what = "the refcount table";
        if !self.aligned(what, FIELD, at) {
            return Ok(());
        }
        let length = u64::from(clusters) * self.cluster;
        if length > TABLE_MAX {
            self.corruption(FIELD, format!("{what} has {length} bytes, above 8 MiB"));
            return Ok(());
        }
        if !self.refer_alone(what, FIELD, at, length)? {
            return Ok(());
        }
        let mut index = 0;
        for n in 0..u64::from(clusters) {
            let table = self.table(at + n * self.cluster)?;
            for entry in wire::entries(&table) {
                let field = at + index * 8;
                index += 1;
                self.cancel.check()?;
                if entry & RESERVED != 0 {
                    let text = format!(
                        "refcount table entry is {entry:#018x}, which has reserved bits set"
                    );
                    self.corruption(field, text);
                }
                let block = entry & !RESERVED;
                let usable = block != 0
                    && self.aligned("a refcount block", field, block)
                    && self.refer_alone("a refcount block", field, block, self.cluster)?;
                self.blocks.push(if usable { block } else { 0 });
            }
        }
        Ok(())
    }

    /// The refcount that the image states for a cluster; 0 where it states none.
    pub(super) fn refcount(&mut self, cluster: u64) -> Result<u64> {
        let order = self.image.header.refcount_order;
        let per_block = (self.cluster * 8) >> order;
        let index = cluster / per_block;
        let at = self.blocks.get(index as usize).copied().unwrap_or(0);
        if at == 0 {
            return Ok(0);
        }
        // A page of the block, not all of it: entries may go back and forth between two blocks.
        let within = (cluster % per_block) as usize;
        let per_page = (PAGE * 8) >> order;
        let page = within / per_page;
        let from = at + (page * PAGE) as u64;
        if self.page_at != Some(from) {
            self.page_at = None;
            let size = PAGE.min(self.cluster as usize - page * PAGE);
            self.page.clear();
            self.page.resize(size, 0);
            let have = self.file.len().saturating_sub(from).min(size as u64) as usize;
            self.file.read_at(from, &mut self.page[..have])?;
            self.page_at = Some(from);
        }
        Ok(wire::refcount(&self.page, order, within % per_page))
    }

    /// Compares the refcount of every cluster with the references that were found.
    pub(super) fn refcounts(&mut self) -> Result<()> {
        let order = self.image.header.refcount_order;
        let per_block = (self.cluster * 8) >> order;
        let blocks = std::mem::take(&mut self.blocks);
        let clusters = self.references.clusters();
        self.progress.expect(clusters * self.cluster);
        for (index, block) in (0..).zip(&blocks) {
            let first = (index * per_block).min(clusters);
            let end = (first + per_block).min(clusters);
            if *block == 0 || first == clusters {
                self.uncounted(first, end)?;
                continue;
            }
            self.cancel.check()?;
            let counts = self.table(*block)?;
            for n in 0..end - first {
                self.compare(first + n, wire::refcount(&counts, order, n as usize));
            }
            self.progress.pass((end - first) * self.cluster);
        }
        self.uncounted((blocks.len() as u64 * per_block).min(clusters), clusters)
    }

    /// Compares clusters whose refcounts are nowhere: 0.
    fn uncounted(&mut self, first: u64, end: u64) -> Result<()> {
        let mut cluster = self.references.next_used(first);
        while cluster < end {
            self.cancel.check()?;
            self.compare(cluster, 0);
            cluster = self.references.next_used(cluster + 1);
        }
        self.progress.pass((end - first) * self.cluster);
        Ok(())
    }

    fn compare(&mut self, cluster: u64, stated: u64) {
        let found = u64::from(self.references.count(cluster));
        let at = cluster * self.cluster;
        let text = || format!("cluster {at:#x} has refcount {stated}, and {found} references");
        match stated.cmp(&found) {
            Ordering::Equal => {}
            Ordering::Less => self.corruption(at, text()),
            Ordering::Greater => (self.report)(Problem::leak(at, text())),
        }
    }
}
