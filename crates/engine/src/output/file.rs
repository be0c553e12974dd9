//! A regular file that gets its name only when it is whole.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use diskferry_block_stream::{Bytes, Error, Remedy, Result};
use rustix::fs::{Advice, FallocateFlags, Mode, SeekFrom, fallocate, fstatfs};
use rustix::io::{Errno, retry_on_intr};
use serde::{Deserialize, Serialize};

use super::partial::{Entry, Kept, Partial, folder_of};
use super::replace::Replace;
use super::sync::sync;
use super::traits::{Output, Storage};
use super::zeros::write_zeros;
use crate::job::Job;

/// A new file in its target's folder. [`keep`](Self::keep) gives it the target's name; dropped
/// before that, it is gone.
pub struct FileOutput {
    name: String,
    replace: Replace,
    partial: Partial,
    durability: Durability,
    /// Bytes written since the kernel was last told to begin, and the end of what it was told of.
    waiting: AtomicU64,
    begun: AtomicU64,
    /// Whether storage is reserved for each large write before it.
    reserves: AtomicBool,
    /// Whether its file system shares storage between files, once that was tried.
    clones: OnceLock<bool>,
}

/// What finishing a file waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The kernel has all bytes, and writes them when it likes.
    #[default]
    Cached,
    /// All bytes are on the disk: they survive a power failure once the file has its name.
    Synced,
}

impl FileOutput {
    /// Starts a file that is to become `target`. Unless `replace` is set, a file of that name,
    /// now or at the end, is an error.
    ///
    /// # Errors
    /// `Exists` when the target does and may not be replaced, `Io` when the folder refuses.
    pub fn create(target: &Path, replace: Replace) -> Result<Self> {
        let name = target.display().to_string();
        let io = |error: io::Error| Error::from(error).doing("creating").in_file(&name);
        if replace == Replace::Never && target.symlink_metadata().is_ok() {
            return Err(exists(&name));
        }
        // A link is followed, so that the file it names is replaced and not the link.
        let target = match target.canonicalize() {
            Ok(found) => found,
            Err(error) if target.symlink_metadata().is_ok() => return Err(io(error)),
            Err(_) => target.to_owned(),
        };
        // A name that belongs to a folder, a device or a pipe must not be taken from it.
        if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Error::misuse("the target exists and is no regular file").in_file(&name));
        }
        let base =
            target.file_name().ok_or_else(|| Error::misuse("no file name").in_file(&name))?;
        // The umask takes from 666 what it takes from every new file. A file that replaces another is
        // open to nobody who could not read that one.
        let mode = match target.metadata() {
            Ok(old) => old.permissions().mode() & 0o666,
            Err(_) => 0o666,
        };
        let mode = Mode::from_raw_mode(mode);
        let partial = Partial::create(folder_of(&target), base, mode).map_err(io)?;
        let reserves = fstatfs(partial.file()).is_ok_and(|it| it.f_type as u64 == EXT4);
        Ok(Self {
            name,
            replace,
            partial,
            durability: Durability::default(),
            waiting: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            reserves: AtomicBool::new(reserves),
            clones: OnceLock::new(),
        })
    }

    /// The output with another durability.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The temporary name of the bytes, where they have one. Where the file system can keep a file
    /// without a name, they have none.
    pub fn temporary(&self) -> Option<&Entry> {
        self.partial.temporary()
    }

    /// Another handle to read back what was written.
    ///
    /// # Errors
    /// `Io` when it cannot be had.
    pub fn reopen(&self) -> Result<File> {
        self.file()
            .try_clone()
            .map_err(|error| Error::from(error).doing("opening").in_file(&self.name))
    }

    /// Gives the file its name. Call it after [`finish`](Output::finish).
    ///
    /// # Errors
    /// `Exists` when the target does by now and may not be replaced, `Io` when the folder refuses.
    pub fn keep(self) -> Result<Kept> {
        let Self { name, replace, partial, durability, .. } = self;
        let kept = partial.keep(replace).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if replace == Replace::Never => exists(&name),
            io::ErrorKind::AlreadyExists => {
                Error::misuse("it became something else than a regular file").in_file(&name)
            }
            _ => Error::from(error).doing("giving the file its name").in_file(&name),
        })?;
        if durability == Durability::Synced
            && let Err(error) = kept.sync()
        {
            // What may be gone tomorrow must not be taken for whole today.
            let _ = kept.remove();
            return Err(Error::from(error).doing("syncing the folder").in_file(&name));
        }
        Ok(kept)
    }

    fn file(&self) -> &File {
        self.partial.file()
    }

    /// Reserves storage for what is about to be written, where that makes writing quicker: ext4
    /// otherwise looks for storage block by block, while it holds the lock for which the other
    /// threads wait.
    fn reserve(&self, at: u64, len: u64) {
        if len < RESERVED || !self.reserves.load(Ordering::Relaxed) {
            return;
        }
        let flags = FallocateFlags::KEEP_SIZE;
        // An error only means that it cannot be reserved. Whether there is room, the write tells.
        if retry_on_intr(|| fallocate(self.file(), flags, at, len)).is_err() {
            self.reserves.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the file system shares storage. Only trying tells; a file without bytes leaves ours as it
    /// is.
    fn tries_cloning(&self) -> bool {
        let empty = self.partial.another().ok();
        empty.is_some_and(|it| rustix::fs::ioctl_ficlone(self.file(), it).is_ok())
    }

    /// Has the kernel begin to write what has come together. Left alone it would wait for much
    /// more, and the sync at the end for all of that.
    fn wrote(&self, at: u64, len: u64) {
        if self.durability == Durability::Cached
            || self.waiting.fetch_add(len, Ordering::Relaxed) + len < WRITE_BACK
        {
            return;
        }
        self.waiting.store(0, Ordering::Relaxed);
        let end = at + len;
        let begun = self.begun.fetch_max(end, Ordering::Relaxed);
        let from = if begun < end { begun } else { at };
        // That pages are not needed begins to write them back, which is all that is wanted; they
        // stay in the cache meanwhile. It is a hint: an error means nothing.
        let length = NonZeroU64::new(end - from);
        let _ = rustix::fs::fadvise(self.file(), from, length, Advice::DontNeed);
    }

    fn io(&self, doing: &'static str, at: u64, len: u64) -> impl Fn(io::Error) -> Error {
        move |error| Error::from(error).at(doing, at, len).in_file(&self.name)
    }
}

/// Bytes after which the kernel is told to begin writing back.
const WRITE_BACK: u64 = 8 << 20;

/// The shortest write for which reserving takes less time than it saves.
const RESERVED: u64 = 128 << 10;

/// The number of ext2, ext3 and ext4 among file systems (`EXT4_SUPER_MAGIC` of Linux's `magic.h`). The
/// first two cannot reserve, which the first try tells.
const EXT4: u64 = 0xef53;

fn exists(name: &str) -> Error {
    Error::exists("the target exists").mended_by(Remedy::ReplaceTarget).in_file(name)
}

impl Output for FileOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn starts_zero(&self) -> bool {
        true
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        self.reserve(at, len);
        self.file().write_all_at(bytes, at).map_err(self.io("writing", at, len))?;
        self.wrote(at, len);
        Ok(())
    }

    fn zero(&self, _at: u64, _len: u64) -> Result<()> {
        Ok(())
    }

    fn finish(&self, len: u64, job: &Job) -> Result<()> {
        self.file().set_len(len).map_err(self.io("extending", 0, len))?;
        if self.durability == Durability::Cached {
            return Ok(());
        }
        sync(self.file(), job).map_err(|error| error.at("syncing", 0, len).in_file(&self.name))
    }

    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

impl Storage for FileOutput {
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64> {
        if let Some((whole, from)) = source.origin(from, len) {
            return self.copy_from(whole, from, at, len);
        }
        let Some(source) = source.file() else { return Ok(0) };
        let (mut off_in, mut off_out, mut done) = (from, at, 0);
        while done < len {
            let step = (len - done).min(1 << 30) as usize;
            match rustix::fs::copy_file_range(
                source,
                Some(&mut off_in),
                self.file(),
                Some(&mut off_out),
                step,
            ) {
                Ok(0) => break,
                Ok(count) => {
                    self.wrote(at + done, count as u64);
                    done += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::FBIG)) => {
                    return Err(self.io("writing", at + done, len - done)(errno.into()));
                }
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn shares(&self, source: &dyn Bytes) -> bool {
        if let Some((whole, _)) = source.origin(0, source.len()) {
            return self.shares(whole);
        }
        let device = |file: &File| Some(file.metadata().ok()?.dev());
        let together =
            source.file().and_then(device).is_some_and(|it| Some(it) == device(self.file()));
        together && *self.clones.get_or_init(|| self.tries_cloning())
    }

    fn allocate(&self, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::empty();
        match retry_on_intr(|| fallocate(self.file(), flags, 0, len)) {
            // Where the file system cannot reserve, the writes will find out.
            Ok(()) | Err(Errno::OPNOTSUPP) => {
                self.reserves.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(errno) => Err(self.io("reserving", 0, len)(errno.into())),
        }
    }

    fn fill(&self, len: u64, job: &Job) -> Result<()> {
        // Past the end of a file there is no hole to be found.
        self.file().set_len(len).map_err(self.io("extending", 0, len))?;
        let mut at = 0;
        while at < len {
            let hole = match rustix::fs::seek(self.file(), SeekFrom::Hole(at)) {
                Ok(hole) if hole < len => hole,
                _ => break,
            };
            let end = match rustix::fs::seek(self.file(), SeekFrom::Data(hole)) {
                Ok(data) => data.min(len),
                Err(_) => len,
            };
            write_zeros(hole, end - hole, |at, zeros| {
                job.control.cancel.check()?;
                self.write_at(at, zeros)
            })?;
            at = end;
        }
        Ok(())
    }
}
