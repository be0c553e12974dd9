//! A compressed file with a disk in it, and that disk as an image.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Description, Disk, Error, ErrorKind, Image, Order, Piece, Problem,
    Progress, Result, Stream,
};
use diskferry_engine::Rewinding;
use diskferry_wrap::{BytesReader, Peek};

use super::{Around, Arrival, Arrived, Unordered, Wanted, arrive, is_compression};
use crate::format::Format;
use crate::source::forward::lookahead::length;
use crate::source::stream::Counted;

/// A compressed file, whose disk can be had from the beginning as often as it is wanted.
#[derive(Clone)]
pub(crate) struct Packed {
    pub bytes: Arc<dyn Bytes>,
    /// The file that it is, or is in.
    pub file: Arc<dyn Bytes>,
    /// What is around the compressed file.
    pub around: Around,
    pub wanted: Wanted,
}

impl Packed {
    /// Begins.
    ///
    /// # Errors
    /// As for [`arrive`].
    pub fn begin(&self, read: &Arc<AtomicU64>) -> Result<Arrival> {
        let counted = Counted::new(BytesReader::new(Arc::clone(&self.bytes)), read);
        arrive(self.bytes.name(), counted, self.around.clone(), &self.wanted)
    }

    /// Begins once more with what can be read in order.
    fn again(&self) -> Result<Arrived> {
        match self.begin(&Arc::default())? {
            Arrival::Disk(arrived) => Ok(arrived),
            Arrival::NotInOrder(Unordered { error, .. }) => Err(error),
        }
    }

    /// All that is in it, once more from the first byte on.
    ///
    /// # Errors
    /// `Limit` for too many wrappers, `Io`.
    pub fn unpacked(&self, read: &Arc<AtomicU64>) -> Result<Box<dyn Read + Send>> {
        let counted = Counted::new(BytesReader::new(Arc::clone(&self.bytes)), read);
        let unpacked = self.around.clone().unpack_first(Peek::new(counted), &self.wanted);
        Ok(Box::new(unpacked.map_err(|error| error.in_file(self.bytes.name()))?))
    }

    /// The file, with all that is around the disk.
    pub fn file(&self) -> &Arc<dyn Bytes> {
        &self.file
    }

    /// The disk, to be read anywhere, at the price of a pass for each time that it goes back.
    ///
    /// # Errors
    /// As for [`arrive`]; where the size is known at the end only, whatever the disk's bytes fail
    /// with.
    pub fn into_image(self) -> Result<(Arrived, PackedImage)> {
        let mut arrived = self.again()?;
        let size = match arrived.stream.size() {
            Some(size) => size,
            None => run_out(arrived.stream.as_mut(), |_| Ok(()))?,
        };
        if let Some(format) = arrived.told.get() {
            (arrived.format, arrived.assumed) = (*format, false);
        }
        let name = arrived.stream.name().to_owned();
        let (format, innermost) = (arrived.format, arrived.around.layers.last().copied());
        let packed = self.clone();
        let begin = move || Ok(self.again()?.stream);
        let disk = Rewinding::new(name, size, Box::new(begin));
        let compression = innermost.filter(|layer| is_compression(layer));
        Ok((arrived, PackedImage { packed, disk, format, compression }))
    }
}

/// Bytes of a stream that are read at a time.
const STEP: usize = 256 << 10;

/// Reads a stream to its end, and returns how long it is; `passed` is told of each piece's length.
fn run_out(stream: &mut dyn Stream, passed: impl Fn(u64) -> Result<()>) -> Result<u64> {
    let mut buf = vec![0; STEP];
    let mut size = 0u64;
    loop {
        let length = match stream.next(&mut buf)? {
            Piece::End => return Ok(size),
            piece => length(piece),
        };
        let too_long = || Error::limit("a stream of more than 2^64 bytes").in_file(stream.name());
        size = size.checked_add(length).ok_or_else(too_long)?;
        passed(length)?;
    }
}

/// A disk in a compressed file as an image.
pub(crate) struct PackedImage {
    packed: Packed,
    disk: Rewinding,
    format: Format,
    compression: Option<&'static str>,
}

impl Disk for PackedImage {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn grain(&self) -> u64 {
        self.disk.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.disk.files()
    }

    fn order(&self) -> Order {
        self.disk.order()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        self.disk.cursor()
    }
}

impl Image for PackedImage {
    fn describe(&self) -> Description {
        Description {
            subformat: match self.format {
                format if format == Format::RAW => "raw".to_owned(),
                format if format == Format::VHD => "fixed".to_owned(),
                _ => String::new(),
            },
            compression: self.compression,
            ..Description::default()
        }
    }

    /// There are none; checksums are all that there is to check, and what is odd shows at the end. So all of
    /// it is read.
    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        progress.expect(self.size());
        match self.read_through(cancel, progress) {
            Ok(warnings) => {
                warnings.into_iter().for_each(|text| report(Problem::oddity(None, text)));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                report(Problem::corruption(None, error.to_string()));
                Ok(())
            }
            Err(error) => Err(error.in_file(self.packed.bytes.name())),
        }
    }
}

impl PackedImage {
    /// Reads all of the disk, and returns what was odd about it.
    fn read_through(&self, cancel: &Cancel, progress: &Progress) -> Result<Vec<String>> {
        // What is left of former looks holds memory that this one may need.
        self.disk.let_go();
        let mut stream = self.packed.again()?.stream;
        run_out(stream.as_mut(), |length| {
            progress.pass(length);
            cancel.check()
        })?;
        Ok(stream.warnings())
    }
}
