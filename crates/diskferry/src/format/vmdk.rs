//! The VMDK format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Limits, Plan, Result, SECTOR, Stream};
use diskferry_vmdk as vmdk;

use super::{Compress, Context, Naming, Row, Writing, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "vmdk",
    aliases: &[],
    extensions: &["vmdk"],
    reads: "streamOptimized (also from a pipe), monolithicSparse, monolithicFlat, \
            twoGbMaxExtentSparse, twoGbMaxExtentFlat, vmfs, vmfsSparse, seSparse, delta links with \
            their parent",
    writes: "streamOptimized (also to a pipe), monolithicSparse, monolithicFlat, \
             twoGbMaxExtentSparse, twoGbMaxExtentFlat",
    ends_with_file: true,
    options: vmdk::OPTIONS,
    probe: |sample| vmdk::probe(sample.head),
    open,
    stream: Some(stream),
    writing: || Box::new(VmdkWriting::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vmdk", bytes.as_ref(), context)?;
    let image = vmdk::Vmdk::open(bytes, context.limits)?;
    let mut files = Vec::with_capacity(image.extents_needed().len());
    for needed in image.extents_needed() {
        match context.named.open_named(needed.role, &needed.names())? {
            Some(bytes) => files.push(bytes),
            // Without one of them there is no disk, but something to be said of the image.
            None => return Ok(Arc::new(image)),
        }
    }
    Ok(Arc::new(image.with_extents(files, context.limits)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, limits: &Limits) -> Result<Box<dyn Stream>> {
    Ok(Box::new(vmdk::StreamOptimizedStream::new(reader, name, limits)?))
}

#[derive(Default)]
struct VmdkWriting(vmdk::Options);

impl Writing for VmdkWriting {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.set(key, value)
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.0.compress(compress.level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        vmdk::plan(size, &self.0, &naming.stamp, naming.file)
    }

    /// Sparse extents hold whole grains. All parts but the last are whole anyway.
    fn unit(&self, plan: &Plan) -> u64 {
        match plan {
            Plan::Flat(_) => SECTOR,
            Plan::Packed(packed) => packed.chunk as u64,
            Plan::Enclosed(enclosed) => enclosed.inner.chunk as u64,
            Plan::Split(split) => split.parts.last().map_or(SECTOR, |part| self.unit(&part.plan)),
        }
    }
}
