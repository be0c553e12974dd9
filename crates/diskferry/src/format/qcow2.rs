//! The qcow2 format's row.

use std::ffi::OsStr;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Plan, Result};
use diskferry_qcow2 as qcow2;

use super::{Compress, Context, Naming, Row, SECTOR, Writing};

pub(super) static ROW: Row = Row {
    name: "qcow2",
    aliases: &[],
    extensions: &["qcow2", "qcow"],
    reads: "versions 2 and 3: zlib and zstd clusters, extended L2, external data file, backing \
            chain, internal snapshots",
    writes: "version 3 or 2, compressed or not",
    ends_with_file: false,
    options: qcow2::OPTIONS,
    probe: |sample| qcow2::Qcow2::probe(sample.head),
    open,
    stream: None,
    writing: || Box::new(Qcow2Writing::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    let mut image = qcow2::Qcow2::open(bytes, context.limits)?;
    if let Some(name) = image.data_file().map(OsStr::to_owned)
        && let Some(data) = context.named.open_named("data file", &name)?
    {
        image = image.with_data_file(data);
    }
    if let Some(snapshot) = context.snapshot {
        image = image.at_snapshot(snapshot, context.limits)?;
    }
    Ok(Arc::new(image))
}

#[derive(Default)]
struct Qcow2Writing(qcow2::Options);

impl Writing for Qcow2Writing {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.set(key, value)
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.0.compress(compress.level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, _naming: &Naming<'_>) -> Result<Plan> {
        qcow2::plan(size, &self.0)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        SECTOR
    }
}
