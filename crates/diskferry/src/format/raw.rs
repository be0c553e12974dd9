//! The raw format's row.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Result};
use diskferry_raw as raw;

use super::row::{Context, Row, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "raw",
    aliases: &["img", "dd"],
    extensions: &["raw", "img", "dd", "bin"],
    reads: "any file, block device or pipe, sparse or not",
    writes: "file (sparse), block device, pipe",
    ends_with_file: false,
    options: raw::OPTIONS,
    probe: |_| false,
    open,
    // What comes in order is raw where nothing else is known of it: no format is asked.
    stream: None,
    uncompressed: Some("a raw image cannot be compressed; qcow2 can"),
    writing: || Box::<raw::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("raw", bytes.as_ref(), context)?;
    context
        .budget
        .limits()
        .check_virtual_size(bytes.len())
        .map_err(|error| error.in_file(bytes.name()))?;
    Ok(Arc::new(raw::Raw::open(bytes)))
}
