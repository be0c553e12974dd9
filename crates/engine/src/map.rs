//! A file as a memory map, where the kernel promises that it will not shrink under us.
//!
//! Touching a mapped page past the end of a file kills the process, so a map of a file that others
//! may shrink is not safe. A read lease (`F_SETLEASE`, fcntl(2)) closes that gap: while it is held,
//! whoever opens the file for writing or truncates it waits, and we are told. Every look at the map
//! asks first whether the lease is still whole; once it is being broken, the map is never looked at
//! again, the lease is given back, and bytes are read by position. Where no lease is to be had (a
//! file of somebody else's, one that is open for writing, most network file systems), there is no
//! map at all.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{PoisonError, RwLock};

use diskferry_block_stream::{Bytes, Result, Run};
use memmap2::{Advice, Mmap};

use crate::input::FileBytes;

/// A file that is looked at in place while a lease on it holds, and read by position after that.
pub struct MappedBytes {
    file: FileBytes,
    /// The map, while the lease holds. Readers look at the map under the read lock; it is dropped,
    /// and then the lease given back, under the write lock.
    map: RwLock<Option<Mmap>>,
}

impl MappedBytes {
    /// Maps an open file. Gives the file back where it cannot be mapped safely.
    ///
    /// # Errors
    /// The file, for the caller to read by position.
    pub fn new(file: FileBytes) -> Result<Self, FileBytes> {
        let Some(handle) = file.file() else { return Err(file) };
        if !Lease::take(handle) {
            return Err(file);
        }
        // SAFETY: a map must not outlive the bytes under it: no other process may truncate the file
        // or change its bytes while a slice of the map is alive. The read lease taken above makes
        // the kernel hold back every open for writing and every truncation until the lease is given
        // back, or until `/proc/sys/fs/lease-break-time` (45 s) after it announced the break.
        // `view` is the only place that looks at the map; it asks for the lease's state before each
        // look, and no look lasts longer than decompressing one unit of at most 2 MiB.
        // This process itself never writes to a source: outputs are new files or other devices.
        let map = unsafe { Mmap::map(handle) };
        match map {
            // The length is taken again: the file could have changed before the lease.
            Ok(map) if map.len() as u64 == file.len() => {
                let _ = map.advise(Advice::Sequential);
                Ok(Self { file, map: RwLock::new(Some(map)) })
            }
            _ => {
                Lease::give_back(handle);
                Err(file)
            }
        }
    }

    /// Drops the map and lets whoever waits for the file go on.
    fn retire(&self) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.take().is_some()
            && let Some(handle) = self.file.file()
        {
            Lease::give_back(handle);
        }
    }
}

impl Bytes for MappedBytes {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        // Filling a buffer is quicker by a read than by faulting the pages in.
        self.file.read_at(at, buf)
    }

    fn view(&self, at: u64, len: usize, see: &mut dyn FnMut(&[u8])) -> bool {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let (Some(bytes), Some(handle)) = (map.as_ref(), self.file.file()) else { return false };
        if !Lease::holds(handle) {
            drop(map);
            self.retire();
            return false;
        }
        let part =
            usize::try_from(at).ok().and_then(|start| bytes.get(start..start.checked_add(len)?));
        part.map(see).is_some()
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        self.file.run(at, limit)
    }

    fn allocated(&self) -> Option<u64> {
        self.file.allocated()
    }

    fn file(&self) -> Option<&File> {
        self.file.file()
    }
}

/// A read lease on an open file description.
struct Lease;

impl Lease {
    /// Takes the lease, and has a break announced by a signal that nobody minds.
    fn take(file: &File) -> bool {
        // SIGIO, the default announcement, would end the process. SIGURG is ignored unless handled.
        fcntl(file, F_SETSIG, libc::SIGURG) == 0
            && fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) == 0
    }

    /// Whether it is still whole; false from the moment that somebody waits for it to be broken.
    fn holds(file: &File) -> bool {
        fcntl(file, libc::F_GETLEASE, 0) == libc::F_RDLCK
    }

    fn give_back(file: &File) {
        fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

/// From Linux's `asm-generic/fcntl.h`; the libc crate does not have it for every target.
const F_SETSIG: libc::c_int = 10;

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> libc::c_int {
    // SAFETY: these commands take an integer and touch no memory of ours; the descriptor is open
    // for as long as `file` is borrowed.
    unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, FileBytes) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(bytes).unwrap();
        let path = named.into_temp_path();
        let named = tempfile::NamedTempFile::from_parts(File::open(&path).unwrap(), path);
        let file = FileBytes::new("test", File::open(named.path()).unwrap()).unwrap();
        (named, file)
    }

    #[test]
    fn a_leased_file_is_seen_in_place() {
        let (_named, file) = file(b"0123456789");
        let Ok(map) = MappedBytes::new(file) else { panic!("no lease here") };
        let mut seen = Vec::new();
        assert!(map.view(3, 4, &mut |bytes| seen.extend_from_slice(bytes)));
        assert_eq!(seen, b"3456");
        assert!(!map.view(8, 3, &mut |_| unreachable!()));
        assert!(!map.view(u64::MAX, 2, &mut |_| unreachable!()));
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_not_mapped() {
        let (named, file) = file(b"0123456789");
        let _writer = File::options().write(true).open(named.path()).unwrap();
        assert!(MappedBytes::new(file).is_err());
    }

    #[test]
    fn the_map_is_left_alone_once_somebody_wants_to_write() {
        let (named, file) = file(&[7; 1 << 16]);
        let Ok(map) = MappedBytes::new(file) else { panic!("no lease here") };
        // Without waiting, the open is refused, and the break begins.
        let refused = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(named.path());
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EWOULDBLOCK));
        assert!(!map.view(0, 16, &mut |_| unreachable!()));
        // The lease is given back, so that now the file can be cut; reading says so.
        File::options().write(true).open(named.path()).unwrap().set_len(10).unwrap();
        let mut buf = [0; 16];
        assert!(map.read_at(0, &mut buf).is_err());
    }

    #[test]
    fn a_file_is_not_cut_while_somebody_looks_at_it() {
        let (named, file) = file(&[7; 1 << 20]);
        let Ok(map) = MappedBytes::new(file) else { panic!("no lease here") };
        let look = || {
            let mut sum = 0;
            let seen = map.view(0, 1 << 20, &mut |bytes| {
                sum = bytes.iter().map(|byte| u64::from(*byte)).sum();
            });
            assert!(!seen || sum == 7 << 20, "{sum}");
            seen
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while look() {});
            }
            // Waits for the lease.
            File::options().write(true).open(named.path()).unwrap().set_len(0).unwrap();
        });
        assert!(map.read_at(0, &mut [0]).is_err());
    }
}
