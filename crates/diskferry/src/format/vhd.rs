//! The VHD format's row.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Image, Plan, Result, SECTOR};
use diskferry_vhd as vhd;

pub(crate) use diskferry_vhd::FixedDisk;

use super::{Compress, Context, Naming, Row, Writing, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "vhd",
    aliases: &["vpc"],
    extensions: &["vhd", "vpc"],
    reads: "fixed (also from a pipe), dynamic, differencing with its parent",
    writes: "dynamic or fixed, at the exact size",
    ends_with_file: true,
    options: vhd::OPTIONS,
    probe: |sample| vhd::Vhd::probe(sample.head, sample.tail),
    open,
    stream: None,
    writing: || Box::new(VhdWriting::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vhd", bytes.as_ref(), context)?;
    Ok(Arc::new(vhd::Vhd::open(bytes, context.limits)?))
}

#[derive(Default)]
struct VhdWriting(vhd::Options);

impl Writing for VhdWriting {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.set(key, value)
    }

    fn compress(&mut self, _compress: Compress) -> Result<()> {
        Err(Error::misuse("a vhd image cannot be compressed; qcow2 and vmdk can"))
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        vhd::plan(size, &self.0, &naming.stamp)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        SECTOR
    }
}
