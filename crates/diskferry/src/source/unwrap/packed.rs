//! A compressed file with a disk in it, and that disk as an image.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Description, Disk, Error, ErrorKind, Image, Note, Order, Piece, Problem,
    Progress, Result, Stream,
};
use diskferry_engine::Rewinding;

use crate::format::Format;
use crate::source::around::is_compression;
use crate::source::arrived::{Arrived, Packed};
use crate::source::forward::lookahead::length;
use crate::source::unwrap::{Unordered, Unwrapped, Unwrapping};

impl Packed {
    /// Begins once more with what can be read in order.
    fn again(&self) -> Result<Arrived> {
        match self.unwrapping().run()? {
            Unwrapped::Forward(arrived) => Ok(arrived),
            Unwrapped::NotInOrder(Unordered { error, .. }) => Err(error),
            Unwrapped::Random { bytes, .. } => {
                Err(Error::damaged("it was compressed, and is not any more").in_file(bytes.name()))
            }
        }
    }

    /// All that is in it, once more from the first byte on, and the count of what is read of the file for that.
    ///
    /// # Errors
    /// `Limit` for too many wrappers, `Io`.
    pub fn unpacked(&self) -> Result<(Box<dyn Read + Send>, Arc<AtomicU64>)> {
        self.unwrapping().unpacked()
    }

    fn unwrapping(&self) -> Unwrapping<'_> {
        Unwrapping::of_bytes(Arc::clone(&self.bytes), self.around.clone(), &self.wanted)
    }

    /// The disk, to be read anywhere, at the price of a pass for each time that it goes back.
    ///
    /// # Errors
    /// As for unpacking it; where the size is known at the end only, whatever the disk's bytes fail with.
    pub fn into_image(self) -> Result<(Arrived, PackedImage)> {
        let mut arrived = self.again()?;
        let stream = &mut arrived.disk.stream;
        let size = match stream.size() {
            Some(size) => size,
            None => run_out(stream.as_mut(), |_| Ok(()))?,
        };
        let name = stream.name().to_owned();
        if let Some(format) = arrived.disk.told.get() {
            (arrived.format, arrived.assumed) = (*format, false);
        }
        let (format, innermost) = (arrived.format, arrived.around.layers.last().copied());
        let packed = self.clone();
        let begin = move || Ok(self.again()?.disk.stream);
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
                warnings
                    .into_iter()
                    .for_each(|note| report(Problem::oddity(None, note.to_string())));
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
    fn read_through(&self, cancel: &Cancel, progress: &Progress) -> Result<Vec<Note>> {
        // What is left of former looks holds memory that this one may need.
        self.disk.let_go();
        let mut stream = self.packed.again()?.disk.stream;
        run_out(stream.as_mut(), |length| {
            progress.pass(length);
            cancel.check()
        })?;
        Ok(stream.warnings())
    }
}
