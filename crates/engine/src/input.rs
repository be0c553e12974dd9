//! Sources on this machine: files and block devices by position, pipes in order.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};

use diskferry_block_stream::{Bytes, Error, Piece, Result, Run, Stream};
use rustix::fs::SeekFrom as Whence;
use rustix::io::Errno;

/// A file or a block device, read by position.
pub struct FileBytes {
    name: String,
    file: File,
    len: u64,
}

impl FileBytes {
    /// Wraps an open file; `name` is what messages call it.
    ///
    /// # Errors
    /// `Io` when its length cannot be found.
    pub fn new(name: impl Into<String>, mut file: File) -> Result<Self> {
        let name = name.into();
        // The length of a block device is not in its metadata; seeking serves both.
        let len = file.seek(SeekFrom::End(0)).map_err(|error| Error::from(error).in_file(&name))?;
        Ok(Self { name, file, len })
    }
}

impl Bytes for FileBytes {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buf, at).map_err(|error| {
            let error = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => std::io::Error::new(
                    error.kind(),
                    "the file ends before that; it had more when it was opened",
                ),
                _ => error,
            };
            Error::from(error).at("reading", at, buf.len() as u64).in_file(&self.name)
        })
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        let end = at.saturating_add(limit).min(self.len);
        let all_data = Run { length: end - at, hole: false };
        let seek = |whence| rustix::fs::seek(&self.file, whence);
        match seek(Whence::Data(at)) {
            Ok(data) if data > at => Ok(Run { length: data.min(end) - at, hole: true }),
            Ok(_) => match seek(Whence::Hole(at)) {
                Ok(hole) if hole > at => Ok(Run { length: hole.min(end) - at, hole: false }),
                // Holes moved under us: the bytes will tell.
                _ => Ok(all_data),
            },
            // No data from here to the end; or, where the file has shrunk, nothing at all.
            Err(Errno::NXIO) => match self.file.metadata() {
                Ok(now) if now.len() >= end => Ok(Run { length: end - at, hole: true }),
                _ => Ok(all_data),
            },
            // A device, or a file system that does not tell.
            Err(_) => Ok(all_data),
        }
    }

    fn allocated(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok().filter(Metadata::is_file);
        metadata.map(|metadata| metadata.blocks() * 512)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// A raw disk that arrives through a pipe, or any other reader.
pub struct ReadStream<R> {
    name: String,
    reader: R,
    size: Option<u64>,
    passed: u64,
}

impl<R: Read + Send> ReadStream<R> {
    /// A stream of all that `reader` yields; with a `size`, it must yield exactly that many bytes.
    pub fn new(name: impl Into<String>, reader: R, size: Option<u64>) -> Self {
        Self { name: name.into(), reader, size, passed: 0 }
    }
}

impl<R: Read + Send> Stream for ReadStream<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        let room = buf.len() as u64;
        let io = |error: std::io::Error| {
            Error::from(error).at("reading", self.passed, room).in_file(&self.name)
        };
        let count = loop {
            match self.reader.read(buf) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(io)?,
            }
        };
        self.passed += count as u64;
        match (self.size, count) {
            (Some(size), 0) if self.passed < size => Err(Error::damaged(format!(
                "the stream ends after {} of {size} bytes",
                self.passed
            ))
            .in_file(&self.name)),
            (Some(size), _) if self.passed > size => {
                Err(Error::damaged(format!("the stream goes on after {size} bytes"))
                    .in_file(&self.name))
            }
            (_, 0) => Ok(Piece::End),
            _ => Ok(Piece::Data(count)),
        }
    }
}
