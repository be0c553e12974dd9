//! The VHD format's row.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Result};
use diskferry_vhd as vhd;

pub(crate) use diskferry_vhd::FixedDisk;

use super::row::{Context, Row, no_snapshots};

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
    uncompressed: Some("a vhd image cannot be compressed; qcow2 and vmdk can"),
    writing: || Box::<vhd::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("vhd", bytes.as_ref(), context)?;
    Ok(Arc::new(vhd::Vhd::open(bytes, context.budget)?))
}
