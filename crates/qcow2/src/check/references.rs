//! How often each cluster of a file is referred to, and as what, in as little memory as that takes.
//!
//! A page has the clusters of a stretch of the file. It exists from the first reference to one of them, with four
//! bits for each: two to count to 2, two for the uses. Once one of them has more references, as
//! many have where compressed clusters share them, the page is made anew with 32 bits for each.

use diskferry_block_stream::{Error, Result};

/// What uses a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A table, or the header.
    Metadata,
    /// The disk's bytes.
    Data,
}

pub(crate) struct References {
    pages: Vec<Page>,
    clusters: u64,
    /// Bytes that the pages take.
    memory: u64,
}

enum Page {
    None,
    Narrow(Box<[u8; NARROW]>),
    Wide(Box<[u32; PAGE]>),
}

/// Clusters of a page.
const PAGE: usize = 4096;

/// Bytes of a narrow page: two clusters each.
const NARROW: usize = PAGE / 2;

/// In a wide page's number, the bits above the count.
const WIDE_USES: u32 = 30;
const WIDE_COUNT: u32 = (1 << WIDE_USES) - 1;

/// In half a byte.
const NARROW_USES: u32 = 2;
const NARROW_COUNT: u8 = 3;

/// What counting may take: enough for a full disk of 64 TiB in clusters of 64 KiB, which takes 512 MiB, and its
/// tables; or for 8 TiB of compressed ones.
const MEMORY_MAX: u64 = 640 << 20;

impl References {
    /// For a file of so many clusters, none of which is referred to yet.
    ///
    /// # Errors
    /// `Limit` where even the list of pages would be too large.
    pub fn new(clusters: u64) -> Result<Self> {
        let pages = clusters.div_ceil(PAGE as u64);
        let memory = pages.saturating_mul(size_of::<Page>() as u64);
        if memory > MEMORY_MAX {
            return Err(too_many(clusters));
        }
        let pages = (0..pages).map(|_| Page::None).collect();
        Ok(Self { pages, clusters, memory })
    }

    /// Clusters of the file.
    pub fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Counts references to a cluster, which the file has, and returns what used it before.
    ///
    /// # Errors
    /// `Limit` when it takes too much memory.
    pub fn add(&mut self, cluster: u64, times: u32, used: Use) -> Result<Uses> {
        let (page, at) = ((cluster / PAGE as u64) as usize, (cluster % PAGE as u64) as usize);
        if let Page::None = self.pages[page] {
            self.take(NARROW as u64)?;
            self.pages[page] = Page::Narrow(Box::new([0; NARROW]));
        }
        let (count, uses) = self.pages[page].look(at);
        let counted = count.saturating_add(times).min(WIDE_COUNT);
        if counted > u32::from(NARROW_COUNT)
            && let Page::Narrow(narrow) = &self.pages[page]
        {
            let mut wide = Box::new([0; PAGE]);
            for (at, slot) in wide.iter_mut().enumerate() {
                let (count, uses) = look_narrow(narrow, at);
                *slot = count | u32::from(uses.0) << WIDE_USES;
            }
            self.take((size_of::<[u32; PAGE]>() - NARROW) as u64)?;
            self.pages[page] = Page::Wide(wide);
        }
        let now = Uses(uses.0 | 1 << used as u8);
        match &mut self.pages[page] {
            Page::None => {}
            Page::Narrow(narrow) => {
                let (byte, shift) = (&mut narrow[at / 2], at % 2 * 4);
                let half = counted as u8 | now.0 << NARROW_USES;
                *byte = *byte & !(0xf << shift) | half << shift;
            }
            Page::Wide(wide) => wide[at] = counted | u32::from(now.0) << WIDE_USES,
        }
        Ok(uses)
    }

    /// How often a cluster is referred to; 2^30 - 1 stands for that and more.
    pub fn count(&self, cluster: u64) -> u32 {
        self.look(cluster).0
    }

    /// The first cluster from this one on that may be referred to.
    pub fn next_used(&self, cluster: u64) -> u64 {
        let mut page = (cluster / PAGE as u64) as usize;
        if !matches!(self.pages.get(page), Some(Page::None)) {
            return cluster;
        }
        while matches!(self.pages.get(page), Some(Page::None)) {
            page += 1;
        }
        (page as u64 * PAGE as u64).min(self.clusters)
    }

    fn look(&self, cluster: u64) -> (u32, Uses) {
        let page = self.pages.get((cluster / PAGE as u64) as usize);
        page.map_or((0, Uses(0)), |page| page.look((cluster % PAGE as u64) as usize))
    }

    fn take(&mut self, bytes: u64) -> Result<()> {
        self.memory += bytes;
        if self.memory > MEMORY_MAX { Err(too_many(self.clusters)) } else { Ok(()) }
    }
}

impl Page {
    fn look(&self, at: usize) -> (u32, Uses) {
        match self {
            Self::None => (0, Uses(0)),
            Self::Narrow(narrow) => look_narrow(narrow, at),
            Self::Wide(wide) => (wide[at] & WIDE_COUNT, Uses((wide[at] >> WIDE_USES) as u8)),
        }
    }
}

fn look_narrow(narrow: &[u8; NARROW], at: usize) -> (u32, Uses) {
    let half = narrow[at / 2] >> (at % 2 * 4) & 0xf;
    (u32::from(half & NARROW_COUNT), Uses(half >> NARROW_USES))
}

fn too_many(clusters: u64) -> Error {
    Error::limit(format!(
        "counting the references to {clusters} clusters takes more than {MEMORY_MAX} bytes"
    ))
}

/// What uses a cluster: any of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses(u8);

impl Uses {
    /// Whether this is among it.
    pub fn has(self, used: Use) -> bool {
        self.0 & 1 << used as u8 != 0
    }

    /// Whether something else is among it.
    pub fn has_other(self, used: Use) -> bool {
        self.0 & !(1 << used as u8) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted_far_and_apart() {
        let mut references = References::new(1 << 30).unwrap();
        for (cluster, times) in [(0, 1), (1, 2), (4095, 3), (4096, 4), (1 << 29, 1 << 20)] {
            let before = references.add(cluster, times, Use::Data).unwrap();
            assert_eq!(before, Uses::default());
            assert_eq!(references.count(cluster), times, "{cluster}");
            assert!(references.add(cluster, 1, Use::Metadata).unwrap().has_other(Use::Metadata));
            assert_eq!(references.count(cluster), times + 1, "{cluster}");
            let uses = references.look(cluster).1;
            assert!(uses.has(Use::Data) && uses.has(Use::Metadata));
            assert_eq!(references.count(cluster + 10), 0);
        }
        assert_eq!((references.count(0), references.count(1)), (2, 3));
        assert_eq!(references.next_used(5000), 5000);
        assert_eq!(references.next_used(8192), 1 << 29);
        assert_eq!(references.next_used((1 << 29) + 5000), 1 << 30);
        references.add(0, u32::MAX, Use::Data).unwrap();
        assert_eq!(references.count(0), WIDE_COUNT);
    }

    #[test]
    fn a_file_that_is_referred_to_nowhere_costs_little() {
        assert!(References::new(1 << 30).unwrap().memory < 8 << 20);
        assert!(References::new(1 << 60).is_err());
    }
}
