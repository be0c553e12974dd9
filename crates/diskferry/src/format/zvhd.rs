//! The ZVHD format's row.

use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Image, Limits, Plan, Result, Stream};
use diskferry_zvhd::zvhd::{self, Zvhd, ZvhdStream};

use super::{Compress, Context, GIB, Naming, Row, Writing, no_snapshots};

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
    writing: || Box::new(ZvhdWriting::default()),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    no_snapshots("zvhd", bytes.as_ref(), context)?;
    Ok(Arc::new(Zvhd::open(bytes, context.limits)?))
}

fn stream(name: &str, reader: Box<dyn Read + Send>, limits: &Limits) -> Result<Box<dyn Stream>> {
    Ok(Box::new(ZvhdStream::new(reader, name, limits)?))
}

#[derive(Default)]
struct ZvhdWriting(zvhd::Options);

impl Writing for ZvhdWriting {
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(Error::misuse(format!("zvhd has no option '{key}'")))
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.0.compress(compress.level)
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        zvhd::plan(size, &self.0, &naming.stamp)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        GIB
    }
}
