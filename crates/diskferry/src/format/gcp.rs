//! The row of Google Compute Engine's file: a raw disk in a tar archive in a gzip file.

use diskferry_block_stream::{Plan, Result};
use diskferry_wrap::gcp;

use super::{Compress, Naming, Row, Writing, unwrapped};

pub(super) static ROW: Row = Row {
    name: "gcp",
    aliases: &[],
    extensions: &["tar.gz", "tgz"],
    reads: "a tar archive with one disk in it, in a gzip file",
    writes: "disk.raw in a tar.gz as Google Compute Engine imports it (also to a pipe), of whole GiB",
    ends_with_file: true,
    options: gcp::OPTIONS,
    probe: |_| false,
    open: unwrapped,
    stream: None,
    writing: || Box::new(GcpWriting::default()),
};

#[derive(Default)]
struct GcpWriting(gcp::Options);

impl Writing for GcpWriting {
    /// There are no options to set: the table has none.
    fn set(&mut self, _key: &str, _value: &str) -> Result<()> {
        Ok(())
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.0.level = compress.level;
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        gcp::plan(size, &self.0, &naming.stamp)
    }

    fn unit(&self, _plan: &Plan) -> u64 {
        gcp::UNIT
    }
}
