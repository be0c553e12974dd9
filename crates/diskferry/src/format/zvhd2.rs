//! The ZVHD2 format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Limits, Plan, Result, Stream};
use diskferry_zvhd::zvhd2::{self, Zvhd2, Zvhd2Stream};

use super::{Compress, Context, GIB, Naming, Row, Writing, no_snapshots};

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
    writing: || Box::new(Zvhd2Writing::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("zvhd2", bytes.as_ref(), context)?;
    Ok(Arc::new(Zvhd2::open(bytes, context.limits)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, limits: &Limits) -> Result<Box<dyn Stream>> {
    Ok(Box::new(Zvhd2Stream::new(reader, name, limits)?))
}

#[derive(Default)]
struct Zvhd2Writing(zvhd2::Options);

impl Writing for Zvhd2Writing {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.0.set(key, value)
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.0.compress(compress.level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        zvhd2::plan(size, &self.0, &naming.stamp)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        GIB
    }
}
