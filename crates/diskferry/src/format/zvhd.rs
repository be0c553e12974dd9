//! The ZVHD format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Image, Result, Stream};
use diskferry_zvhd::zvhd::{self, Zvhd, ZvhdStream};

use super::row::{Context, Row, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "zvhd",
    aliases: &[],
    extensions: &["zvhd"],
    reads: "blocks that refer to one another and blocks that do not, also from a pipe",
    writes: "blocks of their own in one zlib stream, also to a pipe",
    ends_with_file: false,
    options: zvhd::OPTIONS,
    probe: |sample| Zvhd::probe(sample.head),
    open,
    stream: Some(stream),
    uncompressed: None,
    writing: || Box::<zvhd::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("zvhd", bytes.as_ref(), context)?;
    Ok(Arc::new(Zvhd::open(bytes, context.budget)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, budget: &Budget) -> Result<Box<dyn Stream>> {
    Ok(Box::new(ZvhdStream::new(reader, name, budget)?))
}
