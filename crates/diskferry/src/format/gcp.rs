//! The row of Google Compute Engine's file: a raw disk in a tar archive in a gzip file.

use diskferry_wrap::gcp;

use super::row::{Row, unwrapped};

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
    uncompressed: None,
    writing: || Box::<gcp::Options>::default(),
};
