//! The VDI format's row.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Image, Plan, Result, SECTOR};
use diskferry_vdi as vdi;

use super::{Compress, Context, Naming, Row, Writing, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "vdi",
    aliases: &[],
    extensions: &["vdi"],
    reads: "dynamic, static, differencing with its parent",
    writes: "dynamic or static",
    ends_with_file: false,
    options: vdi::OPTIONS,
    probe: |sample| vdi::Vdi::probe(sample.head),
    open,
    stream: None,
    writing: || Box::new(VdiWriting::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vdi", bytes.as_ref(), context)?;
    Ok(Arc::new(vdi::Vdi::open(bytes, context.limits)?))
}

#[derive(Default)]
struct VdiWriting(vdi::Options);

impl Writing for VdiWriting {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.set(key, value)
    }

    fn compress(&mut self, _compress: Compress) -> Result<()> {
        Err(Error::misuse("a vdi image cannot be compressed; qcow2 and vmdk can"))
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        vdi::plan(size, &self.0, &naming.stamp)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        SECTOR
    }
}
