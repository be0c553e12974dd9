//! The qcow2 format's row.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Image, Result};
use diskferry_qcow2 as qcow2;

use super::row::{Context, Row};
use crate::place::spelling::{self, Spelled};

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
    uncompressed: None,
    writing: || Box::<qcow2::Options>::default(),
};

fn open(bytes: Arc<dyn Bytes>, context: &Context<'_>) -> Result<Arc<dyn Image>> {
    let mut image = qcow2::Qcow2::open(bytes, context.budget)?;
    if let Some(name) = image.data_file()
        && let Some(data) = context.named.open_named(DATA_FILE, &[data_file(name)?])?
    {
        image = image.with_data_file(data);
    }
    if let Some(snapshot) = context.snapshot {
        image = image.at_snapshot(snapshot, context.budget)?;
    }
    Ok(Arc::new(image))
}

const DATA_FILE: &str = "data file";

/// The path that the name of a data file means, which has its bytes as they are.
fn data_file(name: &OsStr) -> Result<OsString> {
    match spelling::read(DATA_FILE, name)? {
        None => Ok(name.to_owned()),
        Some(Spelled { name, format }) => match format.as_deref() {
            None | Some("file" | "raw") => Ok(name),
            Some(format) => Err(Error::unsupported(format!(
                "a {DATA_FILE} that is an image of the format '{format}'"
            ))),
        },
    }
}
