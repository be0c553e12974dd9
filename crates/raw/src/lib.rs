//! Raw disk images: the disk's bytes as they are, and nothing else.
//!
//! ```text
//! offset 0                                             end of the file
//! | byte 0 of the disk …                 … last byte of the disk |
//! ```
//!
//! There is no header, so there is nothing to probe for, and nothing that tells a whole image from
//! one that was cut short. Holes of a sparse file are zeros of the disk.
#![forbid(unsafe_code)]

use std::sync::Arc;

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Description, Disk, Error, Extent, Flat, Foretold, Image, Kind, Naming,
    OptionSpec, Plan, Preallocation, Problem, Progress, Result, SECTOR, Writing, choice,
};

/// An opened raw image.
pub struct Raw {
    /// One file, in the form that [`Disk::files`] gives out.
    files: [Arc<dyn Bytes>; 1],
}

impl Raw {
    /// Takes any bytes as a disk. The disk's size is their length, to the byte.
    pub fn open(bytes: Arc<dyn Bytes>) -> Self {
        Self { files: [bytes] }
    }

    fn bytes(&self) -> &dyn Bytes {
        self.files[0].as_ref()
    }
}

impl Disk for Raw {
    fn size(&self) -> u64 {
        self.bytes().len()
    }

    fn grain(&self) -> u64 {
        1
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(RawCursor(self.bytes())))
    }
}

impl Image for Raw {
    fn describe(&self) -> Description {
        let odd = odd_length(self.size()).map(|text| Problem::oddity(None, text));
        let warnings = odd.into_iter().collect();
        Description { subformat: "raw".to_owned(), warnings, ..Description::default() }
    }

    /// There are none, so there is nothing to find.
    fn check_tables(
        &self,
        _cancel: &Cancel,
        _progress: &Progress,
        _report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        Ok(())
    }
}

/// What is odd about a raw disk of `size` bytes, if anything is: also for one that comes in order.
#[must_use]
pub fn odd_length(size: u64) -> Option<String> {
    (!size.is_multiple_of(SECTOR)).then(|| {
        format!(
            "the size of {size} bytes is not a whole number of {SECTOR}-byte sectors; the image may \
             have been cut short"
        )
    })
}

struct RawCursor<'a>(&'a dyn Bytes);

impl Cursor for RawCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        let run = self.0.run(at, limit)?;
        let kind = if run.hole { Kind::Zero } else { Kind::Plain { file: 0, offset: at } };
        Ok(Extent { length: run.length, kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.0.read_at(at, buf)
    }
}

/// How a raw image is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What becomes of the disk's zeros.
    pub preallocation: Preallocation,
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[OptionSpec {
    key: "preallocation",
    values: "off, falloc, full",
    about: "zeros become holes, get storage reserved, or are written",
}];

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "preallocation" => self.preallocation = choice(key, value, Preallocation::CHOICES)?,
            _ => return Err(Error::misuse(format!("raw has no option '{key}'"))),
        }
        Ok(())
    }

    fn plan(&self, size: Option<u64>, _naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self)
    }

    fn unit(&self) -> u64 {
        1
    }

    fn foretell(&self) -> Foretold {
        Foretold::of("raw")
    }
}

/// How a disk of `size` bytes is stored; `None` where the size is known only at the end.
///
/// # Errors
/// None so far: every size has its raw image.
pub fn plan(_size: Option<u64>, options: &Options) -> Result<Plan> {
    Ok(Plan::Flat(Flat { preallocation: options.preallocation, ..Flat::default() }))
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{ErrorKind, Run};

    use super::*;

    /// 4 bytes of data, 4 of hole, and so on.
    struct Striped(Vec<u8>);

    impl Bytes for Striped {
        fn name(&self) -> &str {
            "striped"
        }

        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
            self.0.read_at(at, buf)
        }

        fn run(&self, at: u64, limit: u64) -> Result<Run> {
            Ok(Run { length: limit.min(4 - at % 4), hole: at / 4 % 2 == 1 })
        }
    }

    #[test]
    fn data_is_plain_and_holes_are_zeros() {
        let raw = Raw::open(Arc::new(Striped(b"abcd\0\0\0\0ef".to_vec())));
        let mut cursor = raw.cursor().unwrap();
        let mut found = Vec::new();
        let mut at = 0;
        while at < raw.size() {
            let extent = cursor.extent(at, raw.size() - at).unwrap();
            found.push((at, extent.length, extent.kind));
            at += extent.length;
        }
        assert_eq!(
            found,
            [
                (0, 4, Kind::Plain { file: 0, offset: 0 }),
                (4, 4, Kind::Zero),
                (8, 2, Kind::Plain { file: 0, offset: 8 }),
            ]
        );
    }

    #[test]
    fn it_reads_anywhere_and_not_past_the_end() {
        let raw = Raw::open(Arc::new(b"0123456789".to_vec()));
        let mut cursor = raw.cursor().unwrap();
        let mut buf = [0; 3];
        cursor.read(7, &mut buf).unwrap();
        assert_eq!(&buf, b"789");
        assert_eq!(cursor.read(8, &mut buf).unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn a_size_that_is_no_whole_number_of_sectors_is_odd() {
        for (len, warnings) in [(0, 0), (512, 0), (511, 1), (1025, 1)] {
            let raw = Raw::open(Arc::new(vec![0; len]));
            assert_eq!(raw.describe().warnings.len(), warnings, "{len} bytes");
        }
    }

    #[test]
    fn options_are_set_by_name() {
        for (value, preallocation) in [
            ("off", Preallocation::Off),
            ("falloc", Preallocation::Falloc),
            ("full", Preallocation::Full),
        ] {
            let mut options = Options::default();
            options.set("preallocation", value).unwrap();
            assert_eq!(options.preallocation, preallocation);
            let Ok(Plan::Flat(flat)) = plan(None, &options) else { panic!("raw is flat") };
            assert_eq!((flat.preallocation, flat.base), (preallocation, 0));
        }
    }

    #[test]
    fn unknown_options_and_values_are_misuse() {
        for (key, value) in [("preallocation", "metadata"), ("cluster_size", "64K")] {
            let error = Options::default().set(key, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
        }
    }
}
