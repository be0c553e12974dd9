//! Whether somebody has written to a file while it was read.
//!
//! A write changes a file's length or its time of writing. That time can be set back, as `cp -p` and `touch -r` do; but
//! then the inode has a new time of change, which nobody can set. Other things give it one, too: a link, a new name or
//! owner, other permissions. Where one of these is seen, it explains the new time, and nothing is said: the bytes are
//! what they were.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Error, Result};

/// The files that a source is read from, as they were when the work began.
pub(crate) struct Unchanged(Vec<(Arc<dyn Bytes>, Stamp)>);

impl Unchanged {
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Arc<dyn Bytes>>) -> Self {
        let stamped =
            files.into_iter().filter_map(|bytes| Some((Arc::clone(bytes), Stamp::of(bytes)?)));
        Self(stamped.collect())
    }

    /// # Errors
    /// `Io` when somebody has written to one of them since: what was read may be partly from before
    /// and partly from after that.
    pub fn check(&self) -> Result<()> {
        let judge = |(bytes, before): &(Arc<dyn Bytes>, Stamp)| {
            let now = Stamp::of(bytes)?;
            let changed = |why| Error::from(io::Error::other(why)).passing().in_file(bytes.name());
            before.why_not(&now).map(changed)
        };
        self.0.iter().find_map(judge).map_or(Ok(()), Err)
    }
}

/// What the system tells of a file that changes when somebody writes to it, or else explains a change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
    /// The same, of the inode.
    changed: (i64, i64),
    inode: Inode,
}

/// What people change about a file without writing to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inode {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    /// Where it is, as far as the system knows.
    path: Option<PathBuf>,
}

impl Stamp {
    /// `None` where there is no file, or where a time would tell nothing: a device has none.
    fn of(bytes: &Arc<dyn Bytes>) -> Option<Self> {
        let file = bytes.file()?;
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        Some(Self {
            length: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: Inode {
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                links: metadata.nlink(),
                path: path_of(file),
            },
        })
    }

    /// Why the file may have other bytes now.
    fn why_not(&self, now: &Self) -> Option<&'static str> {
        if (self.length, self.written) != (now.length, now.written) {
            Some("somebody wrote to it while it was read")
        } else if self.changed != now.changed && self.inode == now.inode {
            Some(
                "somebody wrote to it while it was read, and set its time back: its inode was changed",
            )
        } else {
            None
        }
    }
}

fn path_of(file: &File) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::{FileExt, PermissionsExt};
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, Instant};

    use diskferry_engine::FileBytes;

    use super::*;

    /// Writes, and makes the file look as if it were as old as it was.
    fn rewrite(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.set_modified(before).unwrap();
    }

    #[test]
    fn a_write_is_noticed_and_what_leaves_the_bytes_alone_is_not() {
        type Act = fn(&Path);
        let acts: [(&str, Act, Option<&str>); 8] = [
            ("nothing", |_| (), None),
            ("a read", |path| _ = fs::read(path).unwrap(), None),
            ("a write", |path| fs::write(path, b"0123456789").unwrap(), Some("somebody wrote")),
            ("a cut", |path| fs::write(path, b"").unwrap(), Some("somebody wrote")),
            ("a write with the time set back", rewrite, Some("set its time back")),
            ("a link", |path| fs::hard_link(path, path.with_extension("beside")).unwrap(), None),
            ("a new name", |path| fs::rename(path, path.with_extension("beside")).unwrap(), None),
            (
                "permissions",
                |path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap(),
                None,
            ),
        ];
        for (what, act, expected) in acts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("disk");
            fs::write(&path, b"0123456789").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let file = FileBytes::new("disk", File::open(&path).unwrap()).unwrap();
            let bytes: Arc<dyn Bytes> = Arc::new(file);
            let unchanged = Unchanged::of([&bytes]);
            wait_for_the_clock(folder.path());
            act(&path);
            let told = unchanged.check().map_err(|error| {
                assert!(error.is_worth_retrying(), "{what}");
                error.to_string()
            });
            match expected {
                None => assert_eq!(told, Ok(()), "{what}"),
                Some(text) => assert!(told.unwrap_err().contains(text), "{what}"),
            }
        }
    }

    /// The times of files go in steps of some milliseconds.
    fn wait_for_the_clock(folder: &Path) {
        let time = || {
            fs::write(folder.join("clock"), b"").unwrap();
            let metadata = folder.join("clock").metadata().unwrap();
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let (begun, patience) = (time(), Instant::now() + Duration::from_secs(20));
        while time() == begun {
            assert!(Instant::now() < patience, "the clock stands still");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
