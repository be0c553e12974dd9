//! The VMDK format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Image, Result, Stream};
use diskferry_vmdk as vmdk;

use super::row::{Context, Row, no_snapshots};

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
    uncompressed: None,
    writing: || Box::<vmdk::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vmdk", bytes.as_ref(), context)?;
    let image = vmdk::Vmdk::open(bytes, context.budget)?;
    let mut files = Vec::with_capacity(image.extents_needed().len());
    for needed in image.extents_needed() {
        match context.named.open_named(needed.role, &needed.names())? {
            Some(bytes) => files.push(bytes),
            // Without one of them there is no disk, but something to be said of the image.
            None => return Ok(Arc::new(image)),
        }
    }
    Ok(Arc::new(image.with_extents(files, context.budget)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, budget: &Budget) -> Result<Box<dyn Stream>> {
    Ok(Box::new(vmdk::StreamOptimizedStream::new(reader, name, budget)?))
}
