//! The ZVHD2 format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Image, Result, Stream};
use diskferry_zvhd::zvhd2::{self, Zvhd2, Zvhd2Stream};

use super::row::{Context, Row, no_snapshots};

pub(super) static ROW: Row = Row {
    name: "zvhd2",
    aliases: &[],
    extensions: &["zvhd2"],
    reads: "zstd and zlib blocks, an index with or without the blocks that hold nothing, also from \
            a pipe",
    writes: "zstd or zlib blocks, also to a pipe",
    ends_with_file: true,
    options: zvhd2::OPTIONS,
    probe: |sample| Zvhd2::probe(sample.head),
    open,
    stream: Some(stream),
    uncompressed: None,
    writing: || Box::<zvhd2::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("zvhd2", bytes.as_ref(), context)?;
    Ok(Arc::new(Zvhd2::open(bytes, context.budget)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, budget: &Budget) -> Result<Box<dyn Stream>> {
    Ok(Box::new(Zvhd2Stream::new(reader, name, budget)?))
}
