//! The VDI format's row.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Result};
use diskferry_vdi as vdi;

use super::row::{Context, Row, no_snapshots};

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
    uncompressed: Some("a vdi image cannot be compressed; qcow2 and vmdk can"),
    writing: || Box::<vdi::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vdi", bytes.as_ref(), context)?;
    Ok(Arc::new(vdi::Vdi::open(bytes, context.budget)?))
}
