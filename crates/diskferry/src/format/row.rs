//! What there is to say about a format, and what one is given to recognise and open an image.

use std::ffi::OsString;
use std::io::Read;
use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Error, Image, OptionSpec, Result, Stream, Writing};

/// What there is to say about a format.
pub(super) struct Row {
    /// The name that users write and scripts read.
    pub name: &'static str,
    /// Other names it is known by, such as qemu's.
    pub aliases: &'static [&'static str],
    /// File name extensions that mean it as a target, without the dot, in lower case.
    pub extensions: &'static [&'static str],
    /// What is read, in a line.
    pub reads: &'static str,
    /// What is written, in a line.
    pub writes: &'static str,
    /// Whether readers look for something at the end of the file. A device goes on after it.
    pub ends_with_file: bool,
    /// The options of the format as a target.
    pub options: &'static [OptionSpec],
    /// Whether the file that these bytes are from says it is this format.
    pub probe: fn(&Sample<'_>) -> bool,
    /// Opens one layer.
    pub open: Open,
    /// Reads an image front to back, where the format has a kind that can be.
    pub stream: Option<OpenStream>,
    /// What is said to who wants an image compressed, where none can be.
    pub uncompressed: Option<&'static str>,
    /// Default options, to be set.
    pub writing: fn() -> Box<dyn Writing>,
}

type Open = fn(Arc<dyn Bytes>, &Context<'_>) -> Result<Arc<dyn Image>>;

/// Takes the name that messages use, and all of the image's bytes.
type OpenStream = fn(&str, Box<dyn Read + Send>, &Budget) -> Result<Box<dyn Stream>>;

/// The parts of a file that tell its format.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    /// The first bytes, [`HEAD`](Self::HEAD) of them where the file has as many.
    pub head: &'a [u8],
    /// The last bytes, [`TAIL`](Self::TAIL) of them where the file has as many.
    pub tail: &'a [u8],
}

impl Sample<'_> {
    /// Bytes of [`head`](Self::head): every signature at the front of a file is in its first 64 KiB.
    pub const HEAD: usize = 64 << 10;

    /// Bytes of [`tail`](Self::tail): a fixed VHD has its only signature in its last 512 bytes.
    pub const TAIL: usize = 4 << 10;
}

/// What opening a layer may need besides its bytes.
pub(crate) struct Context<'a> {
    /// What the layer may take, together with those above it and all around them.
    pub budget: &'a Budget,
    /// The internal snapshot to open instead of the active state.
    pub snapshot: Option<&'a str>,
    pub named: &'a dyn OpenNamed,
}

/// Opens files that an image names, as far as the caller's policy goes.
pub(crate) trait OpenNamed {
    /// The file that has the first of these names that leads to one, which the image needs as its `role`
    /// ("data file"). `None` where it cannot be had and the caller goes without.
    fn open_named(&self, role: &'static str, names: &[OsString]) -> Result<Option<Arc<dyn Bytes>>>;
}

/// What opens a format that is a wrapper only: nothing, for the wrapper is off by then.
pub(super) fn unwrapped(bytes: Arc<dyn Bytes>, _context: &Context<'_>) -> Result<Arc<dyn Image>> {
    Err(Error::unsupported("a wrapper within a backing chain").in_file(bytes.name()))
}

/// # Errors
/// `Misuse` when a snapshot is wanted of a format that has none.
pub(super) fn no_snapshots(format: &str, bytes: &dyn Bytes, context: &Context<'_>) -> Result<()> {
    match context.snapshot {
        None => Ok(()),
        Some(_) => {
            Err(Error::misuse(format!("a {format} image has no snapshots")).in_file(bytes.name()))
        }
    }
}
