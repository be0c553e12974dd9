//! Unpacks what cannot be read in order to a file without a name.
//!
//! The file is gone however the process ends. It takes no more than `--limit unpacked`, and leaves a tenth of
//! its file system free, for others live there, too.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use diskferry_block_stream::{Cancel, Error, Limits, Progress, Remedy, Result, fill_from};
use diskferry_codec::zeros;

/// What unpacking to a scratch file takes.
pub(crate) struct Scratch<'a> {
    pub folder: &'a Path,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
    /// Counts the bytes of the file that is being unpacked.
    pub progress: &'a Progress,
}

impl Scratch<'_> {
    /// Writes all that `reader` has. `read` tells how many bytes of the source that has taken so far.
    ///
    /// # Errors
    /// Those of the reader; `Limit` for more than may be unpacked, or where too little of the file system
    /// would stay free; `Io` where it cannot be written; `Cancelled`.
    pub fn fill(&self, mut reader: impl Read, read: impl Fn() -> u64) -> Result<File> {
        let here = |error: Error| error.in_file(&self.folder.display().to_string());
        let io =
            |error: std::io::Error| here(Error::from(error).doing("unpacking to a scratch file"));
        let file = tempfile::tempfile_in(self.folder).map_err(io)?;
        let (mut at, mut room, mut counted) = (0u64, 0, 0);
        let mut buf = vec![0; STEP];
        loop {
            self.cancel.check()?;
            let count = fill_from(&mut reader, at, &mut buf)?;
            let passed = read();
            self.progress.pass(passed - counted);
            counted = passed;
            if at.saturating_add(count as u64) > self.limits.unpacked {
                let most = self.limits.unpacked;
                let what = format!("more than {most} bytes, to be unpacked to a scratch file");
                return Err(Limits::reached("unpacked", what));
            }
            for block in buf[..count].chunks(BLOCK) {
                if !zeros::is_zero(block) {
                    let length = block.len() as u64;
                    if room < length {
                        room = room_for(&file, length).map_err(here)?;
                    }
                    room -= length;
                    file.write_all_at(block, at).map_err(io)?;
                }
                at += block.len() as u64;
            }
            if count < buf.len() {
                file.set_len(at).map_err(io)?;
                return Ok(file);
            }
        }
    }
}

/// How many bytes may be written before somebody looks again; at least `length`.
///
/// # Errors
/// `Limit` where less than a tenth of the file system would stay free, `Io` where nothing is free.
fn room_for(file: &File, length: u64) -> Result<u64> {
    let system = rustix::fs::fstatvfs(file).map_err(std::io::Error::from)?;
    let (all, free) = (system.f_blocks, system.f_bavail);
    if free == 0 {
        return Err(Error::from(std::io::Error::from(IoErrorKind::StorageFull)));
    }
    let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
    let spare = bytes(free.saturating_sub(all / 10));
    if spare < length {
        let (free, all) = (bytes(free), bytes(all));
        return Err(Error::limit(format!(
            "unpacking to a scratch file would leave less than a tenth of its file system free ({free} of \
             {all} bytes are)"
        ))
        .mended_by(Remedy::ChooseScratch));
    }
    Ok(spare.min(LOOK))
}

/// Bytes that are unpacked at a time.
const STEP: usize = 1 << 20;

/// Zeros of this many bytes become a hole.
const BLOCK: usize = 64 << 10;

/// Bytes that are written, at most, before somebody looks again how much is free.
const LOOK: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::os::unix::fs::MetadataExt;

    use diskferry_block_stream::ErrorKind;

    use super::*;

    fn fill(bytes: Vec<u8>, limits: &Limits, cancel: &Cancel) -> Result<File> {
        let folder = std::env::temp_dir();
        let progress = Progress::default();
        let scratch = Scratch { folder: &folder, limits, cancel, progress: &progress };
        scratch.fill(Cursor::new(bytes), || 0)
    }

    #[test]
    fn all_bytes_are_there_and_zeros_take_no_room() {
        let mut bytes = vec![0; (5 << 20) + 77];
        bytes[(3 << 20) + 5] = 7;
        for length in [0, 1, 1 << 20, bytes.len()] {
            let file =
                fill(bytes[..length].to_vec(), &Limits::default(), &Cancel::default()).unwrap();
            let mut found = Vec::new();
            (&file).read_to_end(&mut found).unwrap();
            assert!(found == bytes[..length], "{length}");
            assert!(file.metadata().unwrap().blocks() * 512 <= 1 << 20);
            assert_eq!(file.metadata().unwrap().nlink(), 0);
        }
    }

    #[test]
    fn it_ends_at_the_limit_and_on_request() {
        let mut limits = Limits::default();
        limits.unpacked = 99;
        let error = fill(vec![7; 100], &limits, &Cancel::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let cancel = Cancel::default();
        cancel.cancel();
        let error = fill(vec![7; 100], &Limits::default(), &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
